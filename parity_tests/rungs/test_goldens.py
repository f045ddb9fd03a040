"""``tf_leaf`` and ``og_leaf`` against what the unmodified original computed."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from fixtures import store
from parity.adapters.canonical import KERNEL
from parity.adapters.rungs import RUNGS
from parity.checks.executions import Way, clip_by_clip, clips_last, without_onednn
from parity.checks.grid import Arrays, Context, Expected, compare, gradients_of, pooled, stages_of
from parity.checks.initial import DECIDED
from parity.criteria import OfMax, PooledAccuracy, status
from parity.mutation import benign
from parity.oracle import measured_init_margin
from parity.report.claims import STAGES, Measurement
from parity_tests.helpers.rungs import one

GOLDENS = store.names()
BOTH = [one("tf_leaf"), one("og_leaf")]
MEL_ROUNDING = OfMax(1e-4, "mel of two bins is subtracted: 2840 x 2^-24 x a few over a triangle of a few mel")


@cache
def golden(name: str) -> store.Golden:
    return store.load(name)


@cache
def expected(name: str) -> Expected:
    """What the original computed; the oracle is computed here, not read from the golden."""
    g = golden(name)
    taps = {stage: values for stage, values in g.group("taps").items() if stage not in ("mel", "init")}
    return Expected(
        config=g.config,
        variables=g.group("variables"),
        x=g.arrays["input"],
        cotangent=g.arrays["cotangent"],
        reference={**taps, "output": g.arrays["output"], **g.group("gradients")},
    )


def run(rung: str, name: str, way: Way | None = None) -> Arrays:
    """Stages and gradients of a rung with the golden's weights, on its audio; or executed in another way."""
    adapter, inputs = RUNGS[rung].load_adapter(), expected(name)
    module = adapter.filled(inputs.config, inputs.variables)
    return way(adapter, module, inputs) if way else adapter.arrays(module, inputs.x, inputs.cotangent)


@cache
def ran(rung: str, name: str) -> Arrays:
    return run(rung, name)


def context(rung: str, name: str, pools: dict[tuple[str, str], PooledAccuracy] | None = None) -> Context:
    again = f"pytest parity_tests/rungs/test_goldens.py -m {rung} -k {name}"
    return Context(rung, "original", "goldens", name, again, fixed_limits=True, pools={} if pools is None else pools)


@pytest.mark.parametrize("name", GOLDENS)
@pytest.mark.parametrize("rung", BOTH)
def test_forward(rung, name, ledger):
    stages = stages_of(expected(name).reference)
    for measurement in compare(context(rung, name), ran(rung, name), expected(name), stages):
        ledger.check(measurement)


@pytest.mark.parametrize("name", GOLDENS)
@pytest.mark.parametrize("rung", BOTH)
def test_gradients(rung, name, ledger):
    gradients = gradients_of(expected(name).reference)
    assert set(gradients_of(ran(rung, name))) == set(gradients)
    for measurement in compare(context(rung, name), ran(rung, name), expected(name), gradients):
        ledger.check(measurement)


def together(rung: str, arrays: dict[str, Arrays]) -> Iterator[Measurement]:
    """Every golden's arrays against what was recorded, and the accuracy of all.

    Judged singly, most goldens have too few values for their accuracy to say anything.
    """
    pools: dict[tuple[str, str], PooledAccuracy] = {}
    for name, found in arrays.items():
        yield from compare(context(rung, name, pools), found, expected(name))
    yield from pooled(replace(context(rung, "together", pools), case="all goldens"))


@pytest.mark.parametrize("rung", BOTH)
def test_accuracy_together(rung, ledger):
    for measurement in together(rung, {name: ran(rung, name) for name in GOLDENS}):
        ledger.check(measurement)


def initial(rung: str, name: str) -> Iterator[Measurement]:
    """The mel matrix to rounding; the parameters read off it equal, but where a bin stands on a threshold."""
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


@pytest.mark.parametrize("name", GOLDENS)
@pytest.mark.parametrize("rung", BOTH)
def test_init(rung, name, ledger):
    for measurement in initial(rung, name):
        ledger.check(measurement)


def hold(measured: Iterator[Measurement]) -> None:
    found = list(measured)
    assert found
    assert [str(m) for m in found if not m.holds] == []


def one_of_each() -> set[str]:
    """The smallest golden of each combination of stages: where an execution is slow, as rung 0's is."""
    found: dict[Any, str] = {}
    for name in sorted(GOLDENS, key=lambda name: golden(name).arrays["input"].size * golden(name).config.n_filters):
        config = golden(name).config
        found.setdefault((config.with_(n_filters=1), golden(name).case.weights), name)
    return set(found.values())


@pytest.mark.parametrize(
    ("rung", "change"), [one(c.rung, c, id=c.name) for c in benign() if c.rung in ("tf_leaf", "og_leaf")]
)  # fmt: skip
def test_a_benign_change_passes(rung, change):
    """A golden without the stage that is changed stays as it is: the accuracy of all is judged on all."""
    if change.stage in ("mel", "init"):
        with change.plant():
            hold(m for name in GOLDENS for m in initial(rung, name))
        return
    own = {name: ran(rung, name) for name in GOLDENS}
    with change.plant():
        names = one_of_each() if rung == "tf_leaf" else GOLDENS
        planted = {name: run(rung, name) for name in names if change.stage in expected(name).stages}
    for name, arrays in planted.items():
        for stage in STAGES[: STAGES.index(change.stage)]:
            assert np.array_equal(arrays.get(stage), own[name].get(stage)), (name, stage)
    hold(together(rung, {**own, **planted}))


@pytest.mark.parametrize("way", [without_onednn, clips_last, clip_by_clip], ids=lambda way: way.__name__)
@pytest.mark.parametrize("rung", [one("og_leaf")])
def test_another_execution_passes(rung, way):
    hold(together(rung, {name: run(rung, name, way) for name in GOLDENS}))
