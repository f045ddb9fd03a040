"""Hypothesis strategies: they draw small things (a configuration, a kind of signal, a seed), never arrays."""

from __future__ import annotations

import math
from typing import Any

from hypothesis import strategies as st

from parity.cases import SIGNALS, Case
from parity.config import LeafConfig

MOST_SAMPLES = 4000


def lengths(window: int, stride: int, most: int = MOST_SAMPLES) -> st.SearchStrategy[int]:
    """Lengths of audio, biased to where padding and framing change: around a hop, a window and multiples of a hop."""
    edges = {1, stride - 1, stride, stride + 1, window - 1, window, window + 1}
    multiples = st.integers(1, max(1, most // stride)).map(lambda k: k * stride)
    near = st.builds(lambda n, d: n + d, multiples, st.integers(-1, 1))
    return st.one_of(st.sampled_from(sorted(n for n in edges if 1 <= n <= most)), near, st.integers(1, most)).filter(
        lambda n: 1 <= n <= most
    )


@st.composite
def configs(draw: st.DrawFn, *, plain: bool = False, padding: str = "same") -> LeafConfig:
    """Configurations of LEAF.

    Args:
        draw: given by Hypothesis.
        plain: only what rungs 2 and 3 hold as well: trainable PCEN, one smoother a filter, nothing before or after.
        padding: of the configuration.
    """
    rates = (2000, 4000, 8000, 11025, 16000, 22050)
    shared: dict[str, Any] = {
        "n_filters": draw(st.integers(1, 5)),
        "sample_rate": draw(st.sampled_from(rates)),
        "window_len": draw(st.sampled_from([25.0, 25.0, 16.0, 8.5])),
        "window_stride": draw(st.sampled_from([10.0, 10.0, 5.0, 30.0])),
        "pcen_floor": draw(st.sampled_from([1e-12, 1e-6])),
    }
    if plain:
        return LeafConfig(**shared, padding=padding)
    return LeafConfig(
        **shared,
        padding=padding,
        compression=draw(st.sampled_from(["pcen", "pcen", "pcen", "fixed_pcen", "log", "none"])),
        per_channel_smooth=draw(st.booleans()),
        preemp=draw(st.booleans()),
        mean_var_norm=draw(st.integers(0, 4)) == 0,
    )


@st.composite
def cases(
    draw: st.DrawFn,
    *,
    plain: bool = False,
    padding: str = "same",
    weights: tuple[str, ...] = ("drawn", "drawn", "trained", "outside"),
    signals: tuple[str, ...] = SIGNALS,
) -> Case:
    """Cases of up to 4000 samples, 5 filters and 2 clips, amplitudes from 1e-5 to 1e3."""
    config = draw(configs(plain=plain, padding=padding))
    return Case(
        config=config,
        weights=draw(st.sampled_from(weights)),
        signal=draw(st.sampled_from(signals)),
        n_samples=draw(lengths(config.window, config.stride)),
        batch=draw(st.integers(1, 2)),
        amplitude=float(f"{10 ** draw(st.floats(-5, 3, allow_nan=False)):.4g}"),
        seed=draw(st.integers(0, 2**31 - 1)),
    )


def aligned(case: Case) -> Case:
    """The case cut so that SAME and centred padding coincide: an odd window and ``n_samples % stride == 1``."""
    window_len = case.config.window_len
    if case.config.window % 2 == 0:
        window_len += 1000 / case.config.sample_rate
    config = case.config.with_(window_len=window_len)
    n = (case.n_samples - 1) // config.stride * config.stride + 1
    return Case(config, case.weights, case.signal, n, case.batch, case.amplitude, case.seed)


def log_amplitude(case: Case) -> float:
    """Base-10 logarithm of a case's amplitude; -inf for silence."""
    return math.log10(case.amplitude) if case.amplitude else -math.inf
