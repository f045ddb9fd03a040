"""Rung 0: LEAF on today's TensorFlow, Keras 3 layers over the operations of the original, in its order.

Each file holds the classes of the original's file of the same name (google-research/leaf-audio, ``leaf_audio/``); where
that would not fit, ``convolution`` continues in ``fourier``, ``frontend`` in ``frontends`` and ``postprocessing`` in
``spectrum_augmenter``. Layouts are TensorFlow's: audio [B, T] or [B, T, 1] in, features [B, frames, filters] out.
"""

from __future__ import annotations

from tf_leaf.convolution import GaborConstraint, GaborConv1D, NormalizedConv1D, SincConv1D
from tf_leaf.fourier import FFTConv1D, fft_conv1d, overlap_add_conv1d, upper_power_of_2
from tf_leaf.frontend import Leaf, SquaredModulus, log_compression
from tf_leaf.frontends import MelFilterbanks, SincNet, SincNetPlus, TimeDomainFilterbanks
from tf_leaf.impulse_responses import (
    amplitude,
    gabor_filters,
    gabor_impulse_response,
    gaussian_lowpass,
    sinc_filters,
    sinc_impulse_response,
)
from tf_leaf.initializers import GaborInit, LowpassInit, PreempInit, SincInit
from tf_leaf.keras_layers import LayerNormalization
from tf_leaf.melfilters import Gabor
from tf_leaf.pooling import ChannelWiseLearnablePooling1D, GaussianLowpass, LearnablePooling1D, MaxPooling1D
from tf_leaf.postprocessing import ExponentialMovingAverage, InstanceNormalization, PCENLayer, SpecAugment
from tf_leaf.utils import WindowType, hz2mel, mel2hz, window

__all__ = [
    "ChannelWiseLearnablePooling1D",
    "ExponentialMovingAverage",
    "FFTConv1D",
    "Gabor",
    "GaborConstraint",
    "GaborConv1D",
    "GaborInit",
    "GaussianLowpass",
    "InstanceNormalization",
    "LayerNormalization",
    "Leaf",
    "LearnablePooling1D",
    "LowpassInit",
    "MaxPooling1D",
    "MelFilterbanks",
    "NormalizedConv1D",
    "PCENLayer",
    "PreempInit",
    "SincConv1D",
    "SincInit",
    "SincNet",
    "SincNetPlus",
    "SpecAugment",
    "SquaredModulus",
    "TimeDomainFilterbanks",
    "WindowType",
    "amplitude",
    "fft_conv1d",
    "gabor_filters",
    "gabor_impulse_response",
    "gaussian_lowpass",
    "hz2mel",
    "log_compression",
    "mel2hz",
    "overlap_add_conv1d",
    "sinc_filters",
    "sinc_impulse_response",
    "upper_power_of_2",
    "window",
]
