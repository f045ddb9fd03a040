"""Rungs on drawn configurations, weights and signals, against the rung below; ``tf_leaf`` against float64 alone."""

from __future__ import annotations

import pytest

from parity_tests.helpers.drawn import (
    check_alone,
    check_drawn,
    check_round_trips,
    check_searched,
    check_speech,
    check_there_and_back,
)
from parity_tests.helpers.rungs import one

SHARED = {"plain": True, "weights": ("drawn", "drawn", "trained", "outside_shared")}
STEPS = [one("og_leaf", tensorflow=True), one("leaf")]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rung", [one("tf_leaf")])
def test_every_stage_and_gradient_alone(rung, dtype, ledger):
    check_alone(rung, ledger, dtype)


@pytest.mark.parametrize(("step", "drawn"), [
    one("og_leaf", {}, tensorflow=True),
    one("leaf", SHARED),
    one("leaf-centered", {**SHARED, "frames_aligned": True}),
])  # fmt: skip
def test_every_stage_and_gradient(step, drawn, ledger):
    check_drawn(step, ledger, **drawn)


@pytest.mark.parametrize("rung", [one("tf_leaf")])
def test_parameters_survive_the_way_there_and_back(rung, ledger):
    check_there_and_back(rung, ledger)


@pytest.mark.parametrize(("rung", "drawn"), [
    one("og_leaf", {}, tensorflow=True),
    one("leaf", {"plain": True, "weights": SHARED["weights"][:3]}),
])  # fmt: skip
def test_parameters_survive_the_way_up_and_back(rung, drawn, ledger):
    check_round_trips(rung, ledger, **drawn)


@pytest.mark.parametrize("rung", STEPS)
def test_speech(rung, ledger):
    check_speech(rung, ledger)


@pytest.mark.parametrize(("rung", "drawn"), [one("og_leaf", {}), one("leaf", SHARED)])
def test_autocast(rung, drawn, ledger):
    check_alone(rung, ledger, "bfloat16", **drawn)


@pytest.mark.parametrize("rung", [one("tf_leaf"), one("og_leaf"), one("leaf")])
def test_the_worst_that_was_searched(rung, ledger):
    check_searched(rung, ledger)
