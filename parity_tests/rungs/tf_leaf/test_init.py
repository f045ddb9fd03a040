"""Initial values of a frontend of rung 0: mel filters, Gabor parameters, constants."""

from __future__ import annotations

import pytest

from parity.checks.initial import initial

pytestmark = pytest.mark.usefixtures("tensorflow")

STARTS = {
    "mel", "init", "learnable_pooling/kernel", "PCEN/alpha", "PCEN/delta", "PCEN/root", "PCEN/EMA/smooth",
    "tfbanks_preemp/kernel", "tfbanks_instancenorm/gamma", "tfbanks_instancenorm/beta",
}  # fmt: skip


def test_starts_from_the_published_values(ledger):
    measured = list(initial("tf_leaf"))
    assert {m.stage for m in measured} >= STARTS
    for measurement in measured:
        ledger.check(measurement)
