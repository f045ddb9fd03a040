"""Judge whether a stage departs, from what it was computed, and whether the adapter reads it where it is made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from parity.adapters.base import Adapter
from parity.checks.grid import Arrays
from parity.criteria import AtMost, Verdict, one_operation, peak, soundness, status
from parity.ports.hypotheses import FROM, ROUNDING
from parity.ports.layouts import AdapterError
from parity.ports.port import Port

if TYPE_CHECKING:
    from parity.ports.examination import Examination
    from parity.ports.held import Held

FOLLOWS = AtMost(
    ROUNDING, "of the largest value: what float32 leaves of a formula; end to end the stage is held to its bounds"
)


def adapter_of(port: Port, built: Any) -> Any:
    """The adapter of what ``build`` gave."""
    import torch

    from parity.ports.adapter import PortAdapter
    from parity.ports.functions import FunctionAdapter

    if isinstance(built, torch.nn.Module):
        if not port.parameters:
            raise AdapterError("parameters: must say where a module keeps its parameters")
        return PortAdapter(port)
    adapter: Adapter = FunctionAdapter(port) if callable(built) else PortAdapter(port)
    return adapter


def feeding(stage: str, before: Arrays) -> list[str]:
    """The stages of the port that a stage was computed from: the nearest ones before it."""
    out, todo = list[str](), list(FROM[stage])
    while todo:
        name = todo.pop()
        if name in before:
            out.append(name)
        else:
            todo += FROM[name]
    return out


def fits(got: np.ndarray, wanted: np.ndarray) -> bool:
    return got.ndim == wanted.ndim and got.shape[:-1] == wanted.shape[:-1]


def apart(
    got: np.ndarray,
    wanted: np.ndarray,
    rounding: np.ndarray | None,
    exact_wanted: np.ndarray | None,
    errors: np.ndarray | None,
) -> Verdict:
    """The first verdict that fails: the status, the largest difference, the running error value by value."""
    verdict = status(got, np.asarray(wanted))
    if verdict.passes and rounding is not None:
        verdict = one_operation(got, wanted, rounding, peak)
    if verdict.passes and exact_wanted is not None and errors is not None and errors.shape == got.shape:
        verdict = soundness(got, exact_wanted, errors)
    return verdict


def misread(examination: Examination, cases: Sequence[Held]) -> tuple[str, ...]:
    """Stages that depart while every stage after them, and the output, holds: the adapter reads something else."""
    departs, holds = set[str](), set[str]()
    for held in cases:
        module = examination.module_of(held.expected, "float32")
        try:
            stages = examination.adapter.stages(module, held.expected.x)
        except Exception:  # it is found again where all cases are run
            return ()
        expected = held.expected
        rounding, errors = expected.rounding("float32"), expected.errors("float32")
        for name in expected.reference:
            if name in stages:
                exact_stage = expected.stages.get(name)
                verdict = apart(stages[name], held.stages[name], rounding.get(name), exact_stage, errors.get(name))
                (holds if verdict.passes else departs).add(name)
    holds -= departs

    def after(stage: str) -> set[str]:
        direct = {name for name, before in FROM.items() if stage in before}
        return direct.union(*(after(name) for name in direct))

    found: set[str] = set()
    while more := {s for s in departs - found if s != "output" and not after(s) & (departs - found)}:
        found |= more
    return tuple(sorted(found)) if "output" in holds else ()
