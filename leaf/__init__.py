"""Simplified LEAF: a learnable Gabor filterbank, Gaussian pooling and PCEN, in PyTorch.

Argument names, defaults, numbers and state-dict keys are those of the simplified LEAF published with
EfficientLEAF (``model/leaf.py``, arXiv 2207.05508). The front end itself is LEAF (arXiv 2101.08596).
"""

from __future__ import annotations

from leaf._runtime.scan import exponential_moving_average
from leaf.filterbank import GaborFilterbank
from leaf.filters import gabor_filters, gauss_windows, mel_filter_params
from leaf.frontend import Leaf
from leaf.pcen import PCEN

__all__ = [
    "PCEN",
    "GaborFilterbank",
    "Leaf",
    "exponential_moving_average",
    "gabor_filters",
    "gauss_windows",
    "mel_filter_params",
]
