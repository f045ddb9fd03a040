"""The page about the original's failures says what the record of its training runs says."""

from __future__ import annotations

from pathlib import Path

from benchmarks import breaking_report
from parity.report import recorded
from parity.report.markdown import insert

ROOT = Path(__file__).parents[2]


def test_training_table_is_the_record():
    (record,) = (r for r in recorded.read(ROOT) if r.name == "breaking")
    page = (ROOT / breaking_report.PAGE).read_text(encoding="utf-8")
    assert insert(page, "training", breaking_report.training(record.rows)) == page
