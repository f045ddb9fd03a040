"""Pooled energies from the spectrum of each frame, forward and backward."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from efficientleaf.tolerance.plan import Geometry, Group
from leaf.filters import gabor_pair, gauss_windows
from leaf.portable import exporting


@dataclass(frozen=True)
class Responses:
    """What weights are in the spectrum, in float64. A bin X of a real frame gives, at the sample t of it,

        y[t] = sum_k even[k] (Re X cos - Im X sin)(w_k t)  +  i sum_k odd[k] (Re X sin + Im X cos)(w_k t)

    Attributes:
        even, odd: sum and difference of a kernel's responses at a bin's frequency and at its negative, [C, bins].
        lags: ``sum_t w[t] cos(w_k t)``, [C, bins].
        windows: pooling windows, [C, size].
    """

    even: Tensor
    odd: Tensor
    lags: Tensor
    windows: Tensor


def responses(centers: Tensor, sigmas: Tensor, widths: Tensor, geometry: Geometry) -> Responses:
    """Of clamped weights, [C] each; differentiable."""
    centers, sigmas, windows = centers.double(), sigmas.double(), gauss_windows(geometry.size, widths.double())
    real, imag = gabor_pair(geometry.size, centers, sigmas)
    n_bands, half = len(centers), geometry.half
    taps = torch.cat((real, imag, windows))
    gap = taps.new_zeros(len(taps), geometry.length - geometry.size)
    spectra = torch.fft.rfft(torch.cat((taps[:, half:], gap, taps[:, :half]), 1))
    weight = torch.full((geometry.n_bins,), 2.0 / geometry.length, dtype=taps.dtype, device=taps.device)
    weight[0] = weight[-1] = 1.0 / geometry.length  # these bins have no negative
    even, odd = spectra[:n_bands].real * weight, -spectra[n_bands : 2 * n_bands].imag * weight
    return Responses(even, odd, spectra[2 * n_bands :].real, windows)


def forms(group: Group, r: Responses, geometry: Geometry) -> tuple[Tensor, Tensor]:
    """Matrices [K, n, n] of a group's energies: in the real parts of its bins, and in the imaginary parts."""
    bands, device = list(group.bands), r.even.device
    low = torch.tensor(group.first, device=device).unsqueeze(1)
    n = torch.arange(group.n_bins, device=device)
    even, odd = (part[bands].gather(1, low + n) for part in (r.even, r.odd))
    near = r.lags[bands][:, (n[:, None] - n).abs()]
    if not group.folded:
        gain = (even + odd) / 2
        form = gain.unsqueeze(2) * near * gain.unsqueeze(1)
        return form, form
    total = 2 * low.unsqueeze(2) + n[:, None] + n
    total = torch.minimum(total, geometry.length - total)
    far = r.lags[bands].gather(1, total.flatten(1)).view_as(near)
    even, odd = even.unsqueeze(2) * even.unsqueeze(1), odd.unsqueeze(2) * odd.unsqueeze(1)
    plus, minus = (even + odd) * near / 2, (even - odd) * far / 2
    return plus + minus, plus - minus


@dataclass(frozen=True)
class Table:
    """What a group of K bands needs of its weights.

    Attributes:
        columns: where weights stay, L' of the forms L L' of the real and of the imaginary parts, [K r, bins of the group];
            one for both where they are equal.
        forms: where weights are learned, the forms themselves, [K, n, n].
        gains: even and odd, [K, n].
        waves: cosine and sine of n bins at the nodes of a frame, [K or 1, nodes, n].
        spread: from weights of samples to weights of the nodes, [size, nodes]; None where nodes are samples.
        windows: [K, size].
        bins: of all bands one after the other, [K n].
    """

    columns: tuple[Tensor, ...]
    forms: tuple[Tensor, ...]
    gains: tuple[Tensor, Tensor]
    waves: tuple[Tensor, Tensor]
    spread: Tensor | None
    windows: Tensor
    bins: Tensor


def table(group: Group, r: Responses, geometry: Geometry, like: Tensor, learned: bool) -> Table:
    """Of ``like``'s dtype; differentiable where weights are ``learned``."""
    bands, both = list(group.bands), forms(group, r, geometry)[: 2 if group.folded else 1]
    bins = torch.tensor(group.first, device=like.device).unsqueeze(1)
    bins = bins + torch.arange(group.n_bins, device=like.device)
    even, odd = (part[bands].gather(1, bins) for part in (r.even, r.odd))
    if not group.folded:
        even = odd = (even + odd) / 2
    cos, sin, spread = _waves(geometry, group.n_bins, group.first if group.folded else None)
    columns = () if learned else _columns(group, both, bins, geometry)
    return Table(
        tuple(c.to(like.dtype) for c in columns),
        tuple(f.to(like.dtype) for f in both) if learned else (),
        (even.to(like.dtype), odd.to(like.dtype)),
        (cos.to(like), sin.to(like)),
        None if spread is None else spread.to(like),
        r.windows[bands].to(like.dtype),
        bins.flatten(),
    )


def _columns(group: Group, both: Sequence[Tensor], bins: Tensor, geometry: Geometry) -> list[Tensor]:
    """Those with eigenvalues above ``group.lost``, [K r, bins of the group] for each form."""
    # in units in which a bin's square is its share of |x|^2
    unit = bins.new_full((geometry.n_bins,), 2, dtype=torch.float64)
    unit[0] = unit[-1] = 1
    unit = (unit / geometry.length).sqrt()[bins].unsqueeze(2)
    found = [torch.linalg.eigh(f.nan_to_num() / (unit * unit.transpose(1, 2))) for f in both]
    rank = max(1, *(int((values > group.lost).sum(1).max()) for values, _ in found))
    nan = both[0].isnan().any(2, keepdim=True).any(1, keepdim=True)  # weights that are make energies that are
    low, high = group.span
    columns = []
    for values, vectors in found:
        column = unit * vectors[..., -rank:] * values[:, None, -rank:].clamp(min=0).sqrt()
        wide = column.new_zeros(len(bins), high - low, rank)
        wide.scatter_(1, (bins - low).unsqueeze(2).expand_as(column), column.masked_fill(nan, math.nan))
        columns.append(wide.transpose(1, 2).flatten(0, 1))
    return columns


@lru_cache(maxsize=256)
def _waves(geometry: Geometry, n: int, first: tuple[int, ...] | None) -> tuple[Tensor, Tensor, Tensor | None]:
    """Where |y[t]|^2 is looked at in a frame whose window is cut: see :class:`Table`.

    |y|^2 of n bins is a trigonometric polynomial of degree n - 1, so 2 n - 1 points of the circle tell all of it.
    """
    samples, bins, spread = np.arange(-geometry.half, geometry.half + 1), np.arange(n), None
    if first is not None or 2 * n - 1 >= geometry.size:
        start = np.zeros((1, 1, 1), dtype=int) if first is None else np.array(first)[:, None, None]
        phase = samples[:, None] * (bins + start) % geometry.length * (2 * math.pi / geometry.length)
    else:
        n_nodes = 2 * n - 1
        phase = np.outer(np.arange(n_nodes), bins)[None] % n_nodes * (2 * math.pi / n_nodes)
        lag = math.pi * (samples[:, None] / geometry.length - np.arange(n_nodes) / n_nodes)
        same = np.abs(np.sin(lag)) < 1e-9
        spread = torch.from_numpy(
            np.where(same, 1.0, np.sin(n_nodes * lag) / (n_nodes * np.sin(np.where(same, 1.0, lag))))
        )
    return torch.from_numpy(np.cos(phase)), torch.from_numpy(np.sin(phase)), spread


@lru_cache(maxsize=8)
def _fourier(geometry: Geometry) -> Tensor:
    """The DFT of a frame as a matrix [frame, 2 bins]."""
    n = np.arange(-2 * geometry.half, 2 * geometry.half + 1)
    phase = np.outer(n, np.arange(geometry.n_bins)) % geometry.length * (2 * math.pi / geometry.length)
    return torch.from_numpy(np.concatenate((np.cos(phase), -np.sin(phase)), 1))


def spectrum(x: Tensor, geometry: Geometry, by_fft: bool = True) -> Tensor:
    """Audio [B, T] to the spectra of its frames about their middles, [bins, 2, B, frames]: real and imaginary parts."""
    reach, length, hop = 2 * geometry.half, geometry.length, geometry.hop
    frames = (x.shape[-1] + hop - 1) // hop
    framed = F.pad(x, (reach, frames * hop - x.shape[-1] + reach)).unfold(-1, geometry.frame, hop)[:, :frames]
    if not by_fft or exporting():  # ONNX has no FFT of real numbers
        both = torch.matmul(framed, _fourier(geometry).to(framed))
        return both.unflatten(-1, (2, geometry.n_bins)).permute(3, 2, 0, 1)
    gap = framed.new_zeros(()).expand(*framed.shape[:2], length - geometry.frame)
    turned = torch.cat((framed[..., reach:], gap, framed[..., :reach]), -1)
    return torch.view_as_real(torch.fft.rfft(turned)).permute(2, 3, 0, 1).contiguous()


def energies(spectra: Tensor, found: Table, group: Group) -> Tensor:
    """Pooled energies [K, M] of frames with whole windows, [bins, 2, M]."""
    n_bands, n_frames = len(group.bands), spectra.shape[2]
    if found.columns:
        low, high = group.span
        heard = spectra[low:high]
        if len(found.columns) == 1:
            y = torch.mm(found.columns[0], heard.flatten(1)).square()
        else:
            y = torch.cat([torch.mm(c, heard[:, i]) for i, c in enumerate(found.columns)], 1).square()
    else:
        z = spectra.flatten(1).index_select(0, found.bins).view(n_bands, group.n_bins, -1)
        parts = (z,) if len(found.forms) == 1 else z.chunk(2, 2)
        y = z * torch.cat([torch.bmm(form, part) for form, part in zip(found.forms, parts, strict=True)], 2)
    return y.view(n_bands, -1, 2, n_frames).sum(1).sum(1)


def cut_energies(spectra: Tensor, found: Table, inside: Tensor) -> Tensor:
    """Energies [K, B, n] of n frames whose windows are cut.

    Args:
        spectra: of these, [bins, 2, B, n].
        found: of the group.
        inside: samples of their windows that lie in the clip, [n, size].
    """
    n_bands, (n_clips, n) = len(found.windows), spectra.shape[2:]
    heard = spectra.flatten(1).index_select(0, found.bins).view(n_bands, -1, 2, n_clips * n)
    real, imag = heard[:, :, 0], heard[:, :, 1]
    (even, odd), (cos, sin) = (gain.unsqueeze(2) for gain in found.gains), found.waves
    e = (torch.matmul(cos, even * real) - torch.matmul(sin, even * imag)).square()
    e = e + (torch.matmul(sin, odd * real) + torch.matmul(cos, odd * imag)).square()
    weights = found.windows.unsqueeze(1) * inside
    if found.spread is not None:
        weights = torch.matmul(weights, found.spread)
    return (e.view(n_bands, -1, n_clips, n) * weights.transpose(1, 2).unsqueeze(2)).sum(1)
