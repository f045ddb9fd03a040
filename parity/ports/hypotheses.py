"""Say what is wrong with a stage in a sentence, by hypotheses that are tried on what the port made of the cases.

A hypothesis is a row, or two: another formula or another value of a parameter (:mod:`parity.ports.alternatives`,
:mod:`parity.ports.fits`). Beside the rows may stand a factor, an offset, a shift along time, another order of filters
or missing frames, whose numbers are read off one case. All of them go through one loop: what explains most cases is
named, the simplest of several, and what is left is explained by another. A case is explained where nothing but
rounding is left. What explains a few cases by chance, or no better than another sentence does, is not named.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np

from parity.cases.case import Case
from parity.oracle.arrays import Array
from parity.ports.alternatives import FURTHER, ROWS, frames_apart
from parity.ports.fits import fitted, named, shape_law
from parity.ports.formulas import MOST_SHIFT, ORDER, ROUNDING, Pair, Row, channels, gains, near, upstream

MOST_NAMES = 4  # of one stage
MOST_TRIED = 2  # cases from which hypotheses are taken, if they explain nothing
NEAREST = 6  # rows that leave least, of which two are tried at once
FEWEST = 3  # cases that have the axis, by which one index of it is told from chance
FEW_VALUES = 8  # too few to say how many digits they have
DIGITS = (4, 7)  # of a factor; float32's own for a power of two, which four do not tell
SAME = 2.0**-40  # of the largest value: what float64 leaves of one function, written in two ways
SHORTEST = 2.0**-8  # of the largest value: what bfloat16 leaves of it
SHORT = 0xFFFF  # the bits of float32 that bfloat16 has not
UNKNOWN = "nothing tried explains it"
STARTED = "starts from another state than the first frame, and is right from there on"
Where = Callable[[Sequence[Case]], str]


@dataclass(frozen=True)
class Hypothesis:
    """Hold one guess of what a port makes of a stage.

    Attributes:
        rows: other formulas and parameters.
        factor, offset, shift: beside them; 1, 0 and 0 where there is none.
        order: of the filters, where it is another.
        lacks: frames or samples that are missing at the end; below 0, that are there beyond it.
    """

    rows: tuple[Row, ...] = ()
    factor: float = 1.0
    offset: float = 0.0
    shift: int = 0
    order: tuple[int, ...] = ()
    lacks: int = 0

    @property
    def is_fitted(self) -> bool:
        """Tell whether a number was chosen for it: one case, or few values, can be met by chance."""
        return (self.factor, self.offset, self.shift) != (1.0, 0.0, 0) or any(row.is_fitted for row in self.rows)

    @property
    def cost(self) -> int:
        """Count what it says: the simpler explanation is the better."""
        beside = (self.factor != 1) + (self.offset != 0) + 3 * (self.shift != 0) + 3 * (self.order != ())
        return beside + abs(self.lacks) + sum(2 + 2 * row.is_fitted + bool(row.changes) for row in self.rows)

    def explains(self, stage: str, pair: Pair) -> bool:
        """Tell whether it leaves no more than rounding of a case."""
        compared = self._compared(stage, pair)
        return compared is not None and near(*compared)

    def is_told_from(self, other: Hypothesis, stage: str, pair: Pair) -> bool:
        """Tell whether two that explain a case are other functions there: not one said in two ways."""
        one, two = self._compared(stage, pair), other._compared(stage, pair)
        if one is None or two is None or one[1].shape != two[1].shape:
            return one is not two
        return not near(one[1], two[1], SAME * np.abs(one[1]).max())

    def _compared(self, stage: str, pair: Pair) -> tuple[Array, Array, Array] | None:
        """The port's values, its own and what may lie between, where all are."""
        compared = _overlap(pair, pair.by(stage, self.rows), self.shift, self.lacks)
        if compared is None or (self.order and len(self.order) != compared[1].shape[channels(stage)]):
            return None
        got, there, allowed = compared
        there = np.take(there, self.order, channels(stage)) if self.order else there
        return got, self.factor * there + self.offset, allowed

    def sentences(self, stage: str) -> list[str]:
        """Each of its parts."""
        out = [row.sentence if row.stage == stage else f"{row.sentence} ({row.stage})" for row in self.rows]
        if self.shift:
            out.append(f"is {_counted(abs(self.shift), stage)} {'late' if self.shift > 0 else 'early'}")
        if self.factor != 1:
            times = f"is {named(self.factor)} times what it should be"
            out.append("has the opposite sign" if self.factor == -1 else times)
        if self.lacks > 0:
            out.append(f"lacks the last {_counted(self.lacks, stage).removeprefix('1 ')}")
        if self.order:
            out.append(f"has its filters in the order {', '.join(map(str, self.order))}")
        if self.offset:
            out.append(f"is {abs(self.offset):g} too {'large' if self.offset > 0 else 'small'} everywhere")
        return out


def explain(stage: str, pairs: Sequence[Pair], seen: Sequence[str], where: Where = lambda cases: "") -> list[str]:
    """Find sentences that together explain what departs at a stage.

    Args:
        stage: where.
        pairs: the cases that depart.
        seen: the stages that were forced; what lies unseen before the stage is tried as well.
        where: says what cases have in common that no other has.
    """
    cases = [pair.case for pair in pairs]
    if window := _window(pairs):
        return [window + where(cases)]
    telling = sorted((p for p in pairs if p.tells and not p.is_minor), key=lambda p: p.got.size)
    out, (chosen, left) = digits(pairs), _chosen(stage, telling, seen, where)
    if out and all(p.departure <= SHORTEST * np.abs(p.wanted).max() for p in left):
        left = []  # the digits that it has not
        if not chosen:
            return out
    for each in chosen:
        also = [p for p in telling if p in each.cases or each.best.explains(stage, p)]
        first, *rest = each.sentences(stage)
        ending = where([p.case for p in also]) if len(also) < len(cases) or len(chosen) == 1 else where(cases)
        out += [first + ending, *rest, *_moved(each.best, each.cases)]
    if left and not chosen and (part := _alone(stage, left)):
        text, cut = part
        found, unexplained = _chosen(stage, [p.cut(cut) for p in left], seen, where)
        told = _sizes(left, pairs) if unexplained else [s for each in found for s in each.sentences(stage)]
        return [*out, f"{text} alone {'; '.join(told)}"]
    out += shapes(pairs)
    if left or not telling:
        out += [STARTED] if stage == "ema" and _follows_from_the_first(left) else _sizes(left or pairs, pairs)
    return list(dict.fromkeys(out)) or [UNKNOWN]


@dataclass
class _Choice:
    """A hypothesis, the cases that it was chosen for, and others that explain them as well and say no more."""

    best: Hypothesis
    cases: list[Pair]
    others: list[Hypothesis] = field(default_factory=list)

    def sentences(self, stage: str) -> list[str]:
        """The sentences of the best, or of all where nothing tells them apart."""
        told = ["; ".join(h.sentences(stage)) for h in self.others]
        first, *rest = self.best.sentences(stage)
        return [" or ".join(["; ".join([first, *rest]), *told])] if told else [first, *rest]


def _chosen(stage: str, telling: Sequence[Pair], seen: Sequence[str], where: Where) -> tuple[list[_Choice], list[Pair]]:
    """Choose hypotheses one after the other, each for the cases that are left, and list what none explains."""
    chosen, left = list[_Choice](), list(telling)
    while left and len(chosen) < MOST_NAMES and (best := _best(stage, left, seen)):
        chosen.append(_Choice(best[0], [p for p in left if best[0].explains(stage, p)], best[1:]))
        left = [p for p in left if p not in chosen[-1].cases]
    if left:  # a number that was fitted to some of the cases means nothing, one case or a few are met by chance
        chosen = [
            each for each in chosen
            if len(each.cases) > 1 and not each.best.is_fitted
            and (2 * len(each.cases) >= len(telling) or where([p.case for p in each.cases]))
        ]  # fmt: skip
        left = [p for p in telling if not any(p in each.cases for each in chosen)]
    return chosen, left


def _best(stage: str, left: Sequence[Pair], seen: Sequence[str]) -> list[Hypothesis]:
    """The hypothesis that explains most of these cases, the simplest of several; others that nothing tells from it.

    One that explains a small case is tried on the others; the next case is looked at where none explains them all, and
    numbers are read off the cases where no hypothesis does.
    """
    wide = [p for p in left if p.got.shape[-1] > 2 * MOST_SHIFT] or left  # one frame is explained by too much
    first = [*wide[:MOST_TRIED], *[p for p in wide[MOST_TRIED:] if not p.is_alike][:1]]
    counts: dict[Hypothesis, int] = {}
    for pair in first:
        if max(counts.values(), default=0) < len(left):
            new = [h for h in dict.fromkeys(hypotheses(stage, pair, seen)) if h not in counts]
            tried = {h: sum(h.explains(stage, p) for p in left) for h in new}
            # what was fitted to one case alone is none
            counts |= {h: n for h, n in tried.items() if n > 1 or (n and (len(left) == 1 or not h.is_fitted))}
    if max(counts.values(), default=0) < len(left) and not left[0].part:
        read = [Hypothesis((row,)) for name in _between(stage, seen, left[0]) for row in fitted(name, stage, left)]
        counts |= {h: len(left) for h in read if all(h.explains(stage, p) for p in left)}
    ranks = {h: (-n, h.cost) for h, n in counts.items()}
    equal = [h for h, rank in ranks.items() if rank == min(ranks.values())]
    explained = [p for p in left if equal and equal[0].explains(stage, p)]
    return [h for h in equal if h is equal[0] or any(h.is_told_from(equal[0], stage, p) for p in explained)]


def hypotheses(stage: str, pair: Pair, seen: Sequence[str]) -> list[Hypothesis]:
    """Every hypothesis that explains one case; further ones and pairs only where none explains it by itself."""
    if pair.got.shape[:-1] != pair.wanted.shape[:-1] or pair.is_minor:  # another number of filters, or other axes
        return []
    between = _between(stage, seen, pair)
    rows = [row for name in between for row in ROWS.get(name, ())]

    def two_at_once() -> Iterator[tuple[Row, ...]]:
        nearest = sorted(rows, key=lambda row: _apart(pair.by(stage, (row,)), pair))[:NEAREST]
        for a, b in combinations(nearest, 2):
            if not (a.formulas.keys() & b.formulas.keys() or a.changes.keys() & b.changes.keys()):
                yield a, b

    tiers: tuple[Callable[[], Iterable[tuple[Row, ...]]], ...] = (
        lambda: [(), *((row,) for row in rows)],
        lambda: ((row,) for name in between for row in FURTHER.get(name, ())),
        two_at_once,
    )
    for tier in tiers:
        if found := [h for rows in tier() for h in _beside(rows, stage, pair)]:
            return found
    return []


def _beside(rows: tuple[Row, ...], stage: str, pair: Pair) -> Iterator[Hypothesis]:
    """The rows as they are, or with something beside them, if that explains the case; shifted if nothing else does."""
    values = pair.by(stage, rows)
    if values is None or (rows and values.shape == pair.wanted.shape and np.array_equal(values, pair.wanted)):
        return
    found = False
    for shift in sorted(range(-MOST_SHIFT, MOST_SHIFT + 1), key=abs):
        if shift and (found or rows or values.shape[-1] <= 2 * MOST_SHIFT):
            return
        guesses = _numbers(rows, stage, pair, values, shift)
        best = next((h for h in guesses if h.explains(stage, pair)), None)
        if best is not None:
            yield best
            found = found or not shift


def _numbers(rows: tuple[Row, ...], stage: str, pair: Pair, values: Array, shift: int) -> Iterator[Hypothesis]:
    """Read off a case what may stand beside rows, the simplest first."""
    lacks = values.shape[-1] - pair.got.shape[-1]
    if lacks and not shift and min(values.shape[-1], pair.got.shape[-1]) > MOST_SHIFT:
        yield Hypothesis(rows, lacks=lacks if abs(lacks) <= MOST_SHIFT else int(np.sign(lacks)))
    compared = _overlap(pair, values, shift)
    if compared is None:
        return
    got, there, allowed = compared
    if rows or shift:
        yield Hypothesis(rows, shift=shift)
    if not np.isfinite(got).all() or not np.isfinite(there).all():
        return
    offset = _short(float(np.median(got - there)))
    if abs(offset) > np.median(allowed):
        yield Hypothesis(rows, offset=offset, shift=shift)
    if np.any(there) and got.size > 1:
        factor = float(np.vdot(there, got) / np.vdot(there, there))
        for short in (_short(factor, n) for n in DIGITS):
            if short not in (0.0, 1.0):
                yield Hypothesis(rows, factor=short, shift=shift)
    if got.size > 2 and np.ptp(there) > 0:
        centred = there - there.mean()
        factor = _short(float(np.vdot(centred, got) / np.vdot(centred, centred)))
        offset = _short(float((got - factor * there).mean()))
        if factor not in (0.0, 1.0) and offset:
            yield Hypothesis(rows, factor, offset, shift)
    if not rows and (order := _order(got, there, channels(stage))):
        yield Hypothesis(shift=shift, order=order)


def _order(got: Array, there: Array, axis: int) -> tuple[int, ...]:
    """Find where each filter of the port is in the reference; empty where all are in place or one is nowhere."""
    a, b = (np.moveaxis(x, axis, 0).reshape(x.shape[axis], -1) for x in (got, there))
    nearest = tuple(int(np.abs(b - row).sum(axis=1).argmin()) for row in a)
    in_place = tuple(range(len(a)))
    return nearest if nearest != in_place and tuple(sorted(nearest)) == in_place else ()


def _overlap(pair: Pair, values: Array | None, shift: int, lacks: int = 0) -> tuple[Array, Array, Array] | None:
    """The port's values, those of a hypothesis and what may lie between, where all are; None where they cannot be."""
    got = pair.got
    if values is None or values.ndim != got.ndim or values.shape[:-1] != got.shape[:-1]:
        return None
    n = min(values.shape[-1], got.shape[-1])
    if shift:
        n = max(n - abs(shift), 0)
        got, values = got[..., max(shift, 0) :][..., :n], values[..., max(-shift, 0) :][..., :n]
    elif lacks * (values.shape[-1] - got.shape[-1]) > 0:
        got, values = got[..., :n], values[..., :n]
    return (got, values, pair.allowed_of(got)) if got.shape == values.shape and got.size else None


def _apart(values: Array | None, pair: Pair) -> float:
    """Measure how far a row is from a case."""
    if values is None or values.shape != pair.got.shape or not np.isfinite(values).all():
        return float("inf")
    return float(np.abs(pair.got - values).mean())


def _between(stage: str, seen: Sequence[str], pair: Pair) -> list[str]:
    """The stages whose formula may be what departs at this one: itself, and what is not seen before it."""
    if pair.setting.grouped and stage == "pool":
        return []
    unseen = set(upstream(stage, until=seen)) - set(seen)
    return [name for name in reversed(ORDER) if name in unseen and name in pair.setting.expected.stages]


def _alone(stage: str, pairs: Sequence[Pair]) -> tuple[str, tuple[slice, ...]] | None:
    """Find one filter, clip or frame outside of which nothing departs, counted from either end, in words and to cut."""
    if not all(p.is_alike for p in pairs):
        return None
    axes = {"filter": channels(stage), **({"clip": 0} if channels(stage) else {}), _unit(stage): pairs[0].got.ndim - 1}
    for what, axis in axes.items():
        sizes = [p.got.shape[axis] for p in pairs]
        off = [np.flatnonzero(p.off.any(axis=tuple({*range(p.off.ndim)} - {axis}))) for p in pairs]
        if sum(n > 1 for n in sizes) < FEWEST or any(len(each) != 1 for each in off):
            continue
        if len({int(n) for (n,) in off}) == 1:
            n = int(off[0][0])
            return f"{what} {n}", (*[slice(None)] * axis, slice(n, n + 1))
        if all(n == size - 1 for (n,), size in zip(off, sizes, strict=True)):
            return f"the last {what}", (*[slice(None)] * axis, slice(-1, None))
    return None


def _moved(hypothesis: Hypothesis, pairs: Sequence[Pair]) -> Iterator[str]:
    """Say how far frames lie from where they should be, if the hypothesis pads otherwise."""
    for row in hypothesis.rows:
        apart = [(frames_apart(row, p.setting), p.case.config.sample_rate) for p in pairs]
        n, rate = max(apart, key=lambda each: abs(each[0]) / each[1])
        if n:
            yield f"frames lie up to {abs(n)} samples ({1000 * abs(n) / rate:.3g} ms) {'early' if n > 0 else 'late'}"


def digits(pairs: Sequence[Pair]) -> list[str]:
    """Say that a stage has no more digits than a shorter type, if all of its values are of one."""
    with np.errstate(over="ignore"):
        values = np.concatenate([p.got.ravel() for p in pairs]).astype(np.float32)
        values = values[np.isfinite(values) & (values != 0)]
        if len(set(values.tolist())) <= FEW_VALUES:
            return []
        if not (values.view(np.uint32) & SHORT).any():
            return ["has no more digits than bfloat16"]
        return ["has no more digits than float16"] if (values.astype(np.float16) == values).all() else []


def shapes(pairs: Sequence[Pair]) -> list[str]:
    """Describe a stage that has another number of frames, samples or taps."""
    more = sorted({p.got.shape[-1] - p.wanted.shape[-1] for p in pairs if p.got.ndim == p.wanted.ndim})
    if not more or more == [0]:
        p = pairs[0]
        return [] if p.is_alike else [f"has shape {p.got.shape}, must have {p.wanted.shape}"]
    if law := shape_law(pairs):
        return [law]
    sizes = [f"{abs(n)} too {'long' if n > 0 else 'short'}" for n in more if n]
    return [f"is {' or '.join(sizes)} on its last axis"]


def _window(pairs: Sequence[Pair]) -> str:
    """Say how much longer a window is in ms, if that is one number at all sample rates."""
    if any(p.wanted.shape[-1] != p.setting.window or p.got.shape[-1] == p.setting.window for p in pairs):
        return ""
    for tenths in sorted(range(-50, 51), key=abs):
        lengths = [int(p.case.config.sample_rate * (p.case.config.window_len + tenths / 10) // 1000 + 1) for p in pairs]
        if tenths and lengths == [p.got.shape[-1] for p in pairs]:
            return f"is made for a window {abs(tenths) / 10:g} ms {'longer' if tenths > 0 else 'shorter'}"
    taps = {p.got.shape[-1] - p.setting.window for p in pairs}
    n = taps.pop()
    return "" if taps else f"is made for a window of {_counted(abs(n), 'windows')} {'more' if n > 0 else 'less'}"


def _sizes(pairs: Sequence[Pair], all_pairs: Sequence[Pair]) -> list[str]:
    """Describe what nothing explains by its size."""
    if not all(np.isfinite(p.got).all() for p in pairs):
        return ["is not finite"]
    scales = [(p, float(np.abs(p.wanted).max(initial=0))) for p in pairs if p.got.ndim == p.wanted.ndim]
    sizes = [p.departure / scale for p, scale in scales if scale]
    largest = max(filter(np.isfinite, sizes), default=0.0)
    if 0 < largest <= ROUNDING:
        return [f"rounds more than its operations explain, {largest:.2g} of its largest value"]
    some = f" in {len(pairs)} of {len(all_pairs)} cases" if len(pairs) < len(all_pairs) else ""
    return [f"departs by up to {largest:.2g} of its largest value{some}; {UNKNOWN}"]


def _follows_from_the_first(pairs: Sequence[Pair]) -> bool:
    """Tell whether a smoother does what it should with the state before, whatever its first one was."""
    for p in pairs:
        if not p.is_alike or not np.isfinite(p.got).all():
            return False
        of_frame, of_state = (g[:, np.newaxis] for g in gains(p.setting)) if p.setting.is_trained("ema") else (0, 0)
        x = {**p.setting.expected.stages, **p.setting.given}["floor"]
        there = of_frame * x[..., 1:] + of_state * p.got[..., :-1]
        if not near(p.got[..., 1:], there, ROUNDING * np.abs(p.got).max()):
            return False
    return any(p.got.shape[-1] > MOST_SHIFT for p in pairs)


def rounds(pairs: Sequence[Pair]) -> bool:
    """Tell whether what departs is no more than rounding is taken for here."""
    return all(p.is_alike and p.departure <= ROUNDING * np.abs(p.wanted).max() for p in pairs)


def _unit(stage: str) -> str:
    """Name what the last axis of a stage counts."""
    return "sample" if stage in ("conv", "modulus") else "tap" if stage in ("filters", "windows") else "frame"


def _counted(n: int, stage: str) -> str:
    return f"{n} {_unit(stage)}{'s' * (n != 1)}"


def _short(value: float, digits: int = DIGITS[0]) -> float:
    return float(f"{value:.{digits}g}")
