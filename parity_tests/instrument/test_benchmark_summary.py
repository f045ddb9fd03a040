"""The README's figures on speed are those on record."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.summary import filled

README = Path(__file__).parents[2] / "README.md"


def test_the_readmes_table_is_what_is_on_record():
    page = README.read_text(encoding="utf-8")
    assert filled(page) == page


def test_a_page_without_its_comments_is_refused():
    with pytest.raises(ValueError, match="<!-- frontends -->"):
        filled("nothing")
