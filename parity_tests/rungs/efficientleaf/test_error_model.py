"""The model of EfficientLEAF's error: no hard signal exceeds its bounds, some come near, and noise is as expected."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch

from benchmarks.error_budget import ALL, GAINED, PUBLISHED, published
from efficientleaf import EfficientLeaf
from parity.checks.grid import Context
from parity.criteria import AtMost, Verdict
from parity.oracle.approximation import SOURCES, bound, difference, energies, response, tail, tones_bound
from parity.oracle.correlation import correlate
from parity.oracle.gabor import gabor

SHOWN = (0, 4, 7, 12, 17, 22, 27, 32, 39)  # of 40 bands: each group's, and both ends of the first
KINDS = (frozenset({"kernel"}), frozenset({"rate"}), frozenset({"kernel", "rate"}), GAINED, ALL)
N_SAMPLES, HOP, MIDDLE = 1999, 160, 6
N = np.arange(N_SAMPLES)


def context(domain, case, test):
    reproduce = f"pytest parity_tests/rungs/efficientleaf/test_error_model.py -k {test}"
    return Context("efficientleaf", "oracle", domain, case, reproduce, dtype="float64")


def named(on):
    return " ".join(name for name in SOURCES if name in on)


@cache
def chosen(setting, on):
    """The shown bands with the sources ``on``, and LEAF's."""
    accounted = published(setting)
    ours, theirs = accounted.bands(on), accounted.bands(())
    return [ours[c] for c in SHOWN], [theirs[c] for c in SHOWN]


def rung(setting, on, x):
    """The shown bands' energies of efficientleaf with the sources ``on``, in float64."""
    f, accounted = PUBLISHED[setting], published(setting)
    module = EfficientLeaf(40, f.num_groups, conv_win_factor=f.conv_win_factor, stride_factor=f.stride_factor,
                           compression="pcen", exact=ALL - on).double().eval().filterbank  # fmt: skip
    with torch.no_grad():
        module.center_freqs.copy_(torch.from_numpy(accounted.kernel[:, 0]))
        module.bandwidths.copy_(torch.from_numpy(accounted.kernel[:, 1]))
        module.pooling_widths.copy_(torch.from_numpy(accounted.width))
        return module(torch.from_numpy(x)).numpy()[:, SHOWN]


def dense(form):
    """The symmetric matrix of a form."""
    q = np.zeros((form.entries.shape[1],) * 2)
    for lag, row in enumerate(form.entries):
        i = np.arange(len(row) - lag)
        q[i, i + lag] = q[i + lag, i] = row[: len(i)]
    return q


def sought(one, other):
    """Two clips of +-1, climbed by single samples to a largest and a smallest difference of the frame in the middle."""
    q = dense(difference(one, other)[0][0])
    n = np.arange(len(q)) - len(q) // 2
    carrier = np.cos(one.mu * n)
    out = np.zeros((2, N_SAMPLES))
    for row, sign in zip(out, (1.0, -1.0), strict=True):
        climbed = [climb(sign * q, np.where(start >= 0, 1.0, -1.0))
                   for start in (carrier, carrier * np.cos(np.pi * n / one.stride))]  # fmt: skip
        row[MIDDLE * HOP + n] = max(climbed, key=lambda x: sign * (x @ q @ x))
    return out


def climb(q, x):
    """Signs at which no single one turned makes x Q x larger, or as far as 3000 turns lead."""
    slope, own = q @ x, np.diag(q)
    for _ in range(3000):
        gain = own - x * slope
        i = gain.argmax()
        if not gain[i] > 0:
            break
        slope -= 2 * x[i] * q[i]
        x[i] = -x[i]
    return x


def signals(ours, theirs):
    """Hard signals within [-1, 1], by name: each [clips, samples]."""
    rng = np.random.default_rng(3)
    mu = np.array([band.mu for band in ours])[:, np.newaxis]
    fold = np.pi / np.array([max(band.stride, 2) for band in ours])[:, np.newaxis]
    impulses = np.zeros((3, N_SAMPLES))
    impulses[0, [0, -1]] = impulses[1, [0, N_SAMPLES // 2, -1]] = 1
    impulses[2, :3], impulses[2, -3:] = (1, -1, 1), (-1, 1, -1)
    sweep = np.cos(np.pi * N**2 / (2 * N_SAMPLES))
    return {
        "a loud tone beside weak noise": 0.999 * np.cos(mu * N) + 1e-3 * rng.uniform(-1, 1, (len(mu), N_SAMPLES)),
        "chirps across the groups": np.stack([sweep, sweep[::-1]]),
        "impulses at the edges": impulses,
        "DC": np.ones((1, N_SAMPLES)),
        "two tones whose beat folds to 0": 0.5 * (np.cos((mu - fold) * N) + np.cos((mu + fold) * N)),
        "square waves at the centres": np.where(np.cos(mu * (N - MIDDLE * HOP)) >= 0, 1.0, -1.0),
        "noise of +-1": rng.choice([-1.0, 1.0], (3, N_SAMPLES)),
        "sought": np.concatenate([sought(a, b) for a, b in zip(ours, theirs, strict=True)]),
    }


@pytest.mark.parametrize("on", KINDS, ids=named)
def test_no_signal_exceeds_the_bound(ledger, on):
    ours, theirs = chosen("8g-opt", on)
    limit = bound(ours, theirs, HOP, N_SAMPLES)
    nearest = {}
    for name, x in signals(ours, theirs).items():
        assert not (np.abs(x) > 1).any()
        error = np.abs(rung("8g-opt", on, x) - energies(theirs, x, HOP, {}))
        frames, over_frames = error / limit, np.linalg.norm(error, axis=2) / np.linalg.norm(limit, axis=1)
        for measure, ratio in (("a frame", frames), ("L2 over frames", over_frames)):
            where = context(f"bound of {named(on)}, {measure}, |x| <= 1", name, "test_no_signal")
            verdict = Verdict("direct", float(ratio.max()), 1.0, "measured / bound: the form's sum of magnitudes")
            ledger.check(where.measurement("pool", "forward", verdict, "approximate"))
        nearest[name] = frames.max(axis=(0, 2))
    # by band, the bound is at most so many times what some signal reaches
    tight = AtMost(
        3.0, "sign patterns reach 2 / pi of an L1 norm of cosines, and half of that where two patterns compete"
    )
    assert tight(float(np.max(1 / np.max(list(nearest.values()), axis=0)))).passes


@pytest.mark.parametrize("on", [KINDS[0], KINDS[1], GAINED], ids=named)
def test_noise_has_the_expected_moments(ledger, on):
    ours, theirs = (side[::2] for side in chosen("8g-opt", on))
    x = np.random.default_rng(7).standard_normal((8, 32001))
    apart = 6  # frames: 960 samples, over the support of 905, so that they are independent
    e, reference = (energies(side, x, HOP, {})[:, :, apart:-apart:apart] for side in (ours, theirs))
    off = np.moveaxis(e - reference, 1, 0).reshape(len(ours), -1)
    forms = [difference(a, b)[0][0] for a, b in zip(ours, theirs, strict=True)]
    for name, values, expected in (("mean", off, [f.mean for f in forms]),
                                   ("mean square", off**2, [f.mean_square for f in forms])):  # fmt: skip
        error = (values.mean(axis=1) - expected) / (values.std(axis=1) / np.sqrt(values.shape[1]))
        where = context(f"expected of noise, {named(on)}", name, "test_noise_has")
        verdict = AtMost(4.5, "standard errors of the mean over independent frames; 30 are compared")(
            np.abs(error).max()
        )
        ledger.check(where.measurement("pool", "forward", verdict, "approximate"))


def test_mean_in_closed_form():
    ours, theirs = chosen("8g-opt", GAINED)
    for one, other in zip(ours, theirs, strict=True):
        closed = [band.weights.sum() * (band.envelope**2).sum() for band in (one, other)]
        form, leaf_form = difference(one, other)[0]
        scale = AtMost(1e-11 * closed[1], "roundings of a thousand sums and a transform, of the energies themselves")
        assert scale(abs(form.mean - (closed[0] - closed[1]))).passes
        assert scale(abs(leaf_form.mean - closed[1])).passes


@pytest.mark.parametrize("on", [{"rate"}, GAINED], ids=named)
def test_tones_stay_under_their_bound_and_reach_it(on):
    ours, theirs = chosen("8g-opt", frozenset(on))
    nearest = 0.0
    for one, other in zip(ours, theirs, strict=True):
        fold = np.pi / one.stride
        for theta in ([one.mu], [one.mu - fold, one.mu + fold], [one.mu, one.mu + 2 * fold, one.mu + fold / 3]):
            amplitude = np.array([0.5, 0.3, 0.2])[: len(theta)]
            # in phase at the frame in the middle
            x = (amplitude[:, None] * np.cos(np.multiply.outer(theta, N - MIDDLE * HOP))).sum(axis=0)[None]
            e, reference = (energies([band], x, HOP, {})[0, 0] for band in (one, other))
            limit = tones_bound(one, other, np.array(theta), amplitude)
            error = np.abs(e - reference)[MIDDLE - 3 : MIDDLE + 4]  # the frames whose supports are inside
            assert AtMost(1 + 1e-9, "an upper bound, to rounding")(error.max() / limit).passes
            nearest = max(nearest, error.max() / limit)
    assert AtMost(1 + 1e-2, "one pair of exponentials in phase is an equality, but for -theta")(1 / nearest).passes


def filtered(band, x):
    """The filter's complex output y of real audio [samples], where no edge is heard."""
    taps = gabor(np.array([band.mu]), np.array([band.sigma]), 2 * band.reach + 1)[0]
    real, imaginary = correlate(x[np.newaxis], taps, 1, (band.reach, band.reach))[0]
    return (real + 1j * imaginary)[600:1300]


def test_tail_bounds_the_filter_output_and_a_tone_meets_it():
    ours, theirs = chosen("8g-opt", frozenset({"kernel"}))
    rounding = AtMost(1e-12, "sums of hundreds of taps in float64")
    noise = np.random.default_rng(0).choice([-1.0, 1.0], N_SAMPLES)
    for one, other in zip(ours, theirs, strict=True):
        # exp(-i mu n), to which the filter at mu answers
        real, imaginary = ([filtered(band, part) for band in (one, other)]
                           for part in (np.cos(one.mu * N), -np.sin(one.mu * N)))  # fmt: skip
        cut = np.abs((real[0] + 1j * imaginary[0]) - (real[1] + 1j * imaginary[1]))
        assert rounding(np.abs(cut - tail(one, other)).max()).passes
        assert rounding(np.abs(filtered(one, noise) - filtered(other, noise)).max() - tail(one, other)).passes


def test_response_is_the_filters():
    (one, *_), _ = chosen("8g-opt", frozenset({"kernel"}))
    theta = np.array([0.03, one.mu, 0.5])
    taps = gabor(np.array([one.mu]), np.array([one.sigma]), 2 * one.reach + 1)[0]
    a = np.arange(-one.reach, one.reach + 1)
    direct = np.exp(-1j * np.multiply.outer(theta, a)) @ (taps[0] + 1j * taps[1])
    assert AtMost(1e-13, "sums of 505 taps in float64")(np.abs(direct - response(one, theta)).max()).passes
