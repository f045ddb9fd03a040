"""The original's other frontends: time-domain filterbanks, SincNet and its variant, and fixed mel filterbanks.

Source: ``leaf_audio/frontend.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from og_leaf.checks import (
    MOST_FILTERS,
    check_band,
    check_bank,
    check_callable,
    check_count,
    check_device,
    check_dtype,
    check_geometry,
    check_rate,
    shown,
)
from og_leaf.convolution import SincConv1D
from og_leaf.fourier import rfft
from og_leaf.frontend import Leaf, SquaredModulus, log_compression
from og_leaf.initializers import Constant, Device, GaborInit, LowpassInit, SincInit
from og_leaf.inputs import check_audio
from og_leaf.keras_layers import Conv1D, LayerNormalization, LeakyReLU
from og_leaf.melfilters import linear_to_mel_weight_matrix
from og_leaf.padding import over_time
from og_leaf.pooling import GaussianLowpass, LearnablePooling1D, MaxPooling1D
from og_leaf.postprocessing import PCENLayer


class TimeDomainFilterbanks(Leaf):
    """Free filters that start as Gabor wavelets, squared modulus, one free pooling window, logarithm.

    As in the original, ``sample_rate`` is that of the initial filters and window alone. The geometry is that of the
    default 16 kHz, so that another rate than 16000 to 16039 Hz, or another ``window_len``, is refused.

    Args:
        sample_rate: Hz.
        **kwargs: arguments of :class:`og_leaf.Leaf`, except those that are fixed here: ``conv1d_cls``, ``activation``,
            ``pooling_cls``, ``complex_conv_init``, ``pooling_init``, ``compression_fn`` and ``num_channels``.

    Raises:
        TypeError: an argument that is fixed; or as :class:`og_leaf.Leaf`.
        ValueError: a rate or length that is refused, see above; or as :class:`og_leaf.Leaf`.

    Source: ``leaf_audio/frontend.py``; section 2 of https://arxiv.org/abs/1711.01161.
    """

    def __init__(self, sample_rate: float = 16000, **kwargs: Any) -> None:
        window, _ = check_geometry(sample_rate, 25.0, 25.0)
        if window != check_geometry(16000, 25.0, 25.0)[0]:
            raise ValueError(f"sample_rate={shown(sample_rate)}: must have 401 samples in 25 ms: 16000 to 16039 Hz")
        super().__init__(
            conv1d_cls=Conv1D,
            activation=SquaredModulus(),
            pooling_cls=LearnablePooling1D,
            complex_conv_init=GaborInit(sample_rate=sample_rate, min_freq=60.0, max_freq=7800.0),
            pooling_init=LowpassInit(sample_rate=sample_rate),
            compression_fn=log_compression,
            num_channels=None,
            **kwargs,
        )


class SincNet(Leaf):
    """Sinc filters, leaky rectifier of slope 0.2, maximum pooling, layer normalisation over the filters.

    Args:
        n_filters: number of filters, at least 1.
        device, dtype: of the parameters; float32 or float64.
        **kwargs: other arguments of :class:`og_leaf.Leaf`, except those that are fixed here: ``conv1d_cls``,
            ``activation``, ``pooling_cls``, ``complex_conv_init``, ``compression_fn`` and ``num_channels``.

    Raises:
        TypeError: an argument that is fixed; or as :class:`og_leaf.Leaf`.
        ValueError: an even number of samples in the window, see :class:`og_leaf.SincConv1D`; or as
            :class:`og_leaf.Leaf`.

    Source: ``leaf_audio/frontend.py``; section 2 of https://arxiv.org/abs/1808.00158.
    """

    def __init__(
        self, n_filters: int = 40, device: Device = None, dtype: torch.dtype | None = None, **kwargs: Any
    ) -> None:
        n_filters = check_count("n_filters", n_filters, MOST_FILTERS)
        super().__init__(
            conv1d_cls=SincConv1D,
            complex_conv_init=SincInit(),
            activation=LeakyReLU(alpha=0.2),
            pooling_cls=MaxPooling1D,
            compression_fn=LayerNormalization(n_filters, device=device, dtype=dtype),
            n_filters=n_filters,
            num_channels=None,
            device=device,
            dtype=dtype,
            **kwargs,
        )


class SincNetPlus(Leaf):
    """Sinc filters, leaky rectifier of slope 0.2, Gaussian pooling, and a PCEN that is not learned.

    Args:
        n_filters: number of filters, at least 1.
        device, dtype: of the parameters; float32 or float64.
        **kwargs: other arguments of :class:`og_leaf.Leaf`, except those that are fixed here: ``conv1d_cls``,
            ``activation``, ``pooling_cls``, ``complex_conv_init``, ``pooling_init``, ``compression_fn`` and
            ``num_channels``.

    Raises:
        TypeError: an argument that is fixed; or as :class:`og_leaf.Leaf`.
        ValueError: an even number of samples in the window, see :class:`og_leaf.SincConv1D`; or as
            :class:`og_leaf.Leaf`.

    Source: ``leaf_audio/frontend.py``.
    """

    def __init__(
        self, n_filters: int = 40, device: Device = None, dtype: torch.dtype | None = None, **kwargs: Any
    ) -> None:
        n_filters = check_count("n_filters", n_filters, MOST_FILTERS)
        super().__init__(
            conv1d_cls=SincConv1D,
            complex_conv_init=SincInit(),
            activation=LeakyReLU(alpha=0.2),
            pooling_cls=GaussianLowpass,
            pooling_init=Constant(0.4),
            compression_fn=PCENLayer(n_filters, device=device, dtype=dtype),
            n_filters=n_filters,
            num_channels=None,
            device=device,
            dtype=dtype,
            **kwargs,
        )


class MelFilterbanks(nn.Module):
    """Mel filterbanks: short-time Fourier transform, squared magnitude, mel matrix, compression. Nothing is learned.

    Args:
        n_filters: number of mel filters, at least 1.
        sample_rate: Hz.
        n_fft: samples in a transform; a longer window is cut at it.
        window_len: length of the Hann window, ms; ``int(sample_rate * window_len // 1000 + 1)`` samples.
        window_stride: hop between frames, ms.
        compression_fn: maps [B, n_filters, frames] to the features.
        min_freq: lower corner of the first mel triangle, Hz, at least 0.
        max_freq: upper corner of the last one, Hz; 0 or ``None`` is half the sample rate, which is the most.
        device, dtype: the dtype of the audio that is taken, float32 or float64; ``device`` is ignored, as the module
            has no tensors of its own.

    Raises:
        TypeError: a count that is not an integer, a length that is not a number, a compression that is not callable.
        ValueError: a value outside its range, or an unknown dtype.

    Source: ``leaf_audio/frontend.py``.
    """

    _like: Tensor

    def __init__(
        self,
        n_filters: int = 40,
        sample_rate: float = 16000,
        n_fft: int = 512,
        window_len: float = 25.0,
        window_stride: float = 10.0,
        compression_fn: Callable[[Tensor], Tensor] = log_compression,
        min_freq: float = 60.0,
        max_freq: float | None = 7800.0,
        device: Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self._window_size, self._stride = check_geometry(sample_rate, window_len, window_stride)
        self._sample_rate = check_rate(sample_rate)
        at_half = max_freq is None or (type(max_freq) in (int, float) and max_freq == 0)
        self._min_freq, self._max_freq = check_band(
            min_freq, self._sample_rate / 2.0 if at_half else max_freq, self._sample_rate
        )
        self._compression_fn: Callable[[Tensor], Tensor] = check_callable(
            "compression_fn", compression_fn, "a callable"
        )
        self.n_filters = check_count("n_filters", n_filters, MOST_FILTERS)
        self._n_fft = check_count("n_fft", n_fft, least=2)
        check_bank("n_filters", self.n_filters, "n_fft", self._n_fft)
        self._made: tuple[tuple[torch.dtype, torch.device], Tensor] | None = None
        # what follows .double() and .to(), computed in their dtype rather than rounded to it
        self.register_buffer(
            "_like", torch.empty(0, dtype=check_dtype(dtype), device=check_device(device)), persistent=False
        )

    @property
    def mel_filters(self) -> Tensor:
        """The mel triangles, [n_fft // 2 + 1, n_filters]."""
        matrix = linear_to_mel_weight_matrix(
            self.n_filters, self._n_fft // 2 + 1, self._sample_rate, self._min_freq, self._max_freq, self._like.dtype
        )
        return matrix.to(self._like.device)

    def _matrix(self) -> Tensor:
        """The mel triangles, made once for a dtype and device rather than in every forward."""
        like = (self._like.dtype, self._like.device)
        if self._made is None or self._made[0] != like:
            with torch.inference_mode(False):  # or training could not use what an inference has made
                self._made = like, self.mel_filters
        return self._made[1]

    def forward(self, inputs: Tensor) -> Tensor:
        """Features [B, n_filters, frames] of audio [B, T] or [B, 1, T], with ``frames = ceil(T / stride)``.

        A frame begins at its sample, and zeros follow the audio.

        Raises:
            TypeError: samples of another dtype.
            ValueError: another rank, more than one channel, or no samples.
        """
        check_audio(inputs, self._like)
        audio = inputs if inputs.dim() == 2 else inputs.squeeze(1)
        energies = over_time(audio, self._window_size, self._stride, "END", self._energies)
        return self._compression_fn(energies)

    def _energies(self, padded: Tensor) -> Tensor:
        """Mel energies [B, n_filters, frames] of audio with its zeros, [B, T]."""
        frames = padded.unfold(-1, self._window_size, self._stride)
        spectra = rfft(frames * self._hann(), self._n_fft)
        energies: Tensor = spectra.abs().square() @ self._matrix()
        return energies.transpose(1, 2)

    def _hann(self) -> Tensor:
        """TensorFlow's Hann window: periodic for an even number of samples, symmetric for an odd one."""
        size = self._window_size
        n = torch.arange(size, dtype=self._like.dtype, device=self._like.device)
        if size == 1:
            return torch.ones_like(n)
        return 0.5 - 0.5 * torch.cos(2 * torch.pi * n / (size - size % 2))
