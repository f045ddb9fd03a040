"""Cases are reproducible from their text; the strategies draw every class of them, and one that is missed is named."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given

from parity.adapters.canonical import expected_shapes
from parity.cases.case import SIGNALS, WEIGHTS, Case
from parity.cases.strategies import aligned, cases
from parity.checks.coverage import Coverage
from parity.oracle.config import LeafConfig
from parity_tests.helpers.refusals import refused


@given(case=cases(weights=WEIGHTS))
def test_text_gives_the_case_back_and_weights_have_the_originals_shapes(case):
    assert Case.parse(str(case)) == case
    assert {k: v.shape for k, v in case.variables().items()} == expected_shapes(case.config)


@given(case=cases(plain=True))
def test_aligned_cases_pad_alike(case):
    case = aligned(case)
    centred = case.config.with_(padding="centered")
    assert (case.config.window, case.config.stride) == (centred.window, centred.stride)
    assert case.n_samples % centred.stride == 1 % centred.stride


@pytest.mark.parametrize("kind", SIGNALS)
def test_signals_are_finite_float32_and_differ_by_seed(kind):
    x, other = (Case(signal=kind, n_samples=100, seed=seed).input() for seed in (1, 2))
    assert (x.shape, x.dtype) == ((1, 100), np.float32)
    assert np.isfinite(x).all()
    drawn = kind in ("noise", "tone", "chirp", "loud_and_weak")
    assert drawn == (not np.array_equal(x, other))


def test_cotangent_is_not_constant():
    assert np.unique(Case().cotangent((1, 2, 50))).size == 100


@pytest.mark.parametrize(("text", "named"), [
    ("windw=3", "windw"), ("n_samples=0", "n_samples"), ("signal=music", "music"), ("n_filters=0", "n_filters"),
    ("padding=valid", "valid"), ("compression=mp3", "mp3"), ("weights=heavy", "heavy"), ("batch=0", "batch"),
    ("seed=1,preemp=true", "preemp='true': must be True or False"),
    ("seed=1,batch=two", "batch='two': must be a whole number"),
    ("seed=1,amplitude=", "amplitude='': must be a number"),
])  # fmt: skip
def test_refuses(text, named):
    refused(lambda: Case.parse(text), ValueError, named)


@pytest.mark.parametrize(("rate", "same", "centred"), [(16000, 401, 401), (22050, 552, 551), (11025, 276, 275)])
def test_windows_of_both_geometries(rate, same, centred):
    config = LeafConfig(sample_rate=rate)
    assert (config.window, config.with_(padding="centered").window) == (same, centred)


# coverage

SHARED = ("drawn", "drawn", "trained", "outside_shared")
CHOICES = {
    "originals": {},
    "shared domain": {"plain": True, "weights": SHARED},
    "rung 3": {"plain": True, "weights": SHARED[:3]},
}
TINY = LeafConfig(n_filters=1, sample_rate=2000)


def drawn(strategy, coverage):
    """The coverage of as many cases as the profile draws."""

    @given(case=strategy)
    def collect(case):
        coverage.add(case)

    collect()
    return coverage


def found(*added):
    """The counts of these cases, by dimension and class."""
    coverage = Coverage()
    for case in added:
        coverage.add(case)
    return coverage.counts


@pytest.mark.parametrize("frames_aligned", [False, True], ids=["as drawn", "aligned"])
@pytest.mark.parametrize("arguments", CHOICES.values(), ids=CHOICES)
def test_no_class_is_empty(arguments, frames_aligned):
    strategy = cases(**arguments)
    expected = Coverage.of(**arguments, frames_aligned=frames_aligned)
    classes = {dimension: set(kinds) for dimension, kinds in expected.counts.items()}
    coverage = drawn(strategy.map(aligned) if frames_aligned else strategy, expected)
    assert coverage.empty() == []
    assert {dimension: set(kinds) for dimension, kinds in coverage.counts.items()} == classes
    text = coverage.table()
    assert all(f"{kind} {n}" in text for kinds in coverage.counts.values() for kind, n in kinds.items())
    assert text.startswith(f"{coverage.n_cases} cases")
    assert text.endswith("every class was drawn")


def test_classes_of_one_case():
    config = LeafConfig(n_filters=1, sample_rate=22050, compression="log", preemp=True, per_channel_smooth=False)
    case = Case(config, "outside", "dc", n_samples=219, batch=2, amplitude=0.05, seed=1)
    kernel = [f"{parameter} against its limits" for parameter in ("mu", "sigma", "width")]  # no PCEN, no limits of it
    classes = found(case)
    assert all(sum(kinds.values()) == 1 and "inside" not in kinds for kinds in map(classes.pop, kernel))
    assert {dimension: set(kinds) for dimension, kinds in classes.items()} == {
        "length modulo stride": {"stride - 1"}, "length": {"one frame", "shorter than a window"}, "window": {"even"},
        "rate": {"22050"}, "signal": {"dc"}, "amplitude": {"1e-2"}, "batch": {"2"}, "weights": {"outside"},
        "compression": {"log"}, "options": {"pre-emphasis"},
    }  # fmt: skip


@pytest.mark.parametrize(("weights", "sides"), [("trained", {"inside"}), ("outside", {"below", "above"})])
def test_sides_of_the_limits(weights, sides):
    of_three = TINY.with_(n_filters=3)
    reached = found(*(Case(of_three, weights, n_samples=9, seed=seed) for seed in range(20)))
    reached = {dimension.split()[0]: set(kinds) for dimension, kinds in reached.items()}
    assert {reached[parameter] == sides for parameter in ("mu", "sigma", "width", "smooth")} == {True}
    assert (reached["alpha"] - {"inside"}, reached["root"] - {"inside"}) == (sides & {"above"}, sides & {"below"})


@pytest.mark.parametrize(("n_samples", "kind"), [(20, "0"), (21, "1"), (39, "stride - 1"), (45, "other")])
def test_lengths_modulo_the_stride(n_samples, kind):
    assert found(Case(TINY, "trained", n_samples=n_samples))["length modulo stride"] == {kind: 1}


def test_what_was_never_drawn_is_named():
    coverage = drawn(cases(plain=True, weights=("trained",), signals=("noise",)), Coverage.of())
    missed = set(coverage.empty())
    assert missed >= {f"signal: {kind}" for kind in SIGNALS if kind != "noise"}
    assert missed >= {"mu against its limits: below", "alpha against its limits: above", "compression: log"}
    assert not {"signal: noise", "mu against its limits: inside", "rate: 22050"} & missed
    assert "signal: silence" in coverage.table().splitlines()[-1]
