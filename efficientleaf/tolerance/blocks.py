"""Pooled energies from the spectra of blocks of audio, forward and backward."""

from __future__ import annotations

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
TAILS = 8  # how many lengths of clips find the weights of their last frames again


@dataclass(frozen=True)
class Tables:
    """Hold what a plan's bands are computed with, for blocks of one length.

    Attributes:
        block: length and hops.
        groups: of bands.
        gains: of each group, filters' responses to a bin's real and imaginary part, one after the other: [K, 1, 2
            bins], all bins at full rate.
        pooling: of each group, windows' weights of the outputs' real and imaginary parts, one after the other:
            [K, columns, 2 n_points] of a block; at full rate [K, columns, 2 hop] of a hop. Column c is for the frame
            ``columns - 1 - c - before`` from the block's first, or from the hop's.
        windows: pooling windows [C, size], group by group.
        tails: the same for the last frames of a clip as well, by the samples in its last block.
    """

    block: Block
    groups: tuple[Group, ...]
    gains: tuple[Tensor, ...]
    pooling: tuple[Tensor, ...]
    windows: Tensor
    tails: dict[int, tuple[Tensor, ...]] = field(default_factory=dict, compare=False)


def tables(
    centers: Tensor,
    sigmas: Tensor,
    widths: Tensor,
    geometry: Geometry,
    block: Block,
    groups: Sequence[Group],
    dtype: torch.dtype,
) -> Tables:
    """Make the tables, of ``dtype``, of clamped weights, [C] each, in their own; differentiable."""
    order = torch.tensor([band for group in groups for band in group.bands], device=centers.device)
    centers, sigmas, widths = (p.index_select(0, order) for p in (centers, sigmas, widths))
    real, imag = (taps[:, geometry.half :] for taps in gabor_pair(geometry.size, centers, sigmas))
    # even in time but for the phase, so real; the FFTs to come do not divide by their lengths
    responses = torch.fft.hfft(torch.complex(real, imag), block.length, norm="forward").to(dtype)
    windows, gains = gauss_windows(geometry.size, widths), []
    for group, found in zip(groups, torch.split(responses, _sizes(groups)), strict=True):
        if not group.full_rate:
            starts = torch.tensor(group.first, device=centers.device).unsqueeze(1)
            found = found.gather(1, (starts + torch.arange(group.n_bins, device=centers.device)) % block.length)
        gains.append(_twice(found).unsqueeze(1))
    pooling = tuple(t.to(dtype) for t in _pooling(windows, geometry, block, groups))
    return Tables(block, tuple(groups), tuple(gains), pooling, windows.to(dtype))


def _sizes(groups: Sequence[Group]) -> list[int]:
    return [len(group.bands) for group in groups]


def _twice(t: Tensor) -> Tensor:
    """Every number twice in a row, for real and imaginary parts; several times as fast as ``repeat_interleave``."""
    return torch.view_as_real(torch.complex(t, t)).flatten(-2)


def _pooling(
    windows: Tensor, geometry: Geometry, block: Block, groups: Sequence[Group], tail: Any = None
) -> tuple[Tensor, ...]:
    """:attr:`Tables.pooling`; of a clip's last frames where ``tail`` is given.

    |y|^2 of n bins is a trigonometric polynomial of degree n - 1, which 2 n points of the circle determine: weights of
    samples become weights of points by leaving out the frequencies that such a polynomial does not have.
    """
    found = []
    for group, part in zip(groups, torch.split(windows, _sizes(groups)), strict=True):
        if group.full_rate:
            weights = _weights(part, geometry, 1, tail)
        else:
            weights = _weights(part, geometry, block.hops, tail)
            around = block.length - weights.shape[-1]
            spectra = torch.fft.rfft(F.pad(weights, (around // 2, around - around // 2)))
            weights = torch.fft.irfft(spectra, group.n_points)
        found.append(_twice(weights))
    return tuple(found)


def _weights(windows: Tensor, geometry: Geometry, hops: int, tail: Any) -> Tensor:
    """Weights [C, frames, samples] of so many hops' samples, the last frame first.

    Of all frames that reach into them; or of a clip's last, if there are no more than ``tail`` samples from the block's
    first on: what is beyond, in the last of several stretches of ``hops``, is 0.
    """
    n_samples, hop, first = hops * geometry.hop, geometry.hop, -geometry.before
    n = geometry.columns(hops)
    if tail is not None:
        tail = (tail - 1) % n_samples + 1
        first, n = (tail + hop - 1) // hop - geometry.before - 1, geometry.before + 1
    left = (first + n - 1) * hop - geometry.half  # a window with zeros, of which each frame sees another piece
    padded = F.pad(windows, (left, (n - 1) * hop + n_samples - geometry.size - left))
    weights = padded.unfold(-1, n_samples, hop)
    return weights if tail is None else weights * (torch.arange(n_samples, device=weights.device) < tail)


def with_tail(found: Tables, tail: Any, geometry: Geometry) -> tuple[Tensor, ...]:
    """Every group's pooling; before it, that of the last frames of a clip with ``tail`` samples in its last block."""
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
    ends = _pooling(found.windows, geometry, found.block, found.groups, tail)
    return tuple(torch.cat(pair, 1) for pair in zip(ends, found.pooling, strict=True))


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
    wide = torch.view_as_real(torch.cat((spectra[:, spectra.shape[1] - margin :], spectra), 1)).flatten(1)
    parts: dict[int, list[Tensor]] = {}  # by the hops of what is pooled at a time
    for group, gains, weights in zip(found.groups, found.gains, with_tail(found, tail, geometry), strict=True):
        starts = tuple(2 * (first + margin) for first in group.first)
        hops = 1 if group.full_rate else block.hops
        parts.setdefault(hops, []).append(pooled(wide, gains, weights, starts, group.n_points, block.hops // hops))
    framed = [
        _frames(torch.unflatten(torch.cat(part), -1, (n_clips, -1)), frames, geometry, hops)
        for hops, part in parts.items()
    ]
    e, order = torch.cat(framed), [band for group in found.groups for band in group.bands]
    if order != sorted(order):
        e = e[torch.tensor(order, device=x.device).argsort()]
    # decimated, the weights of points are not all positive, and what is 0 may come out below
    return e.clamp(min=0)


def _frames(e: Tensor, frames: int, geometry: Geometry, hops: int) -> Tensor:
    """Add up what stretches of ``hops`` have of each frame, [C, columns and those of the last frames, B, stretches]."""
    columns, n_cut = geometry.columns(hops), geometry.before + 1
    n = (frames + hops - 1) // hops  # at full rate the last block has more
    e = e[..., :n].permute(0, 2, 3, 1).flip(-1)  # [C, B, stretches, columns]
    # the last stretch's frames, of which the last have windows that the clip's end cuts
    first_cut = frames - (n - 1) * hops - 1
    cut = e[..., -1:, columns:]
    last = torch.cat((e[..., -1:, :first_cut], cut, e[..., -1:, first_cut + n_cut : columns]), -1)
    e = torch.cat((e[..., :-1, :columns], last), -2)
    # each stretch's columns reach into the hops of the next ones
    n_shifts = -(-columns // hops)
    e = F.pad(e, (0, n_shifts * hops - columns))
    shifted = [
        F.pad(part.flatten(-2), (i * hops, (n_shifts - 1 - i) * hops))
        for i, part in enumerate(torch.split(e, hops, -1))
    ]
    total = shifted[0]
    for part in shifted[1:]:
        total = total + part
    return total[..., geometry.before : geometry.before + frames]


def pooled(
    spectra: Tensor, gains: Tensor, weights: Tensor, starts: tuple[int, ...], n_points: int, n_parts: int
) -> Tensor:
    """Energies [K, columns, blocks n_parts] of K bands.

    Intermediate results are many times as large. They are computed piece by piece, and again in the backward pass;
    all at once where a graph or a transform of functions must see every operation.

    Args:
        spectra: real and imaginary parts, one after the other, [blocks, 2 bins].
        gains, weights: :attr:`Tables.gains`, :attr:`Tables.pooling`.
        starts: of each band in ``spectra``.
        n_points: of the outputs.
        n_parts: of a block, which are pooled each by itself.
    """
    if tracing(spectra) or not plain_values((spectra, gains, weights)):
        return _pooled(spectra, gains, weights, starts, n_points, n_parts)
    found: Tensor = _Pooled.apply(spectra, gains, weights, starts, n_points, n_parts)  # type: ignore[no-untyped-call]
    return found


def _heard(spectra: Tensor, starts: Sequence[int], n: int) -> Tensor:
    """Bins that the bands hear, [K or 1, blocks, n]."""
    if len(set(starts)) == 1:
        return spectra[:, starts[0] : starts[0] + n].unsqueeze(0)
    return torch.stack([spectra[:, first : first + n] for first in starts])


def _outputs(heard: Tensor, n_points: int) -> Tensor:
    """Filters' outputs [K, blocks, 2 n_points], real and imaginary parts one after the other."""
    spectra = torch.view_as_complex(torch.unflatten(heard, -1, (-1, 2)))
    return torch.view_as_real(torch.fft.ifft(spectra, n_points, norm="forward")).flatten(2)


def _squares(y: Tensor, n: int, n_parts: int) -> Tensor:
    """[K, blocks n_parts, n], of the middle of each block."""
    first = _first(y.shape[-1], n * n_parts)
    return torch.unflatten(y[..., first : first + n * n_parts].square(), -1, (n_parts, n)).flatten(1, 2)


def _first(n: int, n_middle: int) -> int:
    """Where the middle of a block begins, n real and imaginary parts long."""
    return (n - n_middle) // 4 * 2


def _pooled(
    spectra: Tensor, gains: Tensor, weights: Tensor, starts: Sequence[int], n_points: int, n_parts: int
) -> Tensor:
    y = _outputs(_heard(spectra, starts, gains.shape[-1]) * gains, n_points)
    return torch.bmm(weights, _squares(y, weights.shape[-1], n_parts).transpose(1, 2))


def _pieces(n_bands: int, n_blocks: int, n_points: int) -> list[tuple[slice, slice]]:
    """Bands and blocks to work on at a time: all blocks of as many bands as a cache holds, or less."""
    bands = max(1, AT_A_TIME // (n_blocks * n_points))
    blocks = max(1, AT_A_TIME // n_points) if bands == 1 else n_blocks
    return [
        (slice(i, i + bands), slice(j, j + blocks))
        for i in range(0, n_bands, bands)
        for j in range(0, n_blocks, blocks)
    ]


class _Pooled(torch.autograd.Function):
    """:func:`_pooled` in pieces that fit a cache, and its gradients, which compute the outputs again."""

    @staticmethod
    def forward(
        ctx: Any, spectra: Tensor, gains: Tensor, weights: Tensor, starts: tuple[int, ...], n_points: int, n_parts: int
    ) -> Tensor:
        ctx.save_for_backward(spectra, gains, weights)
        ctx.settings = starts, n_points, n_parts
        found = weights.new_empty(*weights.shape[:2], len(spectra), n_parts)
        for bands, blocks in _pieces(len(gains), len(spectra), n_points):
            part = _pooled(spectra[blocks], gains[bands], weights[bands], starts[bands], n_points, n_parts)
            found[bands, :, blocks] = torch.unflatten(part, -1, (-1, n_parts))
        return found.flatten(2)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        spectra, gains, weights = saved = ctx.saved_tensors
        starts, n_points, n_parts = ctx.settings
        wanted = ctx.needs_input_grad[:3]
        if torch.is_grad_enabled():  # a gradient of the gradient is asked for
            sources = [t for t, w in zip(saved, wanted, strict=True) if w]
            again = torch.autograd.grad(_pooled(*saved, *ctx.settings), sources, grad, create_graph=True)
            found = iter(again)
            return (*(next(found) if w else None for w in wanted), None, None, None)
        to_spectra, to_gains, to_weights = (
            torch.zeros_like(t) if w else None for t, w in zip(saved, wanted, strict=True)
        )
        n, grad = gains.shape[-1], torch.unflatten(grad, -1, (-1, n_parts))
        for bands, blocks in _pieces(len(gains), len(spectra), n_points):
            some, slope = gains[bands], grad[bands, :, blocks].flatten(2)
            heard = _heard(spectra[blocks], starts[bands], n)
            y = _outputs(heard * some, n_points)
            if to_weights is not None:
                to_weights[bands].baddbmm_(slope, _squares(y, weights.shape[-1], n_parts))
            if to_spectra is None and to_gains is None:
                continue
            to_squares = torch.bmm((2 * slope).transpose(1, 2), weights[bands]).view(*y.shape[:2], -1)
            first = _first(y.shape[-1], to_squares.shape[-1])
            y[..., :first] = y[..., first + to_squares.shape[-1] :] = 0
            y[..., first : first + to_squares.shape[-1]] *= to_squares
            to_outputs = torch.fft.fft(torch.view_as_complex(torch.unflatten(y, -1, (-1, 2))))
            to_heard = torch.view_as_real(to_outputs)[..., : n // 2, :].flatten(2)
            if to_gains is not None:
                to_gains[bands] += torch.linalg.vecdot(heard, to_heard, dim=1).unsqueeze(1)
            if to_spectra is not None:
                to_heard *= some
                for i, start in enumerate(starts[bands]):
                    to_spectra[blocks, start : start + n] += to_heard[i]
        return to_spectra, to_gains, to_weights, None, None, None
