"""Rung 0 against what the unmodified original made of every public name."""

from __future__ import annotations

import pytest

from parity_tests.helpers.inventory import (
    DIFFERENTIABLE,
    NAMES,
    TRAINED,
    check_forward,
    check_gradients,
    check_training,
)

pytestmark = pytest.mark.usefixtures("tensorflow")


@pytest.mark.parametrize("name", NAMES)
def test_forward(name, ledger):
    check_forward("tf_leaf", name, ledger)


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_gradients(name, ledger):
    check_gradients("tf_leaf", name, ledger)


@pytest.mark.parametrize("name", TRAINED)
def test_a_step(name, ledger):
    check_training("tf_leaf", name, ledger)
