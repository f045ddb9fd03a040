"""What constructors and ``forward`` refuse, and in which words: argument, value, what is allowed."""

from __future__ import annotations

import math
import operator
from typing import Any

import torch
from torch import Tensor


def count(name: str, value: Any, most: int | None = None) -> int:
    """An integer from 1 to ``most`` (no upper end by default); numpy integers pass, bools and floats do not.

    Raises TypeError where ``value`` is no integer and ValueError where it is out of range.
    """
    allowed = "an integer >= 1" if most is None else f"an integer from 1 to {most}"
    try:
        if isinstance(value, bool):  # operator.index() would read it
            raise TypeError
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name}={value!r}: {allowed} is needed") from None
    if number < 1 or (most is not None and number > most):
        raise ValueError(f"{name}={value!r}: {allowed} is needed")
    return number


def real(name: str, value: Any, *, above: float | None = None, at_least: float | None = None) -> float:
    """A finite real number, larger than ``above`` and no smaller than ``at_least`` where these are given.

    Raises TypeError where ``value`` is no number and ValueError where it is not finite or out of range.
    """
    allowed = "a finite number"
    if above is not None:
        allowed += f" > {above:g}"
    if at_least is not None:
        allowed += f" >= {at_least:g}"
    try:
        if isinstance(value, (str, bytes)):  # float() would read them
            raise TypeError
        number = float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{name}={value!r}: {allowed} is needed") from None
    in_range = (above is None or number > above) and (at_least is None or number >= at_least)
    if not (math.isfinite(number) and in_range):
        raise ValueError(f"{name}={value!r}: {allowed} is needed")
    return number


def band_edges(min_freq: float, max_freq: float, sample_rate: float) -> None:
    """Refuses edges (Hz) other than ``0 <= min_freq < max_freq <= sample_rate / 2``."""
    real("sample_rate", sample_rate, above=0)
    real("min_freq", min_freq, at_least=0)
    real("max_freq", max_freq, above=0)
    if min_freq >= max_freq:
        raise ValueError(f"min_freq={min_freq!r}: it must be below max_freq={max_freq!r}")
    if max_freq > sample_rate / 2:
        raise ValueError(f"max_freq={max_freq!r}: at most sample_rate / 2 = {sample_rate / 2:g} is allowed")


def duration(name: str, milliseconds: float, sample_rate: float) -> None:
    """Refuses ``milliseconds`` that hold less than one sample at ``sample_rate`` (Hz)."""
    rate = real("sample_rate", sample_rate, above=0)
    if real(name, milliseconds, above=0) * rate / 1000 < 1:
        raise ValueError(f"{name}={milliseconds!r} ms: at least one sample ({1000 / rate:g} ms) is needed")


def waveform(x: Tensor, weight: Tensor) -> Tensor:
    """Audio [B, T] or [B, 1, T] in ``weight``'s dtype, returned as [B, 1, T].

    Reads shape and dtype only: no value is looked at, so nothing waits for the device. Under
    ``torch.autocast`` any pair of dtypes that autocast itself casts may meet.

    Raises TypeError where ``x`` is no tensor or of another dtype, ValueError where its rank is not 2 or 3,
    where it has more than one channel, or where it has no samples.
    """
    if not isinstance(x, Tensor):
        raise TypeError(f"x is a {type(x).__name__}: a torch.Tensor is needed")
    if x.ndim not in (2, 3):
        raise ValueError(f"x has shape {tuple(x.shape)}: [batch, samples] or [batch, 1, samples] is needed")
    if x.ndim == 3 and x.shape[1] != 1:
        raise ValueError(f"x has {x.shape[1]} channels (shape {tuple(x.shape)}): one channel is needed")
    if x.shape[-1] == 0:
        raise ValueError(f"x has no samples (shape {tuple(x.shape)}): at least one is needed")
    if x.dtype != weight.dtype and not (_autocasts(x) and _autocasts(weight)):
        raise TypeError(f"x has dtype {x.dtype}: the module's dtype, {weight.dtype}, is needed")
    return x if x.ndim == 3 else x.unsqueeze(1)


def _autocasts(x: Tensor) -> bool:
    castable = x.dtype in (torch.float32, torch.float16, torch.bfloat16)
    return castable and torch.is_autocast_enabled(x.device.type)
