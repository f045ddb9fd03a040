"""Make the front end of ``leaf-ladder features``: a fresh one, or that of a file of weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from parity.weights.stored import Description, described, load

PADDINGS = {"leaf": ("centered", "same"), "efficientleaf": ("centered",), "og_leaf": ("same",)}
DEFAULTS: dict[str, Any] = {"frontend": "leaf", "sample_rate": 16000, "n_filters": 40}


class Frontend(NamedTuple):
    """A front end in evaluation mode, its rate in Hz, and the settings that neither the weights nor the user said."""

    module: Any
    sample_rate: float
    assumed: dict[str, Any]


def prepared(given: Mapping[str, Any], weights: Path | None = None) -> Frontend:
    """Make the front end that is asked for.

    A file that ``leaf-ladder convert`` wrote has all settings inside. Any other file gives the number of filters, and
    the alignment of frames if it is TensorFlow's or ``og_leaf``'s; the rest is given or assumed.

    Args:
        given: some of ``frontend``, ``sample_rate``, ``n_filters`` and ``padding``.
        weights: a file of weights; None for fresh ones.

    Raises:
        ModuleNotFoundError: the file needs h5py or safetensors, and it is not installed.
        ValueError: the file cannot be read, does not fit, or says otherwise than what is given; names what.
    """
    if weights is None:
        settings = {**DEFAULTS, **given}
        return Frontend(build(**settings), settings["sample_rate"], {})
    if about := described(weights):
        require_agreement(about, given, weights)
        return Frontend(load(weights), about.config.sample_rate, {})
    if given.get("frontend") == "og_leaf":
        return _of_original(given, weights)
    return _of_simplified(given, weights)


def build(frontend: str, sample_rate: float, n_filters: int = 40, padding: str = "centered") -> Any:
    """Build a fresh ``leaf`` or ``efficientleaf`` with PCEN; refuses another, and what :class:`leaf.Leaf` does.

    Band edges are LEAF's, 60 Hz (0 where half the rate, in Hz, is less) and 7800 Hz or half the rate.
    """
    from efficientleaf import EfficientLeaf
    from leaf import Leaf
    from parity.adapters.leaf import band_of

    require_choices(frontend, padding)
    if frontend == "og_leaf":
        raise ValueError("frontend='og_leaf': must have weights; a fresh one is no front end of its sample rate")
    min_freq, max_freq = band_of(sample_rate)
    if frontend == "leaf":
        return Leaf(n_filters, min_freq, max_freq, sample_rate, padding=padding).eval()
    groups = min(4, n_filters)
    return EfficientLeaf(n_filters, groups, min_freq, max_freq, sample_rate, compression="pcen").eval()


def require_choices(frontend: str, padding: str | None) -> None:
    """Refuse an unknown front end, or a padding that it has not; names it and what is allowed."""
    if frontend not in PADDINGS:
        raise ValueError(f"frontend={frontend!r}: must be one of {', '.join(PADDINGS)}")
    if padding is not None and padding not in (allowed := PADDINGS[frontend]):
        raise ValueError(f"padding={padding!r}: must be {' or '.join(map(repr, allowed))} of {frontend}")


def require_agreement(about: Description, given: Mapping[str, Any], weights: Path) -> None:
    """Refuse what is given and contradicts the description inside the weights; names the first such setting."""
    config = about.config
    held = {"frontend": about.rung, "sample_rate": config.sample_rate, "n_filters": config.n_filters,
            "padding": about.padding}  # fmt: skip
    for name, value in given.items():
        if value != held[name]:
            raise ValueError(f"{name}={value!r}: must be {held[name]!r}, as weights={str(weights)!r} say; leave it out")


def _of_original(given: Mapping[str, Any], weights: Path) -> Frontend:
    from parity.weights.build_from_file import build_from_file

    require_choices("og_leaf", given.get("padding"))
    settings = {name: given[name] for name in ("sample_rate", "n_filters") if name in given}
    module, about, assumed = build_from_file(weights, None, settings)
    if about.rung != "og_leaf":
        raise ValueError(
            f"frontend='og_leaf': must be 'leaf' or 'efficientleaf', for weights={str(weights)!r} are a state dict "
            "with the frames of leaf"
        )
    return Frontend(module, about.config.sample_rate, assumed)


def _of_simplified(given: Mapping[str, Any], weights: Path) -> Frontend:
    from parity.weights.array_files import original_variables
    from parity.weights.build_from_file import read_frontend
    from parity.weights.load_weights import load_weights

    _, hints, arrays = read_frontend(weights)
    variables = original_variables(arrays)
    # TensorFlow's and og_leaf's files have one alignment of frames; a layout, leaf's or arrays by name, may have either
    known = None if "layout" in hints else "centered" if "port" in hints else "same"
    said = dict(given)
    if "kernel" in variables:
        said.setdefault("n_filters", len(variables["kernel"]))
    settings = {**DEFAULTS, **said}
    allowed = PADDINGS[settings["frontend"]]
    settings.setdefault("padding", known if known in allowed else allowed[0])
    module = build(**settings)
    load_weights(module, weights)
    assumed = {name: value for name, value in settings.items() if name not in said}
    if settings["padding"] == known:
        assumed.pop("padding", None)
    assumed.update(window_len=module.window_len, window_stride=module.window_stride, pcen_floor=module.compression.eps)
    return Frontend(module, settings["sample_rate"], assumed)
