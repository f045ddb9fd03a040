"""Each argument of rung 0 with each kind of value: it works, or is refused by its name."""

from __future__ import annotations

import pytest

from parity_tests.arguments.table import cases, finding
from parity_tests.arguments.tf_subjects import finite, subjects, values

EVERY = 12  # of the values one in twelve, other ones for the next argument
FEWEST = 1000

pytestmark = pytest.mark.usefixtures("tensorflow")


@pytest.fixture(scope="module")
def table(tensorflow):
    kinds = values()
    return [(subject, case, kinds[case[1]]) for subject in subjects() for case in cases(subject, kinds, EVERY)]


def test_every_argument(table):
    found = {
        (subject.name, *case): what
        for subject, case, value in table
        if (what := finding(subject, case[0], value(), finite))
    }
    assert found == {}


def test_there_are_enough_cases(table):
    assert len(table) >= FEWEST


def test_no_public_callable_is_left_out(tensorflow):
    import tf_leaf

    told = {subject.name for subject in subjects()}
    assert {name for name in tf_leaf.__all__ if callable(getattr(tf_leaf, name))} - told == {"FFTConv1D", "WindowType"}
