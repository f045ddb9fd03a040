"""Planted faults and benign changes: the proof that the certificate can fail, how finely it sees, and on what it fails.

Imports nothing by itself, because mutants of a rung must be in place before the rung is imported.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from parity.mutation.planting import Benign, Fault


def faults() -> tuple[Fault, ...]:
    """Every planted fault, up the ladder; a rung is imported once a fault is planted into it."""
    from parity.mutation import efficientleaf, leaf, og_leaf, tf_leaf

    return (*tf_leaf.FAULTS, *og_leaf.FAULTS, *leaf.FAULTS, *efficientleaf.FAULTS)


def benign() -> tuple[Benign, ...]:
    """Every reformulation that must pass."""
    from parity.mutation import efficientleaf, leaf, og_leaf, tf_leaf

    return (*tf_leaf.BENIGN, *og_leaf.BENIGN, *leaf.BENIGN, *efficientleaf.BENIGN)
