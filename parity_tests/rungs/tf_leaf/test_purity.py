"""Rung 0 is a function: it changes neither its input nor itself, remembers no call and shares nothing."""

from __future__ import annotations

import pytest

from parity.checks.nonfinite import nonfinite
from parity.checks.purity import purity

pytestmark = pytest.mark.usefixtures("tensorflow")


def test_is_a_function(ledger):
    measured = list(purity("tf_leaf"))
    assert measured
    for measurement in measured:
        ledger.check(measurement)


def test_nonfinite(ledger):
    for measurement in nonfinite("tf_leaf"):
        ledger.check(measurement)
