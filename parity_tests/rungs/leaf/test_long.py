"""PCEN on ten minutes of frames, and over all of its domain: no error grows out of its bound, nothing is NaN."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import efficientleaf
import leaf
from fixtures import store
from parity.checks.grid import Context
from parity.checks.long import CASES, LongCase, drawn, measure, run, worst
from parity.criteria import AtMost, Exactly, Verdict, judged, soundness
from parity.report.claims import Measurement
from parity_tests.helpers.drawn import this_test

TEN_MINUTES = 60_000
FINITE = Exactly("within the domain nothing overflows and nothing is undefined")
GROWTH = AtMost(1.5, "a term's roundings grow with the logarithm of the length, and a maximum with what it is taken of")
STAGES = {"x": "input", "s": "PCEN/EMA/smooth", "alpha": "PCEN/alpha", "delta": "PCEN/delta", "r": "PCEN/root"}


def check(ledger, case: LongCase, domain: str, energies: np.ndarray | None = None) -> None:
    """Hold every value and gradient of a case to its bound."""
    context = Context("leaf", "oracle", domain, str(case), this_test())
    done = run(case, energies)

    def measured(stage: str, property_: str, got: np.ndarray, true) -> Measurement:
        assert FINITE(np.isfinite(got), np.ones(got.shape)).passes, (stage, case)
        assert judged(true.error) == 1, (stage, case)
        verdict: Verdict = soundness(got, true.value, true.error)
        return context.measurement(stage, property_, verdict, "rounding")

    ledger.check(measured("ema", "forward", done.m, done.true_m))
    ledger.check(measured("pcen", "forward", done.out, done.true_out))
    for name, got in done.gradients.items():
        kind = "input gradient" if name == "x" else "parameter gradient"
        ledger.check(measured(STAGES[name], kind, got, done.true_gradients[name]))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.kind)
def test_ten_minutes(ledger, case):
    check(ledger, replace(case, n_frames=TEN_MINUTES), "ten minutes")


def test_ten_minutes_of_speech(ledger):
    # the original's energies of the speech clip, again and again, from loud to 120 dB less and back
    pool = store.load("speech").arrays["taps/pool"][:, ::8]
    times = -(-TEN_MINUTES // pool.shape[-1])
    loudness = 10.0 ** (-6 + 6 * np.cos(2 * np.pi * np.arange(times) / 20)).repeat(pool.shape[-1])
    energies = (np.tile(pool, times) * loudness)[..., :TEN_MINUTES].astype(np.float32)
    check(ledger, LongCase("speech", TEN_MINUTES, s=(0.0, 1e-6, 1e-3, 0.04, 1.0)), "ten minutes", energies)


def test_the_error_does_not_grow_with_the_length():
    short, long = (
        {row["s"]: row["output"] for row in worst(row for case in CASES for row in measure(replace(case, n_frames=n)))}
        for n in (1000, TEN_MINUTES)
    )
    for s in (0.01, 0.04, 0.3, 1.0):
        assert GROWTH(long[s] / short[s]).passes, (s, short[s], long[s])


def test_all_of_the_domain(ledger):
    for case in drawn(200):
        check(ledger, case, "drawn from PCEN's domain")


def test_efficientleaf_has_the_same_pcen():
    frontend = efficientleaf.EfficientLeaf(n_filters=4, compression="pcen")
    assert type(frontend.compression) is leaf.PCEN
