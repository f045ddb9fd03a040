"""What a port is run on: cases that it can hold, drawn by Hypothesis, and their weights moved onto the limits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import strategies as st

from parity.adapters import canonical
from parity.adapters.canonical import Variables, checked
from parity.cases.case import Case
from parity.cases.strategies import MOST_SAMPLES, cases
from parity.ports.port import Port

WEIGHTS = {
    "og_leaf": ("drawn", "drawn", "trained", "outside"),
    "leaf": ("drawn", "drawn", "trained", "outside_shared"),  # simplified LEAF does not limit the smoother
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


def drawn(port: Port) -> st.SearchStrategy[Case]:
    """Cases that the port holds."""
    (padding, *_) = port.allowed("padding") or ("same",)
    plain = cases(plain=True, padding=padding, weights=port.weights or WEIGHTS[port.claims])
    return plain.map(lambda case: held(port, case)).filter(lambda case: port.holds(case.config))


def held(port: Port, case: Case) -> Case:
    """The case with a configuration that the port holds, and a length where that one's frames begin and end."""
    config = port.held(case.config, turn=case.seed)
    if (config.window, config.stride) == (case.config.window, case.config.stride):
        return replace(case, config=config)
    window, stride = config.window, config.stride
    rng = np.random.default_rng([case.seed, 4])
    hops = stride * int(rng.integers(1, max(MOST_SAMPLES // stride, 1) + 1))
    edges = [1, stride - 1, stride, stride + 1, window - 1, window, window + 1, hops - 1, hops, hops + 1]
    n_samples = int(rng.choice([int(rng.choice(edges)), case.n_samples]))
    return replace(case, config=config, n_samples=min(max(n_samples, 1), MOST_SAMPLES))


def on_limits(case: Case) -> tuple[Variables, Variables]:
    """The weights of a case with some of them on their limits, and the same a little inside, but for the smoother's."""
    on = checked(case.variables(), case.config)
    inside = {name: value.copy() for name, value in on.items()}
    rng = np.random.default_rng([case.seed, 3])
    for name, limits in LIMITS.items():
        if name not in on:
            continue
        chosen = rng.random(on[name].shape) < 0.5
        chosen.flat[0] = True  # at least one
        which = rng.integers(0, len(limits), on[name].shape)
        for weights, values in ((on, [limit for limit, _ in limits]), (inside, [within for _, within in limits])):
            weights[name] = np.where(chosen, np.take(values, which), weights[name]).astype(np.float32)
    return on, inside
