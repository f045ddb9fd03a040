"""Check arguments of constructors and ``forward``; every error reads ``name=value: must be ...``.

A check of a number returns it as Python's own ``int`` or ``float``, and only that is used: arithmetic in a narrow type
of NumPy wraps.
"""

from __future__ import annotations

import math
import operator
import reprlib
from collections.abc import Collection
from typing import Any

import numpy as np
import torch
from torch import Tensor

# Limits beyond any use, so that a mistyped number is refused before it fills the memory.
LEAST_HZ, MOST_HZ = 1e-3, 1e9
MOST_SAMPLES = 2**20  # of a window or a hop: 65 s at 16 kHz
MOST_FILTERS = 2**11  # as many bands as a transform of 4096 samples has bins
MOST_VALUES = 2**23  # filters times samples of a window: 40 filters of 4 s at 48 kHz
LARGEST, TINY = float(np.finfo(np.float32).max), float(np.finfo(np.float32).tiny)

_brief = reprlib.Repr()
_brief.maxstring = _brief.maxother = 100
_brief.maxlong = 40


def shown(value: Any) -> str:
    """Format a value for a message: on one line, at most about 100 characters."""
    try:
        return " ".join(_brief.repr(value).split())
    except Exception:  # a number of so many digits that Python does not print it, an object that fails to
        return f"<{type(value).__name__}>"


def number(value: Any) -> int | float:
    """A real number of any type, an array or tensor of no dimensions too, as Python's ``int`` or ``float``.

    Raises TypeError where it is none; a bool and text are none.
    """
    try:
        if tuple(getattr(value, "shape", ())):  # float() would read an array of one
            raise TypeError
        if hasattr(value, "item"):
            value = value.item()
        elif hasattr(value, "__array__"):
            value = np.asarray(value).item()
        if isinstance(value, (bool, str, bytes, bytearray)):  # index() or float() would read them
            raise TypeError
        return operator.index(value) if hasattr(value, "__index__") else float(value)
    except OverflowError:  # an integer or fraction beyond what a float holds
        return math.inf
    except Exception as error:
        raise TypeError from error


def count(name: str, value: Any, most: int = MOST_SAMPLES, why: str = "") -> int:
    """An integer from 1 to ``most``; ``why`` says of what.

    Raises TypeError where ``value`` is no integer and ValueError where it is out of range.
    """
    message = f"{name}={shown(value)}: must be an integer from 1 to {most}{why}"
    try:
        found = number(value)
    except TypeError:
        raise TypeError(message) from None
    if not isinstance(found, int):
        raise TypeError(message)
    if not 1 <= found <= most:
        raise ValueError(message)
    return found


def real(
    name: str,
    value: Any,
    *,
    above: float | None = None,
    at_least: float | None = None,
    at_most: float = LARGEST,
    unit: str = "",
) -> float:
    """A number that is finite in float32 and within the limits that are given.

    Raises TypeError where ``value`` is no number and ValueError where it is not finite or out of range.
    """
    return float(_real(name, value, above, at_least, at_most, unit))


def _real(name: str, value: Any, above: float | None, at_least: float | None, at_most: float, unit: str) -> int | float:
    allowed = "a finite number" + f" of {unit}" * bool(unit)
    if above is not None:
        allowed += f" above {above:g}"
    if at_least is not None:
        allowed += f", at least {at_least:g}" if at_most == LARGEST else f" from {at_least:g} to {at_most:g}"
    elif at_most != LARGEST:
        allowed += f", at most {at_most:g}"
    message = f"{name}={shown(value)}: must be {allowed}"
    try:
        found = number(value)
    except TypeError:
        raise TypeError(message) from None
    in_range = (above is None or found > above) and (at_least is None or found >= at_least)
    if not (in_range and -LARGEST <= found <= at_most):  # nor is NaN
        raise ValueError(message)
    return found


def rate(sample_rate: Any) -> int | float:
    """A sample rate in Hz, an integer where it is one; raises as :func:`real`."""
    return _real("sample_rate", sample_rate, LEAST_HZ, None, MOST_HZ, "Hz")


def flag(name: str, value: Any) -> bool:
    """True or False, NumPy's too. Raises TypeError for anything else: the text ``"False"`` would count as true."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name}={shown(value)}: must be True or False")
    return bool(value)


def one_of(name: str, value: Any, allowed: Collection[str]) -> str:
    """One of some words. Raises TypeError where ``value`` is no text and ValueError where it is another."""
    message = f"{name}={shown(value)}: must be one of {', '.join(map(repr, allowed))}"
    if not isinstance(value, str):
        raise TypeError(message)
    if value not in allowed:
        raise ValueError(message)
    return value


def band_edges(min_freq: Any, max_freq: Any, sample_rate: Any) -> tuple[float, float]:
    """Edges in Hz with ``0 <= min_freq < max_freq <= sample_rate / 2``; raises as :func:`real` for others."""
    half = rate(sample_rate) / 2
    low = real("min_freq", min_freq, at_least=0, unit="Hz")
    high = real("max_freq", max_freq, above=0, unit="Hz")
    if high > half:
        raise ValueError(
            f"max_freq={shown(max_freq)}: must be at most sample_rate / 2 = {half:g} Hz; pass max_freq={half:g} or less"
        )
    if low >= high:
        raise ValueError(
            f"min_freq={shown(min_freq)}: must be below max_freq={shown(max_freq)}; pass both, 0 <= min_freq < "
            f"max_freq <= sample_rate / 2 = {half:g} Hz"
        )
    return low, high


def duration(name: str, milliseconds: Any, sample_rate: Any) -> int | float:
    """A length in ms that holds from 1 to ``MOST_SAMPLES`` samples at ``sample_rate`` (Hz), an integer where it is one.

    Raises as :func:`real`.
    """
    hz = rate(sample_rate)
    found = _real(name, milliseconds, 0, None, LARGEST, "milliseconds")
    if not 1 <= hz * found // 1000 < MOST_SAMPLES:
        raise ValueError(
            f"{name}={shown(milliseconds)}: must be from 1 to {MOST_SAMPLES - 1} samples at "
            f"sample_rate={shown(sample_rate)}, {1000 / hz:g} to {1000 * MOST_SAMPLES / hz:g} milliseconds"
        )
    return found


def bank(n_filters: int, name: str, size: int) -> None:
    """Refuses so many filters of ``size`` samples (``name``) that their taps fill the memory, by ValueError."""
    if n_filters * size > MOST_VALUES:
        raise ValueError(
            f"n_filters={n_filters}: must be at most {MOST_VALUES // size} with {name}={size} samples, "
            f"{MOST_VALUES} taps in all"
        )


def compression(value: Any) -> Any:
    """Something to call on energies; raises TypeError for a class and for what cannot be called."""
    if isinstance(value, type) or not callable(value):
        raise TypeError(f"compression={shown(value)}: must be a module, a function or None, and no class")
    return value


def waveform(x: Tensor, weight: Tensor) -> Tensor:
    """Audio [B, T] or [B, 1, T] in ``weight``'s dtype, returned as [B, 1, T].

    Reads shape, dtype, layout and device only: no value is looked at, so nothing waits for the device. Under
    ``torch.autocast`` any pair of dtypes that autocast itself casts may meet.

    Raises TypeError where ``x`` is no dense tensor or of another dtype, ValueError where its rank is not 2 or 3,
    where it has more than one channel, or where it has no samples, or is on another device.
    """
    dense(x)
    shape = f"x of shape {tuple(x.shape)}"
    if x.ndim not in (2, 3):
        raise ValueError(f"{shape}: must be [batch, samples] or [batch, 1, samples]")
    if x.ndim == 3 and x.shape[1] != 1:
        raise ValueError(f"{shape}, {x.shape[1]} channels: must be [batch, samples] or [batch, 1, samples]")
    if x.shape[-1] == 0:
        raise ValueError(f"{shape}: must have at least one sample")
    if x.dtype != weight.dtype and not (_autocasts(x) and _autocasts(weight)):
        raise TypeError(f"x of dtype {x.dtype}: must be {weight.dtype}, the module's")
    if x.device != weight.device:
        raise ValueError(f"x on device {x.device}: must be on {weight.device}, the module's")
    return x if x.ndim == 3 else x.unsqueeze(1)


def dense(x: Any, name: str = "x") -> None:
    """Raises TypeError where ``x`` is no plain tensor: an array, or one that is sparse, nested or quantised."""
    if not isinstance(x, Tensor):
        raise TypeError(f"{name}={shown(x)}: must be a torch.Tensor")
    if x.layout is not torch.strided or x.is_nested or x.is_quantized:
        kind = "nested" if x.is_nested else "quantised" if x.is_quantized else str(x.layout)
        raise TypeError(f"{name} of layout {kind}: must be a dense torch.Tensor")


def numbers(rank: int, **tensors: Any) -> None:
    """Raises TypeError where these are not floating-point tensors of one dtype and device; ValueError for a rank."""
    for name, x in tensors.items():
        dense(x, name)
        if not x.is_floating_point():
            raise TypeError(f"{name} of dtype {x.dtype}: must be real floating-point numbers")
        if x.ndim < rank:
            raise ValueError(f"{name} of shape {tuple(x.shape)}: must have at least {rank} dimensions")
    if len({(x.dtype, x.device) for x in tensors.values()}) > 1:
        found = ", ".join(f"{name} of {x.dtype} on {x.device}" for name, x in tensors.items())
        raise TypeError(f"{found}: must be of one dtype and device")


def _autocasts(x: Tensor) -> bool:
    castable = x.dtype in (torch.float32, torch.float16, torch.bfloat16)
    device = x.device.type
    return castable and torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)
