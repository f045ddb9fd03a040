"""Rung 0 on drawn configurations, against the float64 oracle alone: no rung is below it."""

from __future__ import annotations

import pytest

from parity_tests.helpers.drawn import check_alone, check_searched, check_there_and_back

pytestmark = pytest.mark.usefixtures("tensorflow")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_stage_and_gradient(dtype, ledger):
    check_alone("tf_leaf", ledger, dtype)


def test_parameters_survive_the_way_there_and_back(ledger):
    check_there_and_back("tf_leaf", ledger)


def test_the_worst_that_was_searched(ledger):
    check_searched("tf_leaf", ledger)
