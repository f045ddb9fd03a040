"""Compute without Fourier transforms what the original does by them: correlations that wrap around, and spectra.

Source: ``fft_conv1d`` and ``overlap_add_conv1d`` in ``leaf_audio/convolution.py``, ``amplitude`` in
``leaf_audio/impulse_responses.py``, ``MelFilterbanks`` in ``leaf_audio/frontend.py``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from parity.oracle.arrays import Array, exact
from parity.oracle.chain import Chain, Stage
from parity.oracle.mel import mel_matrix


def upper_power_of_2(n: int) -> int:
    """The next power of two; the original's float32 logarithms find it up to 2^21."""
    return 1 << max(n - 1, 0).bit_length()


def _indices(n: int, n_taps: int, shift: int) -> NDArray[np.int64]:
    """Index of the sample that tap k meets at output t: ``(t - shift + k) mod n``, [n, n_taps]."""
    return (np.arange(n)[:, np.newaxis] - shift + np.arange(n_taps)) % n


def circular(x: Array, kernels: Array, shift: int) -> Array:
    """``sum_k x[(t - shift + k) mod n] h[k]``: x [B, n], kernels [C, W], W <= n -> [B, C, n]."""
    met = exact(x)[:, _indices(x.shape[1], kernels.shape[1], shift)]
    return np.asarray(np.einsum("btk,ck->bct", met, exact(kernels), optimize=True))


def circular_adjoint(x: Array, kernels: Array, shift: int, d: Array) -> tuple[Array, Array]:
    """Adjoint of :func:`circular`: cotangent [B, C, n] to (d_x [B, n], d_kernels [C, W])."""
    indices = _indices(x.shape[1], kernels.shape[1], shift)
    d_kernels = np.einsum("bct,btk->ck", d, x[:, indices], optimize=True)
    d_x = np.zeros(x.shape)
    for k in range(kernels.shape[1]):
        d_x[:, indices[:, k]] += np.einsum("bct,c->bt", d, kernels[:, k])
    return d_x, d_kernels


def fft_conv(x: Array, kernels: Array) -> Array:
    """The original's ``fft_conv1d``: x [B, T], kernels [C, W] -> [B, C, T].

    Raises:
        ValueError: fewer than 2 samples.
    """
    n_samples, n_taps = x.shape[1], kernels.shape[1]
    n = upper_power_of_2(n_samples)
    if n < 2:
        raise ValueError(f"x of shape {x.shape}: must have at least 2 samples")
    padded = np.pad(exact(x), ((0, 0), (0, n - n_samples)))
    return circular(padded, kernels[:, :n], n_taps // 2 - 1)[..., :n_samples]


def fft_conv_adjoint(x: Array, kernels: Array, d: Array) -> tuple[Array, Array]:
    """Adjoint of :func:`fft_conv`: cotangent [B, C, T] to (d_x [B, T], d_kernels [C, W])."""
    n_samples, n_taps = x.shape[1], kernels.shape[1]
    n = upper_power_of_2(n_samples)
    behind = ((0, 0), (0, n - n_samples))
    d_x, d_cut = circular_adjoint(np.pad(x, behind), kernels[:, :n], n_taps // 2 - 1, np.pad(d, ((0, 0), *behind)))
    return d_x[:, :n_samples], np.pad(d_cut, ((0, 0), (0, n_taps - d_cut.shape[1])))


def _blocks(n_samples: int, n_taps: int, n: int) -> tuple[int, int, int]:
    """Samples a block brings, zeros before them, and the number of blocks.

    Raises:
        ValueError: transforms of an odd length, or shorter than the filters.
    """
    step = n - n_taps + 1
    if step < 1 or n % 2:
        raise ValueError(f"n={n!r}: must be even and at least the filters' {n_taps} taps")
    return step, (n_taps - 1) // 2, -(-n_samples // step)


def overlap_add(x: Array, kernels: Array, n: int) -> Array:
    """The original's ``overlap_add_conv1d`` with transforms of ``n`` samples: x [B, T], kernels [C, W] -> [B, C, T]."""
    (batch, n_samples), n_taps = x.shape, kernels.shape[1]
    step, margin, n_blocks = _blocks(n_samples, n_taps, n)
    padded = np.pad(exact(x), ((0, 0), (0, n_blocks * step - n_samples)))
    out = np.zeros((batch, kernels.shape[0], (n_blocks - 1) * step + n), dtype=np.result_type(padded, exact(kernels)))
    for i in range(n_blocks):
        block = np.pad(padded[:, i * step : (i + 1) * step], ((0, 0), (margin, n - step - margin)))
        out[..., i * step : i * step + n] += circular(block, kernels, n_taps // 2 - 1)
    return np.roll(out[..., :n_samples], 1 - n_taps // 2, axis=-1)


def overlap_add_adjoint(x: Array, kernels: Array, n: int, d: Array) -> tuple[Array, Array]:
    """Adjoint of :func:`overlap_add`: cotangent [B, C, T] to (d_x [B, T], d_kernels [C, W])."""
    n_samples, n_taps = x.shape[1], kernels.shape[1]
    step, margin, n_blocks = _blocks(n_samples, n_taps, n)
    missing = n_blocks * step - n_samples
    padded = np.pad(x, ((0, 0), (0, missing)))
    d_out = np.zeros((*d.shape[:2], (n_blocks - 1) * step + n))
    d_out[..., :n_samples] = np.roll(d, n_taps // 2 - 1, axis=-1)
    d_x, d_kernels = np.zeros(padded.shape), np.zeros(kernels.shape)
    for i in range(n_blocks):
        block = np.pad(padded[:, i * step : (i + 1) * step], ((0, 0), (margin, n - step - margin)))
        d_piece = d_out[..., i * step : i * step + n]
        d_block, d_taps = circular_adjoint(block, kernels, n_taps // 2 - 1, d_piece)
        d_x[:, i * step : (i + 1) * step] += d_block[:, margin : margin + step]
        d_kernels += d_taps
    return d_x[:, :n_samples], d_kernels


def _waves(n: int, n_bins: int, n_taps: int) -> tuple[Array, Array]:
    """Cosine and sine of ``2 pi j k / n``, [n_bins, n_taps]; the phase is reduced as a whole number first."""
    phase = 2 * np.pi * (np.arange(n_bins)[:, np.newaxis] * np.arange(n_taps) % n) / n
    return np.cos(phase), np.sin(phase)


def _modulus(re: Array, im: Array) -> Array:
    """``sqrt(re^2 + im^2)`` without an underflow of the squares."""
    largest = np.maximum(np.abs(re.real), np.abs(im.real))
    unit = np.where(largest == 0, 1.0, largest)
    return np.asarray(unit * np.sqrt((re / unit) ** 2 + (im / unit) ** 2))


def magnitudes(real: Array, imaginary: Array) -> tuple[Array, Array, Array]:
    """The spectrum of complex signals [C, W]: its magnitude, real and imaginary part, [C, W] each."""
    cosine, sine = _waves(real.shape[1], real.shape[1], real.shape[1])
    re = exact(real) @ cosine.T + exact(imaginary) @ sine.T
    im = exact(imaginary) @ cosine.T - exact(real) @ sine.T
    return _modulus(re, im), re, im


def magnitudes_adjoint(real: Array, imaginary: Array, d: Array) -> tuple[Array, Array]:
    """Adjoint of :func:`magnitudes`: cotangent of the magnitude to (d_real, d_imaginary); 0 where that is 0."""
    cosine, sine = _waves(real.shape[1], real.shape[1], real.shape[1])
    size, re, im = magnitudes(real, imaginary)
    d_re, d_im = (np.where(size == 0, 0.0, d * part / np.where(size == 0, 1.0, size)) for part in (re, im))
    return d_re @ cosine - d_im @ sine, d_re @ sine + d_im @ cosine


def spectrum_l1(kernels: Array, n: int) -> Array:
    """Sum of the magnitudes of the spectra of real kernels [C, W], cut or padded to ``n``; bins 0 to n / 2."""
    cut = exact(kernels)[:, :n]
    cosine, sine = _waves(n, n // 2 + 1, cut.shape[1])
    return np.asarray(_modulus(cut @ cosine.T, cut @ sine.T).sum())


def spectrum_l1_adjoint(kernels: Array, n: int, d: float = 1.0) -> Array:
    """Adjoint of :func:`spectrum_l1`, to [C, W]; a bin of magnitude 0 has the gradient 0."""
    cut = kernels[:, :n]
    cosine, sine = _waves(n, n // 2 + 1, cut.shape[1])
    re, im = cut @ cosine.T, cut @ sine.T
    size = _modulus(re, im)
    share = np.where(size == 0, 0.0, d / np.where(size == 0, 1.0, size))
    d_cut = (share * re) @ cosine + (share * im) @ sine
    return np.pad(d_cut, ((0, 0), (0, kernels.shape[1] - cut.shape[1])))


def hann(size: int) -> Array:
    """TensorFlow's Hann window: periodic for an even size, symmetric for an odd one; ones of size 1."""
    if size == 1:
        return np.ones(1)
    return np.sin(np.pi * np.arange(size) / (size - size % 2)) ** 2


def _windowed(x: Array, window: Array, stride: int, n_fft: int) -> Array:
    """Windowed frames [B, F, min(W, n_fft)] of audio [B, T], zeros behind: window [W]."""
    n_frames, size = -(-x.shape[1] // stride), len(window)
    padded = np.pad(exact(x), ((0, 0), (0, max((n_frames - 1) * stride + size - x.shape[1], 0))))
    frames = np.lib.stride_tricks.sliding_window_view(padded, size, axis=-1)[:, ::stride][:, :n_frames]
    return np.asarray((frames * window)[..., :n_fft])


def mel_energies(x: Array, matrix: Array, window: Array, stride: int, n_fft: int) -> Array:
    """Mel filters on squared magnitudes: x [B, T], matrix [C, n_fft // 2 + 1], window [W].

    Returns:
        [B, C, ceil(T / stride)].
    """
    frames = _windowed(x, window, stride, n_fft)
    cosine, sine = _waves(n_fft, n_fft // 2 + 1, frames.shape[-1])
    return np.asarray(((frames @ cosine.T) ** 2 + (frames @ sine.T) ** 2) @ matrix.T).transpose(0, 2, 1)


def mel_energies_adjoint(x: Array, matrix: Array, window: Array, stride: int, n_fft: int, d: Array) -> Array:
    """Adjoint of :func:`mel_energies`: cotangent [B, C, F] to d_x [B, T]."""
    frames = _windowed(x, window, stride, n_fft)
    cosine, sine = _waves(n_fft, n_fft // 2 + 1, frames.shape[-1])
    d_energy = 2 * (d.transpose(0, 2, 1) @ matrix)
    d_frames = (d_energy * (frames @ cosine.T)) @ cosine + (d_energy * (frames @ sine.T)) @ sine
    d_frames *= window[: frames.shape[-1]]
    d_x = np.zeros((x.shape[0], x.shape[1] + stride + len(window)))
    for i in range(frames.shape[1]):
        d_x[:, i * stride : i * stride + frames.shape[-1]] += d_frames[:, i]
    return d_x[:, : x.shape[1]]


@dataclass(frozen=True)
class FftConv(Stage):
    """Circular convolution of a mono signal with free filters, variable [W, 1, C]."""

    name: str

    def apply(self, c: Chain) -> None:
        filters = c.variable(self.name)[:, 0].T
        filters = filters + c.transform_noise(filters)

        def adjoint(x: Array, d: Array) -> Array:
            d_x, d_filters = fft_conv_adjoint(x[:, 0], filters, d + c.transform_noise(d))
            c.set_gradient(self.name, c.product_rounded(d_filters, x, d).T)
            return c.product_rounded(d_x, d, filters)[:, np.newaxis]

        c.then(lambda x: fft_conv(x[:, 0] + c.transform_noise(x[:, 0]), filters), adjoint)


@dataclass(frozen=True)
class MelEnergies(Stage):
    """Mel filters on squared magnitudes of a mono signal: [B, 1, T] to [B, C, frames].

    Attributes:
        n_filters: C.
        n_fft, window, stride: samples.
        sample_rate, min_freq, max_freq: Hz.
    """

    n_filters: int
    n_fft: int
    window: int
    stride: int
    sample_rate: float
    min_freq: float
    max_freq: float

    def apply(self, c: Chain) -> None:
        # a rounding of the edges moves all triangles alike
        low, high = (float(c.rounded(edge)) for edge in (self.min_freq, self.max_freq))
        matrix = c.rounded(mel_matrix(self.n_filters, self.n_fft // 2 + 1, self.sample_rate, low, high))
        window = hann(self.window)
        window = window + c.noise(np.ones(len(window)))  # a difference of 1 and a cosine
        geometry = window, self.stride, self.n_fft

        def adjoint(x: Array, d: Array) -> Array:
            d_x = mel_energies_adjoint(x[:, 0], matrix, *geometry, d)
            return np.asarray((d_x + c.transform_noise(d_x))[:, np.newaxis])

        c.then(lambda x: mel_energies(x[:, 0] + c.transform_noise(x[:, 0]), matrix, *geometry), adjoint)
