"""Running a port: each case on the claimed rung, the oracle and the port, held to what the rungs are held to."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from parity.adapters.canonical import checked
from parity.cases.case import Case
from parity.checks.grid import (
    Arrays,
    Context,
    Expected,
    compare_algebraic,
    compare_algebraic_gradients,
    compare_forward,
    compare_gradients,
    kind_of,
)
from parity.checks.grid import pooled as pooled_accuracy
from parity.criteria import Exactly, PooledAccuracy, Verdict, norm, one_operation, soundness, status
from parity.oracle import Conventions
from parity.oracle.config import LeafConfig
from parity.ports.diagnosis import Diagnosis
from parity.ports.drawing import on_limits
from parity.ports.port import ON_LIMITS, TOGETHER, Port, reference
from parity.report.claims import Measurement

OPTION = "--on-limits"
CARRIED = Exactly("carried, not computed: every bit survives")


@dataclass(frozen=True)
class Limits:
    """What the gradients on the limits are held against.

    Attributes:
        on: the case with weights on their limits.
        inside: the same a little inside, or without the limit, where the bounds are taken: on a limit they allow the
            gradient of either side.
    """

    on: Expected
    inside: Expected


@dataclass
class Examination:
    """A port before everything that it is held to.

    Attributes:
        port: the port.
        file: the file that describes it, for the command that repeats a case.
        this_test: the command that repeats all of it.
        measured: every measurement so far.
    """

    port: Port
    file: str = "FILE"
    this_test: str = "pytest FILE"
    measured: list[Measurement] = field(default_factory=list)
    _pools: dict[tuple[str, str], PooledAccuracy] = field(default_factory=dict)

    def __post_init__(self) -> None:
        from parity.ports.adapter import PortAdapter

        self.adapter = PortAdapter(self.port)
        self.reference = reference(self.port)

    def context(self, case: Case | str, dtype: str = "float32", *, limits: bool = False) -> Context:
        """What the measurements of one case have in common."""
        again = (
            f"python -m parity.ports {shlex.quote(self.file)} {shlex.quote(self.port.name)} {shlex.quote(str(case))}"
        )
        return Context(
            rung=self.port.name,
            reference=self.port.claims if dtype == "float32" else "oracle",
            domain=f"{self.port.domain}, {ON_LIMITS}" if limits else self.port.domain,
            case=str(case),
            reproduce=f"{again} {OPTION}" if limits else again,
            dtype=dtype,
            with_norm=isinstance(case, Case) and case.config.mean_var_norm,
            pools=self._pools,
            singly=False,
            # G1's k stays 2: executing the reference again shows what its own formulas round, not what others do
        )

    def expected(self, case: Case, variables: Mapping[str, np.ndarray] | None = None) -> Expected:
        """What the port is held against on a case: of the reference, only the stages that the port shows."""
        weights = checked(case.variables() if variables is None else variables, case.config)
        standing, x = self.reference.build(case.config), case.input()
        self.reference.write(standing, weights)
        taps = self.reference.stages(standing, x)
        cotangent = case.cotangent(taps["output"].shape)
        return Expected(
            config=case.config,
            variables=weights,
            x=x,
            cotangent=cotangent,
            reference={name: stage for name, stage in taps.items() if name in (*self.port.taps, "output")},
            reference_gradients={
                name: slope
                for name, slope in self.reference.gradients(standing, x, cotangent).items()
                if name in self._trained(case.config)
            },
        )

    def limits(self, case: Case) -> Limits:
        """What the port is held against where weights lie on their limits."""
        weights, inside = on_limits(case)
        on = self.expected(case, weights)
        # the smoother's limits need no moving: there is an oracle without them
        return Limits(on, replace(on, variables=inside, conventions=Conventions(clip_smooth=False)))

    def run(self, case: Case, expected: Expected | None = None) -> None:
        """Measure every stage and gradient of a case.

        Args:
            case: that the port holds.
            expected: of that case, if it is at hand.
        """
        expected = expected or self.expected(case)
        for dtype in self.dtypes:
            self.measured += self._case(case, expected, dtype)

    def run_on_limits(self, case: Case, limits: Limits | None = None) -> None:
        """Measure the gradients of a case some of whose weights lie on their limits.

        TensorFlow's convention is the reference: on a limit the gradient is that of the function inside, whole.
        """
        limits = limits or self.limits(case)
        for dtype in self.dtypes:
            self.measured += self._on_limits(case, limits, dtype)

    def finish(self) -> None:
        """Judge what is judged over all cases together."""
        context = self.context(TOGETHER)
        context.reproduce = self.this_test
        self.measured += pooled_accuracy(context)

    def round_trip(self, case: Case) -> None:
        """Parameters written into the port and read again are the same bits."""
        sent = checked(case.variables(), case.config)
        module = self.adapter.build(case.config)
        self.adapter.write(module, sent)
        for name, values in self.adapter.read(module).items():
            verdict = CARRIED(values.view(np.uint32), sent[name].view(np.uint32))
            self.measured.append(self.context(case).measurement(name, "bridge round trip", verdict, "bitwise"))

    def diagnosis(self) -> Diagnosis:
        """What has been measured so far says."""
        module = self.adapter.build(self.port.held(LeafConfig(n_filters=2, sample_rate=4000)))
        return Diagnosis(self.port, self.measured, self.adapter.not_carried(module))

    @property
    def dtypes(self) -> tuple[str, ...]:
        """The types that are claimed."""
        return ("float32", "float64") if self.port.double else ("float32",)

    def _case(self, case: Case, expected: Expected, dtype: str) -> Iterator[Measurement]:
        context = self.context(case, dtype)
        module = self._module(expected, dtype)
        taps = _answer(lambda: self.adapter.stages(module, expected.x))
        if isinstance(taps, Verdict):
            yield context.measurement("output", "forward", taps, "rounding")
            return
        yield from (compare_forward if dtype == "float32" else compare_algebraic)(context, taps, expected)
        slopes = self._gradients(module, expected)
        if isinstance(slopes, Verdict):
            yield context.measurement("input", "input gradient", slopes, "rounding")
            return
        for name in expected.gradients:
            if name not in slopes:
                verdict = _broken("no gradient: the parameter does not require one")
                yield context.measurement(name, kind_of(name), verdict, "rounding")
        yield from (compare_gradients if dtype == "float32" else compare_algebraic_gradients)(context, slopes, expected)

    def _on_limits(self, case: Case, limits: Limits, dtype: str) -> Iterator[Measurement]:
        context, on = self.context(case, dtype, limits=True), limits.on
        slopes = self._gradients(self._module(on, dtype), on)
        if isinstance(slopes, Verdict):
            yield context.measurement("input", "input gradient", slopes, "rounding")
            return
        rounding, errors = limits.inside.gradient_rounding(dtype), limits.inside.gradient_errors(dtype)
        for name, values in slopes.items():
            reference = on.reference_gradients[name] if dtype == "float32" else on.gradients[name]
            state = status(values, reference)
            yield context.measurement(name, kind_of(name), state, "rounding")
            if state.passes:
                direct = one_operation(values, reference, rounding[name], norm)
                yield context.measurement(name, kind_of(name), direct, "rounding")
                if dtype == "float32":
                    sound = soundness(values, on.gradients[name], errors[name])
                    yield context.measurement(name, kind_of(name), sound, "rounding")

    def _module(self, expected: Expected, dtype: str) -> Any:
        """The port with the weights of a case."""
        module = self.adapter.build(expected.config, dtype)
        self.adapter.write(module, dict(expected.variables))
        return module

    def _gradients(self, module: Any, expected: Expected) -> Arrays | Verdict:
        """The port's gradients, of those that LEAF has."""
        slopes = _answer(lambda: self.adapter.gradients(module, expected.x, expected.cotangent))
        if isinstance(slopes, Verdict):
            return slopes
        return {name: slope for name, slope in slopes.items() if name in expected.gradients}

    def _trained(self, config: LeafConfig) -> set[str]:
        """The gradients that the port has."""
        entries = self.adapter.entries(self.adapter.build(config))
        return {"input"} | {name for name, e in entries.items() if all(t.requires_grad for t in e.tensors)}


def _answer(run: Callable[[], Arrays]) -> Arrays | Verdict:
    """What the port answers; an error, whatever it is, is an answer: of the status criterion."""
    try:
        return run()
    except Exception as error:
        return _broken(f"{type(error).__name__}: {error}")


def _broken(what: str) -> Verdict:
    return Verdict("status", float("inf"), 0.0, what)
