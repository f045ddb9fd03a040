"""The EfficientLEAF front end: audio to compressed, learnable filterbank energies."""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterable, Iterator

from torch import Tensor, nn

from efficientleaf.compression import LogTBN
from efficientleaf.filterbank import GroupedGaborFilterbank
from efficientleaf.tolerance import Plan, ToleranceFilterbank
from leaf import Leaf
from leaf._runtime.checks import duration, rate, shown
from leaf._runtime.streaming import length, step_of, stream
from leaf.pcen import leaf_pcen


class EfficientLeaf(nn.Module):
    """A :class:`GroupedGaborFilterbank` and a compression.

    Audio to [B, C, frames] with "pcen", to [B, 2, C, frames] with "logtbn" (plain and median-filtered).

    Args:
        n_filters: number of filters C, 1 to 2048.
        num_groups: groups of bands that share a kernel length and a stride, 1 to ``n_filters``.
        min_freq, max_freq: band edges of the mel-spaced start in Hz,
            0 <= min_freq < max_freq <= sample_rate / 2.
        sample_rate: Hz, > 0.
        window_len: length of the pooling window in ms, one sample to 2**20 and 2**23 of all filters; made odd.
        window_stride: time between frames in ms, one sample to 2**20.
        conv_win_factor: kernel length in sigmas, finite and > 0.
        stride_factor: stride in half periods of a group's highest centre, finite and > 0.
        compression: "logtbn", "pcen" or a module on [B, C, frames].
        exact: what of the filterbank is kept as LEAF has it, see :class:`GroupedGaborFilterbank`.
        tolerance: None for the published numbers. A relative error, 1e-6 to 1e-1, for LEAF's energies within it:
            a :class:`ToleranceFilterbank` then chooses groups, kernels and strides, and ``num_groups``,
            ``conv_win_factor``, ``stride_factor`` and ``exact`` must be left alone. State-dict keys are the same.
        dynamic_range: with a ``tolerance``: None for all audio within [-1, 1], or decibels, 20 to 120, by which nothing
            is louder than what a band hears, for less time. See :class:`ToleranceFilterbank`.

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
        tolerance: float | None = None,
        dynamic_range: float | None = None,
    ) -> None:
        super().__init__()
        self.sample_rate = sample_rate = rate(sample_rate)
        self.window_len = window_len = duration("window_len", window_len, sample_rate)
        self.window_stride = window_stride = duration("window_stride", window_stride, sample_rate)
        pool_size, pool_stride = int(sample_rate * window_len / 1000) | 1, int(sample_rate * window_stride / 1000)
        self.filterbank: GroupedGaborFilterbank | ToleranceFilterbank
        if tolerance is None:
            if dynamic_range is not None:
                raise ValueError(f"dynamic_range={dynamic_range!r}: must be None without a tolerance")
            self.filterbank = GroupedGaborFilterbank(
                n_filters,
                num_groups,
                min_freq,
                max_freq,
                sample_rate,
                pool_size,
                pool_stride,
                conv_win_factor=conv_win_factor,
                stride_factor=stride_factor,
                exact=exact,
            )
        else:
            _left_alone("num_groups", num_groups, 4)
            _left_alone("conv_win_factor", conv_win_factor, 4.77)
            _left_alone("stride_factor", stride_factor, 1.0)
            _left_alone("exact", exact, ())
            self.filterbank = ToleranceFilterbank(
                *(n_filters, min_freq, max_freq, sample_rate, pool_size, pool_stride),
                tolerance=tolerance,
                dynamic_range=dynamic_range,
            )
        self.compression: nn.Module
        if isinstance(compression, nn.Module):
            self.compression = compression
        elif isinstance(compression, str) and compression == "pcen":
            self.compression = leaf_pcen(n_filters)
        elif isinstance(compression, str) and compression == "logtbn":
            self.compression = LogTBN(
                n_filters, a=5, trainable=True, per_band=True, median_filter=True, append_filtered=True
            )
        else:
            message = f"compression={shown(compression)}: must be 'logtbn', 'pcen' or a module"
            raise (ValueError if isinstance(compression, str) else TypeError)(message)

    @classmethod
    def from_leaf(cls, leaf: Leaf, tolerance: float = 1e-3, dynamic_range: float | None = None) -> EfficientLeaf:
        """A trained LEAF within ``tolerance``: its weights, window, hop and compression are copied.

        Raises ValueError where ``leaf`` has ``padding="same"``, other sizes than one odd window, or a compression
        that is no module; TypeError where it is no :class:`leaf.Leaf`.
        """
        if not isinstance(leaf, Leaf):
            raise TypeError(f"leaf={shown(leaf)}: must be a leaf.Leaf")
        bank = leaf.filterbank
        if bank.padding != "centered":
            raise ValueError(f"leaf.padding={bank.padding!r}: must be 'centered', whose frames EfficientLEAF has")
        if bank.filter_size != bank.pool_size:
            raise ValueError(f"leaf.filter_size={bank.filter_size}: must be leaf.pool_size={bank.pool_size}")
        if not isinstance(leaf.compression, nn.Module):
            raise ValueError(f"leaf.compression={shown(leaf.compression)}: must be a module")
        weight = bank.center_freqs
        frontend = cls(
            bank.n_filters,
            max_freq=leaf.sample_rate / 2,  # of the start, which is overwritten
            min_freq=0.0,
            sample_rate=leaf.sample_rate,
            window_len=leaf.window_len,
            window_stride=leaf.window_stride,
            compression=copy.deepcopy(leaf.compression),
            tolerance=tolerance,
            dynamic_range=dynamic_range,
        )
        frontend.to(weight.device, weight.dtype)
        frontend.filterbank.load_state_dict(bank.state_dict())
        for copied, parameter in zip(frontend.filterbank.parameters(), bank.parameters(), strict=True):
            copied.requires_grad_(parameter.requires_grad)
        return frontend.train(leaf.training)

    def plan(self) -> Plan:
        """The plan that ``tolerance`` leads to, with its error and cost; ``print`` shows a table. Reads the parameters.

        Raises ValueError where no ``tolerance`` was given: the published settings promise no error.
        """
        if not isinstance(self.filterbank, ToleranceFilterbank):
            raise ValueError("tolerance=None: must be given for there to be a plan")
        return self.filterbank.plan()

    def freeze(self, frozen: bool = True) -> EfficientLeaf:
        """Fix the filterbank's geometry for ``torch.compile`` and export, see its own ``freeze``."""
        self.filterbank.freeze(frozen)
        return self

    def forward(self, x: Tensor) -> Tensor:
        """Audio [B, T] or [B, 1, T], in the module's dtype, to [B, 2, C, frames] or [B, C, frames].

        Raises ValueError for another rank, several channels or no samples, and TypeError for a dtype other
        than the module's. Values are not looked at.
        """
        y: Tensor = self.compression(self.filterbank(x))
        return y

    def stream(self, chunks: Iterable[Tensor], n_samples: int | None = None) -> Iterator[Tensor]:
        """The front end over audio in chunks of any size, in memory that does not grow.

        The frames, one after another, are those of the whole audio to rounding; with a ``tolerance``, to what that
        allows, as blocks lie elsewhere. Weights, groups and compression are copied when this is called and evaluated
        without gradients; training may go on. Forward hooks do not run.

        Args:
            chunks: consecutive audio, [B, n] or [B, 1, n] each, any n, in the module's dtype.
            n_samples: the length of the whole; checked where it is given.

        Returns an iterator over [B, C, k] frames, k >= 1.
        Raises ValueError at once for a compression that needs the whole clip; while it runs, what :meth:`forward`
        raises, and ValueError for chunks of another batch size, or for a length
        other than ``n_samples``.
        """
        n_samples = length(n_samples)
        frontend = copy.deepcopy(self).eval()
        step = step_of(frontend.compression)
        bank = frontend.filterbank.bank()
        return stream(chunks, bank, step, frontend.filterbank.center_freqs, n_samples)


def _left_alone(name: str, value: object, default: object) -> None:
    """Refuses what a tolerance chooses by itself."""
    if value != default:
        raise ValueError(f"{name}={shown(value)}: must be the default, {default!r}, as a tolerance chooses it")
