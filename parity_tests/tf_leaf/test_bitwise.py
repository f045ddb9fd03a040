"""Rung 0 and the untouched original in one process, on drawn configurations: the same bits, wherever both can run.

The original needs Keras 2 for its ``tf.keras``, which a process decides once, before TensorFlow is imported: so this
runs in a process of its own. Where the original is not at hand its goldens hold rung 0, to rounding.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import settings

from parity.inventory import original

ROOT = Path(__file__).parents[2]
FEWEST = 500
A_HYPOTHESIS_EXAMPLE = 6  # configurations, over all names: 600 in the profile of CI, 6000 in that of the search

pytestmark = pytest.mark.usefixtures("tensorflow")


@pytest.fixture(scope="module")
def report():
    reason = original.missing()
    if reason:
        pytest.skip(f"{reason}; without it the recorded goldens hold rung 0")
    examples = str(A_HYPOTHESIS_EXAMPLE * settings().max_examples)
    command = [sys.executable, "-m", "parity.inventory.original", "--json", "--examples", examples]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode in (0, 1), done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_the_inventory_is_what_the_original_holds(report):
    assert report["unlisted"] == []


def test_every_bit_of_every_name(report, ledger):
    for row in report["compared"]:
        ledger.note("bitwise", **{**row, "where": "; ".join(row["where"])})
    assert {row["name"]: row["where"] for row in report["compared"] if row["where"]} == {}
    assert {row["name"] for row in report["compared"] if row["differing"] or row["divided"]} == set()


def test_enough_is_compared(report):
    assert sum(row["drawn"] for row in report["compared"]) >= FEWEST
    assert {row["name"] for row in report["compared"] if not row["values"]} == set()
    assert {row["name"] for row in report["compared"] if row["refused"] > row["drawn"] // 2} == set()
