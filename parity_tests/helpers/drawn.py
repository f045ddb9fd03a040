"""Running a step of the ladder on drawn cases: shared by the rungs' folders."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

from hypothesis import given, settings

from fixtures import store
from parity.cases.case import Case
from parity.cases.strategies import aligned, cases
from parity.checks import search
from parity.checks.coverage import Coverage
from parity.checks.factors import measure
from parity.checks.grid import pooled, property_of
from parity.checks.steps import STEPS, Runner, against_oracle, round_trip, there_and_back
from parity.oracle.config import LeafConfig
from parity.report.claims import Measurement, MeasurementLog

SEARCHED = Path(__file__).parents[1] / "searched.json"


def check_drawn(step: str, ledger: MeasurementLog, *, frames_aligned: bool = False, **domain: Any) -> None:
    """Every stage and gradient of drawn cases; the small arrays are judged together at the end.

    Args:
        step: of the ladder.
        ledger: keeps what is measured.
        frames_aligned: both rungs' frames lie on the same samples.
        domain: of :func:`parity.cases.strategies.cases`.
    """
    runner = Runner(STEPS[step])
    drawn = cases(**domain)
    classes = {name: value for name, value in domain.items() if name != "padding"}
    coverage = Coverage.of(**classes, frames_aligned=frames_aligned)

    @given(case=drawn.map(aligned) if frames_aligned else drawn)
    def check(case: Case) -> None:
        coverage.add(case)
        for measurement in runner.run(case):
            ledger.check(measurement)

    check()
    for dimension, classes in coverage.counts.items():
        ledger.note("coverage", step=step, what=dimension, classes=", ".join(f"{k} {n}" for k, n in classes.items()))
    runner.reproduce = this_test()
    for measurement in pooled(runner.context("all drawn cases")):
        ledger.check(measurement)
    note_factors(ledger, STEPS[step].reference)


def note_factors(ledger: MeasurementLog, reference: str) -> None:
    """The measured k of a reference and what set it, once in a certificate."""
    if any(row["reference"] == reference for row in ledger.evidence.get("k", [])):
        return
    factors = measure(reference)
    for stage, k in factors.k.items():
        widest = max((row for row in factors.evidence if row.stage == stage), key=lambda row: row.ratio)
        set_by = f"{widest.variant} against {widest.against}, {widest.n_arrays} arrays"
        ledger.note("k", reference=reference, property=property_of(stage), stage=stage, k=k, set_by=set_by)


def check_speech(step: str, ledger: MeasurementLog, *, frames_aligned: bool = False) -> None:
    """Every stage and gradient on the speech clip, with the weights of its golden."""
    speech = store.load("speech")
    runner = Runner(STEPS[step], domain="speech", reproduce=this_test(), fixed_limits=True)
    x = speech.arrays["input"]
    if frames_aligned:
        x = x[:, : (x.shape[1] - 1) // speech.config.stride * speech.config.stride + 1]
    variables = speech.group("variables")
    expected = runner.expected(speech.config, variables, x, speech.case.cotangent)
    for measurement in runner.measure(expected, "speech"):
        ledger.check(measurement)
    for measurement in pooled(runner.context("speech")):
        ledger.check(measurement)


def check_alone(rung: str, ledger: MeasurementLog, dtype: str, **domain: Any) -> None:
    """Every value of drawn cases under its running-error bound, with no reference."""

    @given(case=cases(**domain))
    def check(case: Case) -> None:
        for measurement in against_oracle(rung, case, dtype):
            ledger.check(measurement)

    check()


def check_searched(rung: str, ledger: MeasurementLog) -> None:
    """The worst cases that `tox -e search` has found, again; and what it found, for the certificate."""
    (found,) = (searched for searched in search.read(SEARCHED) if searched.rung == rung)
    assert found.violations == []
    for case in sorted({case for _, case in found.worst.values()}):
        for measurement in against_oracle(rung, Case.parse(case), domain="the worst of the searched"):
            ledger.check(measurement)
    ledger.note("search", **found.row())


def check_there_and_back(rung: str, ledger: MeasurementLog) -> None:
    """Rung 0 has no rung below: its parameters written and read are the same bits."""
    _check_carried(partial(there_and_back, rung), ledger)


def check_round_trips(step: str, ledger: MeasurementLog, **domain: Any) -> None:
    """Parameters carried up the step and back are the same bits."""
    _check_carried(partial(round_trip, STEPS[step]), ledger, **domain)


def _check_carried(carried: Callable[[Case], Iterable[Measurement]], ledger: MeasurementLog, **domain: Any) -> None:
    """Check fixed cases that have every variable between them, which a few draws may miss; then draws."""
    config = LeafConfig(n_filters=3, sample_rate=8000, padding=domain.get("padding", "same"))
    options: list[dict[str, Any]] = [{}]
    if not domain.get("plain"):
        options += [{"mean_var_norm": True, "preemp": True, "per_channel_smooth": False}, {"compression": "fixed_pcen"}]
    for chosen in options:
        for measurement in carried(Case(config.with_(**chosen), weights="drawn", n_samples=400)):
            ledger.check(measurement)

    @settings(max_examples=20)
    @given(case=cases(**domain))
    def check(case: Case) -> None:
        for measurement in carried(case):
            ledger.check(measurement)

    check()


def this_test() -> str:
    """The command that runs the test that is running."""
    return "pytest " + os.environ["PYTEST_CURRENT_TEST"].split(" ")[0]
