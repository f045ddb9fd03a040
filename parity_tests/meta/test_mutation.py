"""The mutation run on a module made by hand: what it changes, what it calls killed, and what equivalent."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from parity.mutation.mutants import __main__ as command
from parity.mutation.mutants import comparison, forking
from parity.mutation.mutants.operators import mutants
from parity.report import instrument
from parity_tests.helpers.certificates import certified

TOY = '''"""A toy."""


def magnitude(x: float, scale: float = 2) -> float:
    """Twice the magnitude."""
    if x != x:
        raise ValueError("x + 1")
    return scale * (x if x > 0 else -x)


def countdown(n):
    while n > 0:
        n -= 1
    return n


def unused(n):
    return n + 1
'''
TESTS = """from toy import countdown, magnitude

def test_magnitude():
    assert [magnitude(x) for x in (-3.0, 0.0, 2.0)] == [6.0, 0.0, 4.0]

def test_countdown():
    assert countdown(3) == 0
"""
LESS, EQUIVALENT = "return scale * (x if x > 0 else -x)", "return scale * (x if x >= 0 else -x)"


@pytest.fixture
def root(tmp_path, monkeypatch):
    (tmp_path / "toy.py").write_text(TOY)
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests/test_toy.py").write_text(TESTS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(forking, "SPARE_S", 1)
    yield tmp_path
    sys.modules.pop("toy", None)


def one(after):
    (found,) = (m for m in mutants("toy.py", TOY) if m.after == after)
    return found


def test_every_operator_and_constant_changes_and_no_text_or_type():
    header = "def magnitude(x: float, scale: float={}) -> float: ..."
    assert {(m.before, m.after) for m in mutants("toy.py", TOY) if m.name == "magnitude"} == {
        (header.format(2), header.format(3)),
        (header.format(2), header.format(1)),
        ("if x != x: ...", "if x == x: ..."),
        ("if x != x: ...", "if not x != x: ..."),
        ("raise ValueError('x + 1')", "pass"),
        (LESS, "return scale / (x if x > 0 else -x)"),
        (LESS, "return scale * (x if not x > 0 else -x)"),
        (LESS, EQUIVALENT),
        (LESS, "return scale * (x if x <= 0 else -x)"),
        (LESS, "return scale * (x if x > 1 else -x)"),
        (LESS, "return scale * (x if x > -1 else -x)"),
        (LESS, "return scale * (x if x > 0 else x)"),
    }


@pytest.mark.parametrize(("statement", "after"), [
    ("y = x.sum(dim=1)", {"y = x", "y = x.sum()", "y = x.sum(dim=0)", "y = x.sum(dim=2)", "y = x.mean(dim=1)"}),
    ("y = x[a:]", {"y = x[:]", "y = x[a + 1:]"}),
    ("y = range(n)", {"y = range(n - 1)", "y = range(n + 1)"}),
    ("y = any(z) and True", {"y = any(z) or True", "y = any(z) and False", "y = all(z) and True", "y = z and True"}),
    ("x.clamp_(lo, hi)", {"pass", "lo", "x", "x.clamp_(hi, lo)"}),
    ("x[0] = y", {"pass", "x[1] = y", "x[-1] = y"}),
    ("import a", set()),
])  # fmt: skip
def test_statement(statement, after):
    assert {m.after for m in mutants("a.py", statement)} == after


def test_compiles_to_what_it_says():
    names = {}
    exec(one("return scale * (x if x > 0 else x)").compile(TOY, "toy.py"), names)
    assert names["magnitude"](-3) == -6


def test_key_and_sample_outlive_an_edit_elsewhere():
    moved = mutants("toy.py", "import a\n\n\n" + TOY)
    assert [m.key for m in moved] == [m.key for m in mutants("toy.py", TOY)]
    edited = mutants("toy.py", TOY.replace("n + 1", "n"))
    kept = [m.key for m in command.sample(mutants("toy.py", TOY), 30, 0) if m.name != "unused"]
    assert [m.key for m in command.sample(edited, 30, 0)] == kept


def test_watch_knows_which_test_calls_what(root):
    seen = forking.watch(["tests"], ["toy.py"])
    assert {n.split("::")[1]: sorted(s.functions) for n, s in seen.items()} == {
        "test_magnitude": ["toy.py:magnitude"],
        "test_countdown": ["toy.py:countdown"],
    }


def test_watch_refuses_tests_that_fail(root):
    (root / "tests/test_toy.py").write_text("def test_false():\n    assert False\n")
    with pytest.raises(RuntimeError, match="test_false"):
        forking.watch(["tests"], ["toy.py"])


@pytest.mark.parametrize(("after", "state"), [
    ("return scale * (x if x > 0 else x)", "killed"),
    ("def magnitude(x: float, scale: float=3) -> float: ...", "killed"),
    (EQUIVALENT, "survived"),
    ("n += 1", "timeout"),
])  # fmt: skip
def test_verdict(root, after, state):
    def files():
        return {p: p.read_text() for p in root.rglob("*") if "__pycache__" not in p.parts and p.is_file()}

    mutant, before = one(after), files()
    tests = {f"tests/test_toy.py::test_{mutant.name}": 0.0}
    assert forking.judge(mutant, tests, ["tests"], root).state == state
    assert files() == before


@pytest.fixture
def compare(root, monkeypatch):
    def magnitudes(seed):
        import toy

        return str(toy.magnitude(float(seed - 4), scale=1.0))

    monkeypatch.setattr(comparison, "families", lambda rung: {"magnitudes": magnitudes})
    return lambda mutant: comparison.compare(mutant, "toy", {}, root, 20)


@pytest.mark.parametrize(("after", "expected"), [
    ("def magnitude(x: float, scale: float=3) -> float: ...", (20, "")),  # equal bits on all cases
    (EQUIVALENT, (4, "magnitudes 4")),  # 0.0 and -0.0 are equal, and their bits differ
])  # fmt: skip
def test_first_case_of_other_bits_is_named(compare, after, expected):
    assert compare(one(after)) == expected


def test_what_no_case_runs_is_not_equal(compare):
    assert compare(one("return n - 1")).n_cases == 0


def test_only_cases_that_run_the_statement_count(root, monkeypatch):
    def half(seed):
        import toy

        found = toy.unused(seed) if seed % 2 else 0
        return str(found if seed > 30 else 0)

    monkeypatch.setattr(comparison, "families", lambda rung: {"half": half})
    assert comparison.compare(one("return n - 1"), "toy", {}, root, 20) == (15, "half 31")


def test_reasons_are_of_mutants_that_exist():
    root, known = Path(__file__).parents[2], set(command.reasons())
    existing = {m.key for path in {key[0] for key in known} for m in mutants(path, (root / path).read_text())}
    assert known <= existing


def test_score_counts_what_is_not_equivalent():
    verdicts = ["killed"] * 5 + ["timeout", "equivalent: bits", "equivalent: reason", "survived", "survived"]
    row = command.summary("leaf", 99, [command.Judged(one("n += 1"), verdict, "") for verdict in verdicts])
    assert (row["sampled"], row["score"]) == (10, "75.0 %")


def test_journal_forgets_mutants_of_a_changed_file(root):
    mutant = one("n += 1")
    command.Journal(root / "journal", root).add(mutant, "killed", "a test")
    for more, kept in (("", ("killed", "a test")), ("\n", None)):
        (root / "toy.py").write_text(TOY + more)
        assert command.Journal(root / "journal", root).get(mutant) == kept


def test_the_certificate_says_how_many_were_killed_and_of_what():
    rows = [{"rung": "leaf", "sampled": 9, "killed": 6, "timeout": 1, "equivalent: bits": 1, "equivalent: reason": 1}]
    record = {"name": "mutants", "rows": rows, "changed": ["leaf/pcen.py"], "date": "2026-11-25T04:53:19+00:00"}
    said = "of 9 random changes of the code 7 failed a test, 2 change nothing that is computed (recorded 2026-11-25,"
    assert said in "; ".join(instrument.parts(certified({}, recorded=[record])))
