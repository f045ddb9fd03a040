"""Compression and normalisation of the energies. Source: ``leaf_audio/postprocessing.py``."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from tf_leaf.checks import TINY, channels_of, check_dtype, check_flag, check_name, check_real
from tf_leaf.described import Described, registered
from tf_leaf.initializers import Constant
from tf_leaf.inputs import check_features
from tf_leaf.spectrum_augmenter import SpectrumAugmenter, generator_of


@registered
class ExponentialMovingAverage(Described, keras.layers.Layer):
    """The recurrence ``m[t] = w x[t] + (1 - w) m[t - 1]`` over frames, ``w`` clipped to [0, 1].

    Weight: ``smooth`` (the attribute is ``_weights``, as in the original), [C] or [1].

    Args:
        coeff_init: initial ``w``.
        per_channel: one coefficient per channel rather than one for all.
        trainable: whether the coefficient is learned.
        dtype: ``"float32"`` or ``"float64"``.
        name: of the layer.

    Source: ``leaf_audio/postprocessing.py``.
    """

    def __init__(
        self,
        coeff_init: float,
        per_channel: bool = False,
        trainable: bool = False,
        dtype: str = "float32",
        name: str = "EMA",
    ) -> None:
        super().__init__(name=check_name(name), trainable=check_flag("trainable", trainable), dtype=check_dtype(dtype))
        self._coeff_init = check_real("coeff_init", coeff_init)
        self._per_channel = check_flag("per_channel", per_channel)

    def build(
        self, inputs_shape: tuple[int | None, ...], initial_state_shape: tuple[int | None, ...] | None = None
    ) -> None:
        """Creates the weight for inputs of shape [B, frames, C]."""
        self._weights = self.add_weight(
            name="smooth",
            shape=(channels_of(inputs_shape),) if self._per_channel else (1,),
            initializer=Constant(self._coeff_init),
            trainable=self.trainable,
        )

    def compute_output_shape(
        self, inputs_shape: tuple[int | None, ...], initial_state_shape: tuple[int | None, ...]
    ) -> tuple[int | None, ...]:
        """As that of the inputs."""
        return inputs_shape

    def call(self, inputs: tf.Tensor, initial_state: tf.Tensor) -> tf.Tensor:
        """Smooths [B, frames, C], the first frame included, from ``initial_state`` [B, C] on."""
        check_features(inputs)
        w = tf.clip_by_value(tf.convert_to_tensor(self._weights), clip_value_min=0.0, clip_value_max=1.0)
        smoothed = tf.scan(
            lambda state, frame: w * frame + (1.0 - w) * state,
            tf.transpose(inputs, (1, 0, 2)),
            initializer=initial_state,
        )
        return tf.transpose(smoothed, (1, 0, 2))


@registered
class PCENLayer(Described, keras.layers.Layer):
    """Per-channel energy normalisation, ``(x / (floor + m)^alpha + delta)^(1 / root) - delta^(1 / root)``.

    ``m`` smooths ``x`` over time, from the first frame on. alpha is limited to at most 1 and root to at least
    1.
    Weights: ``alpha``, ``delta``, ``root`` [C], and those of the smoother.

    Args:
        alpha: initial exponent of the smoother.
        smooth_coef: initial smoothing coefficient.
        delta: initial offset before the root.
        root: initial root, one over the exponent r of the paper.
        floor: offset added to the smoother.
        trainable: whether alpha, delta and root are learned; without it nothing is, as in the original's
            Keras.
        learn_smooth_coef: a learned smoother, else a fixed recurrence with matrices ``smooth_coef I`` and
            ``(1 - smooth_coef) I``.
        per_channel_smooth_coef: one learned coefficient per channel rather than one for all.
        name: of the layer.
        dtype: ``"float32"`` or ``"float64"``.

    Source: ``leaf_audio/postprocessing.py``; https://arxiv.org/abs/1607.05666.
    """

    def __init__(
        self,
        alpha: float = 0.96,
        smooth_coef: float = 0.04,
        delta: float = 2.0,
        root: float = 2.0,
        floor: float = 1e-6,
        trainable: bool = False,
        learn_smooth_coef: bool = False,
        per_channel_smooth_coef: bool = False,
        name: str = "PCEN",
        dtype: str = "float32",
    ) -> None:
        super().__init__(name=check_name(name), trainable=check_flag("trainable", trainable), dtype=check_dtype(dtype))
        self._alpha_init = check_real("alpha", alpha)
        self._delta_init = check_real("delta", delta, at_least=0)
        self._root_init = check_real("root", root)
        self._smooth_coef = check_real("smooth_coef", smooth_coef, at_least=0, at_most=1)
        self._floor = check_real("floor", floor, at_least=0)
        self._learn_smooth_coef = check_flag("learn_smooth_coef", learn_smooth_coef)
        self._per_channel_smooth_coef = check_flag("per_channel_smooth_coef", per_channel_smooth_coef)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Creates the weights for inputs of shape [B, frames, C]."""
        n_channels = channels_of(input_shape)
        self.alpha = self._add_per_channel("alpha", n_channels, self._alpha_init)
        self.delta = self._add_per_channel("delta", n_channels, self._delta_init)
        self.root = self._add_per_channel("root", n_channels, self._root_init)
        learned = self._learn_smooth_coef
        self.ema: Any = self._learned_smoother() if learned else self._fixed_smoother(n_channels)
        self.ema.build((None, None, n_channels))
        self.ema.trainable = learned  # a Keras cell creates its matrices as trainable

    def _add_per_channel(self, name: str, n_channels: int | None, value: float) -> Any:
        constant = Constant(value)
        return self.add_weight(name=name, shape=(n_channels,), initializer=constant, trainable=self.trainable)

    def _learned_smoother(self) -> ExponentialMovingAverage:
        return ExponentialMovingAverage(
            coeff_init=self._smooth_coef,
            per_channel=self._per_channel_smooth_coef,
            trainable=True,
            dtype=self.compute_dtype,
        )

    def _fixed_smoother(self, n_channels: int | None) -> Any:
        # Both names are given, so that the variables of a second layer are called as those of the first.
        cell = keras.layers.SimpleRNNCell(
            units=n_channels,
            activation=None,
            use_bias=False,
            kernel_initializer=keras.initializers.Identity(gain=self._smooth_coef),
            recurrent_initializer=keras.initializers.Identity(gain=1.0 - self._smooth_coef),
            name="simple_rnn_cell",
            dtype=self.compute_dtype,
        )
        return keras.layers.RNN(cell, return_sequences=True, name="simple_rnn", dtype=self.compute_dtype)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """As the input's."""
        return input_shape

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Compresses [B, frames, C]."""
        check_features(inputs)
        alpha = tf.math.minimum(tf.convert_to_tensor(self.alpha), 1.0)
        root = tf.math.maximum(tf.convert_to_tensor(self.root), 1.0)
        delta = tf.convert_to_tensor(self.delta)
        smoothed = self.ema(inputs, initial_state=tf.gather(inputs, 0, axis=1))
        one_over_root = 1.0 / root
        normalised = inputs / (self._floor + smoothed) ** alpha
        return (normalised + delta) ** one_over_root - delta**one_over_root


@registered
class InstanceNormalization(Described, keras.layers.Layer):
    """Normalises each channel of each clip over its frames, then scales and shifts it.

    Weights: ``gamma`` and ``beta`` [C], initially 1 and 0.

    Args:
        epsilon: added to the variance.
        name: of the layer.
        dtype: ``"float32"`` or ``"float64"``.

    Source: what the layer of this name in tensorflow-addons 0.23 computes for ``axis=2``, as
    ``leaf_audio/frontend.py`` uses it.
    """

    def __init__(self, epsilon: float = 1e-6, name: str | None = None, dtype: str = "float32") -> None:
        super().__init__(name=check_name(name), dtype=check_dtype(dtype))
        self.epsilon = check_real("epsilon", epsilon, at_least=TINY)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Creates the weights for inputs of shape [B, frames, C]."""
        self.gamma = self.add_weight(name="gamma", shape=(channels_of(input_shape),), initializer="ones")
        self.beta = self.add_weight(name="beta", shape=(channels_of(input_shape),), initializer="zeros")

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """As the input's."""
        return input_shape

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Normalises [B, frames, C]."""
        check_features(inputs)
        mean, variance = tf.nn.moments(inputs, [1], keepdims=True)
        return tf.nn.batch_normalization(
            inputs,
            mean=mean,
            variance=variance,
            offset=tf.reshape(tf.convert_to_tensor(self.beta), (1, 1, -1)),
            scale=tf.reshape(tf.convert_to_tensor(self.gamma), (1, 1, -1)),
            variance_epsilon=self.epsilon,
        )


@registered
class SpecAugment(Described, keras.layers.Layer):
    """SpecAugment: warps time and masks frames and channels of features, in every call; ``Leaf`` asks when it trains.

    The warp comes first, then the masks over time, then those over channels. All are drawn anew in each call, for each
    item of the batch by itself. The layer has no weights. For a draw that is kept, and applied elsewhere, use
    :meth:`SpectrumAugmenter.draw` of ``augmenter`` and :func:`tf_leaf.spectrum_augmenter.augment`.

    Args:
        freq_mask_max_bins, freq_mask_count, time_mask_max_frames, time_mask_count, time_mask_max_ratio,
            time_warp_max_frames, time_warp_max_ratio: of :class:`tf_leaf.spectrum_augmenter.SpectrumAugmenter`.
        seed: what is drawn from: a ``tf.random.Generator``, an integer for one of the layer's own, or ``None`` for
            TensorFlow's global state, which ``tf.random.set_seed`` sets: the original draws from there, and an equal
            seed then gives equal masks. (The ``global_seed=777`` that it passes on is read by nothing that is on.)
        dtype: ``"float32"`` or ``"float64"``, of the features; the draws are the same.
        name: of the layer.

    Raises:
        TypeError: a maximum or count is not an integer, a ratio not a number, or another kind of seed.
        ValueError: a negative one, a ratio above 1, or another dtype.

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
        seed: int | tf.random.Generator | None = None,
        dtype: str = "float32",
        name: str = "SpecAugment",
    ) -> None:
        super().__init__(name=check_name(name), dtype=check_dtype(dtype))
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

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """As the input's."""
        return input_shape

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Augments features [B, frames, C].

        Raises:
            ValueError: another rank, or one frame (where a graph knows it), which a time warp divides by zero.
        """
        return self.augmenter(inputs, self.generator)
