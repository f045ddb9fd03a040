"""Read what the user asks for: the settings of ``--config``, and the front end of ``leaf-ladder features``.

The front end is fresh, or what a file of weights says that it is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from parity.weights.outputs import require_file
from parity.weights.stored import Description, described, load


def settings_of(texts: Sequence[str]) -> dict[str, Any]:
    """Read the settings of every ``--config``: each a JSON file, or ``name=value,name=value``; together they are one.

    Raises:
        ValueError: one is neither, or two of them, or one by itself, give a setting two values; names it.
    """
    settings: dict[str, Any] = {}
    for text in texts:
        for name, value in _pairs(text):
            if name in settings and not _alike(settings[name], value):
                raise ValueError(f"config: {name}={settings[name]} and {name}={value}: must be given one value")
            settings[name] = value
    return settings


def _pairs(text: str) -> list[tuple[str, Any]]:
    try:
        if text.endswith(".json"):
            require_file("config", Path(text))
            read = json.loads(Path(text).read_text("utf-8"))
            return list(dict(read.get("config", read)).items())
        pairs = [(name.strip(), value.strip()) for name, value in (pair.split("=", 1) for pair in text.split(","))]
        if not all(name and value for name, value in pairs):
            raise ValueError("a name or a value is empty")
        return [(name, value) for name, value in pairs]
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"config={text!r}: must be a JSON file or name=value,name=value ({error})") from None


def _alike(one: Any, other: Any) -> bool:
    try:
        return float(one) == float(other)
    except (TypeError, ValueError):
        return str(one).lower() == str(other).lower()


FRONTENDS = ("leaf", "efficientleaf", "og_leaf")
PADDINGS = {"leaf": ("centered", "same"), "efficientleaf": ("centered",), "og_leaf": ("same",)}
DEFAULTS: dict[str, Any] = {"frontend": "leaf", "sample_rate": 16000, "n_filters": 40}


@dataclass(frozen=True)
class Frontend:
    """A front end, and what it was made of.

    Attributes:
        module: audio [B, T] to features [B, filters, frames], in evaluation mode.
        sample_rate: Hz.
        assumed: the settings that neither the weights nor the user said.
    """

    module: Any
    sample_rate: float
    assumed: dict[str, Any] = field(default_factory=dict)


def build(frontend: str, sample_rate: float, n_filters: int = 40, padding: str = "centered") -> Any:
    """Build a fresh front end with PCEN.

    Args:
        frontend: ``leaf`` or ``efficientleaf``.
        sample_rate: Hz. Band edges are LEAF's, 60 Hz (0 where half the rate is less) and 7800 Hz or half the rate.
        n_filters: number of filters.
        padding: of ``leaf``, see :class:`leaf.Leaf`.

    Raises:
        ValueError: another frontend, a padding that it does not have, or an argument out of its range; names it.
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
    """Refuse a front end, or a padding, that there is not.

    Raises:
        ValueError: names the argument, its value and what is allowed.
    """
    if frontend not in FRONTENDS:
        raise ValueError(f"frontend={frontend!r}: must be one of {', '.join(FRONTENDS)}")
    if padding is not None and padding not in (allowed := PADDINGS[frontend]):
        raise ValueError(f"padding={padding!r}: {frontend} has {' or '.join(map(repr, allowed))} alone")


def require_agreement(about: Description, given: Mapping[str, Any], weights: Path) -> None:
    """Refuse what is given and contradicts the description inside the weights.

    Raises:
        ValueError: names the first such setting.
    """
    held = {
        "frontend": about.rung, "sample_rate": about.config.sample_rate, "n_filters": about.config.n_filters,
        "padding": about.padding,
    }  # fmt: skip
    for name, value in given.items():
        if value != held[name]:
            raise ValueError(f"{name}={value!r}: must be {held[name]!r}, as weights={str(weights)!r} say; leave it out")


def prepared(given: Mapping[str, Any], weights: Path | None = None) -> Frontend:
    """Make the front end that is asked for.

    Weights that ``leaf-ladder convert`` wrote say what they are. Of any other file that :func:`parity.load_weights`
    reads, the number of filters is taken, and the alignment of frames where the file is TensorFlow's or ``og_leaf``'s;
    the rest is assumed where it is not given.

    Args:
        given: some of ``frontend``, ``sample_rate``, ``n_filters`` and ``padding``.
        weights: a file of weights; None for fresh ones.

    Raises:
        ModuleNotFoundError: the file needs h5py or safetensors, and it is not installed.
        ValueError: the file cannot be read, does not fit, or says otherwise than what is given; names what.
    """
    if weights is None:
        return _fresh(given)
    about = described(weights)
    if about is None:
        return _undescribed(given, weights)
    require_agreement(about, given, weights)
    return Frontend(load(weights), about.config.sample_rate)


def _fresh(given: Mapping[str, Any]) -> Frontend:
    settings = {**DEFAULTS, **given}
    return Frontend(build(**settings), settings["sample_rate"])


def _undescribed(given: Mapping[str, Any], weights: Path) -> Frontend:
    from parity.weights.checkpoints.contents import Mapped
    from parity.weights.checkpoints.files import open_file
    from parity.weights.convert_file import read
    from parity.weights.loading import load_weights

    if given.get("frontend") == "og_leaf":
        require_choices("og_leaf", given.get("padding"))
        settings = {name: given[name] for name in ("sample_rate", "n_filters") if name in given}
        module, config, assumed = read(weights, None, settings)
        if hasattr(module, "padding"):
            raise ValueError(f"frontend='og_leaf': weights={str(weights)!r} are a state dict with the frames of leaf")
        return Frontend(module, config.sample_rate, assumed)
    contents = open_file(weights)
    where = contents.chosen(None)
    hints, variables = contents.hints(where), contents.variables(where)
    # what TensorFlow or og_leaf wrote has one alignment of frames; leaf's and arrays by name may have either
    known = None if isinstance(contents, Mapped) and (not hints or "rung" in hints) else "same"
    known = "centered" if "port" in hints else known
    said = dict(given)
    if "kernel" in variables:
        said.setdefault("n_filters", len(variables["kernel"]))
    settings = {**DEFAULTS, **said}
    allowed = PADDINGS[settings["frontend"]]
    if "padding" not in said:
        settings["padding"] = known if known in allowed else allowed[0]
    module = build(**settings)
    try:
        load_weights(module, weights)
    except ValueError as error:
        shown = f"weights={str(weights)!r}"
        raise ValueError(str(error) if str(weights) in str(error) else f"{shown}: {error}") from error
    assumed = {name: value for name, value in settings.items() if name not in said}
    if settings["padding"] == known:
        assumed.pop("padding", None)
    assumed.update(window_len=module.window_len, window_stride=module.window_stride, pcen_floor=module.compression.eps)
    return Frontend(module, settings["sample_rate"], assumed)
