"""Read numbers off what a port made of a stage: its parameters, a factor, where its frames begin, their number."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from parity.oracle.arrays import Array
from parity.oracle.geometry import Z
from parity.ports.formulas import ACTS, OWN, Formula, Setting, conv, pool
from parity.ports.others import LABELS, Label
from parity.ports.pairs import MOST_SHIFT, ROUNDING, Pair

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
    **{f"{n} sqrt(2 log 2) / pi": n * Z for n in (1, 2, 3, 4, 5, 6, 8)},
}  # fmt: skip
# Where a parameter of the smoother or of PCEN is looked for: on a grid, then between neighbours.
RANGES = {"alpha": (0.0, 4.0), "the root": (0.1, 30.0)}
GRID, N_STEPS = 65, 36
Law = tuple[str, Callable[[Setting], Array]]


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
    alike = [p for p in pairs if p.got.shape == p.wanted.shape]
    for parameter in (p for p, acts in ACTS.items() if acts == name):
        rows = list(_acting(parameter, name, stage, alike))[:MOST_ROWS]
        for text, value in _parameter_laws(parameter, rows):
            yield Label(text, name, changes={parameter: value}, is_fitted=True)
    if name == stage and name in ("conv", "pool"):
        yield from _beginnings(name, pairs)
    if name == stage and name in OWN:
        bases: list[Label | None] = [None, *(label for label in LABELS[name] if label.formulas)]
        for base in bases[: 1 + len(bases) * (name in ("conv", "pool", "floor", "modulus"))]:
            found = list(_scaled(name, base, alike))
            yield from found
            if found:
                return
    if name == stage == "floor":
        yield from _floors(alike)


def _acting(parameter: str, name: str, stage: str, pairs: Sequence[Pair]) -> Iterator[tuple[float, Pair, int]]:
    """The value with which a stage is what the port made of it, filter by filter where it departs."""
    done = 0
    for p in pairs:
        if name != stage or done >= (MOST_ROWS if name in ("filters", "windows") else MOST_SEARCHED):
            return
        axis = 0 if stage in ("filters", "windows") else 1
        off = np.moveaxis(np.abs(p.got - p.wanted), axis, 0).reshape(p.got.shape[axis], -1).max(axis=1)
        for c in np.flatnonzero(off > ROUNDING * np.abs(p.wanted).max()):
            if name == "filters":
                value = _of_wave(parameter, p.got[c])
            elif name == "windows":
                value = _of_window(p.got[c])
            else:
                value = _searched(parameter, stage, p, int(c))
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
    got = pair.got[:, c]
    if got.shape[-1] <= MOST_SHIFT or np.ptp(got) <= ALIKE * np.abs(got).max():
        return None  # a constant is met by any parameter

    def off(value: float) -> float:
        with np.errstate(all="ignore"):
            made = pair.setting.compute(stage, {}, {parameter: lambda s: np.full(s.held["mu"].shape, value)})
            apart = np.abs(made[:, c] - got).max()
        return float(apart) if np.isfinite(apart) else float("inf")

    weights = ACTS[parameter] == "ema"
    low, high = (0.0, 2.0) if weights else RANGES["alpha" if parameter == "alpha" else "the root"]
    grid = np.linspace(low, high, GRID) if weights or parameter == "alpha" else np.geomspace(low, high, GRID)
    nearest = int(np.argmin([off(value) for value in grid]))
    low, high = grid[max(nearest - 1, 0)], grid[min(nearest + 1, GRID - 1)]
    for _ in range(N_STEPS):
        first, second = low + (high - low) / 3, high - (high - low) / 3
        low, high = (low, second) if off(first) <= off(second) else (first, high)
    return float(low) if off(low) <= 4 * ROUNDING * np.abs(got).max() else None


def _parameter_laws(name: str, rows: Sequence[tuple[float, Pair, int]]) -> Iterator[Law]:
    """What may have been made of a parameter, by the values that act and those that were given."""
    if not rows:
        return
    acting, raw_names = np.array([value for value, _, _ in rows]), rows[0][1].setting.raw
    held = np.array([p.setting.parameter(name)[c % p.setting.parameter(name).size] for _, p, c in rows])
    window = np.array([p.setting.window for _, p, _ in rows], dtype=float)
    raw = {p: p.setting.raw.get(name, p.setting.parameter(name)) for _, p, _ in rows}
    given = np.array([raw[p][c % raw[p].size] for _, p, c in rows])
    moved = np.abs(acting - held) > MOVED * np.abs(held)
    if not moved.any():
        return
    acting, held, given, window = acting[moved], held[moved], given[moved], window[moved]

    units: tuple[tuple[str, Callable[[Setting], float], Array], ...] = (
        ("{}", lambda s: 1.0, acting), ("{} / window", lambda s: 1 / s.window, acting * window),
        ("{} window", lambda s: s.window, acting / window),
    )  # fmt: skip
    for text, unit, values in units:
        for k, n in _common(values):
            said = text.format(named(k))
            for side in (0, 1):
                yield (
                    f"limits {name} at {said}",
                    lambda s, k=k, unit=unit, side=side: _limited(s, name, k * unit(s), side),
                )  # type: ignore[misc]
            if n > 1:
                yield (
                    f"takes {said} for {name}",
                    lambda s, k=k, unit=unit: np.full_like(s.plain.parameter(name), k * unit(s)),
                )  # type: ignore[misc]
    if name in raw_names:
        bounds = np.array([p.setting.limits[name] for _, p, _ in rows])[moved]
        for k, _ in [pair for side in (0, 1) if np.isfinite(bounds[:, side]).all() and np.all(bounds[:, side])
                     for pair in _common(acting / bounds[:, side])]:  # fmt: skip
            yield (
                f"limits {name} at {named(k)} times its limits",
                lambda s, k=k: np.clip(s.raw[name], *(k * x for x in s.limits[name])),
            )  # type: ignore[misc]
    with np.errstate(all="ignore"):
        for values, text, way in (
            (acting / held, "takes {} times {}", lambda p, k: k * p),
            (acting - held, "adds {} to {}", lambda p, k: p + k),
            (acting * held, "takes {} / {}", lambda p, k: k / p),
            (acting + held, "takes {} less {}", lambda p, k: k - p),
            (np.log(acting) / np.log(held), "takes to the power {} {}", lambda p, k: p**k),
            (acting / given, "takes {} times {}, before it is limited", None),
        ):  # fmt: skip
            for k, n in _common(values):
                if n > 1 and way is None and name in raw_names:
                    yield text.format(named(k), name), lambda s, k=k: np.clip(k * s.raw[name], *s.limits[name])  # type: ignore[misc]
                elif n > 1 and way is not None:
                    yield text.format(named(k), name), lambda s, k=k, way=way: way(s.plain.parameter(name), k)  # type: ignore[misc]


def _common(values: Array) -> list[tuple[float, int]]:
    """The numbers that come most often among values, exactly, and how often."""
    left, out = sorted(values[np.isfinite(values)]), list[tuple[float, int]]()
    while left:
        alike = [x for x in left if abs(x - left[0]) <= ALIKE * abs(left[0])]
        out.append((exactly(float(np.median(alike))), len(alike)))
        left = left[len(alike) :]
    return sorted((pair for pair in out if pair[0]), key=lambda pair: -pair[1])[:MOST_NUMBERS]


def _limited(s: Setting, name: str, limit: float, side: int) -> Array:
    """The parameter with its lower limit, or its upper one, at another number."""
    bounds = list(s.limits.get(name, (-np.inf, np.inf)))
    bounds[side] = limit
    return np.asarray(np.clip(s.raw[name] if name in s.raw else s.plain.parameter(name), bounds[0], bounds[1]))


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
    **{name: (lambda s, name=name: s.held[name][None, :, None]) for name in
       ("mu", "sigma", "the pooling width", "s", "alpha", "delta", "the root")},
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
    """A factor, and an offset beside it, that go with a quantity of the case, of the clip or of the filter."""
    formula: Formula = OWN[stage] if base is None else base.formulas[stage]
    rows: list[tuple[Array, Array, Setting]] = []
    for p in pairs[:MOST_SEARCHED]:
        with np.errstate(all="ignore"):
            there = (
                np.broadcast_to(formula(p.setting, _before(p, stage)), p.got.shape)
                if _fits(formula, p, stage)
                else None
            )
        if there is not None and np.isfinite(there).all():
            rows.append((p.got, np.asarray(there), p.setting))
    for name, quantity in QUANTITIES.items():
        for text, power in POWERS.items():
            ks = _ratios(stage, rows, quantity, power)
            if len(ks) < 2 or np.ptp(ks) > ALIKE * np.abs(ks).max():
                continue
            k = exactly(float(np.median(ks)))
            times = "" if k == 1 else f"{named(k)} times "
            said = f"is multiplied by {times}{text.format(name)}"
            sentence = f"{base.sentence}; {said}" if base else said

            def scaled(s: Setting, v: dict[str, Array], k: float = k, q: Callable[[Setting], Array | float] = quantity,
                       power: float = power) -> Array:  # fmt: skip
                return formula(s, v) * (k * _of(stage, q(s)) ** power)

            yield Label(sentence, stage, {stage: scaled}, is_fitted=True)


def _fits(formula: Formula, pair: Pair, stage: str) -> bool:
    try:
        with np.errstate(all="ignore"):
            return formula(pair.setting, _before(pair, stage)).shape == pair.got.shape
    except (ValueError, IndexError, KeyError):
        return False


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


def _ratios(
    stage: str, rows: Sequence[tuple[Array, Array, Setting]], quantity: Callable[[Setting], Array | float], power: float
) -> Array:
    """What is left of the ratio of the port's values to these, after the quantity: of the largest of each case."""
    out: list[float] = []
    for got, there, s in rows:
        try:
            with np.errstate(all="ignore"):
                q = np.broadcast_to(np.asarray(_of(stage, quantity(s)), dtype=np.float64) ** power, got.shape)
        except (ValueError, KeyError):
            return np.empty(0)
        large = np.abs(there) > 2.0**-3 * np.abs(there).max(initial=0)
        with np.errstate(all="ignore"):
            ks = (got / (there * q))[large]
        out += [float(k) for k in ks[:: max(len(ks) // 8, 1)]]
    ks = np.array(out)
    return ks if np.isfinite(ks).all() else np.empty(0)


def _beginnings(stage: str, pairs: Sequence[Pair]) -> Iterator[Label]:
    """Where frames begin, if it is not where they should: by so many samples, or by a rule of the window and stride."""
    found: dict[int, tuple[int, int]] = {}
    make = conv if stage == "conv" else pool
    for n, p in enumerate(pairs):
        s, hop = p.setting, 1 if stage == "conv" else p.setting.expected.config.stride
        v, room = _before(p, stage), 2 * p.setting.window
        taps = v["filters" if stage == "conv" else "windows"].shape[-1]
        if stage == "pool":
            n_in = v["modulus"].shape[-1]
            whole = pool(s, v, (room, room), 1)
        else:
            n_in = s.x.shape[1]
            whole = conv(s, v, (room, room))
        first = p.got[..., 0]
        if not p.got.shape[-1] or whole.shape[:-1] != p.got.shape[:-1]:
            return
        off = np.abs(whole - first[..., np.newaxis]).reshape(-1, whole.shape[-1]).max(axis=0)
        allowed = ROUNDING * np.abs(p.got).max()
        right = s.pads(n_in, 1 if stage == "conv" else hop, taps)[0]
        hits = []
        for i in np.flatnonzero(off <= allowed):
            there = whole[..., i::hop][..., : p.got.shape[-1]]
            if there.shape == p.got.shape and np.abs(there - p.got).max() <= allowed:
                hits.append(int(room - i) - right)
        if not hits:
            return
        found[n] = (min(hits, key=abs), right)
    moved = {n: by for n, (by, _) in found.items() if by}
    if len(moved) < 2 or len(found) < len(pairs):
        return
    by_case = {id(p.setting.expected): found[n][0] for n, p in enumerate(pairs)}
    values = list(moved.values())
    if len(set(values)) > 1:
        return
    n = abs(values[0])
    text = f"begins its frames {n} sample{'s' * (n > 1)} {'early' if values[0] > 0 else 'late'}"

    def moved_by(s: Setting, v: dict[str, Array]) -> Array:
        by = by_case.get(id(s.expected), values[0])
        n_in, taps = (s.x.shape[1], v["filters"].shape[-1]) if stage == "conv" else (
            v["modulus"].shape[-1], v["windows"].shape[-1])  # fmt: skip
        before, after = s.pads(n_in, 1 if stage == "conv" else s.expected.config.stride, taps)
        before, after = before + by, after - by
        y = make(s, v, (max(before, 0), max(after, 0)))
        return y if before >= 0 else np.asarray(y)

    yield Label(text, stage, {stage: moved_by}, is_fitted=True)


def _floors(pairs: Sequence[Pair]) -> Iterator[Label]:
    """A lower limit of the energies at another number, read off what is constant."""
    lows = [float(p.got.min()) for p in pairs if p.got.size and (p.got == p.got.min()).sum() > 1]
    if len(lows) > 1 and np.ptp(lows) <= ALIKE * abs(max(lows)):
        low = exactly(float(np.median(lows)))
        yield Label(f"has a lower limit of {low:g}, not of 1e-5", "floor",
                    {"floor": lambda s, v: np.maximum(v["pool"], low)},
                    is_fitted=True)  # fmt: skip


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
