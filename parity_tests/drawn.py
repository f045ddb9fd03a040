"""Running a step of the ladder on drawn cases: shared by the rungs' folders."""

from __future__ import annotations

import os

from hypothesis import given, settings

from fixtures import store
from parity.cases import Case
from parity.grid import pooled
from parity.report.claims import Ledger
from parity.steps import STEPS, Runner, round_trip
from parity.strategies import aligned, cases

DEFAULT_WEIGHTS = ("drawn", "drawn", "trained", "outside")


def check_drawn(
    step: str,
    ledger: Ledger,
    *,
    plain: bool = False,
    padding: str = "same",
    weights: tuple[str, ...] = DEFAULT_WEIGHTS,
    frames_aligned: bool = False,
) -> None:
    """Every tap and gradient of drawn cases; the small arrays are judged together at the end."""
    runner = Runner(STEPS[step])
    drawn = cases(plain=plain, padding=padding, weights=weights)

    @given(case=drawn.map(aligned) if frames_aligned else drawn)
    def check(case: Case) -> None:
        for measurement in runner.run(case):
            ledger.check(measurement)

    check()
    runner.reproduce = this_test()
    for measurement in pooled(runner.context("all drawn cases")):
        ledger.check(measurement)


def check_speech(step: str, ledger: Ledger, *, frames_aligned: bool = False) -> None:
    """Every tap and gradient on the speech clip, with the weights of its golden."""
    speech = store.load("speech")
    runner = Runner(STEPS[step], domain="speech", reproduce=this_test(), literal=True)
    x = speech.arrays["input"]
    if frames_aligned:
        x = x[:, : (x.shape[1] - 1) // speech.config.stride * speech.config.stride + 1]
    variables = speech.group("variables")
    for measurement in runner.measure(speech.config, variables, x, speech.case.cotangent, "speech"):
        ledger.check(measurement)
    for measurement in pooled(runner.context("speech")):
        ledger.check(measurement)


def this_test() -> str:
    """The command that runs the test that is running."""
    return "pytest " + os.environ["PYTEST_CURRENT_TEST"].split(" ")[0]


def check_round_trips(
    step: str,
    ledger: Ledger,
    *,
    plain: bool = False,
    padding: str = "same",
    weights: tuple[str, ...] = DEFAULT_WEIGHTS,
) -> None:
    """Parameters carried up the step and back are the same bits."""

    @settings(max_examples=10)
    @given(case=cases(plain=plain, padding=padding, weights=weights))
    def check(case: Case) -> None:
        for measurement in round_trip(STEPS[step], case):
            ledger.check(measurement)

    check()
