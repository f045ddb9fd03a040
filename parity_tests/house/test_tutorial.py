"""The tutorial's cells run in order, as a script; its recorded outputs are there."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys

import pytest

from parity_tests.house.empty import ROOT, module

hooks = module(ROOT / "docs" / "hooks.py")

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
