"""Say what is wrong with a stage in a sentence: named hypotheses, each tried on what the port made of a few cases.

A hypothesis is another formula (:data:`parity.ports.others.OTHERS`), a shift along time, an offset, a factor, another
order of filters, another limit of a parameter, or several of them. It explains a case if what it leaves is rounding.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from parity.oracle.arrays import Array
from parity.ports.formulas import ORDER
from parity.ports.graph import upstream
from parity.ports.limits import limits
from parity.ports.others import FURTHER, OTHERS, frames_apart
from parity.ports.pairs import MOST_SHIFT, ROUNDING, Labels, Pair, channels

LESS = 1 / 32  # and of the departure itself
MOST_PAIRS = 8
FEW = 2  # cases by which what was fitted to one of them cannot be told from chance
DIGITS = 4
MORE_DIGITS = 7  # of float32: for a power of two, which four do not tell
SHORT = 0xFFFF  # the bits of float32 that bfloat16 has not


@dataclass(frozen=True)
class Guess:
    """One hypothesis that explains a case.

    Attributes:
        formulas: each the end of a sentence, and the stage that it is about.
        order: of the filters, where it is another.
        factor, offset, shift: beside them; 1, 0 and 0 where there is none.
        lacks: frames or samples that are missing at the end.
    """

    formulas: Labels = ()
    factor: float = 1.0
    offset: float = 0.0
    shift: int = 0
    order: tuple[int, ...] = ()
    lacks: int = 0

    @property
    def is_fitted(self) -> bool:
        """Tell whether a number was chosen for it: one case, or few values, can be met by chance."""
        return (self.factor, self.offset, self.shift) != (1.0, 0.0, 0)

    @property
    def cost(self) -> int:
        """Count what it says: the simpler explanation is the better."""
        beside = (self.factor != 1) + (self.offset != 0) + 3 * (self.shift != 0) + 3 * (self.order != ()) + self.lacks
        return 2 * len(self.formulas) + beside

    def sentences(self, stage: str) -> list[str]:
        """Each of its parts."""
        unit = "samples" if stage in ("conv", "modulus") else "taps" if stage in ("filters", "windows") else "frames"
        out = [sentence if name == stage else f"{sentence} ({name})" for sentence, name in self.formulas]
        if self.shift:
            way = "late" if self.shift > 0 else "early"
            out.append(f"is {abs(self.shift)} {unit if abs(self.shift) != 1 else unit[:-1]} {way}")
        if self.factor != 1:
            out.append(
                "has the opposite sign"
                if self.factor == -1
                else f"is {self.factor:.{DIGITS + 1}g} times what it should be"
            )
        if self.lacks:
            out.append(f"lacks the last {f'{self.lacks} {unit}' if self.lacks > 1 else unit[:-1]}")
        if self.order:
            out.append(f"has its filters in the order {', '.join(map(str, self.order))}")
        if self.offset:
            out.append(f"is {abs(self.offset):g} too {'large' if self.offset > 0 else 'small'} everywhere")
        return out


def explain(stage: str, pairs: Sequence[Pair], seen: Sequence[str]) -> list[str]:
    """Find sentences that together explain what departs at a stage.

    Args:
        stage: where.
        pairs: the cases that depart.
        seen: the stages that were forced; what lies unseen before the stage is tried as well.
    """
    if window := _window(pairs):
        return [window]
    telling = sorted((p for p in pairs if p.tells), key=lambda p: p.got.size)
    wide = [p for p in telling if p.got.shape[-1] > 2 * MOST_SHIFT] or telling  # one frame is explained by too much
    chosen = [*wide[: MOST_PAIRS - 2], *[p for p in wide[MOST_PAIRS - 2 :] if p.got.shape != p.wanted.shape][:2]]
    proposed = dict.fromkeys(guess for pair in chosen for guess in guesses(stage, pair, seen))
    explained = {guess: {n for n, pair in enumerate(chosen) if _explains(guess, stage, pair)} for guess in proposed}
    if len(chosen) > FEW:
        explained = {guess: cases for guess, cases in explained.items() if len(cases) > 1 or not guess.is_fitted}
    left, out = set(range(len(chosen))), digits(pairs)
    while left and explained:
        best = max(explained, key=lambda g: (len(explained[g] & left), -g.cost))
        if not explained[best] & left:
            break
        out += [sentence for sentence in best.sentences(stage) if sentence not in out]
        out += [text for text in _moved(best, [chosen[n] for n in explained[best]]) if text not in out]
        left -= explained[best]
    if chosen and not left:
        out += [sentence for sentence in shapes(pairs) if sentence not in out]
    else:
        found = limits(stage, chosen) or shapes(pairs) or _sizes([chosen[n] for n in left] or list(pairs))
        out += [sentence for sentence in found if sentence not in out]
    return out


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
    if pair.got.shape[:-1] != pair.wanted.shape[:-1]:  # another number of filters or clips, or other axes
        return
    if pair.got.shape == pair.wanted.shape and _near(pair.got, pair.wanted, _allowed(pair, pair.got)):
        return  # it departs by less than a hypothesis may leave: one that changes nothing would explain it
    labels = [(sentence, name) for name in _between(stage, seen, pair) for sentence in OTHERS[name]]
    found = list(_beside((), stage, pair))
    for label in labels:
        found += _beside((label,), stage, pair)
    if not found:
        further = [(sentence, name) for name in _between(stage, seen, pair) for sentence in FURTHER.get(name, ())]
        for label in further:
            found += _beside((label,), stage, pair)
    if not found:
        for a, b in combinations(labels, 2):
            if a[1] != b[1]:
                found += _beside((a, b), stage, pair)
    yield from found


def _explains(guess: Guess, stage: str, pair: Pair) -> bool:
    """Tell whether a hypothesis that explains some case explains this one."""
    values = _tried(pair, stage, guess.formulas)
    if values is None or not _comparable(values, pair):
        return False
    got, there = _overlap(values, pair, guess.shift)
    if guess.lacks and there.shape[-1] == got.shape[-1] + guess.lacks:
        there = there[..., : got.shape[-1]]
    if got.shape != there.shape or not got.size:
        return False
    if guess.order:
        if len(guess.order) != there.shape[channels(there)]:
            return False
        there = there[_along(there.ndim, np.array(guess.order))]
    return _near(got, guess.factor * there + guess.offset, _allowed(pair, got))


def _between(stage: str, seen: Sequence[str], pair: Pair) -> list[str]:
    """The stages whose formula may be what departs at this one: itself, and what is not seen before it."""
    if pair.setting.grouped and stage == "pool":
        return []
    unseen = set(upstream(stage, until=seen)) - set(seen)
    return [name for name in reversed(ORDER) if name in unseen and name in pair.setting.expected.stages]


def _tried(pair: Pair, stage: str, formulas: Labels) -> Array | None:
    """The stage with these formulas; None where this case does not have them, as a clip shorter than a window."""
    if formulas not in pair.tried:
        try:
            with np.errstate(all="ignore"):
                swapped = {name: {**OTHERS[name], **FURTHER.get(name, {})}[sentence] for sentence, name in formulas}
                pair.tried[formulas] = pair.setting.compute(stage, swapped) if formulas else pair.wanted
        except (ValueError, IndexError, KeyError):
            pair.tried[formulas] = None
    return pair.tried[formulas]


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
    return np.maximum(everywhere, pair.errors if alike and pair.errors is not None else 0.0)


def _beside(formulas: Labels, stage: str, pair: Pair) -> Iterator[Guess]:
    """The values as they are, or shifted, with a factor and an offset."""
    values = _tried(pair, stage, formulas)
    if values is None or not _comparable(values, pair):
        return
    if formulas and values.shape == pair.wanted.shape and np.array_equal(values, pair.wanted):
        return
    plain = list(_affine(formulas, values, pair, 0))
    yield from plain
    if plain or formulas:
        return
    for shift in range(-MOST_SHIFT, MOST_SHIFT + 1):
        if shift and values.shape[-1] > 2 * MOST_SHIFT:
            yield from _affine(formulas, values, pair, shift)


def _affine(formulas: Labels, values: Array, pair: Pair, shift: int) -> Iterator[Guess]:
    got, there = _overlap(values, pair, shift)
    allowed = _allowed(pair, got)
    lacks = there.shape[-1] - got.shape[-1]
    if shift == 0 and 0 < lacks <= MOST_SHIFT and got.size and _near(got, there[..., : got.shape[-1]], allowed):
        yield Guess(formulas, lacks=lacks)
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
    order = _order(got, there)
    if formulas and order is not None and np.array_equal(order, np.argsort(pair.setting.mu, kind="stable")):
        return  # the formula of that order explains it, and any number of filters
    if order is not None and (np.abs(got - there[_along(got.ndim, order)]) <= allowed).all():
        yield Guess(formulas, shift=shift, order=tuple(int(c) for c in order))


def _order(got: Array, there: Array) -> Array | None:
    """Find where each filter of the port is in the reference; None where all are in place or one is nowhere."""
    axis = channels(got)
    if got.ndim < 2 or got.shape[axis] < 2:
        return None
    a, b = (np.moveaxis(x, axis, 0).reshape(x.shape[axis], -1) for x in (got, there))
    nearest = np.array([int(np.abs(b - row).sum(axis=1).argmin()) for row in a])
    moved = sorted(nearest) == list(range(len(a))) and list(nearest) != list(range(len(a)))
    return nearest if moved else None


def _along(ndim: int, order: Array) -> tuple[slice | Array, ...]:
    return (order,) if ndim == 2 else (slice(None), order)


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
    return ""


def _sizes(pairs: Sequence[Pair]) -> list[str]:
    largest = 0.0
    for p in pairs:
        if p.got.ndim == p.wanted.ndim and (scale := float(np.abs(p.wanted).max(initial=0))):
            largest = max(largest, _departure(p) / scale)
    if not all(np.isfinite(p.got).all() for p in pairs):
        return ["is not finite"]
    if 0 < largest <= ROUNDING:
        return [f"rounds more than its operations explain, {largest:.2g} of its largest value"]
    return [f"departs by up to {largest:.2g} of its largest value, in no way that is known here"]


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
