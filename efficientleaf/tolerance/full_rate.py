"""Bands at full rate: every sample of the filters' outputs, by FFT. LEAF but for rounding."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from efficientleaf.tolerance.forms import by_clip
from efficientleaf.tolerance.needs import Geometry
from leaf._runtime.onnx_ops import exporting
from leaf.filters import gabor_pair, gauss_windows

CACHED = 1 << 19  # numbers


@dataclass(frozen=True)
class Full:
    """K bands.

    Attributes:
        spectra: [2K, 1, bins], real parts' and imaginary parts', or None where filters are convolved.
        filters: [2K, 1, size].
        windows: hop by hop, [K, hops, hop].
        block: length of an FFT and the samples, whole hops, that it yields.
    """

    spectra: Tensor | None
    filters: Tensor
    windows: Tensor
    block: tuple[int, int]


def full(
    centers: Tensor,
    sigmas: Tensor,
    widths: Tensor,
    geometry: Geometry,
    block: tuple[int, int],
    by_fft: bool = True,
) -> Full:
    """Of clamped weights, [K] each; differentiable."""
    filters = torch.cat(gabor_pair(geometry.size, centers, sigmas)).unsqueeze(1)
    # conjugate, as a convolution layer correlates
    spectra = torch.fft.rfft(filters, block[0]).conj().resolve_conj() if by_fft else None
    left = geometry.before * geometry.hop - geometry.half
    n_hops = geometry.before + geometry.half // geometry.hop + 1
    windows = F.pad(gauss_windows(geometry.size, widths), (left, n_hops * geometry.hop - left - geometry.size))
    return Full(spectra, filters, windows.view(-1, n_hops, geometry.hop), block)


def full_energies(x: Tensor, table: Full, geometry: Geometry) -> Tensor:
    """Audio [B, T] to pooled energies [K, B, frames]."""
    (n_clips, n_samples), n_bands, hop, half = x.shape, len(table.windows), geometry.hop, geometry.half
    frames = (n_samples + hop - 1) // hop
    if table.spectra is None or exporting():  # ONNX has no FFT of real numbers
        padded = F.pad(x, (half, frames * hop - n_samples + half)).unsqueeze(1)
        y = F.conv1d(padded, table.filters).transpose(0, 1)
        e = torch.addcmul(y[:n_bands] * y[:n_bands], y[n_bands:], y[n_bands:])
        parts = _by_hop(e * (torch.arange(frames * hop, device=x.device) < n_samples), table)
    else:
        length, valid = table.block
        blocks = -(-n_samples // valid)
        padded = F.pad(x, (half, (blocks - 1) * valid + length - n_samples - half))  # longer, or shorter
        spectra = torch.fft.rfft(padded.unfold(-1, length, valid)).flatten(0, 1)
        done, found = 0, []
        for spectrum in spectra.split(_at_a_time(x, table, length)):
            # real and imaginary parts apart: contiguous, and so twice as fast to square as a complex result
            y = torch.fft.irfft(spectrum * table.spectra, length)[..., :valid]  # [2K, blocks, valid]
            e = torch.addcmul(y[:n_bands] * y[:n_bands], y[n_bands:], y[n_bands:])
            e[:, (blocks - 1 - done) % blocks :: blocks, n_samples - (blocks - 1) * valid :] = 0  # after the end
            found.append(_by_hop(e, table))
            done += spectrum.shape[0]
        parts = torch.cat(found, 2) if len(found) > 1 else found[0]
    parts = by_clip(parts, n_clips)[..., :frames]
    parts = F.pad(parts, (geometry.before, parts.shape[1] - 1 - geometry.before))
    pooled = parts[:, 0, :, :frames]
    for i in range(1, parts.shape[1]):
        pooled = pooled + parts[:, i, :, i : i + frames]
    return pooled


def _by_hop(e: Tensor, table: Full) -> Tensor:
    """Energies [K, ...], whole hops, to what each hop adds to a frame: [K, hops of a window, hops]."""
    hop = table.windows.shape[2]
    joined = e[:, 0] if e.shape[1] == 1 else e.flatten(1)
    return torch.bmm(table.windows, torch.unflatten(joined, -1, (-1, hop)).transpose(1, 2))


def _at_a_time(x: Tensor, table: Full, length: int) -> int:
    """Blocks whose outputs stay in a cache, where no gradient has to keep them all."""
    keeps = torch.is_grad_enabled() and (x.requires_grad or table.filters.requires_grad)
    if keeps or x.device.type != "cpu" or torch.compiler.is_compiling():
        return 1 << 40
    return max(1, CACHED // (table.filters.shape[0] * length))
