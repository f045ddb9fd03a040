"""Commands killed at any moment leave the old file or the new one, whole, and nothing that a later run trusts.

A dozen seeded moments a command; ``LEAF_LADDER_KILLS=200`` tries so many.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

COUNTS = ("moments", "killed", "old", "new")
MOMENTS = int(os.environ.get("LEAF_LADDER_KILLS", "12"))
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="a process that is killed is forked")


@pytest.fixture(scope="module")
def found():
    command = [sys.executable, "-m", "parity_tests.meta.killing", "0", str(MOMENTS)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("command", ["Features", "Convert", "Recorder"])
def test_old_or_new_and_whole(found, command, ledger):
    row = found[command]
    ledger.note("killed", command=command.lower(), **{name: row[name] for name in COUNTS})
    assert row["wrong"] == []
    assert row["killed"] > 0
    assert row["old"] + row["new"] == row["moments"] == MOMENTS
