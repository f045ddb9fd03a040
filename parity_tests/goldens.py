"""Holding a rung against the goldens: shared by rungs 0 and 1, which claim to be the original."""

from __future__ import annotations

from functools import cache, lru_cache

import numpy as np

from fixtures import store
from parity.bridges.names import checked
from parity.expected import Expected
from parity.gates import OfMax, status
from parity.grid import Context, compare_forward, compare_gradients, pooled
from parity.oracle import measured_init_margin
from parity.probes.initial import DECIDED
from parity.report.ledger import Ledger
from parity.rungs import RUNGS
from parity.steps import INNER_TAPS

GOLDENS = store.names()
MEL_ROUNDING = OfMax(1e-4, "mel of two bins is subtracted: 2840 x 2^-24 x a few over a triangle of a few mel")


@lru_cache(maxsize=2)
def golden(name: str) -> store.Golden:
    return store.load(name)


@lru_cache(maxsize=2)
def loaded(rung: str, name: str):
    g = golden(name)
    bridge = RUNGS[rung].load_bridge()
    module = bridge.build(g.config)
    bridge.write(module, checked(g.group("variables"), g.config))
    return bridge, module


@cache
def gradients(rung: str, name: str):
    bridge, module = loaded(rung, name)
    g = golden(name)
    return bridge.gradients(module, g.arrays["input"], g.arrays["cotangent"])


def context(rung: str, name: str) -> Context:
    return Context(
        rung=rung,
        reference="original",
        domain="goldens",
        case=name,
        reproduce=f"pytest parity_tests/{rung}/test_goldens.py -k {name}",
        with_norm=golden(name).config.mean_var_norm,
        singly=False,
        # the output and the gradients are held to their limits as they stand
        literal=lambda tap: tap not in INNER_TAPS,
    )


@cache
def taps(rung: str, name: str):
    bridge, module = loaded(rung, name)
    return bridge.taps(module, golden(name).arrays["input"])


@cache
def expected(name: str) -> Expected:
    """What the original computed, and the recorded oracle."""
    g = golden(name)
    reference = {**g.group("taps"), "output": g.arrays["output"]}
    for tap in ("mel", "init"):
        reference.pop(tap, None)
    return Expected(
        config=g.config,
        variables=g.group("variables"),
        x=g.arrays["input"],
        cotangent=g.arrays["cotangent"],
        reference=reference,
        reference_gradients=g.group("gradients"),
    )


def check_forward(rung: str, name: str, ledger: Ledger, where: Context | None = None) -> None:
    measured = list(compare_forward(where or context(rung, name), taps(rung, name), expected(name)))
    assert {m.tap for m in measured} == set(expected(name).reference)
    for measurement in measured:
        ledger.check(measurement)


def check_gradients(rung: str, name: str, ledger: Ledger, where: Context | None = None) -> None:
    candidate = gradients(rung, name)
    assert set(candidate) == set(golden(name).group("gradients"))
    for measurement in compare_gradients(where or context(rung, name), candidate, expected(name)):
        ledger.check(measurement)


def check_together(rung: str, ledger: Ledger) -> None:
    """G1 over all goldens: one by one, most of them hold a handful of independent roundings."""
    where = context(rung, GOLDENS[0])
    for name in GOLDENS:
        where.case, where.with_norm = name, golden(name).config.mean_var_norm
        check_forward(rung, name, ledger, where)
        check_gradients(rung, name, ledger, where)
    where.case, where.reproduce = "all goldens", f"pytest parity_tests/{rung}/test_goldens.py -k together"
    for measurement in pooled(where):
        ledger.check(measurement)


def check_init(rung: str, name: str, ledger: Ledger) -> None:
    """The mel matrix to rounding; the parameters read off it equal, but where a bin stands on a threshold."""
    bridge, _ = loaded(rung, name)
    g = golden(name)
    measured = bridge.init_taps(g.config)
    where = context(rung, name)
    for tap in ("mel", "init"):
        ledger.check(where.measurement(tap, "forward", status(measured[tap], g.arrays[f"taps/{tap}"]), "rounding"))
    ledger.check(where.measurement("mel", "forward", MEL_ROUNDING(measured["mel"], g.arrays["taps/mel"]), "rounding"))
    decided = measured_init_margin(g.config.n_filters) > MEL_ROUNDING.limit
    assert DECIDED(float(np.mean(~decided))).passes
    gate = OfMax(2.0**-22, "two products of float32 constants, rounded in another order")
    verdict = gate(measured["init"][decided], g.arrays["taps/init"][decided])
    ledger.check(where.measurement("init", "forward", verdict, "rounding"))
