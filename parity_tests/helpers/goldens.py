"""Holding a rung against the goldens: shared by rungs 0 and 1, which claim to be the original."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

import numpy as np

from fixtures import store
from parity.adapters.canonical import KERNEL
from parity.adapters.rungs import RUNGS
from parity.checks.executions import Way, plainly
from parity.checks.grid import Arrays, Context, Expected, compare, gradients_of, pooled, stages_of
from parity.checks.initial import DECIDED
from parity.criteria import OfMax, status
from parity.mutation.planting import Benign
from parity.oracle import measured_init_margin
from parity.report.claims import STAGES, Measurement
from parity.report.measurements import MeasurementLog

GOLDENS = store.names()
MEL_ROUNDING = OfMax(1e-4, "mel of two bins is subtracted: 2840 x 2^-24 x a few over a triangle of a few mel")


@cache
def golden(name: str) -> store.Golden:
    return store.load(name)


def run(rung: str, name: str, way: Way = plainly) -> Arrays:
    """Stages and gradients."""
    adapter, inputs = RUNGS[rung].load_adapter(), expected(name)
    return way(adapter, adapter.filled(inputs.config, inputs.variables), inputs)


@cache
def ran(rung: str, name: str) -> Arrays:
    return run(rung, name)


def context(rung: str, name: str) -> Context:
    return Context(
        rung=rung,
        reference="original",
        domain="goldens",
        case=name,
        reproduce=f"pytest parity_tests/rungs/{rung}/test_goldens.py -k {name}",
        literal=True,
    )


@cache
def expected(name: str) -> Expected:
    """What the original computed, and the recorded oracle."""
    g = golden(name)
    reference = {**g.group("taps"), "output": g.arrays["output"], **g.group("gradients")}
    for stage in ("mel", "init"):
        reference.pop(stage, None)
    return Expected(
        config=g.config,
        variables=g.group("variables"),
        x=g.arrays["input"],
        cotangent=g.arrays["cotangent"],
        reference=reference,
    )


def check_forward(rung: str, name: str, ledger: MeasurementLog, where: Context | None = None) -> None:
    wanted = stages_of(expected(name).reference)
    for measurement in compare(where or context(rung, name), ran(rung, name), expected(name), wanted):
        ledger.check(measurement)


def check_gradients(rung: str, name: str, ledger: MeasurementLog, where: Context | None = None) -> None:
    wanted = gradients_of(expected(name).reference)
    assert set(gradients_of(ran(rung, name))) == set(wanted)
    for measurement in compare(where or context(rung, name), ran(rung, name), expected(name), wanted):
        ledger.check(measurement)


def check_together(rung: str, ledger: MeasurementLog) -> None:
    """G1 over all goldens: one by one, most of them hold a handful of independent roundings."""
    where = context(rung, GOLDENS[0])
    for name in GOLDENS:
        where.case = name
        check_forward(rung, name, ledger, where)
        check_gradients(rung, name, ledger, where)
    where.case, where.reproduce = "all goldens", f"pytest parity_tests/rungs/{rung}/test_goldens.py -k together"
    for measurement in pooled(where):
        ledger.check(measurement)


def touched(change: Benign, name: str) -> bool:
    """Tell whether a golden has the stage that a change rounds otherwise."""
    return change.stage in expected(name).stages


def one_of_each() -> set[str]:
    """The smallest golden of each combination of stages: where an execution is slow, as rung 0's is."""
    found: dict[Any, str] = {}
    for name in sorted(GOLDENS, key=lambda name: golden(name).arrays["input"].size * golden(name).config.n_filters):
        config = golden(name).config
        found.setdefault((config.with_(n_filters=1), golden(name).case.weights), name)
    return set(found.values())


def check_benign(change: Benign, names: Iterable[str] = GOLDENS) -> None:
    """Everything that the goldens hold a rung to, with a change in it that means the same.

    A golden without the stage that is changed does not run the change. Its arrays are those of the rung as it is, so
    that the accuracy over all goldens is judged on all of them.

    Args:
        change: what is planted.
        names: of the goldens that are run with it.
    """
    if change.stage in ("mel", "init"):
        with change.plant():
            holding(m for name in GOLDENS for m in initial(change.rung, name))
        return
    before = STAGES[: STAGES.index(change.stage)]
    own = {name: ran(change.rung, name) for name in GOLDENS}
    with change.plant():
        planted = {name: run(change.rung, name) for name in names if touched(change, name)}
    for name, arrays in planted.items():
        for stage in before:
            assert np.array_equal(arrays.get(stage), own[name].get(stage)), (name, stage)
    holding(together(change.rung, {**own, **planted}))


def check_executed(rung: str, way: Way) -> None:
    """Everything that the goldens hold a rung to, executed in another way."""
    holding(together(rung, {name: run(rung, name, way) for name in GOLDENS}))


def together(rung: str, arrays: dict[str, Arrays]) -> Iterator[Measurement]:
    """Every golden's arrays against what was recorded, and the accuracy of all."""
    where = context(rung, GOLDENS[0])
    for name, found in arrays.items():
        where.case = name
        yield from compare(where, found, expected(name))
    yield from pooled(where)


def holding(measured: Iterator[Measurement]) -> None:
    found = list(measured)
    assert found
    assert [str(m) for m in found if not m.holds] == []


def check_init(rung: str, name: str, ledger: MeasurementLog) -> None:
    """The mel matrix to rounding; the parameters read off it equal, but where a bin stands on a threshold."""
    for measurement in initial(rung, name):
        ledger.check(measurement)


def initial(rung: str, name: str) -> Iterator[Measurement]:
    """What a rung starts from against what the original started from."""
    g = golden(name)
    gabor = importlib.import_module(f"{rung}.melfilters").Gabor(
        n_filters=g.config.n_filters, min_freq=60.0, max_freq=7800.0, sample_rate=16000
    )
    adapter = RUNGS[rung].load_adapter()
    measured = {"mel": np.asarray(gabor.mel_filters), "init": adapter.read(adapter.build(g.config))[KERNEL]}
    where = context(rung, name)
    for stage in ("mel", "init"):
        yield where.measurement(stage, "forward", status(measured[stage], g.arrays[f"taps/{stage}"]), "rounding")
    yield where.measurement("mel", "forward", MEL_ROUNDING(measured["mel"], g.arrays["taps/mel"]), "rounding")
    decided = measured_init_margin(g.config.n_filters) > MEL_ROUNDING.limit
    assert DECIDED(float(np.mean(~decided))).passes
    criterion = OfMax(2.0**-22, "two products of float32 constants, rounded in another order")
    verdict = criterion(measured["init"][decided], g.arrays["taps/init"][decided])
    yield where.measurement("init", "forward", verdict, "rounding")
