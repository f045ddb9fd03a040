"""Rung 1 against live TensorFlow on drawn configurations, weights and signals."""

from __future__ import annotations

import pytest

from parity_tests.helpers.drawn import check_alone, check_drawn, check_round_trips, check_searched, check_speech

pytestmark = pytest.mark.usefixtures("tensorflow")


def test_every_stage_and_gradient(ledger):
    check_drawn("og_leaf", ledger)


def test_parameters_survive_the_way_there_and_back(ledger):
    check_round_trips("og_leaf", ledger)


def test_speech(ledger):
    check_speech("og_leaf", ledger)


def test_autocast(ledger):
    check_alone("og_leaf", ledger, "bfloat16")


def test_the_worst_that_was_searched(ledger):
    check_searched("og_leaf", ledger)
