"""Rung 1: LEAF in PyTorch, a one-to-one port; file by file and class by class as in the original.

Each file holds the classes of the original's file of the same name (google-research/leaf-audio,
``leaf_audio/``). Layouts are PyTorch's: audio [B, T] or [B, 1, T] in, features [B, filters, frames] out.
Where Keras infers a width from its input, the argument is ``num_channels``. State-dict names are those of the
published port (EfficientLEAF, ``model/OG_leaf.py``).
"""

from __future__ import annotations

from og_leaf.convolution import GaborConstraint, GaborConv1D, project_after_step, same_padding
from og_leaf.frontend import Leaf, SquaredModulus, log_compression
from og_leaf.impulse_responses import gabor_filters, gabor_impulse_response, gaussian_lowpass
from og_leaf.initializers import Constant, GaborInit, GlorotUniform, PreempInit
from og_leaf.melfilters import Gabor
from og_leaf.pooling import GaussianLowpass
from og_leaf.postprocessing import ExponentialMovingAverage, InstanceNormalization, PCENLayer, SimpleRNN

__all__ = [
    "Constant",
    "ExponentialMovingAverage",
    "Gabor",
    "GaborConstraint",
    "GaborConv1D",
    "GaborInit",
    "GaussianLowpass",
    "GlorotUniform",
    "InstanceNormalization",
    "Leaf",
    "PCENLayer",
    "PreempInit",
    "SimpleRNN",
    "SquaredModulus",
    "gabor_filters",
    "gabor_impulse_response",
    "gaussian_lowpass",
    "log_compression",
    "project_after_step",
    "same_padding",
]
