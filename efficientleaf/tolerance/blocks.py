"""Pooled energies from the spectra of blocks of audio, forward and backward."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from efficientleaf.tolerance.plan import Block, Geometry, Group
from leaf._runtime.cache import keepable, plain_values, tracing
from leaf.filters import gabor_pair, gauss_windows

AT_A_TIME = 1 << 18  # complex numbers that are worked on at a time, so that they stay in a cache
TAILS = 8  # how many lengths of clips find the weights of their last frames again


@dataclass(frozen=True)
class Tables:
    """Hold what a plan's bands are computed with, for blocks of one length.

    Attributes:
        block: length and hops.
        groups: of bands.
        gains: of each group, filters' responses to a bin's real and imaginary part, one after the other: [K, 1, 2
            n_bins]; at full rate [K, 2, 2 n_bins], of the outputs' real and imaginary parts.
        pooling: of each group, windows' weights of the outputs, [K, columns, n]: of real and imaginary parts one after
            the other, n = 2 n_points, or at full rate of both, n the samples that the block yields. Column c is for the
            frame c - ``before`` from the block's first.
        windows: pooling windows [C, size], group by group.
        tails: the same for the last frames of a clip, by the samples in its last block.
    """

    block: Block
    groups: tuple[Group, ...]
    gains: tuple[Tensor, ...]
    pooling: tuple[Tensor, ...]
    windows: Tensor
    tails: dict[int, tuple[Tensor, ...]] = field(default_factory=dict, compare=False)

    def to(self, like: Tensor) -> Tables:
        """Convert to another tensor's dtype."""
        gains, pooling = (tuple(t.to(like.dtype) for t in ts) for ts in (self.gains, self.pooling))
        return replace(self, gains=gains, pooling=pooling, windows=self.windows.to(like.dtype), tails={})


def tables(
    centers: Tensor, sigmas: Tensor, widths: Tensor, geometry: Geometry, block: Block, groups: Sequence[Group]
) -> Tables:
    """Make the tables of clamped weights, [C] each, in their dtype; differentiable."""
    real, imag = (taps[:, geometry.half :] for taps in gabor_pair(geometry.size, centers, sigmas))
    # h[-n] = conj h[n], so the response is real. This is that of the conjugate filter: as x is real, it gives conj y,
    # whose modulus is the same
    responses = torch.fft.hfft(torch.complex(real, imag), block.length)
    order = torch.tensor([band for group in groups for band in group.bands], device=centers.device)
    sizes = [len(group.bands) for group in groups]
    windows = gauss_windows(geometry.size, widths).index_select(0, order)
    gains = []
    for group, found in zip(groups, torch.split(responses.index_select(0, order), sizes), strict=True):
        if group.full_rate:
            mirrored = torch.cat((found[:, :1], found[:, 1:].flip(1)), 1)
            found = torch.stack((found + mirrored, found - mirrored), 1)[..., : group.n_bins] / 2
        else:
            starts = torch.tensor(group.first, device=centers.device).unsqueeze(1)
            bins = (starts + torch.arange(group.n_bins, device=centers.device)) % block.length
            found = found.gather(1, bins).unsqueeze(1) * (group.n_points / block.length)
        gains.append(found.repeat_interleave(2, -1))
    weights = _weights(windows, -geometry.before, geometry.columns(block), geometry, block)
    return Tables(block, tuple(groups), tuple(gains), _pooling(weights, block, groups), windows)


def _weights(windows: Tensor, first: Any, n: int, geometry: Geometry, block: Block) -> Tensor:
    """Weights [C, n, samples] of a block's samples for n frames, the ``first`` of which may lie before it."""
    n_samples, hop = block.hops * geometry.hop, geometry.hop
    left = (first + n - 1) * hop - geometry.half  # a window with zeros, of which each frame sees another piece
    padded = F.pad(windows, (left, (n - 1) * hop + n_samples - geometry.size - left))
    return padded.unfold(-1, n_samples, hop).flip(1)


def _pooling(weights: Tensor, block: Block, groups: Sequence[Group]) -> tuple[Tensor, ...]:
    """Weights of a block's samples, [C, frames, samples], as weights of its outputs: :attr:`Tables.pooling`.

    |y|^2 of n bins is a trigonometric polynomial of degree n - 1, which 2 n points of the circle determine: weights of
    samples become weights of points by leaving out the frequencies that such a polynomial does not have.
    """
    found, around = [], block.length - weights.shape[-1]
    for group, part in zip(groups, torch.split(weights, [len(group.bands) for group in groups]), strict=True):
        if not group.full_rate:
            placed = F.pad(part, (around // 2, around - around // 2))
            kept = torch.fft.rfft(placed)[..., : group.n_points // 2 + 1]
            part = torch.fft.irfft(kept, group.n_points).repeat_interleave(2, -1)
        found.append(part)
    return tuple(found)


def with_tail(found: Tables, tail: Any, geometry: Geometry) -> tuple[Tensor, ...]:
    """Every group's pooling; after it, that of the last frames of a clip with ``tail`` samples in its last block."""
    kept = keepable(found.windows)
    if kept and tail in found.tails:
        return found.tails[tail]
    if kept:  # an inference tensor could not be saved for the backward pass of a later call
        with torch.inference_mode(False), torch.no_grad():
            both = _both(found, tail, geometry)
        for old in list(found.tails)[: 1 - TAILS]:  # of a copy, as other threads may do the same
            found.tails.pop(old, None)
        found.tails[tail] = both
        return both
    return _both(found, tail, geometry)


def _both(found: Tables, tail: Any, geometry: Geometry) -> tuple[Tensor, ...]:
    last = (tail + geometry.hop - 1) // geometry.hop  # frames whose middle is in the block
    weights = _weights(found.windows, last - geometry.before - 1, geometry.before + 1, geometry, found.block)
    weights = weights * (torch.arange(weights.shape[-1], device=weights.device) < tail)
    ends = _pooling(weights, found.block, found.groups)
    return tuple(torch.cat(pair, 1) for pair in zip(found.pooling, ends, strict=True))


def energies(x: Tensor, found: Tables, geometry: Geometry) -> Tensor:
    """Audio [B, T] to pooled energies [C, B, frames]."""
    block, hop = found.block, geometry.hop
    n_clips, n_samples = x.shape
    frames, step = (n_samples + hop - 1) // hop, block.hops * hop
    n_blocks = (frames + block.hops - 1) // block.hops
    tail = n_samples - (n_blocks - 1) * step
    before = (block.length - step) // 2
    padded = F.pad(x, (before, (n_blocks - 1) * step + block.length - before - n_samples))
    spectra = torch.fft.fft(padded.unfold(-1, block.length, step)).flatten(0, 1)
    margin = max(0, *(-first for group in found.groups for first in group.first))  # bins of negative frequencies
    wide = torch.view_as_real(torch.cat((spectra[:, spectra.shape[1] - margin :], spectra), 1)).flatten(1).unsqueeze(0)
    half_circle = spectra[:, : block.length // 2 + 1]
    pair = torch.view_as_real(torch.stack((half_circle, half_circle * 1j))).flatten(2)
    parts = []
    for group, gains, weights in zip(found.groups, found.gains, with_tail(found, tail, geometry), strict=True):
        if group.full_rate:
            parts.append(pooled(pair, gains, weights, (0,) * len(gains), group.n_points))
        else:
            starts = tuple(2 * (first + margin) for first in group.first)
            parts.append(pooled(wide, gains, weights, starts, group.n_points))
    order = [band for group in found.groups for band in group.bands]
    e = torch.cat(parts) if len(parts) > 1 else parts[0]  # [C, columns, blocks]
    if order != sorted(order):
        e = e[torch.tensor(order, device=x.device).argsort()]
    e = torch.unflatten(e, -1, (n_clips, -1)).permute(0, 2, 3, 1)  # [C, B, blocks, columns]
    return _frames(e, frames, geometry, block)


def _frames(e: Tensor, frames: int, geometry: Geometry, block: Block) -> Tensor:
    """Add up what the blocks have of each frame: [C, B, blocks, columns and those of the last frames] to frames."""
    columns = geometry.columns(block)
    # the last block's frames, of which the last have windows that the clip's end cuts
    first_cut = frames - (e.shape[-2] - 1) * block.hops - 1
    cut, n_cut = e[..., -1:, columns:], geometry.before + 1
    last = torch.cat((e[..., -1:, :first_cut], cut, e[..., -1:, first_cut + n_cut : columns]), -1)
    e = torch.cat((e[..., :-1, :columns], last), -2)
    # each block's columns reach into the hops of the next ones
    n_shifts = -(-columns // block.hops)
    e = F.pad(e, (0, n_shifts * block.hops - columns))
    shifted = [
        F.pad(part.flatten(-2), (i * block.hops, (n_shifts - 1 - i) * block.hops))
        for i, part in enumerate(torch.split(e, block.hops, -1))
    ]
    total = shifted[0]
    for part in shifted[1:]:
        total = total + part
    # decimated, the weights of points are not all positive, and what is 0 may come out below
    return total[..., geometry.before : geometry.before + frames].clamp(min=0)


def pooled(spectra: Tensor, gains: Tensor, weights: Tensor, starts: tuple[int, ...], n_points: int) -> Tensor:
    """Energies [K, columns, blocks] of K bands.

    Intermediate results are many times as large. They are computed piece by piece, and again in the backward pass;
    all at once where a graph or a transform of functions must see every operation.

    Args:
        spectra: real and imaginary parts, one after the other: of all bins, [1, blocks, 2 bins]; or of half a circle,
            and of this times i, [2, blocks, 2 bins].
        gains, weights: :attr:`Tables.gains`, :attr:`Tables.pooling`.
        starts: of each band in ``spectra``.
        n_points: of the outputs.
    """
    if tracing(spectra) or not plain_values((spectra, gains, weights)):
        return _pooled(spectra, gains, weights, starts, n_points)
    found: Tensor = _Pooled.apply(spectra, gains, weights, starts, n_points)  # type: ignore[no-untyped-call]
    return found


def _heard(spectra: Tensor, gains: Tensor, starts: Sequence[int]) -> Tensor:
    """Spectra of the outputs, [K, 1 or 2, blocks, 2 bins]."""
    n = gains.shape[-1]
    if n == spectra.shape[-1]:
        return spectra * gains.unsqueeze(2)
    return torch.stack([spectra[..., first : first + n] for first in starts]) * gains.unsqueeze(2)


def _outputs(heard: Tensor, n_points: int) -> Tensor:
    """Filters' outputs: [K, 1, blocks, 2 n_points], or [K, 2, blocks, n_points] at full rate.

    Decimated, a band's first bin is taken for frequency 0: this turns the phase of y and leaves its modulus.
    """
    spectra = torch.view_as_complex(torch.unflatten(heard, -1, (-1, 2)))
    if spectra.shape[1] == 2:
        y: Tensor = torch.fft.irfft(spectra, n_points)
        return y
    return torch.view_as_real(torch.fft.ifft(spectra, n_points)).flatten(3)


def _yielded(y: Tensor, n: int) -> Tensor:
    """The n outputs that weights are for: decimated all, at full rate the block's middle."""
    return y.narrow(-1, (y.shape[-1] - n) // 2, n)


def _squares(y: Tensor) -> Tensor:
    """[K, blocks, n]."""
    squares = y[:, 0].square()
    return torch.addcmul(squares, y[:, 1], y[:, 1]) if y.shape[1] == 2 else squares


def _pooled(spectra: Tensor, gains: Tensor, weights: Tensor, starts: Sequence[int], n_points: int) -> Tensor:
    y = _outputs(_heard(spectra, gains, starts), n_points)
    return torch.bmm(weights, _squares(_yielded(y, weights.shape[-1])).transpose(1, 2))


def _pieces(n_bands: int, n_blocks: int, n_points: int) -> list[tuple[slice, slice]]:
    """Bands and blocks to work on at a time: all blocks of as many bands as a cache holds, or less."""
    bands = max(1, AT_A_TIME // (n_blocks * n_points))
    blocks = max(1, AT_A_TIME // n_points) if bands == 1 else n_blocks
    return [
        (slice(i, i + bands), slice(j, j + blocks))
        for i in range(0, n_bands, bands)
        for j in range(0, n_blocks, blocks)
    ]


def _transposed(slope: Tensor, n: int) -> Tensor:
    """The transpose of :func:`_outputs`, for the first n real and imaginary parts."""
    n_points = slope.shape[-1]
    if slope.shape[1] == 2:
        found = torch.view_as_real(torch.fft.rfft(slope)).flatten(3) * (2 / n_points)
        found[..., :2] /= 2  # what has no negative
        found[..., -2:] /= 2
        return found
    spectra = torch.fft.fft(torch.view_as_complex(torch.unflatten(slope, -1, (-1, 2))))
    return torch.view_as_real(spectra)[..., : n // 2, :].flatten(3) * (2 / n_points)


class _Pooled(torch.autograd.Function):
    """:func:`_pooled` in pieces that fit a cache, and its gradients, which compute the outputs again."""

    @staticmethod
    def forward(ctx: Any, spectra: Tensor, gains: Tensor, weights: Tensor, starts: tuple[int, ...], n: int) -> Tensor:
        ctx.save_for_backward(spectra, gains, weights)
        ctx.starts, ctx.n_points = starts, n
        found = weights.new_empty(*weights.shape[:2], spectra.shape[1])
        for bands, blocks in _pieces(len(gains), spectra.shape[1], n):
            found[bands, :, blocks] = _pooled(spectra[:, blocks], gains[bands], weights[bands], starts[bands], n)
        return found

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        spectra, gains, weights = saved = ctx.saved_tensors
        starts, n_points = ctx.starts, ctx.n_points
        wanted = ctx.needs_input_grad[:3]
        if torch.is_grad_enabled():  # a gradient of the gradient is asked for
            sources = [t for t, w in zip(saved, wanted, strict=True) if w]
            again = torch.autograd.grad(
                _pooled(spectra, gains, weights, starts, n_points), sources, grad, create_graph=True
            )
            found = iter(again)
            return (*(next(found) if w else None for w in wanted), None, None)
        to_spectra, to_gains, to_weights = (
            torch.zeros_like(t) if w else None for t, w in zip(saved, wanted, strict=True)
        )
        n = gains.shape[-1]
        for bands, blocks in _pieces(len(gains), spectra.shape[1], n_points):
            part, some = spectra[:, blocks], gains[bands]
            y, slope = _outputs(_heard(part, some, starts[bands]), n_points), grad[bands, :, blocks]
            used = _yielded(y, weights.shape[-1])
            if to_weights is not None:
                to_weights[bands].baddbmm_(slope, _squares(used))
            if to_spectra is None and to_gains is None:
                continue
            to_squares = torch.bmm(slope.transpose(1, 2), weights[bands]).unsqueeze(1)
            used.mul_(to_squares.mul_(2))
            first, last = (y.shape[-1] - used.shape[-1]) // 2, (y.shape[-1] + used.shape[-1]) // 2
            y[..., :first], y[..., last:] = 0, 0  # which no frame hears
            to_heard = _transposed(y, n)
            for i, first in enumerate(starts[bands]):
                here = slice(first, first + n)
                if to_gains is not None:
                    to_gains[bands][i] += torch.linalg.vecdot(part[..., here], to_heard[i], dim=1)
                if to_spectra is not None:
                    to_spectra[:, blocks, here].addcmul_(to_heard[i], some[i].unsqueeze(1))
        return to_spectra, to_gains, to_weights, None, None
