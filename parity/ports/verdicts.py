"""Judge whether a stage departs, whether it is read where it is made, and what a port's float64 is."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from parity.adapters.rungs import Adapter
from parity.checks.grid import Arrays
from parity.criteria import AtMost, Verdict, peak, soundness, status, within_rounding
from parity.oracle.arrays import exact
from parity.ports.formulas import ORDER, OWN, ROUNDING, Setting, downstream, upstream
from parity.ports.port import Port, said

if TYPE_CHECKING:
    from parity.ports.examination import Examination
    from parity.ports.references import Held

FOLLOWS = AtMost(
    ROUNDING, "of the largest value: what float32 leaves of a formula; end to end the stage is held to its bounds"
)

FLOAT64 = AtMost(2.0**-40, "of the largest value: float64 leaves some 2^-48 of LEAF's output, float32 some 2^-22")
FLOAT32_OUTPUT = 2.0**-14  # of the largest value: a port that is this near computes the same function
BACK = AtMost(2.0**-6, "of the norm: terms of a gradient cancel, a wrong factor does not")


def adapter_of(port: Port, built: Any) -> Any:
    """The adapter of what ``build`` gave."""
    import torch

    from parity.ports.adapter import PortAdapter
    from parity.ports.functions import FunctionAdapter

    if isinstance(built, torch.nn.Module):
        return PortAdapter(port)
    adapter: Adapter = FunctionAdapter(port) if callable(built) else PortAdapter(port)
    return adapter


def feeding(stage: str, before: Arrays, exchanged: Collection[str] = ()) -> list[str]:
    """The stages that a stage was computed from: the nearest ones before it, none beyond what was exchanged."""
    until = {*before, *exchanged} - {stage}
    return [name for name in upstream(stage, until) if name in before and name != stage]


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
        verdict = within_rounding(got, wanted, rounding, peak)
    if verdict.passes and exact_wanted is not None and errors is not None and errors.shape == got.shape:
        verdict = soundness(got, exact_wanted, errors)
    return verdict


def misread(examination: Examination, cases: Sequence[Held]) -> tuple[str, ...]:
    """Find stages that the adapter reads elsewhere than where they are computed.

    They depart, but for each other no stage before them does, and what comes after does not depart with them: all
    stages hold, or on some case those hold that are next, of which one would not if it were computed from them.
    """
    readings = list(_readings(examination, cases))
    departs = {name for reading in readings for name, holds in reading.holds.items() if not holds}
    staying = {name for reading in readings for name in reading.staying}

    def stands(name: str, found: set[str]) -> bool:
        before, after = set(upstream(name)) - found, set(downstream(name)) - found
        return not before & departs and (name in staying or (not after & departs and len(readings) == len(cases)))

    found = departs - {"output"}
    while left := {name for name in found if not stands(name, found)}:
        found -= left
    return tuple(name for name in ORDER if name in found)


@dataclass(frozen=True)
class _Reading:
    """One case of the port end to end.

    Attributes:
        holds: by stage.
        staying: stages that depart while those next to them hold, of which one would not if it were computed from them.
    """

    holds: dict[str, bool]
    staying: set[str]


def _readings(examination: Examination, cases: Sequence[Held]) -> Iterator[_Reading]:
    for held in cases:
        module, expected = examination.module_of(held.expected, "float32"), held.expected
        try:
            stages = examination.adapter.stages(module, expected.x)
        except Exception:  # it is found again where all cases are run
            continue
        rounding, errors = expected.rounding("float32"), expected.errors("float32")
        holds = {
            name: apart(
                stages[name], held.stages[name], rounding.get(name), expected.stages.get(name), errors.get(name)
            ).passes
            for name in expected.reference
            if name in stages
        }
        reading = _Reading(holds, set())
        for name in (n for n, right in holds.items() if not right and n in OWN and fits(stages[n], held.stages[n])):
            after = [n for n in downstream(name, until={*holds} - {name}) if n in holds and n != name]
            for n in after if all(holds[n] for n in after) else ():
                theirs = Setting(expected, {name: stages[name]}).compute(n, {})
                if stages[n].shape == theirs.shape and not follows(stages[n], theirs).passes:
                    reading.staying.add(name)
        yield reading


def follows(got: np.ndarray, theirs: np.ndarray) -> Verdict:
    """Hold a stage against what a formula makes of the port's own stages before it."""
    return FOLLOWS(float(peak(got - theirs) / (peak(theirs) or 1.0)))


def float64_of(examination: Examination) -> str:
    """Say what a port's float64 is: ``supported``, or why it is not claimed."""
    expected = examination.expected(examination.telling).expected
    try:
        y = examination.adapter.output(examination.module_of(expected, "float64"), exact(expected.x))
    except Exception as error:
        return f"not supported ({said(error)})"
    if y.dtype != np.float64:
        return f"not supported (the output is {y.dtype})"
    wanted = expected.stages["output"]
    distance = peak(y - wanted) / peak(wanted) if y.shape == wanted.shape else 0.0
    # a port that departs in float32 as well says nothing of its float64
    single = examination.adapter.output(examination.module_of(expected, "float32"), expected.x)
    near = single.shape == wanted.shape and peak(single - wanted) <= FLOAT32_OUTPUT * peak(wanted)
    if near and not FLOAT64(distance).passes:
        return f"computes in float32 ({distance:.1g} of the largest value from the float64 oracle)"
    return "supported"
