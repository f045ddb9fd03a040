"""The filterbank with a known error: LEAF's energies within a tolerance."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from efficientleaf.planned import Planned
from efficientleaf.tolerance.blocks import Tables, energies, tables, tail_of
from efficientleaf.tolerance.plan import Block, Geometry, Plan, Promise, make_plan
from efficientleaf.tolerance.streaming import FrameBank
from leaf._runtime.cache import keepable, tracing
from leaf._runtime.checks import count, real, waveform
from leaf._runtime.onnx_ops import conv1d, exporting
from leaf.filters import SIGMA_PER_SAMPLE, gabor_pair, gauss_windows, mel_filter_params, squared_modulus

LEAST, MOST = 1e-6, 1e-1
QUIETEST, LOUDEST = 20.0, 120.0  # dB


class ToleranceFilterbank(Planned):
    """:class:`leaf.GaborFilterbank`'s energies within a known error: audio to [B, C, frames].

    Proven, in exact arithmetic: for every band of every clip within [-1, 1] the L2 norm over the frames of the
    difference to LEAF's energies, both floored at 1e-5, is at most ``tolerance`` times LEAF's. What float32 rounds
    comes on top. :meth:`plan` prints a bound for the FFTs: it shows at tolerances of 1e-4 and less where a loud tone
    stands beside a band near the floor, as it does in LEAF itself. Sums over a block round by some 1e-9 of the loudest
    frame in it: 1e-3 of a frame at the floor that is 66 dB quieter than one beside it, where LEAF has 4e-6.
    The derivation is in :mod:`efficientleaf.tolerance`.

    Parameters, all [C], as in :class:`leaf.GaborFilterbank`, clamped where they are used, to LEAF's ranges:
        center_freqs: centres in rad/sample, within [0, pi].
        bandwidths: time-domain sigmas in samples, within [4, pool_size] * sqrt(2 log 2) / pi.
        pooling_widths: relative to half a window, within [2 / pool_size, 0.5].

    The plan is a function of the weights alone, made on the CPU whenever they have changed. A band whose weights are
    NaN gets an arbitrary plan, and its energies are NaN. What is computed from weights alone is kept until they change.
    A graph in evaluation holds it as it was when it was frozen.

    Args:
        n_filters, min_freq, max_freq, sample_rate, pool_init: as in :class:`leaf.GaborFilterbank`.
        pool_size: taps of filters and pooling windows, odd.
        pool_stride: samples per frame, >= 1.
        tolerance: 1e-6 to 1e-1.
        dynamic_range: None for the bound above. 20 to 120 dB for a weaker and faster one: in every frame
            ``|error| <= tolerance e + a |x|^2``, where x is the audio of the blocks around it, at most
            ``geometry.stretch`` samples, and a is the band's largest e / |x|^2 of any audio, lowered by this many dB
            (:func:`~efficientleaf.tolerance.bound.loudest`, within 1 dB of the band's own).
            For recordings in which nothing is louder than what a band hears by more than that.

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
            raise ValueError(f"pool_size={pool_size!r}: must be odd")
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

        ``use_fft=False`` convolves as LEAF does, where a target has no FFT: dearer, and LEAF's numbers. So does every
        exported graph.
        """
        super().freeze(frozen)
        self._by_fft, self._graph_tables = use_fft or not frozen, None
        if frozen:
            self._graph_tables = self._factors(self.current_plan(), self.geometry.longest)
        return self

    def forward(self, x: Tensor) -> Tensor:
        """Audio [B, T] or [B, 1, T] to pooled energies [B, C, ceil(T / pool_stride)].

        Raises ValueError for another rank, several channels or no samples, and TypeError for a dtype other
        than the module's. Values are not looked at. Under autocast it computes in the module's dtype.
        """
        x = waveform(x, self.center_freqs)
        with torch.autocast(x.device.type, enabled=False):
            plan, x = self.current_plan(), x.to(self.center_freqs.dtype).squeeze(1)
            if exporting() or not self._by_fft:  # ONNX has no FFT of real numbers
                return self._convolved(x)
            if not tracing(x) and not len(x):  # FFTs have no empty batch
                return self._energies(x.new_zeros(1, x.shape[1]), plan)[:0]
            return self._energies(x, plan)

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

    def _energies(self, x: Tensor, plan: Plan) -> Tensor:
        block = self.geometry.longest
        if not tracing(x):  # a graph has one for all lengths
            block = self.geometry.block(-(-x.shape[1] // self.pool_stride))
        return energies(x, self._tables(plan, block, x), self.geometry).transpose(0, 1)

    def _tables(self, plan: Plan, block: Block, x: Tensor) -> Tables:
        parameters = self.center_freqs, self.bandwidths, self.pooling_widths
        if self._graph_tables is not None and tracing(*parameters) and not self.training:
            return self._graph_tables
        if keepable(*parameters):
            name, values = f"tables of {block.length}", tuple(p.detach() for p in parameters)
            return self._cache.get(name, (plan, block), values, lambda: self._factors(plan, block))
        centers, sigmas, widths = self.clamped()
        groups = plan.longest if block == self.geometry.longest else plan.groups(block)
        tail = None if tracing(x) else tail_of(x.shape[1], self.geometry, block)
        # a far tone is heard through a filter's response as it was rounded
        return tables(centers.double(), sigmas.double(), widths, self.geometry, block, groups, widths.dtype, tail)

    @torch.no_grad()
    def _factors(self, plan: Plan, block: Block) -> Tables:
        centers, sigmas, widths = (p.double() for p in self.clamped())
        return tables(centers, sigmas, widths, self.geometry, block, plan.groups(block), self.center_freqs.dtype)

    def _convolved(self, x: Tensor) -> Tensor:
        """LEAF's own computation."""
        centers, sigmas, widths = self.clamped()
        half = self.geometry.half
        filters = torch.cat(gabor_pair(self.pool_size, centers, sigmas)).unsqueeze(1)
        e = squared_modulus(conv1d(x.unsqueeze(1), filters, 1, (half, half)))
        windows = gauss_windows(self.pool_size, widths).unsqueeze(1)
        return conv1d(e, windows, self.pool_stride, (half, half), self.n_filters)


def _within(name: str, value: Any, least: float, most: float) -> float:
    number = real(name, value, at_least=least)
    if number > most:
        raise ValueError(f"{name}={value!r}: must be at most {most:g}")
    return number
