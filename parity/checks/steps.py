"""Run one case: on a step of the ladder, on one rung against the oracle, or in chunks."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from parity.adapters.canonical import checked
from parity.adapters.rungs import RUNGS, TorchAdapter
from parity.cases.case import Case
from parity.checks.executions import moved
from parity.checks.grid import Context, Expected, compare
from parity.criteria import Exactly, PooledAccuracy, peak, soundness, status, within_rounding
from parity.oracle import LeafBounds, Precision
from parity.oracle.config import LeafConfig
from parity.report.claims import Measurement
from parity.weights.convert_module import convert


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


@dataclass
class Runner:
    """Runs cases on a step and keeps what is judged over all of them.

    Attributes:
        step: the step.
        domain: where the relation is claimed, if not on the step's own domain.
        reproduce: the command that runs the cases again, if not ``leaf-ladder replay``.
        fixed_limits: on a given clip: judge each array by itself, see :class:`parity.checks.grid.Context`.
        pools: see there.
    """

    step: Step
    domain: str = ""
    reproduce: str = ""
    fixed_limits: bool = False
    pools: dict[tuple[str, str], PooledAccuracy] = field(default_factory=dict)

    def context(self, case: Case | str, dtype: str = "float32") -> Context:
        """The common part of one case's measurements."""
        return Context(
            rung=self.step.candidate,
            reference=self.step.reference if dtype == "float32" else "oracle",
            domain=self.domain or self.step.domain,
            case=str(case),
            reproduce=self.reproduce or f"leaf-ladder replay {self.step.name} {shlex.quote(str(case))}",
            dtype=dtype,
            pools=self.pools,
            each_alone=self.fixed_limits,
            fixed_limits=self.fixed_limits,
            factor=self.factor,
        )

    def factor(self, stage: str) -> float:
        """The k of accuracy: measured on the reference, the first time that it is asked for."""
        from parity.checks.factors import measure

        return measure(self.step.reference).factor(stage)

    def run(self, case: Case) -> Iterator[Measurement]:
        """Everything that is claimed of the candidate on one case, measured."""
        yield from self.measure(self.expected(case.config, case.variables(), case.input(), case.cotangent), str(case))

    def measure(self, expected: Expected, case: str) -> Iterator[Measurement]:
        """float32: stages and gradients against the reference and the oracle; float64: against the oracle.

        Args:
            expected: of this step.
            case: name of the case.
        """
        adapter = RUNGS[self.step.candidate].load_adapter()
        for dtype in ("float32", "float64"):
            arrays = adapter.arrays(self.candidate(expected, dtype), expected.x, expected.cotangent)
            yield from compare(self.context(case, dtype), arrays, expected)

    def expected(
        self,
        config: LeafConfig,
        variables: Mapping[str, np.ndarray],
        x: np.ndarray,
        cotangent_of: Callable[[tuple[int, ...]], np.ndarray],
    ) -> Expected:
        """Run the reference.

        Args:
            config: of the reference; its padding is the step's.
            variables: weights, by canonical names, float32.
            x: audio, float32 [B, T].
            cotangent_of: from the output's shape to a cotangent, float32.
        """
        config = config.with_(padding=self.step.reference_padding)
        adapter = RUNGS[self.step.reference].load_adapter()
        module = adapter.filled(config, variables)
        subtracts = RUNGS[self.step.candidate].subtracts
        expected = Expected(config, checked(variables, config), x, x, subtracts=subtracts, module=module)
        expected.cotangent = cotangent_of(expected.stages["output"].shape)
        expected.reference = adapter.arrays(module, x, expected.cotangent)
        nearby = [moved(x, np.random.default_rng(seed)) for seed in range(N_AGAIN if self.fixed_limits else 0)]
        expected.reference_again = [adapter.arrays(module, audio, expected.cotangent) for audio in nearby]
        return expected

    def candidate(self, expected: Expected, dtype: str) -> Any:
        """The candidate, converted from the reference with the same weights."""
        return convert(expected.module, self.step.candidate, padding=self.step.padding, dtype=dtype)


def round_trip(step: Step, case: Case) -> Iterator[Measurement]:
    """Parameters carried to the candidate and back down are the same bits."""
    config = case.config.with_(padding=step.reference_padding)
    reference = RUNGS[step.reference].load_adapter()
    candidate = convert(reference.filled(config, case.variables()), step.candidate, padding=step.padding)
    returned = reference.read(convert(candidate, step.reference))
    yield from _same_bits(Runner(step).context(case), checked(case.variables(), config), returned)


def there_and_back(rung: str, case: Case) -> Iterator[Measurement]:
    """Parameters written into a rung and read again are the same bits."""
    adapter = RUNGS[rung].load_adapter()
    returned = adapter.read(adapter.filled(case.config, case.variables()))
    again = f"pytest parity_tests/rungs/test_drawn.py -m {rung} -k there_and_back"
    context = Context(rung, "oracle", "drawn configurations and weights", str(case), again)
    yield from _same_bits(context, checked(case.variables(), case.config), returned)


def _same_bits(
    context: Context, sent: Mapping[str, np.ndarray], returned: Mapping[str, np.ndarray]
) -> Iterator[Measurement]:
    criterion = Exactly("carried, not computed: every bit survives")
    for name, values in sent.items():
        verdict = criterion(returned[name].view(np.uint32), values.view(np.uint32))
        yield context.measurement(name, "bridge round trip", verdict, "bitwise")


SUFFIX = "-alone"  # of the name under which `leaf-ladder replay` runs a rung by itself
ORACLE_DOMAIN = "drawn, against the oracle alone"
DTYPES = ("float32", "float64", "bfloat16")


def against_oracle(rung: str, case: Case, dtype: str = "float32", domain: str = ORACLE_DOMAIN) -> Iterator[Measurement]:
    """Every stage and gradient of one case, value by value under the running-error bound.

    Args:
        rung: name of the rung.
        case: what to run; the rung must be able to hold its configuration.
        dtype: ``float32``; ``float64``, held to the algebraic limits instead; or ``bfloat16``:
            torch's autocast of the float32 module, forward only.
        domain: where the relation is claimed.

    Raises:
        ValueError: the rung cannot hold the configuration, or another dtype.
    """
    if dtype not in DTYPES:
        raise ValueError(f"dtype={dtype!r}: must be one of {DTYPES}")
    adapter = RUNGS[rung].load_adapter()
    if dtype == "bfloat16" and not isinstance(adapter, TorchAdapter):
        raise ValueError(f"dtype='bfloat16': must be float32 or float64, as {rung} has no autocast")
    module = adapter.filled(case.config, case.variables(), "float64" if dtype == "float64" else "float32")
    expected = expected_alone(rung, module, case)
    again = f"leaf-ladder replay {rung}{SUFFIX} {shlex.quote(str(case))}"
    if isinstance(adapter, TorchAdapter) and dtype == "bfloat16":
        candidate = adapter.autocast_stages(module, expected.x)
    else:
        candidate = adapter.arrays(module, expected.x, expected.cotangent)
    yield from compare(Context(rung, "oracle", domain, str(case), again, dtype), candidate, expected)


def expected_alone(rung: str, module: Any, case: Case) -> Expected:
    """Expect of a rung by itself what the oracle computes in the module's own geometry."""
    geometry = RUNGS[rung].load_adapter().geometry(module, case.config)
    return Expected.of(case, subtracts=RUNGS[rung].subtracts, geometry=geometry)


CHUNKS_DOMAIN = "in chunks"


def streamed(rung: str, case: Case, cuts: Sequence[int], dtype: str = "float32") -> Iterator[Measurement]:
    """The output of ``stream``: status and soundness against the oracle, direct against the module on the whole.

    Args:
        rung: ``leaf`` or ``efficientleaf``.
        case: what to run; the rung must be able to hold its configuration.
        cuts: where the audio is cut, in samples, ascending; two equal ones make an empty chunk.
        dtype: ``float32`` or ``float64``.
    """
    import torch

    adapter = RUNGS[rung].load_adapter()
    module = adapter.filled(case.config, case.variables(), dtype)
    x = case.input()
    pieces = [torch.from_numpy(piece.astype(dtype)) for piece in np.split(x, cuts, axis=-1)]
    candidate = torch.cat(list(module.stream(pieces, n_samples=x.shape[-1])), -1).numpy()
    whole = adapter.output(module, x)
    context = Context(
        rung=rung,
        reference=rung,
        domain=CHUNKS_DOMAIN,
        case=f"{case}; cut at {', '.join(map(str, cuts)) or 'no sample'}",
        reproduce=f"pytest parity_tests/rungs/test_streaming.py -m {rung}  # {shlex.quote(str(case))}",
        dtype=dtype,
    )
    verdict = status(candidate, whole)
    yield context.measurement("output", "status", verdict, "rounding")
    if not verdict.passes:
        return
    expected = expected_alone(rung, module, case)
    oracle, weights = expected.oracle, expected.variables
    errors, rounding = (
        LeafBounds(oracle, weights, expected.x, Precision.of(dtype, one), subtracts=False).errors()["output"]
        for one in (False, True)
    )
    yield context.measurement("output", "forward", within_rounding(candidate, whole, rounding, peak), "rounding")
    if dtype == "float32":  # the oracle itself is a float64 implementation
        verdict = soundness(candidate, expected.stages["output"], errors)
        yield context.measurement("output", "forward", verdict, "rounding")
