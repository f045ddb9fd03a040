"""Hypothesis strategies: they draw small things (a configuration, a kind of signal, a seed), never arrays.

Left to itself Hypothesis prefers what is simplest: of its first hundred cases, two thirds would have one frame and an
amplitude of 1, and some kind of signal would never come. So every choice is turned by a hash of the draws before it:
however those fall, the choices are even, and a search can still move the later ones by themselves.
:mod:`parity.checks.coverage` counts what comes of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, TypeVar

from hypothesis import strategies as st

from parity.cases.case import SIGNALS, Case
from parity.oracle.config import LeafConfig

MOST_SAMPLES = 4000
RATES = (2000, 4000, 8000, 11025, 16000, 22050)
DECADES = (-5, 3)  # of the amplitude
WEIGHTS_DRAWN = ("drawn", "drawn", "trained", "outside")

# Draws ahead of the first choice, so that this one is turned as well: Hypothesis makes most of its examples by changing
# a draw of an earlier one, and a change anywhere before a choice turns it anew.
N_SPARE = 6

Option = TypeVar("Option")


class Turned:
    """Draws that are even whatever Hypothesis prefers: each is turned by a hash of those before it."""

    def __init__(self, draw: st.DrawFn) -> None:
        self._draw = draw
        self._before = hashlib.blake2b(digest_size=8)
        for _ in range(N_SPARE):
            self.integer(0, 2**32)

    def integer(self, low: int, high: int) -> int:
        """From low to high, both included."""
        n = high - low + 1
        turn = int.from_bytes(self._before.digest(), "little")
        drawn = self._draw(st.integers(0, n - 1))
        self._before.update(drawn.to_bytes(8, "little"))
        return low + (drawn + turn) % n

    def pick(self, options: Sequence[Option]) -> Option:
        """One of the options; one that is listed twice comes twice as often."""
        return options[self.integer(0, len(options) - 1)]


def _config(turned: Turned, plain: bool, padding: str) -> LeafConfig:
    """A configuration; ``plain`` is what rungs 2 and 3 hold: trainable PCEN, one smoother a filter, nothing else."""
    shared: dict[str, Any] = {
        "n_filters": turned.integer(1, 5),
        "sample_rate": turned.pick(RATES),
        "window_len": turned.pick([25.0, 25.0, 16.0, 8.5]),
        "window_stride": turned.pick([10.0, 10.0, 5.0, 30.0]),
        "pcen_floor": turned.pick([1e-12, 1e-6]),
    }
    if plain:
        return LeafConfig(**shared, padding=padding)
    return LeafConfig(
        **shared,
        padding=padding,
        compression=turned.pick(["pcen", "pcen", "pcen", "fixed_pcen", "log", "none"]),
        per_channel_smooth=turned.pick([False, True]),
        preemp=turned.pick([False, True]),
        mean_var_norm=turned.integer(0, 4) == 0,
    )


def _length(turned: Turned, window: int, stride: int) -> int:
    """Samples, biased to where padding and framing change: around a hop, a window and multiples of a hop."""
    edges = [1, stride - 1, stride, stride + 1, window - 1, window, window + 1]
    near = turned.integer(1, MOST_SAMPLES // stride) * stride + turned.integer(-1, 1)
    n = turned.pick([turned.pick(edges), near, turned.integer(1, MOST_SAMPLES)])
    return min(max(n, 1), MOST_SAMPLES)


@st.composite
def cases(
    draw: st.DrawFn,
    *,
    plain: bool = False,
    padding: str = "same",
    weights: tuple[str, ...] = WEIGHTS_DRAWN,
    signals: tuple[str, ...] = SIGNALS,
) -> Case:
    """Cases of up to 4000 samples, 5 filters and 2 clips, amplitudes from 1e-5 to 1e3.

    Args:
        draw: given by Hypothesis.
        plain: only what rungs 2 and 3 hold as well: trainable PCEN, one smoother a filter, nothing before or after.
        padding: of the configuration.
        weights: kinds of weights to choose from, see :class:`parity.cases.case.Case`.
        signals: kinds of signals to choose from.
    """
    turned = Turned(draw)
    config = _config(turned, plain, padding)
    return Case(
        config=config,
        weights=turned.pick(weights),
        signal=turned.pick(signals),
        n_samples=_length(turned, config.window, config.stride),
        batch=turned.integer(1, 2),
        amplitude=float(f"{10 ** (turned.integer(1000 * DECADES[0], 1000 * DECADES[1]) / 1000):.4g}"),
        seed=turned.integer(0, 2**31 - 1),
    )


def aligned(case: Case) -> Case:
    """The case cut so that SAME and centred padding coincide: an odd window and ``n_samples % stride == 1``."""
    window_len = case.config.window_len
    if case.config.window % 2 == 0:
        window_len += 1000 / case.config.sample_rate
    config = case.config.with_(window_len=window_len)
    n = (case.n_samples - 1) // config.stride * config.stride + 1
    return Case(config, case.weights, case.signal, n, case.batch, case.amplitude, case.seed)
