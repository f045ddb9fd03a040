"""EfficientLEAF's compression: logarithm, median over time, batch normalisation per band."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from leaf._runtime.cache import at_hand, plain
from leaf._runtime.checks import MOST_FILTERS, count, dense, flag, real
from leaf._runtime.onnx_ops import exporting, log1p
from leaf._runtime.streaming import Framewise

NUMPY = (torch.float32, torch.float64)  # dtypes that it sorts quickly
MOST_DECADES = 30  # of the logarithm's gain: float32 holds 38


class Log1p(Framewise):
    """``log(1 + 10**a * x)`` of energies x [..., bands, T].

    Args:
        a: the (initial) exponent, at most 30.
        trainable: make ``a`` a parameter, a scalar or, with ``per_band``, [num_bands].
        per_band: one ``a`` per band; needs ``num_bands`` >= 1 where it is trainable.

    Raises TypeError or ValueError for arguments outside these ranges.
    Source: EfficientLEAF's ``model/efficientleaf.py``; arXiv 2207.05508, section 3.
    """

    def __init__(
        self, a: float = 0, trainable: bool = False, per_band: bool = False, num_bands: int | None = None
    ) -> None:
        super().__init__()
        self.trainable = flag("trainable", trainable)
        self.per_band = flag("per_band", per_band)
        self.a: float | nn.Parameter = real("a", a, at_most=MOST_DECADES)
        if num_bands is not None or (trainable and per_band):
            num_bands = count("num_bands", num_bands, MOST_FILTERS, ", with per_band")
        if trainable:
            shape = (num_bands,) if per_band and num_bands else ()
            self.a = nn.Parameter(torch.full(shape, self.a))

    def forward(self, x: Tensor) -> Tensor:
        """Energies [..., bands, T] to the same shape."""
        if isinstance(self.a, Tensor):
            x = 10 ** (self.a.unsqueeze(-1) if self.per_band else self.a) * x
        elif self.a != 0:
            # One number for all bands: the published code indexes it when per_band is asked for, and fails.
            x = 10**self.a * x
        return log1p(x)

    def extra_repr(self) -> str:
        return f"trainable={self.trainable}, per_band={self.per_band}"


class TemporalBatchNorm(Framewise):
    """Batch normalisation of [B, bands, T] or [B, channels, bands, T] over all but the bands.

    Args:
        num_bands: number of bands, 1 to 2048.
        affine: learn a scale and an offset.
        per_channel: normalise every (channel, band) by itself; needs ``num_channels`` >= 1.

    Raises TypeError or ValueError for arguments outside these ranges.
    Source: EfficientLEAF's ``model/efficientleaf.py``; arXiv 2207.05508, section 3.
    """

    def __init__(
        self, num_bands: int, affine: bool = True, per_channel: bool = False, num_channels: int | None = None
    ) -> None:
        super().__init__()
        n_features = count("num_bands", num_bands, MOST_FILTERS)
        self.per_channel = flag("per_channel", per_channel)
        if num_channels is not None or per_channel:
            num_channels = count("num_channels", num_channels, MOST_FILTERS, ", with per_channel")
        if per_channel and num_channels:
            n_features *= num_channels
        self.bn = nn.BatchNorm1d(n_features, affine=flag("affine", affine))

    def forward(self, x: Tensor) -> Tensor:
        """[..., bands, T] to the same shape; of no clips, which leave the statistics as they are, too.

        Raises ValueError for another number of bands, and in training for one value per band.
        """
        dense(x)
        if not self.per_channel:
            flat = x.reshape(-1, *x.shape[-2:])
        elif exporting() and x.ndim == 4:
            flat = torch.cat(x.unbind(1), 1)  # whether two axes are one without a copy is a question about lengths
        else:
            flat = x.flatten(1, -2)
        if flat.ndim != 3 or flat.shape[1] != self.bn.num_features:
            raise ValueError(
                f"x of shape {tuple(x.shape)}: must be [..., bands, T] with {self.bn.num_features} bands in all"
            )
        if self.training and flat.shape[0] * flat.shape[2] == 1:
            raise ValueError(f"x of shape {tuple(x.shape)}: must have more than one value a band in training")
        y: Tensor = self.bn(flat)
        return y.reshape(x.shape)


class LogTBN(Framewise):
    """:class:`Log1p`, the median over time taken off if wanted, :class:`TemporalBatchNorm`.

    Args:
        num_bands: number of bands, >= 1.
        affine: for the normalisation.
        a, trainable, per_band: for the logarithm.
        median_filter: subtract each band's median over time.
        append_filtered: keep the plain logarithm as a first channel and add the filtered one as a second,
            each normalised by itself: [B, bands, T] becomes [B, 2, bands, T].

    Raises TypeError or ValueError for arguments outside these ranges.
    Source: EfficientLEAF's ``model/efficientleaf.py``; arXiv 2207.05508, section 3.
    """

    def __init__(
        self,
        num_bands: int,
        affine: bool = True,
        a: float = 0,
        trainable: bool = False,
        per_band: bool = False,
        median_filter: bool = False,
        append_filtered: bool = False,
    ) -> None:
        super().__init__()
        if flag("append_filtered", append_filtered) and not flag("median_filter", median_filter):
            raise ValueError("append_filtered=True: must be False without median_filter, which has nothing to append")
        self.log1p = Log1p(a, trainable, per_band, num_bands)
        self.TBN = TemporalBatchNorm(num_bands, affine, append_filtered, 2 if append_filtered else 1)
        self.median_filter = flag("median_filter", median_filter)
        self.append_filtered = flag("append_filtered", append_filtered)

    @property
    def whole_clip(self) -> str:
        """The reason why it cannot stream, or an empty text."""
        return "its median over time is the whole clip's" if self.median_filter else ""

    def forward(self, x: Tensor) -> Tensor:
        """Energies [B, bands, T] to the same shape, or to [B, 2, bands, T] with ``append_filtered``."""
        x = self.log1p(x)
        if self.median_filter:
            filtered = x - lower_median(x)
            if self.append_filtered:
                x = torch.stack((x, filtered), 1) if x.ndim == 3 else torch.cat((x, filtered), 1)
            else:
                x = filtered
        y: Tensor = self.TBN(x)
        return y


def lower_median(x: Tensor) -> Tensor:
    """The median over the last axis, [..., T] to [..., 1]; of an even number the lower of the two in the middle."""
    middle = (x.shape[-1] - 1) // 2
    if not exporting():
        if torch.compiler.is_compiling() or x.requires_grad or not (at_hand(x) and plain(x) and x.dtype in NUMPY):
            return x.median(-1, keepdim=True).values
        # NumPy sorts in a fraction of the time; NaN, which it puts last, is to show
        ordered = np.sort(x.numpy(), axis=-1)
        last = ordered[..., -1:]
        return torch.from_numpy(np.where(np.isnan(last), last, ordered[..., middle : middle + 1]))
    index = torch.full((1,), middle, device=x.device)  # in a tensor it is not held to the length
    return x.sort(-1).values.index_select(-1, index)
