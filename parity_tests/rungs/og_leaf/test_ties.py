"""Gradients of rung 1 on the limits of its parameters and energies, on both sides of each."""

from __future__ import annotations

from parity.checks.ties import ties

LIMITED = {"kernel", "learnable_pooling/kernel", "PCEN/alpha", "PCEN/root", "PCEN/EMA/smooth", "floor"}


def test_gradient_is_whole_on_every_limit_and_zero_beyond(ledger):
    measured = list(ties("og_leaf"))
    assert {m.stage for m in measured if m.property != "status"} == LIMITED
    for measurement in measured:
        ledger.check(measurement)
