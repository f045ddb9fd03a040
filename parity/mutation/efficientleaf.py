"""Rung 3's planted faults, and the reformulations that must pass."""

from __future__ import annotations

import math

import torch

from efficientleaf.filterbank import GroupedGaborFilterbank
from parity.mutation import efficientleaf_compression, efficientleaf_filterbank
from parity.mutation.efficientleaf_compression import by_sorting, exponent, filtering, normalising
from parity.mutation.efficientleaf_filterbank import decimated, in_reverse
from parity.mutation.planting import Benign, Fault, replaced

FAULTS: tuple[Fault, ...] = (*efficientleaf_filterbank.FAULTS, *efficientleaf_compression.FAULTS)

BENIGN: tuple[Benign, ...] = (
    Benign("efficientleaf/convolution-decimated", "efficientleaf",
           "the convolution at full rate, of which every stride-th sample is kept", "what a strided convolution is",
           replaced((GroupedGaborFilterbank, "convolve", decimated))),
    Benign("efficientleaf/groups-in-reverse", "efficientleaf", "the groups from the last to the first, put in order",
           "a permutation and its inverse", replaced((GroupedGaborFilterbank, "forward", in_reverse))),
    Benign("efficientleaf/power-by-exponential", "efficientleaf", "exp(a log 10) for 10^a", "the definition of a power",
           exponent(lambda a: torch.exp(a * math.log(10)))),
    Benign("efficientleaf/median-by-sorting", "efficientleaf", "the lower median out of the sorted frames",
           "what the lower median is", filtering(by_sorting)),
    Benign("efficientleaf/norm-written-out", "efficientleaf", "mean, variance and quotient as operations of their own",
           "the formula of batch normalisation", normalising()),
)  # fmt: skip
