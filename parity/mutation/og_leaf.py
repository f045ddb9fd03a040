"""Every fault and reformulation that is planted into ``og_leaf``, in the order of the ladder's taps."""

from __future__ import annotations

from parity.mutation import (
    og_leaf_benign,
    og_leaf_filterbank,
    og_leaf_filters,
    og_leaf_init,
    og_leaf_module,
    og_leaf_pcen,
)
from parity.mutation.planting import Benign, Fault

FAULTS: tuple[Fault, ...] = (
    *og_leaf_init.FAULTS,
    *og_leaf_filters.FAULTS,
    *og_leaf_filterbank.FAULTS,
    *og_leaf_pcen.FAULTS,
    *og_leaf_module.FAULTS,
)
BENIGN: tuple[Benign, ...] = (*og_leaf_init.BENIGN, *og_leaf_benign.BENIGN)
