"""Gradients on the limits of every rung's parameters and energies, on both sides of each."""

from __future__ import annotations

import pytest

from parity.checks.ties import ties
from parity_tests.helpers.rungs import one

LIMITED = {"kernel", "learnable_pooling/kernel", "PCEN/alpha", "PCEN/root", "floor"}
SMOOTHER, DELTA = {"PCEN/EMA/smooth"}, {"PCEN/delta"}


@pytest.mark.parametrize(("rung", "more"), [
    one("tf_leaf", SMOOTHER),
    one("og_leaf", SMOOTHER),
    one("leaf", DELTA),
    one("efficientleaf", DELTA),
])  # fmt: skip
def test_gradient_is_whole_on_every_limit_and_zero_beyond(rung, more, ledger):
    measured = list(ties(rung))
    assert {m.stage for m in measured if m.property != "status"} == LIMITED | more
    for measurement in measured:
        ledger.check(measurement)
