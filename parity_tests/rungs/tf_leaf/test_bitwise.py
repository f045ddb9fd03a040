"""Rung 0 and the untouched original in one process, on drawn configurations: the same bits, wherever both can run.

The original needs Keras 2 for its ``tf.keras``, which a process decides once, before TensorFlow is imported: so this
runs in a process of its own. Where the original is not at hand its goldens hold rung 0, to rounding, and what is looked
at here is the table of the last run in which it was, which the certificate shows, and calls stale once rung 0 changed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import settings

from fixtures.sources import ORIGINAL_FILES
from parity.cases.public_names import PUBLIC
from parity.checks import original
from parity.report import recorded

ROOT = Path(__file__).parents[3]
FEWEST = 500
A_HYPOTHESIS_EXAMPLE = 6  # configurations, over all names: 600 in the profile of CI, 6000 in that of the search
COMPARED = {entry.name for entry in PUBLIC} - set(original.LEFT_OUT)

pytestmark = pytest.mark.usefixtures("tensorflow")


@pytest.fixture(scope="module")
def report():
    examples = str(A_HYPOTHESIS_EXAMPLE * settings().max_examples)
    command = [sys.executable, "-m", "parity.checks.original", "--json", "--examples", examples]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode in (0, 1), done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def equal(rows, ledger, run):
    for row in rows:
        ledger.note("bitwise", **{column: row[column] for column in original.COLUMNS}, run=run)
    assert {row["name"] for row in rows if row["differing"] or row["divided"]} == set()
    assert {row["name"] for row in rows} == COMPARED
    assert sum(row["drawn"] for row in rows) >= FEWEST
    assert {row["name"] for row in rows if not row["values"]} == set()
    assert {row["name"] for row in rows if row["refused"] > row["drawn"] // 2} == set()


if original.missing():

    def test_every_bit_of_every_name_on_record(ledger):
        (kept,) = (record for record in recorded.read(ROOT) if record.name == original.RECORD)
        changed = kept.changed(ROOT)
        stale = f", stale since a change of {', '.join(changed)}" if changed else ""
        equal(kept.rows, ledger, f"on record at {kept.commit}{stale}; now {original.missing()}")

else:

    def test_the_original_is_untouched(report):
        assert report["files"].items() <= ORIGINAL_FILES.items()

    def test_the_inventory_is_what_the_original_holds(report):
        assert report["unlisted"] == []

    def test_every_bit_of_every_name(report, ledger):
        assert {row["name"]: row["where"] for row in report["compared"] if row["where"]} == {}
        equal(report["compared"], ledger, "this run")
