"""Rung 2 against rung 1 on drawn configurations, weights and signals of their shared domain."""

from __future__ import annotations

from parity_tests.helpers.drawn import check_alone, check_drawn, check_round_trips, check_searched, check_speech

SHARED = ("drawn", "drawn", "trained", "outside_shared")


def test_same_padding(ledger):
    check_drawn("leaf", ledger, plain=True, weights=SHARED)


def test_centred_padding_where_the_frames_align(ledger):
    check_drawn("leaf-centered", ledger, plain=True, weights=SHARED, frames_aligned=True)


def test_parameters_survive_the_way_there_and_back(ledger):
    check_round_trips("leaf", ledger, plain=True, weights=SHARED[:3])


def test_speech(ledger):
    check_speech("leaf", ledger)


def test_autocast(ledger):
    check_alone("leaf", ledger, "bfloat16", plain=True, weights=SHARED)


def test_the_worst_that_was_searched(ledger):
    check_searched("leaf", ledger)
