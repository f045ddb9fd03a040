"""What this rung refuses, in one place: values in constructors, shapes and dtypes in ``call``."""

from __future__ import annotations

import math
from numbers import Integral, Real
from typing import Any

import keras
import tensorflow as tf

DTYPES = ("float32", "float64")
PADDINGS = ("SAME", "VALID")


def check_count(name: str, value: Any) -> int:
    """``value`` as an int.

    Raises:
        TypeError: not an integer.
        ValueError: less than 1.
    """
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{name}={value!r}: must be an integer, at least 1")
    if value < 1:
        raise ValueError(f"{name}={value!r}: must be at least 1")
    return int(value)


def check_positive(name: str, value: Any, unit: str) -> None:
    """Refuse what is not a finite number above 0.

    Raises:
        TypeError: not a real number.
        ValueError: zero, negative, infinite or NaN.
    """
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name}={value!r}: must be a number of {unit} above 0")
    if not 0 < float(value) < math.inf:
        raise ValueError(f"{name}={value!r}: must be a finite number of {unit} above 0")


def check_geometry(sample_rate: Any, window_len: Any, window_stride: Any) -> tuple[int, int]:
    """Samples in a window and between two frames, from Hz and milliseconds.

    Raises:
        TypeError: an argument is not a real number.
        ValueError: an argument is not above 0, or a window or a stride lasts less than one sample.
    """
    check_positive("sample_rate", sample_rate, "Hz")
    for name, milliseconds in (("window_len", window_len), ("window_stride", window_stride)):
        check_positive(name, milliseconds, "milliseconds")
        if sample_rate * milliseconds // 1000 < 1:
            shortest = 1000 / float(sample_rate)
            raise ValueError(
                f"{name}={milliseconds!r}: less than one sample at sample_rate={sample_rate!r}; "
                f"must be at least {shortest:g} milliseconds"
            )
    return int(sample_rate * window_len // 1000 + 1), int(sample_rate * window_stride // 1000)


def check_band(min_freq: Any, max_freq: Any, sample_rate: Any) -> None:
    """Refuse a band that is empty, starts below 0 Hz or ends above half the sample rate.

    Raises:
        ValueError: any of these.
    """
    check_positive("sample_rate", sample_rate, "Hz")
    if not min_freq >= 0:
        raise ValueError(f"min_freq={min_freq!r}: must be at least 0 Hz")
    if not max_freq <= sample_rate / 2:
        raise ValueError(f"max_freq={max_freq!r}: must be at most sample_rate / 2 = {sample_rate / 2:g} Hz")
    if not min_freq < max_freq:
        raise ValueError(f"min_freq={min_freq!r}: must be below max_freq={max_freq!r}")


def check_padding(padding: Any) -> str:
    """The padding in capitals.

    Raises:
        ValueError: neither ``"SAME"`` nor ``"VALID"``.
    """
    if not isinstance(padding, str) or padding.upper() not in PADDINGS:
        raise ValueError(f"padding={padding!r}: must be one of {PADDINGS}, in any case")
    return padding.upper()


def check_dtype(dtype: Any) -> str:
    """The name of a dtype that the layers compute in.

    Raises:
        ValueError: neither float32 nor float64.
    """
    name = dtype if isinstance(dtype, str) else getattr(dtype, "name", repr(dtype))
    if name not in DTYPES:
        raise ValueError(f"dtype={dtype!r}: must be one of {DTYPES}")
    return str(name)


def check_length(inputs: tf.Tensor, taps: int, padding: str) -> None:
    """Refuse signals that are shorter than a window that is not padded, where their length is known.

    Raises:
        ValueError: fewer samples than taps. TensorFlow itself fails where two hops or more are missing; where less is,
            its kernels give values that nothing has written.
    """
    frames_of(inputs.shape, taps, 1, padding)


def frames_of(shape: Any, taps: int, strides: int, padding: str) -> int | None:
    """How many frames signals of shape [B, T, C] give; ``None`` where T is not known.

    Raises:
        ValueError: another rank, or fewer samples than a window that is not padded.
    """
    if len(shape) != 3:
        raise ValueError(f"inputs of shape {tuple(shape)}: must be [batch, samples, channels]")
    n_samples: int | None = shape[1]
    if n_samples is None:
        return None
    if padding.upper() == "SAME":
        return -(-n_samples // strides)
    if n_samples < taps:
        raise ValueError(
            f"inputs of shape {tuple(shape)}: {n_samples} samples, must be at least the {taps} of a window "
            f"that is not padded"
        )
    return (n_samples - taps) // strides + 1


def channels_of(shape: Any) -> int:
    """How many channels there are in features of shape [B, frames, C].

    Raises:
        ValueError: another rank, or a number of channels that is not known.
    """
    if len(shape) != 3 or shape[2] is None:
        raise ValueError(f"input_shape={tuple(shape)}: must be [batch, frames, channels], the last of them known")
    return int(shape[2])


def check_audio(inputs: tf.Tensor, dtype: str) -> None:
    """Refuse what is not [B, T] or [B, T, 1] audio of at least one sample; values are not looked at.

    Raises:
        TypeError: integer, boolean or complex samples, or another dtype than the layer computes in.
        ValueError: another rank, more than one channel, or no samples.
    """
    held = keras.backend.standardize_dtype(inputs.dtype)
    if held != dtype:
        raise TypeError(f"inputs of dtype {held}: must be {dtype}; convert the samples first")
    check_audio_shape(inputs.shape)


def check_audio_shape(shape: Any) -> None:
    """Refuse a shape that is not [B, T] or [B, T, 1] with at least one sample; any of the three may be unknown.

    Raises:
        ValueError: another rank, more than one channel, or no samples.
    """
    shape = tuple(shape)
    if len(shape) not in (2, 3):
        raise ValueError(f"inputs of shape {shape}: must be [batch, samples] or [batch, samples, 1]")
    if len(shape) == 3 and shape[2] not in (1, None):
        raise ValueError(f"inputs of shape {shape}: {shape[2]} channels, must be 1 (the last dimension)")
    if shape[1] == 0:
        raise ValueError(f"inputs of shape {shape}: no samples, must be at least 1")
