"""The steps of the ladder, and how one case is run on one of them."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from parity.bridges.converting import convert
from parity.bridges.names import checked
from parity.cases import Case
from parity.config import LeafConfig
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
        domain: where the relation is claimed, if not on the step's own domain.
        reproduce: the command that runs the cases again, if not ``leaf-ladder replay``.
        literal: hold the output and the gradients to their limits as they stand, with no allowance for terms that
            cancel: on a given clip, rather than on whatever is drawn.
        pools: see :class:`parity.grid.Context`.
    """

    step: Step
    domain: str = ""
    reproduce: str = ""
    literal: bool = False
    pools: dict[tuple[str, str], PooledAccuracy] = field(default_factory=dict)

    def context(self, case: Case | str, dtype: str = "float32") -> Context:
        """What the measurements of one case have in common."""
        return Context(
            rung=self.step.candidate,
            reference=self.step.reference if dtype == "float32" else "oracle",
            domain=self.domain or self.step.domain,
            case=str(case),
            reproduce=self.reproduce or f"leaf-ladder replay {self.step.name} {shlex.quote(str(case))}",
            dtype=dtype,
            pools=self.pools,
            singly=self.literal,
        )

    def run(self, case: Case) -> Iterator[Measurement]:
        """Everything that is claimed of the candidate on one case, measured."""
        yield from self.measure(case.config, case.variables(), case.input(), case.cotangent, str(case))

    def measure(
        self,
        config: LeafConfig,
        variables: Mapping[str, np.ndarray],
        x: np.ndarray,
        cotangent_of: Callable[[tuple[int, ...]], np.ndarray],
        case: str,
    ) -> Iterator[Measurement]:
        """float32: forward and gradients against the reference and the oracle; float64: against the oracle.

        Args:
            config: of the reference; its padding is the step's.
            variables: weights, by hub names, float32.
            x: audio, float32 [B, T].
            cotangent_of: from the output's shape to a cotangent, float32.
            case: name of the case.
        """
        step, config = self.step, config.with_(padding=self.step.reference_padding)
        weights = checked(variables, config)
        reference = RUNGS[step.reference].load_bridge()
        candidate = RUNGS[step.candidate].load_bridge()
        standing = reference.build(config)
        reference.write(standing, weights)
        oracle = LeafOracle(config)
        exact = oracle.taps(weights, x)
        context, context64 = self.context(case), self.context(case, "float64")
        context.with_norm = config.mean_var_norm

        climbed = convert(standing, step.candidate, padding=step.padding)
        precise = convert(standing, step.candidate, padding=step.padding, dtype="float64")
        forward = forward_sizes(oracle, weights, x, exact, subtracts=True)  # one of the two always subtracts
        context.sizes = forward
        context64.sizes = forward_sizes(oracle, weights, x, exact, RUNGS[step.candidate].subtracts)
        if self.literal:
            context.sizes = {tap: size for tap, size in context.sizes.items() if tap != "output"}
        yield from compare_forward(context, candidate.taps(climbed, x), reference.taps(standing, x), exact)
        yield from compare_algebraic(context64, candidate.taps(precise, x), exact)

        cotangent = cotangent_of(exact["output"].shape)
        slopes = oracle.gradients(weights, x, cotangent)
        # The terms inherit the energies' own rounding, which is many roundings where a convolution cancels.
        inherited = max(1.0, float(np.mean(forward["floor"] / exact["floor"])))
        sizes = gradient_sizes(oracle, weights, x, cotangent)
        context64.sizes = {name: inherited * size for name, size in sizes.items()}
        context.sizes = {} if self.literal else context64.sizes
        standing_slopes = reference.gradients(standing, x, cotangent)
        yield from compare_gradients(context, candidate.gradients(climbed, x, cotangent), standing_slopes, slopes)
        yield from compare_algebraic_gradients(context64, candidate.gradients(precise, x, cotangent), slopes)


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
