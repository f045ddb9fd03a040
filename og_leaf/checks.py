"""What this rung's constructors and functions refuse, in one place; for ``forward`` see :mod:`og_leaf.inputs`.

Always as ``name=value: must be ...``. Every check of a number returns it as Python's own ``int`` or ``float``, and only
that is used: arithmetic in a narrow type of NumPy wraps.
"""

from __future__ import annotations

import math
import operator
import reprlib
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

PADDINGS = ("SAME", "VALID")
CONV_PADDINGS = ("VALID", "SAME", "CAUSAL")  # of Keras' own convolution
# Limits that no use meets, so that a slip of the keyboard is refused before it fills the memory.
LEAST_HZ, MOST_HZ = 1e-3, 1e9
MOST_SAMPLES = 2**20  # of a window or a hop: 65 s at 16 kHz
MOST_FILTERS = 2**11  # as many bands as a transform of 4096 samples has bins
MOST_CHANNELS = 2 * MOST_FILTERS  # real and imaginary parts
MOST_VALUES = 2**23  # filters times samples of a window: 40 filters of 4 s at 48 kHz
LARGEST, TINY = float(np.finfo(np.float32).max), float(np.finfo(np.float32).tiny)

_brief = reprlib.Repr()
_brief.maxstring = _brief.maxother = 100
_brief.maxlong = 40


def shown(value: Any) -> str:
    """A value for a message: on one line, and short whatever it is."""
    try:
        return " ".join(_brief.repr(value).split())
    except Exception:  # a number of so many digits that Python does not print it, an object that fails to
        return f"<{type(value).__name__}>"


def number(value: Any) -> int | float:
    """A real number of any type, an array or tensor of no dimensions too, as Python's ``int`` or ``float``.

    Raises:
        TypeError: it is none; a bool and text are none.
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


def check_count(name: str, value: Any, most: int = MOST_SAMPLES, least: int = 1) -> int:
    """An integer from ``least`` to ``most``.

    Raises:
        TypeError: not an integer.
        ValueError: out of this range.
    """
    message = f"{name}={shown(value)}: must be an integer from {least} to {most}"
    try:
        found = number(value)
    except TypeError:
        raise TypeError(message) from None
    if not isinstance(found, int):
        raise TypeError(message)
    if not least <= found <= most:
        raise ValueError(message)
    return found


def check_real(
    name: str,
    value: Any,
    *,
    above: float | None = None,
    at_least: float | None = None,
    at_most: float = LARGEST,
    unit: str = "",
) -> float:
    """A number that is finite in float32 and within the limits that are given.

    Raises:
        TypeError: not a real number.
        ValueError: not finite, or out of range.
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


def check_epsilon(epsilon: Any) -> float:
    """What is added to a variance: a normal number of float32, or a variance of 0 gives NaN.

    Raises:
        TypeError: not a real number.
        ValueError: out of range.
    """
    return check_real("epsilon", epsilon, at_least=TINY)


def check_rate(sample_rate: Any) -> int | float:
    """A sample rate in Hz, an integer where it is one.

    Raises:
        TypeError: not a real number.
        ValueError: not above ``LEAST_HZ``, or beyond ``MOST_HZ``.
    """
    return _real("sample_rate", sample_rate, LEAST_HZ, None, MOST_HZ, "Hz")


def check_duration(name: str, milliseconds: Any, sample_rate: Any) -> int | float:
    """A length in ms, an integer where it is one.

    Raises:
        TypeError: an argument is not a real number.
        ValueError: fewer than 1 or more than ``MOST_SAMPLES`` samples.
    """
    rate = check_rate(sample_rate)
    found = _real(name, milliseconds, 0, None, LARGEST, "milliseconds")
    if not 1 <= rate * found // 1000 < MOST_SAMPLES:
        raise ValueError(
            f"{name}={shown(milliseconds)}: must be from 1 to {MOST_SAMPLES - 1} samples at "
            f"sample_rate={shown(sample_rate)}, {1000 / rate:g} to {1000 * MOST_SAMPLES / rate:g} milliseconds"
        )
    return found


def check_geometry(sample_rate: Any, window_len: Any, window_stride: Any) -> tuple[int, int]:
    """Samples in a window and between two frames, from Hz and milliseconds.

    Raises:
        TypeError: an argument is not a real number.
        ValueError: an argument is not above 0, or a length is refused by :func:`check_duration`.
    """
    length, hop = (
        check_duration(name, milliseconds, sample_rate)
        for name, milliseconds in (("window_len", window_len), ("window_stride", window_stride))
    )
    rate = check_rate(sample_rate)
    return int(rate * length // 1000 + 1), int(rate * hop // 1000)


def check_bank(name: str, n_filters: int, size_name: str, size: int) -> None:
    """Refuse so many filters of ``size`` samples that they fill the memory.

    Raises:
        ValueError: more than ``MOST_VALUES`` values in all.
    """
    if n_filters * size > MOST_VALUES:
        raise ValueError(
            f"{name}={n_filters}: must be at most {MOST_VALUES // size} with {size_name}={size}, "
            f"{MOST_VALUES} values in all"
        )


def check_band(min_freq: Any, max_freq: Any, sample_rate: Any) -> tuple[float, float]:
    """Edges in Hz.

    Raises:
        TypeError: an argument is not a real number.
        ValueError: a band that is empty, starts below 0 Hz or ends above half the sample rate.
    """
    half = check_rate(sample_rate) / 2
    low = check_real("min_freq", min_freq, at_least=0, unit="Hz")
    high = check_real("max_freq", max_freq, above=0, unit="Hz")
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


def check_sinc(sample_rate: Any, min_low_hz: Any, min_band_hz: Any) -> tuple[int | float, float, float]:
    """Rate, least lower cutoff and least width of sinc filters, in Hz.

    Raises:
        TypeError: an argument is not a real number.
        ValueError: a negative one, or a cutoff and a width that leave no band under half the sample rate.
    """
    rate = check_rate(sample_rate)
    low = check_real("min_low_hz", min_low_hz, at_least=0, unit="Hz")
    band = check_real("min_band_hz", min_band_hz, at_least=0, unit="Hz")
    if not 2 * low + band < rate / 2:
        raise ValueError(
            f"min_low_hz={shown(min_low_hz)}, min_band_hz={shown(min_band_hz)}: must leave a band at "
            f"sample_rate={shown(sample_rate)}: 2 min_low_hz + min_band_hz < {rate / 2:g} Hz"
        )
    return rate, low, band


def check_flag(name: str, value: Any) -> bool:
    """True or False, NumPy's too.

    Raises:
        TypeError: anything else; the text ``"False"`` would count as true.
    """
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name}={shown(value)}: must be True or False")
    return bool(value)


def check_callable(name: str, value: Any, what: str) -> Callable[..., Any]:
    """Something to call, and no class.

    Raises:
        TypeError: it is none.
    """
    if isinstance(value, type) or not callable(value):
        raise TypeError(f"{name}={shown(value)}: must be {what}, and no class")
    return value  # type: ignore[no-any-return]


def check_padding(padding: Any, allowed: tuple[str, ...] = PADDINGS) -> str:
    """The padding in capitals.

    Raises:
        TypeError: no text.
        ValueError: none of those allowed.
    """
    message = f"padding={shown(padding)}: must be one of {allowed}, in any case"
    if not isinstance(padding, str):
        raise TypeError(message)
    if padding.upper() not in allowed:
        raise ValueError(message)
    return padding.upper()


def check_dtype(dtype: torch.dtype | None) -> torch.dtype:
    """The dtype, or PyTorch's default one for ``None``.

    Raises:
        TypeError: no dtype of PyTorch.
        ValueError: neither float32 nor float64.
    """
    dtype = torch.get_default_dtype() if dtype is None else dtype
    message = f"dtype={shown(dtype)}: must be torch.float32 or torch.float64"
    if not isinstance(dtype, torch.dtype):
        raise TypeError(message)
    if dtype not in (torch.float32, torch.float64):
        raise ValueError(message)
    return dtype


def check_device(device: Any) -> torch.device | None:
    """A device that this PyTorch has, or ``None`` for the default one.

    Raises:
        TypeError: no device.
        ValueError: one that is not there.
    """
    if device is None:
        return None
    message = f"device={shown(device)}: must be a device that PyTorch has here, such as 'cpu'"
    if not isinstance(device, (str, int, torch.device)) or isinstance(device, bool):
        raise TypeError(message)
    try:
        return torch.empty(0, device=device).device
    except Exception as error:
        raise ValueError(f"{message} ({error})") from None
