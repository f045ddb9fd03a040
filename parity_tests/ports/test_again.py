"""The command that a failing port prints runs where pytest was started, below the root of its names."""

from __future__ import annotations

import subprocess
import sys

import pytest

from parity_tests.ports.bench import CERTIFY, FOLDER

EXAMPLES = 1


@pytest.mark.parametrize("started", ["", "ports/of"])
def test_again_runs_where_pytest_ran(started, tmp_path):
    (tmp_path / "pyproject.toml").write_text("[tool.pytest.ini_options]\n")
    below = tmp_path / "ports" / "of"
    (below / "me").mkdir(parents=True)
    text = CERTIFY.read_text(encoding="utf-8").replace("certify(PORT)", f"certify(PORT, examples={EXAMPLES})")
    (below / "me" / CERTIFY.name).write_text(text)
    (below / "me" / "flawed.py").write_bytes((FOLDER / "flawed.py").read_bytes())
    where = tmp_path / started
    file = (below / "me" / CERTIFY.name).relative_to(where)
    pytest_run = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-k", "everything", file]
    done = subprocess.run(pytest_run, cwd=where, capture_output=True, text=True)
    command = next(line.strip() for line in done.stdout.splitlines() if "python -m parity.ports" in line)
    assert command.startswith(f"python -m parity.ports {file} flawed "), command
    case = command.split(" ")[5:]
    repeated = subprocess.run(
        [sys.executable, "-m", "parity.ports", str(file), "flawed", *case], cwd=where, capture_output=True, text=True
    )
    assert "flawed departs from og_leaf in" in repeated.stdout, repeated.stderr
