"""Weights as Keras 3, and the last Keras 2, save them: ``.weights.h5``, and the same inside a ``.keras`` archive.

Layers are groups that are called by their class, and values are numbered, so that the classes' own order tells which
is which.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from parity.adapters import canonical
from parity.weights.checkpoints.contents import Contents, StoredArray, joined
from parity.weights.checkpoints.named import NAMES
from parity.weights.checkpoints.objects import aside

CONVOLUTIONS = {
    "gabor_conv1d": "GaborConv1D",
    "sinc_conv1d": "SincConv1D",
    "normalized_conv1d": "NormalizedConv1D",
    "fft_conv1d": "FFTConv1D",
}
POOLINGS = {
    "gaussian_lowpass": "GaussianLowpass",
    "learnable_pooling1d": "LearnablePooling1D",
    "channel_wise_learnable_pooling1d": "ChannelWiseLearnablePooling1D",
}
VARIABLES = {
    "gabor_conv1d/vars/0": canonical.KERNEL,
    "sinc_conv1d/vars/0": canonical.KERNEL,
    "normalized_conv1d/vars/0": canonical.KERNEL,
    "fft_conv1d/vars/0": canonical.CONV,
    "gaussian_lowpass/vars/0": canonical.POOLING,
    "channel_wise_learnable_pooling1d/vars/0": canonical.POOLING,
    "learnable_pooling1d/pool/vars/0": canonical.POOLING_2D,
    "pcen_layer/vars/0": canonical.ALPHA,
    "pcen_layer/vars/1": canonical.DELTA,
    "pcen_layer/vars/2": canonical.ROOT,
    "pcen_layer/ema/vars/0": canonical.SMOOTH,
    "pcen_layer/ema/cell/vars/0": canonical.RNN_KERNEL,
    "pcen_layer/ema/cell/vars/1": canonical.RNN_RECURRENT,
    "layer_normalization/vars/0": canonical.NORM_GAMMA,
    "layer_normalization/vars/1": canonical.NORM_BETA,
    "instance_normalization/vars/0": canonical.GAMMA,
    "instance_normalization/vars/1": canonical.BETA,
}
_NUMBER = re.compile(r"_\d+$")


class Keras3(Contents):
    """The groups of a ``.weights.h5`` file.

    Args:
        path: of the file, for messages.
        arrays: values by path in the file.
        layer_names: of the groups that say what their layer was called (Keras 3 does).
    """

    def __init__(self, path: Path, arrays: Mapping[str, StoredArray], layer_names: Mapping[str, str]) -> None:
        super().__init__(path, arrays)
        self.keys = {_plain(key): key for key in arrays if not aside(key.split("/")[0])}
        self.layer_names = {_plain(key): name for key, name in layer_names.items()}
        # groups without values too: a max pooling has none
        self.groups = {parent for key in [*self.keys, *self.layer_names] for parent in _parents(key)}

    def scopes(self) -> tuple[str, ...]:
        """A group that holds a filterbank's class, or a convolution and a pooling."""
        inside: dict[str, set[str]] = {}
        for group in self.groups:
            parent, _, name = group.rpartition("/")
            inside.setdefault(parent, set()).add(_NUMBER.sub("", name))
        own = {parent for parent, classes in inside.items() if classes & set(CONVOLUTIONS)}
        other = {p for p, classes in inside.items() if "conv1d" in classes and classes & {*POOLINGS, "squared_modulus"}}
        return tuple(sorted(own | other))

    def names(self, scope: str) -> dict[str, str]:
        """See :meth:`Contents.names`."""
        if scope and scope not in self.groups:
            raise self.no_scope(scope)
        prefix = f"{scope}/" if scope else ""
        under = {name.removeprefix(prefix): key for name, key in self.keys.items() if name.startswith(prefix)}
        convolutions = sorted({name.split("/")[0] for name in under if _NUMBER.sub("", name.split("/")[0]) == "conv1d"})
        called = {group: self.layer_names.get(f"{prefix}{group}/vars", "") for group in convolutions}
        if any(called.values()):
            preemp = [group for group in convolutions if called[group] == "tfbanks_preemp"]
        elif any(_NUMBER.sub("", name.split("/")[0]) in CONVOLUTIONS for name in under):
            preemp = convolutions[:1]
        else:  # both are Keras' own class, and the pre-emphasis comes first
            preemp = convolutions[:-1]
        out = {}
        for name, key in under.items():
            group, _, rest = name.partition("/")
            if group in convolutions and rest == "vars/0":
                out[canonical.PREEMP if group in preemp else canonical.CONV] = key
            else:
                out[VARIABLES.get(joined((_NUMBER.sub("", group), rest)), name)] = key
        return out

    def hints(self, scope: str) -> dict[str, str]:
        """See :meth:`Contents.hints`."""
        prefix = f"{scope}/" if scope else ""
        children = {_NUMBER.sub("", g.removeprefix(prefix)) for g in self.groups if g.startswith(prefix)}
        out: dict[str, str] = {}
        for argument, classes in (("conv1d_cls", CONVOLUTIONS), ("pooling_cls", POOLINGS)):
            out.update((argument, classes[name]) for name in sorted(children & set(classes)))
        called = _NUMBER.sub("", self.layer_names.get(f"{prefix}vars", ""))
        if "conv1d_cls" not in out and canonical.CONV in self.names(scope):
            out["conv1d_cls"] = "Conv1D"
        return {**out, "frontend": NAMES[called]} if called in NAMES else out


def _plain(path: str) -> str:
    """A path without the word that Keras puts before each layer."""
    return joined(part for part in path.split("/") if part != "layers")


def _parents(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:i]) for i in range(1, len(parts))]
