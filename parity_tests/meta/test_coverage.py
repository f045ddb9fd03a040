"""The strategies draw every class of cases, and one that is missed is named."""

from __future__ import annotations

import pytest
from hypothesis import given

from parity.cases.case import SIGNALS, Case
from parity.cases.strategies import aligned, cases
from parity.checks.coverage import Coverage
from parity.oracle.config import LeafConfig

SHARED = ("drawn", "drawn", "trained", "outside_shared")
CHOICES = {
    "originals": {},
    "shared domain": {"plain": True, "weights": SHARED},
    "rung 3": {"plain": True, "weights": SHARED[:3]},
}


def drawn(strategy, coverage):
    """The coverage of as many cases as the profile draws."""

    @given(case=strategy)
    def collect(case):
        coverage.add(case)

    collect()
    return coverage


@pytest.mark.parametrize("frames_aligned", [False, True], ids=["as drawn", "aligned"])
@pytest.mark.parametrize("arguments", CHOICES.values(), ids=CHOICES)
def test_no_class_is_empty(arguments, frames_aligned):
    strategy = cases(**arguments)
    expected = Coverage.of(**arguments, frames_aligned=frames_aligned)
    classes = {dimension: set(kinds) for dimension, kinds in expected.counts.items()}
    coverage = drawn(strategy.map(aligned) if frames_aligned else strategy, expected)
    assert coverage.empty() == []
    assert {dimension: set(kinds) for dimension, kinds in coverage.counts.items()} == classes


def test_classes_of_one_case():
    config = LeafConfig(n_filters=1, sample_rate=22050, compression="log", preemp=True, per_channel_smooth=False)
    coverage = Coverage()
    coverage.add(Case(config, "outside", "dc", n_samples=219, batch=2, amplitude=0.05, seed=1))
    assert coverage.n_cases == 1
    kernel = {d: kinds for d, kinds in coverage.counts.items() if d.endswith("limits")}
    assert set(kernel) == {f"{p} against its limits" for p in ("mu", "sigma", "width")}  # no PCEN, no limits of it
    assert all(sum(kinds.values()) == 1 and "inside" not in kinds for kinds in kernel.values())
    assert {d: set(kinds) for d, kinds in coverage.counts.items() if d not in kernel} == {
        "length modulo stride": {"stride - 1"}, "length": {"one frame", "shorter than a window"}, "window": {"even"},
        "rate": {"22050"}, "signal": {"dc"}, "amplitude": {"1e-2"}, "batch": {"2"}, "weights": {"outside"},
        "compression": {"log"}, "options": {"pre-emphasis"},
    }  # fmt: skip


@pytest.mark.parametrize(("weights", "sides"), [("trained", {"inside"}), ("outside", {"below", "above"})])
def test_sides_of_the_limits(weights, sides):
    coverage = Coverage()
    for seed in range(20):
        coverage.add(Case(LeafConfig(n_filters=3, sample_rate=2000), weights, n_samples=9, seed=seed))
    found = {dimension.split()[0]: set(kinds) for dimension, kinds in coverage.counts.items()}
    assert {found[parameter] == sides for parameter in ("mu", "sigma", "width", "smooth")} == {True}
    assert (found["alpha"] - {"inside"}, found["root"] - {"inside"}) == (sides & {"above"}, sides & {"below"})


@pytest.mark.parametrize(("n_samples", "kind"), [(20, "0"), (21, "1"), (39, "stride - 1"), (45, "other")])
def test_lengths_modulo_the_stride(n_samples, kind):
    coverage = Coverage()
    coverage.add(Case(LeafConfig(n_filters=1, sample_rate=2000), "trained", n_samples=n_samples))
    assert coverage.counts["length modulo stride"] == {kind: 1}


def test_what_was_never_drawn_is_named():
    coverage = drawn(cases(plain=True, weights=("trained",), signals=("noise",)), Coverage.of())
    missed = set(coverage.empty())
    assert missed >= {f"signal: {kind}" for kind in SIGNALS if kind != "noise"}
    assert missed >= {"mu against its limits: below", "alpha against its limits: above", "compression: log"}
    assert not {"signal: noise", "mu against its limits: inside", "rate: 22050"} & missed
    assert "signal: silence" in coverage.table().splitlines()[-1]


def test_table_has_every_count():
    coverage = drawn(cases(), Coverage.of())
    text = coverage.table()
    for kinds in coverage.counts.values():
        for kind, n in kinds.items():
            assert f"{kind} {n}" in text
    assert text.startswith(f"{coverage.n_cases} cases")
    assert text.endswith("every class was drawn")
