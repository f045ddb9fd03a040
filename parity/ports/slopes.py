"""Say in a sentence how gradients depart: half at a tie, none, another factor or sign, or beyond a limit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from parity.adapters import canonical
from parity.cases.case import Case
from parity.checks.grid import Arrays
from parity.criteria import AtMost, Verdict
from parity.oracle.config import FLOOR
from parity.ports.drawing import LIMITS
from parity.ports.formulas import (
    ACTS,
    ADDED,
    OF_DELTA,
    OF_FRAME,
    OF_STATE,
    OF_SUM,
    SUBTRACTED,
    Setting,
    as_taken,
    gains,
    smoothed_back,
)
from parity.ports.port import Port

if TYPE_CHECKING:
    from parity.ports.references import Held

WHOLE = AtMost(
    2.0**-6, "of the gradient a little inside, which is the same function; a convention of one half departs by 2^-1"
)
NEAREST = AtMost(2.0**-2, "nearer to the whole gradient than to half of it, where terms may cancel")
SMALLEST = 2.0**-10  # of the largest gradient: what is below says nothing about a ratio
LARGE = 2.0**-3  # of the largest gradient: where the ratio of two is no matter of cancelling terms
ALIKE = 2.0**-8  # spread of ratios that are one number


STEP = 2.0**-20
PAST = "the states before"
# The places of a parameter that has several.
PLACES: dict[str, tuple[str, ...]] = {
    canonical.DELTA: (SUBTRACTED, ADDED), canonical.ROOT: (OF_DELTA, OF_SUM),
    canonical.SMOOTH: (PAST, OF_STATE, OF_FRAME),
}  # fmt: skip
UNNAMED = "departs by up to"
UNNAMED_TOO = "vanishes for"
BEYOND = "is not zero beyond a limit"
VAGUE = (UNNAMED, UNNAMED_TOO, BEYOND)  # where the function is wrong, these say no more
LACKS = "lacks the part through"
NOTHING = "is zero: nothing flows back"
NO_TIE = Verdict("direct", 0.0, 0.0, "no parameter lies on a limit")


@dataclass(frozen=True)
class Slope:
    """A gradient of the port on one case.

    Attributes:
        case: which.
        got, wanted: of the variable's shape.
        values: the variable.
        name: of the variable, or of a stage.
        tie: the verdict on a limit, where this is about one.
        limit: which limit.
        holds: whether it is as it should be.
        setting: of the case, where the parts of the gradient can be computed.
    """

    case: Case
    got: np.ndarray
    wanted: np.ndarray
    values: np.ndarray | None
    name: str
    tie: Verdict = NO_TIE
    limit: str = ""
    holds: bool = False
    setting: Setting | None = None


def ratios(case: Case, on: Arrays, inside: Arrays, variables: Mapping[str, np.ndarray]) -> dict[str, Slope]:
    """The port's own gradient on a limit against its own a little inside, which is whole: of each limited variable."""
    out = {}
    for name, limits in LIMITS.items():
        if name not in on or name not in inside:
            continue
        for limit, beside in limits:
            if limit == beside:
                continue
            chosen = variables[name] == np.float32(limit)
            a, b = on[name][chosen].astype(np.float64), inside[name][chosen].astype(np.float64)
            if not len(b) or not np.all(np.isfinite([a, b])) or np.abs(b).max() == 0:
                continue
            telling = np.abs(b) >= LARGE * np.abs(b).max()
            verdict = WHOLE(float(np.abs(a[telling] / b[telling] - 1).max()))
            text = f"{name.split('/')[-2 if name == canonical.POOLING else -1]} = {limit:g}"
            out[name] = Slope(case, a[telling], b[telling], None, name, verdict, text, verdict.passes)
    return out


def at_the_floor(adapter: Any, module: Any, held: Held, port: Port) -> Slope | None:
    """Compare what is handed back to energies of exactly 1e-5 with those just above.

    None where the port shows no energies.
    """
    if not isinstance(port.stages.get("pool"), str) or "pool" not in adapter.axes:
        return None
    back = {}
    for name, value in (("on", np.float32(FLOOR)), ("above", np.float32(FLOOR) * np.float32(1 + 2.0**-20))):
        stages = {name: np.full_like(held.stages[name], value) for name in ("pool", "floor")}
        # where the port shows the limited energies, what comes back to them is known
        ones = {"floor": np.ones_like(held.stages["floor"])}
        run = adapter.forced(module, held.expected.x, stages, ones, np.abs(held.expected.cotangent))
        if "pool" not in run.slopes:
            return None
        back[name] = run.slopes["pool"].astype(np.float64)
    a, b = back["on"], back["above"]
    if a.shape != b.shape or np.abs(b).max(initial=0) == 0:
        return None
    telling = np.abs(b) >= LARGE * np.abs(b).max()
    # of equal energies the smoother's part and the frame's may cancel: those that do weigh little
    apart = abs(_ratio(a[telling], b[telling]) - 1)
    verdict = (WHOLE if "floor" in run.slopes else NEAREST)(apart)
    return Slope(
        held.case, a[telling], b[telling], None, "pool", verdict, "an energy of 1e-5, the floor", verdict.passes
    )


def _ratio(got: np.ndarray, wanted: np.ndarray) -> float:
    return float(np.vdot(wanted, got) / np.vdot(wanted, wanted))


def _is_large(wanted: np.ndarray) -> np.ndarray:
    large = np.abs(wanted) >= SMALLEST * np.abs(wanted).max(initial=0)
    return np.asarray(large & (wanted != 0))


def explain(slopes: Sequence[Slope]) -> list[str]:
    """Find sentences about the gradients of one variable that depart."""
    ties = [s for s in slopes if s.tie is not NO_TIE and not s.holds]
    out = list(dict.fromkeys(_at_tie(s) for s in ties))
    free = [s for s in slopes if s.tie is NO_TIE and not s.holds]
    if free:
        out += list(_without_a_part(free) or _elsewhere(free))
    return out


def _without_a_part(slopes: Sequence[Slope]) -> list[str]:
    """Find the place of a parameter through which nothing flows back, if there is one of several."""
    for place in PLACES.get(slopes[0].name, ()):
        parts = [(s, _part(s, place)) for s in slopes]
        if all(part is not None and _alike(s.got, s.wanted - part) for s, part in parts):
            return [f"{LACKS} {place}"]
    return []


def _alike(got: np.ndarray, wanted: np.ndarray) -> bool:
    return bool(np.abs(got - wanted).max() <= ALIKE * np.abs(wanted).max() + SMALLEST * ALIKE * np.abs(got).max())


def _part(slope: Slope, place: str) -> np.ndarray | None:
    """The gradient through one place of a parameter, by central differences in float64, or of the energies."""
    s = slope.setting
    if slope.name == "floor":
        return None if s is None or "ema" not in s.expected.cotangents else OF_ENERGIES[place](s)
    cotangent = None if s is None else s.expected.cotangents.get(ACTS.get(place, "ema"))
    if s is None or cotangent is None:
        return None
    if place == PAST:
        x, m, d = s.expected.stages["floor"], s.expected.stages["ema"], cotangent
        near = (d[..., 1:] * (x[..., 1:] - m[..., :-1])).sum(axis=(0, 2))
        inside = s.raw["s"] == s.held["s"]  # beyond a limit nothing flows back at all
        return np.asarray(slope.wanted - near * inside) if near.shape == slope.wanted.shape else None
    held = s.parameter(place)
    made = [s.compute(ACTS[place], {}, {place: as_taken(held + step)}) for step in (STEP, -STEP)]
    return np.asarray((cotangent * (made[0] - made[1])).sum(axis=(0, 2)) / (2 * STEP)).reshape(slope.wanted.shape)


def _at_the_first(s: Setting, power: int) -> np.ndarray:
    """The part of the first frame: through every state after it, or through the first state alone."""
    d = s.expected.cotangents["ema"]
    out = np.zeros_like(d)
    out[..., 0] = (d * gains(s)[1][:, np.newaxis] ** (np.arange(d.shape[-1]) + power)).sum(axis=-1)
    return out


# The ways from the energies that a cotangent may be lost on.
OF_ENERGIES: dict[str, Callable[[Setting], np.ndarray]] = {
    "the smoother": smoothed_back, "the first frame as the smoother's first state": lambda s: _at_the_first(s, 1),
    "the smoother of the first frame": lambda s: _at_the_first(s, 0),
}  # fmt: skip
PLACES["floor"] = tuple(OF_ENERGIES)


def severed(slopes: Sequence[Slope]) -> list[str]:
    """Say that nothing flows back to a variable, whatever else is wrong: of all cases."""
    free = [s for s in slopes if s.tie is NO_TIE and s.got.shape == s.wanted.shape and np.any(s.wanted)]
    if len(free) < 2:
        return []
    if not any(np.any(s.got) for s in free):
        return [NOTHING]
    return list(_no_column(free)) if free[0].name == canonical.KERNEL else []


def _no_column(slopes: Sequence[Slope]) -> Iterator[str]:
    for column, parameter in enumerate(("mu", "sigma")):
        if not any(np.any(s.got[:, column]) for s in slopes) and any(np.any(s.wanted[:, column]) for s in slopes):
            yield f"is zero for {parameter}: nothing flows back to it"


SHARES = {0.5: "half of the gradient", 0.0: "no gradient"}


def share(slope: Slope) -> float:
    """Measure which part of the gradient a little inside a limit comes back on it."""
    return round(_ratio(slope.got, slope.wanted), 2)


def _at_tie(slope: Slope) -> str:
    part = SHARES.get(share(slope), "another part of the gradient")
    return f"{part} at {slope.limit}, where TensorFlow's is whole"


def _elsewhere(slopes: Sequence[Slope]) -> Iterator[str]:
    if any(s.got.shape != s.wanted.shape for s in slopes):
        yield "has another shape"
        return
    got = np.concatenate([s.got.astype(np.float64).ravel() for s in slopes])
    wanted = np.concatenate([s.wanted.astype(np.float64).ravel() for s in slopes])
    if not np.any(got):
        yield NOTHING
        return
    if slopes[0].name == canonical.KERNEL and (found := list(_no_column(slopes))):
        yield from found
        return
    beyond = (wanted == 0) & (got != 0)
    if np.any(beyond) and not np.any(wanted[beyond]):
        yield f"{BEYOND}: {int(beyond.sum())} values, where TensorFlow's is"
    large = np.concatenate([_is_large(s.wanted).ravel() for s in slopes])
    if not np.any(large):
        return
    found = got[large] / wanted[large]
    if np.ptp(found) <= ALIKE * np.abs(found).max():
        factor = float(f"{np.median(found):.3g}")
        if factor != 1:
            yield "has the opposite sign" if factor == -1 else f"is {factor:g} times what it should be"
    elif not np.any(beyond):
        lost = float(np.mean(np.abs(found) < ALIKE))
        if lost > ALIKE:  # not one by chance
            yield f"{UNNAMED_TOO} {lost:.0%} of its values"
        else:
            yield f"{UNNAMED} {np.abs(found - 1).max():.2g} of itself"
