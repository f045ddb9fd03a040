"""LEAF at the cost of a few spectra (docstring to come)."""

from __future__ import annotations

from efficientleaf.tolerance.module import ToleranceFilterbank
from efficientleaf.tolerance.plan import Plan

__all__ = ["Plan", "ToleranceFilterbank"]
