"""Rung 3 with its approximation switched off: against rung 2, and straight against TensorFlow."""

from __future__ import annotations

import pytest

from parity_tests.helpers.drawn import check_alone, check_drawn, check_round_trips, check_searched, check_speech

INSIDE = ("drawn", "drawn", "trained")


def test_every_stage_and_gradient(ledger):
    check_drawn("efficientleaf", ledger, plain=True, padding="centered", weights=INSIDE)


@pytest.mark.usefixtures("tensorflow")
def test_straight_from_tensorflow(ledger):
    check_drawn("efficientleaf-direct", ledger, plain=True, weights=INSIDE, frames_aligned=True)


def test_parameters_survive_the_way_there_and_back(ledger):
    check_round_trips("efficientleaf", ledger, plain=True, padding="centered", weights=INSIDE)


def test_speech(ledger):
    check_speech("efficientleaf", ledger)


@pytest.mark.usefixtures("tensorflow")
def test_speech_straight_from_tensorflow(ledger):
    check_speech("efficientleaf-direct", ledger, frames_aligned=True)


def test_autocast(ledger):
    check_alone("efficientleaf", ledger, "bfloat16", plain=True, padding="centered", weights=INSIDE)


def test_the_worst_that_was_searched(ledger):
    check_searched("efficientleaf", ledger)
