"""Rung 2 is a function: it changes neither its input nor itself, remembers no call and shares nothing."""

from __future__ import annotations

from parity.checks.nonfinite import beyond
from parity.checks.purity import purity


def test_is_a_function(ledger):
    measured = list(purity("leaf"))
    assert measured
    for measurement in measured:
        ledger.check(measurement)


def test_beyond_the_domain(ledger):
    for measurement in beyond("leaf"):
        ledger.check(measurement)
