"""The long run's tables: whole at any length, false when a bound is exceeded, kept as records and drawn from them."""

from __future__ import annotations

import pytest

from parity.checks import long
from parity.checks.long import CASES, KINDS, LONG_SMOOTHING, LONGEST_WHOLE, SMOOTHING, drawn, sweep
from parity.report import gallery, recorded


@pytest.fixture(scope="module")
def tables():
    steps = []

    def progress(what, total):
        steps.append(total)
        return lambda: steps.append(-1)

    found = long.tables([40, 3], 6, progress)
    assert sum(steps) == 0  # every step that was announced was taken
    return found


def test_a_row_for_each_length_and_smoothing(tables):
    assert [(row["frames"], row["s"]) for row in tables[0].rows] == [(n, s) for n in (3, 40) for s in SMOOTHING]
    assert sum(row["bands"] for row in tables[1].rows) == 6 * 4
    assert all(table.holds for table in tables)


@pytest.mark.parametrize(("column", "value"), [("of bound", 2), ("gradients of bound", 2), ("not finite", 1)])
def test_a_row_that_does_not_hold(tables, column, value):
    for table in tables:
        rows = [*table.rows[1:], {**table.rows[0], column: value}]
        assert not long.LongTable("long", "", "", rows).holds


def test_the_longest_are_run_one_at_a_time():
    cases = list(sweep(LONGEST_WHOLE + 1))
    assert {len(case.s) for case in cases} == {1}
    assert len(cases) == len(CASES) * len(LONG_SMOOTHING)


def test_the_domain_is_drawn_to_its_ends():
    cases = list(drawn(200))
    assert {case.kind for case in cases} == set(KINDS)
    coefficients = {s for case in cases for s in case.s}
    assert (min(coefficients), max(coefficients)) == (0, 1)
    assert any(case.alpha == 1 for case in cases)


def test_is_kept_and_drawn(tables, tmp_path):
    for source in long.SOURCES:
        (tmp_path / source).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / source).write_text("pass\n")
    assert gallery.draw_recorded(tmp_path) == []
    for table in tables:
        table.keep(tmp_path)
    assert {record.name for record in recorded.read(tmp_path)} == {"long", "long_drawn"}
    (picture,) = gallery.draw_recorded(tmp_path)
    assert picture.title == "Error against length"
    assert picture.source.startswith("data:image/webp;")
