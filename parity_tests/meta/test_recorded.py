"""Records of long runs: whole, dated, and stale once what they are true of has changed."""

from __future__ import annotations

import pytest

from parity.report import recorded

ROWS = [{"n": 1, "error": 3}, {"n": 2, "error": float("inf")}]


@pytest.fixture
def root(tmp_path):
    (tmp_path / "code.py").write_text("pass\n")
    return tmp_path


def keep(root, rows=ROWS, sources=("code.py",)):
    return recorded.keep("a", rows, title="A", note="of two", command="a", sources=sources, root=root)


def test_comes_back_as_it_was_kept(root):
    keep(root)
    (record,) = recorded.read(root)
    assert record.rows == [{"n": 1, "error": 3}, {"n": 2, "error": "inf"}]
    assert record.changed(root) == []


def test_is_stale_once_a_source_changes(root):
    keep(root)
    (record,) = recorded.read(root)
    (root / "code.py").write_text("1\n")
    assert record.changed(root) == ["code.py"]
    (root / "code.py").unlink()
    assert record.changed(root) == ["code.py"]


@pytest.mark.parametrize(("rows", "sources", "message"), [
    ([], ("code.py",), "at least one"),
    ([{"n": 1}, {"m": 1}], ("code.py",), r"\['n'\], not \['m'\]"),
    (ROWS, ("other.py",), "other.py: no such file"),
])  # fmt: skip
def test_refusals_keep_nothing(root, rows, sources, message):
    with pytest.raises(ValueError, match=message):
        keep(root, rows, sources)
    assert recorded.read(root) == []


@pytest.mark.parametrize("content", ["", "[]", '{"name": "a"}', "no json"])
def test_files_of_others_are_left_alone(root, content):
    keep(root)
    (root / recorded.FOLDER / "other.json").write_text(content)
    assert [record.name for record in recorded.read(root)] == ["a"]
