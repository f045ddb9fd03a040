"""Tables of Markdown, and their places in pages."""

from __future__ import annotations

import pytest

from parity.report.markdown import insert, table


def test_a_bar_in_a_cell_ends_no_cell():
    assert table(("a", "b"), [("|x|", "1")]) == "| a | b |\n| --- | --- |\n| \\|x\\| | 1 |"


def test_what_lies_around_the_comments_stays():
    page = "before <!-- a -->\nold\n<!-- /a --> after <!-- b -->kept<!-- /b -->"
    assert insert(page, "a", "new") == "before <!-- a -->\nnew\n<!-- /a --> after <!-- b -->kept<!-- /b -->"


@pytest.mark.parametrize("page", ["", "<!-- a -->", "<!-- /a --><!-- a -->"])
def test_a_page_without_the_comments_is_refused(page):
    with pytest.raises(ValueError, match="<!-- a --> and then <!-- /a -->"):
        insert(page, "a", "")
