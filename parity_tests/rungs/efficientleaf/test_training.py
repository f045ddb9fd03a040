"""Rung 3 with its approximation off trains as rung 2 does: single steps, and a hundred on its own."""

from __future__ import annotations

from parity.checks import training


def test_single_steps(ledger):
    for measurement in training.teacher_forced("efficientleaf"):
        ledger.check(measurement)


def test_a_hundred_steps(ledger):
    for measurement in training.free_run("efficientleaf"):
        ledger.check(measurement)
