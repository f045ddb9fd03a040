"""Say where a port departs from the rung that it claims, what is wrong there, what only inherits, and what holds."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations

import numpy as np

from parity.adapters import canonical
from parity.cases.case import Case
from parity.oracle.config import LeafConfig
from parity.ports import hypotheses, slopes
from parity.ports.formulas import Pair, downstream, upstream
from parity.ports.port import FORCED, ON_LIMITS, PLAIN, STAGES, TOGETHER, Port, keeps_shape
from parity.ports.slopes import Slope
from parity.report.claims import Measurement

# Gradients run the other way, so the last parameter's comes first.
BACKWARDS = (
    canonical.BETA, canonical.GAMMA, canonical.ROOT, canonical.DELTA, canonical.ALPHA, canonical.SMOOTH,
    canonical.POOLING, canonical.KERNEL, canonical.PREEMP, "input",
)  # fmt: skip
ORDER = (*STAGES, "output", *BACKWARDS)
# The stage that each variable acts in.
STAGE_OF = {
    canonical.BETA: "norm", canonical.GAMMA: "norm", canonical.ROOT: "pcen", canonical.DELTA: "pcen",
    canonical.ALPHA: "pcen", canonical.SMOOTH: "ema", canonical.POOLING: "windows", canonical.KERNEL: "filters",
    canonical.PREEMP: "conv", "input": "conv",
}  # fmt: skip
PCEN_FLOORS = (1e-6, 1e-12)
CONDITIONS: dict[str, Callable[[Case], bool]] = {
    "the window is even": lambda case: case.config.window % 2 == 0,
    "n_samples mod stride is not 1": lambda case: case.n_samples % case.config.stride != 1,
    "n_samples mod stride is 0": lambda case: case.n_samples % case.config.stride == 0,
    "the clip is shorter than the window": lambda case: case.n_samples < case.config.window,
    "there is one frame": lambda case: case.n_samples <= case.config.stride,
    "there are several frames": lambda case: case.n_samples > case.config.stride,
    "there are several clips": lambda case: case.batch > 1,
    "there is one filter": lambda case: case.config.n_filters == 1,
    "parameters lie beyond their limits": lambda case: case.weights.startswith("outside"),
    "pcen_floor is 1e-6": lambda case: case.config.pcen_floor == PCEN_FLOORS[0],
    "pcen_floor is 1e-12": lambda case: case.config.pcen_floor == PCEN_FLOORS[1],
    "mean_var_norm is asked for": lambda case: case.config.mean_var_norm,
    "pre-emphasis is asked for": lambda case: case.config.preemp,
    "compression is log": lambda case: case.config.compression == "log",
    "compression is none": lambda case: case.config.compression == "none",
    "sample_rate is not 16000": lambda case: case.config.sample_rate != LeafConfig().sample_rate,
}
FEW = 2  # cases that hold: one alone has too much in common with itself
ROOM = 12  # columns of a ratio and of a count


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        where: a stage, ``gradient to PCEN/alpha``, ``initial kernel``, ``parameters``, ...
        what: sentences.
        ratio: the largest of error to bound.
        on: of how many cases; empty where that says nothing.
        example: two values and their index.
        again: the command that shows it.
        stage: the stage or variable.
    """

    where: str
    what: tuple[str, ...]
    ratio: float = math.inf
    on: str = ""
    example: str = ""
    again: str = ""
    stage: str = ""

    def __str__(self) -> str:
        size = f"{self.ratio:.2g}" if math.isfinite(self.ratio) else "-"
        lines = [f"  {size:<{ROOM}}{self.on:<{ROOM}}{self.where}: {'; '.join(self.what)}"]
        pad = " " * (2 + 2 * ROOM)
        return "\n".join([*lines, *(f"{pad}{text}" for text in (self.example, self.again) if text)])


def told(where: str, text: str, stage: str = "") -> Finding:
    """One thing that is wrong, in one sentence."""
    return Finding(where, (text,), stage=stage or where)


@dataclass
class Record:
    """Hold what was found out about a port.

    Attributes:
        port: the port.
        measured: every measurement, in any order.
        pairs: by stage, what the port made of it from the reference's own input where that departs.
        held: by stage, the cases on which it holds there.
        slopes: by variable, gradients on the reference's own cotangents, and on limits.
        found: what is found beside stages and gradients.
        errors: exceptions of the port and the cases that raised them.
        double: what is said of float64: ``supported``, or why it is not claimed.
        is_function: it is a function, which has no gradients and nothing to hand on to its stages.
        misread: stages that are read elsewhere than where they are computed.
        constants: buffers that the output depends on and LEAF has not.
        trained: what becomes of parameters beyond their limits, where no step brings them back.
        left_out: stages that were found by themselves, depart there, and are left out as none after them does.
        stepped: whether a whole step of Adam was compared.
    """

    port: Port
    measured: list[Measurement] = field(default_factory=list)
    pairs: dict[str, list[Pair]] = field(default_factory=dict)
    held: dict[str, list[Case]] = field(default_factory=dict)
    slopes: dict[str, list[Slope]] = field(default_factory=dict)
    found: list[Finding] = field(default_factory=list)
    errors: dict[str, list[Case]] = field(default_factory=dict)
    double: str = "not claimed"
    is_function: bool = False
    misread: tuple[str, ...] = ()
    constants: tuple[str, ...] = ()
    trained: str = ""
    left_out: tuple[str, ...] = ()
    stepped: bool = False


class Diagnosis(Record):
    """The record of a port in words."""

    @cached_property
    def findings(self) -> list[Finding]:
        """Everything that is wrong, in the order of the computation, then of the gradients, then the rest."""
        measured = [*self._stages(), *self._gradients(), *self._float64(), *self._errors()]
        return [*(measured or self._unexplained()), *self.found]

    @cached_property
    def adapter_faults(self) -> list[Finding]:
        """Stages that depart while none after them departs with them: the adapter reads something else."""
        elsewhere = "no stage after it departs with it: it is read elsewhere than where it is computed"
        out = []
        for name in self.misread:
            pairs, others = self.pairs.get(name, []), [n for n in self._forced() if n != name]
            what = (*(hypotheses.explain(name, pairs, others) if pairs else ()), elsewhere, "mend the adapter")
            out.append(Finding(f'stage "{name}"', what, stage=name, example=_example(name, pairs)))
        return out

    @property
    def holds(self) -> bool:
        """Tell whether nothing is wrong, in the port and in its adapter."""
        return not (self.findings or self.adapter_faults)

    @property
    def departs(self) -> list[str]:
        """The stages and variables of all findings."""
        return [finding.stage for finding in self.findings]

    @cached_property
    def inherits(self) -> list[str]:
        """List what departs end to end and holds on the reference's own input, or follows from a stage that departs."""
        own = {*self.departs, *self.misread}
        return [name for name in _ordered(self._failed) if name not in own]

    @property
    def holding(self) -> list[str]:
        """List what was measured and holds, in the same order."""
        return _ordered({m.stage for m in self.measured} - self._failed)

    @cached_property
    def _failed(self) -> set[str]:
        """Collect what departs: stages by their values, as gradients that reach them belong to the stages after."""
        failed = [m for m in self.measured if not m.holds]
        return {m.stage for m in failed if m.stage not in STAGES or m.property != "input gradient"}

    @property
    def unseen(self) -> list[str]:
        """The stages that the port has, in some configuration that it holds, and does not show."""
        return [stage for stage in self.port.known_stages if stage not in self.port.stages and not self._has(stage)]

    @property
    def not_covered(self) -> list[str]:
        """List what the verdict says nothing about."""
        out = [f"stages {', '.join(self.unseen)}"] if self.unseen else []
        if self.double != "supported":
            out.append("float64")
        if self.is_function:
            out += ["gradients", "training", "initial values", "state"]
        else:
            out += [] if self.port.initial else ["initial values"]
            out += (
                [] if self.port.step else ["training: no step that brings parameters back into their limits was given"]
            )
            out += [] if self.stepped else ["a whole step of training"]
            ties = [s for s in self.slopes.get("pool", ()) if s.tie is not slopes.NO_TIE]
            out += [] if ties else ["the tie at the floor"]
        out += [f"what its constructor refuses ({error})" for error in getattr(self.port.holds, "refused", ())]
        options = [name for name, values in PLAIN.items() if self.port.allowed(name) == values]
        return [*out, *([f"other {', '.join(options)}"] if options else []), "CUDA"]

    @property
    def verdict(self) -> str:
        """``certified``, or how many departures there are, or that the adapter is to be mended first."""
        if self.findings:
            n = len(self.findings)
            return f"departs from {self.port.claims} in {n} place{'s' if n > 1 else ''}"
        if self.adapter_faults:
            return f"cannot be judged as {self.port.claims}: the adapter misreads {', '.join(self.misread)}"
        declared = f", with {', '.join(self.port.extra)} that LEAF has not (declared)" if self.port.extra else ""
        return f"is {self.port.claims}{declared}"

    def __str__(self) -> str:
        head = f"{self.port.name} {self.verdict} ({_n_cases(self.measured)} cases)"
        wrong = [*self.findings, *self.adapter_faults]
        table = [f"  {'error/bound':<{ROOM}}{'cases':<{ROOM}}what", *map(str, wrong)] if wrong else []
        return "\n".join([head, *table, *self._rest()])

    def row(self) -> dict[str, str]:
        """Write the row of the certificate."""
        first = self.findings[0] if self.findings else None
        return {
            "port": self.port.name,
            "claims": self.port.claims,
            "first_departure": f"{first.where}: {'; '.join(first.what)}" if first else "none",
            "departs": ", ".join(finding.where for finding in self.findings),
            "holds": ", ".join(self.holding),
            "not_seen": ", ".join([*self.unseen, *([] if self.double == "supported" else ["float64"])]),
        }

    def _has(self, stage: str) -> bool:
        return any(m.stage == stage for m in self.measured)

    def _rest(self) -> Iterator[str]:
        stages = [name for name in self.holding if name not in BACKWARDS]
        gradients = [name for name in self.holding if name in BACKWARDS]
        if self.inherits:
            yield f"  inherit from these: {', '.join(self.inherits)}"
        yield f"  stages hold:        {', '.join(stages) or 'none'}"
        yield f"  gradients hold:     {', '.join(gradients) or 'none'}"
        yield f"  float64:            {self.double}"
        if self.left_out:
            names = ", ".join(self.left_out)
            yield f"  left out:           {names} (depart where they were found, and nothing after them does)"
        if self.trained:
            yield f"  training:           {self.trained}"
        if self.constants:
            names = ", ".join(self.constants)
            yield f"  depends on buffers: {names} (constants that LEAF has not; a checkpoint may change them)"
        yield f"  not covered:        {'; '.join(self.not_covered)}"

    def _forced(self) -> list[str]:
        """The stages that are handed on as the reference has them."""
        return [n for n, stage in self.port.stages.items() if isinstance(stage, str) and n not in self.misread]

    def _stages(self) -> Iterator[Finding]:
        seen = [*self._forced(), *(self.pairs if self.is_function else ())]
        for name in _ordered(set(self.pairs) - set(self.misread)):
            pairs = self.pairs[name]
            every = [*self.held.get(name, []), *(p.case for p in pairs)]

            def where(cases: Sequence[Case], every: Sequence[Case] = every) -> str:
                return _condition(cases, [case for case in every if case not in cases])

            what = hypotheses.explain(name, pairs, [n for n in seen if n != name], where)
            yield self._finding(f'stage "{name}"', what, name, FORCED, len(pairs), len(every), _example(name, pairs))
        own = {name for name, pairs in self.pairs.items() if not hypotheses.rounds(pairs)}
        failed = [m for m in self.measured if m.property == "forward" and not m.holds and m.dtype == "float32"]
        for name in _ordered({m.stage for m in failed} - {*self.pairs, *self.misread}):
            if not own.intersection(upstream(name)):
                own.add(name)
                pooled = all(m.criterion == "accuracy" for m in failed if m.stage == name)
                digits = "loses digits: no case departs by itself, all of them together do"
                text = digits if pooled else "rounds more than its operations explain"
                yield self._finding(f'stage "{name}"', [text], name)

    def _gradients(self) -> Iterator[Finding]:
        for name in _ordered(self.slopes):
            ties = [s for s in self.slopes[name] if s.tie is not slopes.NO_TIE and not s.holds]
            free = [s for s in self.slopes[name] if s.tie is slopes.NO_TIE and not s.holds]
            # the gradient of another function: what is wrong there is the function
            wrong = {p.case for stage in self._reach(name) for p in self.pairs.get(stage, ())} | self._reshaped
            free = [s for s in free if s.case not in wrong]
            ties = [s for s in ties if s.case not in wrong or slopes.share(s) in slopes.SHARES]
            named = bool(wrong) or (name in STAGES and bool(self._reach(name) & self._cut))
            less = (*slopes.VAGUE, slopes.LACKS) if name in STAGES else slopes.VAGUE  # than what is named there
            what = [text for text in slopes.explain([*ties, *free]) if not (named and text.startswith(less))]
            what += [text for text in slopes.severed(self.slopes[name]) if text not in what]
            if what:
                n, n_held = len(ties + free), sum(s.holds for s in self.slopes[name])
                yield self._finding(_gradient_to(name), what, name, ON_LIMITS if ties else FORCED, n, n + n_held)
        missing = {m.stage for m in self.measured if not m.holds and "no gradient" in m.reason}
        for name in _ordered(missing.intersection(BACKWARDS) - set(self.slopes)):
            yield self._finding(_gradient_to(name), ["is missing: the parameter does not require one"], name)

    @cached_property
    def _cut(self) -> set[str]:
        """The stages of the variables whose gradient departs: what passes through these departs as well."""
        free = {name for name, found in self.slopes.items() for s in found if s.tie is slopes.NO_TIE and not s.holds}
        return {STAGE_OF[name] for name in free if name in STAGE_OF}

    @cached_property
    def _reshaped(self) -> set[Case]:
        """The cases on which a stage has another shape and was not handed on as the reference has it."""
        stages = self.port.stages
        kept = [pairs for name, pairs in self.pairs.items() if name in stages and keeps_shape(name, stages[name])]
        return {p.case for pairs in kept for p in pairs if not p.is_alike}

    def _unexplained(self) -> Iterator[Finding]:
        """Whatever departs end to end although no stage and no gradient does by itself."""
        for name in _ordered({m.stage for m in self.measured if not m.holds and m.dtype == "float32"}):
            if name not in self.misread:
                label = _gradient_to(name) if name in BACKWARDS else f'stage "{name}"'
                yield self._finding(label, ["departs end to end, and nothing does by itself"], name)

    def _float64(self) -> Iterator[Finding]:
        """Find what departs in float64 alone: a constant that is kept in float32, for one."""
        single = {m.stage for m in self.measured if not m.holds and m.dtype == "float32"}
        if single:
            return
        for name in _ordered({m.stage for m in self.measured if not m.holds and m.dtype == "float64"})[:1]:
            yield self._finding(f'"{name}" in float64', ["departs in float64 and holds in float32"], name)

    def _errors(self) -> Iterator[Finding]:
        n_cases = _n_cases(self.measured)
        for what, cases in self.errors.items():
            where = _condition(cases, [c for held in self.held.values() for c in held if c not in cases], most=2)
            on, again = f"{len(cases)}/{n_cases}", self._again(min(cases, key=_size))
            yield Finding("exception", (f"in {what}{where}",), on=on, again=again, stage="exception")

    def _finding(
        self, where: str, what: Sequence[str], name: str, kind: str = "", n: int = 0, of: int = 0, example: str = ""
    ) -> Finding:
        failed = [m for m in self.measured if m.stage == name and not m.holds]
        failed = [m for m in failed if kind and m.domain.endswith(kind)] or failed
        worst = max(failed, key=lambda m: m.ratio, default=None)
        finite = [m.ratio for m in failed if math.isfinite(m.ratio)]
        ratio = max(finite, default=math.inf)
        pairs = self.pairs.get(name, []) if kind == FORCED else []
        again = self._again(_smallest(pairs).case) if pairs else worst.reproduce if worst else ""
        return Finding(where, tuple(what), ratio, f"{n}/{of}" if of else "", example, again, name)

    def _again(self, case: Case) -> str:
        commands = [m.reproduce for m in self.measured if m.case == str(case) and "--on-limits" not in m.reproduce]
        return commands[0] if commands else ""

    def _reach(self, name: str) -> set[str]:
        """The stages between a variable, or a stage, and the first one that is handed on as the reference has it."""
        if name in STAGE_OF:
            return set(downstream(STAGE_OF[name], until=self._forced()))
        return set(downstream(name, until={*self._forced()} - {name})) - {name}


def _gradient_to(name: str) -> str:
    if name == "pool":
        return "gradient to the energies"
    return f"gradient to {name}" if name in BACKWARDS else f'gradient to stage "{name}"'


def _condition(failing: Sequence[Case], held: Sequence[Case], most: int = 1) -> str:
    """Find what all failing cases have in common and no other has: one condition, or up to ``most``."""
    if len(held) < FEW:
        return ""
    shared = [text for text, applies in CONDITIONS.items() if all(map(applies, failing))]
    for n in range(1, most + 1):
        for chosen in combinations(shared, n):
            if not any(all(CONDITIONS[text](case) for text in chosen) for case in held):
                return f", only where {' and '.join(chosen)}"
    return ""


def _smallest(pairs: Sequence[Pair]) -> Pair:
    """The pair that a reader can follow: not silence, where another shows it."""
    return min(pairs, key=lambda p: (not p.tells, _size(p.case)))


def _size(case: Case) -> tuple[bool, int]:
    return case.signal == "silence", case.n_samples * case.config.n_filters * case.batch


def _example(name: str, pairs: Sequence[Pair]) -> str:
    if not pairs:
        return ""
    p = _smallest(pairs)
    if p.got.ndim != p.wanted.ndim or p.got.shape[:-1] != p.wanted.shape[:-1]:
        return f"{name} has shape {p.got.shape}, must have {p.wanted.shape}"
    apart = np.abs(np.nan_to_num(p.got[p.shared] - p.wanted[p.shared], nan=np.inf))
    shape = "" if p.got.shape == p.wanted.shape else f", shape {p.got.shape}, must be {p.wanted.shape}"
    if not apart.size:
        return f"{name} has shape {p.got.shape}, must have {p.wanted.shape}"
    index = tuple(int(i) for i in np.unravel_index(int(apart.argmax()), apart.shape))
    return f"{name}{list(index)} is {p.got[index]:.7g}, must be {p.wanted[index]:.7g}{shape}"


def _ordered(names: Iterable[str]) -> list[str]:
    return sorted(names, key=lambda name: (ORDER.index(name) if name in ORDER else len(ORDER), name))


def _n_cases(measured: Iterable[Measurement]) -> int:
    return len({m.case for m in measured if m.case != TOGETHER})
