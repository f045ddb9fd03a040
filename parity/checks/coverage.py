"""Count what the strategies draw: the cases of each class, and the classes that were never drawn.

A strategy says what can be drawn; whether a few thousand examples of it hold a single clip of one frame at 22.05 kHz
is counted here, not assumed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from parity.adapters import canonical
from parity.cases.case import SIGNALS, Case
from parity.cases.strategies import DECADES, RATES, WEIGHTS_DRAWN
from parity.oracle.config import COMPRESSIONS
from parity.oracle.geometry import Box

SIDES = ("below", "inside", "above")
PLAIN, OPTIONAL = ("pcen",), ("pre-emphasis", "instance norm", "shared smoother", "none of these")
# Limits of each parameter; delta has none.
LIMITED = ("mu", "sigma", "width", "alpha", "root", "smooth")
Counts = dict[str, dict[str, int]]


@dataclass
class Coverage:
    """Counts of drawn cases, by dimension and class; make one with :meth:`of`.

    Attributes:
        counts: number of cases by dimension and class. A case counts once in each class that it has: in more than one
            of a dimension where its filters, or its length, are in more than one.
        n_cases: how many were added.
    """

    counts: Counts = field(default_factory=dict)
    n_cases: int = 0

    @classmethod
    def of(
        cls,
        *,
        plain: bool = False,
        weights: tuple[str, ...] = WEIGHTS_DRAWN,
        signals: tuple[str, ...] = SIGNALS,
        frames_aligned: bool = False,
    ) -> Coverage:
        """An empty coverage of the classes that ``cases`` can draw with these arguments, each at 0.

        Args:
            plain, weights, signals: as :func:`parity.cases.strategies.cases` takes them.
            frames_aligned: the cases go through :func:`parity.cases.strategies.aligned`.
        """
        classes: dict[str, tuple[str, ...]] = {
            "length modulo stride": ("1",) if frames_aligned else ("0", "1", "stride - 1", "other"),
            "length": ("one frame", "shorter than a window", "a window or longer"),
            "window": ("odd",) if frames_aligned else ("odd", "even"),
            "rate": tuple(map(str, RATES)),
            "signal": signals,
            "amplitude": tuple(f"1e{decade:+d}" for decade in range(*DECADES)),
            "batch": ("1", "2"),
            "weights": tuple(dict.fromkeys(weights)),
            "compression": PLAIN if plain else COMPRESSIONS,
            "options": OPTIONAL[-1:] if plain else OPTIONAL,
        }
        outside = {kind for kind in weights if kind.startswith("outside")}
        for parameter in LIMITED:
            sides = ["inside"]
            if outside - ({"outside_shared"} if parameter == "smooth" else set()):
                sides += [side for side in ("below", "above") if (parameter, side) not in _UNLIMITED]
            classes[f"{parameter} against its limits"] = tuple(side for side in SIDES if side in sides)
        return cls({dimension: dict.fromkeys(kinds, 0) for dimension, kinds in classes.items()})

    def add(self, case: Case) -> None:
        """Count a case; runs nothing but the draw of its weights."""
        self.n_cases += 1
        for dimension, kind in _classes(case):
            of_dimension = self.counts.setdefault(dimension, {})
            of_dimension[kind] = of_dimension.get(kind, 0) + 1

    def empty(self) -> list[str]:
        """The classes that were never drawn, as ``dimension: class``."""
        return [f"{d}: {kind}" for d, kinds in self.counts.items() for kind, n in kinds.items() if not n]

    def table(self) -> str:
        """A line for each dimension: the number of cases in each of its classes."""
        width = max(map(len, self.counts), default=0)
        lines = [f"{self.n_cases} cases, by class"]
        for dimension, kinds in self.counts.items():
            lines.append(f"{dimension:<{width}}  " + ", ".join(f"{kind} {n}" for kind, n in kinds.items()))
        never = "; ".join(self.empty())
        return "\n".join([*lines, f"never drawn: {never}" if never else "every class was drawn"])


_UNLIMITED = {("alpha", "below"), ("root", "above")}


def _classes(case: Case) -> Iterator[tuple[str, str]]:
    config, n = case.config, case.n_samples
    rest = n % config.stride
    yield "length modulo stride", {0: "0", 1: "1", config.stride - 1: "stride - 1"}.get(rest, "other")
    if n <= config.stride:
        yield "length", "one frame"
    yield "length", "shorter than a window" if n < config.window else "a window or longer"
    yield "window", ("even", "odd")[config.window % 2]
    yield "rate", str(config.sample_rate)
    yield "signal", case.signal
    if case.amplitude:
        decade = math.floor(math.log10(case.amplitude))
        yield "amplitude", f"1e{min(max(decade, DECADES[0]), DECADES[1] - 1):+d}"
    yield "batch", str(case.batch)
    yield "weights", case.weights
    yield "compression", config.compression
    yield from (("options", kind) for kind in _options(case))
    for parameter, sides in _sides(case).items():
        yield from ((f"{parameter} against its limits", side) for side in sides)


def _options(case: Case) -> list[str]:
    config = case.config
    shared = config.compression == "pcen" and not config.per_channel_smooth
    chosen = zip((config.preemp, config.mean_var_norm, shared), OPTIONAL, strict=False)
    return [name for given, name in chosen if given] or [OPTIONAL[-1]]


def _sides(case: Case) -> dict[str, list[str]]:
    """Position of each limited parameter of the case, over its filters."""
    variables, box = case.variables(), Box.of_leaf(case.config.window)
    mu, sigma = variables[canonical.KERNEL].T
    held: dict[str, tuple[NDArray[np.float32] | None, float, float]] = {
        "mu": (mu, 0.0, math.pi),
        "sigma": (sigma, box.sigma_low, box.sigma_high),
        "width": (variables[canonical.POOLING], box.width_low, 0.5),
        "alpha": (variables.get(canonical.ALPHA), -math.inf, 1.0),
        "root": (variables.get(canonical.ROOT), 1.0, math.inf),
        "smooth": (variables.get(canonical.SMOOTH), 0.0, 1.0),
    }
    found = {}
    for parameter, (values, low, high) in held.items():
        if values is not None:
            reached = (values < low).any(), ((values >= low) & (values <= high)).any(), (values > high).any()
            found[parameter] = [side for side, any_there in zip(SIDES, reached, strict=True) if any_there]
    return found
