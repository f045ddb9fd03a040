"""The figures that pages show of times, errors and memory are those on record."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.summary import filled

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("page", ["README.md", "docs/performance.md", "docs/long-audio.md"])
def test_tables_are_what_is_on_record(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    assert filled(text) == text


@pytest.mark.parametrize("page", ["nothing", "<!-- frontends -->", "<!-- /frontends --><!-- frontends -->"])
def test_a_page_without_its_comments_is_refused(page):
    with pytest.raises(ValueError, match=r"<!-- /?frontends -->"):
        filled(page)
