"""Each argument of every rung with each kind of value: it works, or is refused by its name."""

from __future__ import annotations

import pytest

import efficientleaf
import leaf
import og_leaf
from parity_tests.arguments import tf_subjects
from parity_tests.arguments.table import Subject, cases, finding
from parity_tests.arguments.torch_subjects import OF_EITHER, finite, leaf_subjects, og_leaf_subjects, weights_subjects

OG_LEAF, LEAF, WEIGHTS = og_leaf_subjects(), leaf_subjects(), weights_subjects()
ALL = OG_LEAF + LEAF + WEIGHTS
EVERY = 3  # of the values one in three, another third for the next argument
FEWEST = 1500
OF_TENSORFLOW = 12, 1000  # the same of rung 0


def findings(subject: Subject) -> dict[tuple[str, str], str]:
    found = {
        (argument, value): finding(subject, argument, OF_EITHER[value](), finite)
        for argument, value in cases(subject, OF_EITHER, EVERY)
    }
    return {case: what for case, what in found.items() if what}


@pytest.mark.parametrize("subject", ALL, ids=lambda subject: f"{subject.call.__module__}.{subject.name}")
def test_every_argument(subject):
    assert findings(subject) == {}


@pytest.mark.parametrize("subject", ALL, ids=lambda subject: f"{subject.call.__module__}.{subject.name}")
def test_arguments_that_the_table_starts_from_work(subject):
    argument = next(iter(subject.arguments()), None)
    if argument in subject.base():
        assert finding(subject, argument, subject.base()[argument], finite) == ""
    assert subject.use(subject.call(**subject.base())) is not None or subject.name in (
        "from_leaf",
        "load_weights",
        "project_after_step",
    )


def test_source_of_weights():
    load = next(subject for subject in WEIGHTS if subject.name == "load_weights")
    found = {v: finding(load, "source", OF_EITHER[v](), finite) for v in OF_EITHER if "dict" not in v}
    assert {v: what for v, what in found.items() if what} == {}


def test_no_public_callable_is_left_out():
    told = {subject.name for subject in OG_LEAF}
    assert {name for name in og_leaf.__all__ if callable(getattr(og_leaf, name))} - told == {"WindowType"}
    told = {subject.name for subject in LEAF}
    # what has no arguments to check by itself: results, and the filterbank that a tolerance makes
    assert set(leaf.__all__) | set(efficientleaf.__all__) - told == set(leaf.__all__) | {
        "SOURCES", "Group", "Plan", "ToleranceFilterbank",
    }  # fmt: skip
    assert set(leaf.__all__) <= told


def test_there_are_enough_cases():
    assert sum(1 for subject in ALL for _ in cases(subject, OF_EITHER, EVERY)) >= FEWEST


@pytest.mark.parametrize(("call", "found"), [
    (lambda size: [0] * int(size), ""),
    (lambda size: bytearray(int(size) << 32), "MemoryError"),
    (lambda size: [][1], "IndexError"),
    (lambda size: int("a word"), "ValueError that names no argument"),
    (lambda size: float(size) * float("nan"), "not finite"),
], ids=["works", "memory", "internal error", "no name", "not finite"])  # fmt: skip
def test_table_sees(call, found):
    assert finding(Subject("planted", call), "size", 3, finite).startswith(found)
    assert bool(finding(Subject("planted", call), "size", 3, finite)) == bool(found)


@pytest.mark.usefixtures("tensorflow")
def test_every_argument_of_tf_leaf():
    kinds, (every, fewest) = tf_subjects.values(), OF_TENSORFLOW
    table = [(subject, *case) for subject in tf_subjects.subjects() for case in cases(subject, kinds, every)]
    assert len(table) >= fewest
    found = {
        (subject.name, argument, value): what
        for subject, argument, value in table
        if (what := finding(subject, argument, kinds[value](), tf_subjects.finite))
    }
    assert found == {}


@pytest.mark.usefixtures("tensorflow")
def test_no_public_callable_of_tf_leaf_is_left_out():
    import tf_leaf

    told = {subject.name for subject in tf_subjects.subjects()}
    assert {name for name in tf_leaf.__all__ if callable(getattr(tf_leaf, name))} - told == {"FFTConv1D", "WindowType"}
