"""Pooled energies from the spectra of blocks of audio, forward and backward."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from efficientleaf.tolerance.plan import Block, Geometry, Group
from leaf._runtime.cache import keepable, plain_values, tracing
from leaf.filters import gabor_pair, gauss_windows

AT_A_TIME = 1 << 18  # complex numbers that are worked on at a time, so that they stay in a cache
KEPT = 1 << 24  # numbers of filters' outputs that are kept for the backward pass; where they are more, none are
TAILS = 8  # how many lengths of clips find the weights of their last frames again


@dataclass(frozen=True)
class Tables:
    """Hold what a plan's bands are computed with, for blocks of one length.

    Attributes:
        block: length and hops.
        groups: of bands.
        gains: of each group, filters' responses to a bin's real and imaginary part, one after the other: [K, 1, 2
            n_bins]; at full rate [K, 2, 2 n_bins], of the outputs' real and imaginary parts.
        windows: pooling windows [C, size], group by group.
        pooling: of each group, windows' weights of the outputs, [K, columns, n]: of real and imaginary parts one after
            the other, n = 2 n_points, or at full rate of both, n the samples that the block yields. Column c is for the
            frame c - ``before`` from the block's first. Empty where ``tails`` has all that are asked for.
        tails: the same and, after it, weights for the last frames of a clip, by the samples in its last block.
    """

    block: Block
    groups: tuple[Group, ...]
    gains: tuple[Tensor, ...]
    windows: Tensor
    pooling: tuple[Tensor, ...]
    tails: dict[int, tuple[Tensor, ...]] = field(default_factory=dict, compare=False)


def tables(
    centers: Tensor,
    sigmas: Tensor,
    widths: Tensor,
    geometry: Geometry,
    block: Block,
    groups: Sequence[Group],
    dtype: torch.dtype,
    tail: int | None = None,
) -> Tables:
    """Make the tables of clamped weights, [C] each, computed in their dtype and then converted; differentiable.

    With ``tail`` they are for clips with so many samples in the last block, and no others.
    """
    order = torch.tensor([band for group in groups for band in group.bands], device=centers.device)
    first = torch.tensor([b for group in groups for b in group.first], dtype=centers.dtype, device=centers.device)
    sizes = [len(group.bands) for group in groups]
    # a band's first bin is taken for frequency 0
    shifted = centers.index_select(0, order) - first * (2 * math.pi / block.length)
    pair = gabor_pair(geometry.size, shifted, sigmas.index_select(0, order))
    gains = []
    later = (torch.split(taps[:, geometry.half :], sizes) for taps in pair)
    for group, real, imag in zip(groups, *later, strict=True):
        gains.append(_twice(_responses(real, imag, group, block).to(dtype)))
    windows = gauss_windows(geometry.size, widths.index_select(0, order))
    weights = _weights(windows, -geometry.before, geometry.columns(block), geometry, block)
    if tail is not None:
        weights = torch.cat((weights, _ends(windows, tail, geometry, block)), 1)
    pooling = _pooling(weights, block, groups, dtype)
    if tail is not None:
        return Tables(block, tuple(groups), tuple(gains), windows.to(dtype), (), {tail: pooling})
    return Tables(block, tuple(groups), tuple(gains), windows.to(dtype), pooling)


def _responses(real: Tensor, imag: Tensor, group: Group, block: Block) -> Tensor:
    """Filters' responses, from their taps [K, half + 1] of time 0 and later: half of :attr:`Tables.gains`.

    h[-n] = conj h[n], so they are real. They are those of the conjugate filter: as x is real, it gives conj y, whose
    modulus is the same.
    """
    found: Tensor
    if not group.full_rate:
        found = torch.fft.hfft(torch.complex(real, imag), block.length).unsqueeze(1)
        return found[..., : group.n_bins] * (group.n_points / block.length)
    none = torch.zeros_like(real)
    parts = torch.complex(torch.stack((real, none), 1), torch.stack((none, imag), 1))
    found = torch.fft.hfft(parts, block.length)
    return found[..., : group.n_bins]


def _twice(t: Tensor) -> Tensor:
    """Every number of the last axis twice; as complex numbers, since ``repeat_interleave`` is slower."""
    pairs: Tensor = torch.view_as_real(torch.complex(t, t))
    return pairs.flatten(-2)


def _weights(windows: Tensor, first: Any, n: int, geometry: Geometry, block: Block) -> Tensor:
    """Weights [C, n, samples] of a block's samples for n frames, the ``first`` of which may lie before it."""
    n_samples, hop = block.hops * geometry.hop, geometry.hop
    left = (first + n - 1) * hop - geometry.half  # a window with zeros, of which each frame sees another piece
    padded = F.pad(windows, (left, (n - 1) * hop + n_samples - geometry.size - left))
    return padded.unfold(-1, n_samples, hop).flip(1)


def _ends(windows: Tensor, tail: Any, geometry: Geometry, block: Block) -> Tensor:
    """The same for the last frames of a clip with ``tail`` samples in its last block."""
    last = (tail + geometry.hop - 1) // geometry.hop  # frames whose middle is in the block
    weights = _weights(windows, last - geometry.before - 1, geometry.before + 1, geometry, block)
    heard: Tensor = torch.arange(weights.shape[-1], device=weights.device) < tail
    return weights * heard


def _pooling(weights: Tensor, block: Block, groups: Sequence[Group], dtype: torch.dtype) -> tuple[Tensor, ...]:
    """Weights of a block's samples, [C, frames, samples], as weights of its outputs: :attr:`Tables.pooling`.

    |y|^2 of n bins is a trigonometric polynomial of degree n - 1, which 2 n points of the circle determine: weights of
    samples become weights of points by leaving out the frequencies that such a polynomial does not have.
    """
    found, around = [], block.length - weights.shape[-1]
    for group, part in zip(groups, torch.split(weights, [len(group.bands) for group in groups]), strict=True):
        if group.full_rate:
            found.append(part.to(dtype))
        else:
            placed = F.pad(part, (around // 2, around - around // 2))
            kept = torch.fft.rfft(placed)[..., : group.n_points // 2 + 1]
            found.append(_twice(torch.fft.irfft(kept, group.n_points).to(dtype)))
    return tuple(found)


def with_tail(found: Tables, tail: Any, geometry: Geometry) -> tuple[Tensor, ...]:
    """Every group's pooling; after it, that of the last frames of a clip with ``tail`` samples in its last block."""
    if tracing(found.windows):
        return _both(found, tail, geometry)
    if (kept := found.tails.get(tail)) is not None:
        return kept
    if not keepable(found.windows):
        return _both(found, tail, geometry)
    with torch.inference_mode(False), torch.no_grad():  # an inference tensor could not be saved for a later backward
        both = _both(found, tail, geometry)
    for old in list(found.tails)[: 1 - TAILS]:  # of a copy, as other threads may do the same
        found.tails.pop(old, None)
    found.tails[tail] = both
    return both


def _both(found: Tables, tail: Any, geometry: Geometry) -> tuple[Tensor, ...]:
    weights = _ends(found.windows, tail, geometry, found.block)
    ends = _pooling(weights, found.block, found.groups, weights.dtype)
    return tuple(torch.cat(pair, 1) for pair in zip(found.pooling, ends, strict=True))


def tail_of(n_samples: Any, geometry: Geometry, block: Block) -> Any:
    """Samples of a clip in its last block."""
    step = block.hops * geometry.hop
    return n_samples - (n_samples - 1) // step * step


def energies(x: Tensor, found: Tables, geometry: Geometry) -> Tensor:
    """Audio [B, T] to pooled energies [C, B, frames]."""
    block, hop = found.block, geometry.hop
    n_clips, n_samples = x.shape
    frames, step = (n_samples + hop - 1) // hop, block.hops * hop
    n_blocks = (frames + block.hops - 1) // block.hops
    before = (block.length - step) // 2
    padded = F.pad(x, (before, (n_blocks - 1) * step + block.length - before - n_samples))
    spectra = torch.fft.fft(padded.unfold(-1, block.length, step)).flatten(0, 1)
    margin = max(0, *(-first for group in found.groups for first in group.first))  # bins of negative frequencies
    wide = torch.view_as_real(torch.cat((spectra[:, spectra.shape[1] - margin :], spectra), 1)).flatten(1).unsqueeze(0)
    half_circle = spectra[:, : block.length // 2 + 1]
    pair = torch.view_as_real(torch.stack((half_circle, half_circle * 1j))).flatten(2)
    keep = n_clips * n_blocks * sum(2 * group.n_points * len(group.bands) for group in found.groups) <= KEPT
    pooling, parts = with_tail(found, tail_of(n_samples, geometry, block), geometry), []
    for group, gains, weights in zip(found.groups, found.gains, pooling, strict=True):
        if group.full_rate:
            parts.append(pooled(pair, gains, weights, (0,) * len(gains), group.n_points, keep))
        else:
            starts = tuple(2 * (first + margin) for first in group.first)
            parts.append(pooled(wide, gains, weights, starts, group.n_points, keep))
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


def pooled(
    spectra: Tensor, gains: Tensor, weights: Tensor, starts: tuple[int, ...], n_points: int, keep: bool
) -> Tensor:
    """Energies [K, columns, blocks] of K bands.

    Intermediate results are many times as large. They are computed piece by piece; all at once where a graph or a
    transform of functions must see every operation.

    Args:
        spectra: real and imaginary parts, one after the other: of all bins, [1, blocks, 2 bins]; or of half a circle,
            and of this times i, [2, blocks, 2 bins].
        gains, weights: :attr:`Tables.gains`, :attr:`Tables.pooling`.
        starts: of each band in ``spectra``.
        n_points: of the outputs.
        keep: the outputs for the backward pass, or else compute them again in it.
    """
    if tracing(spectra) or not plain_values((spectra, gains, weights)):
        return _pooled(spectra, gains, weights, starts, n_points)
    found: Tensor = _Pooled.apply(spectra, gains, weights, starts, n_points, keep)  # type: ignore[no-untyped-call]
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
    return _sums(weights, _outputs(_heard(spectra, gains, starts), n_points))


def _sums(weights: Tensor, y: Tensor) -> Tensor:
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
    """The transpose of :func:`_outputs` times half its last length, for the first n real and imaginary parts."""
    if slope.shape[1] == 2:
        found = torch.view_as_real(torch.fft.rfft(slope)).flatten(3)
        found[..., :2] /= 2  # what has no negative
        found[..., -2:] /= 2
        return found
    spectra = torch.fft.fft(torch.view_as_complex(torch.unflatten(slope, -1, (-1, 2))))
    return torch.view_as_real(spectra).flatten(3)[..., :n]


class _Pooled(torch.autograd.Function):
    """:func:`_pooled` in pieces that fit a cache, and its gradients."""

    @staticmethod
    def forward(
        ctx: Any, spectra: Tensor, gains: Tensor, weights: Tensor, starts: tuple[int, ...], n: int, keep: bool
    ) -> Tensor:
        ctx.starts, ctx.n_points = starts, n
        found, kept = weights.new_empty(*weights.shape[:2], spectra.shape[1]), []
        for bands, blocks in _pieces(len(gains), spectra.shape[1], n):
            y = _outputs(_heard(spectra[:, blocks], gains[bands], starts[bands]), n)
            found[bands, :, blocks] = _sums(weights[bands], y)
            if keep and any(ctx.needs_input_grad):
                kept.append(y)
        ctx.save_for_backward(spectra, gains, weights, *kept)
        return found

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        spectra, gains, weights, *kept = ctx.saved_tensors
        saved = spectra, gains, weights
        starts, n_points = ctx.starts, ctx.n_points
        wanted = ctx.needs_input_grad[:3]
        if torch.is_grad_enabled():  # a gradient of the gradient is asked for
            sources = [t for t, w in zip(saved, wanted, strict=True) if w]
            again = torch.autograd.grad(
                _pooled(spectra, gains, weights, starts, n_points), sources, grad, create_graph=True
            )
            found = iter(again)
            return (*(next(found) if w else None for w in wanted), None, None, None)
        to_spectra, to_gains, to_weights = (
            torch.zeros_like(t) if w else None for t, w in zip(saved, wanted, strict=True)
        )
        n, slopes = gains.shape[-1], spectra.new_zeros(0)  # of the outputs: 0 where no frame hears them
        for piece, (bands, blocks) in enumerate(_pieces(len(gains), spectra.shape[1], n_points)):
            part, some, slope = spectra[:, blocks], gains[bands], grad[bands, :, blocks]
            y = kept[piece] if kept else _outputs(_heard(part, some, starts[bands]), n_points)
            used = _yielded(y, weights.shape[-1])
            if to_weights is not None:
                to_weights[bands].baddbmm_(slope, _squares(used))
            if to_spectra is None and to_gains is None:
                continue
            to_squares = torch.bmm(slope.transpose(1, 2), weights[bands]).unsqueeze(1)
            if slopes.shape != y.shape:
                slopes = torch.zeros_like(y)
            torch.mul(used, to_squares.mul_(4 / y.shape[-1]), out=_yielded(slopes, used.shape[-1]))
            to_heard = _transposed(slopes, n)
            for i, first in enumerate(starts[bands]):
                here = slice(first, first + n)
                if to_gains is not None:
                    to_gains[bands][i] += torch.linalg.vecdot(part[..., here], to_heard[i], dim=1)
                if to_spectra is not None:
                    to_spectra[:, blocks, here].addcmul_(to_heard[i], some[i].unsqueeze(1))
        return to_spectra, to_gains, to_weights, None, None, None
