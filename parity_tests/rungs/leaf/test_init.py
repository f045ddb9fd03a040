"""Initial values of a frontend of rung 2: mel filters, Gabor parameters, constants."""

from __future__ import annotations

from parity.checks.initial import initial

STARTS = {"init", "learnable_pooling/kernel", "PCEN/alpha", "PCEN/delta", "PCEN/root", "PCEN/EMA/smooth"}


def test_starts_from_the_published_values(ledger):
    measured = list(initial("leaf"))
    assert {m.stage for m in measured} >= STARTS
    for measurement in measured:
        ledger.check(measurement)
