"""The public names of the original: what of each can be compared, and its arguments. The standard library alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

NAME_PROPERTIES = ("forward", "gradient", "weights", "training")
KINDS = ("frontend", "layer", "function", "initializer", "constraint", "class", "enum")


@dataclass(frozen=True)
class PublicName:
    """One public name of ``leaf_audio``.

    Attributes:
        name: of the class or function.
        module: file of the original that defines it, without ``.py``.
        kind: one of ``KINDS``.
        properties: those of ``NAME_PROPERTIES`` that it has: ``forward`` (what it computes), ``gradient`` (by the input
            and what is learned), ``weights`` (names, shapes and initial values) and ``training`` (what the steps of an
            optimiser make of them, with regularisation and constraints).
        reasons: why it has not the others.
    """

    name: str
    module: str
    kind: str
    properties: tuple[str, ...]
    reasons: Mapping[str, str] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"kind={self.kind!r}: must be one of {KINDS}")
        if sorted([*self.properties, *self.reasons]) != sorted(NAME_PROPERTIES):
            raise ValueError(f"{self.name}: each of {NAME_PROPERTIES} must be a property or have a reason")


_NO_WEIGHTS = {"weights": "has no weights", "training": "has no weights"}


def _learned(module: str, kind: str, *names: str) -> tuple[PublicName, ...]:
    return tuple(PublicName(name, module, kind, NAME_PROPERTIES) for name in names)


def _weightless(module: str, kind: str, *names: str) -> tuple[PublicName, ...]:
    return tuple(PublicName(name, module, kind, ("forward", "gradient"), _NO_WEIGHTS) for name in names)


def _constant(module: str, kind: str, why: str, *names: str) -> tuple[PublicName, ...]:
    return tuple(PublicName(name, module, kind, ("forward",), {"gradient": why, **_NO_WEIGHTS}) for name in names)


PUBLIC: tuple[PublicName, ...] = (
    *_constant("convolution", "function", "gives an integer", "upper_power_of_2"),
    *_weightless("convolution", "function", "fft_conv1d", "overlap_add_conv1d"),
    *_learned("convolution", "layer", "FFTConv1D"),
    *_weightless("convolution", "constraint", "GaborConstraint"),
    *_learned("convolution", "layer", "GaborConv1D", "NormalizedConv1D", "SincConv1D"),
    *_weightless("frontend", "function", "log_compression"),
    *_weightless("frontend", "layer", "SquaredModulus"),
    *_learned("frontend", "frontend", "Leaf", "TimeDomainFilterbanks", "SincNet", "SincNetPlus"),
    *_weightless("frontend", "frontend", "MelFilterbanks"),
    *_weightless(
        "impulse_responses", "function",
        "amplitude", "gabor_impulse_response", "gabor_filters", "sinc_impulse_response", "sinc_filters",
        "gaussian_lowpass"),
    *_constant("initializers", "initializer", "gives constants", "PreempInit", "GaborInit", "SincInit", "LowpassInit"),
    *_constant("melfilters", "class", "gives constants", "Gabor"),
    *_learned("pooling", "layer", "LearnablePooling1D", "ChannelWiseLearnablePooling1D", "GaussianLowpass"),
    *_weightless("pooling", "layer", "MaxPooling1D"),
    *_learned("postprocessing", "layer", "ExponentialMovingAverage", "PCENLayer"),
    *_weightless("postprocessing", "layer", "SpecAugment"),
    *_constant("utils", "function", "is computed by NumPy", "hz2mel", "mel2hz"),
    PublicName("WindowType", "utils", "enum", (), dict.fromkeys(NAME_PROPERTIES, "three names, which compute nothing")),
    *_constant("utils", "function", "is computed by NumPy", "window"),
)  # fmt: skip


def public(name: str) -> PublicName:
    """Find the entry of a public name; raises KeyError where the original has none such."""
    return {entry.name: entry for entry in PUBLIC}[name]


REQUIRED = "required"  # has no default
OBJECT = "object"  # the default is a layer, initialiser or class: what stands for it is told by a docstring
OF_KERAS = "keras"  # of the Keras layer that the class extends

_CONV: dict[str, Any] = dict.fromkeys(
    ("filters", "kernel_size", "strides", "padding", "use_bias", "input_shape", "kernel_initializer",
     "kernel_regularizer", "name", "trainable"), REQUIRED)  # fmt: skip
_POOLING: dict[str, Any] = {
    "kernel_size": REQUIRED, "strides": 1, "padding": "same", "use_bias": True, "kernel_initializer": "glorot_uniform",
    "kernel_regularizer": None, "trainable": False,
}  # fmt: skip

SIGNATURES: dict[str, dict[str, Any] | str] = {
    "upper_power_of_2": {"length": REQUIRED},
    "fft_conv1d": {"inputs": REQUIRED, "filters": REQUIRED},
    "overlap_add_conv1d": {"inputs": REQUIRED, "filters": REQUIRED, "fft_length": 4096},
    "FFTConv1D": OF_KERAS,
    "GaborConstraint": {"kernel_size": REQUIRED},
    "GaborConv1D": {**_CONV, "sort_filters": False},
    "NormalizedConv1D": _CONV,
    "SincConv1D": {**_CONV, "sample_rate": 16000, "min_low_hz": 50.0, "min_band_hz": 50.0},
    "log_compression": {"inputs": REQUIRED, "log_offset": 1e-5},
    "SquaredModulus": {},
    "Leaf": {
        "learn_pooling": True, "learn_filters": True, "conv1d_cls": OBJECT, "activation": OBJECT,
        "pooling_cls": OBJECT, "n_filters": 40, "sample_rate": 16000, "window_len": 25.0, "window_stride": 10.0,
        "compression_fn": OBJECT, "preemp": False, "preemp_init": OBJECT, "complex_conv_init": OBJECT,
        "pooling_init": OBJECT, "regularizer_fn": None, "mean_var_norm": False, "spec_augment": False, "name": "leaf"},
    "TimeDomainFilterbanks": {"sample_rate": 16000, "name": "tfbanks"},
    "SincNet": {"name": "sincnet"},
    "SincNetPlus": {"name": "sincnet_plus"},
    "MelFilterbanks": {
        "n_filters": 40, "sample_rate": 16000, "n_fft": 512, "window_len": 25.0, "window_stride": 10.0,
        "compression_fn": OBJECT, "min_freq": 60.0, "max_freq": 7800.0},
    "amplitude": {"filters": REQUIRED, "i": REQUIRED},
    "gabor_impulse_response": {"t": REQUIRED, "center": REQUIRED, "fwhm": REQUIRED},
    "gabor_filters": {"kernel": REQUIRED, "size": 401},
    "sinc_impulse_response": {"t": REQUIRED, "frequency": REQUIRED},
    "sinc_filters": {"cutoff_freq_low": REQUIRED, "cutoff_freq_high": REQUIRED, "size": 401, "sample_rate": 16000},
    "gaussian_lowpass": {"sigma": REQUIRED, "filter_size": REQUIRED},
    "PreempInit": {"alpha": 0.97},
    "GaborInit": {},  # takes those of Gabor by keyword
    "SincInit": {"sample_rate": 16000, "min_low_hz": 50.0, "min_band_hz": 50.0},
    "LowpassInit": {"sample_rate": 16000, "window_len": 25.0, "window_type": OBJECT},
    "Gabor": {
        "n_filters": 40, "min_freq": 0.0, "max_freq": 8000.0, "sample_rate": 16000, "window_len": 401, "n_fft": 512,
        "normalize_energy": False},
    "LearnablePooling1D": _POOLING,
    "ChannelWiseLearnablePooling1D": _POOLING,
    "GaussianLowpass": _POOLING,
    "MaxPooling1D": _POOLING,
    "ExponentialMovingAverage": {"coeff_init": REQUIRED, "per_channel": False, "trainable": False},
    "PCENLayer": {
        "alpha": 0.96, "smooth_coef": 0.04, "delta": 2.0, "root": 2.0, "floor": 1e-6, "trainable": False,
        "learn_smooth_coef": False, "per_channel_smooth_coef": False, "name": "PCEN"},
    "SpecAugment": {
        "freq_mask_max_bins": 10, "freq_mask_count": 2, "time_mask_max_frames": 10, "time_mask_count": 2,
        "time_mask_max_ratio": 1.0, "time_warp_max_frames": 8, "time_warp_max_ratio": 1.0},
    "hz2mel": {"f": REQUIRED},
    "mel2hz": {"m": REQUIRED},
    "WindowType": {},
    "window": {"window_type": REQUIRED, "tmax": REQUIRED},
}  # fmt: skip

WINDOW_TYPES = {"HAMMING": 1, "HANNING": 2, "SQUARED_HANNING": 3}  # the members of WindowType
