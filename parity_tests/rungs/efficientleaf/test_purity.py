"""Rung 3 is a function: it changes neither its input nor itself, remembers no call and shares nothing."""

from __future__ import annotations

from parity.checks.nonfinite import nonfinite
from parity.checks.purity import purity


def test_is_a_function(ledger):
    measured = list(purity("efficientleaf"))
    assert measured
    for measurement in measured:
        ledger.check(measurement)


def test_nonfinite(ledger):
    for measurement in nonfinite("efficientleaf"):
        ledger.check(measurement)
