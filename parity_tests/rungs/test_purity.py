"""Every rung is a function: it changes neither its input nor itself, remembers no call and shares nothing."""

from __future__ import annotations

import pytest

from parity.checks.nonfinite import nonfinite
from parity.checks.purity import purity
from parity_tests.helpers.rungs import EVERY


@pytest.mark.parametrize("rung", EVERY)
def test_is_a_function(rung, ledger):
    measured = list(purity(rung))
    assert measured
    for measurement in measured:
        ledger.check(measurement)


@pytest.mark.parametrize("rung", EVERY)
def test_nonfinite(rung, ledger):
    for measurement in nonfinite(rung):
        ledger.check(measurement)
