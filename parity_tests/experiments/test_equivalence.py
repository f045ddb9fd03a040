"""The comparison of runs: pairs, verdicts, and that what is on disk is not run again."""

from __future__ import annotations

import json

import pytest

from experiments.data import Sound
from experiments.equivalence import Plan, read, run
from experiments.equivalence_page import CONTROL, REFERENCE, compared, differences
from experiments.layouts import data_set
from experiments.statistics import NO, NOT_SHOWN, YES
from parity_tests.experiments.sounds import RATE, two_classes

PLAN = Plan(Sound(RATE, 0.1), epochs=1, batch_size=8, clips_per_class=8, n_test=4)


def rows(**accuracies) -> list[dict]:
    return [
        {"front end": name, "seed": seed, "accuracy, %": value, "ended by": "" if value is not None else "NaN",
         "loss": 1.0, "seconds": 1.0, "CPU seconds": 1.0}
        for name, values in accuracies.items()
        for seed, value in enumerate(values)
    ]  # fmt: skip


BASE = [80.0, 82.0, 79.0, 85.0, 81.0, 80.0, 83.0, 84.0]


def test_near_runs_are_equivalent_and_the_control_is_not():
    near = [x + 0.25 * (-1) ** i for i, x in enumerate(BASE)]
    made = rows(og_leaf=BASE, near=near, fault=[x - 30 - i for i, x in enumerate(BASE)])
    assert [(name, verdict) for name, _, verdict in compared(made)] == [("near", YES), ("fault", NO)]


def test_runs_that_scatter_show_nothing():
    made = rows(og_leaf=BASE, wide=[x + 8 * (-1) ** i for i, x in enumerate(BASE)])
    assert compared(made)[0][2] == NOT_SHOWN


def test_a_run_that_ended_in_nan_has_no_pair_and_is_counted():
    made = rows(og_leaf=BASE, other=[None, *BASE[1:]])
    assert compared(made)[0][1].n == 7
    assert differences(made).splitlines()[-1].split(" | ")[-2] == "1 of 8"


def test_runs_are_paired_by_seed_not_by_place():
    made = rows(og_leaf=BASE, other=BASE)
    assert compared(made[::-1], REFERENCE)[0][1].mean == 0


def test_a_run_is_kept_and_not_run_again(tmp_path):
    found = data_set(two_classes(tmp_path / "data", 10))
    first = run("mel", 0, PLAN, found, tmp_path / "work")
    (row,) = (tmp_path / "work").glob("*/row.json")
    kept = json.loads(row.read_text())
    kept["row"]["loss"] = 12.0
    row.write_text(json.dumps(kept))
    assert run("mel", 0, PLAN, found, tmp_path / "work")["loss"] == 12
    assert first["split"] == kept["identity"]["split"]


def test_runs_of_another_plan_are_refused(tmp_path):
    found = data_set(two_classes(tmp_path / "data", 10))
    run("mel", 0, PLAN, found, tmp_path / "work")
    with pytest.raises(ValueError, match="another plan"):
        run("mel", 0, Plan(Sound(RATE, 0.1), epochs=2), found, tmp_path / "work")


def test_what_is_on_disk_is_read_with_its_plan_and_no_other(tmp_path):
    found = data_set(two_classes(tmp_path / "data", 10))
    row = run("mel", 1, PLAN, found, tmp_path / "work")
    assert read(PLAN, tmp_path / "work", ["og_leaf", "mel"], 3) == [{**row, "plan": PLAN.digest}]
    with pytest.raises(ValueError, match="mel-1 is of another plan"):
        read(Plan(), tmp_path / "work", ["mel"], 3)


def test_the_planted_fault_is_among_the_front_ends():
    from experiments.frontends import FRONTENDS

    assert {REFERENCE, CONTROL} <= set(FRONTENDS)
