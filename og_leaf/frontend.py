"""The LEAF frontend. Source: ``leaf_audio/frontend.py``; its other frontends lie in :mod:`og_leaf.frontends`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from og_leaf import postprocessing
from og_leaf.checks import (
    MOST_CHANNELS,
    MOST_FILTERS,
    check_bank,
    check_callable,
    check_count,
    check_device,
    check_dtype,
    check_duration,
    check_flag,
    check_geometry,
    check_rate,
    check_real,
    shown,
)
from og_leaf.convolution import GaborConv1D
from og_leaf.initializers import Constant, Device, GaborInit, Initializer, PreempInit
from og_leaf.inputs import check_audio, check_features, check_tensor, initial
from og_leaf.keras_layers import LayerNormalization
from og_leaf.padding import pad_time
from og_leaf.pooling import GaussianLowpass
from og_leaf.postprocessing import InstanceNormalization, PCENLayer
from og_leaf.regularizers import Regularized, Regularizer, check_regularizer

COMPRESSIONS = ("pcen", "log")


def log_compression(inputs: Tensor, log_offset: float = 1e-5) -> Tensor:
    """``log(inputs + log_offset)``, of any shape. Source: ``leaf_audio/frontend.py``."""
    return torch.log(check_tensor("inputs", inputs) + check_real("log_offset", log_offset, at_least=0))


class SquaredModulus(nn.Module):
    """Squared modulus of complex channels whose real and imaginary parts are interleaved.

    Source: ``leaf_audio/frontend.py`` (twice the mean of the two squares).
    """

    def __init__(self) -> None:
        super().__init__()
        self._pool = nn.AvgPool1d(kernel_size=2, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        """[B, 2 C, T] to [B, C, T]; an odd last channel is left out."""
        check_features(x)
        if x.shape[1] < 2:
            return x[:, :0]
        means: Tensor = self._pool(x.transpose(1, 2) ** 2)
        return (2 * means).transpose(1, 2)


class Leaf(nn.Module):
    """A learnable frontend: Gabor filters, squared modulus, Gaussian pooling, floor 1e-5, compression.

    Unlike the original's, the defaults of ``compression_fn`` and ``activation`` are fresh modules in each
    instance, so that instances share no weights.

    Args:
        learn_pooling: whether the pooling windows are learned.
        learn_filters: whether the filters, and the pre-emphasis, are learned.
        conv1d_cls: class of the filterbank, called with the arguments of :class:`GaborConv1D`.
        activation: maps the filterbank's output to [B, C, T]; ``None`` is a :class:`SquaredModulus`.
        pooling_cls: class of the pooling, called with the arguments of :class:`GaussianLowpass`.
        n_filters: number of filters, at least 1.
        sample_rate: Hz.
        window_len: length of filters and pooling windows, ms; ``int(sample_rate * window_len // 1000 + 1)``
            samples.
        window_stride: hop between frames, ms.
        compression_fn: ``"pcen"`` (all of it learned, per channel, floor 1e-12), ``"log"``, a module or
            function on [B, C, frames], or ``None`` for no compression.
        preemp: start with a learnable two-tap pre-emphasis.
        preemp_init: its initialiser; ``None`` is ``PreempInit()``.
        complex_conv_init: initialiser of the filters; ``None`` is mel-spaced from 60 to 7800 Hz **at 16 kHz
            whatever the sample rate**, as in the original.
        pooling_init: initialiser of the pooling; ``None`` is a constant 0.4.
        regularizer_fn: maps each learned kernel to a penalty, see :meth:`regularization_loss`.
        mean_var_norm: end with an instance normalisation.
        spec_augment: in training mode, end with a :class:`og_leaf.SpecAugment`: this one, or with ``True`` one of its
            own.
        num_channels: channels that ``activation`` gives, where they are not ``n_filters``.
        device, dtype: of the parameters; float32 or float64.

    Raises:
        TypeError: ``n_filters`` is not an integer, a length is not a number, a compression is not callable.
        ValueError: a value outside its range, a window or stride of less than a sample, an unknown
            compression or dtype, or a compression whose width or dtype is another.

    Source: ``leaf_audio/frontend.py``; section 3 of https://arxiv.org/abs/2101.08596.
    """

    def __init__(
        self,
        learn_pooling: bool = True,
        learn_filters: bool = True,
        conv1d_cls: Callable[..., nn.Module] = GaborConv1D,
        activation: Callable[[Tensor], Tensor] | None = None,
        pooling_cls: Callable[..., nn.Module] = GaussianLowpass,
        n_filters: int = 40,
        sample_rate: float = 16000,
        window_len: float = 25.0,
        window_stride: float = 10.0,
        compression_fn: str | Callable[[Tensor], Tensor] | None = "pcen",
        preemp: bool = False,
        preemp_init: Initializer | None = None,
        complex_conv_init: Initializer | None = None,
        pooling_init: Initializer | None = None,
        regularizer_fn: Regularizer | None = None,
        mean_var_norm: bool = False,
        spec_augment: bool | postprocessing.SpecAugment = False,
        num_channels: int | None = None,
        device: Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        dtype, device = check_dtype(dtype), check_device(device)
        learn_filters, learn_pooling = (
            check_flag("learn_filters", learn_filters),
            check_flag("learn_pooling", learn_pooling),
        )
        self.n_filters = n_filters = check_count("n_filters", n_filters, MOST_FILTERS)
        num_channels = n_filters if num_channels is None else check_count("num_channels", num_channels, MOST_CHANNELS)
        window_size, stride = check_geometry(sample_rate, window_len, window_stride)
        self.sample_rate = check_rate(sample_rate)
        self.window_len = check_duration("window_len", window_len, sample_rate)
        self.window_stride = check_duration("window_stride", window_stride, sample_rate)
        check_bank("n_filters", 2 * n_filters, "window_len", window_size)
        regularizer = check_regularizer(regularizer_fn, "regularizer_fn")
        filter_regularizer = regularizer if learn_filters else None
        self._preemp_regularizer = filter_regularizer
        self._preemp_conv: nn.Conv1d | None = None
        initializer = PreempInit() if preemp_init is None else preemp_init
        check_callable("preemp_init", initializer, "an initialiser")
        if check_flag("preemp", preemp):
            self._preemp_conv = nn.Conv1d(1, 1, kernel_size=2, bias=False, device=device, dtype=dtype)
            weight = initial("preemp_init", initializer, (1, 1, 2), dtype, device)
            self._preemp_conv.weight = nn.Parameter(weight, requires_grad=learn_filters)
        if complex_conv_init is None:
            complex_conv_init = GaborInit(sample_rate=16000, min_freq=60.0, max_freq=7800.0)
        self._complex_conv = _part(
            "conv1d_cls",
            conv1d_cls,
            {"kernel_initializer": "complex_conv_init", "kernel_size": "window_len"},
            filters=2 * n_filters,
            kernel_size=window_size,
            strides=1,
            padding="SAME",
            use_bias=False,
            kernel_initializer=complex_conv_init,
            kernel_regularizer=filter_regularizer,
            trainable=learn_filters,
            device=device,
            dtype=dtype,
        )
        if activation is not None:
            check_callable("activation", activation, "a module or function on [B, C, T], or None")
        self._activation = SquaredModulus() if activation is None else activation
        self._pooling = _part(
            "pooling_cls",
            pooling_cls,
            {"kernel_initializer": "pooling_init", "num_channels": "n_filters"},
            num_channels=num_channels,
            kernel_size=window_size,
            strides=stride,
            padding="SAME",
            use_bias=False,
            kernel_initializer=Constant(0.4) if pooling_init is None else pooling_init,
            kernel_regularizer=regularizer if learn_pooling else None,
            trainable=learn_pooling,
            device=device,
            dtype=dtype,
        )
        self._instance_norm: InstanceNormalization | None = None
        if check_flag("mean_var_norm", mean_var_norm):
            self._instance_norm = InstanceNormalization(num_channels, epsilon=1e-6, device=device, dtype=dtype)
        self._compress_fn = _compression(compression_fn, num_channels, device, dtype)
        self._spec_augment_fn = _augmentation(spec_augment)

    def forward(self, inputs: Tensor) -> Tensor:
        """Features [B, C, frames] of audio [B, T] or [B, 1, T], with ``frames = ceil(T / stride)``.

        Raises:
            TypeError: samples of another dtype than the weights.
            ValueError: another rank, more than one channel, or no samples.
        """
        check_audio(inputs, next(self.parameters(), None))
        outputs = inputs[:, None, :] if inputs.dim() < 3 else inputs
        if self._preemp_conv is not None:
            outputs = self._preemp_conv(pad_time(outputs, 2, 1, "SAME"))
        outputs = self._complex_conv(outputs)
        outputs = self._activation(outputs)
        outputs = self._pooling(outputs)
        outputs = outputs.clamp(min=1e-5)
        outputs = self._compress_fn(outputs)
        if self._instance_norm is not None:
            outputs = self._instance_norm(outputs)
        if self._spec_augment_fn is not None and self.training:
            outputs = self._spec_augment_fn(outputs)
        return outputs

    def regularization_loss(self) -> Tensor:
        """The sum of the penalties of ``regularizer_fn`` on the kernels, to be added to a training loss.

        They are those of the pre-emphasis and the filterbank (with ``learn_filters``) and of the pooling window (with
        ``learn_pooling``), as the parameters are held, not as the forward pass limits them.

        Returns:
            A tensor of no dimensions, in the dtype of the parameters; 0 without a regulariser, or where nothing that it
            counts is learned.
        """
        first = next(self.parameters(), None)
        loss = torch.zeros(()) if first is None else first.new_zeros(())
        if self._preemp_conv is not None and self._preemp_regularizer is not None:
            loss = loss + self._preemp_regularizer(self._preemp_conv.weight)
        for layer in (self._complex_conv, self._pooling):
            if isinstance(layer, Regularized):
                loss = loss + layer.regularization_loss()
        return loss


def _part(name: str, cls: Any, asked_as: dict[str, str], /, **arguments: Any) -> Any:
    """Make a layer, or another callable; its refusals are named as the frontend's own arguments are."""
    if not callable(cls) or isinstance(cls, nn.Module):
        raise TypeError(f"{name}={shown(cls)}: must be a class of layers, called with {', '.join(arguments)}")
    try:
        layer = cls(**arguments)
    except (TypeError, ValueError) as error:
        own = next((asked for argument, asked in asked_as.items() if str(error).startswith(argument)), None)
        message = f"{own}: {error}" if own else f"{name}={shown(cls)}: must take {', '.join(arguments)}: {error}"
        raise (TypeError if isinstance(error, TypeError) else ValueError)(message) from error
    if not callable(layer):
        raise TypeError(f"{name}={shown(cls)}: must give a layer or another callable, got {shown(layer)}")
    return layer


def _augmentation(spec_augment: Any) -> postprocessing.SpecAugment | None:
    if isinstance(spec_augment, postprocessing.SpecAugment):
        return spec_augment
    if not isinstance(spec_augment, bool):
        raise TypeError(f"spec_augment={shown(spec_augment)}: must be True, False or an og_leaf.SpecAugment")
    return postprocessing.SpecAugment() if spec_augment else None


def _compression(
    compression_fn: Any, n_channels: int, device: Device, dtype: torch.dtype
) -> Callable[[Tensor], Tensor]:
    allowed = f"must be one of {COMPRESSIONS}, a callable or None"
    if compression_fn is None:
        return nn.Identity()
    if isinstance(compression_fn, str):
        if compression_fn == "log":
            return log_compression
        if compression_fn != "pcen":
            raise ValueError(f"compression_fn={shown(compression_fn)}: {allowed}")
        return PCENLayer(
            n_channels,
            alpha=0.96,
            smooth_coef=0.04,
            delta=2.0,
            floor=1e-12,
            trainable=True,
            learn_smooth_coef=True,
            per_channel_smooth_coef=True,
            device=device,
            dtype=dtype,
        )
    check_callable("compression_fn", compression_fn, f"one of {COMPRESSIONS}, a callable on [B, C, frames] or None")
    if isinstance(compression_fn, (PCENLayer, LayerNormalization)):
        width, held = compression_fn.num_channels, next(compression_fn.parameters()).dtype
        if width != n_channels:
            raise ValueError(f"compression_fn has num_channels={width}: must be n_filters={n_channels}")
        if held != dtype:
            raise ValueError(f"compression_fn has dtype {held}: must be dtype={dtype}")
    compress: Callable[[Tensor], Tensor] = compression_fn
    return compress
