"""The EfficientLEAF front end: audio to compressed, learnable filterbank energies."""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterable, Iterator

from torch import Tensor, nn

from efficientleaf.compression import LogTBN
from efficientleaf.filterbank import GroupedGaborFilterbank
from leaf.checks import duration
from leaf.pcen import leaf_pcen
from leaf.streaming import length, step_of, stream


class EfficientLeaf(nn.Module):
    """A :class:`GroupedGaborFilterbank` and a compression.

    Audio to [B, C, frames] with "pcen", to [B, 2, C, frames] with "logtbn" (plain and median-filtered).

    Args:
        n_filters: number of filters C, >= 1.
        num_groups: groups of bands that share a kernel length and a stride, 1 to ``n_filters``.
        min_freq, max_freq: band edges of the mel-spaced start in Hz,
            0 <= min_freq < max_freq <= sample_rate / 2.
        sample_rate: Hz, > 0.
        window_len: length of the pooling window in ms, at least one sample; made odd.
        window_stride: time between frames in ms, at least one sample.
        conv_win_factor: kernel length in sigmas, finite and > 0.
        stride_factor: stride in half periods of a group's highest centre, finite and > 0.
        compression: "logtbn", "pcen" or a module on [B, C, frames].
        exact: what of the filterbank is kept as LEAF has it, see :class:`GroupedGaborFilterbank`.

    Raises TypeError or ValueError for arguments outside these ranges.
    Source: EfficientLEAF's ``model/efficientleaf.py``; arXiv 2207.05508.
    """

    def __init__(
        self,
        n_filters: int = 40,
        num_groups: int = 4,
        min_freq: float = 60.0,
        max_freq: float = 7800.0,
        sample_rate: float = 16000,
        window_len: float = 25.0,
        window_stride: float = 10.0,
        conv_win_factor: float = 4.77,
        stride_factor: float = 1.0,
        compression: str | nn.Module = "logtbn",
        *,
        exact: Collection[str] = (),
    ) -> None:
        super().__init__()
        duration("window_len", window_len, sample_rate)
        duration("window_stride", window_stride, sample_rate)
        self.sample_rate = sample_rate
        self.window_len = window_len
        self.window_stride = window_stride
        self.filterbank = GroupedGaborFilterbank(
            n_filters,
            num_groups,
            min_freq,
            max_freq,
            sample_rate,
            pool_size=int(sample_rate * window_len / 1000) | 1,
            pool_stride=int(sample_rate * window_stride / 1000),
            conv_win_factor=conv_win_factor,
            stride_factor=stride_factor,
            exact=exact,
        )
        self.compression: nn.Module
        if isinstance(compression, nn.Module):
            self.compression = compression
        elif compression == "pcen":
            self.compression = leaf_pcen(n_filters)
        elif compression == "logtbn":
            self.compression = LogTBN(
                n_filters, a=5, trainable=True, per_band=True, median_filter=True, append_filtered=True
            )
        else:
            raise ValueError(f"compression={compression!r}: 'logtbn', 'pcen' or a module is needed")

    def forward(self, x: Tensor) -> Tensor:
        """Audio [B, T] or [B, 1, T], in the module's dtype, to [B, 2, C, frames] or [B, C, frames].

        Raises ValueError for another rank, several channels or no samples, and TypeError for a dtype other
        than the module's. Values are not looked at.
        """
        y: Tensor = self.compression(self.filterbank(x))
        return y

    def stream(self, chunks: Iterable[Tensor], n_samples: int | None = None) -> Iterator[Tensor]:
        """The front end over audio in chunks of any size, in memory that does not grow.

        The frames, one after another, are those of the whole audio to rounding. Weights, groups and compression are
        copied when this is called and evaluated without gradients; training may go on. Forward hooks do not run.

        Args:
            chunks: consecutive audio, [B, n] or [B, 1, n] each, any n, in the module's dtype.
            n_samples: the length of the whole; checked where it is given.

        Returns an iterator over [B, C, k] frames, k >= 1.
        Raises ValueError at once for a compression that needs the whole clip; while
        it runs, what :meth:`forward` raises, and ValueError for chunks of another batch size, or for a length
        other than ``n_samples``.
        """
        n_samples = length(n_samples)
        frontend = copy.deepcopy(self).eval()
        step = step_of(frontend.compression)
        bank = frontend.filterbank.bank()
        return stream(chunks, bank, step, frontend.filterbank.center_freqs, n_samples)
