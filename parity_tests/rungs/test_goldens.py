"""``tf_leaf`` and ``og_leaf`` against what the unmodified original computed."""

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
    one_of_each,
)
from parity_tests.helpers.rungs import one

BOTH = [one("tf_leaf"), one("og_leaf")]


@pytest.mark.parametrize("name", GOLDENS)
@pytest.mark.parametrize("rung", BOTH)
def test_forward(rung, name, ledger):
    check_forward(rung, name, ledger)


@pytest.mark.parametrize("name", GOLDENS)
@pytest.mark.parametrize("rung", BOTH)
def test_gradients(rung, name, ledger):
    check_gradients(rung, name, ledger)


@pytest.mark.parametrize("name", GOLDENS)
@pytest.mark.parametrize("rung", BOTH)
def test_init(rung, name, ledger):
    check_init(rung, name, ledger)


@pytest.mark.parametrize("rung", BOTH)
def test_accuracy_together(rung, ledger):
    check_together(rung, ledger)


@pytest.mark.parametrize(
    ("rung", "change"), [one(c.rung, c, id=c.name) for c in benign() if c.rung in ("tf_leaf", "og_leaf")]
)  # fmt: skip
def test_a_benign_change_passes(rung, change):
    check_benign(change, one_of_each() if rung == "tf_leaf" else GOLDENS)


@pytest.mark.parametrize("way", [without_onednn, clips_last, clip_by_clip], ids=lambda way: way.__name__)
@pytest.mark.parametrize("rung", [one("og_leaf")])
def test_another_execution_passes(rung, way):
    check_executed(rung, way)
