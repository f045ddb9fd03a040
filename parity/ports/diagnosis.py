"""Where a port departs from the rung that it claims to be: the first stage, what follows it, and what holds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from parity.adapters import canonical
from parity.ports.port import ON_LIMITS, STAGES, TOGETHER, Port
from parity.report.claims import GATES, Measurement

# What each stage is computed from.
FROM: dict[str, tuple[str, ...]] = {
    "filters": (),
    "windows": (),
    "conv": ("filters",),
    "modulus": ("conv",),
    "pool": ("modulus", "windows"),
    "floor": ("pool",),
    "ema": ("floor",),
    "pcen": ("floor", "ema"),
    "norm": ("pcen",),
    "output": ("norm",),
}
# Gradients run the other way, so the last parameter's comes first.
BACKWARDS = (
    canonical.BETA, canonical.GAMMA, canonical.ROOT, canonical.DELTA, canonical.ALPHA, canonical.SMOOTH,
    canonical.POOLING, canonical.KERNEL, canonical.PREEMP, "input",
)  # fmt: skip
ORDER = (*STAGES, "output", *BACKWARDS)


@dataclass(frozen=True)
class Departure:
    """One stage or gradient that does not hold.

    Attributes:
        stage: a stage, ``output``, or the variable of a gradient (``input``: the audio).
        worst: the measurement that says it best.
        n_cases: on how many cases; 0, where all of them together are judged.
    """

    stage: str
    worst: Measurement
    n_cases: int

    @property
    def where(self) -> str:
        """``stage "pool"`` or ``the gradient to PCEN/alpha``."""
        if self.worst.property == "forward":
            return f'stage "{self.stage}"'
        return f"the gradient to {self.stage}" + (", on the limits" if _on_limits(self.worst) else "")

    @property
    def how(self) -> str:
        """The criterion, and by how much."""
        m = self.worst
        size = m.reason if m.criterion == "status" else f"{m.ratio:.2g} times its bound"
        return f"{m.criterion}, {size}" + ("" if m.dtype == "float32" else f", in {m.dtype}")


@dataclass(frozen=True)
class Diagnosis:
    """What the measurements of a port's stages and gradients say.

    Attributes:
        port: the port.
        measured: all of them, in any order.
        not_carried: parameters of the port that no variable of LEAF is mapped to.
    """

    port: Port
    measured: Sequence[Measurement]
    not_carried: tuple[str, ...] = ()

    @property
    def departures(self) -> list[Departure]:
        """What does not hold, in the order of the computation and then of the gradients.

        What departs in float64 alone comes last: a constant that is kept in float32 is another matter than a formula.
        """
        failed: dict[str, list[Measurement]] = {}
        for m in self.measured:
            if not m.holds:
                failed.setdefault(m.stage, []).append(m)
        found = [
            Departure(stage, min(failed[stage], key=_telling), _n_cases(failed[stage])) for stage in _ordered(failed)
        ]
        return sorted(found, key=lambda d: d.worst.dtype != "float32")

    @property
    def holding(self) -> list[str]:
        """What was measured and holds, in the same order."""
        failed = {m.stage for m in self.measured if not m.holds}
        return _ordered({m.stage for m in self.measured} - failed)

    @property
    def unseen(self) -> list[str]:
        """The stages that the port has, in some configuration that it holds, and does not show."""
        return [stage for stage in self.port.known_stages if stage not in self.port.taps]

    @property
    def suspects(self) -> list[str]:
        """The unseen stages that lie between the first departure and what holds before it."""
        if not self.departures or self.departures[0].stage not in FROM:
            return []
        found, todo = set[str](), [*FROM[self.departures[0].stage]]
        while todo:
            stage = todo.pop()
            if stage not in self.port.taps:
                found.add(stage)
                todo += FROM[stage]
        return [stage for stage in self.unseen if stage in found]

    @property
    def stands_alone(self) -> bool:
        """Whether the first departure is a stage, and nothing that comes behind it departs."""
        departures = [d for d in self.departures if d.worst.property == "forward"]
        return len(departures) == 1 and departures[0].stage != "output"

    def __str__(self) -> str:
        port, departures = self.port, self.departures
        if not departures:
            return "\n".join([f"{port.name} is {port.claims}", *self._rest()])
        first = departures[0]
        m = first.worst
        lines = [
            f"{port.name} departs from {port.claims} first at {first.where} ({first.how}; {self._on(first)})",
            f"  case:           {m.case}",
            f"  again:          {m.reproduce}",
        ]
        if self.suspects:
            lines.append(f"  or before it:   {', '.join(self.suspects)} (not seen)")
        if self.stands_alone:
            lines.append("  but:            nothing behind it departs: is the stage read where it should be?")
        lines += [f"  departs, too:   {d.where} ({d.how}; {self._on(d)})" for d in departures[1:]]
        return "\n".join([*lines, *self._rest()])

    def row(self) -> dict[str, str]:
        """For the certificate."""
        departures = self.departures
        return {
            "port": self.port.name,
            "claims": self.port.claims,
            "first_departure": f"{departures[0].where} ({departures[0].how})" if departures else "none",
            "departs": ", ".join(d.stage for d in departures),
            "holds": ", ".join(self.holding),
            "not_seen": ", ".join(self._not_seen()),
        }

    def _on(self, departure: Departure) -> str:
        n_cases = _n_cases(self.measured)
        if departure.n_cases:
            return f"on {departure.n_cases} of {n_cases} cases"
        return f"over all {n_cases} cases together"

    def _rest(self) -> Iterable[str]:
        taps = [name for name in self.holding if name in FROM]
        gradients = [name for name in self.holding if name not in FROM]
        yield f"  taps hold:      {', '.join(taps) or 'none'}"
        yield f"  gradients hold: {', '.join(gradients) or 'none'}"
        if unseen := self._not_seen():
            yield f"  not seen:       {', '.join(unseen)}"
        if self.not_carried:
            yield f"  no such in LEAF: {', '.join(self.not_carried)} (parameters, left at their initial values)"

    def _not_seen(self) -> list[str]:
        return self.unseen + ([] if self.port.double else ["float64"])


def _ordered(taps: Iterable[str]) -> list[str]:
    return sorted(taps, key=lambda stage: (ORDER.index(stage) if stage in ORDER else len(ORDER), stage))


def _telling(m: Measurement) -> tuple[bool, bool, int, float, str]:
    """float32 before float64, the status before numbers, the direct difference before the rest; then the largest."""
    criteria = ("status", "direct", *GATES)
    return m.dtype != "float32", _on_limits(m), criteria.index(m.criterion), -m.ratio, m.case


def _on_limits(m: Measurement) -> bool:
    return m.domain.endswith(ON_LIMITS)


def _n_cases(measured: Iterable[Measurement]) -> int:
    return len({(m.case, m.domain) for m in measured if m.case != TOGETHER})
