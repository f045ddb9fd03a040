"""The LEAF front end: audio to compressed, learnable filterbank energies."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator

from torch import Tensor, nn

from leaf._runtime.checks import compression as checked_compression
from leaf._runtime.checks import duration, one_of, rate
from leaf._runtime.streaming import length, step_of, stream
from leaf.filterbank import PADDINGS, GaborFilterbank
from leaf.pcen import leaf_pcen


class Leaf(nn.Module):
    """LEAF, simplified: a :class:`GaborFilterbank` and a compression; audio to [B, C, frames].

    The numbers differ from TensorFlow LEAF's by default: it centres its padding, makes windows odd and
    starts from an analytic mel bank. ``padding="same"`` takes TensorFlow's geometry; with its weights
    carried over the numbers are then TensorFlow's, at every rate and length.

    Args:
        n_filters: number of filters C, 1 to 2048.
        min_freq, max_freq: band edges of the mel-spaced start in Hz,
            0 <= min_freq < max_freq <= sample_rate / 2.
        sample_rate: Hz, > 0.
        window_len: length of filters and pooling windows in ms, one sample to 2**20 and 2**23 of all filters.
        window_stride: time between frames in ms, one sample to 2**20.
        compression: a module (or function) on [B, C, frames]; None for LEAF's PCEN.
        padding: "centered": the window is int(sample_rate * window_len / 1000) samples, made odd, and zeros
            are split evenly. "same": int(sample_rate * window_len // 1000 + 1) samples, odd or even, padded
            as TensorFlow's SAME.

    Raises TypeError or ValueError for arguments outside these ranges.
    Source: EfficientLEAF's ``model/leaf.py``; ``leaf_audio/frontend.py``; LEAF paper, section 3.
    """

    def __init__(
        self,
        n_filters: int = 40,
        min_freq: float = 60.0,
        max_freq: float = 7800.0,
        sample_rate: float = 16000,
        window_len: float = 25.0,
        window_stride: float = 10.0,
        compression: nn.Module | Callable[[Tensor], Tensor] | None = None,
        *,
        padding: str = "centered",
    ) -> None:
        super().__init__()
        self.sample_rate = sample_rate = rate(sample_rate)
        self.window_len = window_len = duration("window_len", window_len, sample_rate)
        self.window_stride = window_stride = duration("window_stride", window_stride, sample_rate)
        self.padding = one_of("padding", padding, PADDINGS)
        if padding == "same":
            window = int(sample_rate * window_len // 1000 + 1)
            stride = int(sample_rate * window_stride // 1000)
        else:
            window = int(sample_rate * window_len / 1000) | 1
            stride = int(sample_rate * window_stride / 1000)
        self.filterbank = GaborFilterbank(
            n_filters, min_freq, max_freq, sample_rate, window, window, stride, padding=padding
        )
        # The published code asks for a true compression, so that an empty Sequential, a false one that
        # means "none", silently became PCEN.
        self.compression = leaf_pcen(n_filters) if compression is None else checked_compression(compression)

    def forward(self, x: Tensor) -> Tensor:
        """Audio [B, T] or [B, 1, T], in the module's dtype, to [B, C, frames].

        Raises ValueError for another rank, several channels or no samples, and TypeError for a dtype other
        than the module's. Values are not looked at.
        """
        y: Tensor = self.compression(self.filterbank(x))
        return y

    def stream(self, chunks: Iterable[Tensor], n_samples: int | None = None) -> Iterator[Tensor]:
        """The front end over audio in chunks of any size, in memory that does not grow.

        The frames, one after another, are those of the whole audio to rounding. Weights and compression are
        copied when this is called and evaluated without gradients; training may go on. Forward hooks do not run.

        Args:
            chunks: consecutive audio, [B, n] or [B, 1, n] each, any n, in the module's dtype.
            n_samples: the length of the whole, needed with ``padding="same"``; checked where it is given.

        Returns an iterator over [B, C, k] frames, k >= 1.
        Raises ValueError at once for a compression that needs the whole clip or for
        ``padding="same"`` without ``n_samples``; while
        it runs, what :meth:`forward` raises, and ValueError for chunks of another batch size, or for a length
        other than ``n_samples``.
        """
        n_samples = length(n_samples)
        frontend = copy.deepcopy(self).eval()
        step = step_of(frontend.compression)
        bank = frontend.filterbank.bank(n_samples)
        return stream(chunks, bank, step, frontend.filterbank.center_freqs, n_samples)
