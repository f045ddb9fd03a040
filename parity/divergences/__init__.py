"""Declare and size every place where two implementations differ on purpose, as data."""

from __future__ import annotations

from parity.divergences import efficient, original, simplified
from parity.divergences.divergence import Divergence

__all__ = ["DIVERGENCES", "Divergence", "divergence"]

DIVERGENCES: tuple[Divergence, ...] = (
    *original.DIVERGENCES,
    *simplified.DIVERGENCES,
    *efficient.DIVERGENCES,
)


def divergence(name: str) -> Divergence:
    """The declared divergence of that name.

    Raises:
        KeyError: none has it.
    """
    return {d.name: d for d in DIVERGENCES}[name]
