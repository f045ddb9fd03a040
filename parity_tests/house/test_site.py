"""The site: every page is in its contents, nothing on it is older than what it speaks of, and the tutorial runs."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from types import SimpleNamespace

import pytest

from parity.mutation import benign, faults
from parity_tests.house.empty import ROOT, module

hooks = module(ROOT / "docs" / "hooks.py")


def text(*path):
    return ROOT.joinpath(*path).read_text(encoding="utf-8")


NAV = text("mkdocs.yml").partition("\nnav:\n")[2]
PAGES = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")}


def test_every_page_is_in_the_contents():
    assert set(re.findall(r": (\S+\.md)$", NAV, re.MULTILINE)) == PAGES | {"tutorial.md"}


@pytest.mark.parametrize("package", ["tf_leaf", "og_leaf", "leaf", "efficientleaf", "parity"])
def test_every_package_has_its_page(package):
    assert f"\n::: {package}\n" in text("docs", "api", f"{package}.md")


@pytest.mark.parametrize(("written", "shown"), [
    ("[`x`](../parity/x.py)", "`x` (`parity/x.py` in the clone)"), ("[a page](index.md)", "[a page](index.md)"),
    ("see [it](tutorial.ipynb)", "see [it](tutorial.md)"), ("![a picture](ladder.png)", "![a picture](ladder.png)"),
])  # fmt: skip
def test_links_out_of_the_docs_become_paths(written, shown):
    page = SimpleNamespace(file=SimpleNamespace(src_uri="index.md"))
    assert hooks.on_page_markdown(written, page, None, None) == shown


def test_roles_of_docstrings_are_not_shown():
    shown = hooks.on_page_content("see :class:<code>Leaf</code>: a frontend", None, None, None)
    assert shown == "see <code>Leaf</code>: a frontend"


def test_versions_are_those_that_the_suite_runs_with():
    page, constraints = text("docs", "compatibility.md"), text("constraints.txt")
    for name in ("torch", "tensorflow-cpu", "keras", "numpy"):
        version = re.search(rf"^{name}==([\d.]+)", constraints, re.MULTILINE)[1]
        assert re.search(rf"\| `{name}` \|.*\| {re.escape(version)} \|", page), name


def test_readme_counts_what_is_planted():
    page = " ".join(text("README.md").split())
    counts = re.search(r"(\d+) of (\d+) bugs that were planted .* none of (\d+) rewritings", page).groups()
    assert [int(n) for n in counts] == [len(faults()), len(faults()), len(benign())]


def test_tox_installs_what_the_extra_names():
    extra = re.search(r"^docs = \[(.*)\]$", text("pyproject.toml"), re.MULTILINE)[1]
    tox = text("tox.ini").partition("[testenv:docs]")[2].partition("[testenv:")[0]
    deps = re.search(r"^deps =\n((?:    .*\n)+)", tox, re.MULTILINE)[1].split()
    assert sorted(re.findall(r'"([^"]+)"', extra)) == sorted(deps)


def test_terms_are_defined_once():
    terms = re.findall(r"^\*\*([^*]+)\*\*$", text("docs", "how-it-is-certified.md"), re.MULTILINE)
    assert len(terms) == len(set(terms)) >= 10


# the tutorial

NOTEBOOK = json.loads((ROOT / "docs" / hooks.NOTEBOOK).read_text(encoding="utf-8"))
CODE = ["".join(cell["source"]) for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]


def said(notebook):
    """Lines that its cells print."""
    outputs = [out for cell in notebook["cells"] for out in cell.get("outputs", [])]
    return "".join("".join(out["text"]) for out in outputs if out.get("name") == "stdout")


def test_cells_run(tensorflow, tmp_path):
    absent = [name for name in ("matplotlib", "soundfile") if importlib.util.find_spec(name) is None]
    if absent:
        pytest.skip(f"{', '.join(absent)}: not installed")
    script = tmp_path / "tutorial.py"
    script.write_text("\n".join(CODE), encoding="utf-8")
    env = {**os.environ, "MPLBACKEND": "Agg", "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, str(script)], cwd=ROOT / "docs", env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    # numbers move with processor and versions, the words between them do not
    assert _words(done.stdout) == _words(said(NOTEBOOK))


def test_every_picture_is_recorded_and_described():
    text, pictures = hooks.page(NOTEBOOK)
    assert len(pictures) == sum("plt.show()" in cell for cell in CODE) > 0
    assert all(data.startswith(b"\x89PNG") for data in pictures.values())
    assert all(f"]({name})" in text for name in pictures)
    assert not any(out.get("name") == "stderr" for cell in NOTEBOOK["cells"] for out in cell.get("outputs", []))


def test_cell_that_was_not_executed_is_refused():
    cell = {"cell_type": "code", "execution_count": None, "source": ["x = 1"], "outputs": [], "metadata": {}}
    with pytest.raises(ValueError, match="must be executed"):
        hooks.page({"cells": [cell]})


def _words(text):
    return [word for word in text.split() if not any(char.isdigit() for char in word)]
