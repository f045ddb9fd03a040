"""Say what is wrong with a stage in a sentence: named hypotheses, each tried on what the port made of the cases.

A hypothesis is another formula or another value of a parameter (:mod:`parity.ports.alternatives`), a shift along time,
an offset, a factor, another order of filters, what :mod:`parity.ports.fits` reads off the values, or several of them.
It explains a case if what it leaves is rounding. A number that was fitted is a name only where every case is explained.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from parity.cases.case import Case
from parity.oracle.arrays import Array
from parity.ports.alternatives import LABELS
from parity.ports.departures import MOST_SHIFT, ROUNDING, Pair, channels
from parity.ports.fits import fitted, named, shape_law
from parity.ports.formulas import ORDER, Label, gains
from parity.ports.graph import upstream
from parity.ports.paddings import FURTHER, frames_apart

LESS = 1 / 32  # and of the departure itself
MOST_PAIRS = 8
MOST_NAMES = 4  # of one stage
MOST_TRIED = 2  # cases from which hypotheses are taken, if they explain nothing
NEAREST = 6  # labels that leave least, of which two are tried at once
UNKNOWN = "nothing tried explains it"
DIGITS = 4
MORE_DIGITS = 7  # of float32: for a power of two, which four do not tell
SHORTEST = 2.0**-8  # of the largest value: what bfloat16 leaves of it
STARTED = "starts from another state than the first frame, and is right from there on"
SHORT = 0xFFFF  # the bits of float32 that bfloat16 has not


@dataclass(frozen=True)
class Guess:
    """One hypothesis that explains a case.

    Attributes:
        formulas: other formulas and parameters.
        order: of the filters, where it is another.
        factor, offset, shift: beside them; 1, 0 and 0 where there is none.
        lacks: frames or samples that are missing at the end; below 0, that are there beyond it.
    """

    formulas: tuple[Label, ...] = ()
    factor: float = 1.0
    offset: float = 0.0
    shift: int = 0
    order: tuple[int, ...] = ()
    lacks: int = 0

    @property
    def is_fitted(self) -> bool:
        """Tell whether a number was chosen for it: one case, or few values, can be met by chance."""
        return (self.factor, self.offset, self.shift) != (1.0, 0.0, 0) or any(f.is_fitted for f in self.formulas)

    @property
    def cost(self) -> int:
        """Count what it says: the simpler explanation is the better."""
        beside = (
            (self.factor != 1) + (self.offset != 0) + 3 * (self.shift != 0) + 3 * (self.order != ()) + abs(self.lacks)
        )
        plain = sum(2 + 2 * label.is_fitted + bool(label.changes) for label in self.formulas)
        return plain + beside

    def sentences(self, stage: str) -> list[str]:
        """Each of its parts."""
        unit = "samples" if stage in ("conv", "modulus") else "taps" if stage in ("filters", "windows") else "frames"
        out = [f.sentence if f.stage == stage else f"{f.sentence} ({f.stage})" for f in self.formulas]
        if self.shift:
            way = "late" if self.shift > 0 else "early"
            out.append(f"is {abs(self.shift)} {unit if abs(self.shift) != 1 else unit[:-1]} {way}")
        if self.factor != 1:
            out.append(
                "has the opposite sign" if self.factor == -1 else f"is {named(self.factor)} times what it should be"
            )
        if self.lacks > 0:
            out.append(f"lacks the last {f'{self.lacks} {unit}' if self.lacks > 1 else unit[:-1]}")
        if self.order:
            out.append(f"has its filters in the order {', '.join(map(str, self.order))}")
        if self.offset:
            out.append(f"is {abs(self.offset):g} too {'large' if self.offset > 0 else 'small'} everywhere")
        return out


def explain(
    stage: str, pairs: Sequence[Pair], seen: Sequence[str], where: Callable[[Sequence[Case]], str] = lambda cases: ""
) -> list[str]:
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
    telling = sorted((p for p in pairs if p.tells and not _is_minor(p)), key=lambda p: p.got.size)
    out, chosen, left = digits(pairs), list[tuple[Guess, list[Pair]]](), list(telling)
    for _ in range(MOST_NAMES):
        best = _best(stage, left, seen)
        if best is None:
            break
        chosen.append((best, [p for p in left if _explains(best, stage, p)]))
        left = [p for p in left if p not in chosen[-1][1]]
    if left:  # a number that was fitted to some of the cases means nothing, and one case is met by chance
        by_chance = [each for each in chosen if each[0].is_fitted or len(each[1]) == 1]
        left += [p for _, explained in by_chance for p in explained]
        chosen = [each for each in chosen if each not in by_chance]
        minor = [each for each in chosen if 2 * len(each[1]) < len(telling) and not where([p.case for p in each[1]])]
        left += [p for _, explained in minor for p in explained]
        chosen = [each for each in chosen if each not in minor]
    if out and all(_departure(p) <= SHORTEST * np.abs(p.wanted).max() for p in left):
        left = []  # the digits that it has not
        if not chosen:
            return out
    for guess, explained in chosen:
        also = [p for p in telling if p in explained or _explains(guess, stage, p)]
        sentences = guess.sentences(stage)
        ending = where([p.case for p in also]) if len(also) < len(cases) or len(chosen) == 1 else where(cases)
        out += [s for n, s in enumerate([f"{s}{ending if not n else ''}" for n, s in enumerate(sentences)])
                if s not in out]  # fmt: skip
        out += [text for text in _moved(guess, explained) if text not in out]
    if left or not telling:
        told = [STARTED] if stage == "ema" and _follows_from_the_first(left) else _sizes(left or pairs, pairs)
        out += [s for s in (*shapes(pairs), *told) if s not in out] or [UNKNOWN]
    else:
        out += [sentence for sentence in shapes(pairs) if sentence not in out]
    return out


def _best(stage: str, left: Sequence[Pair], seen: Sequence[str]) -> Guess | None:
    """The hypothesis that explains most of these cases, the simplest of several.

    One that explains a small case is tried on the others; the next case is looked at where none explains them all, and
    numbers are read off the cases where no hypothesis does.
    """
    wide = [p for p in left if p.got.shape[-1] > 2 * MOST_SHIFT] or left  # one frame is explained by too much
    first = [*wide[:MOST_TRIED], *[p for p in wide[MOST_TRIED:] if p.got.shape != p.wanted.shape][:1]]
    counts: dict[Guess, int] = {}
    for pair in first:
        if max(counts.values(), default=0) < len(left):
            counts |= _counts([g for g in guesses(stage, pair, seen) if g not in counts], stage, left)
    if left and max(counts.values(), default=0) < len(left):
        read = [Guess((label,)) for name in _between(stage, seen, left[0]) for label in fitted(name, stage, left)]
        counts |= {guess: len(left) for guess in read if all(_explains(guess, stage, p) for p in left)}
    return max(counts, key=lambda g: (counts[g], -g.cost), default=None)


def _counts(found: Sequence[Guess], stage: str, left: Sequence[Pair]) -> dict[Guess, int]:
    """Count the cases that each hypothesis explains; what was fitted to one alone is none."""
    counts = {guess: sum(_explains(guess, stage, p) for p in left) for guess in dict.fromkeys(found)}
    return {guess: n for guess, n in counts.items() if n > 1 or (n and (len(left) == 1 or not guess.is_fitted))}


def _is_minor(pair: Pair) -> bool:
    """Tell whether it departs by less than a hypothesis may leave: one that changes nothing would explain it."""
    return pair.got.shape == pair.wanted.shape and _near(pair.got, pair.wanted, _allowed(pair, pair.got))


def _moved(guess: Guess, pairs: Sequence[Pair]) -> Iterator[str]:
    """Say how far frames lie from where they should be, if the hypothesis pads otherwise."""
    for label in guess.formulas:
        apart = [(frames_apart(label, p.setting), p.case.config.sample_rate) for p in pairs]
        known = [(n, rate) for n, rate in apart if n]
        if known:
            n, rate = max(known, key=lambda each: abs(each[0]) / each[1])
            yield f"frames lie up to {abs(n)} samples ({1000 * abs(n) / rate:.3g} ms) {'early' if n > 0 else 'late'}"


def guesses(stage: str, pair: Pair, seen: Sequence[str]) -> Iterator[Guess]:
    """Every hypothesis that explains one case; combinations only where none explains it by itself."""
    if pair.got.shape[:-1] != pair.wanted.shape[:-1] or _is_minor(pair):  # another number of filters, or other axes
        return
    between = _between(stage, seen, pair)
    labels = [label for name in between for label in LABELS.get(name, ())]
    found = list(_beside((), stage, pair))
    for label in labels:
        found += _beside((label,), stage, pair)
    if not found:
        for label in (label for name in between for label in FURTHER.get(name, ())):
            found += _beside((label,), stage, pair)
    if not found:
        nearest = sorted(labels, key=lambda label: _apart(_tried(pair, stage, (label,)), pair))[:NEAREST]
        for a, b in combinations(nearest, 2):
            if not (a.formulas.keys() & b.formulas.keys() or a.changes.keys() & b.changes.keys()):
                found += _beside((a, b), stage, pair)
    yield from found


def _apart(values: Array | None, pair: Pair) -> float:
    """Measure how far a hypothesis is from a case."""
    if values is None or values.shape != pair.got.shape or not np.isfinite(values).all():
        return float("inf")
    return float(np.abs(pair.got - values).mean())


def _explains(guess: Guess, stage: str, pair: Pair) -> bool:
    """Tell whether a hypothesis that explains some case explains this one."""
    values = _tried(pair, stage, guess.formulas)
    if values is None or not _comparable(values, pair):
        return False
    got, there = _overlap(values, pair, guess.shift)
    if guess.lacks and (there.shape[-1] - got.shape[-1]) * guess.lacks > 0:
        n = min(there.shape[-1], got.shape[-1])
        got, there = got[..., :n], there[..., :n]
    if got.shape != there.shape or not got.size:
        return False
    if guess.order:
        if len(guess.order) != there.shape[channels(stage)]:
            return False
        there = np.take(there, guess.order, axis=channels(stage))
    return _near(got, guess.factor * there + guess.offset, _allowed(pair, got))


def _between(stage: str, seen: Sequence[str], pair: Pair) -> list[str]:
    """The stages whose formula may be what departs at this one: itself, and what is not seen before it."""
    if pair.setting.grouped and stage == "pool":
        return []
    unseen = set(upstream(stage, until=seen)) - set(seen)
    return [name for name in reversed(ORDER) if name in unseen and name in pair.setting.expected.stages]


def _tried(pair: Pair, stage: str, labels: tuple[Label, ...]) -> Array | None:
    """The stage with these formulas; None where this case does not have them, as a clip shorter than a window."""
    if labels not in pair.tried:
        try:
            with np.errstate(all="ignore"):
                formulas = {name: f for label in labels for name, f in label.formulas.items()}
                changes = {name: f for label in labels for name, f in label.changes.items()}
                pair.tried[labels] = pair.setting.compute(stage, formulas, changes) if labels else pair.wanted
        except (ValueError, IndexError, KeyError):
            pair.tried[labels] = None
    return pair.tried[labels]


def _comparable(values: Array, pair: Pair) -> bool:
    return values.ndim == pair.got.ndim and values.shape[:-1] == pair.got.shape[:-1]


def _overlap(values: Array, pair: Pair, shift: int) -> tuple[Array, Array]:
    """The port's values and those of a hypothesis, where both are."""
    if shift == 0:
        return pair.got, values
    n = max(min(values.shape[-1], pair.got.shape[-1]) - abs(shift), 0)
    return pair.got[..., max(shift, 0) : max(shift, 0) + n], values[..., max(-shift, 0) : max(-shift, 0) + n]


def _near(got: Array, there: Array, allowed: Array) -> bool:
    """Tell whether two arrays differ by no more than is allowed, and are NaN in the same places."""
    with np.errstate(invalid="ignore"):
        return bool(((np.abs(got - there) <= allowed) | (np.isnan(got) & np.isnan(there)) | (got == there)).all())


def _allowed(pair: Pair, got: Array) -> Array:
    """Bound what a hypothesis that is right may leave, of each value."""
    scale = float(np.abs(got[np.isfinite(got)]).max(initial=0))
    everywhere = min(max(ROUNDING * scale, 4 * pair.rounding), LESS * _departure(pair))
    alike = pair.errors is not None and pair.errors.shape == got.shape
    allowed = np.maximum(everywhere, pair.errors if alike and pair.errors is not None else 0.0)
    return np.asarray(np.broadcast_to(allowed, got.shape))


def _beside(formulas: tuple[Label, ...], stage: str, pair: Pair) -> Iterator[Guess]:
    """The values as they are, or shifted, with a factor and an offset."""
    values = _tried(pair, stage, formulas)
    if values is None or not _comparable(values, pair):
        return
    if formulas and values.shape == pair.wanted.shape and np.array_equal(values, pair.wanted):
        return
    plain = list(_affine(formulas, stage, values, pair, 0))
    yield from plain
    if plain or formulas:
        return
    for shift in range(-MOST_SHIFT, MOST_SHIFT + 1):
        if shift and values.shape[-1] > 2 * MOST_SHIFT:
            yield from _affine(formulas, stage, values, pair, shift)


def _affine(formulas: tuple[Label, ...], stage: str, values: Array, pair: Pair, shift: int) -> Iterator[Guess]:
    got, there = _overlap(values, pair, shift)
    allowed = _allowed(pair, got)
    lacks = there.shape[-1] - got.shape[-1]
    n = min(there.shape[-1], got.shape[-1])
    if shift == 0 and lacks and n > MOST_SHIFT and _near(got[..., :n], there[..., :n], allowed[..., :n]):
        yield Guess(formulas, lacks=lacks if abs(lacks) <= MOST_SHIFT else int(np.sign(lacks)))
    if got.shape != there.shape or not got.size:
        return

    def fits(factor: float, offset: float) -> bool:
        return _near(got, factor * there + offset, allowed)

    if (formulas or shift) and fits(1.0, 0.0):
        yield Guess(formulas, shift=shift)
    if not np.isfinite(got).all() or not np.isfinite(there).all():
        return
    offset = _short(float(np.median(got - there)))
    if abs(offset) > np.median(allowed) and fits(1.0, offset):
        yield Guess(formulas, offset=offset, shift=shift)
        return
    if fits(1.0, 0.0) or not np.any(there):
        return
    exact_factor = float(np.vdot(there, got) / np.vdot(there, there))
    for factor in (_short(exact_factor), _short(exact_factor, MORE_DIGITS)):
        if factor not in (0.0, 1.0) and got.size > 1 and fits(factor, 0.0):
            yield Guess(formulas, factor=factor, shift=shift)
            return
    if got.size > 2 and np.ptp(there) > 0:
        centred = there - there.mean()
        factor = _short(float(np.vdot(centred, got) / np.vdot(centred, centred)))
        offset = _short(float((got - factor * there).mean()))
        if factor not in (0.0, 1.0) and offset and fits(factor, offset):
            yield Guess(formulas, factor=factor, offset=offset, shift=shift)
    order = _order(got, there, channels(stage))
    if order is not None and not formulas and (np.abs(got - np.take(there, order, channels(stage))) <= allowed).all():
        yield Guess(shift=shift, order=tuple(int(c) for c in order))


def _order(got: Array, there: Array, axis: int) -> np.ndarray | None:
    """Find where each filter of the port is in the reference; None where all are in place or one is nowhere."""
    if got.shape[axis] < 2:
        return None
    a, b = (np.moveaxis(x, axis, 0).reshape(x.shape[axis], -1) for x in (got, there))
    nearest = np.array([int(np.abs(b - row).sum(axis=1).argmin()) for row in a])
    moved = sorted(nearest) == list(range(len(a))) and list(nearest) != list(range(len(a)))
    return nearest if moved else None


def digits(pairs: Sequence[Pair]) -> list[str]:
    """Say that a stage has no more digits than a shorter type, if all of its values are of one."""
    with np.errstate(over="ignore"):
        values = np.concatenate([p.got.ravel() for p in pairs]).astype(np.float32)
    values = values[np.isfinite(values) & (values != 0)]
    if len(set(values.tolist())) <= MOST_PAIRS:
        return []
    if not (values.view(np.uint32) & SHORT).any():
        return ["has no more digits than bfloat16"]
    with np.errstate(over="ignore"):
        return ["has no more digits than float16"] if (values.astype(np.float16) == values).all() else []


def shapes(pairs: Sequence[Pair]) -> list[str]:
    """Describe a stage that has another number of frames, samples or taps."""
    more = sorted(
        {a - b for p in pairs if p.got.ndim == p.wanted.ndim for a, b in [(p.got.shape[-1], p.wanted.shape[-1])]}
    )
    if not more or more == [0]:
        p = pairs[0]
        return [f"has shape {p.got.shape}, must have {p.wanted.shape}"] if p.got.shape != p.wanted.shape else []
    if law := shape_law(pairs):
        return [law]
    sizes = [f"{abs(n)} too {'long' if n > 0 else 'short'}" for n in more if n]
    return [f"is {' or '.join(sizes)} on its last axis"]


def _window(pairs: Sequence[Pair]) -> str:
    """Say how much longer a window is in ms, if that is one number at all sample rates."""
    if any(p.wanted.shape[-1] != p.setting.window or p.got.shape[-1] == p.setting.window for p in pairs):
        return ""
    for tenths in sorted(range(-50, 51), key=abs):
        lengths = [(p.case.config.sample_rate, p.case.config.window_len + tenths / 10) for p in pairs]
        if tenths and all(
            p.got.shape[-1] == int(rate * ms // 1000 + 1) for p, (rate, ms) in zip(pairs, lengths, strict=True)
        ):
            return f"is made for a window {abs(tenths) / 10:g} ms {'longer' if tenths > 0 else 'shorter'}"
    taps = {p.got.shape[-1] - p.setting.window for p in pairs}
    if len(taps) == 1:
        n = taps.pop()
        return f"is made for a window of {abs(n)} {'taps' if abs(n) > 1 else 'tap'} {'more' if n > 0 else 'less'}"
    return ""


def _sizes(pairs: Sequence[Pair], all_pairs: Sequence[Pair]) -> list[str]:
    largest = 0.0
    for p in pairs:
        if p.got.ndim == p.wanted.ndim and (scale := float(np.abs(p.wanted).max(initial=0))):
            largest = max(largest, _departure(p) / scale)
    if not all(np.isfinite(p.got).all() for p in pairs):
        return ["is not finite"]
    if 0 < largest <= ROUNDING:
        return [f"rounds more than its operations explain, {largest:.2g} of its largest value"]
    some = f" in {len(pairs)} of {len(all_pairs)} cases" if len(pairs) < len(all_pairs) else ""
    return [f"departs by up to {largest:.2g} of its largest value{some}; {UNKNOWN}"]


def _follows_from_the_first(pairs: Sequence[Pair]) -> bool:
    """Tell whether a smoother does what it should with the state before, whatever its first one was."""
    for p in pairs:
        if p.got.shape != p.wanted.shape or not np.isfinite(p.got).all():
            return False
        of_frame, of_state = (g[:, np.newaxis] for g in gains(p.setting)) if p.setting.is_trained("ema") else (0, 0)
        x = {**p.setting.expected.stages, **p.setting.given}["floor"]
        there = of_frame * x[..., 1:] + of_state * p.got[..., :-1]
        if not _near(p.got[..., 1:], there, np.asarray(ROUNDING * np.abs(p.got).max())):
            return False
    return any(p.got.shape[-1] > MOST_SHIFT for p in pairs)


def rounds(pairs: Sequence[Pair]) -> bool:
    """Tell whether what departs is no more than rounding is taken for here."""
    return all(p.got.shape == p.wanted.shape and _departure(p) <= ROUNDING * np.abs(p.wanted).max() for p in pairs)


def _departure(pair: Pair) -> float:
    if pair.got.ndim != pair.wanted.ndim:
        return float("inf")
    with np.errstate(invalid="ignore"):
        apart = np.abs(pair.got[pair.shared] - pair.wanted[pair.shared])
    return float(apart[np.isfinite(apart)].max(initial=0)) or float("inf")


def _short(value: float, digits: int = DIGITS) -> float:
    return float(f"{value:.{digits}g}")
