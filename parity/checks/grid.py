"""Compare a candidate's stages and gradients with the reference's and the oracle's, by every criterion.

``compare`` is the one place where arrays become measurements. The certification suite, ``leaf-ladder replay``, the
planted faults and foreign ports only choose cases and hand over what they ran.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from parity.criteria import (
    Accuracy,
    OfMax,
    PooledAccuracy,
    RelativeL2,
    Verdict,
    norm,
    one_operation,
    peak,
    soundness,
    status,
)
from parity.criteria.accuracy import UNMEASURED
from parity.criteria.criterion import unit_roundoff
from parity.criteria.direct import Envelope, Size
from parity.oracle import ORIGINAL, Conventions, Geometry, LeafBounds, LeafOracle, LeafRun, Precision
from parity.oracle.config import LeafConfig
from parity.report.claims import Measurement

Arrays = Mapping[str, np.ndarray]
# some 800 arrays of the goldens on either rung that are held to the original, and of a few reformulations
SCATTER = Envelope(16, 10_000)


def largest_distances(draws: Iterable[Arrays], true: Arrays) -> dict[str, dict[Size, float]]:
    """Largest distances of rounded runs of the oracle from the oracle, by array and size; NaN counts as nothing."""
    largest: dict[str, dict[Size, float]] = {}
    for draw in draws:
        for name, values in draw.items():
            sizes = largest.setdefault(name, {norm: 0.0, peak: 0.0})
            for size in sizes:
                sizes[size] = max(sizes[size], size(np.nan_to_num(values - true[name])))
    return largest


@dataclass
class Expected:
    """One case's inputs, and what should come out.

    Attributes:
        config: of the oracle.
        variables: weights, by canonical names, float32.
        x: audio, float32 [B, T].
        cotangent: of the output, float32 [B, C, F].
        reference: the reference's float32 stages; empty where there is none.
        reference_gradients: the same of its gradients.
        reference_again: stages and gradients of further executions of the reference, its input moved by an ulp.
        subtracts: the candidate's PCEN subtracts ``delta^r``, see :class:`parity.adapters.rungs.Rung`.
        conventions: whose limits on the PCEN parameters the oracle follows.
        geometry: of the oracle, if not LEAF's own.
        standing: the reference's module, whose weights a candidate is converted from.
    """

    config: LeafConfig
    variables: Arrays
    x: np.ndarray
    cotangent: np.ndarray
    reference: Arrays = field(default_factory=dict)
    reference_gradients: Arrays = field(default_factory=dict)
    reference_again: list[tuple[Arrays, Arrays]] = field(default_factory=list)
    subtracts: bool = True
    conventions: Conventions = ORIGINAL
    geometry: Geometry | None = None
    standing: Any = None

    @cached_property
    def oracle(self) -> LeafOracle:
        """The oracle of the configuration."""
        return LeafOracle(self.config, self.conventions, self.geometry)

    @property
    def stages(self) -> Arrays:
        """The oracle's stages."""
        return self._run.stages

    @property
    def gradients(self) -> Arrays:
        """The oracle's gradients."""
        return self._way_back[0]

    @property
    def cotangents(self) -> Arrays:
        """The oracle's cotangents of the stages."""
        return self._way_back[1]

    @cached_property
    def _way_back(self) -> tuple[Arrays, Arrays]:
        gradients = self._run.gradients(self.cotangent)
        return gradients, self._run.cotangents

    @cached_property
    def _run(self) -> LeafRun:
        return self.oracle.run(self.variables, self.x)

    def errors(self, dtype: str) -> Arrays:
        """The running error of every stage: G2's bound."""
        return self._bounds(dtype, False)[0]

    def gradient_errors(self, dtype: str) -> Arrays:
        """The running error of every gradient."""
        return self._bounds(dtype, False)[1]

    def rounding(self, dtype: str) -> Arrays:
        """The one-operation bound of every stage: what G3 never goes below."""
        return self._bounds(dtype, True)[0]

    def gradient_rounding(self, dtype: str) -> Arrays:
        """The one-operation bound of every gradient."""
        return self._bounds(dtype, True)[1]

    def scatter(self, name: str, size: Size) -> float | None:
        """Bound the distance of a float32 implementation from the oracle by drawn roundings.

        A bound that holds with the probability of :class:`parity.criteria.direct.Envelope`, over draws of roundings
        that no order of summation exceeds (:meth:`parity.oracle.chain.Chain.sum_rounded`). None where no sum is drawn.
        """
        largest = self._scatter.get(name)
        return None if largest is None else SCATTER.factor * largest[size]

    @cached_property
    def _scatter(self) -> dict[str, dict[Size, float]]:
        u, inputs = unit_roundoff("float32"), (self.variables, self.x, self.cotangent)
        generators = (np.random.default_rng([11, seed]) for seed in range(SCATTER.n_draws))
        return largest_distances(
            (self.oracle.rounded(*inputs, rng, u) for rng in generators), {**self.stages, **self.gradients}
        )

    def _bounds(self, dtype: str, one_operation: bool) -> tuple[Arrays, Arrays]:
        key = (dtype, one_operation)
        if key not in self._by_precision:
            # of two float32 implementations one always subtracts; in float64 the candidate stands alone
            subtracts = self.subtracts or dtype != "float64"
            precision = Precision.of(dtype, one_operation)
            bounds = LeafBounds(self.oracle, self.variables, self.x, precision, subtracts)
            self._by_precision[key] = bounds.errors(), bounds.gradient_errors(self.cotangent)
        return self._by_precision[key]

    @cached_property
    def _by_precision(self) -> dict[tuple[str, bool], tuple[Arrays, Arrays]]:
        return {}


@dataclass(frozen=True)
class Produced:
    """Stages and gradients of a candidate on a case.

    Attributes:
        stages: float32.
        gradients: float32, by canonical names and ``input``.
        precise_stages: the same module in float64.
        precise_gradients: float64.
    """

    stages: Arrays = field(default_factory=dict)
    gradients: Arrays = field(default_factory=dict)
    precise_stages: Arrays = field(default_factory=dict)
    precise_gradients: Arrays = field(default_factory=dict)


# Published 1:1 ports stay within 4e-7 of max|y| of TensorFlow (1.2e-6 with instance norm) and TensorFlow's eager and
# graph modes are up to 4.8e-7 apart: twice that is what "the same in float32" means here.
FORWARD = OfMax(1e-6, "twice TensorFlow's own eager-graph difference (4.8e-7 of max|y|)")
FORWARD_NORM = OfMax(2e-6, "twice TensorFlow's own difference; instance norm divides by a standard deviation")
GRADIENT = RelativeL2(5e-6, "ten times the forward difference: a gradient sums products of several rounded factors")
GRADIENT_NORM = RelativeL2(3e-5, "as without instance norm, whose adjoint subtracts two means that nearly cancel")
FAITHFUL = (
    f"{SCATTER.factor:.3g} times the largest of {SCATTER.n_draws} of the float64 oracle with a rounding at every "
    "operation, sums in their worst order"
)
APART = f"the reference's error, and {FAITHFUL}"
FEWEST = 16  # arrays in a pool that say something about rounding together: as many as k was measured on


def unmeasured(property: str, stage: str) -> float:
    """G1's k where the reference was not executed again."""
    return UNMEASURED


@dataclass
class Context:
    """The common part of a set of measurements.

    Attributes:
        rung: the candidate.
        reference: what it is held against.
        domain: where the relation is claimed.
        case: the case, as text.
        reproduce: the command that runs it again.
        dtype: of the candidate.
        with_norm: the configuration has instance norm.
        pools: G1's arrays that are judged together, by (property, stage); judged by :func:`pooled`.
        singly: judge large enough arrays by themselves (the speech clip), rather than all of them together over
            the cases: an array of one filter or one frame carries the one or two roundings that its values share.
        literal: hold these stages and gradients to their direct limit, or to :func:`apart`.
        factor: G1's k by (property, stage), over all cases together.
    """

    rung: str
    reference: str
    domain: str
    case: str
    reproduce: str
    dtype: str = "float32"
    with_norm: bool = False
    pools: dict[tuple[str, str], PooledAccuracy] = field(default_factory=dict)
    singly: bool = True
    literal: Callable[[str], bool] = lambda name: False
    factor: Callable[[str, str], float] = unmeasured

    def aside(self) -> Context:
        """A context for arrays that no limit of their own size suits; they are measured in units of another bound."""
        return replace(self, domain=f"{self.domain}, few values or terms that cancel")

    def measurement(self, stage: str, property: str, verdict: Verdict, relation: str) -> Measurement:
        """A verdict of a criterion as a measurement of this context."""
        # G2 holds the candidate against the oracle, whatever else it stands on
        reference = "oracle" if verdict.criterion == "soundness" else self.reference
        return Measurement(
            rung=self.rung, reference=reference, stage=stage, property=property, domain=self.domain,
            dtype=self.dtype, criterion=verdict.criterion, relation=relation,
            observed=verdict.observed, bound=verdict.bound,
            case=self.case, reproduce=self.reproduce, reason=verdict.reason,
        )  # fmt: skip


def kind_of(name: str) -> str:
    """The property that the gradient of this name belongs to."""
    return "input gradient" if name == "input" else "parameter gradient"


def compare_forward(context: Context, candidate: Arrays, expected: Expected) -> Iterator[Measurement]:
    """float32: each stage of the candidate against the reference's and the oracle's.

    Raises:
        KeyError: the reference has a stage that the candidate lacks.
    """
    direct = FORWARD_NORM if context.with_norm else FORWARD
    errors, rounding = expected.errors(context.dtype), expected.rounding(context.dtype)
    for stage, reference in expected.reference.items():
        arrays = candidate[stage], reference, expected.stages.get(stage)
        # an array of a few values shares one or two roundings, which no reference's error speaks for
        literal = context.literal(stage) and Accuracy.applies(reference)
        least = None if literal else rounding.get(stage)
        again = [stages[stage] for stages, _ in expected.reference_again]
        yield from _compare(context, stage, "forward", arrays, direct, errors.get(stage), least, expected, again)


def compare_gradients(context: Context, candidate: Arrays, expected: Expected) -> Iterator[Measurement]:
    """float32: the gradient of each tensor against the reference's and the oracle's.

    Raises:
        KeyError: the reference has a gradient that the candidate lacks.
    """
    direct = GRADIENT_NORM if context.with_norm else GRADIENT
    errors, rounding = expected.gradient_errors(context.dtype), expected.gradient_rounding(context.dtype)
    for name, reference in expected.reference_gradients.items():
        arrays = candidate[name], reference, expected.gradients[name]
        # relative to a gradient that should be zero, everything is infinitely far
        literal = context.literal(name) and bool(np.any(expected.gradients[name]))
        least = None if literal else rounding[name]
        again = [gradients[name] for _, gradients in expected.reference_again]
        yield from _compare(context, name, kind_of(name), arrays, direct, errors[name], least, expected, again)


def compare_sound(
    context: Context, candidate: Arrays, expected: Arrays, errors: Arrays, kind: Callable[[str], str]
) -> Iterator[Measurement]:
    """Any dtype, no reference: the status of each array and its running-error bound (G0 and G2)."""
    for name, values in candidate.items():
        yield context.measurement(name, kind(name), _finite(values, expected[name]), "rounding")
        verdict = soundness(values, expected[name], errors[name])
        yield context.measurement(name, kind(name), verdict, "rounding")


def compare_algebraic(context: Context, candidate: Arrays, expected: Expected) -> Iterator[Measurement]:
    """float64: each stage of the candidate is the oracle's function, to one rounding an operation.

    Raises:
        KeyError: the candidate has a stage that the oracle lacks.
    """
    rounding = expected.rounding("float64")
    for name, values in candidate.items():
        state = status(values, expected.stages[name])
        yield context.measurement(name, "forward", state, "algebraic")
        if state.passes:
            verdict = one_operation(values, expected.stages[name], rounding[name], peak)
            yield context.measurement(name, "forward", verdict, "algebraic")


def compare_algebraic_gradients(context: Context, candidate: Arrays, expected: Expected) -> Iterator[Measurement]:
    """float64: each gradient of the candidate is the oracle's, to one rounding an operation.

    Raises:
        KeyError: the candidate has a gradient that the oracle lacks.
    """
    rounding = expected.gradient_rounding("float64")
    for name, values in candidate.items():
        state = status(values, expected.gradients[name])
        yield context.measurement(name, kind_of(name), state, "algebraic")
        if state.passes:
            verdict = one_operation(values, expected.gradients[name], rounding[name], norm)
            yield context.measurement(name, kind_of(name), verdict, "algebraic")


def compare(single: Context, double: Context, produced: Produced, expected: Expected) -> Iterator[Measurement]:
    """Everything that one run of a candidate is held to, in the order of the computation."""
    yield from compare_forward(single, produced.stages, expected)
    yield from compare_algebraic(double, produced.precise_stages, expected)
    yield from compare_gradients(single, produced.gradients, expected)
    yield from compare_algebraic_gradients(double, produced.precise_gradients, expected)


def pooled(context: Context, fewest: int = FEWEST) -> Iterator[Measurement]:
    """The accuracy of the arrays that are judged together, over all cases of the context's pools.

    Args:
        context: of the claims.
        fewest: arrays in a pool; a smaller one is left to the criteria that judge singly.
    """
    for (kind, stage), pool in sorted(context.pools.items()):
        if pool.n_arrays >= fewest:
            yield context.measurement(stage, kind, pool.verdict(context.factor(kind, stage)), "rounding")


def _finite(values: np.ndarray, oracle: np.ndarray) -> Verdict:
    """The status against the oracle, whose dtype is another."""
    return status(values, oracle.astype(values.dtype))


def _compare(
    context: Context,
    stage: str,
    kind: str,
    arrays: tuple[np.ndarray, np.ndarray, np.ndarray | None],
    direct: OfMax | RelativeL2,
    errors: np.ndarray | None,
    least: np.ndarray | None,
    expected: Expected,
    again: Sequence[np.ndarray] = (),
) -> Iterator[Measurement]:
    candidate, reference, oracle = arrays
    state = status(candidate, reference)
    yield context.measurement(stage, kind, state, "rounding")
    if not state.passes:
        return
    size = norm if isinstance(direct, RelativeL2) else peak
    if least is not None:
        where = context.aside() if context.literal(stage) else context
        yield where.measurement(stage, kind, one_operation(candidate, reference, least, size), "rounding")
    else:
        verdict, where = direct(candidate, reference), context
        if not verdict.passes and oracle is not None and (most := expected.scatter(stage, size)) is not None:
            # By the triangle inequality: where a sum cancels, that is more than any limit for all cases. The
            # reference's error alone would be one draw, and may be a lucky one.
            difference = size(candidate.astype(np.float64) - reference)
            most += size(reference - oracle.astype(np.float64))
            verdict, where = Verdict("direct", difference / most, 1.0, APART), context.aside()
        yield where.measurement(stage, kind, verdict, "rounding")
    if oracle is None:
        return
    if errors is not None:
        yield context.measurement(stage, kind, soundness(candidate, oracle, errors), "rounding")
    if context.singly and Accuracy.applies(oracle):
        # k is measured over many arrays together; of one array alone, the spread is that of the executions at hand.
        # These share an order of summation: a CPU that sums in another may err more and be as faithful.
        verdict, where = Accuracy(dtype=context.dtype)(candidate, reference, oracle, again), context
        if not verdict.passes and (most := expected.scatter(stage, size)) is not None:
            error = size(candidate - oracle.astype(np.float64))
            verdict, where = Verdict("accuracy", error / most, 1.0, FAITHFUL), context.aside()
        yield where.measurement(stage, kind, verdict, "rounding")
    else:
        pool = context.pools.setdefault((kind, stage), PooledAccuracy(context.dtype))
        pool.add(candidate, reference, oracle)
