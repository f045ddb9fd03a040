"""Compression and normalisation of the energies. Source: ``leaf_audio/postprocessing.py``.

All layers here take [B, C, frames].
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from og_leaf.checks import MOST_CHANNELS, check_count, check_device, check_dtype, check_epsilon, check_flag, check_real
from og_leaf.impulse_responses import clip
from og_leaf.initializers import Device
from og_leaf.inputs import Scan, check_features, check_scan, check_state, scanned
from og_leaf.padding import open_ended
from og_leaf.spectrum_augmenter import SpectrumAugmenter, generator_of


class ExponentialMovingAverage(nn.Module):
    """The recurrence ``m[t] = w x[t] + (1 - w) m[t - 1]`` over frames, ``w`` clipped to [0, 1].

    Parameter: ``_weights`` [C] or [1].

    Args:
        num_channels: number of channels C.
        coeff_init: initial ``w``.
        per_channel: one coefficient per channel rather than one for all.
        trainable: whether the coefficient is learned.
        device, dtype: of the parameter; float32 or float64.
        scan: computes the recurrence from (inputs, w [C] or [1], initial_state) in place of the original's loop over
            frames, for long inputs; ``leaf.exponential_moving_average`` does.

    Raises:
        TypeError: ``num_channels`` is not an integer.
        ValueError: ``num_channels`` below 1, or another dtype.

    Source: ``leaf_audio/postprocessing.py``.
    """

    def __init__(
        self,
        num_channels: int,
        coeff_init: float,
        per_channel: bool = False,
        trainable: bool = False,
        device: Device = None,
        dtype: torch.dtype | None = None,
        scan: Scan | None = None,
    ) -> None:
        super().__init__()
        self.scan = check_scan(scan)
        self.num_channels = check_count("num_channels", num_channels, MOST_CHANNELS)
        value = check_real("coeff_init", coeff_init)
        shape = (self.num_channels if check_flag("per_channel", per_channel) else 1,)
        weights = torch.full(shape, value, dtype=check_dtype(dtype), device=check_device(device))
        self._weights = nn.Parameter(weights, requires_grad=check_flag("trainable", trainable))

    def forward(self, inputs: Tensor, initial_state: Tensor) -> Tensor:
        """Smooths [B, C, frames], the first frame included, from ``initial_state`` [B, C] on."""
        check_features(inputs, self.num_channels, self._weights)
        check_state(initial_state, inputs)
        w = clip(self._weights, 0.0, 1.0)
        if self.scan is not None:
            return scanned(self.scan, inputs, w, initial_state)
        return _walked(lambda state, frame: w * frame + (1.0 - w) * state, inputs, initial_state)


class SimpleRNN(nn.Module):
    """The linear recurrence ``h[t] = x[t] K + h[t - 1] R``: the smoother of a PCEN that does not learn it.

    Buffers: ``input_weights`` K, initially ``smooth_coef I``, and ``recurrent_weights`` R, initially
    ``(1 - smooth_coef) I``; [C, C].

    Args:
        num_channels: number of channels C.
        smooth_coef: the coefficient on both diagonals.
        device, dtype: of the buffers; float32 or float64.

    Raises:
        TypeError: ``num_channels`` is not an integer.
        ValueError: ``num_channels`` below 1, or another dtype.

    Source: ``tf.keras.layers.SimpleRNN``, as ``leaf_audio/postprocessing.py`` sets it up.
    """

    input_weights: Tensor
    recurrent_weights: Tensor

    def __init__(
        self, num_channels: int, smooth_coef: float, device: Device = None, dtype: torch.dtype | None = None
    ) -> None:
        super().__init__()
        n_channels, value = (
            check_count("num_channels", num_channels, MOST_CHANNELS),
            check_real("smooth_coef", smooth_coef, at_least=0, at_most=1),
        )
        eye = torch.eye(n_channels, dtype=check_dtype(dtype), device=check_device(device))
        self.register_buffer("input_weights", value * eye)
        self.register_buffer("recurrent_weights", (1.0 - value) * eye)

    def forward(self, inputs: Tensor, initial_state: Tensor) -> Tensor:
        """Smooths [B, C, frames], the first frame included, from ``initial_state`` [B, C] on."""
        check_features(inputs, len(self.input_weights), self.input_weights)
        check_state(initial_state, inputs)
        kernel, recurrent = self.input_weights, self.recurrent_weights
        return _walked(lambda state, frame: frame @ kernel + state @ recurrent, inputs, initial_state)


def _walked(step: Callable[[Tensor, Tensor], Tensor], inputs: Tensor, state: Tensor) -> Tensor:
    """The states [B, C, frames] of a recurrence from the one before the first frame; ``step`` is of state and frame."""
    if open_ended(inputs):
        return _walked_in_graph(step, inputs, state)
    smoothed = []
    for frame in inputs.unbind(-1):
        state = step(state, frame)
        smoothed.append(state)
    return torch.stack(smoothed, dim=-1)


def _walked_in_graph(step: Callable[[Tensor, Tensor], Tensor], inputs: Tensor, state: Tensor) -> Tensor:
    """:func:`_walked` for a number of frames that is not known: the loop itself is in the graph."""
    from torch._higher_order_ops import while_loop  # no other name is documented

    frames = inputs.movedim(-1, 0).clone(memory_format=torch.contiguous_format)

    def unfinished(t: Tensor, state: Tensor, states: Tensor) -> Tensor:
        return t < states.shape[0]

    def further(t: Tensor, state: Tensor, states: Tensor) -> tuple[Tensor, ...]:
        index = t.unsqueeze(0)
        state = step(state, frames.index_select(0, index).squeeze(0))
        return t + 1, state, states.index_copy(0, index, state.unsqueeze(0))

    first = torch.zeros((), dtype=torch.int64, device=inputs.device)
    states: Tensor = while_loop(unfinished, further, (first, state.clone(), torch.zeros_like(frames)))[2]  # type: ignore[no-untyped-call]
    return states.movedim(0, -1)


class PCENLayer(nn.Module):
    """Per-channel energy normalisation, ``(x / (floor + m)^alpha + delta)^(1 / root) - delta^(1 / root)``.

    ``m`` smooths ``x`` over time, from the first frame on. alpha is limited to at most 1 and root to at least
    1.
    Parameters: ``alpha``, ``delta``, ``root`` [C]; ``ema`` is the smoother.

    Args:
        num_channels: number of channels C.
        alpha: initial exponent of the smoother.
        smooth_coef: initial smoothing coefficient.
        delta: initial offset before the root.
        root: initial root, one over the exponent r of the paper.
        floor: offset added to the smoother.
        trainable: whether alpha, delta and root are learned; without it nothing is, as in the original's
            Keras.
        learn_smooth_coef: a learned smoother, else a :class:`SimpleRNN`.
        per_channel_smooth_coef: one learned coefficient per channel rather than one for all.
        device, dtype: of the parameters; float32 or float64.
        scan: of a learned smoother, see :class:`ExponentialMovingAverage`.

    Raises:
        TypeError: ``num_channels`` is not an integer.
        ValueError: ``num_channels`` below 1, or another dtype.

    Source: ``leaf_audio/postprocessing.py``; https://arxiv.org/abs/1607.05666.
    """

    ema: ExponentialMovingAverage | SimpleRNN

    def __init__(
        self,
        num_channels: int,
        alpha: float = 0.96,
        smooth_coef: float = 0.04,
        delta: float = 2.0,
        root: float = 2.0,
        floor: float = 1e-6,
        trainable: bool = False,
        learn_smooth_coef: bool = False,
        per_channel_smooth_coef: bool = False,
        device: Device = None,
        dtype: torch.dtype | None = None,
        scan: Scan | None = None,
    ) -> None:
        super().__init__()
        self.num_channels = check_count("num_channels", num_channels, MOST_CHANNELS)
        dtype, device = check_dtype(dtype), check_device(device)
        trainable = check_flag("trainable", trainable)

        def per_channel(value: float) -> nn.Parameter:
            values = torch.full((self.num_channels,), value, dtype=dtype, device=device)
            return nn.Parameter(values, requires_grad=trainable)

        self.alpha = per_channel(check_real("alpha", alpha))
        self.delta = per_channel(check_real("delta", delta, at_least=0))
        self.root = per_channel(check_real("root", root))
        self._floor = check_real("floor", floor, at_least=0)
        smooth_coef = check_real("smooth_coef", smooth_coef, at_least=0, at_most=1)
        per_channel_smooth_coef = check_flag("per_channel_smooth_coef", per_channel_smooth_coef)
        if check_flag("learn_smooth_coef", learn_smooth_coef):
            self.ema = ExponentialMovingAverage(
                self.num_channels,
                smooth_coef,
                per_channel_smooth_coef,
                trainable,
                device=device,
                dtype=dtype,
                scan=scan,
            )
        else:
            self.ema = SimpleRNN(self.num_channels, smooth_coef, device=device, dtype=dtype)

    def forward(self, inputs: Tensor) -> Tensor:
        """Compresses [B, C, frames]."""
        check_features(inputs, self.num_channels, self.alpha)
        alpha = self.alpha.clamp(max=1.0).unsqueeze(-1)
        root = self.root.clamp(min=1.0).unsqueeze(-1)
        delta = self.delta.unsqueeze(-1)
        smoothed: Tensor = self.ema(inputs, initial_state=inputs[..., 0])
        one_over_root = 1.0 / root
        normalised = inputs / (self._floor + smoothed) ** alpha
        return (normalised + delta) ** one_over_root - delta**one_over_root


class InstanceNormalization(nn.Module):
    """Normalises each channel of each clip over its frames, then scales and shifts it. One frame is enough.

    Parameters: ``weight`` and ``bias`` [C], initially 1 and 0.

    Args:
        num_channels: number of channels C.
        epsilon: added to the variance.
        device, dtype: of the parameters; float32 or float64.

    Raises:
        TypeError: ``num_channels`` is not an integer.
        ValueError: ``num_channels`` below 1, or another dtype.

    Source: what the layer of this name in tensorflow-addons 0.23 computes for ``axis=2``, as
    ``leaf_audio/frontend.py`` uses it.
    """

    def __init__(
        self,
        num_channels: int,
        epsilon: float = 1e-6,
        device: Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        dtype, device = check_dtype(dtype), check_device(device)
        self.epsilon = check_epsilon(epsilon)
        size = check_count("num_channels", num_channels, MOST_CHANNELS)
        self.weight = nn.Parameter(torch.ones(size, dtype=dtype, device=device))
        self.bias = nn.Parameter(torch.zeros(size, dtype=dtype, device=device))

    def forward(self, inputs: Tensor) -> Tensor:
        """Normalises [B, C, frames]."""
        check_features(inputs, len(self.weight), self.weight)
        mean = inputs.mean(dim=-1, keepdim=True)
        # tf.nn.moments stops the mean's gradient here; the deviations sum to zero, so nothing is lost.
        variance = ((inputs - mean.detach()) ** 2).mean(dim=-1, keepdim=True)
        gain = torch.rsqrt(variance + self.epsilon) * self.weight.unsqueeze(-1)
        return inputs * gain + (self.bias.unsqueeze(-1) - mean * gain)


class SpecAugment(nn.Module):
    """SpecAugment: warps time and masks frames and channels of features, in training mode alone.

    The warp comes first, then the masks over time, then those over channels. All are drawn anew in each call, for each
    item of the batch by itself. In evaluation mode the features come back as they are. The module has no parameters.
    For a draw that is kept, and applied elsewhere, use :meth:`SpectrumAugmenter.draw` of ``augmenter`` and
    :func:`og_leaf.spectrum_augmenter.augment`.

    Args:
        freq_mask_max_bins, freq_mask_count, time_mask_max_frames, time_mask_count, time_mask_max_ratio,
            time_warp_max_frames, time_warp_max_ratio: of :class:`og_leaf.spectrum_augmenter.SpectrumAugmenter`.
        seed: what is drawn from: a ``torch.Generator``, an integer for one of the module's own on the CPU, or ``None``
            for PyTorch's own on the features' device, which ``torch.manual_seed`` sets. No seed gives the draws that
            it gives in TensorFlow, only their chances.

    Raises:
        TypeError: a maximum or count is not an integer, a ratio not a number, or another kind of seed.
        ValueError: a negative one, or a ratio above 1.

    Source: ``leaf_audio/postprocessing.py``; https://arxiv.org/abs/1904.08779.
    """

    def __init__(
        self,
        freq_mask_max_bins: int = 10,
        freq_mask_count: int = 2,
        time_mask_max_frames: int = 10,
        time_mask_count: int = 2,
        time_mask_max_ratio: float = 1.0,
        time_warp_max_frames: int = 8,
        time_warp_max_ratio: float = 1.0,
        seed: int | torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.augmenter = SpectrumAugmenter(
            freq_mask_max_bins,
            freq_mask_count,
            time_mask_max_frames,
            time_mask_count,
            time_mask_max_ratio,
            time_warp_max_frames,
            time_warp_max_ratio,
        )
        self.generator = generator_of(seed)

    def forward(self, inputs: Tensor) -> Tensor:
        """Augments features [B, C, frames].

        Raises:
            ValueError: another rank, or one frame, which a time warp divides by zero.
        """
        return self.augmenter(inputs, self.generator) if self.training else inputs
