"""Read numbers off what a port made of a stage: its parameters, a factor, where its frames begin, their number."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from parity.oracle.arrays import Array
from parity.oracle.geometry import Z
from parity.ports.alternatives import LABELS
from parity.ports.departures import MOST_SHIFT, ROUNDING, Pair
from parity.ports.formulas import ACTS, OWN, Formula, Label, Setting, Values, as_taken, conv, pool

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
# Where a parameter of the smoother or of PCEN is looked for: on a grid, then between neighbours.
RANGES = {"alpha": (0.0, 4.0), "the root": (0.1, 30.0)}
GRID, N_ZOOMS = 65, 5  # of which each leaves a thirty-second
FRAMES = ("floor", "ema")
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


def fitted(name: str, stage: str, pairs: Sequence[Pair]) -> Iterator[Label]:
    """Hypotheses whose numbers are read off a stage of these cases, about it or one unseen before it.

    Args:
        name: the stage that the hypotheses are about.
        stage: what was read.
        pairs: cases that depart.
    """
    pairs = [p for p in pairs if p.got.shape[-1] > 2 * MOST_SHIFT] or pairs  # a frame or two are met by too much
    alike = [p for p in pairs if p.got.shape == p.wanted.shape]
    for parameter in (p for p, acts in ACTS.items() if acts == name):
        rows = list(_acting(parameter, name, stage, alike))[:MOST_ROWS]
        for text, value in _parameter_laws(parameter, rows):
            yield Label(text, name, changes={parameter: value}, is_fitted=True)
    if name == stage and name in ("conv", "pool"):
        yield from _beginnings(name, pairs)
    if name == stage == "floor":
        yield from _floors(alike)
    if name == stage == "modulus":
        yield from _weighed(alike)
    if name == stage and name in OWN:
        bases: list[Label | None] = [None, *(label for label in LABELS[name] if label.formulas)]
        for base in bases[: 1 + len(bases) * (name in ("conv", "pool", "floor", "modulus"))]:
            found = list(_scaled(name, base, alike))
            yield from found
            if found:
                return


def _acting(parameter: str, name: str, stage: str, pairs: Sequence[Pair]) -> Iterator[tuple[float, Pair, int]]:
    """The value with which a stage is what the port made of it, filter by filter where it departs."""
    done = 0
    for p in pairs:
        alone = stage == "output" and name == "pcen" and not p.setting.expected.config.mean_var_norm
        if not (name == stage or alone) or done >= (MOST_ROWS if name in ("filters", "windows") else MOST_SEARCHED):
            return
        axis = 0 if stage in ("filters", "windows") else 1
        off = np.moveaxis(np.abs(p.got - p.wanted), axis, 0).reshape(p.got.shape[axis], -1).max(axis=1)
        for c in np.flatnonzero(off > ROUNDING * np.abs(p.wanted).max()):
            if name == "filters":
                value = _of_wave(parameter, p.got[c])
            elif name == "windows":
                value = _of_window(p.got[c])
            else:
                value = _searched(parameter, name, p, int(c))
            done += 1
            if value is not None and np.isfinite(value):
                yield value, p, int(c)


def _of_wave(parameter: str, wave: Array) -> float | None:
    z = wave[0] + 1j * wave[1]
    size, t = np.abs(z), np.arange(z.size) - z.size // 2
    near = size > 2.0**-10 * size.max(initial=0)
    if near.sum() < 4:
        return None
    if parameter == "mu":
        turns = z[1:] * z[:-1].conj()
        return float(np.angle(turns.sum()))
    bend = np.polynomial.polynomial.polyfit(t[near], np.log(size[near]), 2, w=size[near])[2]
    return float((-2 * bend) ** -0.5) if bend < 0 else None


def _of_window(window: Array) -> float | None:
    t, near = np.arange(window.size) - (window.size - 1) / 2, window > 2.0**-20 * window.max(initial=0)
    if near.sum() < 4:
        return None
    bend = np.polynomial.polynomial.polyfit(t[near], np.log(window[near]), 2, w=window[near])[2]
    return float((-2 * bend) ** -0.5 / ((window.size - 1) / 2)) if bend < 0 else None


def _searched(parameter: str, stage: str, pair: Pair, c: int) -> float | None:
    got, s = pair.got[:, c], pair.setting
    if got.shape[-1] <= MOST_SHIFT or np.ptp(got) <= ALIKE * np.abs(got).max() or not s.is_trained(stage):
        return None  # a constant is met by any parameter
    # as many filters as there are values to try, all of them this one but for the parameter
    before = {n: np.repeat(y[:, c : c + 1], GRID, axis=1) for n, y in _before(pair, stage).items() if n in FRAMES}
    others = {name: as_taken(np.full(GRID, values[c])) for name, values in s.held.items()}

    def off(values: Array) -> Array:
        with np.errstate(all="ignore"):
            made = OWN[stage](replace(s, changes={**others, parameter: as_taken(values)}), before)
            return np.asarray(np.nan_to_num(np.abs(made - got[:, np.newaxis]).max(axis=(0, 2)), nan=np.inf))

    weights = ACTS[parameter] == "ema"
    low, high = (0.0, 2.0) if weights else RANGES["alpha" if parameter == "alpha" else "the root"]
    grid = np.linspace(low, high, GRID) if weights or parameter == "alpha" else np.geomspace(low, high, GRID)
    for _ in range(N_ZOOMS):
        nearest = int(np.argmin(off(grid)))
        grid = np.linspace(grid[max(nearest - 1, 0)], grid[min(nearest + 1, GRID - 1)], GRID)
    apart = off(grid)
    best = int(np.argmin(apart))
    return float(grid[best]) if apart[best] <= 4 * ROUNDING * np.abs(got).max() else None


def _parameter_laws(name: str, rows: Sequence[tuple[float, Pair, int]]) -> Iterator[tuple[str, Way]]:
    """Guess what was made of a parameter from the values that act and those that were given."""
    if not rows:
        return
    acting, is_whole = np.array([value for value, _, _ in rows]), name in rows[0][1].setting.raw
    held = np.array([p.setting.parameter(name)[c] for _, p, c in rows])
    given = np.array([p.setting.raw[name][c] for _, p, c in rows]) if is_whole else held
    window = np.array([p.setting.window for _, p, _ in rows], dtype=float)
    moved = np.abs(acting - held) > MOVED * np.abs(held)
    if not moved.any():
        return
    bounds = [rows[n][1].setting.limits[name] for n, far in enumerate(moved) if far] if is_whole else []
    acting, held, given, window = acting[moved], held[moved], given[moved], window[moved]
    units: tuple[tuple[str, Callable[[Setting], float], Array], ...] = (
        ("{}", lambda s: 1.0, acting), ("{} / window", lambda s: 1 / s.window, acting * window),
        ("{} windows", lambda s: float(s.window), acting / window),
    )  # fmt: skip
    for text, unit, values in units:
        for k, n in _common(values):
            said = text.format(named(k))
            yield f"limits {name} at {said}", _limited(name, k, unit, 0)
            yield f"limits {name} at {said}", _limited(name, k, unit, 1)
            if n > 1:
                yield f"takes {said} for {name}", _constant(name, k, unit)
    for limits in np.array(bounds).T:
        for k, _ in _common(acting / limits) if np.isfinite(limits).all() and np.all(limits) else ():
            yield f"limits {name} at {named(k)} times its limits", _wider(name, k)
    with np.errstate(all="ignore"):
        for text, values, way in (
            ("takes {} times {}", acting / held, _times), ("adds {} to {}", acting - held, np.add),
            ("takes {} / {}", acting * held, _over),
            ("takes to the power {} {}", np.log(acting) / np.log(held), _power),
            ("takes {} times {}, before it is limited", acting / given, None),
        ):  # fmt: skip
            for k, n in _common(values):
                if n > 1 and (way is not None or is_whole):
                    yield text.format(named(k), name), _made(name, k, way)


def _times(values: Array, k: float) -> Array:
    return k * values


def _over(values: Array, k: float) -> Array:
    return np.asarray(k / values)


def _power(values: Array, k: float) -> Array:
    return np.asarray(values**k)


def _constant(name: str, k: float, unit: Callable[[Setting], float]) -> Way:
    return lambda s: np.full_like(s.plain.parameter(name), k * unit(s))


def _wider(name: str, k: float) -> Way:
    return lambda s: np.clip(s.raw[name], k * s.limits[name][0], k * s.limits[name][1])


def _made(name: str, k: float, way: Callable[[Array, float], Array] | None) -> Way:
    if way is None:
        return lambda s: np.clip(k * s.raw[name], *s.limits[name])
    return lambda s: way(s.plain.parameter(name), k)


def _limited(name: str, k: float, unit: Callable[[Setting], float], side: int) -> Way:
    """The parameter with its lower limit, or its upper one, at another number."""

    def limited(s: Setting) -> Array:
        bounds = list(s.limits.get(name, (-np.inf, np.inf)))
        bounds[side] = k * unit(s)
        return np.asarray(np.clip(s.raw[name] if name in s.raw else s.plain.parameter(name), bounds[0], bounds[1]))

    return limited


def _common(values: Array) -> list[tuple[float, int]]:
    """The numbers that come most often among values, exactly, and how often."""
    left, out = sorted(values[np.isfinite(values)]), list[tuple[float, int]]()
    while left:
        alike = [x for x in left if abs(x - left[0]) <= ALIKE * abs(left[0])]
        out.append((exactly(float(np.median(alike))), len(alike)))
        left = left[len(alike) :]
    return sorted((pair for pair in out if pair[0]), key=lambda pair: -pair[1])[:MOST_NUMBERS]


OF_FILTERS = ("mu", "sigma", "the pooling width", "s", "alpha", "delta", "the root")


def _of_filter(name: str) -> Way:
    return lambda s: s.held[name][None, :, None]


QUANTITIES: dict[str, Callable[[Setting], Array | float]] = {
    "the stride": lambda s: float(s.expected.config.stride), "the window": lambda s: float(s.window),
    "the sample rate": lambda s: float(s.expected.config.sample_rate),
    "the number of filters": lambda s: float(s.expected.config.n_filters),
    "the number of samples": lambda s: float(s.expected.x.shape[1]),
    "the number of frames": lambda s: float(s.expected.cotangent.shape[-1]),
    "the number of clips": lambda s: float(len(s.expected.x)),
    "the largest magnitude of all clips": lambda s: float(np.abs(s.x).max()),
    "the largest magnitude of the clip": lambda s: np.abs(s.x).max(-1)[:, None, None],
    "the standard deviation of the clip": lambda s: s.x.std(-1)[:, None, None],
    "the unbiased standard deviation of the clip": lambda s: s.x.std(-1, ddof=min(1, s.x.shape[-1] - 1))[:, None, None],
    "the root mean square of the clip": lambda s: np.sqrt((s.x**2).mean(-1))[:, None, None],
    "the norm of the clip": lambda s: np.sqrt((s.x**2).sum(-1))[:, None, None],
    **{name: _of_filter(name) for name in OF_FILTERS},
    "the sum of the window": lambda s: s.expected.stages["windows"].sum(-1)[None, :, None],
}  # fmt: skip
POWERS = {
    "{}": 1.0,
    "1 / {}": -1.0,
    "the square root of {}": 0.5,
    "1 / the square root of {}": -0.5,
    "the square of {}": 2.0,
}


def _scaled(stage: str, base: Label | None, pairs: Sequence[Pair]) -> Iterator[Label]:
    """A factor that goes with a quantity of the case, of the clip or of the filter, read off a few values."""
    formula: Formula = OWN[stage] if base is None else base.formulas[stage]
    left: dict[tuple[str, str], Array] = {(name, text): np.empty(0) for name in QUANTITIES for text in POWERS}
    n_read = 0
    for p in pairs[:MOST_SEARCHED]:
        try:
            with np.errstate(all="ignore"):
                there = p.wanted if base is None else formula(p.setting, _before(p, stage))
        except (ValueError, IndexError, KeyError):
            continue
        if there.shape != p.got.shape or not np.isfinite(there).all():
            continue
        large = np.flatnonzero(np.abs(there) > 2.0**-3 * np.abs(there).max(initial=0))
        if not large.size:
            continue
        n_read += 1
        at = np.unravel_index(large[:: max(large.size // 8, 1)], there.shape)
        with np.errstate(all="ignore"):
            for (name, text), ks in list(left.items()):
                try:
                    q = np.broadcast_to(np.asarray(_of(stage, QUANTITIES[name](p.setting))), there.shape)[at]
                except KeyError:  # a case without that parameter
                    del left[name, text]
                    continue
                ks = np.append(ks, p.got[at] / there[at] / q ** POWERS[text])
                if np.isfinite(ks).all() and np.ptp(ks) <= ALIKE * np.abs(ks).max():
                    left[name, text] = ks
                else:
                    del left[name, text]
        if not left:
            return
    for (name, text), ks in left.items() if n_read > 1 else ():
        k = exactly(float(np.median(ks)))
        said = f"is multiplied by {'' if k == 1 else f'{named(k)} times '}{text.format(name)}"
        yield Label(f"{base.sentence}; {said}" if base else said, stage,
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


def _beginnings(stage: str, pairs: Sequence[Pair]) -> Iterator[Label]:
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
    yield Label(text, stage, {stage: moved}, is_fitted=True)


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


def _floors(pairs: Sequence[Pair]) -> Iterator[Label]:
    """A lower limit of the energies at another number, read off what is constant."""
    lows = [float(p.got.min()) for p in pairs if p.got.size and (p.got == p.got.min()).sum() > 1]
    if len(lows) > 1 and np.ptp(lows) <= ALIKE * abs(max(lows)):
        low = exactly(float(np.median(lows)))
        yield Label(f"has a lower limit of {low:g}, not of 1e-5", "floor",
                    {"floor": lambda s, v: np.maximum(v["pool"], low)},
                    is_fitted=True)  # fmt: skip


def _weighed(pairs: Sequence[Pair]) -> Iterator[Label]:
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
    yield Label(text, "modulus", {"modulus": lambda s, v: (weights * v["conv"] ** 2).sum(axis=2)}, is_fitted=True)


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
