"""Rungs 2 and 3 under torch.compile, in one graph and at any batch and length."""

from __future__ import annotations

import shutil

import pytest

from parity.checks.exports import Subject, graphs
from parity_tests.helpers.rungs import one

BOTH = [one("leaf"), one("efficientleaf")]


@pytest.mark.parametrize("rung", BOTH)
def test_in_one_graph(rung, ledger):
    for measurement in graphs(Subject(rung, seed=3), "aot_eager"):
        ledger.check(measurement)


@pytest.mark.skipif(shutil.which("g++") is None, reason="inductor compiles C++")
@pytest.mark.parametrize("rung", BOTH)
def test_inductor(rung, ledger):
    for measurement in graphs(Subject(rung, seed=3), "inductor"):
        ledger.check(measurement)
