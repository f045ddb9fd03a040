"""Name what to run: a public name, its settings, an input's shape and a seed, free of any framework. NumPy alone.

Settings are the original's arguments, by its names, as plain values:

- ``conv1d_cls`` and ``pooling_cls`` by the name of the class (``"Conv1D"`` is Keras' own);
- ``activation``: ``"squared_modulus"``, ``"leaky_relu"`` (slope 0.2), ``"relu"`` or ``"none"``;
- ``compression`` (the original's ``compression_fn``): ``"pcen"`` (that of Leaf's default), ``"shared_pcen"`` (one
  smoothing coefficient), ``"fixed_pcen"`` (the smoother is a fixed recurrence), ``"frozen_pcen"`` (``PCENLayer()``),
  ``"log"``, ``"layer_norm"`` (Keras' own) or ``"none"``;
- initialisers: ``"gabor"`` (``GaborInit`` of 60 to 7800 Hz at 16 kHz), ``"sinc"``, ``"lowpass"`` or
  ``("constant", 0.4)``;
- ``regularizer``: ``None`` or ``(("l1", 0.01), ("l2", 0.1))``;
- ``window_type`` by the name of the member; ``property`` of ``Gabor``: which of its properties to read.

Every subject also has ``signal`` (see ``parity.cases.case.SIGNALS``) and ``amplitude``. Shapes are the original's:

- of the input: audio [B, T] or [B, T, 1], frames [B, T, C]; for a function its first argument (``amplitude`` takes
  complex filters, so [W, C, 2]); for ``upper_power_of_2``, ``hz2mel`` and ``mel2hz`` [n];
- for an initialiser, the shape of the kernel that it is asked for; for ``Gabor`` and ``window`` ().

What else a function takes (``filters``, ``center``, ``fwhm``, ``frequency``, ``cutoff_freq_high``; ``initial_state`` of
``ExponentialMovingAverage``) is drawn by :meth:`Subject.values` as if it were a variable: see :data:`ARGUMENTS`.
"""

from __future__ import annotations

import ast
import math
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from parity.cases.case import draw_signal

Array = NDArray[Any]
CONVOLUTIONS = ("GaborConv1D", "Conv1D", "NormalizedConv1D", "SincConv1D", "FFTConv1D")
POOLINGS = ("GaussianLowpass", "LearnablePooling1D", "ChannelWiseLearnablePooling1D", "MaxPooling1D")
ENERGIES = ("PCENLayer", "ExponentialMovingAverage", "log_compression", "SpecAugment")
_HALF_PEAK = math.sqrt(2 * math.log(2)) / math.pi


def draw_input(
    name: str, shape: tuple[int, ...], weights: str, signal: str, amplitude: float, rng: np.random.Generator
) -> Array:
    """Draw the input of a public name, in its own unit: audio and energies times ``amplitude``; functions of parameters
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
    """Draw a variable or argument, by its canonical name, inside its limits, or with ``"outside"`` on either side.

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


def _either(inside: Array, ranges: list[tuple[float, float]], rng: np.random.Generator) -> Array:
    """Draw each value from one of the ranges outside, or as it was."""
    drawn = np.stack([inside, *(rng.uniform(low, high, inside.shape) for low, high in ranges)])
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
    """Draw the widths of Gaussian windows, [1, 1, C, 1], or the taps of a learned one, [1, W, 1, 1]."""
    if shape[1] > 1 or (shape[2] == 1 and window == 1):
        return np.abs(rng.standard_normal(shape)) / shape[1]
    width = rng.uniform(min(2.02 / window, 0.49), 0.49, shape)
    return _either(width, [(0.1 / window, 1.9 / window), (0.51, 2.0)], rng) if outside else width


WEIGHTS = ("default", "trained", "outside")
WITHOUT_INPUT = ("PreempInit", "GaborInit", "SincInit", "LowpassInit", "Gabor", "window")
COMMON: dict[str, Any] = {"signal": "noise", "amplitude": 0.3}

_FRONTEND: dict[str, Any] = {
    "n_filters": 4, "sample_rate": 16000, "window_len": 25.0, "window_stride": 10.0, "preemp": False,
    "learn_pooling": True, "learn_filters": True, "mean_var_norm": False, "regularizer": None,
}  # fmt: skip
_CONV: dict[str, Any] = {
    "filters": 4, "kernel_size": 25, "strides": 1, "padding": "SAME", "use_bias": False, "kernel_initializer": "gabor",
    "regularizer": None, "trainable": True,
}  # fmt: skip
_POOLING: dict[str, Any] = {
    "kernel_size": 25, "strides": 10, "padding": "same", "use_bias": False, "kernel_initializer": ("constant", 0.4),
    "regularizer": None, "trainable": True,
}  # fmt: skip
_BAND: dict[str, Any] = {
    "min_freq": 0.0, "max_freq": 8000.0, "sample_rate": 16000, "n_fft": 512, "normalize_energy": False,
}  # fmt: skip

# What may be set for each name, with the value where it is not.
SETTINGS: dict[str, dict[str, Any]] = {
    "upper_power_of_2": {},
    "fft_conv1d": {"n_filters": 4, "kernel_size": 25},
    "overlap_add_conv1d": {"n_filters": 4, "kernel_size": 25, "fft_length": 4096},
    "FFTConv1D": {**_CONV, "padding": "same", "activation": "none"},
    "GaborConstraint": {"kernel_size": 401},
    "GaborConv1D": {**_CONV, "sort_filters": False},
    "NormalizedConv1D": _CONV,
    "SincConv1D": {
        **_CONV, "kernel_initializer": "sinc", "sample_rate": 16000, "min_low_hz": 50.0, "min_band_hz": 50.0},
    "log_compression": {"log_offset": 1e-5},
    "SquaredModulus": {},
    "Leaf": {
        **_FRONTEND, "conv1d_cls": "GaborConv1D", "activation": "squared_modulus", "pooling_cls": "GaussianLowpass",
        "compression": "pcen", "complex_conv_init": "gabor", "pooling_init": ("constant", 0.4)},
    "TimeDomainFilterbanks": _FRONTEND,
    "SincNet": {**_FRONTEND, "pooling_init": ("constant", 0.4)},
    "SincNetPlus": _FRONTEND,
    "MelFilterbanks": {
        "n_filters": 4, "sample_rate": 16000, "n_fft": 512, "window_len": 25.0, "window_stride": 10.0,
        "compression": "log", "min_freq": 60.0, "max_freq": 7800.0},
    "amplitude": {"i": 0},
    "gabor_impulse_response": {"n_filters": 4},
    "gabor_filters": {"size": 401},
    "sinc_impulse_response": {"n_filters": 4},
    "sinc_filters": {"size": 401, "sample_rate": 16000},
    "gaussian_lowpass": {"filter_size": 401},
    "PreempInit": {"alpha": 0.97},
    "GaborInit": _BAND,
    "SincInit": {"sample_rate": 16000, "min_low_hz": 50.0, "min_band_hz": 50.0},
    "LowpassInit": {"sample_rate": 16000, "window_len": 25.0, "window_type": "SQUARED_HANNING"},
    "Gabor": {"n_filters": 40, "window_len": 401, **_BAND, "property": "gabor_params_from_mels"},
    "LearnablePooling1D": _POOLING,
    "ChannelWiseLearnablePooling1D": _POOLING,
    "GaussianLowpass": _POOLING,
    "MaxPooling1D": _POOLING,
    "ExponentialMovingAverage": {"coeff_init": 0.04, "per_channel": True, "trainable": True},
    "PCENLayer": {
        "alpha": 0.96, "smooth_coef": 0.04, "delta": 2.0, "root": 2.0, "floor": 1e-6, "trainable": True,
        "learn_smooth_coef": True, "per_channel_smooth_coef": True},
    "SpecAugment": {
        "freq_mask_max_bins": 10, "freq_mask_count": 2, "time_mask_max_frames": 10, "time_mask_count": 2,
        "time_mask_max_ratio": 1.0, "time_warp_max_frames": 8, "time_warp_max_ratio": 1.0},
    "hz2mel": {},
    "mel2hz": {},
    "window": {"window_type": "HAMMING", "tmax": 401},
}  # fmt: skip

# Tensors that a function, or a call, takes beside its input: their shapes, from the subject's.
ARGUMENTS: dict[str, Callable[[Mapping[str, Any], tuple[int, ...]], dict[str, tuple[int, ...]]]] = {
    "fft_conv1d": lambda s, shape: {"filters": (s["kernel_size"], 1, s["n_filters"])},
    "overlap_add_conv1d": lambda s, shape: {"filters": (s["kernel_size"], 1, s["n_filters"])},
    "gabor_impulse_response": lambda s, shape: {"center": (s["n_filters"],), "fwhm": (s["n_filters"],)},
    "sinc_impulse_response": lambda s, shape: {"frequency": (1, s["n_filters"])},
    "sinc_filters": lambda s, shape: {"cutoff_freq_high": shape},
    "ExponentialMovingAverage": lambda s, shape: {"initial_state": (shape[0], shape[2])},
}


@dataclass(frozen=True)
class Subject:
    """One thing to run on every implementation; ``Subject.parse(str(subject))`` is the same one.

    Attributes:
        name: a public name of the original, one of ``SETTINGS``.
        settings: what differs from ``SETTINGS``, as sorted pairs; :meth:`of` takes them as keywords.
        shape: of the input, see above.
        seed: of the input, the variables and the cotangent.
        weights: ``"default"`` (what the initialisers give), ``"trained"`` (off it, inside every limit) or
            ``"outside"`` (beyond the limits).
    """

    name: str
    settings: tuple[tuple[str, Any], ...]
    shape: tuple[int, ...]
    seed: int
    weights: str

    def __post_init__(self) -> None:
        if self.name not in SETTINGS:
            raise ValueError(f"name={self.name!r}: must be one of {sorted(SETTINGS)}")
        allowed = {**SETTINGS[self.name], **COMMON}
        for setting, _ in self.settings:
            if setting not in allowed:
                raise ValueError(f"setting {setting!r} of {self.name}: must be one of {sorted(allowed)}")
        if self.weights not in WEIGHTS:
            raise ValueError(f"weights={self.weights!r}: must be one of {WEIGHTS}")

    @classmethod
    def of(
        cls, name: str, shape: tuple[int, ...] = (), seed: int = 0, weights: str = "trained", **settings: Any
    ) -> Subject:
        """Make a subject with these settings; those that have the value of ``SETTINGS`` anyway are left out."""
        known = {**SETTINGS.get(name, {}), **COMMON}
        changed = {k: v for k, v in settings.items() if k not in known or v != known[k]}
        return cls(name, tuple(sorted(changed.items())), tuple(shape), seed, weights)

    def __str__(self) -> str:
        given = [f"shape={self.shape!r}", f"seed={self.seed}", f"weights={self.weights!r}"]
        return f"{self.name}({', '.join([*given, *(f'{k}={v!r}' for k, v in self.settings)])})"

    @classmethod
    def parse(cls, text: str) -> Subject:
        """Read what ``str(subject)`` writes; refuse another text, and what the constructor refuses."""
        try:
            call = ast.parse(text.strip(), mode="eval").body
            if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name) or call.args:
                raise SyntaxError
            given = {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in call.keywords}
        except SyntaxError:
            raise ValueError(f"subject {text!r}: must be like 'Leaf(shape=(1, 400), seed=0, n_filters=2)'") from None
        return cls.of(call.func.id, **given)

    @property
    def arguments(self) -> dict[str, Any]:
        """Return every setting of the name, given or not, without ``signal`` and ``amplitude``."""
        given = dict(self.settings)
        return {name: given.get(name, default) for name, default in SETTINGS[self.name].items()}

    @property
    def takes_input(self) -> bool:
        """Tell whether the name takes an input; initialisers, ``Gabor`` and ``window`` have none."""
        return self.name not in WITHOUT_INPUT

    @property
    def tensors(self) -> dict[str, tuple[int, ...]]:
        """List names and shapes of the arguments that :meth:`values` draws beside a layer's variables."""
        return ARGUMENTS[self.name](self.arguments, self.shape) if self.name in ARGUMENTS else {}

    @property
    def window(self) -> int:
        """Taps of filters and windows: the frontend's, from its milliseconds, or the layer's or function's own."""
        own = self.arguments
        if "window_stride" in own:
            return int(own["sample_rate"] * own["window_len"] // 1000 + 1)
        return int(own.get("kernel_size", own.get("size", own.get("filter_size", 401))))

    @property
    def stride(self) -> int:
        """Count samples between two outputs."""
        own = self.arguments
        if "window_stride" in own:
            return int(own["sample_rate"] * own["window_stride"] // 1000)
        return int(own.get("strides", 1))

    def input(self) -> Array:
        """Draw the input in the original's layout, float32 (int32 for ``upper_power_of_2``).

        Raises:
            ValueError: it takes none.
        """
        if not self.takes_input:
            raise ValueError(f"{self.name} takes no input")
        given = {**COMMON, **dict(self.settings)}
        rng = np.random.default_rng([self.seed, 1])
        return draw_input(self.name, self.shape, self.weights, given["signal"], given["amplitude"], rng)

    def values(self, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Array]:
        """Variables by canonical name, and other arguments by their own; float32.

        Each depends on the seed, its name and its shape alone. With ``"default"`` weights only arguments are drawn
        (:data:`ARGUMENTS`), and biases, whose initialiser is random; other variables are left out, and keep what their
        initialiser gave.
        """
        kernels = self.arguments.get("conv1d_cls", "SincConv1D" if self.name.startswith("Sinc") else self.name)
        out = {}
        for name, shape in shapes.items():
            if self.weights == "default" and name != "bias" and name not in self.tensors:
                continue
            rng = np.random.default_rng([self.seed, 3, zlib.crc32(name.encode())])
            drawn = draw_variable(name, tuple(shape), self.weights, kernels, self.window, rng)
            out[name] = np.asarray(drawn).astype(np.float32).reshape(shape)
        return out

    def cotangent(self, shape: tuple[int, ...]) -> Array:
        """Draw a random cotangent for an output of this shape, float32; never all ones."""
        return np.random.default_rng([self.seed, 2]).standard_normal(shape).astype(np.float32)
