"""The steps of the ladder, and how one case is run on one of them."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from parity.adapters.canonical import checked
from parity.adapters.rungs import RUNGS
from parity.cases.case import Case
from parity.checks.expected import Arrays, Expected, Produced
from parity.checks.grid import Context, compare
from parity.checks.reexecution.calibration import moved
from parity.criteria import Exactly, PooledAccuracy
from parity.oracle.config import LeafConfig
from parity.report.claims import TAPS, Measurement
from parity.weights.converting import convert


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


N_AGAIN = 3  # executions of the reference beside the first, where an array is judged by itself
INNER_TAPS = frozenset(TAPS) - {"output", "input"}


@dataclass
class Runner:
    """Runs cases on a step and keeps what is judged over all of them.

    Attributes:
        step: the step.
        domain: where the relation is claimed, if not on the step's own domain.
        reproduce: the command that runs the cases again, if not ``leaf-ladder replay``.
        literal: hold the output and the gradients to their limits as they stand, with no allowance for terms that
            cancel: on a given clip, rather than on whatever is drawn.
        pools: see :class:`parity.checks.grid.Context`.
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
            factor=self.factor,
            literal=(lambda name: name not in INNER_TAPS) if self.literal else (lambda name: False),
        )

    def factor(self, property: str, stage: str) -> float:
        """G1's k: measured on the reference, the first time that it is asked for."""
        from parity.checks.reexecution import measure

        return measure(self.step.reference).factor(property, stage)

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
            variables: weights, by canonical names, float32.
            x: audio, float32 [B, T].
            cotangent_of: from the output's shape to a cotangent, float32.
            case: name of the case.
        """
        expected = self.expected(config, variables, x, cotangent_of)
        single, double = self.context(case), self.context(case, "float64")
        single.with_norm = config.mean_var_norm
        yield from compare(single, double, self.produce(expected), expected)

    def expected(
        self,
        config: LeafConfig,
        variables: Mapping[str, np.ndarray],
        x: np.ndarray,
        cotangent_of: Callable[[tuple[int, ...]], np.ndarray],
    ) -> Expected:
        """What the candidate is held against; arguments as for :meth:`measure`."""
        config = config.with_(padding=self.step.reference_padding)
        weights = checked(variables, config)
        adapter = RUNGS[self.step.reference].load_adapter()
        standing = adapter.build(config)
        adapter.write(standing, weights)
        stages = adapter.stages(standing, x)
        cotangent = cotangent_of(stages["output"].shape)
        again: list[tuple[Arrays, Arrays]] = []
        for seed in range(N_AGAIN if self.literal else 0):
            nearby = moved(x, np.random.default_rng(seed))
            again.append((adapter.stages(standing, nearby), adapter.gradients(standing, nearby, cotangent)))
        return Expected(
            config=config,
            variables=weights,
            x=x,
            cotangent=cotangent,
            reference=stages,
            reference_gradients=adapter.gradients(standing, x, cotangent),
            reference_again=again,
            subtracts=RUNGS[self.step.candidate].subtracts,
        )

    def produce(self, expected: Expected) -> Produced:
        """Run the candidate, converted from the reference with the same weights."""
        adapter = RUNGS[self.step.candidate].load_adapter()
        single, double = self.climbed(expected)
        return Produced(
            stages=adapter.stages(single, expected.x),
            gradients=adapter.gradients(single, expected.x, expected.cotangent),
            precise_stages=adapter.stages(double, expected.x),
            precise_gradients=adapter.gradients(double, expected.x, expected.cotangent),
        )

    def climbed(self, expected: Expected) -> tuple[Any, Any]:
        """The candidate in float32 and in float64, with the weights of the case."""
        below = RUNGS[self.step.reference].load_adapter()
        standing = below.build(expected.config)
        below.write(standing, dict(expected.variables))
        single, double = (
            convert(standing, self.step.candidate, padding=self.step.padding, dtype=dtype)
            for dtype in ("float32", "float64")
        )
        return single, double


def round_trip(step: Step, case: Case) -> Iterator[Measurement]:
    """Parameters carried to the candidate and back down are the same bits."""
    config = case.config.with_(padding=step.reference_padding)
    reference = RUNGS[step.reference].load_adapter()
    standing = reference.build(config)
    sent = checked(case.variables(), config)
    reference.write(standing, sent)
    climbed = convert(standing, step.candidate, padding=step.padding)
    returned = reference.read(convert(climbed, step.reference))
    yield from _same_bits(Runner(step).context(case), sent, returned)


def there_and_back(rung: str, case: Case) -> Iterator[Measurement]:
    """Parameters written into a rung and read again are the same bits."""
    adapter = RUNGS[rung].load_adapter()
    module, sent = adapter.build(case.config), checked(case.variables(), case.config)
    adapter.write(module, sent)
    again = f"pytest parity_tests/{rung} -k there_and_back"
    context = Context(rung, "oracle", "drawn configurations and weights", str(case), again)
    yield from _same_bits(context, sent, adapter.read(module))


def _same_bits(
    context: Context, sent: Mapping[str, np.ndarray], returned: Mapping[str, np.ndarray]
) -> Iterator[Measurement]:
    criterion = Exactly("carried, not computed: every bit survives")
    for name, values in sent.items():
        verdict = criterion(returned[name].view(np.uint32), values.view(np.uint32))
        yield context.measurement(name, "bridge round trip", verdict, "bitwise")
