"""The filterbank with a known error: LEAF's energies within a tolerance."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from efficientleaf.planned import Planned
from efficientleaf.tolerance.forms import Table, cut_energies, energies, fourier, responses, spectrum, table
from efficientleaf.tolerance.full_rate import Full, full, full_energies
from efficientleaf.tolerance.needs import Geometry, Promise
from efficientleaf.tolerance.plan import Plan, make_plan
from efficientleaf.tolerance.streaming import FrameBank
from leaf._runtime.cache import keepable, tracing
from leaf._runtime.checks import count, real, waveform
from leaf._runtime.onnx_ops import exporting
from leaf.filters import SIGMA_PER_SAMPLE, mel_filter_params

LEAST, MOST = 1e-6, 1e-1
QUIETEST, LOUDEST = 20.0, 120.0  # dB


@dataclass(frozen=True)
class Tables:
    """Matrices of a plan, group by group, and of the bands at full rate.

    Attributes:
        groups: as in the plan, but for that at full rate.
        full: bands at full rate.
        ends: bands whose frames at the ends are.
        matrix: the DFT as a matrix, where a target has none.
    """

    groups: tuple[Table, ...]
    full: Full | None
    ends: Full | None
    matrix: Tensor | None = None


class ToleranceFilterbank(Planned):
    """:class:`leaf.GaborFilterbank`'s energies within a known error: audio to [B, C, frames].

    Proven, in exact arithmetic: for every band of every clip within [-1, 1] the L2 norm over the frames of the
    difference to LEAF's energies, both floored at 1e-5, is at most ``tolerance`` times LEAF's. What float32 rounds
    comes on top: :meth:`plan` prints a bound on it, and it shows at tolerances of 1e-4 and less where a loud tone
    stands beside a band near the floor, as it does in LEAF itself.
    The derivation is in :mod:`efficientleaf.tolerance`.

    Parameters, all [C], as in :class:`leaf.GaborFilterbank`, clamped where they are used, to LEAF's ranges:
        center_freqs: centres in rad/sample, within [0, pi].
        bandwidths: time-domain sigmas in samples, within [4, pool_size] * sqrt(2 log 2) / pi.
        pooling_widths: relative to half a window, within [2 / pool_size, 0.5].

    The plan is a function of the weights alone, made on the CPU whenever they have changed; a band that is NaN is
    planned for as some other, and gives NaN. While weights are learned, the forms of the frames' spectra are computed
    from them in every step. Where they stay, their factors are kept. A graph in evaluation holds both as they were when
    it was frozen.

    Args:
        n_filters, min_freq, max_freq, sample_rate, pool_init: as in :class:`leaf.GaborFilterbank`.
        pool_size: taps of filters and pooling windows, odd.
        pool_stride: samples per frame, >= 1.
        tolerance: 1e-6 to 1e-1.
        dynamic_range: None for the whole of what is promised above. 20 to 120 dB for less of it, and faster:
            ``|error| <= tolerance e + a |x|^2`` in every frame x, with a so far below the largest that the band makes
            of any audio. For recordings in which nothing is so much louder than what a band hears.

    Raises TypeError or ValueError for arguments outside these ranges.
    """

    def __init__(
        self,
        n_filters: int,
        min_freq: float,
        max_freq: float,
        sample_rate: float,
        pool_size: int,
        pool_stride: int,
        pool_init: float = 0.4,
        *,
        tolerance: float,
        dynamic_range: float | None = None,
    ) -> None:
        super().__init__()
        self.n_filters = count("n_filters", n_filters)
        self.pool_size = count("pool_size", pool_size)
        if self.pool_size % 2 == 0:
            raise ValueError(f"pool_size={pool_size!r}: an odd number of taps is needed")
        self.pool_stride = count("pool_stride", pool_stride)
        self.geometry = Geometry(self.pool_size, self.pool_stride)
        self.promise = Promise(_within("tolerance", tolerance, LEAST, MOST), dynamic_range)
        if dynamic_range is not None:
            self.promise = Promise(self.promise.tolerance, _within("dynamic_range", dynamic_range, QUIETEST, LOUDEST))
        center_freqs, sigmas = mel_filter_params(n_filters, min_freq, max_freq, sample_rate)
        self.center_freqs = nn.Parameter(center_freqs)
        self.bandwidths = nn.Parameter(sigmas)
        self.pooling_widths = nn.Parameter(torch.full((self.n_filters,), real("pool_init", pool_init)))
        self._graph_tables: Tables | None = None
        self._by_fft = True

    @property
    def tolerance(self) -> float:
        """As it was given."""
        return self.promise.tolerance

    def clamped(self) -> tuple[Tensor, Tensor, Tensor]:
        """Centres, sigmas and widths [C] within LEAF's ranges."""
        centers = self.center_freqs.clamp(min=0.0, max=math.pi)
        sigmas = self.bandwidths.clamp(min=4 * SIGMA_PER_SAMPLE, max=self.pool_size * SIGMA_PER_SAMPLE)
        return centers, sigmas, self.pooling_widths.clamp(min=2 / self.pool_size, max=0.5)

    def plan(self) -> Plan:
        """The plan for the parameters as they stand. Reads them: the device is waited for."""
        return self.current_plan()

    def current_plan(self) -> Plan:
        """:meth:`plan`; in a graph the frozen one."""
        parameters = self.center_freqs, self.bandwidths, self.pooling_widths
        found: Plan = self.planned((self.geometry, self.promise), parameters, self._make_plan)
        return found

    def freeze(self, frozen: bool = True, *, use_fft: bool = True) -> ToleranceFilterbank:
        """Fixes plan and weights for graphs (``torch.compile``, ``torch.export``, ONNX), or no longer.

        ``use_fft=False`` multiplies by cosines and sines, and convolves, where a target has no FFT: the same numbers,
        dearer. So does every exported graph.
        """
        super().freeze(frozen)
        self._by_fft, self._graph_tables = use_fft or not frozen, None
        if frozen:
            tables = self._kept(self.current_plan(), fixed=True)
            self._graph_tables = replace(tables, matrix=fourier(self.geometry, self.center_freqs.detach()))
        return self

    def forward(self, x: Tensor) -> Tensor:
        """Audio [B, T] or [B, 1, T] to pooled energies [B, C, ceil(T / pool_stride)].

        Raises ValueError for another rank, several channels or no samples, and TypeError for a dtype other
        than the module's. Values are not looked at. Under autocast it computes in the module's dtype.
        """
        x = waveform(x, self.center_freqs)
        with torch.autocast(x.device.type, enabled=False):
            plan, x = self.current_plan(), x.to(self.center_freqs.dtype).squeeze(1)
            if not tracing(x) and not len(x):  # FFTs have no empty batch
                return self._energies(x.new_zeros(1, x.shape[1]), plan, self._kept(plan))[:0]
            return self._energies(x, plan, self._kept(plan))

    def bank(self) -> FrameBank:
        """The filterbank as it stands, for audio that arrives in pieces."""
        return FrameBank(self, self.geometry)

    def extra_repr(self) -> str:
        beside = "" if self.promise.dynamic_range is None else f", dynamic_range={self.promise.dynamic_range:g}"
        return (
            f"{self.n_filters}, pool_size={self.pool_size}, pool_stride={self.pool_stride}, "
            f"tolerance={self.tolerance:g}{beside}"
        )

    def _make_plan(self) -> Plan:
        centers, sigmas, widths = (p.detach().double().nan_to_num(1.0).cpu() for p in self.clamped())
        sigmas = sigmas.clamp(max=self.pool_size * SIGMA_PER_SAMPLE)
        return make_plan(centers.tolist(), sigmas.tolist(), widths.clamp(max=0.5).tolist(), self.geometry, self.promise)

    def _kept(self, plan: Plan, fixed: bool = False) -> Tables:
        parameters = self.center_freqs, self.bandwidths, self.pooling_widths
        if self._graph_tables is not None and tracing(*parameters) and not self.training:
            return self._graph_tables
        if fixed or keepable(*parameters):
            return self._cache.get("tables", (plan, self._by_fft), tuple(p.detach() for p in parameters), self._factors)
        return self._tables(plan, learned=True)

    def _factors(self) -> Tables:
        return self._tables(self.current_plan(), learned=False)

    def _tables(self, plan: Plan, learned: bool) -> Tables:
        weights = self.clamped()
        found = responses(*weights, self.geometry)
        groups = [g for g in plan.groups if not g.full_rate]

        def at_full_rate(bands: tuple[int, ...], block: tuple[int, int]) -> Full | None:
            if not bands:
                return None
            centers, sigmas, widths = (p[list(bands)] for p in weights)
            return full(centers, sigmas, widths, self.geometry, block, self._by_fft)

        return Tables(
            tuple(table(group, found, self.geometry, self.center_freqs, learned) for group in groups),
            at_full_rate(plan.full_rate_bands, self.geometry.block),
            at_full_rate(
                tuple(b for group in groups if group.ends_apart for b in group.bands), self.geometry.end_block
            ),
        )

    def _energies(self, x: Tensor, plan: Plan, tables: Tables) -> Tensor:
        geometry, n_edge = self.geometry, self.geometry.edge_frames
        frames = (x.shape[-1] + geometry.hop - 1) // geometry.hop
        rows = [] if tables.full is None else [full_energies(x, tables.full, geometry)]
        if not tables.groups:
            return rows[0].transpose(0, 1)
        all_ends = frames <= 2 * n_edge
        at = [(0, frames)] if all_ends else [(0, n_edge), (frames - n_edge, n_edge)]
        middle = torch.cat([torch.arange(first, first + n, device=x.device) for first, n in at]) * geometry.hop
        sample = middle.unsqueeze(1) + torch.arange(-geometry.half, geometry.half + 1, device=x.device)
        inside = ((sample >= 0) & (sample < x.shape[-1])).to(x.dtype)
        ends = None if tables.ends is None else _ends(x, tables.ends, geometry, all_ends)
        matrix = None
        if exporting() or not self._by_fft:  # ONNX has no FFT of real numbers
            matrix = fourier(geometry, x) if tables.matrix is None else tables.matrix
        spectra, done = spectrum(x, geometry, matrix), 0
        cut_spectra = torch.cat([spectra.narrow(2, first, n) for first, n in at], 2)
        for group, found in zip((g for g in plan.groups if not g.full_rate), tables.groups, strict=True):
            if group.ends_apart:
                assert ends is not None
                cut = ends[done : done + len(group.bands)]
                done += len(group.bands)
            else:
                cut = cut_energies(cut_spectra, found, group, inside)
            if not all_ends:
                e = energies(spectra, found, group)
                cut = torch.cat((cut[..., :n_edge], e[..., n_edge : frames - n_edge], cut[..., n_edge:]), 2)
            rows.append(cut)
        order = [band for group in plan.groups for band in group.bands]
        e = torch.cat(rows) if len(rows) > 1 else rows[0]
        if order != sorted(order):
            e = e[torch.tensor(order, device=x.device).argsort()]
        return e.transpose(0, 1)


def _ends(x: Tensor, table: Full, geometry: Geometry, whole: bool) -> Tensor:
    """The frames at a clip's ends at full rate, [K, B, frames]: of all of it, or of the two pieces that they need."""
    n_edge, hop, before = geometry.edge_frames, geometry.hop, geometry.hops_of_a_frame
    frames = (x.shape[-1] + hop - 1) // hop
    if whole or exporting() or frames <= 2 * n_edge + before:
        e = full_energies(x, table, geometry)
        return e if whole else torch.cat((e[..., :n_edge], e[..., frames - n_edge :]), 2)
    head = full_energies(x[:, : (n_edge + before) * hop], table, geometry)[..., :n_edge]
    tail = full_energies(x[:, (frames - n_edge - before) * hop :], table, geometry)[..., -n_edge:]
    return torch.cat((head, tail), 2)


def _within(name: str, value: Any, least: float, most: float) -> float:
    number = real(name, value, at_least=least)
    if number > most:
        raise ValueError(f"{name}={value!r}: at most {most:g} is allowed")
    return number
