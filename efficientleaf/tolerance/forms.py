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

from efficientleaf.tolerance.bound import Array
from efficientleaf.tolerance.needs import Geometry
from efficientleaf.tolerance.plan import Group
from leaf._runtime.cache import tracing
from leaf.filters import gabor_pair, gauss_windows


@dataclass(frozen=True)
class Responses:
    """Weights in the spectrum, in float64. A bin X of a real frame gives, at the sample t of it,

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
    """Matrices of a group of K bands, made of its weights.

    Attributes:
        columns: where weights stay, L of the forms L L' of the real and of the imaginary parts, [K, n, r]; one for both
            where they are equal.
        forms: where weights are learned, the forms themselves, [K, n, n].
        gains: even and odd, [K, 1, n].
        waves: cosines, then sines, of n bins at the nodes of a frame, [n, 2 nodes], or of each band's, [K, n, 2 nodes].
        spread: from weights of samples to weights of the nodes, [size, nodes].
        windows: [K, size].
    """

    columns: tuple[Tensor, ...]
    forms: tuple[Tensor, ...]
    gains: tuple[Tensor, Tensor]
    waves: Tensor
    spread: Tensor
    windows: Tensor


def table(group: Group, r: Responses, geometry: Geometry, like: Tensor, learned: bool) -> Table:
    """Of ``like``'s dtype; differentiable where weights are ``learned``."""
    bands, both = list(group.bands), forms(group, r, geometry)[: 2 if group.folded else 1]
    bins = _bins(group, like)
    even, odd = (part[bands].gather(1, bins).to(like.dtype).unsqueeze(1) for part in (r.even, r.odd))
    if not group.folded:
        even = odd = (even + odd) / 2
    waves, spread = map(torch.from_numpy, _waves(geometry, group.n_bins, group.first if group.folded else None))
    columns = () if learned else _columns(group, both, bins, geometry)
    return Table(
        tuple(c.to(like.dtype) for c in columns),
        tuple(f.to(like.dtype) for f in both) if learned else (),
        (even, odd),
        waves.to(like),
        spread.to(like),
        r.windows[bands].to(like.dtype),
    )


def _bins(group: Group, like: Tensor) -> Tensor:
    """[K, n]."""
    first = torch.tensor(group.first, device=like.device).unsqueeze(1)
    return first + torch.arange(group.n_bins, device=like.device)


def _columns(group: Group, both: Sequence[Tensor], bins: Tensor, geometry: Geometry) -> list[Tensor]:
    """Those with eigenvalues above ``group.lost``, [K, n, r] for each form."""
    # in units in which a bin's square is its share of |x|^2
    unit = bins.new_full((geometry.n_bins,), 2, dtype=torch.float64)
    unit[0] = unit[-1] = 1
    unit = (unit / geometry.length).sqrt()[bins].unsqueeze(2)
    found = [torch.linalg.eigh(f.nan_to_num() / (unit * unit.transpose(1, 2))) for f in both]
    rank = max(1, *(int((values > group.lost).sum(1).max()) for values, _ in found))
    nan = both[0].isnan().any(2, keepdim=True).any(1, keepdim=True)  # weights that are make energies that are
    return [
        (unit * vectors[..., -rank:] * values[:, None, -rank:].clamp(min=0).sqrt()).masked_fill(nan, math.nan)
        for values, vectors in found
    ]


@lru_cache(maxsize=256)
def _waves(geometry: Geometry, n: int, first: tuple[int, ...] | None) -> tuple[Array, Array]:
    """Where |y[t]|^2 is looked at in a frame whose window is cut: see :class:`Table`.

    |y|^2 of n bins is a trigonometric polynomial of degree n - 1, so 2 n - 1 points of the circle tell all of it.
    """
    samples, bins, spread = np.arange(-geometry.half, geometry.half + 1), np.arange(n), np.eye(geometry.size)
    if first is not None or 2 * n - 1 >= geometry.size:
        start = np.zeros((1, 1, 1), dtype=int) if first is None else np.array(first)[:, None, None]
        phase = samples[:, None] * (bins + start) % geometry.length * (2 * math.pi / geometry.length)
    else:
        n_nodes = 2 * n - 1
        phase = np.outer(np.arange(n_nodes), bins)[None] % n_nodes * (2 * math.pi / n_nodes)
        lag = math.pi * (samples[:, None] / geometry.length - np.arange(n_nodes) / n_nodes)
        same = np.abs(np.sin(lag)) < 1e-9
        spread = np.where(same, 1.0, np.sin(n_nodes * lag) / (n_nodes * np.sin(np.where(same, 1.0, lag))))
    waves = np.concatenate((np.cos(phase), np.sin(phase)), 1).swapaxes(1, 2)
    return np.ascontiguousarray(waves if first is not None else waves[0]), spread


def fourier(geometry: Geometry, like: Tensor) -> Tensor:
    """The DFT of a frame as a matrix [frame, 2 bins]: cosines, then negative sines."""
    n = np.arange(-2 * geometry.half, 2 * geometry.half + 1)
    phase = np.outer(n, np.arange(geometry.n_bins)) % geometry.length * (2 * math.pi / geometry.length)
    return torch.from_numpy(np.concatenate((np.cos(phase), -np.sin(phase)), 1)).to(like)


def spectrum(x: Tensor, geometry: Geometry, matrix: Tensor | None = None) -> Tensor:
    """Audio [B, T] to the spectra of its frames about their middles, [2, B, frames, bins]: real and imaginary parts.

    With a ``matrix``, that of :func:`fourier`, it needs no FFT.
    """
    reach, length, hop = 2 * geometry.half, geometry.length, geometry.hop
    frames = (x.shape[-1] + hop - 1) // hop
    framed = F.pad(x, (reach, frames * hop - x.shape[-1] + reach)).unfold(-1, geometry.frame, hop)[:, :frames]
    if matrix is not None:
        return torch.stack(torch.matmul(framed, matrix).chunk(2, -1))
    gap = framed.new_zeros(()).expand(*framed.shape[:2], length - geometry.frame)
    turned = torch.cat((framed[..., reach:], gap, framed[..., :reach]), -1)
    found = torch.fft.rfft(turned)
    return torch.stack((found.real, found.imag))


def _heard(spectra: Tensor, group: Group) -> Tensor:
    """A group's bins, [K, 2 M, n]: without a copy, but in a graph, where that is a question about lengths."""
    n, n_bands, (low, high) = group.n_bins, len(group.bands), group.span
    if tracing(spectra):
        parts = spectra[:, 0] if spectra.shape[1] == 1 else spectra.flatten(1, 2)
        return torch.stack([torch.cat(parts[..., first : first + n].unbind(0)) for first in group.first])
    bins = spectra.flatten(0, 2)[:, low:high]
    return bins.unfold(1, n, group.step).transpose(0, 1) if n_bands > 1 else bins.unsqueeze(0)


def by_clip(x: Tensor, n_clips: int) -> Tensor:
    """[..., B M] to [..., B, M]; of one clip without the question of a graph what M is."""
    return x.unsqueeze(-2) if n_clips == 1 else torch.unflatten(x, -1, (n_clips, -1))


def _halves(both: Tensor, spectra: Tensor) -> tuple[Tensor, Tensor]:
    """Real and imaginary parts of [K, 2 M, n]; ``chunk`` would ask a graph for M."""
    middle = spectra.shape[1] * spectra.shape[2]
    return both[:, :middle], both[:, middle:]


def energies(spectra: Tensor, found: Table, group: Group) -> Tensor:
    """Pooled energies [K, B, frames] of frames with whole windows, [2, B, frames, bins]."""
    heard = _heard(spectra, group)
    right = found.columns or found.forms
    if len(right) == 1:
        y = torch.bmm(heard, right[0])
    else:
        y = torch.cat([torch.bmm(part, m) for part, m in zip(_halves(heard, spectra), right, strict=True)], 1)
    e = y.square() if found.columns else y * heard
    real, imag = _halves(e.sum(2).unsqueeze(2), spectra)
    return by_clip((real + imag).squeeze(2), spectra.shape[1])


def cut_energies(spectra: Tensor, found: Table, group: Group, inside: Tensor) -> Tensor:
    """Energies [K, B, n] of n frames whose windows are cut.

    Args:
        spectra: of these, [2, B, n, bins].
        found: what the group needs.
        group: of bands.
        inside: samples of their windows that lie in the clip, [n, size].
    """
    n_bands, shape = len(group.bands), spectra.shape[1:3]
    real, imag = _halves(_heard(spectra, group), spectra)
    even, odd = found.gains
    n_nodes = found.waves.shape[-1] // 2
    if group.folded:
        a, b, c, d = (torch.matmul(part, found.waves) for part in (real * even, imag * even, real * odd, imag * odd))
    else:
        a, b = _halves(torch.matmul(torch.cat((real, imag), 1) * even, found.waves), spectra)
        c, d = a, b
    e = (a[..., :n_nodes] - b[..., n_nodes:]).square() + (c[..., n_nodes:] + d[..., :n_nodes]).square()
    weights = torch.matmul(found.windows.unsqueeze(1) * inside, found.spread)
    return (e.view(n_bands, *shape, n_nodes) * weights.unsqueeze(1)).sum(-1)
