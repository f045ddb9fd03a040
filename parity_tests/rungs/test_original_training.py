"""``tf_leaf`` and ``og_leaf`` step as the original did: ten steps of each lesson, and steps through every limit."""

from __future__ import annotations

import pytest

import og_leaf
from parity.adapters.canonical import KERNEL
from parity_tests.helpers.rungs import one
from parity_tests.helpers.training_steps import CLAMPED, LESSONS, check_lesson, recorded, refused


@pytest.mark.parametrize("name", LESSONS)
@pytest.mark.parametrize("rung", [one("tf_leaf"), one("og_leaf")])
def test_steps_of_the_original(rung, name, ledger):
    check_lesson(rung, name, ledger)


@pytest.mark.usefixtures("tensorflow")
@pytest.mark.tf_leaf
def test_an_optimizer_that_does_nothing_is_noticed():
    def idle(trainer):
        trainer._apply = lambda gradients: None

    assert {KERNEL, "PCEN/alpha", "PCEN/delta", "PCEN/root"} <= refused("tf_leaf", "from_every_limit", idle)


@pytest.mark.parametrize("name", LESSONS)
@pytest.mark.og_leaf
def test_an_optimizer_that_does_nothing_is_noticed_at_every_variable(name):
    def idle(trainer):
        trainer.optimizer.step = lambda: None

    moved = {key.split("/before/")[1] for key in recorded(name) if "/before/" in key and "simple_rnn" not in key}
    if name == "outside_every_limit":  # where these have no gradient
        moved -= {"learnable_pooling/kernel", "PCEN/EMA/smooth"}
    assert refused("og_leaf", name, idle) == moved


@pytest.mark.parametrize("name", CLAMPED)
@pytest.mark.parametrize("rung", [one("tf_leaf"), one("og_leaf")])
def test_a_missing_projection_is_noticed(rung, name, monkeypatch):
    def plain(trainer):
        rate = trainer.rule.learning_rate
        trainer._apply = lambda found: [
            w.assign_sub(rate * g) for w, g in zip(trainer.weights.values(), found, strict=True)
        ]

    monkeypatch.setattr(og_leaf, "project_after_step", lambda optimizer, module: None)
    assert refused(rung, name, plain if rung == "tf_leaf" else lambda trainer: None) == {KERNEL}


@pytest.mark.parametrize("name", ["ten_steps", "ten_steps_log_norm", "from_every_limit"])
@pytest.mark.og_leaf
def test_a_rate_that_is_off_by_a_few_roundings_of_the_limit_is_noticed(name):
    def spoil(trainer):
        trainer.optimizer.param_groups[0]["lr"] *= 1 + 2.0**-12

    assert {KERNEL, "learnable_pooling/kernel"} <= refused("og_leaf", name, spoil)
