"""Certify a port that nobody here has seen: describe it in a few lines, run pytest, read where it departs.

``Port`` says which module, which rung it claims to be, where its parameters and stages are and how its axes lie;
``suite`` makes the tests. TensorFlow is not needed: the reference is the claimed PyTorch rung, and the oracle.
"""

from __future__ import annotations

from parity.ports.port import Port
from parity.ports.suite import suite

__all__ = ["Port", "suite"]
