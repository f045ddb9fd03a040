"""Damaged files of weights of every format: refused by name or loaded unchanged, quickly and in little memory."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

from hypothesis import settings

SEARCHED = settings.get_profile("search").max_examples
N_FILES = 2000 if settings().max_examples >= SEARCHED else 330
SEED = 0


def read_all(folder: Path) -> tuple[dict[str, Counter[str]], list[str]]:
    """Read damaged files in processes of their own: counts of their ends by format, and what must not be.

    A process that ends before its time is a violation too, and another goes on with the next file.
    """
    counts: dict[str, Counter[str]] = {}
    violations: list[str] = []
    begin = 0
    while begin < N_FILES:
        arguments = map(str, (N_FILES, SEED, begin, folder))
        command = [sys.executable, "-m", "parity_tests.meta.damage", *arguments]
        child = subprocess.Popen(command, cwd=Path(__file__).parents[2], stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        last = begin - 1
        with child.stdout:
            for line in child.stdout:
                row = json.loads(line)
                if "begins" in row:
                    last = row["begins"]
                elif "violation" in row:
                    violations.append(row["violation"])
                else:
                    counts.setdefault(row["kind"], Counter(refused=0, unchanged=0, changed=0))[row["end"]] += 1
        if child.wait():
            violations.append(f"file {last} of seed {SEED}: the process ended with {child.returncode}")
            begin = last + 1
        else:
            begin = N_FILES
        shutil.rmtree(folder / "damaged", ignore_errors=True)
    return counts, violations


def test_damaged_files(ledger, tmp_path):
    counts, violations = read_all(tmp_path)
    assert violations == []
    assert sum(count.total() for count in counts.values()) == N_FILES
    for kind, count in sorted(counts.items()):
        assert count["refused"], kind
        ledger.note("damage", format=kind, files=count.total(), **count)
