"""Holding a rung to the steps that the original took: shared by rungs 0 and 1, which claim to train as it does.

What is compared is the *update*, the parameter after the step less the parameter before. Both sides start from the
same float32 numbers and round the new ones once: of the update that is at most 2 u |p| / |update|, relative, which the
rates of the lessons keep under half of the limit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from fixtures import store, training
from parity.adapters.canonical import KERNEL
from parity.adapters.optimizers import State
from parity.checks.training_steps import build
from parity.criteria import AtMost, Exactly, RelativeL2, Verdict, norm, status, unit_roundoff
from parity.oracle.geometry import Box
from parity.oracle.optimizers import Sgd, project
from parity.report.claims import Measurement

LESSONS = store.names(store.TRAINING)
CLAMPED = [name for name in LESSONS if "every_limit" in name]
UPDATE = RelativeL2(1e-4, "the same gradients to a few 1e-6, and as much again for the rounding of the parameter")
MEANINGFUL = AtMost(UPDATE.limit / 2, "the rounding of both new parameters, so that the rest is the gradient's")
AT_A_LIMIT = Exactly("a limit is one float32 number, on either side")
NOT_MOVED = Exactly("beyond its limit, or fixed, a parameter has no gradient, and stays what it was")


@dataclass(frozen=True)
class Step:
    """One variable in one step: before, after it in the original and in the rung; and whether it was last moved."""

    lesson: training.TrainingCase
    number: int
    variable: str
    before: np.ndarray
    trained: np.ndarray
    candidate: np.ndarray

    @property
    def update(self) -> np.ndarray:
        """The original's, exact in float64."""
        return self.trained.astype(np.float64) - self.before

    @property
    def own_update(self) -> np.ndarray:
        """The rung's, exact in float64."""
        return self.candidate.astype(np.float64) - self.before

    @property
    def rounding(self) -> float:
        """The most that rounding the new parameter on both sides makes of the update, relative."""
        largest = np.maximum(np.abs(self.before), np.abs(self.trained))
        return 2 * unit_roundoff("float32") * norm(largest) / norm(self.update)

    @property
    def at_limits(self) -> np.ndarray:
        """Which entries the original left on a limit of their box: of mu and sigma alone."""
        if self.variable != KERNEL:
            return np.zeros(self.trained.shape, dtype=bool)
        box = Box.of_leaf(self.lesson.config.window)
        ends = [project(np.full_like(self.trained, end, dtype=np.float64), box) for end in (-1e9, 1e9)]
        return np.asarray(np.any([self.trained == end.astype(np.float32) for end in ends], axis=0))


@cache
def recorded(name: str) -> dict[str, np.ndarray]:
    """The arrays of a lesson."""
    return store.read(name, store.TRAINING)[1]


def steps(rung: str, name: str, spoil: Callable[[Any], None] = lambda trainer: None) -> Iterator[Step]:
    """A rung's steps of a lesson, each from where the original stood.

    Args:
        rung: which.
        name: of the lesson.
        spoil: makes a mistake in the trainer, so that a test can see it noticed.
    """
    lesson, arrays = training.find(name), recorded(name)
    rule = Sgd(lesson.rate)
    trainer = build(rung, lesson.config, store.below(arrays, "step0/before"), rule)
    spoil(trainer)
    for k in range(lesson.n_steps):
        of_step = store.below(arrays, f"step{k}")
        before, after = store.below(of_step, "before"), store.below(of_step, "after")
        trainer.load(State.start(before, rule))
        trainer.step(of_step["input"], of_step["cotangent"])
        found = trainer.state().variables
        assert set(found) == set(after)
        yield from (Step(lesson, k, variable, before[variable], after[variable], found[variable]) for variable in after)


def judged(step: Step) -> Iterator[tuple[Verdict, str]]:
    """The verdicts on one variable in one step, each with its relation."""
    yield status(step.candidate, step.trained), "rounding"
    if step.at_limits.any():
        yield AT_A_LIMIT(step.candidate[step.at_limits], step.trained[step.at_limits]), "bitwise"
    stays = step.trained == step.before
    if stays.all() or step.lesson.start == "outside":
        yield NOT_MOVED(step.candidate[stays], step.trained[stays]), "bitwise"
    if not stays.all():
        yield UPDATE(step.own_update, step.update), "rounding"
        if step.variable == KERNEL and step.lesson.n_steps == 1:
            # beside mu's, sigma's update does not show; here the steps are long enough to look at each
            for column in (0, 1):
                yield UPDATE(step.own_update[:, column], step.update[:, column]), "rounding"


def check_lesson(rung: str, name: str, ledger: Any) -> None:
    """Every step of a lesson, every variable."""
    for step in steps(rung, name):
        for verdict, relation in judged(step):
            ledger.check(Measurement(
                rung=rung, reference="original", stage=step.variable, property="training step", domain="lessons",
                dtype="float32", criterion=verdict.criterion, relation=relation,
                observed=verdict.observed, bound=verdict.bound,
                case=f"{name}, step {step.number + 1}", reason=verdict.reason,
                reproduce=f"pytest parity_tests/rungs/test_original_training.py -k '{rung}-{name}]'",
            ))  # fmt: skip


def refused(rung: str, name: str, spoil: Callable[[Any], None]) -> set[str]:
    """The variables of a lesson at which a spoiled trainer is noticed."""
    return {step.variable for step in steps(rung, name, spoil) if not all(v.passes for v, _ in judged(step))}
