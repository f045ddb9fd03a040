"""Read the limit that a port seems to have put on a parameter off what its stage makes of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from parity.adapters import canonical
from parity.oracle.arrays import Array
from parity.oracle.pcen import normalise, smoother
from parity.ports.formulas import parameters
from parity.ports.pairs import MOST_SHIFT, ROUNDING, Pair, channels

ALIKE = 2.0**-8  # spread of what is read off one limit by several filters: ratios of float32 taps give the third digit
MOVED = 2.0**-10  # of a parameter: what is nearer was given so, and is no limit
# Where a parameter of PCEN is looked for: on a grid, then between neighbours, of which each step leaves two thirds.
RANGES = {"alpha": (0.0, 4.0), "delta": (1e-3, 30.0), "the root": (0.1, 30.0), "s": (0.0, 1.0)}
GRID, N_STEPS = 65, 50


def limits(stage: str, pairs: Sequence[Pair]) -> list[str]:
    """Read the limit that a parameter seems to have off what its stage makes of it."""
    if stage not in ("filters", "windows", "ema", "pcen"):
        return []
    rows: list[tuple[str, float, float, float]] = []
    n_fitted = 0  # channels of ema and pcen that a parameter must explain, all of them
    for p in pairs:
        if p.got.shape != p.wanted.shape:
            continue
        axis = channels(p.got)
        off = np.moveaxis(np.abs(p.got - p.wanted), axis, 0).reshape(p.got.shape[axis], -1).max(axis=1)
        for c in np.flatnonzero(off > ROUNDING * np.abs(p.wanted).max()):
            rows += list(_acting(stage, p, int(c)))
            n_fitted += stage in ("ema", "pcen") and _varies(p.got[:, c : c + 1])
    out = []
    for name in sorted({row[0] for row in rows}, key=lambda name: -sum(row[0] == name for row in rows)):
        acting = np.array([row[1:] for row in rows if row[0] == name])
        if len(acting) < n_fitted:
            continue
        constant, scaled, times = acting[:, 0], acting[:, 0] * acting[:, 2], acting[:, 0] / acting[:, 1]
        for values, text in (
            (constant, "were limited at {:.4g}"), (scaled, "were limited at {:.4g} / window"),
            (times, "were {:.4g} times as large"), (acting[:, 0] - acting[:, 1], "had {:.4g} added"),
        ):  # fmt: skip
            if np.ptp(values) <= ALIKE * np.abs(values).max() and (len(values) > 1 or values is constant):
                out.append(f"acts as if {name} {text.format(np.median(values))}")
                break
        if out and stage == "pcen":  # of one value another parameter could make as much
            break
    return out


def _acting(stage: str, pair: Pair, c: int) -> Iterator[tuple[str, float, float, float]]:
    """The parameter that a filter or window was made with, what was given, and the window's length."""
    s = pair.setting
    if stage == "windows":
        t = np.arange(s.window) - (s.window - 1) / 2
        peak, edge = pair.got[c, (s.window - 1) // 2], pair.got[c, (s.window - 1) // 4]
        if 0 < edge < peak:
            spread = t[(s.window - 1) // 4] ** 2 - t[(s.window - 1) // 2] ** 2
            acting = float(np.sqrt(spread / (2 * np.log(peak / edge))) / ((s.window - 1) / 2))
            yield "the pooling width", acting, float(s.v[canonical.POOLING].reshape(-1)[c]), s.window
        return
    if stage in ("ema", "pcen"):
        yield from _fitted(stage, pair, c)
        return
    size = np.hypot(*pair.got[c])
    middle = s.window // 2
    if middle + 1 < len(size) and 0 < size[middle + 1] < size[middle]:
        acting = float(1 / np.sqrt(2 * np.log(size[middle] / size[middle + 1])))
        if abs(acting / float(s.sigma[c]) - 1) > MOVED:
            yield "sigma", acting, float(s.v[canonical.KERNEL][c, 1]), 1 / s.window


def _varies(got: Array) -> bool:
    """Tell whether a channel has frames enough: a constant is met by any parameter."""
    return got.shape[-1] > MOST_SHIFT and bool(np.ptp(got) > ALIKE * np.abs(got).max())


def _fitted(stage: str, pair: Pair, c: int) -> Iterator[tuple[str, float, float, float]]:
    """Each parameter of PCEN with which alone the stage is what the port made of one channel."""
    s, got = pair.setting, pair.got[:, c : c + 1]
    if not _varies(got):
        return
    alpha, delta, r, smooth = (p[c : c + 1] if len(p) > 1 else p for p in parameters(s))
    values = {**s.expected.stages, **s.given}
    x, m, eps = values["floor"][:, c : c + 1], values["ema"][:, c : c + 1], s.expected.config.pcen_floor
    if stage == "ema":
        made = {"s": lambda p: smoother(x, p, 1 - p)}
    else:
        made = {
            "alpha": lambda p: normalise(x, m, p, delta, r, eps), "delta": lambda p: normalise(x, m, alpha, p, r, eps),
            "the root": lambda p: normalise(x, m, alpha, delta, 1 / p, eps),
        }  # fmt: skip
    held = {"alpha": alpha, "delta": delta, "the root": 1 / r, "s": smooth}
    for name, make in made.items():

        def off(value: float, make: Callable[[Array], Array] = make) -> float:
            with np.errstate(all="ignore"):
                apart = np.abs(make(np.array([value])) - got).max()
            return float(apart) if np.isfinite(apart) else float("inf")

        grid = np.linspace(*RANGES[name], GRID) if name in ("alpha", "s") else np.geomspace(*RANGES[name], GRID)
        nearest = int(np.argmin([off(value) for value in grid]))
        low, high = grid[max(nearest - 1, 0)], grid[min(nearest + 1, GRID - 1)]
        for _ in range(N_STEPS):
            first, second = low + (high - low) / 3, high - (high - low) / 3
            low, high = (low, second) if off(first) <= off(second) else (first, high)
        given = float(held[name][0])
        if off(low) <= 4 * ROUNDING * np.abs(got).max() and abs(low - given) > MOVED * abs(given):
            yield name, float(low), given, s.window
