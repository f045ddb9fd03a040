"""Rung 1 against what the unmodified original computed."""

from __future__ import annotations

import pytest

from parity_tests.goldens import GOLDENS, check_forward, check_gradients, check_init, check_together


@pytest.mark.parametrize("name", GOLDENS)
def test_forward(name, ledger):
    check_forward("og_leaf", name, ledger)


@pytest.mark.parametrize("name", GOLDENS)
def test_gradients(name, ledger):
    check_gradients("og_leaf", name, ledger)


@pytest.mark.parametrize("name", GOLDENS)
def test_init(name, ledger):
    check_init("og_leaf", name, ledger)


def test_accuracy_together(ledger):
    check_together("og_leaf", ledger)
