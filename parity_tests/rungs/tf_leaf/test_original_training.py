"""Rung 0 steps as the original did: ten steps of each lesson, and steps through every limit."""

from __future__ import annotations

import pytest

from parity.adapters.canonical import KERNEL
from parity_tests.helpers.training_steps import CLAMPED, LESSONS, check_lesson, refused

pytestmark = pytest.mark.usefixtures("tensorflow")


@pytest.mark.parametrize("name", LESSONS)
def test_steps_of_the_original(name, ledger):
    check_lesson("tf_leaf", name, ledger)


def test_an_optimizer_that_does_nothing_is_noticed():
    def idle(trainer):
        trainer._apply = lambda gradients: None

    assert {KERNEL, "PCEN/alpha", "PCEN/delta", "PCEN/root"} <= refused("tf_leaf", "from_every_limit", idle)


@pytest.mark.parametrize("name", CLAMPED)
def test_a_missing_projection_is_noticed(name):
    def plain(trainer):
        rate = trainer.rule.learning_rate
        trainer._apply = lambda found: [
            w.assign_sub(rate * g) for w, g in zip(trainer.weights.values(), found, strict=True)
        ]

    assert refused("tf_leaf", name, plain) == {KERNEL}
