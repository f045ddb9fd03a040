"""How a plan is carried out: strided convolutions with projected windows, and full rate by FFT."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from efficientleaf.plan import Geometry, Plan, Row
from leaf.filters import gabor_pair, gauss_windows
from leaf.portable import exporting

CACHED = 1 << 19  # numbers


@dataclass
class Strided:
    """A group of K bands on a coarse grid.

    Attributes:
        filters: [2K, 1, taps], real parts, then imaginary parts.
        windows: projected, [K, 1, points].
        edge_windows: at full rate, [K, window], of the ends' frames before they are cut.
        edge_projection: [K, edge points, window].
        cut: the ends' windows as they were last cut, and for which frames and length.
    """

    row: Row
    filters: Tensor
    windows: Tensor
    edge_windows: Tensor
    edge_projection: Tensor
    cut: tuple[tuple[tuple[int, ...], int, int], Tensor] | None = None


@dataclass
class Full:
    """A group of K bands at full rate.

    Attributes:
        spectra: [2K, 1, bins], real parts' and imaginary parts', or None where filters are convolved.
        filters: [2K, 1, window].
        windows: hop by hop, [K, hops, hop].
    """

    row: Row
    spectra: Tensor | None
    filters: Tensor
    windows: Tensor


Tables = list[Strided | Full]


class Constants:
    """What a plan holds fixed, on one device and in one dtype: per row its bands, and tapers and projections."""

    def __init__(self, plan: Plan, like: Tensor) -> None:
        self.plan = plan
        self.device, self.dtype = like.device, like.dtype
        self.order = torch.tensor([b for row in plan.rows for b in row.bands], device=like.device).argsort()
        self.rows: list[tuple[Row, Tensor, Tensor, Tensor, Tensor]] = []
        for row in plan.rows:
            bands = torch.tensor(row.bands, device=like.device)
            tapers, inner, edge = (
                torch.as_tensor(a).to(like) for a in (row.tapers, row.projection, row.edge_projection)
            )
            self.rows.append((row, bands, tapers, inner, edge))

    def fits(self, plan: Plan, like: Tensor) -> bool:
        return plan is self.plan and like.device == self.device and like.dtype == self.dtype


def tables(constants: Constants, centers: Tensor, sigmas: Tensor, widths: Tensor, use_fft: bool = True) -> Tables:
    """Filters and windows of the clamped parameters, [C] each; differentiable."""
    geometry = constants.plan.geometry
    found: Tables = []
    for row, bands, taper, projection, edge_projection in constants.rows:
        center, sigma = centers[bands], sigmas[bands]
        window = gauss_windows(geometry.size, widths[bands])
        real, imag = gabor_pair(row.taps, center, sigma)
        if row.by_fft:
            filters = torch.cat((real, imag)).unsqueeze(1)
            spectra = None
            if use_fft:  # conjugate, as a convolution layer correlates
                spectra = torch.fft.rfft(filters, geometry.block[0]).conj().resolve_conj()
            found.append(Full(row, spectra, filters, hops(window, geometry)))
        else:
            taper = torch.cat((taper.flip(1)[:, :-1], taper), 1)
            filters = torch.cat((real * taper, imag * taper)).unsqueeze(1)
            projected = torch.matmul(projection, window.unsqueeze(2)).transpose(1, 2)
            found.append(Strided(row, filters, projected, window, edge_projection))
    return found


def hops(window: Tensor, geometry: Geometry) -> Tensor:
    """Windows [K, size] cut into hops: [K, before + 1 + after, hop]; the frame's centre opens hop ``before``."""
    left = geometry.before * geometry.hop - geometry.half
    n_hops = geometry.before + geometry.half // geometry.hop + 1
    padded = F.pad(window, (left, n_hops * geometry.hop - left - geometry.size))
    return padded.view(-1, n_hops, geometry.hop)


@dataclass
class Audio:
    """Clips with zeros on both sides.

    Attributes:
        padded: [B, 1, left + frames * hop + right].
        n_samples, frames: of a clip.
        left: zeros before it.
    """

    padded: Tensor
    n_samples: int
    frames: int
    left: int


def energies(x: Tensor, found: Tables, constants: Constants) -> Tensor:
    """Audio [B, 1, T] to pooled energies [B, C, ceil(T / hop)]."""
    geometry = constants.plan.geometry
    n_samples, left = x.shape[-1], constants.plan.margin
    frames = (n_samples + geometry.hop - 1) // geometry.hop
    audio = Audio(F.pad(x, (left, frames * geometry.hop - n_samples + left)), n_samples, frames, left)
    rows = []
    for table in found:
        if isinstance(table, Strided):
            rows.append(_strided(audio, table, geometry))
        else:
            rows.append(_full(audio, table, geometry))
    return torch.cat(rows, 1).index_select(1, constants.order) if len(rows) > 1 else rows[0]


def _grid(
    audio: Audio, table: Strided, firsts: tuple[int, ...], frames: int, points: int, stride: int, hop: int
) -> Tensor:
    """Energies [len(firsts) B, K, n] on every ``stride``-th sample, all that ``frames`` frames from each first need."""
    row, n_bands = table.row, len(table.row.bands)
    start = audio.left - points // 2 * stride - row.taps // 2
    n = (frames - 1) * hop + (points - 1) * stride + row.taps
    pieces = [audio.padded.narrow(-1, start + first * hop, n) for first in firsts]
    y = _convolve(torch.cat(pieces) if len(pieces) > 1 else pieces[0], table.filters, stride).square()
    return y[:, :n_bands] + y[:, n_bands:]


def _convolve(x: Tensor, filters: Tensor, stride: int) -> Tensor:
    """``F.conv1d(x, filters, stride=stride)``."""
    size = filters.shape[-1]
    n = (x.shape[-1] - size) // stride + 1
    if x.shape[0] > 1 or n < 2 or x.device.type != "cpu" or torch.compiler.is_compiling():
        return F.conv1d(x, filters, stride=stride)
    # PyTorch has its fast convolutions on a CPU for batches only: one clip is cut into two, which overlap
    part = (n + 1) // 2
    x = F.pad(x, (0, (2 * part - 1) * stride + size - x.shape[-1]))
    halves = x[0].unfold(-1, (part - 1) * stride + size, part * stride).transpose(0, 1)
    return F.conv1d(halves, filters, stride=stride).transpose(0, 1).flatten(1)[None, :, :n]


def _strided(audio: Audio, table: Strided, geometry: Geometry) -> Tensor:
    row, frames, n_edge = table.row, audio.frames, geometry.edge_frames
    if frames <= 2 * n_edge:
        return _edges(audio, table, geometry, (0,), frames)[0]
    first, last = _edges(audio, table, geometry, (0, frames - n_edge), n_edge)
    e = _grid(audio, table, (n_edge,), frames - 2 * n_edge, row.window_taps, row.stride, geometry.hop)
    inner = F.conv1d(e, table.windows, stride=geometry.hop // row.stride, groups=len(row.bands))
    return torch.cat((first, inner, last), 2)


def _edges(audio: Audio, table: Strided, geometry: Geometry, firsts: tuple[int, ...], frames: int) -> Tensor:
    """Frames [ends, B, K, frames] whose windows are cut where the audio begins and ends."""
    row, hop = table.row, geometry.hop
    windows = _cut(audio, table, geometry, firsts, frames)
    e = _grid(audio, table, firsts, frames, row.edge_window_taps, row.edge_stride, hop)
    e = e.view(len(firsts), -1, *e.shape[1:]).unfold(
        -1, row.edge_window_taps, hop // row.edge_stride
    )  # [ends, B, K, frames, points]
    return (e * windows.transpose(0, 1).unsqueeze(1)).sum(-1)


def _cut(audio: Audio, table: Strided, geometry: Geometry, firsts: tuple[int, ...], frames: int) -> Tensor:
    """Projected windows [K, ends, frames, points] of frames at the ends; kept where no gradient needs them anew."""
    key = (firsts, frames, audio.n_samples)
    keeps = not (table.edge_windows.requires_grad or torch.compiler.is_compiling())
    if keeps and table.cut is not None and table.cut[0] == key:
        return table.cut[1]
    device, dtype = audio.padded.device, audio.padded.dtype
    n = torch.arange(-geometry.half, geometry.half + 1, device=device)
    n = n + geometry.hop * torch.arange(frames, device=device).unsqueeze(1)
    at = torch.stack([n + geometry.hop * first for first in firsts])
    inside = ((at >= 0) & (at < audio.n_samples)).to(dtype)
    cut = table.edge_windows.unsqueeze(1) * inside.flatten(0, 1)  # [K, ends * frames, window]
    windows = torch.matmul(cut, table.edge_projection.transpose(1, 2))
    windows = windows.view(-1, len(firsts), frames, table.row.edge_window_taps)
    if keeps:
        table.cut = key, windows
    return windows


def _full(audio: Audio, table: Full, geometry: Geometry) -> Tensor:
    n_bands, hop, frames = len(table.row.bands), geometry.hop, audio.frames
    first = audio.left - geometry.half
    if table.spectra is None or exporting():  # ONNX has no FFT of real numbers
        x = audio.padded.narrow(-1, first, frames * hop + 2 * geometry.half)
        y = F.conv1d(x, table.filters).transpose(0, 1)
        e = torch.addcmul(y[:n_bands] * y[:n_bands], y[n_bands:], y[n_bands:])
        e = e * (torch.arange(frames * hop, device=e.device) < audio.n_samples)
        n_hops = frames
        parts = _pool_hops(e, table)
    else:
        length, valid = geometry.block
        blocks = -(-audio.n_samples // valid)
        n_hops = blocks * valid // hop
        x = audio.padded[:, 0, first:]
        x = F.pad(x, (0, (blocks - 1) * valid + length - x.shape[-1]))  # longer, or shorter
        spectra = (
            torch.fft.rfft(x.unfold(-1, length, valid)).flatten(0, 1).split(_at_a_time(audio.padded, table, length))
        )
        done, found = 0, []
        for spectrum in spectra:
            # real and imaginary parts apart: contiguous, and so twice as fast to square as a complex result
            y = torch.fft.irfft(spectrum * table.spectra, length)[..., :valid]  # [2K, blocks, valid]
            e = torch.addcmul(y[:n_bands] * y[:n_bands], y[n_bands:], y[n_bands:])
            e[:, (blocks - 1 - done) % blocks :: blocks, audio.n_samples - (blocks - 1) * valid :] = 0  # after the end
            found.append(_pool_hops(e, table))
            done += spectrum.shape[0]
        parts = torch.cat(found, 2) if len(found) > 1 else found[0]
    parts = parts.view(n_bands, table.windows.shape[1], -1, n_hops)[..., :frames]  # [K, hops of a window, B, frames]
    parts = F.pad(parts, (geometry.before, parts.shape[1] - 1 - geometry.before))
    pooled = parts[:, 0, :, :frames]
    for i in range(1, parts.shape[1]):
        pooled = pooled + parts[:, i, :, i : i + frames]
    return pooled.transpose(0, 1)


def _pool_hops(e: Tensor, table: Full) -> Tensor:
    """Energies [K, ...], whole hops, to what each hop adds to a frame: [K, hops of a window, hops]."""
    n_bands, _, hop = table.windows.shape
    return torch.bmm(table.windows, e.reshape(n_bands, -1, hop).transpose(1, 2))


def _at_a_time(x: Tensor, table: Full, length: int) -> int:
    """Blocks whose outputs stay in a cache, where no gradient has to keep them all."""
    keeps = torch.is_grad_enabled() and (x.requires_grad or table.filters.requires_grad)
    if keeps or x.device.type != "cpu" or torch.compiler.is_compiling():
        return 1 << 40
    return max(1, CACHED // (table.filters.shape[0] * length))
