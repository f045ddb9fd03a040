"""Rung 0 against what the unmodified original computed."""

from __future__ import annotations

import pytest

from parity.mutation import benign
from parity_tests.helpers.goldens import (
    GOLDENS,
    check_benign,
    check_forward,
    check_gradients,
    check_init,
    check_together,
    one_of_each,
)

pytestmark = pytest.mark.usefixtures("tensorflow")


@pytest.mark.parametrize("name", GOLDENS)
def test_forward(name, ledger):
    check_forward("tf_leaf", name, ledger)


@pytest.mark.parametrize("name", GOLDENS)
def test_gradients(name, ledger):
    check_gradients("tf_leaf", name, ledger)


@pytest.mark.parametrize("name", GOLDENS)
def test_init(name, ledger):
    check_init("tf_leaf", name, ledger)


def test_accuracy_together(ledger):
    check_together("tf_leaf", ledger)


@pytest.mark.parametrize("change", [c for c in benign() if c.rung == "tf_leaf"], ids=lambda change: change.name)
def test_a_benign_change_passes(change):
    check_benign(change, one_of_each())
