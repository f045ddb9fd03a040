"""The goldens of the public names: all of them, and of the subjects that they should be of."""

from __future__ import annotations

import numpy as np
import pytest

from fixtures import inventory, kinds, store
from parity.cases.public_names import PUBLIC, public
from parity.cases.strategies import COMPRESSIONS
from parity.cases.subjects import Subject
from parity.criteria import OfMax

NAMES = store.names(store.INVENTORY)
REDRAWN = OfMax(2.0**-23, "sine and exponential may differ in their last float64 bit from processor to processor")


def subjects(name):
    """Entry of the manifest, subject and arrays of each."""
    about, arrays = store.read(name, store.INVENTORY)
    for i, entry in enumerate(about["subjects"]):
        yield entry, Subject.parse(entry["subject"]), store.below(arrays, str(i))


def test_every_public_name_that_computes_something_is_recorded():
    computing = {entry.name for entry in PUBLIC if "forward" in entry.properties}
    assert computing - set(NAMES) == set(inventory.LEFT_OUT) == {"SpecAugment"}
    assert store.read_manifest(store.INVENTORY)["source"]["label"] == "original"


def test_every_compression_is_recorded_before_an_instance_normalisation():
    normed = [subject.arguments for _, subject, _ in subjects("Leaf") if subject.arguments["mean_var_norm"]]
    assert {own["compression"] for own in normed} == set(COMPRESSIONS)


def test_no_name_is_of_two_kinds():
    names = [name for kind in kinds.KINDS.values() for name in kind.names]
    assert len(names) == len(set(names))
    assert {kinds.kind_of(name).name for name in ("silence", "Leaf", "ten_steps")} == set(kinds.KINDS)


def test_they_are_small():
    sizes = [path.stat().st_size for path in store.INVENTORY.iterdir()]
    assert sum(sizes) <= 1_000_000


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
def test_what_was_recorded_is_whole(name):
    properties = public(name).properties
    for entry, subject, arrays in subjects(name):
        if entry["refused"]:
            assert set(arrays) <= {"input"}
            continue
        assert all(np.isfinite(array).all() for array in arrays.values())
        differentiable = "gradient" in properties and not entry["gradient_refused"]
        assert ("gradients/input" in arrays) == (differentiable and subject.takes_input)
        learned = {key for key in store.below(arrays, "gradients") if key not in {"input", *subject.tensors}}
        assert set(entry["rates"]) == learned
        if "training" in properties and differentiable:
            assert set(store.below(arrays, "after")) == set(store.below(arrays, "variables")) - set(subject.tensors)


@pytest.mark.parametrize("name", [name for name in NAMES if "training" in public(name).properties])
def test_every_learned_variable_of_a_name_is_moved_by_some_step(name):
    learned, moved = set(), set()
    for entry, _, arrays in subjects(name):
        learned |= set(entry["rates"])
        before, after = store.below(arrays, "variables"), store.below(arrays, "after")
        moved |= {key for key, value in after.items() if not np.array_equal(value, before[key])}
    assert moved == learned
