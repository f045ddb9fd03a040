"""Compute what EfficientLEAF does in place of LEAF, its sources of error on or off, and bound the error.

A band's pooled energies are, for any choice of sources,

    e[k] = sum_t v[t] |y[k P + t]|^2,    y[n] = sum_a g[a] x[n + a],    g[a] = gamma[a] exp(i mu a),

P the hop, gamma a Gaussian cut at its ``reach``, v the pooling weights at *full* rate (0 off the decimated grid, the
gain included), and |y|^2 as x zero outside of the clip. So a frame is a quadratic form of the audio, and so is the
difference of two choices: :class:`Form` has its entries, from the parameters alone. From them, with no signal at hand:

- an upper bound for every signal with ``|x| <= 1``: the sum of the entries' magnitudes;
- for white noise the mean (the trace) and, where it is Gaussian, the mean square (trace and Frobenius norm);
- for a sum of tones, the response: see :func:`tones_bound`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from parity.oracle.arrays import Array, clamp, exact
from parity.oracle.correlation import correlate, depthwise
from parity.oracle.gabor import gabor
from parity.oracle.geometry import Box, centered_pads, plan_groups

SOURCES = ("kernel", "rate", "gain", "width", "span", "sigma")
NEGLIGIBLE = 14  # sigmas: two taps that far apart have a product of e^-49 of the largest, under the rounding of a sum


@dataclass(frozen=True)
class Frontend:
    """EfficientLEAF's arguments, in samples.

    Attributes:
        window: taps of LEAF's kernels and pooling windows, odd.
        hop: samples between frames.
        num_groups, conv_win_factor, stride_factor: as published.
    """

    window: int
    hop: int
    num_groups: int
    conv_win_factor: float
    stride_factor: float


@dataclass(frozen=True)
class Band:
    """One band: a kernel of ``2 reach + 1`` taps and the weights of |y|^2.

    Attributes:
        mu, sigma: centre in rad/sample, time-domain sigma in samples.
        reach: the kernel's last tap.
        weights: for the samples -H .. H around the frame, H = (len(weights) - 1) / 2.
        stride: of the convolution; weights are 0 off its grid.
    """

    mu: float
    sigma: float
    reach: int
    weights: Array
    stride: int = 1

    @property
    def envelope(self) -> Array:
        """gamma: the kernel's magnitude, taps -reach .. reach."""
        t = np.arange(-self.reach, self.reach + 1)
        return np.asarray(np.exp(-(t**2) / (2 * self.sigma**2)) / (np.sqrt(2 * np.pi) * self.sigma))

    @property
    def half(self) -> int:
        """H: the last sample of the pooling window."""
        return len(self.weights) // 2


def bands(kernel: Array, width: Array, frontend: Frontend, on: Collection[str] = SOURCES) -> list[Band]:
    """Every band with the sources ``on`` and the others as LEAF has them: none is LEAF, all is EfficientLEAF.

    "gain", "width" and "span" come with a stride. Where "rate" is off they are what the stride would bring, at full
    rate: energies 1 / stride of LEAF's, the narrower window, the window that reaches as far as its last tap would.

    Args:
        kernel: mu and sigma, [C, 2].
        width: pooling widths, [C].
        frontend: of whose plan.
        on: names of ``SOURCES``.

    Raises:
        ValueError: another source, or an even window; names it.
    """
    if isinstance(on, str) or not set(on) <= set(SOURCES):
        raise ValueError(f"on={on!r}: must be a collection of {', '.join(map(repr, SOURCES))}")
    if frontend.window % 2 == 0:
        raise ValueError(f"window={frontend.window!r}: must be an odd number of taps")
    box = (Box.of_efficientleaf if "sigma" in on else Box.of_leaf)(frontend.window).upper_wins()
    mu, sigma = clamp(exact(kernel)[:, 0], 0.0, np.pi), clamp(exact(kernel)[:, 1], box.sigma_low, box.sigma_high)
    width = clamp(width, box.width_low, 0.5)
    half = frontend.window // 2
    found = []
    for group in plan_groups(
        mu, sigma, frontend.num_groups, frontend.window, frontend.hop, frontend.conv_win_factor, frontend.stride_factor
    ):
        stride = group.conv_stride
        step = stride if "rate" in on else 1
        taps = group.window_size if "span" in on else half // stride * 2 + 1  # LEAF's window has these on the grid
        last = max(half, taps // 2 * stride)
        ratio = 1.0
        if "width" in on and half:  # published: K / W where (K - 1) / (W - 1) keeps the width
            ratio = frontend.window / taps * (taps - 1) / (frontend.window - 1)
        t = np.arange(-last, last + 1)
        for c in range(group.start, group.stop):
            spread = ratio * float(width[c]) * half
            shape = np.exp(-0.5 * (t / spread) ** 2) if spread else np.where(t == 0, 1.0, 0.0)
            weights = np.where(t % step == 0, shape, 0.0) * step / (stride if "gain" in on else 1)
            reach = group.kernel_size // 2 if "kernel" in on else half
            found.append(Band(float(mu[c]), float(sigma[c]), reach, weights, step))
    return found


def energies(chosen: Sequence[Band], x: Array, hop: int, cache: dict[tuple[float, float, int], Array]) -> Array:
    """Pooled energies [B, C, frames] of audio [B, T], by the formula, at full rate.

    Args:
        chosen: the bands.
        x: audio.
        hop: samples between frames.
        cache: |y|^2 of this audio by (mu, sigma, reach): filled here, so that choices which share kernels share them.
    """
    missing: dict[int, list[tuple[float, float, int]]] = {}
    for band in chosen:
        key = (band.mu, band.sigma, band.reach)
        if key not in cache and key not in missing.setdefault(band.reach, []):
            missing[band.reach].append(key)
    for reach, keys in missing.items():
        for block in (keys[i : i + 8] for i in range(0, len(keys), 8)):
            mu, sigma = (np.array([key[i] for key in block]) for i in (0, 1))
            taps = gabor(mu, sigma, 2 * reach + 1).reshape(2 * len(block), -1)
            y = correlate(x, taps, 1, centered_pads(2 * reach + 1))
            power = (y**2).reshape(x.shape[0], len(block), 2, -1).sum(axis=2)
            cache.update({key: power[:, i] for i, key in enumerate(block)})
    pooled = []
    for band in chosen:
        power = cache[band.mu, band.sigma, band.reach][:, np.newaxis]
        pooled.append(depthwise(power, band.weights[np.newaxis], hop, (band.half, band.half)))
    return np.concatenate(pooled, axis=1)


@dataclass(frozen=True)
class Form:
    """The symmetric quadratic form of one frame, ``sum_pq Q[p, q] x[p] x[q]``: all that a frame's error can be.

    With p = t + a and q = p + lag, the definition of e gives

        Q[p, p + lag] = cos(mu lag) sum_t v[t] gamma[p - t] gamma[p - t + lag]

    (the imaginary parts cancel, as Q[q, p] is their conjugate): a row of ``entries`` for each lag >= 0, and the others
    by symmetry.
    """

    entries: Array  # [lags, positions]

    @property
    def supremum(self) -> float:
        """At least ``|e|`` for every real signal with ``|x[n]| <= 1``: the triangle inequality, ``sum |Q[p, q]|``.

        Equality needs the sign of Q[p, q] to be that of x[p] x[q] throughout.
        """
        size = np.abs(self.entries).sum(axis=1)
        return float(size[0] + 2 * size[1:].sum())

    @property
    def mean(self) -> float:
        """Expected value over white noise of variance 1, whatever its distribution: the trace."""
        return float(self.entries[0].sum())

    @property
    def mean_square(self) -> float:
        """Expected square over *Gaussian* white noise of variance 1: ``trace^2 + 2 |Q|_F^2`` (Isserlis)."""
        square = (self.entries**2).sum(axis=1)
        return self.mean**2 + 2 * float(square[0] + 2 * square[1:].sum())

    def __sub__(self, other: Form) -> Form:
        """The form of the difference; both have been cut alike."""
        lags = max(len(self.entries), len(other.entries))
        mine, theirs = (np.pad(f.entries, ((0, lags - len(f.entries)), (0, 0))) for f in (self, other))
        return Form(mine - theirs)


def forms(band: Band, extent: int, cuts: Sequence[tuple[int, int]]) -> list[Form]:
    """The frame's form on the positions -extent .. extent, once for each ``(low, high)`` that the clip begins and ends.

    Args:
        band: one band.
        extent: at least ``half + reach``: where the forms of two bands are subtracted, the larger of both.
        cuts: first and last sample of the clip, from the frame's centre: |y|^2 is pooled there alone, and x is 0
            elsewhere.
    """
    size = 1 << (2 * (band.half + band.reach)).bit_length()
    lags = np.arange(min(2 * band.reach, int(NEGLIGIBLE * band.sigma)) + 1)
    gamma = np.pad(band.envelope, (0, len(lags)))
    products = gamma[: 2 * band.reach + 1] * np.lib.stride_tricks.sliding_window_view(gamma, 2 * band.reach + 1)[lags]
    spectrum = np.fft.rfft(products, size, axis=1) * np.cos(band.mu * lags)[:, np.newaxis]
    t, p = np.arange(-band.half, band.half + 1), np.arange(-extent, extent + 1)
    out = []
    for low, high in cuts:
        weights = np.where((t >= low) & (t <= high), band.weights, 0.0)
        entries = np.zeros((len(lags), 2 * extent + 1))
        first, n = extent - band.half - band.reach, 2 * (band.half + band.reach) + 1
        entries[:, first : first + n] = np.fft.irfft(spectrum * np.fft.rfft(weights, size), size, axis=1)[:, :n]
        if low > -extent or high < extent:
            entries[(p < low) | (p + lags[:, np.newaxis] > high)] = 0.0
        out.append(Form(entries))
    return out


def difference(one: Band, other: Band, cuts: Sequence[tuple[int, int]] = ()) -> list[tuple[Form, Form]]:
    """The form of the energies of ``one`` less those of ``other``, and that of ``other``: for each cut.

    Args:
        one, other: the bands.
        cuts: see :func:`forms`; without any, one frame well inside the clip.
    """
    extent = max(band.half + band.reach for band in (one, other))
    mine, theirs = (forms(band, extent, cuts or [(-extent, extent)]) for band in (one, other))
    return [(a - b, b) for a, b in zip(mine, theirs, strict=True)]


def bound(ones: Sequence[Band], others: Sequence[Band], hop: int, n_samples: int) -> Array:
    """Upper bound [C, frames] on the difference of the pooled energies for *every* clip with ``|x| <= 1``.

    Proof: :attr:`Form.supremum`, for the whole difference, edges of the clip included; it scales with max|x|^2. The
    norm over the frames is at most the norm of the bounds. Rounding of the sums, about 1e-12 of the bound of the
    energies themselves, is not in it.
    """
    rows = []
    for one, other in zip(ones, others, strict=True):
        extent = max(band.half + band.reach for band in (one, other))
        cuts = [(max(-c, -extent), min(n_samples - 1 - c, extent)) for c in range(0, n_samples, hop)]
        distinct = list(dict.fromkeys(cuts))  # frames inside the clip are alike
        found = dict(zip(distinct, difference(one, other, distinct), strict=True))
        rows.append([found[cut][0].supremum for cut in cuts])
    return np.array(rows)


def response(band: Band, theta: Array) -> Array:
    """The kernel's response ``sum_a gamma[a] cos((theta - mu) a)`` to ``exp(i theta n)``, up to its phase."""
    a = np.arange(-band.reach, band.reach + 1)
    return np.asarray(np.cos(np.multiply.outer(exact(theta) - band.mu, a)) @ band.envelope)


def pooling_response(band: Band, omega: Array) -> Array:
    """``V(omega) = sum_t v[t] cos(omega t)``: on a grid of stride s, LEAF's own response folded at 2 pi / s."""
    t = np.arange(-band.half, band.half + 1)
    return np.asarray(np.cos(np.multiply.outer(exact(omega), t)) @ band.weights)


def tones_bound(one: Band, other: Band, theta: Array, amplitude: Array) -> float:
    """Upper bound on the difference, in frames inside the clip, for ``x = sum_i amplitude_i cos(theta_i n + phi_i)``.

    Tones i and j beat in |y|^2 at theta_i - theta_j with ``G(theta_i) G(theta_j)``, and pooling weighs the beat by
    V of its frequency. A stride s folds 2 pi l / s onto 0: aliasing is what V_s has there and V has not. Over all
    pairs of the exponentials +-theta_i, of half the amplitude each, the triangle inequality gives

        |difference| <= sum_ij |c_i c_j| |G1(i) G1(j) V1(i - j) - G2(i) G2(j) V2(i - j)|.

    Of one complex exponential it is an equality; of two, where their phases agree.
    """
    theta = np.concatenate([exact(theta), -exact(theta)])
    c = np.concatenate([exact(amplitude), exact(amplitude)]) / 2
    beat = np.subtract.outer(theta, theta)
    products = [
        np.multiply.outer(g, g) * pooling_response(band, beat)
        for band, g in ((band, response(band, theta)) for band in (one, other))
    ]
    return float(np.abs(np.multiply.outer(c, c) * (products[0] - products[1])).sum())


def tail(one: Band, other: Band) -> float:
    """L1 norm of the taps that one kernel has and the other has not: the bound on what cutting does to y.

    ``|y_1 - y_2|_p <= tail |x|_p`` for p = 1, 2 and infinity (Young). For p = 2 it is the norm of the operator, not
    only a bound: the taps are gamma exp(i mu a) with gamma > 0, so that a tone at the centre finds all of them in
    phase. Both bands have one mu and sigma.
    """
    short, long = sorted((one, other), key=lambda band: band.reach)
    cut = long.reach - short.reach
    return float(2 * long.envelope[:cut].sum())
