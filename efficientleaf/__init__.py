"""EfficientLEAF: LEAF with kernels and strides fitted to groups of bands, in PyTorch.

Argument names, defaults, numbers and state-dict keys are those of the published implementation
(``model/efficientleaf.py``, arXiv 2207.05508).
"""

from __future__ import annotations

from efficientleaf.checks import SOURCES
from efficientleaf.compression import Log1p, LogTBN, TemporalBatchNorm
from efficientleaf.filterbank import Group, GroupedGaborFilterbank
from efficientleaf.frontend import EfficientLeaf
from efficientleaf.tolerance import Plan, ToleranceFilterbank

__all__ = [
    "SOURCES",
    "EfficientLeaf",
    "Group",
    "GroupedGaborFilterbank",
    "Log1p",
    "LogTBN",
    "Plan",
    "TemporalBatchNorm",
    "ToleranceFilterbank",
]
