"""The grid of cells: enumerated from the rungs, and what claims make of each."""

from __future__ import annotations

import pytest

from parity.adapters.rungs import RUNGS
from parity.cases.public_names import PUBLIC
from parity.report.cells import WHOLE, Cell, cells, states
from parity.report.claims import Measurement, MeasurementLog
from parity.report.instrument import parts
from parity_tests.meta.scratch import FIELDS, HOLDS, run
from parity_tests.meta.test_certificate import made

OUTPUT = Cell("og_leaf", "forward", "output", "float32")


def state(*changes: dict) -> str:
    ledger = MeasurementLog()
    for change in changes:
        ledger.record(Measurement(**{**FIELDS, **change}))
    return states(ledger.claims)[OUTPUT]


def test_no_cell_comes_twice():
    assert len(set(cells())) == len(list(cells()))


@pytest.mark.parametrize("rung", RUNGS)
def test_every_stage_of_a_rung_has_cells_in_both_types(rung):
    for dtype in ("float32", "float64"):
        stages = {c.stage for c in cells() if (c.rung, c.property, c.dtype) == (rung, "forward", dtype)}
        assert stages - {entry.name for entry in PUBLIC} == set(RUNGS[rung].stages)


@pytest.mark.parametrize("rung", RUNGS)
def test_every_public_name_has_cells_in_rungs_0_and_1(rung):
    found = [c for c in cells() if c.rung == rung and c.stage in {entry.name for entry in PUBLIC}]
    assert len(found) == (sum(len(entry.properties) for entry in PUBLIC) if rung in WHOLE else 0)


def test_every_property_has_cells():
    properties = {cell.property for cell in cells()}
    assert properties == {
        "status", "forward", "input gradient", "parameter gradient", "training step", "trajectory", "bridge round trip",
    }  # fmt: skip


DIVERGES = {"criterion": "divergence", "relation": "divergent"}


@pytest.mark.parametrize(("changes", "expected"), [
    ([], "empty"),
    ([{}], "certified"),
    ([{"stage": "pool"}], "empty"),
    ([DIVERGES], "declared"),
    ([DIVERGES, {}], "certified"),
    ([{}, {"observed": 2.0}], "failed"),
    ([DIVERGES, {"observed": 2.0, "criterion": "accuracy"}], "failed"),
], ids=str)  # fmt: skip
def test_state_of_a_cell(changes, expected):
    assert state(*changes) == expected


def test_the_line_counts_every_cell():
    n = len(list(cells()))
    assert parts(made(Measurement(**FIELDS))) == [
        f"of {n} combinations of rung, stage, property and type 1 hold, {n - 1} were not compared"
    ]


def test_an_empty_cell_fails_a_complete_run(tmp_path):
    done = run(tmp_path, HOLDS, "--certificate-complete")
    assert done.status == 1
    assert f"an empty cell: {Cell('leaf', 'forward', 'conv', 'float64')}" in done.certificate["failures"]
    assert f"an empty cell: {OUTPUT}" not in done.certificate["failures"]
