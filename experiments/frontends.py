"""Front ends by name: the rungs, each change of the published notes alone, a mel spectrogram, and a planted fault."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

import og_leaf
from benchmarks.peers.mel import Mel
from efficientleaf import EfficientLeaf
from leaf import PCEN, GaborFilterbank, Leaf
from og_leaf.constraints import Constraint


@dataclass(frozen=True)
class Bands:
    """What all front ends of a comparison share.

    Attributes:
        sample_rate: Hz.
        n_filters: bands.
        min_freq, max_freq: edges of the mel-spaced start, Hz.
        window_len, window_stride: ms.
    """

    sample_rate: int = 16000
    n_filters: int = 40
    min_freq: float = 60.0
    max_freq: float = 7800.0
    window_len: float = 25.0
    window_stride: float = 10.0

    @classmethod
    def at(cls, sample_rate: int, n_filters: int = 40) -> Bands:
        """Bands from 60 Hz to the share of half the sample rate that LEAF has at 16 kHz."""
        return cls(sample_rate, n_filters, max_freq=sample_rate / 2 * 0.975)

    @property
    def arguments(self) -> dict[str, Any]:
        """As the rungs ``leaf`` and ``efficientleaf`` call them."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


def leaf_pcen(bands: Bands, learn_logs: bool = False) -> PCEN:
    """The PCEN that LEAF starts from, in one module; the same start whether logarithms are learned or values."""
    return PCEN(bands.n_filters, 0.04, 0.96, 2.0, 0.5, 1e-12, learn_logs=learn_logs, clamp=1e-5)


def original(bands: Bands, **changed: Any) -> og_leaf.Leaf:
    """``og_leaf`` with its filters started for these bands, not for 16 kHz whatever the rate."""
    start = og_leaf.GaborInit(sample_rate=bands.sample_rate, min_freq=bands.min_freq, max_freq=bands.max_freq)
    given: dict[str, Any] = {
        "n_filters": bands.n_filters,
        "sample_rate": bands.sample_rate,
        "window_len": bands.window_len,
        "window_stride": bands.window_stride,
        "complex_conv_init": start,
    }
    return og_leaf.Leaf(**{**given, **changed})


def analytic_start(bands: Bands) -> Callable[..., Tensor]:
    """An initialiser of ``og_leaf`` that holds the centres and bandwidths that ``leaf`` starts from."""
    window = int(bands.sample_rate * bands.window_len // 1000 + 1)
    bank = GaborFilterbank(
        *(bands.n_filters, bands.min_freq, bands.max_freq, bands.sample_rate, window, window, 1), padding="same"
    )
    kernel = torch.stack([bank.center_freqs.detach(), bank.bandwidths.detach()], dim=1)

    def initialise(shape: Any, dtype: torch.dtype | None = None, device: Any = None) -> Tensor:
        return kernel.reshape(tuple(shape)).to(dtype=dtype or torch.float32, device=device)

    return initialise


def two_blocks(bands: Bands) -> nn.Module:
    """``og_leaf``, whose filters are computed as two blocks: the filterbank of ``leaf`` with the original's start,
    alignment and PCEN."""
    whole = original(bands)
    rung = Leaf(**bands.arguments, compression=whole._compress_fn, padding="same")
    with torch.no_grad():
        centres, bandwidths = whole._complex_conv._kernel.unbind(1)
        rung.filterbank.center_freqs.copy_(centres)
        rung.filterbank.bandwidths.copy_(bandwidths)
        window = rung.filterbank.pooling_widths
        window.copy_(whole._pooling.kernel.reshape(window.shape))
    return rung


def frozen_centres(bands: Bands) -> Leaf:
    """A planted fault: every filter of ``leaf`` has its centre at an eighth of the sample rate, and none learns it."""
    rung = Leaf(**bands.arguments)
    with torch.no_grad():
        rung.filterbank.center_freqs.fill_(math.pi / 4)
    rung.filterbank.center_freqs.requires_grad_(False)
    return rung


def _mel(bands: Bands) -> Mel:
    window = int(bands.sample_rate * bands.window_len / 1000) | 1
    return Mel(
        bands.n_filters, bands.min_freq, bands.max_freq, bands.sample_rate,
        n_fft=1 << (window - 1).bit_length(), window=window,
        hop=int(bands.sample_rate * bands.window_stride / 1000),
    )  # fmt: skip


FRONTENDS: dict[str, Callable[[Bands], nn.Module]] = {
    "og_leaf": original,
    "og_leaf, analytic start": lambda bands: original(bands, complex_conv_init=analytic_start(bands)),
    "og_leaf, two blocks": two_blocks,
    "og_leaf, PCEN in one module": lambda bands: original(bands, compression_fn=leaf_pcen(bands)),
    "og_leaf, learned logs": lambda bands: original(bands, compression_fn=leaf_pcen(bands, learn_logs=True)),
    "leaf": lambda bands: Leaf(**bands.arguments),
    "leaf, original's alignment": lambda bands: Leaf(**bands.arguments, padding="same"),
    "leaf, learned logs": lambda bands: Leaf(**bands.arguments, compression=leaf_pcen(bands, learn_logs=True)),
    "efficientleaf": lambda bands: EfficientLeaf(**bands.arguments),
    "efficientleaf, 8G-opt": lambda bands: EfficientLeaf(
        **bands.arguments, num_groups=8, conv_win_factor=6.0, stride_factor=16.0
    ),
    "efficientleaf, tolerance 1e-3": lambda bands: EfficientLeaf(**bands.arguments, compression="pcen", tolerance=1e-3),
    "mel": _mel,
    "frozen centres": frozen_centres,
}
TWO_CHANNELS = ("efficientleaf", "efficientleaf, 8G-opt")  # of LogTBN: as it is, and less its median


def frontend(name: str, bands: Bands | None = None) -> nn.Module:
    """A front end of :data:`FRONTENDS`: audio [B, T] to [B, C, frames], or [B, 2, C, frames].

    Raises ValueError for another name, and what the front end says of its arguments.
    """
    if name not in FRONTENDS:
        raise ValueError(f"frontend={name!r}: must be one of {tuple(FRONTENDS)}")
    return FRONTENDS[name](bands or Bands())


def is_projected(module: nn.Module) -> bool:
    """Whether an optimiser has to put parameters back into their limits after a step (``og_leaf``)."""
    return any(isinstance(getattr(part, "constraint", None), Constraint) for part in module.modules())
