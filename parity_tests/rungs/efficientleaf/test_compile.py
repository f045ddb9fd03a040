"""Rung 3 under torch.compile, in one graph and at any batch and length."""

from __future__ import annotations

import shutil

import pytest

from parity.checks.exports import Subject, graphs


def test_in_one_graph(ledger):
    for measurement in graphs(Subject("efficientleaf", seed=3), "aot_eager"):
        ledger.check(measurement)


@pytest.mark.skipif(shutil.which("g++") is None, reason="inductor compiles C++")
def test_inductor(ledger):
    for measurement in graphs(Subject("efficientleaf", seed=3), "inductor"):
        ledger.check(measurement)
