"""Warn of settings that no weights hold, and with which the same weights give other numbers."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, NamedTuple

from parity.adapters.public import PUBLIC
from parity.adapters.refusals import SIMPLIFIED
from parity.adapters.rungs import Rung
from parity.oracle.config import FLOOR
from parity.weights.stored import Description

LENGTHS = ("sample_rate", "window_len", "window_stride")  # Hz, ms, ms
# with which the original's variables were trained, whatever file or mapping holds them
ORIGINAL: dict[str, Any] = {"padding": "same", "clamp": FLOOR}


class KnownSettings(NamedTuple):
    """Settings by name, those that are known; and what they are of, for the warning."""

    values: dict[str, Any]
    origin: str = "the source"


def of_module(rung: Rung, module: Any) -> KnownSettings:
    """Collect a frontend's settings."""
    lengths = {name: float(getattr(module, name)) for name in LENGTHS if hasattr(module, name)}
    if rung.name not in SIMPLIFIED:
        floor = getattr(getattr(module, "_compress_fn", None), "_floor", None)
        return KnownSettings({"wrap": False, **lengths, **ORIGINAL, **_without_none(eps=floor)})
    padding = getattr(module, "padding", "centered")  # efficientleaf has no other
    values = {"wrap": False, **lengths, "padding": padding, "n_taps": module.filterbank.pool_size}
    pcen = module.compression
    if hasattr(pcen, "learn_logs"):
        values.update(clamp=pcen.clamp, eps=float(pcen.eps))
    return KnownSettings(values)


def of_description(about: Description) -> KnownSettings:
    """Collect the settings in the description that ``leaf-ladder convert`` writes."""
    config = about.config
    lengths = {name: float(getattr(config, name)) for name in LENGTHS}
    pcen = {"eps": config.pcen_floor} if "pcen" in config.compression else {}
    wrap = about.options.get("wrap", False)
    return KnownSettings({**lengths, **pcen, **ORIGINAL, "padding": about.padding, "wrap": wrap})


def of_hints(hints: Mapping[str, str]) -> KnownSettings:
    """Collect the settings of a source without a description; see :meth:`parity.weights.contents.Contents.hints`."""
    if hints.get("layout") == "simplified":  # they are the module's, as with load_state_dict
        return KnownSettings({}, "a state dict of leaf")
    if port := PUBLIC.get(hints.get("port", "")):  # their frames are simplified LEAF's
        return KnownSettings({**ORIGINAL, "padding": "centered", **_without_none(eps=port.floor)}, port.repository)
    return KnownSettings(dict(ORIGINAL), "TensorFlow's LEAF")


def warn_of_others(source: KnownSettings, module: KnownSettings) -> None:
    """Warn the caller of ``load_weights``, once for all settings that both have and do not share."""
    own = module.values
    differ = [name for name, value in source.values.items() if name in own and own[name] != value]
    if not differ:
        return
    said = ", ".join(f"{name}={own[name]!r} where {source.origin} has {source.values[name]!r}" for name in differ)
    frames = "; its frames stand elsewhere: padding='same' is TensorFlow's" if "padding" in differ else ""
    warnings.warn(
        f"load_weights: the weights are set, but the module has {said}, and computes other numbers with them{frames}",
        UserWarning,
        stacklevel=3,
    )


def _without_none(eps: float | None) -> dict[str, float]:
    return {} if eps is None else {"eps": float(eps)}
