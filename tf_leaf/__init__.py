"""Rung 0: LEAF on today's TensorFlow, Keras 3 layers over the operations of the original, in its order.

Each file holds the classes of the original's file of the same name (google-research/leaf-audio,
``leaf_audio/``). Layouts are TensorFlow's: audio [B, T] or [B, T, 1] in, features [B, frames, filters] out.
"""

from __future__ import annotations

from tf_leaf.convolution import GaborConstraint, GaborConv1D
from tf_leaf.frontend import Leaf, SquaredModulus, log_compression
from tf_leaf.impulse_responses import gabor_filters, gabor_impulse_response, gaussian_lowpass
from tf_leaf.initializers import GaborInit, PreempInit
from tf_leaf.melfilters import Gabor
from tf_leaf.pooling import GaussianLowpass
from tf_leaf.postprocessing import ExponentialMovingAverage, InstanceNormalization, PCENLayer

__all__ = [
    "ExponentialMovingAverage",
    "Gabor",
    "GaborConstraint",
    "GaborConv1D",
    "GaborInit",
    "GaussianLowpass",
    "InstanceNormalization",
    "Leaf",
    "PCENLayer",
    "PreempInit",
    "SquaredModulus",
    "gabor_filters",
    "gabor_impulse_response",
    "gaussian_lowpass",
    "log_compression",
]
