"""``leaf-ladder convert``: a file of weights becomes a frontend of a PyTorch rung, and its distance is measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from parity.adapters.refusals import reject_options
from parity.oracle.config import PADDINGS
from parity.weights import stored
from parity.weights.clips import Recording, audio_of, finite, recorded
from parity.weights.converting import APPROXIMATIONS
from parity.weights.frontends import FIXED, FrontendConfig, build
from parity.weights.outputs import Output, check_all, require_file, require_library, require_weights

if TYPE_CHECKING:
    from torch import nn

Array = NDArray[Any]
# options of convert, by rung
ALLOWED = {
    "og_leaf": (), "leaf": ("padding", "wrap"), "efficientleaf": ("padding", "wrap", *APPROXIMATIONS),
}  # fmt: skip
UNSAID = ("sample_rate", "window_len", "window_stride")  # no file of weights says these
UNSAID_OF_MEL = ("n_filters", "n_fft", "min_freq", "max_freq")  # nor these of the frontend that has no variables


@dataclass(frozen=True)
class Carried:
    """What was converted.

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
        """For a reader."""
        of_defaults = self.config == FrontendConfig()
        out = [f"source: {'Leaf with the default settings' if of_defaults else self.config}"]
        if self.assumed:
            out.append(f"assumed, for no file says it: {', '.join(f'{k}={v}' for k, v in self.assumed.items())}")
        size = f"{self.shape[0]} filters, {self.shape[1]} frames"
        out.append(f"difference: {self.difference:.2g} of max|y|, {size}; on {self.clip}")
        if self.aligned is not None:
            out.append(f"of which frames that are aligned otherwise: against leaf with the same, {self.aligned:.2g}")
        return out


def read(source: Path, scope: str | None, given: dict[str, Any]) -> tuple[nn.Module, FrontendConfig, dict[str, Any]]:
    """A file of weights as a module, its configuration, and the settings that were assumed.

    The module is an ``og_leaf`` one; of a state dict of ``leaf`` it is a ``leaf.Leaf``, whose ``padding`` may be given
    too, ``centered`` being assumed. That is what public ports have, so of theirs it is a ``leaf.Leaf`` as well.

    Raises:
        ModuleNotFoundError: h5py or safetensors is needed and not installed.
        ValueError: the file cannot be read, or its configuration cannot be told; see :func:`infer`.
    """
    from parity.adapters import layouts
    from parity.weights.checkpoints.files import open_file
    from parity.weights.inferring import infer
    from parity.weights.loading import leaf_of, load_weights

    contents = open_file(source)
    where = contents.chosen(scope)
    hints, asked, simplified = contents.hints(where), set(given), {}
    if hints.get("rung") == "leaf" or "port" in hints:
        given = dict(given)
        simplified = {"rung": "leaf", "padding": given.pop("padding", "centered")}
    config = infer(contents.variables(where), hints, given)
    module: nn.Module
    if simplified:
        logs = bool(layouts.holds_logarithms(contents.held(where)))
        module = leaf_of(config, simplified["padding"], logs)
    else:
        module = build(config)
    load_weights(module, source, scope=where)
    unsaid = (*UNSAID, *(UNSAID_OF_MEL if config.frontend == "MelFilterbanks" else ()))
    unsaid += ("pcen_floor",) if "pcen" in config.compression else ()
    known = {**FIXED[config.frontend], **given}
    assumed = {name: getattr(config, name) for name in unsaid if name not in known}
    certain = simplified if "port" in hints else asked
    return module, config, {**{n: v for n, v in simplified.items() if n not in certain}, **assumed}


def prepare(
    source: Path,
    target: Path,
    to: str,
    settings: Mapping[str, Any],
    options: Mapping[str, Any],
    *,
    inputs: Mapping[str, Path] | None = None,
    force: bool = False,
) -> tuple[Output, Output]:
    """Check every argument of :func:`carry` that can be checked before anything heavy is imported.

    Args:
        source, target, to, settings, options: as :func:`carry` has them.
        inputs: what else is read, by argument: the clip, JSON files of settings. None of it is written over.
        force: whether files that are not ours may be replaced.

    Returns the two files to write.
    Raises:
        ModuleNotFoundError: a library that the files need is not installed.
        ValueError: names the argument, its value and what is allowed.
    """
    if to not in stored.RUNGS:
        raise ValueError(f"to={to!r}: must be one of {stored.RUNGS}")
    reject_options(to, dict(options), ALLOWED[to])
    for name, value in options.items():
        if name == "padding" and value not in PADDINGS:
            raise ValueError(f"padding={value!r}: must be one of {PADDINGS}")
        if name in APPROXIMATIONS and not 0 < value < float("inf"):
            raise ValueError(f"{name}={value!r}: must be above 0 and finite")
    _typed(settings)
    read = {"source": source, **(inputs or {})}
    written = stored.outputs(target, read, force)
    for name, path in read.items():
        (require_weights if name == "source" else require_file)(name, path)
    check_all(*written)
    require_library("safetensors", f"a {stored.SUFFIX} file")
    return written


def carry(
    source: Path,
    target: Path,
    to: str,
    settings: dict[str, Any],
    scope: str | None = None,
    options: dict[str, Any] | None = None,
    clip: Path | None = None,
    *,
    inputs: Mapping[str, Path] | None = None,
    force: bool = False,
) -> Carried:
    """Convert a file of weights, measure it as it will be read back, and write it.

    Args:
        source: what :func:`parity.load_weights` reads, or a file that this has written.
        target: the ``.safetensors`` file; a copy of its description for people is written beside it.
        to: ``og_leaf``, ``leaf`` or ``efficientleaf``.
        settings: of the source, where the file does not say them; see :class:`FrontendConfig`.
        scope: where in the source the frontend stands.
        options: of :func:`parity.convert`.
        clip: a recording to measure on; else the repository's, or a synthesised one.
        inputs, force: see :func:`prepare`.

    Raises:
        ModuleNotFoundError: h5py or safetensors is needed and not installed.
        ValueError: an argument is not allowed, the source cannot be read, or the rung cannot hold it; names what.
            Nothing is written then.
    """
    options = dict(options or {})
    inputs = {**({"clip": clip} if clip else {}), **(inputs or {})}
    written = prepare(source, target, to, settings, options, inputs=inputs, force=force)
    given = _typed(settings)
    recording = None if clip is None else recorded(clip)
    assumed: dict[str, Any] = {}
    about = stored.described(source)
    if about is not None:
        module, config = stored.load(source), about.config
        for setting, value in given.items():
            if value != (held := {**config.as_dict(), "padding": about.padding}[setting]):
                raise ValueError(f"{setting}={value!r}: must be {held!r}, with which {str(source)!r} was written")
    else:
        module, config, assumed = read(source, scope, given)
    return _measured(module, about, config, assumed, to, options, recording, written)


def _typed(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a source in their types; ``padding``, which the original has not, is of a state dict of leaf.

    Raises:
        ValueError: an unknown one, or a value that is not allowed; names it.
    """
    padding = {name: value for name, value in settings.items() if name == "padding"}
    if set(padding.values()) - set(PADDINGS):
        raise ValueError(f"padding={padding['padding']!r}: must be one of {PADDINGS}")
    config = FrontendConfig.of(**{name: value for name, value in settings.items() if name not in padding}).as_dict()
    return {name: {**config, **padding}[name] for name in settings}


def _measured(
    module: nn.Module,
    source: stored.Description | None,
    config: FrontendConfig,
    assumed: dict[str, Any],
    to: str,
    options: dict[str, Any],
    recording: Recording | None,
    written: tuple[Output, Output],
) -> Carried:
    """Convert a module, measure what is read back, and write it."""
    from parity.weights.converting import convert

    simplified = hasattr(module, "padding")  # of leaf, whose form is kept where the target has it
    rung = source.rung if source else "leaf" if simplified else "og_leaf"
    padding = source.padding if source else getattr(module, "padding", "same")
    if source is not None and to == rung and not options:
        made, options = module, dict(source.options)
    else:
        if simplified and to != "og_leaf":
            pcen: Any = module.compression
            options = {"padding": padding, "learn_logs": pcen.learn_logs, **options}
        made = module if to == rung == "og_leaf" else convert(module, to, **options)
    if to == "leaf":
        options["padding"] = getattr(made, "frontend", made).padding
    if to == "efficientleaf":  # an exact conversion chose these for the weights
        bank = getattr(made, "frontend", made).filterbank
        options.update({name: getattr(bank, name) for name in APPROXIMATIONS})
    dtype = next((str(p.dtype).removeprefix("torch.") for p in made.parameters()), "float32")
    about = stored.Description(to, dtype, config, options)
    data = stored.encode(made, about)
    name, audio = audio_of(recording, config.sample_rate)
    features = finite(f"features of {to}", _run(stored.decode(written[0].path, data), audio))
    expected = finite(f"features of {rung}", _run(module, audio))
    aligned = None
    if about.padding == "centered" != padding:
        alike = {option: options[option] for option in ("padding", "wrap") if option in options}
        aligned = _apart(features, _run(convert(module, "leaf", **alike), audio))
    carried = Carried(config, assumed, features.shape[1:], _apart(features, expected), name, aligned)
    stored.write(written, data, about)
    return carried


def _apart(features: Array, expected: Array) -> float:
    """The largest difference over the largest value, of the frames that both have."""
    n = min(expected.shape[-1], features.shape[-1])
    return float(np.abs(features[..., :n] - expected[..., :n]).max() / np.abs(expected).max())


def _run(module: nn.Module, audio: Array) -> Array:
    import torch

    dtype = next((p.dtype for p in module.parameters()), torch.float32)
    with torch.no_grad():
        features: Array = module(torch.as_tensor(audio, dtype=dtype)).numpy()
    return features
