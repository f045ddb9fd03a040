"""Free runs: a hundred optimiser steps, inside the envelope of reference runs whose start was moved by one ulp."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from parity.adapters.canonical import KERNEL, Variables
from parity.adapters.optimizers import State, TorchTrainer, Trainer
from parity.cases.case import Case
from parity.checks.steps import STEPS, Step
from parity.checks.training_steps import (
    CONFIG,
    EPSILON,
    Batch,
    build,
    drawn_batches,
    interior,
    moved_by_an_ulp,
    power_of_2_rate,
    require_interior,
    standing,
)
from parity.criteria import Verdict, status
from parity.criteria.envelope import Envelope
from parity.oracle.config import LeafConfig
from parity.oracle.optimizers import Adam, Rule, Sgd
from parity.report.claims import Measurement

CASE = Case(CONFIG, weights="trained", n_samples=800, batch=1, seed=2)
KINDS = ("sgd", "adam")
N_STEPS = 100
N_RUNS = 8  # of the reference, its start moved
LARGEST_MOVE = 2.0**-7  # of a parameter, relative, in the first step of SGD: later ones go another way
# betas that float32 holds: of 0.999 as float32 has it, Keras makes a coefficient that is 6.5e-6 smaller at every step
ADAM = Adam(2.0**-7, beta_1=1 - 3 / 32, beta_2=1 - 2.0**-10, epsilon=EPSILON)
OCTAVES = 7  # of 100 steps: a distance that grows like a random walk is another draw when the steps have doubled
N_VARIABLES = 6
N_LADDER = 3

ENVELOPE = Envelope(N_RUNS, N_LADDER * len(KINDS) * N_VARIABLES * OCTAVES)


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


def free_run(step_name: str, kinds: Sequence[str] = KINDS) -> Iterator[Measurement]:
    """Every parameter's distance from the reference's run, against the envelope of the reference's moved runs.

    The distance is the root mean square over a variable's elements, each in units in the last place of its start.
    efficientleaf runs with its approximation off, where the length of its kernel must stay LEAF's all the way.

    Args:
        step_name: ``og_leaf``, ``leaf`` or ``efficientleaf``.
        kinds: of optimisers.
    """
    step = STEPS[step_name]
    for kind in kinds:
        runs = reference_runs(step.reference, step.reference_padding, kind)
        config = runs.config.with_(padding=step.padding)
        candidate = build(step.candidate, config, runs.start, runs.rule)
        path, n_other = _run(candidate, runs.start, runs)
        if step.candidate == "efficientleaf":
            verdict = Verdict("status", float(n_other), 0.0, "steps whose kernel was not the window's length")
            yield _measurement(step, KERNEL, kind, verdict)
        for name, distances in _distances(path, runs.path, runs.start).items():
            yield _measurement(step, name, kind, status(path[name], runs.path[name]))
            yield _measurement(step, name, kind, ENVELOPE(distances, runs.largest[name], runs.allowance[name]))


@cache
def reference_runs(reference: str, padding: str, kind: str) -> Runs:
    """The reference's runs from the case's weights and from their neighbours.

    Raises:
        ValueError: a run leaves the interior, where the claims of training are made.
    """
    config, start = CASE.config.with_(padding=padding), interior(CASE)
    batches = drawn_batches(CASE, config, N_STEPS)
    rate = power_of_2_rate(config, start, batches[0], LARGEST_MOVE)
    rule = {"sgd": Sgd(rate), "adam": ADAM}[kind]
    runs = Runs(config, rule, start, batches, {}, {}, {})
    teacher = standing(reference, config).with_rule(rule)
    path, _ = _run(teacher, start, runs)
    for n in range(N_STEPS):
        require_interior({name: values[n] for name, values in path.items()}, config)
    rng = np.random.default_rng(0)
    largest: Variables = {name: np.ones(N_STEPS) for name in start}  # never below one ulp
    for _ in range(N_RUNS):
        moved, _ = _run(teacher, {name: moved_by_an_ulp(values, rng) for name, values in start.items()}, runs)
        for name, distances in _distances(moved, path, start).items():
            largest[name] = np.maximum(largest[name], np.maximum.accumulate(distances))
    allowance: Variables = {name: np.zeros(N_STEPS) for name in start}
    if isinstance(rule, Adam) and reference == "tf_leaf":
        relative = [rule.coefficient_rounding(n + 1, "float32") for n in range(N_STEPS)]
        before = {name: np.concatenate([start[name][np.newaxis], values[:-1]]) for name, values in path.items()}
        for name, lengths in _distances(path, before, start).items():
            allowance[name] = np.cumsum(relative * lengths)
    return Runs(config, rule, start, batches, path, largest, allowance)


def _run(trained: Trainer, start: Variables, runs: Runs) -> tuple[Variables, int]:
    """Parameters after each step, and the number of steps before which efficientleaf's kernel was not the window's."""
    trained.load(State.start(start, runs.rule))
    path: dict[str, list[Any]] = {name: [] for name in start}
    n_other = 0
    for n in range(N_STEPS):
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
        out[name] = np.sqrt(np.mean(ulps.reshape(N_STEPS, -1) ** 2, axis=1))
    return out


def _measurement(step: Step, stage: str, kind: str, verdict: Verdict) -> Measurement:
    return Measurement(
        rung=step.candidate, reference=step.reference, stage=stage, property="trajectory",
        domain=f"{N_STEPS} free steps", dtype="float32", criterion=verdict.criterion, relation="rounding",
        observed=verdict.observed, bound=verdict.bound, case=f"{CASE}; {kind}", reason=verdict.reason,
        reproduce=f"pytest parity_tests/{step.candidate}/test_training.py",
    )  # fmt: skip
