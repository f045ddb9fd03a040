"""The grid: what is compared at each step of the ladder, and by which gate.

``compare`` is the one place where arrays become measurements. The certification suite and ``leaf-ladder replay`` only
choose cases and hand over what they ran.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from parity.gates import Accuracy, OfMax, PooledAccuracy, RelativeL2, Verdict, status
from parity.gates.base import unit_roundoff
from parity.report.claims import Measurement

Arrays = Mapping[str, np.ndarray]
Size = Callable[[np.ndarray], Any]

# Published 1:1 ports stay within 4e-7 of max|y| of TensorFlow (1.2e-6 with instance norm) and TensorFlow's eager and
# graph modes are up to 4.8e-7 apart: twice that is what "the same in float32" means here.
FORWARD = OfMax(1e-6, "twice TensorFlow's own eager-graph difference (4.8e-7 of max|y|)")
FORWARD_NORM = OfMax(2e-6, "twice TensorFlow's own difference; instance norm divides by a standard deviation")
GRADIENT = RelativeL2(5e-6, "ten times the forward difference: a gradient sums products of several rounded factors")
GRADIENT_NORM = RelativeL2(3e-5, "as without instance norm, whose adjoint subtracts two means that nearly cancel")
ALGEBRAIC = OfMax(1e-13, "the same function in float64: a phase of up to 628 rad rounded to 2^-53 of it, 7e-14")
ALGEBRAIC_GRADIENT = RelativeL2(1e-12, "the same function in float64: as the forward pass, twice over")
CANCELS = 1e-6  # a reference gradient with a larger error against float64 is a sum that cancels: held to G1 alone
FEWEST = 8  # arrays in a pool that say something about rounding together
FACTORS = 4  # rounded factors of each term: of a gradient a power, the root's power, a product, the cotangent's


@dataclass
class Context:
    """What a set of measurements has in common.

    Attributes:
        rung: the candidate.
        reference: what it is held against.
        domain: where the relation is claimed.
        case: the case, as text.
        reproduce: the command that runs it again.
        dtype: of the candidate.
        with_norm: the configuration has instance norm.
        pools: G1's arrays that are too small to be judged singly, by (property, tap); judged by :func:`pooled`.
        sizes: the absolute terms of each tap and gradient, where known, see :mod:`parity.oracle.sizes`.
        singly: judge large enough arrays by themselves (the speech clip), rather than all of them together over
            the cases: an array of one filter or one frame carries the one or two roundings that its values share.
    """

    rung: str
    reference: str
    domain: str
    case: str
    reproduce: str
    dtype: str = "float32"
    with_norm: bool = False
    pools: dict[tuple[str, str], PooledAccuracy] = field(default_factory=dict)
    sizes: Arrays = field(default_factory=dict)
    singly: bool = True

    def rounding(self, name: str, size: Size) -> float:
        """The rounding of each term of a tap or a gradient; 0 where the terms are not known."""
        if name not in self.sizes:
            return 0.0
        return FACTORS * unit_roundoff(self.dtype) * float(size(self.sizes[name]))

    def measurement(self, tap: str, property: str, verdict: Verdict, relation: str) -> Measurement:
        """A verdict of a gate as a measurement of this context."""
        return Measurement(
            rung=self.rung, reference=self.reference, tap=tap, property=property, domain=self.domain,
            dtype=self.dtype, gate=verdict.gate, relation=relation, observed=verdict.observed, bound=verdict.bound,
            case=self.case, reproduce=self.reproduce, reason=verdict.reason,
        )  # fmt: skip


def compare_forward(context: Context, candidate: Arrays, reference: Arrays, oracle: Arrays) -> Iterator[Measurement]:
    """float32: each tap of the candidate against the reference's and the oracle's.

    Where the sizes of the terms are known, the direct bound allows for their rounding and for the reference's own
    error; where they are not, a tap whose reference is off by more than the limit is held to G1 alone.

    Raises:
        KeyError: the reference has a tap that the candidate lacks.
    """
    direct = FORWARD_NORM if context.with_norm else FORWARD
    for tap, expected in reference.items():
        exact = oracle.get(tap)
        yield from _compare(context, tap, "forward", candidate[tap], expected, exact, direct, np.max)


def compare_gradients(context: Context, candidate: Arrays, reference: Arrays, oracle: Arrays) -> Iterator[Measurement]:
    """float32: the gradient of each tensor against the reference's and the oracle's.

    Where the sizes of the terms are known, the direct bound allows for their rounding and for the reference's own
    error; where they are not, a tensor whose reference is off by more than ``CANCELS`` is held to G1 alone.

    Raises:
        KeyError: the reference has a gradient that the candidate lacks.
    """
    direct = GRADIENT_NORM if context.with_norm else GRADIENT
    for name, expected in reference.items():
        kind = "input gradient" if name == "input" else "parameter gradient"
        yield from _compare(
            context, name, kind, candidate[name], expected, oracle[name], direct, np.linalg.norm, CANCELS
        )


def compare_algebraic(context: Context, candidate: Arrays, oracle: Arrays) -> Iterator[Measurement]:
    """float64: each tap of the candidate is the oracle's function.

    Raises:
        KeyError: the candidate has a tap that the oracle lacks.
    """
    for name, values in candidate.items():
        state = status(values, oracle[name])
        yield context.measurement(name, "forward", state, "algebraic")
        if state.passes:
            verdict = ALGEBRAIC(values, oracle[name], context.rounding(name, np.max))
            yield context.measurement(name, "forward", verdict, "algebraic")


def compare_algebraic_gradients(context: Context, candidate: Arrays, oracle: Arrays) -> Iterator[Measurement]:
    """float64: each gradient of the candidate is the oracle's.

    Raises:
        KeyError: the candidate has a gradient that the oracle lacks.
    """
    for name, values in candidate.items():
        kind = "input gradient" if name == "input" else "parameter gradient"
        state = status(values, oracle[name])
        yield context.measurement(name, kind, state, "algebraic")
        if state.passes:
            verdict = ALGEBRAIC_GRADIENT(values, oracle[name], context.rounding(name, np.linalg.norm))
            yield context.measurement(name, kind, verdict, "algebraic")


def pooled(context: Context) -> Iterator[Measurement]:
    """The accuracy of the arrays that were too small to be judged singly, over all cases of the context's pools."""
    for (kind, tap), pool in sorted(context.pools.items()):
        if pool.n_arrays >= FEWEST:
            yield context.measurement(tap, kind, pool.verdict(), "rounding")


def _compare(
    context: Context,
    tap: str,
    kind: str,
    candidate: np.ndarray,
    reference: np.ndarray,
    oracle: np.ndarray | None,
    direct: OfMax | RelativeL2,
    size: Size,
    cancels: float | None = None,
) -> Iterator[Measurement]:
    state = status(candidate, reference)
    yield context.measurement(tap, kind, state, "rounding")
    if not state.passes:
        return
    own = 0.0 if oracle is None else direct(reference, oracle).observed
    allowance = context.rounding(tap, size)
    if allowance and oracle is not None:
        allowance += 2 * float(size(np.abs(reference - oracle)))  # the reference's own error, and as much again
    if allowance or own <= (direct.limit if cancels is None else cancels):
        yield context.measurement(tap, kind, direct(candidate, reference, allowance), "rounding")
    if oracle is None:
        return
    accuracy = Accuracy(dtype=context.dtype)
    if context.singly and accuracy.applies(oracle):
        yield context.measurement(tap, kind, accuracy(candidate, reference, oracle), "rounding")
    else:
        pool = context.pools.setdefault((kind, tap), PooledAccuracy(dtype=context.dtype))
        pool.add(candidate, reference, oracle)
