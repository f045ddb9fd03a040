"""Draw what a port is run on: cases that it can hold, from a seed, and their weights moved onto the limits.

No library of draws: nothing here looks at what else a user's process has imported, so a seed gives the same cases
everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from parity.adapters import canonical
from parity.adapters.canonical import Variables, checked
from parity.cases.case import SIGNALS, Case
from parity.oracle.config import LeafConfig
from parity.ports.port import Port

MOST_SAMPLES = 4000
FEW = 5  # filters; where a port has more, its clips are shorter
RATES = (2000, 4000, 8000, 11025, 16000, 22050)
WINDOW_LENS, STRIDES = (25.0, 25.0, 16.0, 8.5), (10.0, 10.0, 5.0, 30.0)
FLOORS = (1e-12, 1e-6)
DECADES = (-5.0, 3.0)  # of the amplitude
MOST_TRIES = 10_000
WEIGHTS = {
    "og_leaf": ("drawn", "drawn", "trained", "outside"),
    "leaf": ("drawn", "drawn", "trained", "outside_shared"),  # simplified LEAF does not limit the smoother
    "efficientleaf": ("drawn", "trained"),  # which limits sigma elsewhere, and projects instead of limiting
}
# The limits that are the same number in every implementation, and what lies a little inside of each.
INSIDE = 2.0**-20  # four times as far as a limit's own rounding may lie from it
LIMITS: dict[str, tuple[tuple[float, float], ...]] = {
    canonical.POOLING: ((0.5, 0.5 - INSIDE),),
    canonical.ALPHA: ((1.0, 1.0 - INSIDE),),
    canonical.ROOT: ((1.0, 1.0 + INSIDE),),
    # a smoother that lets through a millionth is another one: these two stay where they are
    canonical.SMOOTH: ((0.0, 0.0), (1.0, 1.0)),
}


def sample(port: Port, examples: int, seed: int = 0) -> list[Case]:
    """Cases that the port holds: every kind of signal, weight and length comes in turn, the rest is drawn.

    Raises:
        ValueError: no examples, a seed below 0, or a port that holds hardly any configuration.
    """
    if examples < 1:
        raise ValueError(f"examples={examples}: must be at least 1")
    if seed < 0:
        raise ValueError(f"seed={seed}: must be at least 0")
    rng = np.random.default_rng([seed, 5])
    decks: dict[str, list[Any]] = {}

    def pick(name: str, options: tuple[Any, ...]) -> Any:
        """The next of a shuffled deck, so that every option comes before one comes again."""
        if not decks.get(name):
            decks[name] = [options[i] for i in rng.permutation(len(options))]
        return decks[name].pop()

    (padding, *_) = port.allowed("padding") or ("same",)
    found: list[Case] = []
    for _ in range(MOST_TRIES):
        if len(found) == examples:
            return found
        config = LeafConfig(
            n_filters=int(rng.integers(1, 6)), sample_rate=pick("rate", RATES), window_len=pick("window", WINDOW_LENS),
            window_stride=pick("stride", STRIDES), pcen_floor=pick("floor", FLOORS), padding=str(padding),
        )  # fmt: skip
        case_seed = int(rng.integers(0, 2**31))
        config = port.held(config, turn=case_seed)
        if not port.holds(config) or config.n_filters < port.groups.get("num_groups", 1):
            continue
        found.append(
            Case(
                config=config,
                weights=str(pick("weights", port.weights or WEIGHTS[port.claims])),
                signal=str(pick("signal", SIGNALS)),
                n_samples=_length(rng, config, str(pick("length", ("edge", "near", "any")))),
                batch=int(rng.integers(1, 3)),
                amplitude=float(f"{10 ** rng.uniform(*DECADES):.4g}"),
                seed=case_seed,
            )
        )
    raise ValueError(f"holds, configs: must hold more than {len(found)} of {MOST_TRIES} drawn configurations")


def _length(rng: np.random.Generator, config: LeafConfig, kind: str) -> int:
    """Samples, biased to where padding and framing change: around a hop, a window and multiples of a hop."""
    window, stride = config.window, config.stride
    most = max(MOST_SAMPLES // max(config.n_filters // FEW, 1), min(2 * window, MOST_SAMPLES))
    edges = [1, stride - 1, stride, stride + 1, window - 1, window, window + 1]
    hops = stride * int(rng.integers(1, max(most // stride, 1) + 1)) + int(rng.integers(-1, 2))
    n = {"edge": int(rng.choice(edges)), "near": hops, "any": int(rng.integers(1, most + 1))}[kind]
    return min(max(n, 1), most)


def telling(port: Port, turn: int = 0) -> Case:
    """A case whose axes all have different sizes, by which layouts are found."""
    config = port.held(LeafConfig(n_filters=max(3, port.groups.get("num_groups", 1)), sample_rate=4000), turn)
    batch = 2 if config.n_filters != 2 else 3
    n_samples = config.window + 7 * config.stride + 3
    return Case(config, "trained", "noise", n_samples, batch, 1.0)


def on_limits(case: Case, without: Sequence[str] = ()) -> tuple[Variables, Variables]:
    """The weights of a case with some of them on their limits, and the same a little inside, but for the smoother's.

    Args:
        case: the case.
        without: variables that have no limits, as logarithms have none.
    """
    on = checked(case.variables(), case.config)
    inside = {name: value.copy() for name, value in on.items()}
    rng = np.random.default_rng([case.seed, 3])
    for name, limits in LIMITS.items():
        if name not in on or name in without:
            continue
        chosen = rng.random(on[name].shape) < 0.5
        chosen.flat[0] = True  # at least one
        which = rng.integers(0, len(limits), on[name].shape)
        for weights, values in ((on, [limit for limit, _ in limits]), (inside, [within for _, within in limits])):
            weights[name] = np.where(chosen, np.take(values, which), weights[name]).astype(np.float32)
    return on, inside
