"""The page about accuracy after training, and its picture, are what the recorded runs say."""

from __future__ import annotations

import pytest

from experiments.equivalence import NAME, PLAN, REFERENCE, ROOT
from experiments.equivalence_page import CHANGES, CONTROL, PAGE, PICTURE, answer, compared, digest, ended, filled, plan
from experiments.frontends import FRONTENDS
from experiments.not_finite import INPUTS, routes
from experiments.statistics import NO
from parity.report import recorded

RECORD = recorded.find(NAME, ROOT)


def test_the_page_is_what_is_on_record():
    page = (ROOT / PAGE).read_text(encoding="utf-8")
    assert filled(page) == page


def test_the_picture_is_of_the_recorded_rows():
    assert digest(RECORD.rows).encode() in (ROOT / PICTURE).read_bytes()


def test_the_planted_fault_is_found_in_the_recorded_runs():
    (verdict,) = [own for name, _, own in compared(RECORD.rows) if name == CONTROL]
    assert verdict == NO


def test_every_front_end_is_on_record():
    assert {row["front end"] for row in RECORD.rows} == set(FRONTENDS) == {REFERENCE, *CHANGES}


def test_all_runs_are_of_one_split_and_of_a_commit():
    assert len({row["split"] for row in RECORD.rows}) == 1
    assert not [row for row in RECORD.rows if not row["commit"] or row["commit"].endswith("+")]


def test_a_run_that_ended_by_nan_has_no_accuracy_but_a_reason():
    assert [row["accuracy, %"] is None for row in RECORD.rows] == [bool(row["ended by"]) for row in RECORD.rows]


def row(name: str, **values) -> dict:
    return {"front end": name, "seed": 0, "accuracy, %": 80.0, "ended by": "", "plan": PLAN.digest, **values}


def test_the_answer_names_what_cannot_be_told():
    said = answer([row(REFERENCE), row("mel", **{"accuracy, %": 81.0})]).splitlines()
    assert said[1:] == ["- Equivalent: none.", "- Not shown: `mel` (+1.0).", "- Not equivalent: none."]


def test_a_run_that_ended_by_nan_is_named():
    said = ended([row(REFERENCE), row("leaf", **{"ended by": "epoch 1, step 2: s"})]).splitlines()
    assert said == ["Of the 2 runs above, 1 ended by NaN.", "", "- `leaf`, seed 0: epoch 1, step 2: s"]


def test_nan_is_counted_for_every_length_of_the_inputs():
    rows = [row("leaf", inputs=inputs, **{"ended by": said}) for inputs in INPUTS for said in ("", "here")]
    assert routes(rows[1:]).splitlines()[-1] == "| leaf | 1 of 1; here | 1 of 2; here |"


def test_rows_of_another_plan_are_refused():
    with pytest.raises(ValueError, match="must be of the plan"):
        plan([row(REFERENCE, plan="other")])
