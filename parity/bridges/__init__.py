"""Carrying parameters between the rungs, by names and NumPy arrays."""

from parity.bridges.converting import convert
from parity.bridges.loading import load_weights

__all__ = ["convert", "load_weights"]
