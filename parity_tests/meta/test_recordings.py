"""Recordings hold every public name and every step of training, of the right subjects."""

from __future__ import annotations

import numpy as np
import pytest

from fixtures import inventory, kinds, store, training
from parity.adapters.canonical import KERNEL
from parity.cases.public_names import PUBLIC, public
from parity.cases.strategies import COMPRESSIONS
from parity.cases.subjects import Subject
from parity.criteria import AtMost
from parity.oracle.geometry import Box
from parity_tests.helpers.training_steps import LESSONS, MEANINGFUL, Step, recorded
from parity_tests.meta.test_goldens import REDRAWN


def test_no_name_is_of_two_kinds():
    names = [name for kind in kinds.KINDS.values() for name in kind.names]
    assert len(names) == len(set(names))
    assert {kinds.kind_of(name).name for name in ("silence", "Leaf", "ten_steps")} == set(kinds.KINDS)


# public names

NAMES = store.names(store.INVENTORY)


def subjects(name):
    """Entry of the manifest, subject and arrays of each."""
    about, arrays = store.read(name, store.INVENTORY)
    for i, entry in enumerate(about["subjects"]):
        yield entry, Subject.parse(entry["subject"]), store.below(arrays, str(i))


def test_every_public_name_that_computes_something_is_recorded():
    computing = {entry.name for entry in PUBLIC if "forward" in entry.properties}
    assert computing - set(NAMES) == set(inventory.LEFT_OUT) == {"SpecAugment"}
    assert store.read_manifest(store.INVENTORY)["source"]["label"] == "original"
    assert sum(path.stat().st_size for path in store.INVENTORY.iterdir()) <= 1_000_000


def test_every_compression_is_recorded_before_an_instance_normalisation():
    normed = [subject.arguments for _, subject, _ in subjects("Leaf") if subject.arguments["mean_var_norm"]]
    assert {own["compression"] for own in normed} == set(COMPRESSIONS)


@pytest.mark.parametrize("name", NAMES)
def test_recorded_subjects_are_the_fixed_ones(name):
    assert [subject for _, subject, _ in subjects(name)] == list(inventory.SUBJECTS[name])
    for _, subject, arrays in subjects(name):
        if subject.takes_input:
            assert REDRAWN(arrays["input"], subject.input()).passes
        variables = store.below(arrays, "variables")
        for variable, value in subject.values({key: value.shape for key, value in variables.items()}).items():
            assert REDRAWN(variables[variable], value).passes


@pytest.mark.parametrize("name", NAMES)
def test_what_was_recorded_of_a_name_is_whole_and_every_learned_variable_is_moved_by_some_step(name):
    properties = public(name).properties
    learned, moved = set(), set()
    for entry, subject, arrays in subjects(name):
        if entry["refused"]:
            assert set(arrays) <= {"input"}
            continue
        assert all(np.isfinite(array).all() for array in arrays.values())
        differentiable = "gradient" in properties and not entry["gradient_refused"]
        assert ("gradients/input" in arrays) == (differentiable and subject.takes_input)
        own = {key for key in store.below(arrays, "gradients") if key not in {"input", *subject.tensors}}
        assert set(entry["rates"]) == own
        before, after = store.below(arrays, "variables"), store.below(arrays, "after")
        if "training" in properties and differentiable:
            assert set(after) == set(before) - set(subject.tensors)
        learned |= own
        moved |= {key for key, value in after.items() if not np.array_equal(value, before[key])}
    assert moved == (learned if "training" in properties else set())


# training

LEAST_STEP = AtMost(1.0, "the step in units of 1e-3 of the parameter, inverted")


def steps(name):
    """The original's steps, as if the rung were the original."""
    case, arrays = training.find(name), recorded(name)
    for k in range(case.n_steps):
        after = store.below(arrays, f"step{k}/after")
        for variable, before in store.below(arrays, f"step{k}/before").items():
            yield Step(case, k, variable, before, after[variable], after[variable])


def of_kernel(name):
    (step,) = (step for step in steps(name) if step.variable == KERNEL)
    return step


def test_manifest_and_cases_are_the_same():
    manifest = store.read_manifest(store.TRAINING)
    assert manifest["source"]["label"] == "original"
    held = {name: entry["case"] for name, entry in manifest["cases"].items()}
    assert list(held.items()) == [(case.name, str(case)) for case in training.TRAINING_CASES]


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
    step = of_kernel(name)
    for column in (0, 1):
        one = Step(step.lesson, 0, "column", step.before[:, column], step.trained[:, column], step.trained[:, column])
        assert MEANINGFUL(one.rounding).passes


def limited(name):
    """Each step of what has a limit, as float32, with its sign: inside is where ``sign * p < sign * limit``.

    Mu and sigma, which are put back onto theirs, are looked at apart.
    """
    width_low = np.float32(Box.of_leaf(training.find(name).config.window).width_low)
    limits = {
        "learnable_pooling/kernel": ((-1, width_low), (1, 0.5)), "PCEN/alpha": ((1, 1.0),),
        "PCEN/root": ((-1, 1.0),), "PCEN/EMA/smooth": ((-1, 0.0), (1, 1.0)),
    }  # fmt: skip
    for step in steps(name):
        for sign, limit in limits.get(step.variable, ()):
            yield step, sign, np.float32(limit)


def test_one_step_leaves_every_limit_behind():
    for step, sign, limit in limited("out_of_every_limit"):
        assert (sign * step.before < sign * limit).all()
        assert (sign * step.trained > sign * limit).any(), (step.variable, limit)


def test_one_step_takes_mu_and_sigma_to_each_of_their_limits():
    step = of_kernel("out_of_every_limit")
    box = Box.of_leaf(step.lesson.config.window)
    for column, ends in enumerate(((0.0, np.pi), (box.sigma_low, box.sigma_high))):
        reached = set(np.asarray(ends, dtype=np.float32).tolist())
        assert reached <= set(step.trained[:, column].tolist())
        assert not reached & set(step.before[:, column].tolist())


def test_at_its_limit_a_parameter_has_its_slope():
    for step, _, limit in limited("from_every_limit"):
        at_limit = step.before == limit
        assert at_limit.any()
        assert (step.trained != step.before)[at_limit].any(), (step.variable, limit)


def test_beyond_its_limit_a_parameter_stays():
    for step, sign, limit in limited("outside_every_limit"):
        beyond = sign * step.before > sign * limit
        assert beyond.any()
        assert (step.trained == step.before)[beyond].all()


def test_mu_and_sigma_come_back_from_beyond_theirs():
    step = of_kernel("outside_every_limit")
    assert step.at_limits.all()
    assert (step.trained != step.before).all()
