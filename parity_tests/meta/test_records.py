"""Records of long runs, and the pages whose tables are written from data."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks import breaking_report, summary
from parity.report import quirks, recorded
from parity.report.markdown import insert, table

ROOT = Path(__file__).parents[2]
ROWS = [{"n": 1, "error": 3}, {"n": 2, "error": float("inf")}]


@pytest.fixture
def root(tmp_path):
    (tmp_path / "code.py").write_text("pass\n")
    return tmp_path


def keep(root, rows=ROWS, sources=("code.py",)):
    recorded.keep("a", rows, title="A", note="of two", command="a", sources=sources, root=root)
    return recorded.read(root)


def test_comes_back_as_it_was_kept_and_is_stale_once_a_source_changes(root):
    (record,) = keep(root)
    assert record.rows == [{"n": 1, "error": 3}, {"n": 2, "error": "inf"}]
    assert record.changed(root) == []
    (root / "code.py").write_text("1\n")
    assert record.changed(root) == ["code.py"]
    (root / "code.py").unlink()
    assert record.changed(root) == ["code.py"]


CODE = 'def f(x: int) -> str:\n    return f"{x} # no comment"\n'


@pytest.mark.parametrize("written", [
    f'"""A module."""\n\n{CODE}',
    CODE.replace("str:\n", 'str:\n    """Say\n\n    it in ä."""  # ü\n\n'),
    CODE.replace('comment"', 'comment"  # type: ignore'),
    CODE.replace("    return", "    # ä\n\n    return"),
], ids=["of a module", "of a function", "behind code", "before it"])  # fmt: skip
def test_prose_makes_no_record_stale(root, written):
    (root / "code.py").write_text(CODE)
    (record,) = keep(root)
    (root / "code.py").write_text(written)
    assert record.changed(root) == []
    assert recorded.without_prose(written) == CODE


def test_message_of_an_error_makes_no_record_stale(root):
    code = "def f(x):\n    if x:\n        raise ValueError({})\n    return x\n"
    (root / "code.py").write_text(code.format('f"x={x!r}: is wrong"'))
    (record,) = keep(root)
    (root / "code.py").write_text(code.format('\n            "x: must be 0"\n        '))
    assert record.changed(root) == []
    (root / "code.py").write_text(code.replace("Value", "Type").format('"x: must be 0"'))
    assert record.changed(root) == ["code.py"]


@pytest.mark.parametrize("written", [
    CODE.replace("# no", "# a"), CODE.replace("int", "float"), CODE + "f(1)\n", CODE.replace('f"', '"'),
    CODE.replace("    return", "    print(1)\n    return"), CODE.replace("    return", "    if x:\n        return"),
], ids=["a text", "a type", "a line", "a prefix", "a statement", "a branch"])  # fmt: skip
def test_code_makes_a_record_stale(root, written):
    (root / "code.py").write_text(CODE)
    (record,) = keep(root)
    (root / "code.py").write_text(written)
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


# pages


def rows_of(name):
    return recorded.find(name, ROOT).rows


def prose(page):
    return " ".join((ROOT / "docs" / page).read_text(encoding="utf-8").split())


def training(page):
    return insert(page, "training", breaking_report.training(rows_of("breaking")))


@pytest.mark.parametrize(("page", "filled"), [
    ("README.md", summary.filled), ("docs/performance.md", summary.filled), ("docs/long-audio.md", summary.filled),
    ("docs/the-originals-quirks.md", quirks.filled), (breaking_report.PAGE, training),
], ids=lambda given: given if isinstance(given, str) else given.__module__)  # fmt: skip
def test_tables_are_what_the_data_says(page, filled):
    text = (ROOT / page).read_text(encoding="utf-8")
    assert filled(text) == text


def test_ratios_of_leaf_are_those_of_the_times():
    (line,) = re.findall(r"^\| `leaf` \| (\w+)x \| (\w+)x \|", (ROOT / "README.md").read_text(encoding="utf-8"), re.M)
    for of, shown in zip(("forward", "forward and backward"), line, strict=True):
        rows = [row for row in rows_of("frontends") if (row["case"], row["of"]) == ("8 x 1 s", of)]
        ms = {(row["front end"], row["compression"]): row["ms"] for row in rows}
        ratio = ms["leaf", "pcen"] / ms["mel", "log"]
        assert shown == f"{float(f'{ratio:.2g}'):g}", of


def test_drawn_tolerances_are_those_of_the_record():
    rows, page = rows_of("tolerance"), prose("energies-within-a-tolerance.md")
    assert "of 2000 banks of drawn size" in page
    assert "fourteen kinds of signals, at tolerances of 1e-2, 1e-3 and 1e-4, none is above" in page
    assert {row["draws"] for row in rows} == {2000}
    assert {row["tolerance"] for row in rows} == {10**-n for n in (2, 3, 4)}
    assert len({row["signal"] for row in rows}) == 14
    assert sum(row["over"] for row in rows) == 0


def test_steps_that_hold_8g_opt_are_those_of_the_record():
    mels = {(row["case"], row["step"]): row["times mel"] for row in rows_of("breakdown")}
    said = "at 8 x 1 s its eight strided convolutions alone take twice as long as the whole mel spectrogram"
    assert said in prose("performance.md")
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
    page = "before <!-- a -->{}<!-- /a --> after <!-- b -->kept<!-- /b -->"
    assert insert(page.format("\nold\n"), "a", "new") == page.format("\nnew\n")


@pytest.mark.parametrize("page", ["", "<!-- frontends -->", "<!-- /frontends --><!-- frontends -->"])
def test_a_page_without_its_comments_is_refused(page):
    with pytest.raises(ValueError, match="<!-- frontends --> and then <!-- /frontends -->"):
        insert(page, "frontends", "")
    with pytest.raises(ValueError, match=r"<!-- /?frontends -->"):
        summary.filled(page)
