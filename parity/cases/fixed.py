"""A handful of fixed subjects for each public name: what is recorded from the original, and what runs first."""

from __future__ import annotations

from typing import Any

from parity.cases.subjects import Subject

_SMALL: dict[str, Any] = {"n_filters": 3, "sample_rate": 4000, "shape": (2, 300)}
_DEFAULT: dict[str, Any] = {"n_filters": 2, "shape": (1, 600)}
_L1_L2 = (("l1", 0.02), ("l2", 0.3))
_PENALTY: dict[str, Any] = {"regularizer": _L1_L2}
_FRAMES = (2, 30, 3)


def _of(name: str, *given: dict[str, Any]) -> tuple[Subject, ...]:
    """Make a subject for each of the settings, with its own seed; ``weights`` among them, else ``trained``."""
    return tuple(Subject.of(name, **{"seed": seed, **settings}) for seed, settings in enumerate(given, 1))


_CONV: tuple[dict[str, Any], ...] = (
    {"shape": (2, 120, 1), "weights": "default"},
    {"shape": (1, 90, 1), "strides": 4, "padding": "VALID", "use_bias": True, **_PENALTY},
    {"shape": (2, 60, 1), "kernel_size": 101, "weights": "outside", "filters": 6},
    {"shape": (1, 70, 1), "kernel_size": 24, "filters": 2},
    {"shape": (1, 20, 1), "padding": "VALID"},
)
_POOLING: tuple[dict[str, Any], ...] = (
    {"shape": (2, 60, 3), "weights": "default"},
    {"shape": (1, 61, 2), "kernel_size": 24, **_PENALTY},
    {"shape": (1, 60, 2), "padding": "VALID", "weights": "outside"},
    {"shape": (1, 90, 1), "kernel_size": 9, "strides": 30},
    {"shape": (1, 5, 2)},
)
_FRONTEND: tuple[dict[str, Any], ...] = (
    {**_DEFAULT, "weights": "default"},
    {**_DEFAULT, "preemp": True, **_PENALTY},
    {**_DEFAULT, "mean_var_norm": True, "window_stride": 5.0},
    {**_DEFAULT, "n_filters": 1, "weights": "outside"},
    {**_DEFAULT, "shape": (1, 40, 1)},
)
_SINC: tuple[dict[str, Any], ...] = (
    *_FRONTEND, {**_SMALL, "learn_filters": False, "preemp": True}, {**_SMALL, "sample_rate": 11000},
)  # fmt: skip
_TENSORS: tuple[dict[str, Any], ...] = ({}, {"weights": "outside"})

FIXED: dict[str, tuple[Subject, ...]] = {
    "upper_power_of_2": _of("upper_power_of_2", {"shape": (6,)}),
    "fft_conv1d": _of(
        "fft_conv1d", {"shape": (2, 100, 1)}, {"shape": (1, 64, 1), "kernel_size": 24}, {"shape": (1, 9, 1)}),
    "overlap_add_conv1d": _of(
        "overlap_add_conv1d", {"shape": (2, 100, 1), "fft_length": 64}, {"shape": (1, 64, 1), "kernel_size": 24},
        {"shape": (1, 300, 1), "fft_length": 128, "n_filters": 1}),
    "FFTConv1D": _of(
        "FFTConv1D", *({**s, "padding": "same"} for s in _CONV[:4]), {"shape": (1, 20, 1), "activation": "relu"},
        {"shape": (1, 20, 1), "padding": "causal"}),
    "GaborConstraint": _of("GaborConstraint", {"shape": (4, 2)}, {"shape": (6, 2), "weights": "outside"}),
    "GaborConv1D": _of("GaborConv1D", *_CONV, {"shape": (1, 50, 1), "sort_filters": True, "filters": 8}),
    "NormalizedConv1D": _of("NormalizedConv1D", *_CONV),
    "SincConv1D": _of("SincConv1D", *_CONV, {"shape": (1, 50, 1), "sample_rate": 8000, "min_low_hz": 20.0}),
    "log_compression": _of("log_compression", {"shape": _FRAMES}, {"shape": _FRAMES, "log_offset": 1.0}),
    "SquaredModulus": _of("SquaredModulus", {"shape": (2, 20, 6)}, {"shape": (1, 7, 5)}),
    "Leaf": _of(
        "Leaf", *_FRONTEND,
        {**_SMALL, "compression": "fixed_pcen", "activation": "leaky_relu", "conv1d_cls": "SincConv1D",
         "complex_conv_init": "sinc"},
        {**_SMALL, "compression": "shared_pcen", "conv1d_cls": "NormalizedConv1D", **_PENALTY},
        {**_SMALL, "compression": "log", "conv1d_cls": "Conv1D", "pooling_cls": "LearnablePooling1D", **_PENALTY},
        {**_SMALL, "compression": "layer_norm", "conv1d_cls": "FFTConv1D",
         "pooling_cls": "ChannelWiseLearnablePooling1D", **_PENALTY},
        {**_SMALL, "compression": "none", "pooling_cls": "MaxPooling1D", "window_len": 8.5, "window_stride": 30.0}),
    # the initialiser of its pooling makes a window of 401 samples, whatever it is told: other windows are refused
    "TimeDomainFilterbanks": _of("TimeDomainFilterbanks", *_FRONTEND, {**_SMALL, "window_len": 16.0}),
    "SincNet": _of("SincNet", *_SINC),
    "SincNetPlus": _of("SincNetPlus", *_SINC),
    "MelFilterbanks": _of(
        "MelFilterbanks", _DEFAULT, {**_SMALL, "max_freq": 1900.0}, {**_DEFAULT, "compression": "none", "n_fft": 401},
        {**_DEFAULT, "shape": (2, 40, 1)}),
    "amplitude": _of("amplitude", {"shape": (25, 3, 2)}, {"shape": (16, 2, 2), "i": 1}),
    "gabor_impulse_response": _of("gabor_impulse_response", *({"shape": (25,), **t} for t in _TENSORS)),
    "gabor_filters": _of("gabor_filters", *({"shape": (3, 2), "size": n, **t} for n in (25, 24) for t in _TENSORS)),
    "sinc_impulse_response": _of("sinc_impulse_response", *({"shape": (25, 1), **t} for t in _TENSORS)),
    "sinc_filters": _of("sinc_filters", *({"shape": (1, 3), "size": n, **t} for n in (25, 24) for t in _TENSORS)),
    "gaussian_lowpass": _of(
        "gaussian_lowpass", *({"shape": (1, 1, 3, 1), "filter_size": n, **t} for n in (25, 24) for t in _TENSORS)),
    "PreempInit": _of("PreempInit", {"shape": (2, 1, 1)}, {"shape": (2, 1, 1), "alpha": 0.5}, {"shape": (3, 1, 1)}),
    "GaborInit": _of(
        "GaborInit", {"shape": (40, 2)}, {"shape": (25, 1, 8), "min_freq": 60.0, "max_freq": 7800.0},
        {"shape": (5, 2), "normalize_energy": True}, {"shape": (24, 1, 6), "normalize_energy": True}),
    "SincInit": _of("SincInit", {"shape": (40, 2)}, {"shape": (1, 2), "sample_rate": 8000}),
    "LowpassInit": _of(
        "LowpassInit", {"shape": (401, 1, 2)}, {"shape": (1, 401, 2, 1), "window_type": "HANNING"},
        {"shape": (101, 1, 2), "sample_rate": 4000, "window_type": "HAMMING"}, {"shape": (400, 1, 2)}),
    "Gabor": _of(
        "Gabor", {"n_filters": 5}, {"n_filters": 5, "normalize_energy": True},
        {"n_filters": 3, "property": "mel_filters"},
        {"n_filters": 3, "property": "mel_filters", "normalize_energy": True},
        {"n_filters": 3, "window_len": 25, "property": "gabor_filters"}),
    "LearnablePooling1D": _of("LearnablePooling1D", *_POOLING),
    "ChannelWiseLearnablePooling1D": _of("ChannelWiseLearnablePooling1D", *_POOLING),
    "GaussianLowpass": _of("GaussianLowpass", *_POOLING),
    "MaxPooling1D": _of("MaxPooling1D", *_POOLING),
    "ExponentialMovingAverage": _of(
        "ExponentialMovingAverage", {"shape": _FRAMES, "weights": "default"}, {"shape": _FRAMES, "weights": "outside"},
        {"shape": (1, 1, 2), "per_channel": False}),
    "PCENLayer": _of(
        "PCENLayer", {"shape": _FRAMES, "weights": "default"}, {"shape": _FRAMES, "weights": "outside"},
        {"shape": _FRAMES, "learn_smooth_coef": False}, {"shape": (1, 1, 2), "per_channel_smooth_coef": False},
        {"shape": _FRAMES, "trainable": False}),
    "SpecAugment": _of(
        "SpecAugment", {"shape": (2, 40, 12)}, {"shape": (1, 30, 20), "time_warp_max_frames": 0},
        {"shape": (1, 1, 5), "freq_mask_count": 0}, {"shape": (2, 30, 40), "time_mask_count": 0}),
    "hz2mel": _of("hz2mel", {"shape": (9,)}),
    "mel2hz": _of("mel2hz", {"shape": (9,)}),
    "window": _of(
        "window", {}, {"window_type": "HANNING", "tmax": 24}, {"window_type": "SQUARED_HANNING", "tmax": 25},
        {"tmax": 1}),
}  # fmt: skip
