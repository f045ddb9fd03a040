"""Each declared divergence, and each quirk of the original, has the one test of its rung that its page promises."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pytest

from parity.divergences import DIVERGENCES, divergence
from parity.divergences.quirks import KEPT, MENDED, QUIRKS
from parity_tests.rungs import test_quirks

TESTS = Path(__file__).parents[1] / "rungs"


def exercised():
    """(folder, word of a test's name, divergence) of every call of ``diverges`` in the rungs' test files.

    The word is that of the test, or of its parameter where the divergence is one.
    """
    for path in sorted(TESTS.glob("*/test_*.py")):
        for test in ast.parse(path.read_text()).body:
            for call in ast.walk(test):
                if not (isinstance(call, ast.Call) and getattr(call.func, "id", "") == "diverges"):
                    continue
                if isinstance(call.args[1], ast.Constant):
                    yield path.parent.name, test.name.removeprefix("test_"), call.args[1].value
                    continue
                module = importlib.import_module(f"parity_tests.rungs.{path.parent.name}.{path.stem}")
                (mark,) = getattr(module, test.name).pytestmark
                for name in mark.args[1]:
                    yield path.parent.name, mark.kwargs["ids"](name), name


def test_every_divergence_is_exercised_by_the_test_that_its_command_runs_and_no_other_is():
    declared = [(d.between[1], d.name.replace("-", "_"), d.name) for d in DIVERGENCES]
    assert sorted(exercised()) == sorted(declared)
    assert len({name for *_, name in declared}) == len(declared)


@pytest.mark.parametrize("declared", DIVERGENCES, ids=lambda d: d.name)
def test_declaration_is_complete(declared):
    assert 0 < declared.at_least <= declared.at_most <= 2 * declared.at_least
    assert declared.kind in ("kept", "mended", "declared")
    assert declared.between[0] != declared.between[1]
    assert all((declared.statement, declared.size, declared.source))


def test_an_unknown_name_is_refused():
    with pytest.raises(KeyError, match="no-such-divergence"):
        divergence("no-such-divergence")


def test_every_kept_quirk_has_a_test_of_its_name_on_both_rungs():
    tests = {name: test for name, test in vars(test_quirks).items() if name.startswith("test_")}
    assert set(tests) == {f"test_{q.name}" for q in QUIRKS if q.here == KEPT}
    assert all(test_quirks.BOTH.mark in test.pytestmark for test in tests.values())
    assert [param.values for param in test_quirks.BOTH.args[1]] == [("tf_leaf",), ("og_leaf",)]


@pytest.mark.parametrize("quirk", [q for q in QUIRKS if q.here == MENDED], ids=lambda q: q.name)
def test_every_mended_quirk_is_a_divergence_from_the_original(quirk):
    assert divergence(quirk.divergence).between[0] == "original"
