"""Training: single optimiser steps from the reference's state, and a step out of the box and one back.

*Teacher-forced*: at every step both sides start from the reference's parameters and slots, take their own gradient of
``sum(cotangent * output)`` on the same audio, and step. What is compared is how far the parameters have moved, and
the optimiser's slots. Free runs are in :mod:`parity.checks.trajectories`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from parity.adapters.canonical import KERNEL, expected_shapes
from parity.adapters.optimizers import State
from parity.checks.steps import STEPS, Step
from parity.checks.training_steps import (
    CASES,
    FULL,
    KINDS,
    N_MOVED,
    N_STEPS,
    Lesson,
    build,
    cases_of,
    lessons,
    out_and_back,
)
from parity.checks.trajectories import free_run
from parity.criteria import PooledAccuracy, Verdict, status
from parity.criteria.criterion import unit_roundoff
from parity.criteria.envelope import Carried, Envelope
from parity.oracle.optimizers import PARAMETER, Adam, project
from parity.report.claims import Measurement

__all__ = ["STEP_NAMES", "free_run", "prepare", "teacher_forced", "through_the_clamp"]

STEP_NAMES = ("og_leaf", "leaf", "efficientleaf")
PROJECTING = ("tf_leaf", "og_leaf")  # Keras by itself, og_leaf by its public call
N_ELEMENTS = sum(math.prod(shape) for shape in expected_shapes(FULL.config).values())  # of the largest gradient

SCATTER = Envelope(N_MOVED, len(STEP_NAMES) * len(KINDS) * (len(CASES) + 1) * N_STEPS * N_ELEMENTS)
CARRIED = Carried(
    f"{SCATTER.factor:.3g} times the gradient's scatter, carried through the rule to first order, plus the roundings "
    f"of the rule on both sides; scatter: the {SCATTER.reason.removeprefix('times the ')}"
)


def teacher_forced(step_name: str, kinds: Sequence[str] = KINDS) -> Iterator[Measurement]:
    """Every parameter and slot after each of a few steps of SGD, momentum and Adam.

    float32 against the reference (G0, G3) and, beside it, the oracle (G1, over all steps); float64 against the oracle.

    Args:
        step_name: one of ``STEP_NAMES``, or ``tf_leaf``: the lessons themselves against the oracle.
        kinds: of optimisers.
    """
    if step_name == "tf_leaf":
        yield from _lessons_against_the_oracle(kinds)
        return
    step = STEPS[step_name]
    for kind in kinds:
        claim = _Claim(step, "interior weights")
        for case in cases_of(step.candidate):
            for lesson in lessons(step.reference, step.reference_padding, case, kind):
                yield from claim.compared(lesson)
        for stage, pool in claim.pools.items():
            yield claim.measurement(stage, f"all steps of {kind}", "float32", pool.verdict(), "rounding")


def _lessons_against_the_oracle(kinds: Sequence[str]) -> Iterator[Measurement]:
    below = STEPS["og_leaf"]
    claim = _Claim(Step("tf_leaf", "tf_leaf", "oracle", below.domain), "interior weights")
    for lesson in (
        lesson for kind in kinds for case in cases_of("tf_leaf") for lesson in lessons("tf_leaf", "same", case, kind)
    ):
        for variable in lesson.gradient:
            bounds = bound(lesson, variable, "float32", True, "tf_leaf")
            for key, expected in lesson.exact(variable, True).items():
                stage, old = _stage(variable, key), _of(lesson.exact_start, variable, key)
                if key != PARAMETER:
                    old = np.zeros(1)
                taught = _of(lesson.taught, variable, key)
                verdict = CARRIED(_less(taught, old), _less(expected, old), bounds[key])
                yield claim.measurement(stage, lesson.case, "float32", verdict, "rounding")


def through_the_clamp(rung: str = "og_leaf") -> Iterator[Measurement]:
    """One step that takes mu and sigma out of their box, and one that starts from where it left them.

    Args:
        rung: ``og_leaf``, or ``tf_leaf``, which is held against what it did when the lessons were taught.
    """
    step = STEPS["og_leaf"] if rung == "og_leaf" else Step(rung, rung, "tf_leaf", "through the clamp")
    claim = _Claim(step, "through the clamp")
    for lesson in out_and_back():
        yield from claim.compared(lesson)
        certain = beyond(lesson, claim.step.reference)
        candidate, taught = claim.after(lesson, "float32").variables[KERNEL], lesson.taught.variables[KERNEL]
        n = float(np.sum(candidate[certain] != taught[certain]))
        verdict = Verdict("status", n, 0.0, "mu and sigma that surely leave the box are its limits, to the bit")
        yield claim.measurement(KERNEL, lesson.case, "float32", verdict, "bitwise")


def prepare(step_names: Sequence[str] = STEP_NAMES) -> None:
    """Compute what single steps keep of the reference: to be called before a fault is planted into a rung."""
    for step in (STEPS[name] for name in step_names if name in STEPS):
        for kind in KINDS:
            for case in cases_of(step.candidate):
                lessons(step.reference, step.reference_padding, case, kind)
    if {"og_leaf", "tf_leaf"} & set(step_names):
        out_and_back()


@dataclass
class _Claim:
    """A candidate's lessons on one domain, and G1's pools over them by stage."""

    step: Step
    domain: str
    pools: dict[str, PooledAccuracy] = field(default_factory=dict)

    @property
    def projects(self) -> bool:
        return self.step.candidate in PROJECTING

    def after(self, lesson: Lesson, dtype: str) -> State:
        """The candidate's state after the lesson's step."""
        config, start = lesson.config.with_(padding=self.step.padding), lesson.start
        student = build(self.step.candidate, config, start.variables, lesson.rule, dtype)
        student.load(start if dtype == "float32" else lesson.exact_start)
        student.step(*lesson.batch)
        return student.state()

    def compared(self, lesson: Lesson) -> Iterator[Measurement]:
        """The candidate's step beside the reference's and the oracle's."""
        single, double = (self.after(lesson, dtype) for dtype in ("float32", "float64"))
        for variable in lesson.gradient:
            exact = lesson.exact(variable, self.projects)
            of_single = bound(lesson, variable, "float32", self.projects, self.step.reference)
            of_double = bound(lesson, variable, "float64", self.projects, self.step.reference)
            for key, expected in exact.items():
                stage = _stage(variable, key)
                old, old64, taught, candidate, precise = (
                    _of(state, variable, key)
                    for state in (lesson.start, lesson.exact_start, lesson.taught, single, double)
                )
                if key != PARAMETER:  # slots are compared as they are
                    old = old64 = np.zeros(1)
                same = status(candidate, taught)
                yield self.measurement(stage, lesson.case, "float32", same, "rounding")
                if same.passes:
                    verdict = CARRIED(_less(candidate, old), _less(taught, old), of_single[key])
                    yield self.measurement(stage, lesson.case, "float32", verdict, "rounding")
                    # in units of each element's own bound, so that all elements count alike
                    unit = np.where(of_single[key] > 0, of_single[key], 1.0)
                    pool = self.pools.setdefault(stage, PooledAccuracy())
                    pool.add(candidate / unit, taught / unit, expected / unit)
                same = status(precise, expected)
                yield self.measurement(stage, lesson.case, "float64", same, "algebraic")
                if same.passes:
                    verdict = CARRIED(_less(precise, old64), _less(expected, old64), of_double[key])
                    yield self.measurement(stage, lesson.case, "float64", verdict, "algebraic")

    def measurement(self, stage: str, case: str, dtype: str, verdict: Verdict, relation: str) -> Measurement:
        """A verdict as a measurement of this claim."""
        return Measurement(
            rung=self.step.candidate, reference=self.step.reference if dtype == "float32" else "oracle", stage=stage,
            property="training step", domain=self.domain, dtype=dtype, criterion=verdict.criterion, relation=relation,
            observed=verdict.observed, bound=verdict.bound, case=case, reason=verdict.reason,
            reproduce=f"pytest parity_tests/{self.step.candidate}/test_training.py",
        )  # fmt: skip


def bound(lesson: Lesson, variable: str, dtype: str, projects: bool, reference: str) -> dict[str, np.ndarray]:
    """How far two implementations' steps of one variable may be apart, element by element.

    Args:
        lesson: the step.
        variable: by canonical name.
        dtype: of the candidate; float32 against the reference, float64 against the oracle.
        projects: whether both project the Gabor parameters afterwards.
        reference: the rung; Keras computes Adam's coefficient in float32.
    """
    arguments = lesson.arguments(variable)
    scale = unit_roundoff(dtype) / unit_roundoff("float32")  # rounding errors are of the first order in u
    carried = lesson.rule.carried(*arguments, SCATTER.factor * scale * lesson.scatter[variable])
    own = lesson.rule.roundings(*arguments, dtype)
    out = {key: carried[key] + 2 * own[key] for key in carried}
    new = lesson.rule.step(*arguments)[PARAMETER]
    if isinstance(lesson.rule, Adam) and reference == "tf_leaf" and dtype == "float32":
        coefficient = lesson.rule.coefficient_rounding(arguments[0], dtype)
        out[PARAMETER] = out[PARAMETER] + coefficient * np.abs(new - arguments[1])
    if projects and variable == KERNEL:  # a projection brings values together, and its limits are rounded
        middle, low, high = (project(new + side * out[PARAMETER], lesson.box) for side in (0, -1, 1))
        out[PARAMETER] = np.maximum(high - middle, middle - low) + 2 * unit_roundoff(dtype) * np.abs(middle)
    return out


def beyond(lesson: Lesson, reference: str) -> np.ndarray:
    """Which of mu and sigma [C, 2] leave the box by more than any rounding can make up for."""
    new = lesson.rule.step(*lesson.arguments(KERNEL))[PARAMETER]
    width = bound(lesson, KERNEL, "float32", False, reference)[PARAMETER]
    low, high = project(new - width, lesson.box), project(new + width, lesson.box)
    return np.asarray((new != project(new, lesson.box)) & (low == high))


def _stage(variable: str, key: str) -> str:
    return variable if key == PARAMETER else f"{variable}/{key}"


def _of(state: State, variable: str, key: str) -> np.ndarray:
    return state.variables[variable] if key == PARAMETER else state.slots[key][variable]


def _less(new: np.ndarray, old: np.ndarray) -> np.ndarray:
    """The update: exact in float64, of float32 values."""
    return np.asarray(new.astype(np.float64) - old)
