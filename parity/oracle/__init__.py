"""Compute LEAF in float64 with NumPy alone: stages, each with value, hand-written adjoint and running-error bound."""

from parity.oracle.config import ORIGINAL, SIMPLIFIED, Conventions
from parity.oracle.geometry import Box, Geometry, Group, plan_groups
from parity.oracle.leaf import LeafBounds, LeafOracle, LeafRun
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
    "LeafRun",
    "Precision",
    "Running",
    "analytic_init",
    "measured_init",
    "measured_init_margin",
    "mel_matrix",
    "plan_groups",
]
