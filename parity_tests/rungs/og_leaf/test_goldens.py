"""Rung 1 against what the unmodified original computed."""

from __future__ import annotations

import pytest

from parity.checks.executions import clip_by_clip, clips_last, without_onednn
from parity.mutation import benign
from parity_tests.helpers.goldens import (
    GOLDENS,
    check_benign,
    check_executed,
    check_forward,
    check_gradients,
    check_init,
    check_together,
)


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


@pytest.mark.parametrize("change", [c for c in benign() if c.rung == "og_leaf"], ids=lambda change: change.name)
def test_a_benign_change_passes(change):
    check_benign(change)


@pytest.mark.parametrize("way", [without_onednn, clips_last, clip_by_clip], ids=lambda way: way.__name__)
def test_another_execution_passes(way):
    check_executed("og_leaf", way)
