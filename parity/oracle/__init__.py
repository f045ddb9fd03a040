"""LEAF in plain NumPy float64: forward and hand-written adjoints. It calls no rung and no torch."""

from parity.oracle.bounds import LeafBounds
from parity.oracle.filterbank import Box, Geometry, Group, plan_groups
from parity.oracle.frontend import ORIGINAL, SIMPLIFIED, Conventions, LeafOracle
from parity.oracle.mel import analytic_init, measured_init, measured_init_margin, mel_matrix
from parity.oracle.running import Precision, Running

__all__ = [
    "ORIGINAL",
    "SIMPLIFIED",
    "Box",
    "Conventions",
    "Geometry",
    "Group",
    "LeafBounds",
    "LeafOracle",
    "Precision",
    "Running",
    "analytic_init",
    "measured_init",
    "measured_init_margin",
    "mel_matrix",
    "plan_groups",
]
