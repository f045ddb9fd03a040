"""Every declared divergence is shown to exist by one test of its rung, and no test speaks of an undeclared one."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

import pytest

from parity.divergences import DIVERGENCES, divergence

SUITE = Path(__file__).parents[1]


def exercised():
    """(folder, test, divergence) of every call of ``diverges`` in the suite's test files."""
    found = []
    for path in sorted(SUITE.glob("rungs/*/test_*.py")):
        for test in ast.parse(path.read_text()).body:
            calls = [c for c in ast.walk(test) if isinstance(c, ast.Call) and isinstance(c.func, ast.Name)]
            found += [(path.parent.name, getattr(test, "name", ""), c.args[1].value)
                      for c in calls if c.func.id == "diverges"]  # fmt: skip
    return found


def test_names_are_unique():
    assert Counter(d.name for d in DIVERGENCES).most_common(1)[0][1] == 1


def test_every_divergence_is_exercised_by_one_test_and_no_other_is():
    assert sorted(name for _, _, name in exercised()) == sorted(d.name for d in DIVERGENCES)


def test_the_command_that_the_certificate_prints_runs_that_test():
    for folder, test, name in exercised():
        assert folder == divergence(name).between[1]
        assert test == "test_" + name.replace("-", "_")


@pytest.mark.parametrize("declared", DIVERGENCES, ids=lambda d: d.name)
def test_declaration_is_complete(declared):
    assert 0 < declared.at_least <= declared.at_most <= 2 * declared.at_least
    assert declared.kind in ("kept", "mended", "declared")
    assert declared.between[0] != declared.between[1]
    assert all((declared.statement, declared.size, declared.source))


def test_an_unknown_name_is_refused():
    with pytest.raises(KeyError, match="no-such-divergence"):
        divergence("no-such-divergence")
