"""What gives weights their meaning beside their values: rate, lengths, padding and PCEN's limits, as far as known."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from parity.adapters.refusals import SIMPLIFIED
from parity.oracle.config import FLOOR

Facts = dict[str, Any]
# of what the original's variables are written with, whatever file or mapping holds them
ORIGINAL: Facts = {"padding": "same", "clamp": FLOOR}
ALONE: Facts = {"wrap": False}  # nothing is put around the frontend


def facts_of(rung: str, module: Any) -> Facts:
    """What a frontend computes with beside its parameters; Hz and ms, what it does not have left out."""
    lengths = ("sample_rate", "window_len", "window_stride")
    facts = {**ALONE, **{name: float(getattr(module, name)) for name in lengths if hasattr(module, name)}}
    if rung not in SIMPLIFIED:
        floor = getattr(getattr(module, "_compress_fn", None), "_floor", None)
        return {**facts, **ORIGINAL, **({} if floor is None else {"eps": float(floor)})}
    facts["padding"] = getattr(module, "padding", "centered")  # efficientleaf has no other
    pcen = module.compression
    if hasattr(pcen, "learn_logs"):
        facts.update(clamp=pcen.clamp, eps=float(pcen.eps))
    return facts


def warn_of_differences(source: Mapping[str, Any], module: Mapping[str, Any], origin: str, stacklevel: int) -> None:
    """Warn, once for all, of facts that a source and a module do not share: with the same weights they compute other
    numbers.

    Args:
        source, module: facts; those that either does not have are not known, and not compared.
        origin: what the source is, for the message.
        stacklevel: of the caller that is told.
    """
    differ = [name for name, value in source.items() if name in module and module[name] != value]
    if not differ:
        return
    said = ", ".join(f"{name}={module[name]!r} where {origin} has {source[name]!r}" for name in differ)
    frames = "; its frames stand elsewhere: padding='same' is TensorFlow's" if "padding" in differ else ""
    warnings.warn(
        f"load_weights: the weights are set, but the module has {said}, and computes other numbers with them{frames}",
        UserWarning,
        stacklevel=stacklevel,
    )
