"""Holding a rung against the goldens: shared by rungs 0 and 1, which claim to be the original."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

import numpy as np

from fixtures import store
from parity.adapters.canonical import checked
from parity.adapters.rungs import RUNGS
from parity.checks.executions import Arrays, Inputs, Way, plainly
from parity.checks.grid import Context, Expected, compare_forward, compare_gradients, pooled
from parity.checks.initial import DECIDED
from parity.checks.steps import INNER_STAGES
from parity.criteria import OfMax, status
from parity.mutation.planting import Benign
from parity.oracle import measured_init_margin
from parity.report.claims import STAGES, Measurement, MeasurementLog

GOLDENS = store.names()
MEL_ROUNDING = OfMax(1e-4, "mel of two bins is subtracted: 2840 x 2^-24 x a few over a triangle of a few mel")


@cache
def golden(name: str) -> store.Golden:
    return store.load(name)


def built(rung: str, name: str) -> tuple[Any, Any]:
    g = golden(name)
    adapter = RUNGS[rung].load_adapter()
    module = adapter.build(g.config)
    adapter.write(module, checked(g.group("variables"), g.config))
    return adapter, module


def run(rung: str, name: str, way: Way = plainly) -> Arrays:
    """Stages and gradients by (property, stage)."""
    g = golden(name)
    inputs = Inputs(g.config, g.group("variables"), g.arrays["input"], g.arrays["cotangent"])
    return way(*built(rung, name), inputs)


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
        with_norm=golden(name).config.mean_var_norm,
        singly=False,
        # the output and the gradients are held to their limits as they stand
        literal=lambda stage: stage not in INNER_STAGES,
    )


@cache
def expected(name: str) -> Expected:
    """What the original computed, and the recorded oracle."""
    g = golden(name)
    reference = {**g.group("taps"), "output": g.arrays["output"]}
    for stage in ("mel", "init"):
        reference.pop(stage, None)
    return Expected(
        config=g.config,
        variables=g.group("variables"),
        x=g.arrays["input"],
        cotangent=g.arrays["cotangent"],
        reference=reference,
        reference_gradients=g.group("gradients"),
    )


def stages_of(arrays: Arrays) -> dict[str, np.ndarray]:
    return {stage: values for (property, stage), values in arrays.items() if property == "forward"}


def gradients_of(arrays: Arrays) -> dict[str, np.ndarray]:
    return {stage: values for (property, stage), values in arrays.items() if property != "forward"}


def check_forward(rung: str, name: str, ledger: MeasurementLog, where: Context | None = None) -> None:
    candidate = stages_of(ran(rung, name))
    measured = list(compare_forward(where or context(rung, name), candidate, expected(name)))
    assert {m.stage for m in measured} == set(expected(name).reference)
    for measurement in measured:
        ledger.check(measurement)


def check_gradients(rung: str, name: str, ledger: MeasurementLog, where: Context | None = None) -> None:
    candidate = gradients_of(ran(rung, name))
    assert set(candidate) == set(golden(name).group("gradients"))
    for measurement in compare_gradients(where or context(rung, name), candidate, expected(name)):
        ledger.check(measurement)


def check_together(rung: str, ledger: MeasurementLog) -> None:
    """G1 over all goldens: one by one, most of them hold a handful of independent roundings."""
    where = context(rung, GOLDENS[0])
    for name in GOLDENS:
        where.case, where.with_norm = name, golden(name).config.mean_var_norm
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
            assert np.array_equal(arrays.get(("forward", stage)), own[name].get(("forward", stage))), (name, stage)
    holding(together(change.rung, {**own, **planted}))


def check_executed(rung: str, way: Way) -> None:
    """Everything that the goldens hold a rung to, executed in another way."""
    holding(together(rung, {name: run(rung, name, way) for name in GOLDENS}))


def together(rung: str, arrays: dict[str, Arrays]) -> Iterator[Measurement]:
    """Every golden's arrays against what was recorded, and the accuracy of all."""
    where = context(rung, GOLDENS[0])
    for name, found in arrays.items():
        where.case, where.with_norm = name, golden(name).config.mean_var_norm
        yield from compare_forward(where, stages_of(found), expected(name))
        yield from compare_gradients(where, gradients_of(found), expected(name))
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
    measured = RUNGS[rung].load_adapter().init_stages(g.config)
    where = context(rung, name)
    for stage in ("mel", "init"):
        yield where.measurement(stage, "forward", status(measured[stage], g.arrays[f"taps/{stage}"]), "rounding")
    yield where.measurement("mel", "forward", MEL_ROUNDING(measured["mel"], g.arrays["taps/mel"]), "rounding")
    decided = measured_init_margin(g.config.n_filters) > MEL_ROUNDING.limit
    assert DECIDED(float(np.mean(~decided))).passes
    criterion = OfMax(2.0**-22, "two products of float32 constants, rounded in another order")
    verdict = criterion(measured["init"][decided], g.arrays["taps/init"][decided])
    yield where.measurement("init", "forward", verdict, "rounding")
