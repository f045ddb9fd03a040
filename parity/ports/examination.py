"""Run a port: each case on the claimed rung, the oracle and the port, held to what the rungs are held to.

A case is run three times: end to end in float32; with each stage computed from the reference's own, forward and back,
so that a stage that is wrong is told from one that only inherits; and in float64, where the port computes in it.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from copy import copy
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from parity.adapters.canonical import checked
from parity.cases.case import Case
from parity.checks.grid import Arrays, Context, Expected, compare, gradients_of, property_of, stages_of
from parity.checks.grid import pooled as pooled_accuracy
from parity.criteria import Exactly, PooledAccuracy, Verdict, norm, peak, quotient, soundness, status, within_rounding
from parity.oracle import Conventions
from parity.oracle.arrays import exact
from parity.oracle.config import LeafConfig
from parity.ports import detection
from parity.ports.diagnosis import Diagnosis, Record
from parity.ports.drawing import on_limits, telling
from parity.ports.formulas import OWN, Pair, Setting, smoothed_back
from parity.ports.layouts import AdapterError
from parity.ports.port import FORCED, ON_LIMITS, TOGETHER, said
from parity.ports.references import Against, Held, Limits
from parity.ports.slopes import Slope, at_the_floor, ratios
from parity.ports.verdicts import BACK, adapter_of, apart, feeding, fits, float64_of, follows, misread
from parity.report.claims import Measurement

if TYPE_CHECKING:
    from parity.ports.adapter import Forced

OPTION = "--on-limits"
RAISED = Verdict("status", float("inf"), 0.0, "the port raised an exception")
NO_GRADIENT = Verdict("status", float("inf"), 0.0, "no gradient: the parameter does not require one")
CARRIED = Exactly("carried, not computed: every bit survives")
MOST_TURNS = 16  # configurations by which layouts are found, where a stage is not in all of them


@dataclass
class Examination(Record):
    """A port before everything that it is held to; what it finds out is its record.

    Attributes:
        file: the file that describes the port, for the command that repeats a case.
        this_test: the command that repeats all of it.
        looked_for: stages that were found inside of submodules, and not described.
    """

    file: str = "FILE"
    this_test: str = "pytest FILE"
    looked_for: tuple[str, ...] = ()
    _pools: dict[tuple[str, str], PooledAccuracy] = field(default_factory=dict)

    def __post_init__(self) -> None:
        from parity.ports.functions import FunctionAdapter

        self.port = detection.completed(self.port)
        self.against = Against(self.port)
        self.telling = telling(self.port)
        self.adapter = adapter_of(self.port, self.port.build(self.telling.config))
        self.is_function = isinstance(self.adapter, FunctionAdapter)

    def prepare(self) -> None:
        """Find the axes of the stages; what cannot be found is refused before anything is measured.

        Raises:
            AdapterError: a parameter, a submodule or a layout that the port does not bear out.
        """
        self._find_layouts()
        for name, place in [] if self.is_function else self._places():
            described, adapter = self.port, self.adapter
            if name in described.stages:
                continue
            self._describe({**described.stages, name: place})
            with suppress(AdapterError):  # it is computed otherwise, and nobody said that it is there
                self._find_layouts()
            if name in self.adapter.axes:
                self.looked_for = (*self.looked_for, name)
            else:
                self.port, self.adapter = described, adapter
        if self.port.double is not False and not self.is_function:
            self.double = float64_of(self)

    def _places(self) -> list[tuple[str, str]]:
        case = detection.whole(self.port)
        module = self.adapter.build(case.config)
        try:
            return list(
                detection.stages(self.port, module.inner, case.config, module.audio(torch.from_numpy(case.input())))
            )
        except Exception:  # of the port, which every case will raise again
            return []

    def find_misread(self, cases: Sequence[Held]) -> None:
        """Find stages that the adapter reads elsewhere than where they are computed, by a few cases."""
        found = misread(self, cases)
        self.misread = tuple(name for name in found if name not in self.looked_for)
        self.left_out = tuple(name for name in found if name in self.looked_for)
        if self.left_out:
            self._describe({name: stage for name, stage in self.port.stages.items() if name not in self.left_out})
            self._find_layouts()

    def _describe(self, stages: Mapping[str, Any]) -> None:
        self.port = replace(self.port, stages=stages)
        self.adapter = adapter_of(self.port, self.port.build(self.telling.config))

    def _find_layouts(self) -> None:
        for case in {(case := telling(self.port, turn)).config: case for turn in range(MOST_TURNS)}.values():
            held = self.expected(case)
            module = self.module_of(held.expected, "float32")
            try:
                self.adapter.find_layouts(module, held.expected.x, held.stages)
            except AdapterError:
                raise
            except Exception:  # of the port, which every case will raise again
                continue

    def context(self, case: Case | str, dtype: str = "float32", *, kind: str = "") -> Context:
        """Collect what the measurements of one case have in common."""
        again = (
            f"python -m parity.ports {shlex.quote(self.file)} {shlex.quote(self.port.name)} {shlex.quote(str(case))}"
        )
        return Context(
            rung=self.port.name,
            reference=self.port.claims if dtype == "float32" else "oracle",
            domain=f"{self.port.domain}, {kind}" if kind else self.port.domain,
            case=str(case),
            reproduce=f"{again} {OPTION}" if kind == ON_LIMITS else again,
            dtype=dtype,
            pools=self._pools,
            # accuracy's k stays 2: executing the reference again shows what its own formulas round, not what others do
        )

    def expected(self, case: Case, variables: Mapping[str, np.ndarray] | None = None) -> Held:
        """Compute what the port is held against on a case."""
        return self.against.expected(case, (*self._shown(case), "output"), self._trained(case.config), variables)

    def limits(self, case: Case) -> Limits:
        """Compute what the port is held against where weights lie on their limits."""
        weights, inside = on_limits(case, self.port.logs)
        on = self.expected(case, weights)
        # the smoother's limits need no moving: there is an oracle without them
        free = replace(on.expected, variables=inside, conventions=Conventions(clip_smooth=False))
        return Limits(on, free, inside)

    def run(self, case: Case, held: Held | None = None) -> None:
        """Measure every stage and gradient of a case.

        Args:
            case: that the port holds.
            held: what it is held against, if that is at hand.
        """
        if held is None or not (
            self.is_function or {*stages_of(held.expected.reference)} <= {*self.port.stages, "output"}
        ):
            held = self.expected(case)  # fewer stages are read than when it was computed
        self.measured += self._end_to_end(held, "float32")
        self.measured += self._local(held) if self.is_function else self._forced(held)
        if self.double == "supported":
            self.measured += self._end_to_end(held, "float64")

    def run_on_limits(self, case: Case, limits: Limits | None = None) -> None:
        """Measure the gradients of a case some of whose weights lie on their limits, and at the floor of the energies.

        TensorFlow's convention is the reference: on a limit the gradient is that of the function inside, whole.
        """
        if not self.is_function:
            self.measured += self._on_limits(limits or self.limits(case))

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
            if name in self.port.logs:
                continue  # computed, not carried
            verdict = CARRIED(values.view(np.uint32), sent[name].view(np.uint32))
            self.measured.append(self.context(case).measurement(name, "bridge round trip", verdict, "bitwise"))

    def diagnosis(self) -> Diagnosis:
        """Diagnose what has been measured so far."""
        return Diagnosis(**{f.name: copy(getattr(self, f.name)) for f in fields(Record)})

    def _shown(self, case: Case) -> tuple[str, ...]:
        if self.is_function:
            module = self.adapter.build(case.config)
            self.adapter.write(module, checked(case.variables(), case.config))
            return tuple(self.adapter.stages(module, case.input()))
        return tuple(self.port.stages)

    def _end_to_end(self, held: Held, dtype: str) -> Iterator[Measurement]:
        context, expected = self.context(held.case, dtype), held.expected
        module = self.module_of(expected, dtype)
        stages = self._answer("a forward", held.case, lambda: self.adapter.stages(module, expected.x))
        if stages is None:
            yield context.measurement("output", "status", RAISED, "rounding")
            return
        yield from compare(context, stages, expected, stages_of(expected.reference))
        if self.is_function or stages["output"].shape != expected.cotangent.shape:
            return
        got = self._answer("a backward", held.case, lambda: self._gradients(module, expected))
        if got is None:
            yield context.measurement("input", "status", RAISED, "rounding")
            return
        for name in expected.gradients:
            if name not in got and self.port.parameters.get(name, "") is not None:
                yield context.measurement(name, property_of(name), NO_GRADIENT, "rounding")
        yield from compare(context, got, expected, gradients_of(expected.reference))

    def _forced(self, held: Held) -> Iterator[Measurement]:
        """Each stage on the reference's own input, each gradient from the reference's own cotangent."""
        context, expected = self.context(held.case, kind=FORCED), held.expected
        module = self.module_of(expected, "float32")
        forced = self._answer(
            "a stage on the reference's input", held.case,
            lambda: self.adapter.forced(
                module, expected.x, held.stages, held.expected.cotangents, expected.cotangent, self.misread
            ),
        )  # fmt: skip
        if forced is None:
            return
        # what is read and not replaced: what follows is held against what it makes of that
        yield from self._judged(context, held, forced.stages, forced.exchanged)
        rounding = expected.rounding("float32")
        for name, values in forced.gradients.items():
            if name not in expected.reference:
                continue
            wanted = expected.reference[name]
            verdict = status(values, wanted)
            if verdict.passes:
                verdict = within_rounding(values, wanted, rounding[name], norm)
            yield context.measurement(name, property_of(name), verdict, "rounding")
            slope = Slope(held.case, values, wanted, expected.variables.get(name), name, setting=Setting(expected))
            self.slopes.setdefault(name, []).append(replace(slope, holds=verdict.passes))
        yield from self._handed_back(context, held, forced)

    def _handed_back(self, context: Context, held: Held, forced: Forced) -> Iterator[Measurement]:
        """Judge the gradient that each stage gets from those after it, which have the reference's own cotangent."""
        for name, got in forced.slopes.items():
            wanted = held.expected.cotangents.get(name)
            if wanted is None or got.shape != wanted.shape:
                continue
            verdict = status(got, wanted.astype(got.dtype))
            if verdict.passes:
                size = max(norm(wanted), norm(smoothed_back(Setting(held.expected))) if name == "floor" else 0.0)
                verdict = BACK(quotient(norm(got - wanted), size))
            yield context.measurement(name, "input gradient", verdict, "rounding")
            self.slopes.setdefault(name, []).append(
                Slope(held.case, got, wanted, None, name, holds=verdict.passes, setting=Setting(held.expected))
            )

    def _local(self, held: Held) -> Iterator[Measurement]:
        """Hold each stage of a function against what the formula makes of the function's own stages before it."""
        module = self.module_of(held.expected, "float32")
        stages = self._answer("a forward", held.case, lambda: self.adapter.stages(module, held.expected.x))
        if stages is not None:
            yield from self._judged(self.context(held.case, kind=FORCED), held, stages, ())

    def _judged(
        self, context: Context, held: Held, stages: Arrays, exchanged: Collection[str]
    ) -> Iterator[Measurement]:
        rounding = held.expected.rounding("float32")
        errors, exact_stages = held.expected.errors("float32"), held.expected.stages
        for name in held.expected.reference:
            if name not in stages:
                continue
            got, wanted = stages[name], held.stages[name]
            # nothing is computed from what is read elsewhere than where it is made, or was exchanged after it
            own = {n: y for n, y in stages.items() if n in OWN and n not in self.misread and n not in exchanged}
            before = {n: y for n, y in own.items() if n != name and fits(y, held.stages[n])}
            verdict = apart(got, wanted, rounding.get(name), exact_stages.get(name), errors.get(name))
            handed = {n: held.stages[n] for n in exchanged if n != name and n in OWN}
            setting = Setting(held.expected, {n: handed[n] for n in feeding(name, handed)} if name in OWN else {})
            if not verdict.passes and (feeds := feeding(name, before, exchanged)):
                setting = Setting(held.expected, {n: before[n] for n in feeds})
                wanted = setting.compute(name, {})
                if got.shape == wanted.shape:
                    # the bounds are those of the reference's values, not of these
                    verdict = follows(got, wanted)
            yield context.measurement(name, "forward", verdict, "rounding")
            if verdict.passes:
                self.held.setdefault(name, []).append(held.case)
            else:
                least = peak(rounding[name]) if name in rounding else 0.0
                pair = Pair(held.case, setting, exact(got), exact(wanted), least, errors.get(name))
                self.pairs.setdefault(name, []).append(pair)

    def _on_limits(self, limits: Limits) -> Iterator[Measurement]:
        held, expected = limits.on, limits.on.expected
        context = self.context(held.case, kind=ON_LIMITS)
        module = self.module_of(expected, "float32")
        fits = self._answer(
            "a forward", held.case, lambda: self.adapter.output(module, expected.x).shape == expected.cotangent.shape
        )
        got = self._answer("a backward", held.case, lambda: self._gradients(module, expected)) if fits else {}
        rounding, errors = limits.inside.rounding("float32"), limits.inside.errors("float32")
        for name, values in (got or {}).items():
            wanted = expected.reference[name]
            state = status(values, wanted)
            yield context.measurement(name, property_of(name), state, "rounding")
            if state.passes:
                direct = within_rounding(values, wanted, rounding[name], norm)
                yield context.measurement(name, property_of(name), direct, "rounding")
                sound = soundness(values, expected.gradients[name], errors[name])
                yield context.measurement(name, property_of(name), sound, "rounding")
        forced = self._answer("a backward", held.case, lambda: self._both(limits))
        if forced is not None:
            on, inside = forced
            for name, slope in ratios(held.case, on, inside, expected.variables).items():
                self.slopes.setdefault(name, []).append(slope)
                yield context.measurement(name, property_of(name), slope.tie, "rounding")
        floor = self._answer("a backward", held.case, lambda: at_the_floor(self.adapter, module, held, self.port))
        if floor is not None:
            self.slopes.setdefault("pool", []).append(floor)
            yield context.measurement("pool", "input gradient", floor.tie, "rounding")

    def _both(self, limits: Limits) -> tuple[Arrays, Arrays]:
        """The gradients with weights on their limits, and a little inside, each stage on the reference's own input."""
        expected = limits.on.expected
        # all of one sign: what is asked is a ratio, which sums that cancel would not tell
        back, seeds = {name: np.abs(d) for name, d in expected.cotangents.items()}, np.abs(expected.cotangent)

        def gradients(weights: Mapping[str, np.ndarray]) -> Arrays:
            module = self.adapter.build(expected.config)
            self.adapter.write(module, dict(weights))
            forced: Forced = self.adapter.forced(module, expected.x, limits.on.stages, back, seeds)
            return forced.gradients

        return gradients(expected.variables), gradients(limits.moved)

    def module_of(self, expected: Expected, dtype: str) -> Any:
        """The port with the weights of a case."""
        module = self.adapter.build(expected.config, dtype)
        self.adapter.write(module, dict(expected.variables))
        return module

    def _gradients(self, module: Any, expected: Expected) -> Arrays:
        """The port's gradients, of those that LEAF has."""
        slopes = self.adapter.gradients(module, expected.x, expected.cotangent)
        return {name: slope for name, slope in slopes.items() if name in expected.reference}

    def _trained(self, config: LeafConfig) -> set[str]:
        """The gradients that the port has."""
        if self.is_function:
            return set()
        entries = self.adapter.entries(self.adapter.build(config))
        return {"input"} | {name for name, e in entries.items() if all(t.requires_grad for t in e.tensors)}

    def _answer(self, what: str, case: Case, run: Callable[[], Any]) -> Any:
        """Ask the port; an exception is kept as one, and None given."""
        try:
            return run()
        except Exception as error:
            text = f"{what}: {said(error)}"
            known = (k for k in self.errors if _without_numbers(k).endswith(_without_numbers(said(error))))
            alike = next(known, text)
            if case not in self.errors.setdefault(alike, []):
                self.errors[alike].append(case)
            return None


def _without_numbers(text: str) -> str:
    return re.sub(r"\d+", "n", text)
