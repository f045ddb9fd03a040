"""The smaller comparisons: their plans, what they hold out, and what is on record of them."""

from __future__ import annotations

import pytest

from experiments.equivalence import PLAN, REFERENCE, ROOT
from experiments.equivalence_page import CONTROL, compared, plan
from experiments.frontends import FRONTENDS
from experiments.further import COMPARISONS, HELD_OUT, TAKES, voice_held_out
from experiments.statistics import NO
from parity.report import recorded
from parity_tests.experiments.sounds import tone

VOICES = ("en", "es", "fr", "ru")


@pytest.fixture
def words(tmp_path):
    for word, frequency in (("alpha", 300), ("tango", 2000)):
        for at, voice in enumerate(VOICES):
            tone(tmp_path / "words" / word / f"{voice}.wav", frequency + 20 * at, 0.1)
    return tmp_path / "words"


def test_one_voice_is_held_out(words):
    found = voice_held_out(words)
    assert {clip.group for clip in found.split["test"]} == {HELD_OUT}
    assert {clip.group for clip in found.split["train"]} == set(VOICES) - {HELD_OUT}
    assert {clip.group for clip in found.split["validation"]} <= set(VOICES) - {HELD_OUT}
    assert len(found.split["train"]) == TAKES * 2 * 3
    assert len(found.split["test"]) == TAKES * 2


def test_a_word_that_training_does_not_have_is_not_tested(words):
    tone(words / "yankee" / f"{HELD_OUT}.wav", 900, 0.1)
    assert voice_held_out(words).classes == ("alpha", "tango")
    tone(words / "yankee" / "en.wav", 900, 0.1)
    assert voice_held_out(words).classes == ("alpha", "tango", "yankee")


@pytest.mark.parametrize("name", COMPARISONS)
def test_a_plan_names_front_ends_with_the_control(name):
    names = COMPARISONS[name].frontends
    assert {CONTROL} <= set(names) <= set(FRONTENDS) - {REFERENCE}


@pytest.mark.parametrize("name", COMPARISONS)
def test_on_record_are_whole_seeds_of_the_plan(name):
    made, rows = COMPARISONS[name], recorded.find(COMPARISONS[name].record, ROOT).rows
    seeds = sorted({row["seed"] for row in rows})
    expected = [(front, seed) for seed in seeds for front in (REFERENCE, *made.frontends)]
    assert set(seeds) <= set(range(made.seeds))
    assert [(row["front end"], row["seed"]) for row in rows] == expected
    assert {row["plan"] for row in rows} == {made.plan.digest}
    assert not [row for row in rows if not row["commit"] or row["commit"].endswith("+")]


def test_the_planted_fault_is_found_with_words_of_a_voice_held_out():
    rows = recorded.find(COMPARISONS["spelling"].record, ROOT).rows
    (verdict,) = [own for name, _, own in compared(rows) if name == CONTROL]
    assert verdict == NO


def test_a_plan_is_shown_by_what_is_other_than_in_the_main_one():
    made = COMPARISONS["spelling"].plan
    shown = plan([{"plan": made.digest}], made)
    assert [line.split("`")[1] for line in shown.splitlines()[2:]] == ["seconds", "noise"]
    assert "`encoder`" in plan([{"plan": PLAN.digest}])
