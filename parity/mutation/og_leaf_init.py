"""Faults of ``og_leaf``'s initial values: the mel matrix and the Gabor parameters measured on it.

They are seen at the taps ``mel`` and ``init`` alone: everything behind runs with weights that were carried over.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from og_leaf import frontend, initializers, melfilters
from og_leaf.melfilters import Gabor
from parity.mutation.planting import Benign, Fault, replaced

Scale = Callable[[Tensor], Tensor]
_matrix = melfilters.linear_to_mel_weight_matrix
_gabor_init = initializers.GaborInit
_leaf_init = frontend.Leaf.__init__


def _natural(hertz: Tensor) -> Tensor:
    return 1127.0 * torch.log(1.0 + hertz / 700.0)


def _decimal(hertz: Tensor) -> Tensor:
    return 2595.0 * torch.log10(1.0 + hertz / 700.0)


def _fant(hertz: Tensor) -> Tensor:
    return 1000.0 / math.log(2.0) * torch.log(1.0 + hertz / 1000.0)


def _slaney(hertz: Tensor) -> Tensor:
    above = 15.0 + 27.0 / math.log(6.4) * torch.log(hertz.clamp(min=1000.0) / 1000.0)
    return torch.where(hertz < 1000.0, hertz * 3.0 / 200.0, above)


def _to_hertz(mel: Tensor) -> Tensor:
    return 700.0 * (torch.exp(mel / 1127.0) - 1.0)


def _same(values: Tensor) -> Tensor:
    return values


def _triangles(
    of_bins: Scale = _natural, of_edges: Scale = _natural, back: Scale = _same, dc: bool = False
) -> Callable[..., Tensor]:
    """``linear_to_mel_weight_matrix`` with scales of its own for bins and edges; ``back`` is the edges' way back."""

    def matrix(
        n_filters: int, n_bins: int, sample_rate: float, min_freq: float, max_freq: float, dtype: torch.dtype
    ) -> Tensor:
        linspace = melfilters._linspace
        zero, nyquist = torch.zeros((), dtype=dtype), torch.tensor(sample_rate, dtype=dtype) / 2.0
        bins = of_bins(linspace(zero, nyquist, n_bins)).unsqueeze(1)
        lowest, highest = (of_edges(torch.tensor(f, dtype=dtype)) for f in (min_freq, max_freq))
        edges = back(linspace(lowest, highest, n_filters + 2)).unsqueeze(0)
        lower, center, upper = edges[:, :-2], edges[:, 1:-1], edges[:, 2:]
        rising, falling = (bins - lower) / (center - lower), (upper - bins) / (upper - center)
        triangles = torch.minimum(rising, falling).clamp(min=0)
        if not dc:
            triangles[0] = 0.0
        return triangles

    return matrix


def _at_22050(
    n_filters: int, n_bins: int, sample_rate: float, min_freq: float, max_freq: float, dtype: torch.dtype
) -> Tensor:
    return _matrix(n_filters, n_bins, 22050, min_freq, max_freq, dtype)


def _measured(of: Scale = torch.sqrt, reach: Callable[[Tensor, Tensor], Tensor] = torch.ge) -> property:
    """``gabor_params_from_mels`` with the widths measured on something else, or compared otherwise."""

    def gabor_params_from_mels(self: Gabor) -> Tensor:
        coeff = torch.sqrt(2.0 * torch.log(torch.tensor(2.0, dtype=self.dtype))) * self.n_fft
        measured = of(self.mel_filters)
        centers = torch.argmax(measured, dim=1).to(self.dtype)
        n_wide = reach(measured, measured.amax(dim=1, keepdim=True) / 2.0).to(self.dtype).sum(dim=1)
        return torch.stack([centers * 2 * math.pi / self.n_fft, coeff / (math.pi * n_wide)], dim=1)

    return property(gabor_params_from_mels)


def _whole_band(**_: Any) -> initializers.GaborInit:
    return _gabor_init()


def _of_400_bins(**arguments: Any) -> Gabor:
    return Gabor(**{**arguments, "n_fft": 400})


def _following_the_rate(self: frontend.Leaf, *args: Any, sample_rate: int = 16000, **arguments: Any) -> None:
    own = _gabor_init(sample_rate=sample_rate, min_freq=60.0, max_freq=min(7800.0, sample_rate / 2))
    _leaf_init(self, *args, **{"complex_conv_init": own, **arguments, "sample_rate": sample_rate})


def _fault(name: str, kind: str, tap: str, gate: str, statement: str, *where: tuple[Any, str, Any]) -> Fault:
    return Fault(f"og_leaf/{name}", kind, "og_leaf", tap, gate, statement, replaced(*where))


_MATRIX = (melfilters, "linear_to_mel_weight_matrix")
_SCALE = (melfilters, "_hertz_to_mel")
_PARAMS = (Gabor, "gabor_params_from_mels")

FAULTS: tuple[Fault, ...] = (
    _fault("mel-two-logs", "mel log base", "mel", "soundness",
           "the edges by 2595 log10(1 + f / 700), the bins by 1127 ln(1 + f / 700): 5e-6 apart, one scale would do",
           (*_MATRIX, _triangles(of_edges=_decimal))),
    _fault("mel-fant", "mel constants", "mel", "soundness",
           "Fant's mel scale, which breaks at 1000 Hz, in place of HTK's 700 Hz",
           (*_SCALE, _fant)),
    _fault("mel-slaney", "mel constants", "mel", "soundness",
           "Slaney's mel scale, linear under 1 kHz: librosa's default",
           (*_SCALE, _slaney)),
    _fault("mel-linear-in-hertz", "triangles linear in Hz", "mel", "soundness",
           "edges equally spaced in mel, but sides that are straight in Hz, as librosa and torchaudio draw them",
           (*_MATRIX, _triangles(of_bins=_same, back=_to_hertz))),
    _fault("mel-rate-22050", "hard-coded rate or band edges", "mel", "soundness",
           "the bins of the mel matrix end at half of 22050 Hz, librosa's default rate, whatever the rate",
           (*_MATRIX, _at_22050)),
    _fault("width-strictly-over-half", "> for >= in the width", "init", "status",
           "bins strictly over half the peak are counted: a triangle that falls between two bins has none, and an "
           "infinite sigma in place of that of all 257",
           (*_PARAMS, _measured(reach=torch.gt))),
    _fault("width-of-the-triangle", "half of the filter, not of its root", "init", "soundness",
           "the width is counted at half of the mel triangle, not of its square root",
           (*_PARAMS, _measured(of=_same))),
    _fault("init-whole-band", "hard-coded rate or band edges", "init", "soundness",
           "the initialiser's own band of 0 to 8000 Hz in place of the frontend's 60 to 7800 Hz",
           (frontend, "GaborInit", _whole_band)),
    _fault("init-follows-the-rate", "hard-coded rate or band edges", "init", "soundness",
           "the initialiser is given the frontend's sample rate; the original's stays at 16 kHz",
           (frontend.Leaf, "__init__", _following_the_rate)),
    _fault("init-400-bins", "another n_fft", "init", "soundness",
           "the mel matrix is measured on 400 points, torchaudio's default, in place of 512",
           (initializers, "Gabor", _of_400_bins)),
)  # fmt: skip

BENIGN: tuple[Benign, ...] = (
    Benign("og_leaf/mel-log10-throughout", "og_leaf", "mel as 2595 log10(1 + f / 700) for bins and edges alike",
           "a triangle is a ratio of differences of mels, so their unit cancels",
           replaced((*_SCALE, _decimal)), "mel"),
    Benign("og_leaf/mel-torch-linspace", "og_leaf",
           "bins and edges by torch.linspace, which counts down in the far half",
           "the same points, rounded otherwise",
           replaced((melfilters, "_linspace", lambda start, stop, num:
                     torch.linspace(float(start), float(stop), num, dtype=start.dtype))), "mel"),
    Benign("og_leaf/mel-dc-kept", "og_leaf", "the weight of the DC bin is computed rather than set to 0",
           "0 Hz is outside every triangle of a band that starts at 0 Hz or above",
           replaced((*_MATRIX, _triangles(dc=True))), "mel"),
)  # fmt: skip
