"""Damaged files of weights of every format: refused by name or loaded unchanged, quickly and in little memory."""

from __future__ import annotations

from hypothesis import settings

from parity_tests.meta.damage import read_all

SEARCHED = settings.get_profile("search").max_examples
N_FILES = 2000 if settings().max_examples >= SEARCHED else 330


def test_damaged_files(ledger, tmp_path):
    counts, violations = read_all(N_FILES, 0, tmp_path)
    assert violations == []
    assert sum(count.refused + count.unchanged + count.changed for count in counts.values()) == N_FILES
    for kind, count in sorted(counts.items()):
        files = count.refused + count.unchanged + count.changed
        assert count.refused, kind
        ledger.note("damage", format=kind, files=files, **vars(count))
