"""The search: it runs what it says, keeps the worst, and reports what it finds."""

from __future__ import annotations

from dataclasses import replace

import pytest

from parity.cases.case import Case
from parity.checks import search
from parity_tests.helpers.certificates import measured
from parity_tests.helpers.refusals import refused


def made(rung):
    return search.Searched(rung, 7, 3, "2000-01-01", {"forward, pool": (0.5, "seed=1")})


def test_every_case_is_counted_and_the_worst_is_kept():
    seen = []
    found, coverage = search.search("leaf", 5, seed=1, progress=lambda so_far: seen.append(so_far.n_examples))
    assert seen == list(range(1, found.n_examples + 1))
    assert coverage.n_cases == found.n_examples
    assert found.violations == []
    name, ratio, case = found.nearest
    assert found.worst[name] == (ratio, case)
    assert ratio == max(r for r, _ in found.worst.values())
    assert str(Case.parse(case)) == case


def test_the_nearest_is_kept_not_the_last():
    found = search.Searched("leaf")
    for observed in (0.2, 0.9, 0.4):
        found.add(measured(criterion="soundness", observed=observed, case=str(observed)))
    assert found.nearest[2] == "0.9"


def test_a_violation_is_reported(monkeypatch):
    honest = search.against_oracle

    def spoiled(*args, **kwargs):
        for m in honest(*args, **kwargs):
            yield replace(m, observed=2 * m.bound) if m.criterion == "soundness" and m.stage == "pool" else m

    monkeypatch.setattr(search, "against_oracle", spoiled)
    found, _ = search.search("leaf", 3)
    assert found.violations
    assert found.nearest[0] == "forward, pool"


def test_a_record_is_read_as_it_was_written(tmp_path):
    path, both = tmp_path / "searched.json", [made("leaf"), made("og_leaf")]
    for searched in both:
        search.write(path, searched)
    assert list(search.read(path)) == both[::-1]  # up the ladder


def test_an_unknown_rung_is_refused():
    refused(lambda: search.search("sincnet", 1), ValueError, "rung='sincnet'", "og_leaf")


@pytest.mark.parametrize("rung", search.DOMAINS)
def test_row_for_the_certificate_reproduces_the_worst(rung):
    assert made(rung).row()["reproduce"] == f"leaf-ladder replay {rung}-alone 'seed=1'"
