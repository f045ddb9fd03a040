"""Take single optimiser steps of a reference, and measure how far its own rounding scatters them.

Computed once a process, so that every candidate, and every planted fault, is held to the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np

from parity.adapters.canonical import KERNEL, Variables
from parity.adapters.optimizers import State, Trainer, trainer
from parity.adapters.rungs import RUNGS
from parity.cases.case import Case
from parity.criteria import unit_roundoff
from parity.oracle.config import LeafConfig
from parity.oracle.geometry import Box
from parity.oracle.leaf import LeafOracle
from parity.oracle.optimizers import PARAMETER, Adam, Momentum, Rule, Sgd, project

CONFIG = LeafConfig(n_filters=4, sample_rate=8000)
CASES = tuple(Case(CONFIG, weights="trained", n_samples=1600, batch=2, seed=seed) for seed in (0, 1))
# with pre-emphasis and instance norm, for the rungs that hold them
FULL = Case(CONFIG.with_(preemp=True, mean_var_norm=True), weights="trained", n_samples=1600, batch=2, seed=3)
CLAMP = Case(CONFIG.with_(n_filters=8, compression="log"), weights="trained", n_samples=1600, batch=2)
KINDS = ("sgd", "momentum", "adam")
N_STEPS = 5
N_MOVED = 8  # runs of the reference from moved inputs
LARGEST_MOVE = 2.0**-6  # of a parameter, relative, in the first step of SGD
EPSILON = 2.0**-10  # of Adam: one that the gradients do not drown, so that its convention shows

Batch = tuple[np.ndarray, np.ndarray]


def cases_of(rung: str) -> tuple[Case, ...]:
    """The cases of a rung's training."""
    return (*CASES, FULL) if "norm" in RUNGS[rung].stages else CASES


@dataclass(frozen=True, eq=False)
class ReferenceStep:
    """One step of the reference; what follows from it alone is computed once.

    Attributes:
        case: as text.
        config: of the reference.
        rule: of the optimiser.
        start: before the step.
        batch: audio and cotangent.
        gradient: the oracle's, in float64.
        scatter: of each element of the gradient, the largest of ``N_MOVED`` distances of the reference from itself.
        end: after the step.
    """

    case: str
    config: LeafConfig
    rule: Rule
    start: State
    batch: Batch
    gradient: Variables
    scatter: Variables
    end: State

    @property
    def box(self) -> Box:
        """The limits of the Gabor parameters."""
        return Box.of_leaf(self.config.window)

    @cached_property
    def exact_start(self) -> State:
        """The start in float64, where a parameter that is on its limit in float32 is on the limit itself."""
        return State(inside(self.start.variables, self.box), self.start.slots, self.start.n_steps)

    def arguments(self, variable: str) -> tuple[int, np.ndarray, np.ndarray, dict[str, np.ndarray]]:
        """Arguments of the oracle's rule for one variable."""
        start = self.exact_start
        slots = {slot: held[variable] for slot, held in start.slots.items()}
        return start.n_steps + 1, start.variables[variable], self.gradient[variable], slots

    @cache  # noqa: B019 - the steps themselves are kept as long
    def exact(self, variable: str, projects: bool) -> dict[str, np.ndarray]:
        """The oracle's step of one variable: the parameter and its slots afterwards."""
        exact = self.rule.step(*self.arguments(variable))
        if projects and variable == KERNEL:
            exact[PARAMETER] = project(exact[PARAMETER], self.box)
        return exact


@cache
def reference_steps(reference: str, padding: str, case: Case, kind: str) -> tuple[ReferenceStep, ...]:
    """The reference's steps from the case's weights, inside every limit, on other audio each.

    Args:
        reference: a rung.
        padding: how it pads.
        case: its first weights.
        kind: one of ``KINDS``.

    Raises:
        ValueError: a step leaves the interior, where the claims of training are made.
    """
    config, variables = case.config.with_(padding=padding), interior(case)
    batches = drawn_batches(case, config, N_STEPS)
    rate = power_of_2_rate(config, variables, batches[0], LARGEST_MOVE)
    rule = {"sgd": Sgd(rate), "momentum": Momentum(rate), "adam": Adam(2.0**-5, epsilon=EPSILON)}[kind]
    steps = tuple(_steps_of(reference, config, rule, variables, batches, str(case)))
    for step in steps:
        require_interior(step.end.variables, config)
    return steps


@cache
def out_and_back() -> tuple[ReferenceStep, ...]:
    """Two steps of tf_leaf: one so long that every mu and sigma leaves its box, and a short one from the limits."""
    config, box = CLAMP.config, Box.of_leaf(CLAMP.config.window)
    start: Variables = dict(CLAMP.variables())
    out, back = drawn_batches(CLAMP, config, 2)
    slopes = np.abs(LeafOracle(config).gradients(start, *out)[KERNEL])
    rate = 2.0 ** np.ceil(np.log2(np.max(np.array([np.pi, box.sigma_high]) / slopes)))
    (first,) = _steps_of("tf_leaf", config, Sgd(float(rate)), start, [out], f"{CLAMP}; out")
    at_limits = first.end.variables
    slopes = np.abs(LeafOracle(config).gradients(inside(at_limits, box), *back)[KERNEL])
    rate = 2.0 ** np.floor(np.log2((box.sigma_high - box.sigma_low) / np.max(slopes[:, 1])))
    (second,) = _steps_of("tf_leaf", config, Sgd(float(rate)), at_limits, [back], f"{CLAMP}; back")
    return first, second


@cache
def reference_trainer(reference: str, config: LeafConfig) -> Trainer:
    """A reference, built once a process; its state is loaded by whoever uses it, and its rule is taken from there."""
    return build(reference, config, {}, Sgd(1.0))


def build(rung: str, config: LeafConfig, variables: Variables, rule: Rule, dtype: str = "float32") -> Trainer:
    """A rung for these parameters with a fresh optimiser.

    efficientleaf has its approximation off, and a kernel that is the window's length while the largest sigma moves by
    less than its part of a sample either way: ``conv_win_factor`` in the middle of those that give this length.
    """
    adapter = RUNGS[rung].load_adapter()
    options: dict[str, Any] = {}
    if rung == "efficientleaf":
        from parity.adapters.efficientleaf import exact_options

        middle = config.window / float(variables[KERNEL][:, 1].max())
        options = {**exact_options(config, variables), "conv_win_factor": middle}
    return trainer(adapter, adapter.build(config, dtype=dtype, **options), rule)


def drawn_batches(case: Case, config: LeafConfig, n_batches: int) -> list[Batch]:
    """Audio and cotangents, each another draw."""
    variables: Variables = dict(case.variables())
    x: np.ndarray = case.input()
    frames = LeafOracle(config).stages(variables, x)["output"].shape
    seeds = [1000 * (case.seed + 1) + n for n in range(n_batches)]
    drawn = [Case(config, n_samples=case.n_samples, batch=case.batch, seed=seed) for seed in seeds]
    return [(each.input(), each.cotangent(frames)) for each in drawn]


def power_of_2_rate(config: LeafConfig, variables: Variables, batch: Batch, largest: float) -> float:
    """The largest power of 2 whose first SGD step moves no parameter by more than ``largest`` of itself."""
    gradient = LeafOracle(config).gradients(variables, *batch)
    relative = max(np.max(np.abs(gradient[name] / values)) for name, values in variables.items())
    return float(2.0 ** np.floor(np.log2(largest / relative)))


def moved_by_an_ulp(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Each value's neighbour in its dtype, above or below."""
    up = rng.integers(0, 2, values.shape).astype(bool)
    return np.asarray(np.where(up, np.nextafter(values, np.inf), np.nextafter(values, -np.inf)), dtype=values.dtype)


def inside(variables: Variables, box: Box) -> Variables:
    """The variables, mu and sigma in float64 and in their box."""
    return {**variables, KERNEL: project(variables[KERNEL], box)}


def interior(case: Case) -> Variables:
    """The case's weights with room to move: mu, sigma and s larger, alpha and the pooling widths smaller."""
    out: Variables = dict(case.variables())
    for name, scale, offset in (
        (KERNEL, [1.0, 4.0], [0.5, 0.0]),
        ("learnable_pooling/kernel", 0.6, 0.0),
        ("PCEN/alpha", 0.75, 0.0),
        ("PCEN/EMA/smooth", 1.0, 0.25),
    ):
        if name in out:  # without a compression that is learned there is less
            out[name] = (out[name] * np.array(scale) + np.array(offset)).astype(np.float32)
    return out


def require_interior(variables: Mapping[str, np.ndarray], config: LeafConfig) -> None:
    """Refuse parameters at or beyond a limit of any rung.

    Raises:
        ValueError: names the variable.
    """
    box = Box.of_leaf(config.window)
    limits = {
        "learnable_pooling/kernel": (box.width_low, 0.5), "PCEN/alpha": (-np.inf, 1.0), "PCEN/delta": (0.0, np.inf),
        "PCEN/root": (1.0, np.inf), "PCEN/EMA/smooth": (0.0, 1.0),
    }  # fmt: skip
    mu, sigma = variables[KERNEL].T
    bounded = [("mu", mu, 0.0, np.pi), ("sigma", sigma, box.sigma_low, box.sigma_high)]
    bounded += [(name, variables[name], low, high) for name, (low, high) in limits.items() if name in variables]
    for name, values, low, high in bounded:
        if not np.all((values > low) & (values < high)):
            raise ValueError(f"variable {name!r}: values {values.ravel()}: must lie inside ({low:.6g}, {high:.6g})")


def _steps_of(
    reference: str, config: LeafConfig, rule: Rule, variables: Variables, batches: Sequence[Batch], case: str
) -> Iterator[ReferenceStep]:
    oracle, box = LeafOracle(config), Box.of_leaf(config.window)
    stepper = reference_trainer(reference, config).with_rule(rule)
    state = State.start(variables, rule)
    for n, batch in enumerate(batches):
        scatter = _scatter(stepper, state, batch, box, np.random.default_rng(n))
        stepper.load(state)
        stepper.step(*batch)
        end = stepper.state()
        slopes = oracle.gradients(inside(state.variables, box), *batch)
        gradient = {name: slopes[name] for name in variables}
        yield ReferenceStep(f"{case}; {rule.name}, step {n + 1}", config, rule, state, batch, gradient, scatter, end)
        state = end


def _scatter(stepper: Trainer, state: State, batch: Batch, box: Box, rng: np.random.Generator) -> Variables:
    """Largest distances of the reference's gradient from itself, all that it is computed from moved by one ulp.

    Parameters stay in their box, outside of which there is no gradient. One rounding is the least that can be asked.
    """
    stepper.load(state)
    plain = stepper.gradients(*batch)
    out = {name: np.abs(g.astype(np.float64)) * unit_roundoff("float32") for name, g in plain.items()}
    for _ in range(N_MOVED):
        moved = inside({name: moved_by_an_ulp(values, rng) for name, values in state.variables.items()}, box)
        moved[KERNEL] = moved[KERNEL].astype(np.float32)
        stepper.load(State(moved, state.slots, state.n_steps))
        for name, g in stepper.gradients(*(moved_by_an_ulp(values, rng) for values in batch)).items():
            out[name] = np.maximum(out[name], np.abs(g.astype(np.float64) - plain[name]))
    return out
