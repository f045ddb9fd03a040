"""The figures that pages show of times, errors and memory are those on record."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from benchmarks.summary import filled

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("page", ["README.md", "docs/performance.md", "docs/long-audio.md"])
def test_tables_are_what_is_on_record(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    assert filled(text) == text


@pytest.mark.parametrize("of", ["forward", "forward and backward"])
def test_ratios_of_leaf_are_those_of_the_times(of):
    record = json.loads((ROOT / "benchmarks" / "results" / "frontends.json").read_text(encoding="utf-8"))
    ms = {
        (row["front end"], row["compression"]): row["ms"]
        for row in record["rows"] if row["case"] == "8 x 1 s" and row["of"] == of
    }  # fmt: skip
    (line,) = re.findall(r"^\| `leaf` \| (\w+)x \| (\w+)x \|", (ROOT / "README.md").read_text(encoding="utf-8"), re.M)
    shown = dict(zip(("forward", "forward and backward"), line, strict=True))[of]
    ratio = ms["leaf", "pcen"] / ms["mel", "log"]
    assert shown == f"{float(f'{ratio:.2g}'):g}"


@pytest.mark.parametrize("page", ["nothing", "<!-- frontends -->", "<!-- /frontends --><!-- frontends -->"])
def test_a_page_without_its_comments_is_refused(page):
    with pytest.raises(ValueError, match=r"<!-- /?frontends -->"):
        filled(page)
