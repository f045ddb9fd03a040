"""Read numbers off what a port made of a stage: its parameters, a factor, where its frames begin, their number."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from parity.oracle.arrays import Array
from parity.oracle.geometry import Z
from parity.ports.alternatives import ROWS
from parity.ports.formulas import (
    ACTS,
    MOST_SHIFT,
    ORDER,
    OWN,
    PARAMETERS,
    ROUNDING,
    Formula,
    Pair,
    Row,
    Setting,
    Values,
    as_taken,
    channels,
    conv,
    downstream,
    pool,
    upstream,
)  # fmt: skip

ALIKE = 2.0**-10  # spread of values that are one number
MOVED = 2.0**-12  # of a parameter: what is nearer was given so
MOST_ROWS = 16
MOST_SEARCHED = 4
MOST_NUMBERS = 4
NUMBERS = {
    "sqrt(2)": 2**0.5, "1 / sqrt(2)": 2**-0.5, "pi": np.pi, "2 pi": 2 * np.pi, "pi / 2": np.pi / 2, "pi / 4": np.pi / 4,
    "1 / pi": 1 / np.pi, "1 / (2 pi)": 0.5 / np.pi, "sqrt(2 pi)": (2 * np.pi) ** 0.5, "sqrt(pi)": np.pi**0.5,
    "1 / sqrt(2 pi)": (2 * np.pi) ** -0.5, "log(2)": np.log(2), "2 sqrt(2 log 2)": 2 * (2 * np.log(2)) ** 0.5,
    "sqrt(2 log 2)": (2 * np.log(2)) ** 0.5, "1 / (2 sqrt(2 log 2))": 0.5 * (2 * np.log(2)) ** -0.5,
    "log(10)": np.log(10),
    "1 / log(10)": 1 / np.log(10), "1 / 3": 1 / 3, "2 / 3": 2 / 3,
    **{f"{n} sqrt(2 log 2) / pi": n * Z for n in (0.5, 1, 2, 3, 4, 5, 6, 8)},
}  # fmt: skip
# Where a parameter is looked for, by its name or that of its stage: on a grid, then between neighbours.
RANGES = {
    "mu": (0.0, np.pi), "sigma": (1.0, 400.0), "windows": (0.01, 2.0), "ema": (0.0, 2.0), "alpha": (0.0, 4.0),
    "pcen": (0.1, 30.0),
}  # fmt: skip
GRID, N_ZOOMS = 65, 5  # of which each leaves a thirty-second
NEARBY = 2.0**-4
Way = Callable[[Setting], Array]


def named(value: float) -> str:
    """A number, and what it is where it is a known one."""
    known = next((text for text, number in NUMBERS.items() if abs(value / number - 1) < ALIKE / 8), "")
    short = f"{value:.5g}"
    return f"{short} = {known}" if known else short


def exactly(value: float) -> float:
    """The number that a value read off an array is: a known one, one of few digits, or the value itself."""
    candidates = [*NUMBERS.values(), *(float(f"{value:.{n}g}") for n in (1, 2, 3))]
    return min((c for c in candidates if c and abs(value / c - 1) < ALIKE / 8), key=lambda c: abs(c - value),
               default=value)  # fmt: skip


def fitted(name: str, stage: str, pairs: Sequence[Pair]) -> Iterator[Row]:
    """Hypotheses whose numbers are read off a stage of these cases, about it or one unseen before it.

    Args:
        name: the stage that the hypotheses are about.
        stage: what was read.
        pairs: cases that depart.
    """
    pairs = [p for p in pairs if p.got.shape[-1] > 2 * MOST_SHIFT] or pairs  # a frame or two are met by too much
    alike = [p for p in pairs if p.is_alike]
    for parameter in (p for p, acts in ACTS.items() if acts == name):
        for text, value in _laws(parameter, list(_acting(parameter, name, stage, alike))):
            yield Row(text, name, changes={parameter: value}, is_fitted=True)
    if name != stage or name not in OWN:
        return
    if name in ("conv", "pool"):
        yield from _beginnings(name, pairs)
    if name == "floor":
        yield from _floors(alike)
    if name == "modulus":
        yield from _weighed(alike)
    bases = [row for row in ROWS[name] if row.formulas] if name in ("conv", "pool", "floor", "modulus") else []
    for base in (None, *bases):
        if found := list(_scaled(name, base, alike)):
            yield from found
            return


def _acting(parameter: str, name: str, stage: str, pairs: Sequence[Pair]) -> Iterator[tuple[float, Pair, int]]:
    """The value with which a stage is what the port made of it, filter by filter where it departs."""
    read = READ.get(name) if name == stage else None
    left = MOST_ROWS if read else MOST_SEARCHED
    for p in pairs:
        way, axis = _way(name, stage, p), channels(stage)
        off = np.moveaxis(np.abs(p.got - p.wanted), axis, 0).reshape(p.got.shape[axis], -1).max(axis=1, initial=0)
        for c in np.flatnonzero(off > ROUNDING * np.abs(p.wanted).max())[:left] if way else ():
            value, left = read(parameter, p.got[c]) if read else _searched(parameter, way, p, int(c)), left - 1
            if value is not None and np.isfinite(value):
                yield value, p, int(c)


def _way(name: str, stage: str, pair: Pair) -> list[str]:
    """The stages from one to the one that is shown, if a filter of each follows from that filter before it."""
    config = pair.setting.expected.config
    last = "pcen" if stage == "output" else stage
    if stage == "norm" or (stage == "output" and (config.mean_var_norm or "pcen" not in pair.setting.expected.stages)):
        return []
    between = {*upstream(last)} & {*downstream(name)}
    grouped = pair.setting.grouped and "pool" in between
    return [] if grouped else [each for each in ORDER if each in between]


def _of_wave(parameter: str, wave: Array) -> float | None:
    z = wave[0] + 1j * wave[1]
    width = _width(z, 2.0**-10, z.size // 2)
    return float(np.angle((z[1:] * z[:-1].conj()).sum())) if parameter == "mu" and np.any(z) else width


def _of_window(parameter: str, window: Array) -> float | None:
    half = (window.size - 1) / 2
    width = _width(window, 2.0**-20, half)
    return width and width / half


def _width(wave: Array, least: float, middle: float) -> float | None:
    """The standard deviation of a Gaussian envelope, from where it is above a share of its peak; None if it is none."""
    size, t = np.abs(wave), np.arange(wave.size) - middle
    large = size > least * size.max(initial=0)
    if large.sum() < 4:
        return None
    bend = np.polynomial.polynomial.polyfit(t[large], np.log(size[large]), 2, w=size[large])[2]
    return float((-2 * bend) ** -0.5) if bend < 0 else None


# The stages whose own values tell a parameter; from others it is searched for.
READ: dict[str, Callable[[str, Array], float | None]] = {"filters": _of_wave, "windows": _of_window}


def _searched(parameter: str, way: Sequence[str], pair: Pair, c: int) -> float | None:
    """Look for the value of a parameter with which the stages on the way make what the port made of a filter."""
    got, s = pair.got[:, c], pair.setting
    if got.shape[-1] <= MOST_SHIFT or np.ptp(got) <= ALIKE * np.abs(got).max() or not s.is_trained(way[0]):
        return None  # a constant is met by any parameter
    # as many filters as there are values to try, all of them this one but for the parameter
    before = {n: np.repeat(np.take(y, [c], channels(n)), GRID, channels(n))
              for n, y in _before(pair, way[-1]).items() if n in ORDER and n not in way}  # fmt: skip
    others = {name: as_taken(np.full(GRID, values[c])) for name, values in s.held.items()}

    def off(values: Array) -> Array:
        setting, made = replace(s, changes={**others, parameter: as_taken(values)}), dict(before)
        with np.errstate(all="ignore"):
            for name in way:
                made[name] = OWN[name](setting, made)
            y = made[way[-1]]
            if y.shape[-1] != got.shape[-1]:  # of groups that are computed at a stride of their own
                return np.full(GRID, np.inf)
            apart = np.nan_to_num(np.abs(y - got[:, np.newaxis]), nan=np.inf)
        return np.asarray(np.moveaxis(apart, 1, 0).reshape(GRID, -1).max(axis=1))

    grid = _grid(parameter, float(s.parameter(parameter)[c]))
    for _ in range(N_ZOOMS):
        nearest = int(np.argmin(off(grid)))
        grid = np.linspace(grid[max(nearest - 1, 0)], grid[min(nearest + 1, GRID - 1)], GRID)
    apart = off(grid)
    best = int(np.argmin(apart))
    return float(grid[best]) if apart[best] <= 4 * ROUNDING * np.abs(got).max() else None


def _grid(parameter: str, own: float) -> Array:
    """Values to try for a parameter: over its range, and more closely about its own where a filter turns with it."""
    low, high = RANGES[parameter if parameter in RANGES else ACTS[parameter]]
    if parameter in ("mu", "sigma"):
        near = own * np.linspace(1 - NEARBY, 1 + NEARBY, GRID // 2)
        return np.sort(np.concatenate([near, np.linspace(low, high, GRID - GRID // 2)]))
    return np.linspace(low, high, GRID) if low == 0 else np.geomspace(low, high, GRID)


Reading = tuple[float, Pair, int]  # the value of a parameter that acts, on a case, of a filter
UNITS: dict[str, Callable[[Array], Array]] = {
    "{}": np.ones_like, "{} / window": lambda w: 1 / w, "{} windows": lambda w: w,
}  # fmt: skip
# What may be made of a parameter by a number: the number from what acts and what is inside the limits, and back.
LAWS: dict[str, tuple[Callable[[Array, Array], Array], Callable[[Array, float], Array]]] = {
    "takes {} times {}": (np.divide, np.multiply), "adds {} to {}": (np.subtract, np.add),
    "takes {} / {}": (np.multiply, lambda p, k: k / p),
    "takes to the power {} {}": (lambda acting, p: np.log(acting) / np.log(p), np.power),
}  # fmt: skip


def _laws(name: str, rows: Sequence[Reading]) -> Iterator[tuple[str, Way]]:
    """Guess what was made of a parameter from the values that act and those that were given."""
    rows = [(k, p, c) for k, p, c in rows if abs(k - _held(name, p, c)) > MOVED * abs(_held(name, p, c))]
    if not rows:
        return
    acting, held = np.array([k for k, _, _ in rows]), np.array([_held(name, p, c) for _, p, c in rows])
    window = np.array([p.setting.window for _, p, _ in rows], dtype=float)
    for text, unit in UNITS.items():
        for k, n in _common(acting / unit(window)):
            said = text.format(named(k))
            yield from ((f"limits {name} at {said}", _limited(name, side, k, unit)) for side in (0, 1))
            if n > 1:
                yield f"takes {said} for {name}", _constant(name, k, unit)
    with np.errstate(all="ignore"):
        for text, (number, way) in LAWS.items():
            for k, n in _common(number(acting, held)):
                if n > 1:
                    yield text.format(named(k), name), _made(name, k, way)
        if name in rows[0][1].setting.raw:
            for limits in np.array([p.setting.limits[name] for _, p, _ in rows]).T:
                for k, _ in _common(acting / limits) if np.isfinite(limits).all() and np.all(limits) else ():
                    yield f"limits {name} at {named(k)} times its limits", _clipped(name, 1.0, k)
            for k, n in _common(acting / np.array([p.setting.raw[name][c] for _, p, c in rows])):
                if n > 1:
                    yield f"takes {named(k)} times {name}, before it is limited", _clipped(name, k, 1.0)


def _held(name: str, pair: Pair, c: int) -> float:
    return float(pair.setting.parameter(name)[c])


def _constant(name: str, k: float, unit: Callable[[Array], Array]) -> Way:
    return lambda s: np.full_like(s.plain.parameter(name), k * unit(np.array(float(s.window))))


def _made(name: str, k: float, way: Callable[[Array, float], Array]) -> Way:
    return lambda s: np.asarray(way(s.plain.parameter(name), k))


def _clipped(name: str, k: float, wider: float) -> Way:
    return lambda s: np.clip(k * s.raw[name], wider * s.limits[name][0], wider * s.limits[name][1])


def _limited(name: str, side: int, k: float, unit: Callable[[Array], Array]) -> Way:
    """The parameter with its lower limit, or its upper one, at another number."""

    def limited(s: Setting) -> Array:
        bounds = [*s.limits.get(name, (-np.inf, np.inf))]
        bounds[side] = k * float(unit(np.array(float(s.window))))
        return np.asarray(np.clip(s.raw.get(name, s.plain.parameter(name)), bounds[0], bounds[1]))

    return limited


def _common(values: Array) -> list[tuple[float, int]]:
    """The numbers that come most often among values, exactly, and how often."""
    left, out = sorted(values[np.isfinite(values)]), list[tuple[float, int]]()
    while left:
        alike = [x for x in left if abs(x - left[0]) <= ALIKE * abs(left[0])]
        out.append((exactly(float(np.median(alike))), len(alike)))
        left = left[len(alike) :]
    return sorted((pair for pair in out if pair[0]), key=lambda pair: -pair[1])[:MOST_NUMBERS]


def _of_filter(name: str) -> Way:
    return lambda s: s.held.get(name, np.full(s.expected.config.n_filters, np.nan))[None, :, None]


def _of_clips(of: Callable[[Array], Array]) -> Way:
    return lambda s: of(s.x)[:, None, None]


# Numbers of a case, or arrays that broadcast to [B, C, F], and the powers with which they may be factors.
QUANTITIES: dict[str, Callable[[Setting], Array | float]] = {
    "the stride": lambda s: float(s.expected.config.stride), "the window": lambda s: float(s.window),
    "the sample rate": lambda s: float(s.expected.config.sample_rate),
    "the number of filters": lambda s: float(s.expected.config.n_filters),
    "the number of samples": lambda s: float(s.expected.x.shape[1]),
    "the number of frames": lambda s: float(s.expected.cotangent.shape[-1]),
    "the number of clips": lambda s: float(len(s.expected.x)),
    "the largest magnitude of all clips": lambda s: float(np.abs(s.x).max()),
    "the largest magnitude of the clip": _of_clips(lambda x: np.abs(x).max(-1)),
    "the standard deviation of the clip": _of_clips(lambda x: x.std(-1)),
    "the unbiased standard deviation of the clip": _of_clips(lambda x: x.std(-1, ddof=min(1, x.shape[-1] - 1))),
    "the root mean square of the clip": _of_clips(lambda x: np.sqrt((x**2).mean(-1))),
    "the norm of the clip": _of_clips(lambda x: np.sqrt((x**2).sum(-1))),
    **{name: _of_filter(name) for name in PARAMETERS},
    "the sum of the window": lambda s: s.expected.stages["windows"].sum(-1)[None, :, None],
}  # fmt: skip
POWERS = {
    "{}": 1.0, "1 / {}": -1.0, "the square root of {}": 0.5, "1 / the square root of {}": -0.5, "the square of {}": 2.0,
}  # fmt: skip


def _scaled(stage: str, base: Row | None, pairs: Sequence[Pair]) -> Iterator[Row]:
    """A factor that goes with a quantity of the case, of the clip or of the filter, read off a few values."""
    left: dict[tuple[str, str], Array] = {(name, text): np.empty(0) for name in QUANTITIES for text in POWERS}
    n_read = 0
    for p in pairs[:MOST_SEARCHED]:
        there = p.by(stage, (base,) if base else ())
        if there is None or there.shape != p.got.shape or not np.isfinite(there).all() or not np.any(there):
            continue
        large = np.flatnonzero(np.abs(there) > 2.0**-3 * np.abs(there).max())
        at, n_read = np.unravel_index(large[:: max(large.size // 8, 1)], there.shape), n_read + 1
        with np.errstate(all="ignore"):
            for (name, text), ks in left.items():
                q = np.broadcast_to(np.asarray(_of(stage, QUANTITIES[name](p.setting))), there.shape)[at]
                left[name, text] = np.append(ks, p.got[at] / there[at] / q ** POWERS[text])
        left = {key: ks for key, ks in left.items() if np.isfinite(ks).all() and np.ptp(ks) <= ALIKE * np.abs(ks).max()}
    formula = base.formulas[stage] if base else OWN[stage]
    for (name, text), ks in left.items() if n_read > 1 else ():
        k = exactly(float(np.median(ks)))
        said = f"is multiplied by {'' if k == 1 else f'{named(k)} times '}{text.format(name)}"
        yield Row(f"{base.sentence}; {said}" if base else said, stage,
                  {stage: _multiplied(formula, stage, k, name, POWERS[text])}, is_fitted=True)  # fmt: skip


def _multiplied(formula: Formula, stage: str, k: float, name: str, power: float) -> Formula:
    return lambda s, v: formula(s, v) * (k * np.asarray(_of(stage, QUANTITIES[name](s))) ** power)


def _before(pair: Pair, stage: str) -> dict[str, Array]:
    """The values of a case up to a stage: the oracle's, and what is taken as given."""
    values = {**pair.setting.expected.stages, **pair.setting.given}
    return {name: np.asarray(y, dtype=np.float64) for name, y in values.items()}


def _of(stage: str, q: Array | float) -> Array | float:
    """A quantity [B, C, F] along the axes of a stage."""
    if isinstance(q, float):
        return q
    if stage == "conv":
        return q[:, :, np.newaxis]
    return q[0] if stage == "windows" else q[0][:, np.newaxis] if stage == "filters" else q


def _beginnings(stage: str, pairs: Sequence[Pair]) -> Iterator[Row]:
    """Find by how many samples frames begin early or late, from the first filter of the first clip."""
    begins = Counter(_begins(stage, p) for p in pairs[:MOST_SEARCHED] if np.any(p.got[:1, :1]))
    del begins[0]
    by, n = max(begins.items(), key=lambda each: each[1], default=(0, 0))
    if n < 2:  # a short clip may be met by several
        return

    def moved(s: Setting, v: Values) -> Array:
        before, after = _pads(stage, s, v)
        return (conv if stage == "conv" else pool)(s, v, (max(before + by, 0), max(after - by, 0)))

    samples, early = f"{abs(by)} sample{'s' * (abs(by) > 1)}", by > 0
    if stage == "conv":
        text = f"is {samples} {'late' if early else 'early'}"
    else:
        text = f"begins its frames {samples} {'early' if early else 'late'}"
    yield Row(text, stage, {stage: moved}, is_fitted=True)


def _pads(stage: str, s: Setting, v: Values) -> tuple[int, int]:
    if stage == "conv":
        return s.pads(s.x.shape[1], 1, v["filters"].shape[-1])
    return s.pads(v["modulus"].shape[-1], s.expected.config.stride, v["windows"].shape[-1])


def _begins(stage: str, p: Pair) -> int:
    s, v, room = p.setting, _before(p, stage), 2 * p.setting.window
    right, got, hop = _pads(stage, s, v)[0], p.got[:1, :1], 1 if stage == "conv" else s.expected.config.stride
    if stage == "conv":
        whole = conv(s, {"filters": v["filters"][:1]}, (room, room), s.x[:1])
    else:
        whole = pool(s, {"modulus": v["modulus"][:1, :1], "windows": v["windows"][:1]}, (room, room), 1)
    if not got.shape[-1] or whole.shape[:-1] != got.shape[:-1]:
        return 0
    allowed, hits = ROUNDING * np.abs(p.got).max(), []
    off = np.abs(whole - got[..., :1]).reshape(-1, whole.shape[-1]).max(axis=0)
    for i in np.flatnonzero(off <= allowed):
        there = whole[..., i::hop][..., : got.shape[-1]]
        if there.shape == got.shape and np.abs(there - got).max() <= allowed:
            hits.append(int(room - i) - right)
    return min(hits, key=abs, default=0)


def _floors(pairs: Sequence[Pair]) -> Iterator[Row]:
    """A lower limit of the energies at another number, read off what is constant."""
    lows = [float(p.got.min()) for p in pairs if p.got.size and (p.got == p.got.min()).sum() > 1]
    if len(lows) > 1 and np.ptp(lows) <= ALIKE * abs(max(lows)):
        low = exactly(float(np.median(lows)))
        yield Row(f"has a lower limit of {low:g}, not of 1e-5", "floor",
                    {"floor": lambda s, v: np.maximum(v["pool"], low)},
                    is_fitted=True)  # fmt: skip


def _weighed(pairs: Sequence[Pair]) -> Iterator[Row]:
    """The two squares with other weights, from the case that has most values."""
    p = max(pairs, key=lambda p: p.got.size, default=None)
    if p is None or not np.isfinite(p.got).all():
        return
    squares = np.moveaxis(_before(p, "modulus")["conv"] ** 2, 2, -1).reshape(-1, 2)
    if len(squares) != p.got.size:
        return
    a, b = (exactly(float(k)) if abs(k) > ALIKE else 0.0 for k in np.linalg.lstsq(squares, p.got.ravel())[0])
    text = f"is {named(a)} times the square of the real part and {named(b)} times that of the imaginary part"
    weights = np.array([a, b])[:, np.newaxis]
    yield Row(text, "modulus", {"modulus": lambda s, v: (weights * v["conv"] ** 2).sum(axis=2)}, is_fitted=True)


LENGTHS: dict[str, Callable[[int, int, int], int]] = {
    "max(n_samples, window)": lambda n, w, h: max(n, w), "n_samples + window - 1": lambda n, w, h: n + w - 1,
    "n_samples + window": lambda n, w, h: n + w, "n_samples - window + 1": lambda n, w, h: n - w + 1,
    "n_samples // stride": lambda n, w, h: n // h, "n_samples // stride + 1": lambda n, w, h: n // h + 1,
    "(n_samples - window) // stride + 1": lambda n, w, h: (n - w) // h + 1,
    "(n_samples - 1) // stride": lambda n, w, h: (n - 1) // h, "n_samples // stride + 2": lambda n, w, h: n // h + 2,
    "ceil(n_samples / stride) + 1": lambda n, w, h: -(-n // h) + 1,
}  # fmt: skip


def shape_law(pairs: Sequence[Pair]) -> str:
    """Say how long the last axis is, if it is one rule and not one number of samples or frames too long."""
    differing = [p for p in pairs if p.got.ndim == p.wanted.ndim and p.got.shape[-1] != p.wanted.shape[-1]]
    if len({p.got.shape[-1] - p.wanted.shape[-1] for p in differing}) < 2:
        return ""
    for text, length in LENGTHS.items():
        if all(p.got.shape[-1] == length(p.case.n_samples, p.setting.window, p.case.config.stride) for p in differing):
            return f"has a length of {text}"
    return ""
