"""The filterbank with a known error: LEAF's energies within a tolerance, by the plan that costs least."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from efficientleaf.choosing import make_plan
from efficientleaf.decimated import Constants, Tables, energies, tables
from efficientleaf.plan import MARGIN, Geometry, Plan
from leaf.cache import ParameterCache
from leaf.checks import count, real, waveform
from leaf.filters import SIGMA_PER_SAMPLE, mel_filter_params

LEAST, MOST = 1e-6, 1e-1


def checked_tolerance(tolerance: Any) -> float:
    """A relative error from 1e-6 to 1e-1. Raises TypeError or ValueError for anything else."""
    value = real("tolerance", tolerance, at_least=LEAST)
    if value > MOST:
        raise ValueError(f"tolerance={tolerance!r}: at most {MOST:g} is allowed")
    return value


class ToleranceFilterbank(nn.Module):
    """:class:`leaf.GaborFilterbank`'s energies within a known error: audio to [B, C, frames].

    What is aimed at, for every band of every clip within [-1, 1]: the L2 norm over the frames of the difference to
    LEAF's energies, both floored at 1e-5, is at most ``tolerance`` times LEAF's. The plan bounds the error of a steady
    beat and that of a click, and leaves room for what they add up to: tested on thousands of drawn banks and signals,
    not proven for all (``python -m benchmarks.tolerance``). :meth:`plan` says what was chosen.

    Parameters, all [C], as in :class:`leaf.GaborFilterbank`, clamped where they are used, to LEAF's ranges:
        center_freqs: centres in rad/sample, within [0, pi].
        bandwidths: time-domain sigmas in samples, within [4, pool_size] * sqrt(2 log 2) / pi.
        pooling_widths: relative to half a window, within [2 / pool_size, 0.5].

    The plan is made on the CPU, at the first forward, and anew for each band whose sigma or width has moved by more
    than half of ``MARGIN`` from what it was made for; it holds up to the whole of it. In evaluation parameters are read
    when they have changed; filters are kept while they have not and no gradient is asked for. In training a comparison
    is computed on the device after every change; on a GPU its answer is read after a later one, once it has arrived, so
    nothing waits. What is seen as a change: :class:`leaf.cache.ParameterCache`; call :meth:`refresh` after what is not.

    Args:
        n_filters, min_freq, max_freq, sample_rate, pool_init: as in :class:`leaf.GaborFilterbank`.
        pool_size: taps of filters and pooling windows, odd.
        pool_stride: samples per frame, >= 1.
        tolerance: 1e-6 to 1e-1. What float32 rounds is not in it: at 1e-6 it needs float64.

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
    ) -> None:
        super().__init__()
        self.n_filters = count("n_filters", n_filters)
        self.pool_size = count("pool_size", pool_size)
        if self.pool_size % 2 == 0:
            raise ValueError(f"pool_size={pool_size!r}: an odd number of taps is needed")
        self.pool_stride = count("pool_stride", pool_stride)
        self.tolerance = checked_tolerance(tolerance)
        center_freqs, sigmas = mel_filter_params(n_filters, min_freq, max_freq, sample_rate)
        self.center_freqs = nn.Parameter(center_freqs)
        self.bandwidths = nn.Parameter(sigmas)
        self.pooling_widths = nn.Parameter(torch.full((self.n_filters,), real("pool_init", pool_init)))
        self._reset()

    def _reset(self) -> None:
        self._plan: Plan | None = None
        self._constants: Constants | None = None
        self._bounds: Tensor | None = None  # [4, C]: sigmas from, to; widths from, to
        self._cache = ParameterCache()
        self._fixed: Tables | None = None  # by freeze()
        self._answer: tuple[Tensor, torch.cuda.Event | None] | None = None

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()
        for name in ("_constants", "_bounds", "_fixed", "_answer"):
            state[name] = None
        return state

    def clamped(self) -> tuple[Tensor, Tensor, Tensor]:
        """Centres, sigmas and widths [C] within LEAF's ranges."""
        centers = self.center_freqs.clamp(min=0.0, max=math.pi)
        sigmas = self.bandwidths.clamp(min=4 * SIGMA_PER_SAMPLE, max=self.pool_size * SIGMA_PER_SAMPLE)
        return centers, sigmas, self.pooling_widths.clamp(min=2 / self.pool_size, max=0.5)

    def plan(self) -> Plan:
        """The plan for the parameters as they stand. Reads them: the device is waited for."""
        if self._fixed is None:
            self._replan()
        assert self._plan is not None
        return self._plan

    def refresh(self) -> None:
        """Forgets plan and filters; the next forward makes them anew."""
        self._reset()

    def train(self, mode: bool = True) -> ToleranceFilterbank:
        """Also lets go of kept filters, and of what :meth:`freeze` has fixed."""
        self._fixed = None
        self._cache.clear()
        super().train(mode)
        return self

    @torch.no_grad()
    def freeze(self, frozen: bool = True, *, use_fft: bool = True) -> ToleranceFilterbank:
        """Fixes plan and filters for evaluation, so that ``forward`` looks at nothing but ``x``; or lets them follow.

        For ``torch.compile``, ``torch.export`` and ONNX. ``train()`` lets them follow, too.

        ``use_fft=False`` convolves the bands at full rate, where a target has no FFT: the same numbers, dearer. So does
        every exported graph.
        """
        self._fixed = None
        if frozen:
            self.eval()
            self.plan()
            self._fixed = tables(self._current(), *self.clamped(), use_fft)
        return self

    def forward(self, x: Tensor) -> Tensor:
        """Audio [B, T] or [B, 1, T] to pooled energies [B, C, ceil(T / pool_stride)].

        Raises ValueError for another rank, several channels or no samples, and TypeError for a dtype other
        than the module's. Values are not looked at. Under autocast it computes in the module's dtype.
        """
        x = waveform(x, self.center_freqs)
        with torch.autocast(x.device.type, enabled=False):
            x = x.to(self.center_freqs.dtype)
            if self._fixed is not None:
                assert self._constants is not None
                return energies(x, self._fixed, self._constants)
            return energies(x, *self._prepared())

    def extra_repr(self) -> str:
        return (
            f"{self.n_filters}, pool_size={self.pool_size}, pool_stride={self.pool_stride}, "
            f"tolerance={self.tolerance:g}"
        )

    def _prepared(self) -> tuple[Tables, Constants]:
        planned_for = self.bandwidths.detach(), self.pooling_widths.detach()
        if self._plan is None:
            self._replan()
        self._cache.get("looked at", self.training, planned_for, self._watch if self.training else self._replan)
        constants, parameters = self._current(), (self.center_freqs, self.bandwidths, self.pooling_widths)
        return self._cache.get("tables", constants, parameters, lambda: tables(constants, *self.clamped())), constants

    def _current(self) -> Constants:
        assert self._plan is not None
        if self._constants is None or not self._constants.fits(self._plan, self.center_freqs):
            self._constants = Constants(self._plan, self.center_freqs)
        return self._constants

    @torch.no_grad()
    def _replan(self) -> None:
        """Makes a plan where there is none, and another for the bands that have left theirs. Reads the parameters."""
        _, sigmas, widths = (p.detach().double().cpu() for p in self.clamped())
        if self._plan is not None:
            outside = _outside(self._edges(sigmas), sigmas, widths)
            if not outside.any():
                return
            sigmas = torch.where(outside, sigmas, sigmas.new_tensor(self._plan.sigmas))
            widths = torch.where(outside, widths, widths.new_tensor(self._plan.widths))
        geometry = Geometry(self.pool_size, self.pool_stride)
        self._plan = make_plan(sigmas.tolist(), widths.tolist(), geometry, self.tolerance)
        self._bounds, self._answer = None, None

    def _edges(self, like: Tensor) -> Tensor:
        assert self._plan is not None
        near = 1 + MARGIN / 2
        sigmas, widths = like.new_tensor(self._plan.sigmas), like.new_tensor(self._plan.widths)
        return torch.stack((sigmas / near, sigmas * near, widths / near, widths * near))

    @torch.no_grad()
    def _watch(self) -> None:
        """Compares the parameters with the plan, and makes another when a comparison has said so."""
        if self._bounds is None or self._bounds.device != self.bandwidths.device:
            self._bounds = self._edges(self.bandwidths)
        _, sigmas, widths = self.clamped()
        if self._answer is None:
            self._answer = _ask(_outside(self._bounds, sigmas, widths).any())
        answer, event = self._answer
        if event is None or event.query():  # type: ignore[no-untyped-call]
            self._answer = None
            if bool(answer):
                self._replan()


def _outside(bounds: Tensor, sigmas: Tensor, widths: Tensor) -> Tensor:
    """Bands [C] that have left theirs."""
    inside = (sigmas >= bounds[0]) & (sigmas <= bounds[1]) & (widths >= bounds[2]) & (widths <= bounds[3])
    return ~inside


def _ask(answer: Tensor) -> tuple[Tensor, torch.cuda.Event | None]:
    """Starts to fetch a flag."""
    if answer.device.type != "cuda":
        return answer, None
    here = torch.empty((), dtype=answer.dtype, pin_memory=True)
    here.copy_(answer, non_blocking=True)
    event = torch.cuda.Event()  # type: ignore[no-untyped-call]
    event.record()
    return here, event
