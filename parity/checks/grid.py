"""Compare a candidate's arrays with the reference's and the oracle's, by every criterion.

``compare`` is the one place where arrays become measurements: those of a rung, of a public name of the original, of a
planted fault and of a foreign port. Whoever calls it only chooses what is run. A front end's arrays are by the name of
a stage, ``input`` for the gradient to the audio, or a canonical variable for the gradient to it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from parity.cases.case import Case
from parity.criteria import (
    UNMEASURED,
    Accuracy,
    Envelope,
    OfMax,
    PooledAccuracy,
    RelativeL2,
    Size,
    Verdict,
    norm,
    peak,
    soundness,
    status,
    unit_roundoff,
    within_rounding,
)
from parity.oracle import ORIGINAL, Conventions, Geometry, LeafBounds, LeafOracle, LeafRun, Precision
from parity.oracle.config import LeafConfig
from parity.report.claims import STAGES, Measurement

Arrays = Mapping[str, np.ndarray]
INNER_STAGES = frozenset(STAGES) - {"output", "input"}
# some 800 arrays of the goldens on either rung that are held to the original, and of a few reformulations
SCATTER = Envelope(16, 10_000)


def property_of(name: str) -> str:
    """The property that an array of this name belongs to."""
    if name == "input":
        return "input gradient"
    return "forward" if name in STAGES else "parameter gradient"


def stages_of(arrays: Arrays) -> dict[str, np.ndarray]:
    """Those of the arrays that are stages."""
    return {name: values for name, values in arrays.items() if property_of(name) == "forward"}


def gradients_of(arrays: Arrays) -> dict[str, np.ndarray]:
    """Those of the arrays that are gradients."""
    return {name: values for name, values in arrays.items() if property_of(name) != "forward"}


def largest_distances(draws: Iterable[Arrays], true: Arrays) -> dict[str, dict[Size, float]]:
    """Largest distances of rounded runs of the oracle from the oracle, by array and size; NaN counts as nothing."""
    largest: dict[str, dict[Size, float]] = {}
    for draw in draws:
        for name, values in draw.items():
            sizes = largest.setdefault(name, {norm: 0.0, peak: 0.0})
            for size in sizes:
                sizes[size] = max(sizes[size], size(np.nan_to_num(values - true[name])))
    return largest


class ExpectedArrays(ABC):
    """Hold what a run is compared with, and how far rounding may take an implementation from it.

    Attributes:
        reference: the reference's float32 arrays; empty where there is none.
        reference_again: those of further executions of the reference, its input moved by an ulp.
        direct: the direct limits hold between candidate and reference.
        envelope, seeds: of the draws of :meth:`scatter`, and what their seeds begin with.
    """

    envelope: ClassVar[Envelope] = SCATTER
    seeds: ClassVar[tuple[int, ...]] = (11,)

    reference: Arrays
    reference_again: Sequence[Arrays] = ()
    direct: bool = True

    @property
    @abstractmethod
    def values(self) -> Arrays:
        """The oracle's arrays."""

    @property
    @abstractmethod
    def with_norm(self) -> bool:
        """Tell whether the run ends with a normalisation, which divides by a standard deviation."""

    @abstractmethod
    def claimed(self, name: str) -> tuple[str, str]:
        """The stage and the property of the claim on an array."""

    @abstractmethod
    def alone(self, context: Context, name: str, candidate: np.ndarray) -> Iterator[Measurement]:
        """Measure an array by what the oracle says, with no direct limit."""

    @abstractmethod
    def rounded(self, rng: np.random.Generator, u: float) -> Arrays:
        """The oracle's arrays with a rounding at every operation, see :class:`parity.oracle.chain.Chain`."""

    def errors(self, dtype: str) -> Arrays:
        """The running error of every array, the bound of soundness; nothing where none is known."""
        return {}

    def rounding(self, dtype: str) -> Arrays:
        """The one-operation bound of every array, which direct bounds never go below; nothing where none is known."""
        return {}

    def scatter(self, name: str, size: Size) -> float | None:
        """Bound the distance of a float32 implementation from the oracle by drawn roundings.

        A bound that holds with the probability of :class:`parity.criteria.Envelope`, over draws of roundings that no
        order of summation exceeds (:meth:`parity.oracle.chain.Chain.sum_rounded`). None where no sum is drawn.
        """
        largest = self._scatter.get(name)
        return None if largest is None else self.envelope.factor * largest[size]

    @property
    def faithful(self) -> str:
        """Derivation of :meth:`scatter`."""
        return (
            f"{self.envelope.factor:.3g} times the largest of {self.envelope.n_draws} of the float64 oracle with a "
            "rounding at every operation, sums in their worst order"
        )

    def apart(self, name: str, size: Size) -> float | None:
        """Bound the distance from the reference: by the triangle inequality, its own error and :meth:`scatter`.

        Where a sum cancels, that is more than any limit for all cases. The reference's error alone would be one draw,
        and may be a lucky one.
        """
        most = self.scatter(name, size)
        return None if most is None else most + size(self.reference[name] - self.values[name])

    @cached_property
    def _scatter(self) -> dict[str, dict[Size, float]]:
        generators = (np.random.default_rng([*self.seeds, seed]) for seed in range(self.envelope.n_draws))
        return largest_distances((self.rounded(rng, unit_roundoff("float32")) for rng in generators), self.values)


@dataclass
class Expected(ExpectedArrays):
    """One case's inputs, and what should come out of a front end.

    Attributes:
        config: of the oracle.
        variables: weights, by canonical names, float32.
        x: audio, float32 [B, T].
        cotangent: of the output, float32 [B, C, F].
        reference, reference_again: the reference's stages and gradients.
        subtracts: the candidate's PCEN subtracts ``delta^r``, see :class:`parity.adapters.rungs.Rung`.
        conventions: whose limits on the PCEN parameters the oracle follows.
        geometry: of the oracle, if not LEAF's own.
        module: the reference's module, whose weights a candidate is converted from.
    """

    config: LeafConfig
    variables: Arrays
    x: np.ndarray
    cotangent: np.ndarray
    reference: Arrays = field(default_factory=dict)
    reference_again: Sequence[Arrays] = ()
    subtracts: bool = True
    conventions: Conventions = ORIGINAL
    geometry: Geometry | None = None
    module: Any = None
    _by_precision: dict[tuple[str, bool], Arrays] = field(default_factory=dict, init=False, repr=False)

    @classmethod
    def of(cls, case: Case, variables: Arrays | None = None, **others: Any) -> Expected:
        """A case without a reference; its cotangent takes the shape of the oracle's output."""
        x = case.input()
        expected = cls(case.config, case.variables() if variables is None else variables, x, cotangent=x, **others)
        expected.cotangent = case.cotangent(expected.stages["output"].shape)
        return expected

    @cached_property
    def oracle(self) -> LeafOracle:
        """The oracle of the configuration."""
        return LeafOracle(self.config, self.conventions, self.geometry)

    @property
    def stages(self) -> Arrays:
        """The oracle's stages."""
        return self._run.stages

    @cached_property
    def gradients(self) -> Arrays:
        """The oracle's gradients."""
        return self._run.gradients(self.cotangent)

    @property
    def cotangents(self) -> Arrays:
        """The oracle's cotangents of the stages."""
        _ = self.gradients  # on whose way they are computed
        return self._run.cotangents

    @cached_property
    def values(self) -> Arrays:
        """The oracle's stages and gradients."""
        return {**self.stages, **self.gradients}

    @cached_property
    def _run(self) -> LeafRun:
        return self.oracle.run(self.variables, self.x)

    def errors(self, dtype: str) -> Arrays:
        """The running error of every stage and gradient: the bound of soundness."""
        return self._bounds(dtype, False)

    def rounding(self, dtype: str) -> Arrays:
        """The one-operation bound of every stage and gradient: what direct bounds never go below."""
        return self._bounds(dtype, True)

    def _bounds(self, dtype: str, one_operation: bool) -> Arrays:
        key = (dtype, one_operation)
        if key not in self._by_precision:
            # of two float32 implementations one always subtracts; in float64 the candidate stands alone
            subtracts = self.subtracts or dtype != "float64"
            precision = Precision.of(dtype, one_operation)
            bounds = LeafBounds(self.oracle, self.variables, self.x, precision, subtracts)
            self._by_precision[key] = {**bounds.errors(), **bounds.gradient_errors(self.cotangent)}
        return self._by_precision[key]

    @property
    def with_norm(self) -> bool:
        return self.config.mean_var_norm

    def claimed(self, name: str) -> tuple[str, str]:
        return name, property_of(name)

    def alone(self, context: Context, name: str, candidate: np.ndarray) -> Iterator[Measurement]:
        """float64: to one rounding an operation; else under the running-error bound."""
        true = self.values[name]
        if context.dtype == "float64":
            yield from context.algebraic(name, candidate, true, self.rounding("float64")[name])
        else:
            yield from context.sound(name, property_of(name), candidate, true, self.errors(context.dtype)[name])

    def rounded(self, rng: np.random.Generator, u: float) -> Arrays:
        return self.oracle.rounded(self.variables, self.x, self.cotangent, rng, u)


# Published 1:1 ports stay within 4e-7 of max|y| of TensorFlow (1.2e-6 with instance norm) and TensorFlow's eager and
# graph modes are up to 4.8e-7 apart: twice that is what "the same in float32" means here.
FORWARD = OfMax(1e-6, "twice TensorFlow's own eager-graph difference (4.8e-7 of max|y|)")
FORWARD_NORM = OfMax(2e-6, "twice TensorFlow's own difference; instance norm divides by a standard deviation")
GRADIENT = RelativeL2(5e-6, "ten times the forward difference: a gradient sums products of several rounded factors")
GRADIENT_NORM = RelativeL2(3e-5, "as without instance norm, whose adjoint subtracts two means that nearly cancel")
FEWEST = 16  # arrays in a pool that say something about rounding together: as many as k was measured on


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
        pools: arrays whose accuracy is judged together, by (property, stage); judged by :func:`pooled`.
        each_alone: judge large enough arrays by themselves (the speech clip), rather than all of them together over
            the cases: an array of one filter or one frame carries the one or two roundings that its values share.
        fixed_limits: hold the output and the gradients to the fixed limits below, as on a given clip; where one is
            exceeded, to the drawn bound :meth:`ExpectedArrays.apart`. Otherwise, as on whatever is drawn, the
            one-operation bound holds.
        factor: accuracy's k by stage or gradient, over all cases together.
    """

    rung: str
    reference: str
    domain: str
    case: str
    reproduce: str
    dtype: str = "float32"
    pools: dict[tuple[str, str], PooledAccuracy] = field(default_factory=dict)
    each_alone: bool = False
    fixed_limits: bool = False
    factor: Callable[[str], float] = lambda stage: UNMEASURED

    def aside(self) -> Context:
        """A context for an array whose difference is measured in units of a bound, not of the array's own size.

        Its domain is another, so that the page, which shows relative differences, leaves these claims out.
        """
        return replace(self, domain=f"{self.domain}, few values or terms that cancel")

    def measurement(self, stage: str, property: str, verdict: Verdict, relation: str) -> Measurement:
        """A verdict of a criterion as a measurement of this context."""
        # soundness holds the candidate against the oracle, whatever the reference is
        reference = "oracle" if verdict.criterion == "soundness" else self.reference
        return Measurement(
            rung=self.rung, reference=reference, stage=stage, property=property, domain=self.domain,
            dtype=self.dtype, criterion=verdict.criterion, relation=relation,
            observed=verdict.observed, bound=verdict.bound,
            case=self.case, reproduce=self.reproduce, reason=verdict.reason,
        )  # fmt: skip

    def sound(
        self, stage: str, property: str, values: np.ndarray, true: np.ndarray, error: np.ndarray,
        relation: str = "rounding",
    ) -> Iterator[Measurement]:  # fmt: skip
        """The status of an array, and where that is right soundness: each value under its running-error bound."""
        state = status(values, true.astype(values.dtype))
        yield self.measurement(stage, property, state, relation)
        if state.passes:
            yield self.measurement(stage, property, soundness(values, true, error), relation)

    def algebraic(
        self, stage: str, values: np.ndarray, true: np.ndarray, rounding: np.ndarray
    ) -> Iterator[Measurement]:
        """The status of a float64 array, and that it is the oracle's function, to one rounding an operation."""
        property = property_of(stage)
        state = status(values, true)
        yield self.measurement(stage, property, state, "algebraic")
        if state.passes:
            verdict = within_rounding(values, true, rounding, peak if property == "forward" else norm)
            yield self.measurement(stage, property, verdict, "algebraic")


def compare(
    context: Context, candidate: Arrays, expected: ExpectedArrays, names: Iterable[str] | None = None
) -> Iterator[Measurement]:
    """Every array of a candidate, by every criterion that its dtype and its reference allow.

    float32 with a reference: as near to it as one rounding an operation or the direct limit allows, under the
    running-error bound, and as accurate as the reference. Otherwise see :meth:`ExpectedArrays.alone`.

    Args:
        context: of the measurements.
        candidate: its arrays.
        expected: what they are held against.
        names: of what is compared; by default all that the reference has, or the candidate where it stands alone.

    Raises:
        KeyError: the candidate lacks what is compared, or the oracle what the candidate has.
    """
    beside = bool(expected.reference) and context.dtype != "float64"
    if names is None:
        names = expected.reference if beside else candidate
    for name in names:
        if beside and expected.direct:
            yield from _beside(context, name, candidate[name], expected)
        else:
            yield from expected.alone(context, name, candidate[name])


def pooled(context: Context, fewest: int = FEWEST) -> Iterator[Measurement]:
    """The accuracy of the arrays that are judged together, over all cases of the context's pools.

    Args:
        context: of the claims.
        fewest: arrays in a pool; a smaller one is left to the criteria that judge singly.
    """
    for (property, stage), pool in sorted(context.pools.items()):
        if pool.n_arrays >= fewest:
            verdict = pool.verdict(context.factor(stage))
            yield context.measurement(stage, property, verdict, "rounding")


def _beside(context: Context, name: str, candidate: np.ndarray, expected: ExpectedArrays) -> Iterator[Measurement]:
    """Hold an array to the reference, and to the oracle unless that lacks it: by status, then by all other criteria."""
    stage, property = expected.claimed(name)
    reference, oracle = expected.reference[name], expected.values.get(name)
    state = status(candidate, reference)
    yield context.measurement(stage, property, state, "rounding")
    if not state.passes:
        return
    its, verdict = _direct(context, name, candidate, expected)
    yield its.measurement(stage, property, verdict, "rounding")
    if oracle is None:
        return
    error = expected.errors(context.dtype).get(name)
    if error is not None:
        yield context.measurement(stage, property, soundness(candidate, oracle, error), "rounding")
    if context.each_alone and Accuracy.applies(oracle):
        its, verdict = _accurate(context, name, candidate, expected)
        yield its.measurement(stage, property, verdict, "rounding")
    else:
        pool = context.pools.setdefault((property, stage), PooledAccuracy(context.dtype))
        pool.add(candidate, reference, oracle)


def _direct(context: Context, name: str, candidate: np.ndarray, expected: ExpectedArrays) -> tuple[Context, Verdict]:
    """Judge the difference to the reference, by the first of these bounds that applies; return the claim's context.

    1. The one-operation bound, unless the fixed limit is asked for (:attr:`Context.fixed_limits`) and means something.
    2. The fixed limit.
    3. Where that is exceeded, the drawn bound, which knows how far the terms of this array cancel.
    """
    reference, oracle = expected.reference[name], expected.values.get(name)
    forward = expected.claimed(name)[1] == "forward"
    size = peak if forward else norm
    fixed = context.fixed_limits and name not in INNER_STAGES
    # fewer than 64 values share one or two roundings, and a gradient that should be zero has no relative difference
    relative = Accuracy.applies(reference) if forward else bool(np.any(oracle))
    if not (fixed and relative):
        one_operation = expected.rounding(context.dtype).get(name)
        if one_operation is not None:
            verdict = within_rounding(candidate, reference, one_operation, size)
            return (context.aside() if fixed else context), verdict
    plain, with_norm = (FORWARD, FORWARD_NORM) if forward else (GRADIENT, GRADIENT_NORM)
    verdict = (with_norm if expected.with_norm else plain)(candidate, reference)
    most = None if verdict.passes or oracle is None else expected.apart(name, size)
    if most is None:
        return context, verdict
    difference = size(candidate.astype(np.float64) - reference)
    reason = f"the reference's error, and {expected.faithful}"
    return context.aside(), Verdict("direct", difference / most, 1.0, reason)


def _accurate(context: Context, name: str, candidate: np.ndarray, expected: ExpectedArrays) -> tuple[Context, Verdict]:
    """Judge the accuracy of one large array: no less than the reference's, or within the drawn bound.

    k is measured over many arrays together; of one alone, the spread is that of the executions at hand. These share an
    order of summation, and a CPU that sums in another may err more and be as faithful.
    """
    oracle = expected.values[name]
    again = [arrays[name] for arrays in expected.reference_again]
    verdict = Accuracy(dtype=context.dtype)(candidate, expected.reference[name], oracle, again)
    size = peak if expected.claimed(name)[1] == "forward" else norm
    most = None if verdict.passes else expected.scatter(name, size)
    if most is None:
        return context, verdict
    off = size(candidate - oracle.astype(np.float64))
    return context.aside(), Verdict("accuracy", off / most, 1.0, expected.faithful)
