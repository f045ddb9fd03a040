"""Rung 2 trains as rung 1 does: single steps, and a hundred on its own."""

from __future__ import annotations

from parity.checks import training


def test_single_steps(ledger):
    for measurement in training.teacher_forced("leaf"):
        ledger.check(measurement)


def test_a_hundred_steps(ledger):
    for measurement in training.free_run("leaf"):
        ledger.check(measurement)
