"""Ask both rungs' SpecAugment for the oracle's numbers of a given record, and for draws of the right chances."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from parity.cases.subjects import SETTINGS
from parity.checks.grid import Context
from parity.criteria import AtMost, Verdict, soundness
from parity.report.claims import Measurement
from parity_tests.helpers.augmentation import Record, adjoint, augmented, drawn, of_mask, of_warp, rounding, surprise

DEFAULTS: Mapping[str, Any] = SETTINGS["SpecAugment"]
NO_WARP = {"time_warp_max_frames": 0}
CASES: tuple[tuple[tuple[int, int, int], dict[str, Any]], ...] = (
    ((3, 40, 12), {}),
    ((2, 100, 40), {}),
    ((2, 2, 3), {}),
    ((4, 3, 1), {}),
    ((2, 30, 5), {"time_warp_max_frames": 29, "time_mask_count": 0}),
    ((2, 300, 4), {"time_warp_max_frames": 200, "freq_mask_count": 5}),
    ((1, 600, 2), {"time_warp_max_frames": 500, "time_mask_max_frames": 300}),
    ((2, 40, 12), {"time_warp_max_ratio": 0.07, "time_mask_max_ratio": 0.07, "freq_mask_max_bins": 0}),
    ((2, 40, 12), NO_WARP),
    ((1, 1, 5), {**NO_WARP, "freq_mask_count": 1}),
)
N_ITEMS = 60_000
RARE = AtMost(6.0, "chi squared: an honest draw departs from its chances as far as this once in a million seeds")
Run = Callable[[np.ndarray, np.ndarray, Record], tuple[np.ndarray, np.ndarray]]
Draw = Callable[[Mapping[str, Any], tuple[int, int, int], int], Record]


def features(shape: tuple[int, int, int], dtype: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Features and a cotangent [B, frames, C], of both signs and of sizes from 0.01 to 100."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=shape) * 10 ** rng.uniform(-2, 2, size=shape)
    return x.astype(dtype), rng.normal(size=shape).astype(dtype)


def cases(dtype: str) -> Iterator[tuple[str, np.ndarray, np.ndarray, Record]]:
    """Every case with two seeds: its name, features, cotangent and record."""
    for shape, changes in CASES:
        for seed in range(2):
            record = drawn(shape, {**DEFAULTS, **changes}, seed)
            yield f"shape={shape},{changes},seed={seed}", *features(shape, dtype, seed), record


def context(rung: str, reference: str, domain: str, case: str, dtype: str = "float32") -> Context:
    reproduce = f"pytest parity_tests/rungs/test_spec_augment.py -m {rung}"
    return Context(rung=rung, reference=reference, domain=domain, case=case, reproduce=reproduce, dtype=dtype)


def against_the_oracle(rung: str, run: Run, dtype: str) -> Iterator[Measurement]:
    """Forward and gradient of every case, value by value under the derived bound."""
    for case, x, cotangent, record in cases(dtype):
        output, gradient = run(x, cotangent, record)
        assert output.dtype == gradient.dtype == dtype
        bound = rounding(x, cotangent, record, dtype)
        here = context(rung, "oracle", "a record given", case, dtype)
        verdict = soundness(output, augmented(x, record), bound.output)
        yield here.measurement("SpecAugment", "forward", verdict, "rounding")
        verdict = soundness(gradient, adjoint(cotangent, record), bound.gradient)
        yield here.measurement("SpecAugment", "input gradient", verdict, "rounding")


def apart(candidate: np.ndarray, reference: np.ndarray, bound: np.ndarray) -> Verdict:
    """The largest difference in units of what sums of equal products, in two orders, may make of that very value."""
    observed = soundness(candidate, reference.astype(np.float64), 2 * bound).observed
    return Verdict("direct", observed, 1.0, "equal matrices: k terms summed in another order differ by 2 k u of them")


def against_the_chances(rung: str, draw: Draw) -> Iterator[Measurement]:
    """How surprising 60,000 draws of each kind are, one by one and in pairs that must not know of each other."""
    for name, counts, chances in _counted(draw):
        here = context(rung, "oracle", "draws against their chances", name)
        yield here.measurement("SpecAugment", "status", RARE(surprise(counts, chances)), "algebraic")


def _counted(draw: Draw) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    small = {"time_mask_max_frames": 5, "freq_mask_max_bins": 4, "time_warp_max_frames": 3}
    settings: tuple[tuple[str, tuple[int, int], dict[str, Any]], ...] = (
        ("default", (40, 40), {}),
        ("small", (12, 7), small),
        ("two frames, one bin", (2, 1), {}),
        ("three frames", (3, 5), {}),
        ("limited", (20, 7), {"time_mask_max_ratio": 0.2, "time_warp_max_ratio": 0.1}),
        ("no share at all", (9, 7), {"time_mask_max_ratio": 0.1, "time_warp_max_ratio": 0.1}),
    )
    for seed, (name, (n_frames, n_bins), changes) in enumerate(settings):
        s = {**DEFAULTS, **changes}
        record = draw(s, (N_ITEMS, n_frames, n_bins), seed)
        time = of_mask(n_frames, s["time_mask_max_frames"], s["time_mask_max_ratio"])
        freq = of_mask(n_bins, s["freq_mask_max_bins"])
        warp = of_warp(n_frames, s["time_warp_max_frames"], s["time_warp_max_ratio"])
        yield f"{name}: warp", _count(record["warp_origin"], record["warp_destination"], warp.shape), warp
        yield f"{name}: time mask", _count(record["time_length"], record["time_start"], time.shape), time
        yield f"{name}: frequency mask", _count(record["freq_length"], record["freq_start"], freq.shape), freq
    s, shape = {**DEFAULTS, **small}, (N_ITEMS, 12, 7)
    record, other = draw(s, shape, 100), draw(s, shape, 101)
    times, freqs, warps = of_mask(12, 5), of_mask(7, 4), of_warp(12, 3)
    length, start, freq = times.sum(axis=1), times.sum(axis=0), freqs.sum(axis=1)
    origin = warps.sum(axis=1)
    first, second = record["time_length"].T
    begun, again = record["time_start"].T
    pairs = {
        "two masks' lengths": (first, second, length, length),
        "two masks' starts": (begun, again, start, start),
        "neighbours' lengths": (first[::2], first[1::2], length, length),
        "neighbours' starts": (begun[::2], begun[1::2], start, start),
        "neighbours' origins": (record["warp_origin"][::2], record["warp_origin"][1::2], origin, origin),
        "time and frequency lengths": (first, record["freq_length"][:, 0], length, freq),
        "origin and start": (record["warp_origin"], begun, origin, start),
        "another seed's lengths": (first, other["time_length"][:, 0], length, length),
    }
    for name, (a, b, chances_a, chances_b) in pairs.items():
        chances = np.outer(chances_a, chances_b)
        yield f"independent: {name}", _count(a, b, chances.shape), chances


def _count(rows: np.ndarray, columns: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    counts = np.zeros(shape, dtype=np.int64)
    np.add.at(counts, (rows.ravel(), columns.ravel()), 1)
    return counts
