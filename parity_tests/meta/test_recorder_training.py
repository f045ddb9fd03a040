"""The recorded steps say what they must: long enough steps, and every limit reached, stood on and left behind."""

from __future__ import annotations

import numpy as np
import pytest

from fixtures import store, training
from parity.adapters.canonical import KERNEL
from parity.criteria import AtMost
from parity.oracle.geometry import Box
from parity_tests.helpers.training_steps import LESSONS, MEANINGFUL, Step, recorded
from parity_tests.meta.test_goldens import REDRAWN

LEAST_STEP = AtMost(1.0, "the step in units of 1e-3 of the parameter, inverted")
LIMITED = {"learnable_pooling/kernel", "PCEN/alpha", "PCEN/root", "PCEN/EMA/smooth"}


def steps(name):
    """The original's steps, as if the rung were the original."""
    case, arrays = training.find(name), recorded(name)
    for k in range(case.n_steps):
        after = store.below(arrays, f"step{k}/after")
        for variable, before in store.below(arrays, f"step{k}/before").items():
            yield Step(case, k, variable, before, after[variable], after[variable])


def test_manifest_and_cases_are_the_same():
    manifest = store.read_manifest(store.TRAINING)
    assert manifest["source"]["label"] == "original"
    assert list(manifest["cases"]) == [case.name for case in training.TRAINING_CASES]
    for case in training.TRAINING_CASES:
        assert manifest["cases"][case.name]["case"] == str(case)


@pytest.mark.parametrize("name", LESSONS)
def test_starts_audio_and_cotangents_are_those_of_the_case(name):
    case, arrays = training.find(name), recorded(name)
    for variable, value in case.variables().items():
        assert REDRAWN(arrays[f"step0/before/{variable}"], value).passes
    for k in range(case.n_steps):
        assert REDRAWN(arrays[f"step{k}/input"], case.audio(k)).passes
        cotangent = arrays[f"step{k}/cotangent"]
        assert REDRAWN(cotangent, case.cotangent(k, cotangent.shape)).passes


@pytest.mark.parametrize("name", [name for name in LESSONS if name.startswith("ten_steps")])
def test_ten_steps_each_from_where_the_last_one_ended_and_none_too_short(name):
    trained = list(steps(name))
    assert {step.number for step in trained} == set(range(10))
    for step in trained:
        if "simple_rnn" in step.variable:
            assert np.array_equal(step.trained, step.before)
            continue
        assert MEANINGFUL(step.rounding).passes, (step.variable, step.rounding)
        moved = np.linalg.norm(step.update) / np.linalg.norm(step.before)
        assert LEAST_STEP(1e-3 / moved).passes, (step.variable, moved)
        if step.number:
            assert np.array_equal(step.before, recorded(name)[f"step{step.number - 1}/after/{step.variable}"])


@pytest.mark.parametrize("name", [name for name in LESSONS if "every_limit" in name])
def test_rounding_hides_no_update_of_mu_or_sigma(name):
    (step,) = (step for step in steps(name) if step.variable == KERNEL)
    for column in (0, 1):
        one = Step(step.lesson, 0, "column", step.before[:, column], step.trained[:, column], step.trained[:, column])
        assert MEANINGFUL(one.rounding).passes


def limits(name) -> dict[str, tuple[float | None, float | None]]:
    """The lower and the upper limit of each variable that has one, as float32."""
    box = Box.of_leaf(training.find(name).config.window)
    width_low, high, zero = (float(np.float32(value)) for value in (box.width_low, 1.0, 0.0))
    return {
        "learnable_pooling/kernel": (width_low, high / 2), "PCEN/alpha": (None, high), "PCEN/root": (high, None),
        "PCEN/EMA/smooth": (zero, high),
    }  # fmt: skip


def limited(name):
    """The steps of what has a limit, with the sign and the value of each: inside is where ``sign * p < sign * limit``.

    Mu and sigma, which are put back onto theirs, are looked at apart.
    """
    for step in steps(name):
        for sign, limit in zip((-1, 1), limits(name).get(step.variable, ()), strict=False):
            if limit is not None:
                yield step, sign, limit


def test_one_step_leaves_every_limit_behind():
    for step, sign, limit in limited("out_of_every_limit"):
        assert (sign * step.before < sign * limit).all()
        assert (sign * step.trained > sign * limit).any(), (step.variable, limit)


def test_one_step_takes_mu_and_sigma_to_each_of_their_limits():
    (step,) = (step for step in steps("out_of_every_limit") if step.variable == KERNEL)
    box = Box.of_leaf(step.lesson.config.window)
    for column, ends in enumerate(((0.0, np.pi), (box.sigma_low, box.sigma_high))):
        reached = set(np.asarray(ends, dtype=np.float32).tolist())
        assert reached <= set(step.trained[:, column].tolist())
        assert not reached & set(step.before[:, column].tolist())


def test_at_its_limit_a_parameter_has_its_slope():
    for step, _, limit in limited("from_every_limit"):
        at_limit = step.before == np.float32(limit)
        assert at_limit.any()
        assert (step.trained != step.before)[at_limit].any(), (step.variable, limit)


def test_beyond_its_limit_a_parameter_stays():
    for step, sign, limit in limited("outside_every_limit"):
        beyond = sign * step.before > sign * limit
        assert beyond.any()
        assert (step.trained == step.before)[beyond].all()


def test_mu_and_sigma_come_back_from_beyond_theirs():
    (step,) = (step for step in steps("outside_every_limit") if step.variable == KERNEL)
    assert step.at_limits.all()
    assert (step.trained != step.before).all()
