"""``leaf-ladder convert``: a file of weights becomes a frontend of a PyTorch rung, and its distance is measured.

The distance is that of the features of a clip, see :mod:`parity.weights.clip`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from parity.adapters.rungs import reject_options
from parity.oracle.config import PADDINGS
from parity.weights import stored
from parity.weights.clip import audio_of, recorded
from parity.weights.frontend_config import FrontendConfig, typed
from parity.weights.outputs import check_all, require_file, require_library, require_weights
from parity.weights.stored import APPROXIMATIONS

if TYPE_CHECKING:
    from torch import nn

Array = NDArray[Any]
# options of convert, by rung
ALLOWED = {
    "og_leaf": (), "leaf": ("padding", "wrap"), "efficientleaf": ("padding", "wrap", *APPROXIMATIONS),
}  # fmt: skip


@dataclass(frozen=True)
class Conversion:
    """Describe what was converted.

    Attributes:
        config: of the source.
        assumed: the settings that neither the file nor the user said.
        shape: of the target's features, [filters, frames].
        difference: the largest between the target's features and the source's, over the source's largest.
        clip: what it was measured on.
        aligned: the same against the source as ``leaf`` with the target's alignment of frames, where it is another.
    """

    config: FrontendConfig
    assumed: dict[str, Any]
    shape: tuple[int, ...]
    difference: float
    clip: str
    aligned: float | None = None

    def lines(self) -> list[str]:
        """Say in lines what was converted and how near it is."""
        of_defaults = self.config == FrontendConfig()
        out = [f"source: {'Leaf with the default settings' if of_defaults else self.config}"]
        if self.assumed:
            out.append(f"assumed, for no file says it: {', '.join(f'{k}={v}' for k, v in self.assumed.items())}")
        size = f"{self.shape[0]} filters, {self.shape[1]} frames"
        out.append(f"difference: {self.difference:.2g} of max|y|, {size}; on {self.clip}")
        if self.aligned is not None:
            out.append(f"of which frames that are aligned otherwise: against leaf with the same, {self.aligned:.2g}")
        return out


def convert_file(
    source: Path,
    target: Path,
    to: str,
    settings: Mapping[str, Any],
    scope: str | None = None,
    options: Mapping[str, Any] | None = None,
    clip: Path | None = None,
    *,
    inputs: Mapping[str, Path] | None = None,
    force: bool = False,
) -> Conversion:
    """Convert a file of weights, measure it as it will be read back, and write it.

    Every argument is checked before anything heavy is imported.

    Args:
        source: what :func:`parity.load_weights` reads, or a file that this has written.
        target: the ``.safetensors`` file; a copy of its description for people is written beside it.
        to: ``og_leaf``, ``leaf`` or ``efficientleaf``.
        settings: of the source, where the file does not say them; see :func:`typed`.
        scope: where in the source the frontend stands.
        options: of :func:`parity.convert`.
        clip: a recording to measure on; else the repository's, or a synthesised one.
        inputs: what else the command reads, by argument; none of it is written over.
        force: whether files that are not ours may be replaced.

    Raises:
        ModuleNotFoundError: h5py or safetensors is needed and not installed.
        ValueError: an argument is not allowed, the source cannot be read, or the rung cannot hold it; names what.
            Nothing is written then.
    """
    options = dict(options or {})
    if to not in ALLOWED:
        raise ValueError(f"to={to!r}: must be one of {tuple(ALLOWED)}")
    reject_options(to, options, ALLOWED[to])
    for option, value in options.items():
        if option == "padding" and value not in PADDINGS:
            raise ValueError(f"padding={value!r}: must be one of {PADDINGS}")
        if option in APPROXIMATIONS and not 0 < value < float("inf"):
            raise ValueError(f"{option}={value!r}: must be above 0 and finite")
    typed(settings)
    inputs = {"source": source, **({"clip": clip} if clip else {}), **(inputs or {})}
    outputs = stored.outputs(target, inputs, force)
    for name, path in inputs.items():
        (require_weights if name == "source" else require_file)(name, path)
    check_all(*outputs)
    require_library("safetensors", f"a {stored.SUFFIX} file")
    recording = None if clip is None else recorded(clip)
    from parity.weights.build_from_file import build_from_file
    from parity.weights.convert_module import convert

    module, about, assumed = build_from_file(source, scope, settings)
    made, result = _converted(module, about, to, options)
    data = stored.encode(made, result)
    name, audio = audio_of(recording, about.config.sample_rate)
    features = _features(stored.decode(target, data), audio, to)
    expected = _features(module, audio, about.rung)
    aligned = None
    if result.padding == "centered" != about.padding:
        alike = {option: result.options[option] for option in ("padding", "wrap") if option in result.options}
        aligned = _difference(features, _features(convert(module, "leaf", **alike), audio, "leaf"))
    found = Conversion(about.config, assumed, features.shape[1:], _difference(features, expected), name, aligned)
    stored.write(outputs, data, result)
    return found


def _converted(
    module: nn.Module, about: stored.Description, to: str, options: dict[str, Any]
) -> tuple[nn.Module, stored.Description]:
    """Make the module of another rung, and its description."""
    from parity.weights.convert_module import convert

    if to == about.rung and not options:
        made, options = module, dict(about.options)
    else:
        if hasattr(module, "padding") and to != "og_leaf":  # of leaf, whose form is kept where the target has it
            pcen: Any = module.compression
            options = {"padding": about.padding, "learn_logs": pcen.learn_logs, **options}
        made = convert(module, to, **options)
    inside = getattr(made, "frontend", made)
    if to == "leaf":
        options["padding"] = inside.padding
    if to == "efficientleaf":  # an exact conversion chose these for the weights
        options.update({name: getattr(inside.filterbank, name) for name in APPROXIMATIONS})
    dtype = next((str(p.dtype).removeprefix("torch.") for p in made.parameters()), "float32")
    return made, stored.Description(to, dtype, about.config, options)


def _difference(features: Array, expected: Array) -> float:
    """Compute the largest difference over the largest value, of the frames that both have."""
    n = min(expected.shape[-1], features.shape[-1])
    return float(np.abs(features[..., :n] - expected[..., :n]).max() / np.abs(expected).max())


def _features(module: nn.Module, audio: Array, rung: str) -> Array:
    """Compute features [1, C, frames] of a clip; refuse those that are NaN or infinite."""
    import torch

    dtype = next((p.dtype for p in module.parameters()), torch.float32)
    with torch.no_grad():
        features: Array = module(torch.as_tensor(audio, dtype=dtype)).numpy()
    if len(bad := np.argwhere(~np.isfinite(features))):
        where = tuple(int(i) for i in bad[0])
        raise ValueError(f"features of {rung}: value {features[where]} at {list(where)} on this clip: must be finite")
    return features
