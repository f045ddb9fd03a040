"""Rung 1 against what the unmodified original made of every public name."""

from __future__ import annotations

import pytest

from parity.mutation import benign
from parity_tests.helpers.inventory import (
    DIFFERENTIABLE,
    NAMES,
    TRAINED,
    all_of,
    check_benign,
    check_forward,
    check_gradients,
    check_training,
    moved,
    noticed,
    run_torch,
)


@pytest.mark.parametrize("name", NAMES)
def test_forward(name, ledger):
    check_forward("og_leaf", name, ledger)


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_gradients(name, ledger):
    check_gradients("og_leaf", name, ledger)


@pytest.mark.parametrize("name", TRAINED)
def test_a_step(name, ledger):
    check_training("og_leaf", name, ledger)


@pytest.mark.parametrize("name", TRAINED)
def test_an_optimizer_that_does_nothing_is_noticed_at_every_variable(name):
    learned, seen = set(), set()
    for one in all_of("og_leaf", [name]):
        assert noticed(one, one.original.variables) == moved(one)
        learned |= set(one.rates)
        seen |= moved(one)
    assert seen == learned


@pytest.mark.parametrize(
    ("name", "kernel"), [("GaborConv1D", "kernel"), ("NormalizedConv1D", "kernel"), ("Leaf", "kernel")]
)
def test_a_missing_projection_is_noticed(name, kernel):
    found = [
        noticed(one, run_torch(one.subject, one.rates, projects=False)[1])
        for one in all_of("og_leaf", [name])
        if not one.original.refused
    ]
    assert {kernel} in found
    assert all(variables <= {kernel} for variables in found)


LAYERS = [c for c in benign() if c.rung == "og_leaf" and c.stage not in ("mel", "norm")]


@pytest.mark.parametrize("change", LAYERS, ids=lambda change: change.name)
def test_a_benign_change_passes(change):
    check_benign(change)
