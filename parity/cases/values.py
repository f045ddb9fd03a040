"""Numbers for subjects: inputs, and variables by the original's names, around what each means. NumPy alone."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from parity.cases.case import draw_signal

Array = NDArray[Any]
ENERGIES = ("PCENLayer", "ExponentialMovingAverage", "log_compression", "SpecAugment")
_HALF_PEAK = math.sqrt(2 * math.log(2)) / math.pi


def draw_input(
    name: str, shape: tuple[int, ...], weights: str, signal: str, amplitude: float, rng: np.random.Generator
) -> Array:
    """The input of a public name, in its own unit: audio and energies times ``amplitude``; functions of parameters
    take those of :func:`draw_variable`."""
    n = math.prod(shape)
    if name == "upper_power_of_2":
        return np.exp2(rng.uniform(0, 20, shape)).astype(np.int32)
    if name == "hz2mel":
        return rng.uniform(0, 22050, shape).astype(np.float32)
    if name == "mel2hz":
        return rng.uniform(0, 4000, shape).astype(np.float32)
    if name == "amplitude":
        return rng.standard_normal(shape).astype(np.float32)
    if name == "gabor_impulse_response":  # times in samples
        return (np.arange(n) - n // 2).astype(np.float32)
    if name == "sinc_impulse_response":  # times in seconds, none of them 0
        return ((np.arange(n) - n // 2 + rng.uniform(0.2, 0.8)) / 16000).astype(np.float32).reshape(shape)
    if name in ("gabor_filters", "GaborConstraint"):
        return draw_variable("kernel", shape, weights, "GaborConv1D", 401, rng).astype(np.float32)
    if name == "sinc_filters":
        return draw_variable("cutoff_freq_low", shape, weights, name, 401, rng).astype(np.float32)
    if name == "gaussian_lowpass":
        return draw_variable("learnable_pooling/kernel", shape, weights, "GaussianLowpass", 401, rng).astype(np.float32)
    if name in ENERGIES:
        return (amplitude * np.exp(rng.uniform(math.log(1e-4), math.log(10), shape))).astype(np.float32)
    if len(shape) < 2 or shape[1] == 0:
        return np.zeros(shape, np.float32)
    batch, n_samples, *rest = shape
    clips = [draw_signal(signal, n_samples, rng) for _ in range(batch * math.prod(rest))]
    stacked = np.reshape(clips, (batch, math.prod(rest), n_samples)).transpose(0, 2, 1)
    return np.ascontiguousarray(amplitude * stacked.reshape(shape)).astype(np.float32)


def draw_variable(
    name: str, shape: tuple[int, ...], weights: str, kernels: str, window: int, rng: np.random.Generator
) -> Array:
    """A variable or argument, by its canonical name: inside its limits, or with ``"outside"`` on either side of them.

    ``kernels`` is the class whose ``kernel`` this would be: rad/sample and samples for Gabor, Hz for sinc filters.
    """
    outside = weights == "outside"
    last = name.split("/")[-1]
    if "simple_rnn" in name:
        smooth = rng.uniform(0.02, 0.5)
        return np.eye(shape[0]) * (smooth if last == "kernel" else 1.0 - smooth)
    if last in _SCALARS:
        (low, high), *beyond = _SCALARS[last]
        drawn = rng.uniform(low, high, shape)
        return _either(drawn, beyond, rng) if outside and beyond else drawn
    if name == "tfbanks_preemp/kernel":
        return np.reshape([-rng.uniform(0.8, 0.99), rng.uniform(0.9, 1.1)], shape)
    if len(shape) == 4:
        return _pooling_kernel(shape, window, outside, rng)
    if last == "kernel" and len(shape) == 2:
        sinc = kernels.startswith("Sinc")
        return _sinc_kernel(shape[0], outside, rng) if sinc else _gabor_kernel(shape[0], window, outside, rng)
    if name == "filters" or last == "kernel":  # taps of a convolution or a pooling
        scale = 3.0 if outside else 1.0
        return scale * rng.standard_normal(shape) / math.sqrt(shape[0])
    raise ValueError(f"variable {name!r} of shape {shape}: not known")


# Between the limits, then ranges beyond each limit that there is.
_SCALARS: dict[str, list[tuple[float, float]]] = {
    "alpha": [(0.8, 0.99), (1.01, 2.0)],
    "delta": [(0.5, 4.0)],
    "root": [(1.5, 3.0), (0.2, 0.99)],
    "smooth": [(0.02, 0.2), (-0.5, -0.01), (1.01, 1.5)],
    "gamma": [(0.5, 2.0), (-2.0, -0.5)],
    "beta": [(-1.0, 1.0)],
    "bias": [(-0.3, 0.3)],
    "initial_state": [(0.01, 2.0)],
    "center": [(0.0, math.pi), (-1.0, -0.01), (3.2, 4.0)],
    "fwhm": [(2.0, 60.0), (0.1, 1.0)],
    "frequency": [(30.0, 7900.0), (8100.0, 12000.0)],
    "cutoff_freq_low": [(30.0, 4000.0), (8100.0, 9000.0)],
    "cutoff_freq_high": [(4100.0, 8000.0), (20.0, 200.0)],
}


def _either(inside: Array, beyond: list[tuple[float, float]], rng: np.random.Generator) -> Array:
    """Each value from one of the ranges beyond, or as it was."""
    drawn = np.stack([inside, *(rng.uniform(low, high, inside.shape) for low, high in beyond)])
    return np.asarray(np.take_along_axis(drawn, rng.integers(0, len(drawn), inside.shape)[None], axis=0)[0])


def _gabor_kernel(n: int, window: int, outside: bool, rng: np.random.Generator) -> Array:
    low, high = 4 * _HALF_PEAK, max(window, 5) * _HALF_PEAK
    mu = rng.uniform(0.01, 3.1, n)
    sigma = np.exp(rng.uniform(math.log(1.01 * low), math.log(max(0.99 * high, 1.02 * low)), n))
    if outside:
        mu = _either(mu, [(-1.0, -0.01), (3.2, 4.0)], rng)
        sigma = _either(sigma, [(0.1, 0.99 * low), (1.01 * high, 2 * high)], rng)
    return np.stack([mu, sigma], axis=1)


def _sinc_kernel(n: int, outside: bool, rng: np.random.Generator) -> Array:
    """Lower cutoff and width, in Hz; both are taken by their absolute value, the upper cutoff is limited."""
    low, width = rng.uniform(30.0, 4000.0, n), rng.uniform(30.0, 2000.0, n)
    if outside:
        low = _either(low, [(-4000.0, -30.0), (7900.0, 9000.0)], rng)
        width = _either(width, [(-2000.0, -30.0), (8000.0, 12000.0)], rng)
    return np.stack([low, width], axis=1)


def _pooling_kernel(shape: tuple[int, ...], window: int, outside: bool, rng: np.random.Generator) -> Array:
    """The widths of Gaussian windows, [1, 1, C, 1], or the taps of a learned one, [1, W, 1, 1]."""
    if shape[1] > 1 or (shape[2] == 1 and window == 1):
        return np.abs(rng.standard_normal(shape)) / shape[1]
    width = rng.uniform(min(2.02 / window, 0.49), 0.49, shape)
    return _either(width, [(0.1 / window, 1.9 / window), (0.51, 2.0)], rng) if outside else width
