"""Compose the original's layers and frontends from the oracle's stages; their variables, initial values, penalties."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from parity.cases.subjects import Subject
from parity.oracle import filters, measured_init, mel, sinc, spectral
from parity.oracle.arrays import Array
from parity.oracle.chain import Stage
from parity.oracle.compression import Floor, InstanceNorm, LayerNorm, Log
from parity.oracle.config import FLOOR, LOG_OFFSET, NORM_EPS
from parity.oracle.filters import Bias, FreeConv, NormalisedConv, Preemphasis
from parity.oracle.gabor import GaborConv
from parity.oracle.leaf import NORM, POOLING, PREEMP
from parity.oracle.pcen import MovingAverage, Pcen
from parity.oracle.pooling import FreePool, GaussianPool, MaxPool, Rectifier, SharedPool, SquaredModulus
from parity.oracle.sinc import SincConv
from parity.oracle.spectral import FftConv, MelEnergies

Shapes = dict[str, tuple[int, ...]]
LAYER_NORM_EPS = 1e-3  # Keras' default
LAYER_NORM = ("layer_normalization/gamma", "layer_normalization/beta")
_CELL = "simple_rnn/simple_rnn_cell/"
_FIXED: dict[str, dict[str, Any]] = {
    "Leaf": {},
    "TimeDomainFilterbanks": {
        "conv1d_cls": "Conv1D", "activation": "squared_modulus", "pooling_cls": "LearnablePooling1D",
        "compression": "log", "complex_conv_init": "gabor", "pooling_init": "lowpass"},
    "SincNet": {
        "conv1d_cls": "SincConv1D", "activation": "leaky_relu", "pooling_cls": "MaxPooling1D",
        "compression": "layer_norm", "complex_conv_init": "sinc"},
    "SincNetPlus": {
        "conv1d_cls": "SincConv1D", "activation": "leaky_relu", "pooling_cls": "GaussianLowpass",
        "compression": "frozen_pcen", "complex_conv_init": "sinc", "pooling_init": ("constant", 0.4)},
}  # fmt: skip


def settings(subject: Subject) -> dict[str, Any]:
    """Return the subject's settings, with those that its frontend fixes."""
    return {**subject.arguments, **_FIXED.get(subject.name, {})}


def compressions(kind: str) -> dict[str, Any]:
    """Return the arguments of ``PCENLayer`` for a frontend's compression."""
    frozen = kind == "frozen_pcen"
    return {
        "alpha": 0.96, "smooth_coef": 0.04, "delta": 2.0, "root": 2.0, "floor": 1e-6 if frozen else 1e-12,
        "learn_smooth_coef": kind in ("pcen", "shared_pcen"), "per_channel_smooth_coef": kind == "pcen",
    }  # fmt: skip


def width(own: Mapping[str, Any]) -> int:
    """Channels that a frontend's activation gives."""
    n = own["n_filters"] * (1 if own["conv1d_cls"] == "SincConv1D" else 2)
    return n // 2 if own["activation"] == "squared_modulus" else int(n)


def conv_name(own: Mapping[str, Any]) -> str:
    """Return the canonical name of a frontend's filters."""
    return "tfbanks_complex_conv/kernel" if own["conv1d_cls"] in ("Conv1D", "FFTConv1D") else "kernel"


def _conv_shape(kind: str, filters: int, window: int) -> tuple[int, ...]:
    return (filters // 2, 2) if kind in ("GaborConv1D", "SincConv1D") else (window, 1, filters)


def _pool(kind: str, n: int, window: int, prefix: str) -> Shapes:
    return {
        "GaussianLowpass": {f"{prefix}kernel": (1, 1, n, 1)},
        "LearnablePooling1D": {f"{prefix}conv2d/kernel": (1, window, 1, 1)},
        "ChannelWiseLearnablePooling1D": {f"{prefix}kernel": (window, 1, n)},
        "MaxPooling1D": {},
    }[kind]  # type: ignore[return-value]


def _pcen(own: Mapping[str, Any], n: int, prefix: str) -> Shapes:
    shapes: Shapes = {prefix + name: (n,) for name in ("alpha", "delta", "root")}
    if own["learn_smooth_coef"]:
        return {**shapes, f"{prefix}EMA/smooth": (n if own["per_channel_smooth_coef"] else 1,)}
    return {**shapes, f"{prefix}{_CELL}kernel": (n, n), f"{prefix}{_CELL}recurrent_kernel": (n, n)}


def shapes(subject: Subject) -> Shapes:
    """List every variable of a layer or frontend, by canonical name; arguments of a call left out."""
    name, own, n = subject.name, settings(subject), subject.shape[-1] if subject.shape else 0
    if name in ("SquaredModulus", "MelFilterbanks", "MaxPooling1D", "SpecAugment"):
        return {}
    if name == "ExponentialMovingAverage":
        return {"smooth": (n if own["per_channel"] else 1,)}
    if name == "PCENLayer":
        return _pcen(own, n, "")
    if "filters" in own:
        out: Shapes = {"kernel": _conv_shape(name, own["filters"], own["kernel_size"])}
        n_outputs = own["filters"] // 2 if name == "SincConv1D" else own["filters"]
        return {**out, "bias": (n_outputs,)} if own["use_bias"] else out
    if "strides" in own:
        return _pool(name, n, own["kernel_size"], "")
    if "conv1d_cls" not in own:
        return {}
    channels = width(own)
    found: Shapes = {PREEMP: (2, 1, 1)} if own["preemp"] else {}
    found[conv_name(own)] = _conv_shape(own["conv1d_cls"], 2 * own["n_filters"], subject.window)
    found.update(_pool(own["pooling_cls"], channels, subject.window, "learnable_pooling/"))
    if own["compression"] == "layer_norm":
        found.update(dict.fromkeys(LAYER_NORM, (channels,)))
    elif own["compression"].endswith("pcen"):
        found.update(_pcen(compressions(own["compression"]), channels, "PCEN/"))
    return {**found, **dict.fromkeys(NORM, (channels,))} if own["mean_var_norm"] else found


def initial(subject: Subject) -> dict[str, Array]:
    """Initial values by the original's initialisers, in float64; those drawn at random are left out."""
    own, out = settings(subject), {}
    pcen = compressions(own["compression"]) if "compression" in own else own
    for name, shape in shapes(subject).items():
        last = name.split("/")[-1]
        value: Any = None
        if last == "smooth":
            value = own["coeff_init"] if "coeff_init" in own else pcen["smooth_coef"]
        elif last in ("alpha", "delta", "root"):
            value = pcen[last]
        elif last in ("gamma", "beta"):
            value = float(last == "gamma")
        elif _CELL in name:
            smooth = pcen["smooth_coef"]
            value = np.eye(shape[0]) * (smooth if last == "kernel" else 1.0 - smooth)
        elif name == PREEMP:
            value = np.reshape([-0.97, 1.0], shape)
        elif last == "kernel":
            pooled = "pool" in name or "Pooling" in subject.name or subject.name == "GaussianLowpass"
            setting = "pooling_init" if pooled else "complex_conv_init"
            value = drawn(own.get("kernel_initializer", own.get(setting)), shape, own.get("sample_rate", 16000))
        if value is not None:
            out[name] = np.broadcast_to(np.asarray(value, dtype=np.float64), shape)
    return out


def drawn(kind: Any, shape: tuple[int, ...], sample_rate: float = 16000) -> Array | float | None:
    """Draw by an initialiser's name in a subject, for a kernel of the original's shape."""
    if isinstance(kind, tuple):
        return float(kind[1])
    if kind == "sinc":
        return sinc.initial_cutoffs(shape[0], 16000, 50.0, 50.0)
    if kind == "gabor":
        return gabor_init(shape, min_freq=60.0, max_freq=7800.0)
    if kind == "lowpass":
        size = int(sample_rate * 25.0 // 1000 + 1)
        if max(shape[:2]) != size:
            raise ValueError(f"shape={shape}: must be of {size} samples")
        return sinc.window("SQUARED_HANNING", size).reshape(1, size, 1, 1)
    return None


def gabor_init(
    shape: tuple[int, ...], min_freq: float = 0.0, max_freq: float = 8000.0, sample_rate: int = 16000,
    n_fft: int = 512, normalize_energy: bool = False,
) -> Array:  # fmt: skip
    """``GaborInit`` for a kernel [C, 2] or [W, 1, 2 C]."""
    n = shape[0] if len(shape) == 2 else shape[2] // 2
    params = measured_init(n, sample_rate, min_freq, max_freq, n_fft)
    if len(shape) == 2:
        return params
    triangles = mel.triangles(n, n_fft, sample_rate, min_freq, max_freq, normalize_energy)
    return mel.wavelets(params, triangles, n_fft, shape[0]).reshape(2 * n, 1, shape[0]).transpose(2, 1, 0)


def stages(subject: Subject) -> list[Stage]:
    """Compose the stages of a layer on [B, C, T], or of a frontend on [B, 1, T]; refuse as the original does."""
    name, own = subject.name, settings(subject)
    if name == "MelFilterbanks" or "conv1d_cls" in own:
        return _frontend(subject, own)
    if name == "SquaredModulus":
        return [SquaredModulus()]
    if name == "ExponentialMovingAverage":
        return [MovingAverage("smooth", "initial_state")]
    if name == "PCENLayer":
        return [Pcen("", own["floor"], own["learn_smooth_coef"])]
    if "filters" not in own:
        return [_pooling(name, own["kernel_size"], own["strides"], own["padding"], "")]
    bias = [Bias("bias")] if own["use_bias"] else []
    return [_convolution(name, "kernel", own["kernel_size"], own), *bias, *_activation(own.get("activation", "none"))]


def _frontend(subject: Subject, own: Mapping[str, Any]) -> list[Stage]:
    if subject.name == "MelFilterbanks":
        band = own["sample_rate"], own["min_freq"], own["max_freq"] or own["sample_rate"] / 2
        energies = MelEnergies(own["n_filters"], own["n_fft"], subject.window, subject.stride, *band)
        return [energies, *_compression(own["compression"])]
    if subject.name == "TimeDomainFilterbanks":  # its geometry is that of 16 kHz, its initialiser's of its own rate
        drawn("lowpass", (1, int(16000 * own["window_len"] // 1000 + 1), 1, 1), own["sample_rate"])
    return [
        *([Preemphasis(PREEMP)] if own["preemp"] else []),
        _convolution(own["conv1d_cls"], conv_name(own), subject.window, {"strides": 1, "padding": "same"}),
        *_activation(own["activation"]),
        _pooling(own["pooling_cls"], subject.window, subject.stride, "same", POOLING.removesuffix("kernel")),
        Floor(FLOOR),
        *_compression(own["compression"]),
        *([InstanceNorm(*NORM, NORM_EPS)] if own["mean_var_norm"] else []),
    ]


def _convolution(kind: str, name: str, window: int, own: Mapping[str, Any]) -> Stage:
    stride, padding = own["strides"], own["padding"]
    if kind == "GaborConv1D":
        return GaborConv(name, window, stride, padding, by_frequency=own.get("sort_filters", False))
    if kind == "SincConv1D":
        limits = own.get("min_low_hz", 50.0), own.get("min_band_hz", 50.0), own.get("sample_rate", 16000)
        return SincConv(name, window, stride, padding, *limits)
    if kind == "FFTConv1D":
        if padding.lower() == "causal":
            raise ValueError("padding='causal': must be 'same' or 'valid'")
        return FftConv(name)
    return (NormalisedConv if kind == "NormalizedConv1D" else FreeConv)(name, stride, padding)


def _activation(kind: str) -> list[Stage]:
    """``squared_modulus``, ``leaky_relu`` (slope 0.2), ``relu`` or ``none``."""
    if kind == "squared_modulus":
        return [SquaredModulus()]
    return [] if kind == "none" else [Rectifier({"leaky_relu": 0.2, "relu": 0.0}[kind])]


def _pooling(kind: str, window: int, stride: int, padding: str, prefix: str) -> Stage:
    if kind == "GaussianLowpass":
        return GaussianPool(f"{prefix}kernel", window, stride, padding)
    if kind == "LearnablePooling1D":
        return SharedPool(f"{prefix}conv2d/kernel", stride)
    if kind == "ChannelWiseLearnablePooling1D":
        return FreePool(f"{prefix}kernel", stride, padding)
    return MaxPool(window, stride, padding)


def _compression(kind: str) -> list[Stage]:
    if kind == "none":
        return []
    if kind == "log":
        return [Log(LOG_OFFSET)]
    if kind == "layer_norm":
        return [LayerNorm(*LAYER_NORM, LAYER_NORM_EPS)]
    pcen = compressions(kind)
    return [Pcen("PCEN/", pcen["floor"], pcen["learn_smooth_coef"])]


def penalties(subject: Subject, variables: Mapping[str, Array]) -> tuple[Array | None, dict[str, Array]]:
    """Compute the sum of the regularisation losses and its gradients; ``None`` where nothing is penalised."""
    own = settings(subject)
    if not own.get("regularizer"):
        return None, {}
    coefficients = {"l1": 0.0, "l2": 0.0, **dict(own["regularizer"])}
    kernels_of = [name for name in variables if name.endswith("kernel") and _CELL not in name]
    if "conv1d_cls" in own:
        pooled = [name for name in kernels_of if name.startswith("learnable_pooling/")]
        learned = (own["learn_pooling"], own["learn_filters"])
        kernels_of = [name for name in kernels_of if learned[name not in pooled]]
    if not kernels_of:
        return None, {}
    total, gradients = np.zeros(()), {}
    for name in kernels_of:
        total = total + filters.penalty(variables[name], **coefficients)
        gradients[name] = filters.penalty_adjoint(variables[name], **coefficients)
    if "FFTConv1D" in (subject.name, own.get("conv1d_cls")):
        name = conv_name(own) if "conv1d_cls" in own else "kernel"
        if name in kernels_of:
            taps, n = variables[name][:, 0].T, spectral.upper_power_of_2(subject.shape[1])
            total = total + coefficients["l1"] * spectral.spectrum_l1(taps, n)
            on_spectra = spectral.spectrum_l1_adjoint(taps, n, coefficients["l1"])
            gradients[name] = gradients[name] + on_spectra.T[:, np.newaxis]
    return total, gradients
