"""A reference executed again in ways that keep its meaning: what its own rounding is worth.

Imports no framework until :func:`measure` is called.
"""

from parity.checks.reexecution.factors import Envelope, Evidence, Factors, factors_of, measure

__all__ = ["Envelope", "Evidence", "Factors", "factors_of", "measure"]
