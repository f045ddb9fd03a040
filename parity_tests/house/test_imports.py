"""Who imports whom, read off the source: the rungs' independence is the evidence."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STANDARD = sys.stdlib_module_names
OUTSIDE = {"fixtures", "parity_tests", "benchmarks", "experiments"}  # of the wheel
OURS = {"tf_leaf", "og_leaf", "leaf", "efficientleaf", "parity", *OUTSIDE}
ALLOWED = {
    "tf_leaf": {"tf_leaf", "tensorflow", "keras", "numpy"},
    "og_leaf": {"og_leaf", "torch", "numpy"},
    "leaf": {"leaf", "torch", "numpy"},
    "efficientleaf": {"efficientleaf", "leaf", "torch", "numpy"},
}
# what a file, or all of a folder, may import besides the standard library
LIGHT = {
    **dict.fromkeys(("parity/oracle", "parity/criteria", "parity/divergences", "parity/report/claims.py",
                     "parity/cases/case.py", "parity/adapters/canonical.py"), ("numpy", "parity")),
    "fixtures": ("numpy", "parity", "fixtures"),
    "parity/weights/outputs.py": (),
}  # fmt: skip
TENSORFLOW = {"tensorflow", "keras", "tf_keras"}
HEAVY = (*TENSORFLOW, "torch", "scipy", "jinja2", "matplotlib", "typer", "pytest", "hypothesis")


def files(room: str) -> list[Path]:
    found = sorted((ROOT / room).rglob("*.py"))
    assert found, f"{room} is not there"
    return found


def imported(path: Path, at_module_level: bool = False) -> Iterator[str]:
    """Dotted names of the modules that a file imports; those for type checkers do not count."""

    def walk(node: ast.AST) -> Iterator[str]:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        if at_module_level and isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            return
        children = list(ast.iter_child_nodes(node))
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            children = node.orelse
        for child in children:
            yield from walk(child)

    yield from walk(ast.parse(path.read_text(encoding="utf-8")))


def packages(path: Path, at_module_level: bool = False) -> set[str]:
    return {name.split(".")[0] for name in imported(path, at_module_level)} - STANDARD


@pytest.mark.parametrize("rung", ALLOWED)
def test_rung_imports_nothing_but_its_framework(rung):
    for path in files(rung):
        assert packages(path) <= ALLOWED[rung], path


@pytest.mark.parametrize("place", LIGHT)
def test_what_is_light_imports_nothing_heavy(place):
    for path in files(place) if not place.endswith(".py") else [ROOT / place]:
        assert packages(path) <= set(LIGHT[place]), path


def test_what_is_light_imports_without_anything_heavy():
    names = ", ".join(place.removesuffix(".py").replace("/", ".") for place in LIGHT)
    code = f"import sys; sys.modules.update(dict.fromkeys({HEAVY!r})); import {names}"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_recorder_uses_few_rooms_of_the_instrument():
    for path in files("fixtures"):
        ours = {name for name in imported(path) if name.startswith("parity.")}
        rooms = ("parity.oracle", "parity.cases", "parity.adapters.subject_", "parity.adapters.canonical",
                 "parity.criteria.outcome", "parity.weights.outputs")  # fmt: skip
        assert all(name.startswith(rooms) for name in ours), path


@pytest.mark.parametrize("room", sorted(OURS - {"parity_tests"}))
def test_the_wheel_imports_nothing_that_it_does_not_hold_and_nothing_the_tests(room):
    for path in files(room):
        assert not packages(path) & ({"parity_tests"} if room in OUTSIDE else OUTSIDE), path


def test_tensorflow_is_imported_by_what_asks_for_it():
    of_rung_0 = {*files("tf_leaf"), ROOT / "parity/adapters/tf_leaf.py"}
    for room in sorted(OURS):
        for path in sorted((ROOT / room).rglob("*.py")):
            if path not in of_rung_0:
                found = packages(path, at_module_level=True)
                assert not found & {*TENSORFLOW, "tf_leaf"}, path
                assert "parity.adapters.tf_leaf" not in set(imported(path, at_module_level=True)), path


def test_reader_sees_what_it_should(tmp_path):
    path = tmp_path / "module.py"
    path.write_text(
        "from typing import TYPE_CHECKING\nimport a.b\nif TYPE_CHECKING:\n    import c\nelse:\n    import d\n"
        "class K:\n    from e import f\n    def g(self):\n        import h\n"
        "try:\n    import i\nexcept ImportError: pass\n"
    )
    assert packages(path, at_module_level=True) == {"a", "d", "e", "i"}
    assert packages(path) == {"a", "d", "e", "h", "i"}


def test_parity_offers_six_names():
    import parity

    names = [name for name in parity.__all__ if name != "__version__"]
    assert sorted(names) == ["Certificate", "Port", "certify", "convert", "load", "load_weights"]
    assert all(getattr(parity, name).__name__ == name for name in names)
