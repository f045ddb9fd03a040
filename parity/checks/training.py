"""Training: single optimiser steps from the reference's state, and a step out of the box and one back.

*Teacher-forced*: at every step both sides start from the reference's parameters and slots, take their own gradient of
``sum(cotangent * output)`` on the same audio, and step. What is compared is how far the parameters have moved, and
the optimiser's slots. *Free runs*: a hundred steps of each side by itself, held to the scatter of the reference's own.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np

from parity.adapters.canonical import KERNEL, Variables, expected_shapes
from parity.adapters.optimizers import State, TorchTrainer, Trainer
from parity.cases.case import Case
from parity.checks.grid import Context
from parity.checks.steps import STEPS, Step
from parity.checks.training_steps import (
    CASES,
    CONFIG,
    EPSILON,
    FULL,
    KINDS,
    N_MOVED,
    N_STEPS,
    Batch,
    ReferenceStep,
    build,
    cases_of,
    drawn_batches,
    interior,
    moved_by_an_ulp,
    out_and_back,
    power_of_2_rate,
    reference_steps,
    reference_trainer,
    require_interior,
)
from parity.criteria import Envelope, PooledAccuracy, PropagatedBound, Verdict, status, unit_roundoff
from parity.oracle.config import LeafConfig
from parity.oracle.optimizers import PARAMETER, Adam, Rule, Sgd, project
from parity.report.claims import Measurement

FREE_CASE = Case(CONFIG, weights="trained", n_samples=800, batch=1, seed=2)
FREE_KINDS = ("sgd", "adam")
N_FREE_STEPS = 100
N_RUNS = 8  # of the reference, its start moved
LARGEST_FREE_MOVE = 2.0**-7  # of a parameter, relative, in the first step of SGD: later ones go another way
# betas that float32 holds: of 0.999 as float32 has it, Keras makes a coefficient that is 6.5e-6 smaller at every step
ADAM = Adam(2.0**-7, beta_1=1 - 3 / 32, beta_2=1 - 2.0**-10, epsilon=EPSILON)
OCTAVES = 7  # of 100 steps: a distance that grows like a random walk is another draw when the steps have doubled
N_VARIABLES = 6
N_LADDER = 3

FREE_ENVELOPE = Envelope(N_RUNS, N_LADDER * len(FREE_KINDS) * N_VARIABLES * OCTAVES)


@dataclass(frozen=True)
class Runs:
    """Runs of the reference.

    Attributes:
        config: of the reference.
        rule: of the optimiser.
        start: parameters before the first step.
        batches: audio and cotangent of each step.
        path: the parameters of the unmoved run after each step, [steps, ...].
        largest: the largest distance of a moved run from it up to each step, in ulps of the start, [steps].
        allowance: what Keras may round off its own Adam's coefficient, in all runs alike, added up, [steps].
    """

    config: LeafConfig
    rule: Rule
    start: Variables
    batches: list[Batch]
    path: Variables
    largest: Variables
    allowance: Variables


def free_run(step_name: str, kinds: Sequence[str] = FREE_KINDS) -> Iterator[Measurement]:
    """Every parameter's distance from the reference's run, against the envelope of the reference's moved runs.

    The distance is the root mean square over a variable's elements, each in units in the last place of its start.
    efficientleaf runs with its approximation off, where the length of its kernel must stay LEAF's all the way.

    Args:
        step_name: ``og_leaf``, ``leaf`` or ``efficientleaf``.
        kinds: of optimisers.
    """
    step = STEPS[step_name]
    for kind in kinds:
        context = _context(step, f"{N_FREE_STEPS} free steps", f"{FREE_CASE}; {kind}")
        runs = reference_runs(step.reference, step.reference_padding, kind)
        config = runs.config.with_(padding=step.padding)
        candidate = build(step.candidate, config, runs.start, runs.rule)
        path, n_other = _run(candidate, runs.start, runs)
        if step.candidate == "efficientleaf":
            verdict = Verdict("status", float(n_other), 0.0, "steps whose kernel was not the window's length")
            yield context.measurement(KERNEL, "trajectory", verdict, "rounding")
        for name, distances in _distances(path, runs.path, runs.start).items():
            yield context.measurement(name, "trajectory", status(path[name], runs.path[name]), "rounding")
            verdict = FREE_ENVELOPE(distances, runs.largest[name], runs.allowance[name])
            yield context.measurement(name, "trajectory", verdict, "rounding")


@cache
def reference_runs(reference: str, padding: str, kind: str) -> Runs:
    """The reference's runs from the case's weights and from their neighbours.

    Raises:
        ValueError: a run leaves the interior, where the claims of training are made.
    """
    config, start = FREE_CASE.config.with_(padding=padding), interior(FREE_CASE)
    batches = drawn_batches(FREE_CASE, config, N_FREE_STEPS)
    rate = power_of_2_rate(config, start, batches[0], LARGEST_FREE_MOVE)
    rule = {"sgd": Sgd(rate), "adam": ADAM}[kind]
    runs = Runs(config, rule, start, batches, {}, {}, {})
    stepper = reference_trainer(reference, config).with_rule(rule)
    path, _ = _run(stepper, start, runs)
    for n in range(N_FREE_STEPS):
        require_interior({name: values[n] for name, values in path.items()}, config)
    rng = np.random.default_rng(0)
    largest: Variables = {name: np.ones(N_FREE_STEPS) for name in start}  # never below one ulp
    for _ in range(N_RUNS):
        moved, _ = _run(stepper, {name: moved_by_an_ulp(values, rng) for name, values in start.items()}, runs)
        for name, distances in _distances(moved, path, start).items():
            largest[name] = np.maximum(largest[name], np.maximum.accumulate(distances))
    allowance: Variables = {name: np.zeros(N_FREE_STEPS) for name in start}
    if isinstance(rule, Adam) and reference == "tf_leaf":
        relative = [rule.coefficient_rounding(n + 1, "float32") for n in range(N_FREE_STEPS)]
        before = {name: np.concatenate([start[name][np.newaxis], values[:-1]]) for name, values in path.items()}
        for name, lengths in _distances(path, before, start).items():
            allowance[name] = np.cumsum(relative * lengths)
    return Runs(config, rule, start, batches, path, largest, allowance)


def _run(trained: Trainer, start: Variables, runs: Runs) -> tuple[Variables, int]:
    """Parameters after each step, and the number of steps before which efficientleaf's kernel was not the window's."""
    trained.load(State.start(start, runs.rule))
    path: dict[str, list[Any]] = {name: [] for name in start}
    n_other = 0
    for n in range(N_FREE_STEPS):
        if isinstance(trained, TorchTrainer) and trained.adapter.rung == "efficientleaf":
            n_other += any(group.kernel_size != runs.config.window for group in trained.module.filterbank.groups())
        trained.step(*runs.batches[n])
        for name, values in trained.state().variables.items():
            path[name].append(values)
    return {name: np.stack(values) for name, values in path.items()}, n_other


def _distances(path: Variables, reference: Variables, start: Variables) -> Variables:
    """Root mean square over the elements, in ulps of the start, at each step."""
    out = {}
    for name, values in path.items():
        ulps = (values.astype(np.float64) - reference[name]) / np.spacing(np.abs(start[name]))
        out[name] = np.sqrt(np.mean(ulps.reshape(N_FREE_STEPS, -1) ** 2, axis=1))
    return out


def _context(step: Step, domain: str, case: str, dtype: str = "float32") -> Context:
    again = f"pytest parity_tests/rungs/test_training.py -m {step.candidate}"
    return Context(step.candidate, step.reference if dtype == "float32" else "oracle", domain, case, again, dtype)


STEP_NAMES = ("og_leaf", "leaf", "efficientleaf")
PROJECTING = ("tf_leaf", "og_leaf")  # Keras by itself, og_leaf by its public call
N_ELEMENTS = sum(math.prod(shape) for shape in expected_shapes(FULL.config).values())  # of the largest gradient

SCATTER = Envelope(N_MOVED, len(STEP_NAMES) * len(KINDS) * (len(CASES) + 1) * N_STEPS * N_ELEMENTS)
PROPAGATED = PropagatedBound(
    f"{SCATTER.factor:.3g} times the gradient's scatter, carried through the rule to first order, plus the roundings "
    f"of the rule on both sides; scatter: the {SCATTER.reason.removeprefix('times the ')}"
)


def teacher_forced(step_name: str, kinds: Sequence[str] = KINDS) -> Iterator[Measurement]:
    """Every parameter and slot after each of a few steps of SGD, momentum and Adam.

    float32: status and direct against the reference, and accuracy over all steps. float64: against the oracle.

    Args:
        step_name: one of ``STEP_NAMES``, or ``tf_leaf``: the reference's own steps against the oracle.
        kinds: of optimisers.
    """
    if step_name == "tf_leaf":
        claim = _Claim(Step("tf_leaf", "tf_leaf", "oracle", STEPS["og_leaf"].domain), "interior weights")
        for kind in kinds:
            for case in cases_of("tf_leaf"):
                for ref in reference_steps("tf_leaf", "same", case, kind):
                    yield from claim.exact(ref, ref.end, "float32")
        return
    step = STEPS[step_name]
    trainers: dict[tuple[LeafConfig, str], Trainer] = {}
    for kind in kinds:
        claim = _Claim(step, "interior weights", trainers=trainers)
        for case in cases_of(step.candidate):
            for ref in reference_steps(step.reference, step.reference_padding, case, kind):
                yield from claim.compared(ref)
        for stage, pool in claim.pools.items():
            context = _context(step, claim.domain, f"all steps of {kind}")
            yield context.measurement(stage, "training step", pool.verdict(), "rounding")


def through_the_clamp(rung: str = "og_leaf") -> Iterator[Measurement]:
    """One step that takes mu and sigma out of their box, and one that starts from where it left them.

    Args:
        rung: ``og_leaf``, or ``tf_leaf``, which is held against the recorded steps of its own.
    """
    step = STEPS["og_leaf"] if rung == "og_leaf" else Step(rung, rung, "tf_leaf", "through the clamp")
    claim = _Claim(step, "through the clamp")
    for ref in out_and_back():
        yield from claim.compared(ref)
        certain = certainly_outside(ref, step.reference)
        candidate, end = claim.after(ref, "float32").variables[KERNEL], ref.end.variables[KERNEL]
        n = float(np.sum(candidate[certain] != end[certain]))
        verdict = Verdict("status", n, 0.0, "mu and sigma that surely leave the box are its limits, to the bit")
        yield _context(step, claim.domain, ref.case).measurement(KERNEL, "training step", verdict, "bitwise")


def prepare(step_names: Sequence[str] = STEP_NAMES) -> None:
    """Compute what single steps keep of the reference: to be called before a fault is planted into a rung."""
    for step in (STEPS[name] for name in step_names if name in STEPS):
        for kind in KINDS:
            for case in cases_of(step.candidate):
                reference_steps(step.reference, step.reference_padding, case, kind)
    if {"og_leaf", "tf_leaf"} & set(step_names):
        out_and_back()


@dataclass
class _Claim:
    """A candidate's steps on one domain, and the pools of accuracy over them by stage."""

    step: Step
    domain: str
    pools: dict[str, PooledAccuracy] = field(default_factory=dict)
    trainers: dict[tuple[LeafConfig, str], Trainer] = field(default_factory=dict)

    @property
    def projects(self) -> bool:
        return self.step.candidate in PROJECTING

    def after(self, ref: ReferenceStep, dtype: str) -> State:
        """The candidate's state after the reference's step; built once, but for efficientleaf's kernel length."""
        key, start = (ref.config.with_(padding=self.step.padding), dtype), ref.start
        if key not in self.trainers or self.step.candidate == "efficientleaf":
            self.trainers[key] = build(self.step.candidate, key[0], start.variables, ref.rule, dtype)
        candidate = self.trainers[key].with_rule(ref.rule)
        candidate.load(start if dtype == "float32" else ref.exact_start)
        candidate.step(*ref.batch)
        return candidate.state()

    def compared(self, ref: ReferenceStep) -> Iterator[Measurement]:
        """The candidate's step beside the reference's, in float32, and beside the oracle's, in float64."""
        context, single = _context(self.step, self.domain, ref.case), self.after(ref, "float32")
        for variable in ref.gradient:
            bounds = bound(ref, variable, "float32", self.projects, self.step.reference)
            for key, expected in ref.exact(variable, self.projects).items():
                stage = variable if key == PARAMETER else f"{variable}/{key}"
                candidate, end = single.values(variable, key), ref.end.values(variable, key)
                same = status(candidate, end)
                yield context.measurement(stage, "training step", same, "rounding")
                if same.passes:
                    ours, theirs = _moves(ref.start, variable, key, candidate, end)
                    verdict = PROPAGATED(ours, theirs, bounds[key])
                    yield context.measurement(stage, "training step", verdict, "rounding")
                    # in units of each element's own bound, so that all elements count alike
                    unit = np.where(bounds[key] > 0, bounds[key], 1.0)
                    pool = self.pools.setdefault(stage, PooledAccuracy())
                    pool.add(candidate / unit, end / unit, expected / unit)
        yield from self.exact(ref, self.after(ref, "float64"), "float64")

    def exact(self, ref: ReferenceStep, state: State, dtype: str) -> Iterator[Measurement]:
        """A state after the step beside the oracle's: a candidate's in float64, or the reference's own in float32."""
        context = _context(self.step, self.domain, ref.case, dtype)
        relation = "algebraic" if dtype == "float64" else "rounding"
        for variable in ref.gradient:
            bounds = bound(ref, variable, dtype, self.projects, "tf_leaf")
            for key, expected in ref.exact(variable, self.projects).items():
                stage, values = variable if key == PARAMETER else f"{variable}/{key}", state.values(variable, key)
                if dtype == "float64":
                    same = status(values, expected)
                    yield context.measurement(stage, "training step", same, relation)
                    if not same.passes:
                        continue
                ours, theirs = _moves(ref.exact_start, variable, key, values, expected)
                verdict = PROPAGATED(ours, theirs, bounds[key])
                yield context.measurement(stage, "training step", verdict, relation)


@cache
def bound(ref: ReferenceStep, variable: str, dtype: str, projects: bool, reference: str) -> dict[str, np.ndarray]:
    """Bound the distance of two implementations' steps of one variable, element by element.

    Args:
        ref: the step.
        variable: by canonical name.
        dtype: of the candidate; float32 against the reference, float64 against the oracle.
        projects: whether both project the Gabor parameters afterwards.
        reference: the rung; Keras computes Adam's coefficient in float32.
    """
    arguments = ref.arguments(variable)
    scale = unit_roundoff(dtype) / unit_roundoff("float32")  # rounding errors are of the first order in u
    propagated = ref.rule.propagated(*arguments, SCATTER.factor * scale * ref.scatter[variable])
    own = ref.rule.roundings(*arguments, dtype)
    out = {key: propagated[key] + 2 * own[key] for key in propagated}
    new = ref.rule.step(*arguments)[PARAMETER]
    if isinstance(ref.rule, Adam) and reference == "tf_leaf" and dtype == "float32":
        coefficient = ref.rule.coefficient_rounding(arguments[0], dtype)
        out[PARAMETER] = out[PARAMETER] + coefficient * np.abs(new - arguments[1])
    if projects and variable == KERNEL:  # a projection brings values together, and its limits are rounded
        middle, low, high = (project(new + side * out[PARAMETER], ref.box) for side in (0, -1, 1))
        out[PARAMETER] = np.maximum(high - middle, middle - low) + 2 * unit_roundoff(dtype) * np.abs(middle)
    return out


def certainly_outside(ref: ReferenceStep, reference: str) -> np.ndarray:
    """Mark the mu and sigma [C, 2] that leave the box by more than any rounding can make up for."""
    new = ref.rule.step(*ref.arguments(KERNEL))[PARAMETER]
    width = bound(ref, KERNEL, "float32", False, reference)[PARAMETER]
    low, high = project(new - width, ref.box), project(new + width, ref.box)
    return np.asarray((new != project(new, ref.box)) & (low == high))


def _moves(start: State, variable: str, key: str, *ends: np.ndarray) -> list[np.ndarray]:
    """Measure by how much each has moved a parameter, exactly in float64; slots are compared as they are."""
    old = start.values(variable, key) if key == PARAMETER else np.zeros(1)
    return [np.asarray(end.astype(np.float64) - old) for end in ends]
