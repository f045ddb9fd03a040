"""Rung 0 holds the variables of the original, by its names and shapes, and gives back what it was given."""

from __future__ import annotations

import pytest

from parity.adapters import composed
from parity.cases.fixed import FIXED
from parity.cases.public_names import PUBLIC
from parity.checks.grid import Context
from parity.criteria import Exactly

pytestmark = pytest.mark.usefixtures("tensorflow")
LEARNED = [entry.name for entry in PUBLIC if "weights" in entry.properties]
SAME_BITS = Exactly("a variable is copied there and back")


@pytest.mark.parametrize("name", LEARNED)
def test_variables_come_back_as_they_were_given(name, ledger):
    from parity.adapters import subject_tensorflow

    given = [subject for subject in FIXED[name] if subject.weights != "default"]
    outcomes = [(subject, subject_tensorflow.run(subject, "tf_leaf")) for subject in given]
    held = [(subject, outcome) for subject, outcome in outcomes if outcome.refused is None]
    assert held
    for subject, outcome in held:
        shapes = {**composed.shapes(subject), **subject.tensors}
        assert {n: value.shape for n, value in outcome.variables.items()} == shapes
        again = f"pytest parity_tests/rungs/tf_leaf/test_weights.py -k {name}"
        here = Context("tf_leaf", "oracle", "subjects", str(subject), again)
        for variable, value in subject.values(shapes).items():
            verdict = SAME_BITS(outcome.variables[variable], value)
            ledger.check(here.measurement(name, "bridge round trip", verdict, "bitwise"))
