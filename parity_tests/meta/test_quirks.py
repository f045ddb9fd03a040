"""Every quirk has the tests that its page promises."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from parity.divergences import divergence
from parity.divergences.quirks import KEPT, MENDED, QUIRKS

ROOT = Path(__file__).parents[2]


def names_of(rung: str) -> set[str]:
    tree = ast.parse((ROOT / "parity_tests" / "rungs" / rung / "test_quirks.py").read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("rung", ["tf_leaf", "og_leaf"])
def test_every_kept_quirk_has_a_test_of_its_name(rung):
    assert names_of(rung) == {f"test_{q.name}" for q in QUIRKS if q.here == KEPT}


@pytest.mark.parametrize("quirk", [q for q in QUIRKS if q.here == MENDED], ids=lambda q: q.name)
def test_every_mended_quirk_is_a_divergence_from_the_original(quirk):
    assert divergence(quirk.divergence).between[0] == "original"
