"""Every fault and reformulation that is planted into ``og_leaf``, in the order of its stages."""

from __future__ import annotations

from parity.mutation import og_leaf_benign, og_leaf_compression, og_leaf_filterbank
from parity.mutation.planting import Benign, Fault

FAULTS: tuple[Fault, ...] = (*og_leaf_filterbank.FAULTS, *og_leaf_compression.FAULTS)
BENIGN: tuple[Benign, ...] = og_leaf_benign.BENIGN
