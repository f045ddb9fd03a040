"""Pages whose tables are written from data say what the data says: records, quirks, divergences."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks import breaking_report, summary
from parity.report import quirks, recorded
from parity.report.markdown import insert, table

ROOT = Path(__file__).parents[2]


def training(page):
    return insert(page, "training", breaking_report.training(recorded.find("breaking", ROOT).rows))


@pytest.mark.parametrize(("page", "filled"), [
    ("README.md", summary.filled), ("docs/performance.md", summary.filled), ("docs/long-audio.md", summary.filled),
    ("docs/the-originals-quirks.md", quirks.filled), (breaking_report.PAGE, training),
], ids=lambda given: given if isinstance(given, str) else given.__module__)  # fmt: skip
def test_tables_are_what_the_data_says(page, filled):
    text = (ROOT / page).read_text(encoding="utf-8")
    assert filled(text) == text


@pytest.mark.parametrize("of", ["forward", "forward and backward"])
def test_ratios_of_leaf_are_those_of_the_times(of):
    ms = {
        (row["front end"], row["compression"]): row["ms"]
        for row in recorded.find("frontends", ROOT).rows if row["case"] == "8 x 1 s" and row["of"] == of
    }  # fmt: skip
    (line,) = re.findall(r"^\| `leaf` \| (\w+)x \| (\w+)x \|", (ROOT / "README.md").read_text(encoding="utf-8"), re.M)
    shown = dict(zip(("forward", "forward and backward"), line, strict=True))[of]
    ratio = ms["leaf", "pcen"] / ms["mel", "log"]
    assert shown == f"{float(f'{ratio:.2g}'):g}"


def test_drawn_tolerances_are_those_of_the_record():
    rows = recorded.find("tolerance", ROOT).rows
    page = " ".join((ROOT / "docs" / "energies-within-a-tolerance.md").read_text(encoding="utf-8").split())
    assert "of 2000 banks of drawn size" in page
    assert "fourteen kinds of signals, at tolerances of 1e-2, 1e-3 and 1e-4, none is above" in page
    assert {row["draws"] for row in rows} == {2000}
    assert {row["tolerance"] for row in rows} == {10**-n for n in (2, 3, 4)}
    assert len({row["signal"] for row in rows}) == 14
    assert sum(row["over"] for row in rows) == 0


def test_steps_that_hold_8g_opt_are_those_of_the_record():
    mels = {(row["case"], row["step"]): row["times mel"] for row in recorded.find("breakdown", ROOT).rows}
    page = " ".join((ROOT / "docs" / "performance.md").read_text(encoding="utf-8").split())
    assert "at 8 x 1 s its eight strided convolutions alone take twice as long as the whole mel spectrogram" in page
    long, short = (
        {step: m for (case, step), m in mels.items() if case == which and step != "mel"}
        for which in ("8 x 1 s", "1 x 1 s")
    )  # fmt: skip
    whole = short.pop("whole")
    assert round(long["convolutions"]) == 2
    assert sorted(long, key=long.get)[-3:] == ["pooling", "convolutions", "whole"]
    assert round(short["convolutions"] / short["pooling"]) == 1
    assert round(3 * (1 - sum(short.values()) / whole)) == 1


def test_a_bar_in_a_cell_ends_no_cell():
    assert table(("a", "b"), [("|x|", "1")]) == "| a | b |\n| --- | --- |\n| \\|x\\| | 1 |"


def test_what_lies_around_the_comments_stays():
    page = "before <!-- a -->\nold\n<!-- /a --> after <!-- b -->kept<!-- /b -->"
    assert insert(page, "a", "new") == "before <!-- a -->\nnew\n<!-- /a --> after <!-- b -->kept<!-- /b -->"


@pytest.mark.parametrize("page", ["", "<!-- frontends -->", "<!-- /frontends --><!-- frontends -->"])
def test_a_page_without_its_comments_is_refused(page):
    with pytest.raises(ValueError, match="<!-- frontends --> and then <!-- /frontends -->"):
        insert(page, "frontends", "")
    with pytest.raises(ValueError, match=r"<!-- /?frontends -->"):
        summary.filled(page)
