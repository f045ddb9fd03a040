"""Rung 1 steps as the original did: ten steps of each lesson, and steps through every limit."""

from __future__ import annotations

import pytest

import og_leaf
from parity.adapters.canonical import KERNEL
from parity_tests.helpers.training_steps import CLAMPED, LESSONS, check_lesson, recorded, refused


@pytest.mark.parametrize("name", LESSONS)
def test_steps_of_the_original(name, ledger):
    check_lesson("og_leaf", name, ledger)


def idle(trainer) -> None:
    trainer.optimizer.step = lambda: None


@pytest.mark.parametrize("name", LESSONS)
def test_an_optimizer_that_does_nothing_is_noticed_at_every_variable(name):
    moved = {key.split("/before/")[1] for key in recorded(name) if "/before/" in key and "simple_rnn" not in key}
    if name == "outside_every_limit":  # where these have no gradient
        moved -= {"learnable_pooling/kernel", "PCEN/EMA/smooth"}
    assert refused("og_leaf", name, idle) == moved


@pytest.mark.parametrize("name", CLAMPED)
def test_a_missing_projection_is_noticed(name, monkeypatch):
    monkeypatch.setattr(og_leaf, "project_after_step", lambda optimizer, module: None)
    assert refused("og_leaf", name, lambda trainer: None) == {KERNEL}


@pytest.mark.parametrize("name", ["ten_steps", "ten_steps_log_norm", "from_every_limit"])
def test_a_rate_that_is_off_by_a_few_roundings_of_the_limit_is_noticed(name):
    def spoil(trainer):
        trainer.optimizer.param_groups[0]["lr"] *= 1 + 2.0**-12

    assert {KERNEL, "learnable_pooling/kernel"} <= refused("og_leaf", name, spoil)
