"""Rung 1: LEAF in PyTorch, a one-to-one port; file by file and class by class as in the original.

Each file holds the classes of the original's file of the same name (google-research/leaf-audio,
``leaf_audio/``), where one file would be too long with a second beside it: ``fourier`` and ``padding`` beside
``convolution``, ``frontends`` beside ``frontend``. What the original takes from Keras lies in ``keras_layers``,
``constraints`` and ``regularizers``. Layouts are PyTorch's: audio [B, T] or [B, 1, T] in, features
[B, filters, frames] out, kernels [filters, channels, taps]. Where Keras infers a width from its input, the argument
is ``num_channels``. State-dict names are those of the published port (EfficientLEAF, ``model/OG_leaf.py``).
"""

from __future__ import annotations

from og_leaf.constraints import UnitNorm, project_after_step
from og_leaf.convolution import GaborConstraint, GaborConv1D, NormalizedConv1D, SincConv1D
from og_leaf.fourier import FFTConv1D, fft_conv1d, overlap_add_conv1d, upper_power_of_2
from og_leaf.frontend import Leaf, SquaredModulus, log_compression
from og_leaf.frontends import MelFilterbanks, SincNet, SincNetPlus, TimeDomainFilterbanks
from og_leaf.impulse_responses import (
    amplitude,
    gabor_filters,
    gabor_impulse_response,
    gaussian_lowpass,
    sinc_filters,
    sinc_impulse_response,
)
from og_leaf.initializers import Constant, GaborInit, GlorotUniform, LowpassInit, PreempInit, SincInit
from og_leaf.keras_layers import Conv1D, LayerNormalization, LeakyReLU
from og_leaf.melfilters import Gabor
from og_leaf.padding import same_padding
from og_leaf.pooling import ChannelWiseLearnablePooling1D, GaussianLowpass, LearnablePooling1D, MaxPooling1D
from og_leaf.postprocessing import ExponentialMovingAverage, InstanceNormalization, PCENLayer, SimpleRNN, SpecAugment
from og_leaf.regularizers import L1, L1L2, L2
from og_leaf.utils import WindowType, hz2mel, mel2hz, window

__all__ = [
    "L1",
    "L1L2",
    "L2",
    "ChannelWiseLearnablePooling1D",
    "Constant",
    "Conv1D",
    "ExponentialMovingAverage",
    "FFTConv1D",
    "Gabor",
    "GaborConstraint",
    "GaborConv1D",
    "GaborInit",
    "GaussianLowpass",
    "GlorotUniform",
    "InstanceNormalization",
    "LayerNormalization",
    "Leaf",
    "LeakyReLU",
    "LearnablePooling1D",
    "LowpassInit",
    "MaxPooling1D",
    "MelFilterbanks",
    "NormalizedConv1D",
    "PCENLayer",
    "PreempInit",
    "SimpleRNN",
    "SincConv1D",
    "SincInit",
    "SincNet",
    "SincNetPlus",
    "SpecAugment",
    "SquaredModulus",
    "TimeDomainFilterbanks",
    "UnitNorm",
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
    "project_after_step",
    "same_padding",
    "sinc_filters",
    "sinc_impulse_response",
    "upper_power_of_2",
    "window",
]
