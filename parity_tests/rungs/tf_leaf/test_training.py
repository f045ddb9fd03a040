"""Rung 0 takes the steps that mathematics says: parameters and slots against the oracle."""

from __future__ import annotations

import pytest

from parity.checks import training

pytestmark = pytest.mark.usefixtures("tensorflow")


def test_single_steps(ledger):
    for measurement in training.teacher_forced("tf_leaf"):
        ledger.check(measurement)
