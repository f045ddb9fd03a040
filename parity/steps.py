"""The steps of the ladder, and how one case is run on one of them."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from parity.bridges.converting import convert
from parity.bridges.names import checked
from parity.cases import Case
from parity.gates import PooledAccuracy
from parity.grid import (
    Context,
    compare_algebraic,
    compare_algebraic_gradients,
    compare_forward,
    compare_gradients,
)
from parity.oracle import LeafOracle, forward_sizes, gradient_sizes
from parity.report.claims import Measurement
from parity.rungs import RUNGS


@dataclass(frozen=True)
class Step:
    """A candidate held against a reference on cases of one domain.

    Attributes:
        name: as ``leaf-ladder replay`` takes it.
        candidate: the rung that is certified.
        reference: the rung that it is held against.
        domain: where the relation is claimed, in words.
        padding: how the candidate pads; the reference pads in its own way.
        reference_padding: how the reference pads.
    """

    name: str
    candidate: str
    reference: str
    domain: str
    padding: str = "same"
    reference_padding: str = "same"


ALIGNED = "drawn, frames aligned (odd window, n_samples mod stride = 1)"
STEPS: dict[str, Step] = {
    step.name: step
    for step in (
        Step("og_leaf", "og_leaf", "tf_leaf", "drawn configurations and weights"),
        Step("leaf", "leaf", "og_leaf", "drawn, shared domain, padding=same"),
        Step("leaf-centered", "leaf", "og_leaf", ALIGNED, padding="centered"),
        Step("efficientleaf", "efficientleaf", "leaf", "drawn, approximation off", "centered", "centered"),
        Step("efficientleaf-direct", "efficientleaf", "tf_leaf", f"{ALIGNED}, approximation off", "centered"),
    )
}


@dataclass
class Runner:
    """Runs cases on a step and keeps what is judged over all of them.

    Attributes:
        step: the step.
        pools: see :class:`parity.grid.Context`.
    """

    step: Step
    pools: dict[tuple[str, str], PooledAccuracy] = field(default_factory=dict)

    def context(self, case: Case | str, dtype: str = "float32") -> Context:
        """What the measurements of one case have in common."""
        return Context(
            rung=self.step.candidate,
            reference=self.step.reference if dtype == "float32" else "oracle",
            domain=self.step.domain,
            case=str(case),
            reproduce=f"leaf-ladder replay {self.step.name} {shlex.quote(str(case))}",
            dtype=dtype,
            with_norm=isinstance(case, Case) and case.config.mean_var_norm,
            pools=self.pools,
        )

    def run(self, case: Case, *, gradients: bool = True) -> Iterator[Measurement]:
        """Everything that is claimed of the candidate on one case, measured.

        float32: forward and gradients against the reference and the oracle; float64: against the oracle.
        """
        x = case.input()
        config = case.config.with_(padding=self.step.reference_padding)
        variables = checked(case.variables(), config)
        reference = RUNGS[self.step.reference].load_bridge()
        candidate = RUNGS[self.step.candidate].load_bridge()
        standing = reference.build(config)
        reference.write(standing, variables)
        oracle = LeafOracle(config)
        exact = oracle.taps(variables, x)

        climbed = convert(standing, self.step.candidate, padding=self.step.padding)
        context = self.context(case)
        context.singly = False
        context.sizes = forward_sizes(oracle, variables, x, exact, subtracts=True)  # one of the two always does
        expected = reference.taps(standing, x)
        yield from compare_forward(context, candidate.taps(climbed, x), expected, exact)
        precise = convert(standing, self.step.candidate, padding=self.step.padding, dtype="float64")
        context64 = self.context(case, "float64")
        context64.sizes = forward_sizes(oracle, variables, x, exact, RUNGS[self.step.candidate].subtracts)
        yield from compare_algebraic(context64, candidate.taps(precise, x), exact)
        if not gradients:
            return
        cotangent = case.cotangent(exact["output"].shape)
        exact_gradients = oracle.gradients(variables, x, cotangent)
        context.sizes = context64.sizes = gradient_sizes(oracle, variables, x, cotangent)
        yield from compare_gradients(
            context,
            candidate.gradients(climbed, x, cotangent),
            reference.gradients(standing, x, cotangent),
            exact_gradients,
        )
        yield from compare_algebraic_gradients(
            context64, candidate.gradients(precise, x, cotangent), exact_gradients
        )


def round_trip(step: Step, case: Case) -> Iterator[Measurement]:
    """Parameters carried to the candidate and back down are the same bits."""
    config = case.config.with_(padding=step.reference_padding)
    reference = RUNGS[step.reference].load_bridge()
    standing = reference.build(config)
    sent = checked(case.variables(), config)
    reference.write(standing, sent)
    climbed = convert(standing, step.candidate, padding=step.padding)
    returned = reference.read(convert(climbed, step.reference))
    context = Runner(step).context(case)
    for name, values in sent.items():
        differing = float(np.sum(values.view(np.uint32) != returned[name].view(np.uint32)))
        yield Measurement(
            rung=step.candidate, reference=step.reference, tap=name, property="bridge round trip", domain=step.domain,
            dtype="float32", gate="status", relation="bitwise", observed=differing, bound=0.0, case=context.case,
            reproduce=context.reproduce, reason="numbers that differ in any bit after carrying",
        )  # fmt: skip
