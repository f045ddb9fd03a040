"""Carrying parameters between the rungs, by names and NumPy arrays."""

from parity.bridges.converting import convert
from parity.bridges.loading import load_weights
from parity.bridges.stored import load

__all__ = ["convert", "load", "load_weights"]
