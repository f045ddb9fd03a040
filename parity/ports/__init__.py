"""Certify a port that nobody here has seen: describe it in a few lines, run pytest, read where it departs.

``Port`` says which module, which rung it claims to be, where its parameters and stages are and how its axes lie;
``certify`` makes the tests. TensorFlow is not needed: the reference is the claimed PyTorch rung, and the oracle.
"""

from __future__ import annotations

from typing import Any

from parity.ports.certifying import certify
from parity.ports.port import Port

__all__ = ["Port", "certify"]


def __getattr__(name: str) -> Any:
    if name == "suite":
        import warnings

        warnings.warn(
            "parity.ports.certifying is parity.certify; the old name goes in 0.3", DeprecationWarning, stacklevel=2
        )
        return certify
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
