"""Compute LEAF in float64 with NumPy alone: forward, hand-written adjoints, running-error bounds."""

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
