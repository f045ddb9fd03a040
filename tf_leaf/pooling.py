"""Pooling: one learnable window, one a channel, Gaussian windows, a maximum. Source: ``leaf_audio/pooling.py``."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from tf_leaf import impulse_responses
from tf_leaf.checks import channels_of, check_count, check_dtype, check_flag, check_name, check_padding, frames_of
from tf_leaf.described import Described, registered
from tf_leaf.inputs import (
    add_weight,
    check_features,
    check_initializer,
    check_length,
    check_regularizer,
    of_any_batch,
    refused,
)


class _ChannelWise(Described, keras.layers.Layer):
    """A pooling with a window a channel, and the checks that its constructors share; the arguments are theirs."""

    def __init__(
        self,
        kernel_size: int,
        strides: int,
        padding: str,
        use_bias: bool,
        kernel_initializer: Any,
        kernel_regularizer: Any,
        trainable: bool,
        dtype: str,
        name: str,
        least: int = 1,
    ) -> None:
        super().__init__(name=check_name(name), trainable=check_flag("trainable", trainable), dtype=check_dtype(dtype))
        self.kernel_size = check_count("kernel_size", kernel_size, least=least)
        self.strides = check_count("strides", strides)
        self.padding = check_padding(padding)
        self.use_bias = use_bias
        self.kernel_initializer = check_initializer("kernel_initializer", kernel_initializer)
        self.kernel_regularizer = check_regularizer(kernel_regularizer)

    def _kernel_shape(self, n_channels: int) -> tuple[int, ...]:
        raise NotImplementedError

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Creates the weight for inputs of shape [B, T, C]."""
        given = {"kernel_initializer": self.kernel_initializer, "kernel_regularizer": self.kernel_regularizer}
        self.kernel = add_weight(self, "kernel", self._kernel_shape(channels_of(input_shape)), given, self.trainable)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """[B, T, C] to [B, frames, C]."""
        n_frames = frames_of(input_shape, self.kernel_size, self.strides, self.padding)
        return input_shape[0], n_frames, input_shape[2]


@registered
class LearnablePooling1D(Described, keras.layers.Layer):
    """Smooths and decimates every channel with one learnable window, without padding.

    Weight: ``conv2d/kernel`` [1, W, 1, 1].

    Args:
        kernel_size: taps of the window, in samples.
        strides: hop between frames, in samples.
        padding: ignored, as in the original: there is none.
        use_bias: ignored, as in the original.
        kernel_initializer: Keras initialiser of a [1, W, 1, 1] kernel.
        kernel_regularizer: Keras regulariser of the window.
        trainable: whether the window is learned.
        dtype: ``"float32"`` or ``"float64"``.
        name: of the layer.

    Raises:
        TypeError: a count that is not an integer.
        ValueError: a count below 1.

    Source: ``leaf_audio/pooling.py``; section 2 of https://arxiv.org/abs/1711.01161.
    """

    def __init__(
        self,
        kernel_size: int,
        strides: int = 1,
        padding: str = "same",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        kernel_regularizer: Any = None,
        trainable: bool = False,
        dtype: str = "float32",
        name: str = "learnable_pooling",
    ) -> None:
        super().__init__(name=check_name(name), dtype=check_dtype(dtype))
        self.kernel_size = check_count("kernel_size", kernel_size)
        self._strides = check_count("strides", strides)
        self.pool = keras.layers.Conv2D(
            filters=1,
            kernel_size=(1, self.kernel_size),
            strides=(1, self._strides),
            padding="valid",
            use_bias=False,
            kernel_initializer=check_initializer("kernel_initializer", kernel_initializer),
            kernel_regularizer=check_regularizer(kernel_regularizer),
            trainable=check_flag("trainable", trainable),
            name="conv2d",  # given, so that the variables of a second layer are called as those of the first
            dtype=check_dtype(dtype),
        )

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Creates the weight; it does not depend on the shape of the inputs."""
        try:
            self.pool.build((None, channels_of(input_shape), None, 1))
        except Exception as error:
            shape = (1, self.kernel_size, 1, 1)
            raise refused("kernel_initializer", self.pool.kernel_initializer, shape, error) from error

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """[B, T, C] to [B, frames, C]."""
        n_frames = frames_of(input_shape, self.kernel_size, self._strides, "VALID")
        return input_shape[0], n_frames, input_shape[2]

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """[B, T, C] to [B, frames, C], with ``frames = (T - W) // strides + 1``.

        Raises:
            ValueError: fewer samples than the window has.
        """
        check_features(x)
        check_length(x, self.kernel_size, "VALID")
        x = tf.transpose(tf.expand_dims(x, axis=1), perm=[0, 3, 2, 1])
        return tf.squeeze(tf.transpose(of_any_batch(self.pool, x), perm=[0, 3, 2, 1]), axis=1)


@registered
class ChannelWiseLearnablePooling1D(_ChannelWise):
    """Smooths and decimates each channel with its own learnable window.

    Weight: ``kernel`` [W, 1, C].

    TensorFlow's gradient of it on a CPU needs oneDNN. Where the CPU has no AVX-512 VNNI, set
    ``TF_ENABLE_ONEDNN_OPTS=1`` before TensorFlow is imported, or ``tf.errors.InvalidArgumentError`` is raised.

    Args:
        kernel_size: taps of the windows, in samples.
        strides: hop between frames, in samples.
        padding: ``"same"`` or ``"valid"``, in any case.
        use_bias: ignored, as in the original.
        kernel_initializer: Keras initialiser of a [W, 1, C] kernel.
        kernel_regularizer: Keras regulariser of the windows.
        trainable: whether the windows are learned.
        dtype: ``"float32"`` or ``"float64"``.
        name: of the layer.

    Raises:
        TypeError: a count that is not an integer.
        ValueError: a count below 1, or an unknown padding.

    Source: ``leaf_audio/pooling.py``.
    """

    def __init__(
        self,
        kernel_size: int,
        strides: int = 1,
        padding: str = "same",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        kernel_regularizer: Any = None,
        trainable: bool = False,
        dtype: str = "float32",
        name: str = "learnable_pooling",
    ) -> None:
        super().__init__(
            *(kernel_size, strides, padding, use_bias, kernel_initializer, kernel_regularizer, trainable, dtype, name)
        )

    def _kernel_shape(self, n_channels: int) -> tuple[int, ...]:
        return self.kernel_size, 1, n_channels

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """[B, T, C] to [B, frames, C].

        Raises:
            ValueError: fewer samples than a window that is not padded.
        """
        check_features(inputs)
        check_length(inputs, self.kernel_size, self.padding)
        kernel = tf.convert_to_tensor(self.kernel)
        return of_any_batch(lambda x: tf.nn.conv1d(x, kernel, self.strides, self.padding), inputs)


@registered
class GaussianLowpass(_ChannelWise):
    """Smooths and decimates each channel with its own Gaussian window.

    Weight: ``kernel`` [1, 1, C, 1], the deviations relative to half the window, clipped in ``call``.

    Args:
        kernel_size: taps of the windows, in samples, at least 2: of one the original makes 0 / 0.
        strides: hop between frames, in samples.
        padding: ``"same"`` or ``"valid"``, in any case.
        use_bias: ignored, as in the original.
        kernel_initializer: Keras initialiser; a constant 0.4 is close to a Hann window.
        kernel_regularizer: Keras regulariser of the deviations.
        trainable: whether the deviations are learned.
        dtype: ``"float32"`` or ``"float64"``.
        name: of the layer.

    Raises:
        TypeError: a count that is not an integer.
        ValueError: a count below 1, or an unknown padding.

    Source: ``leaf_audio/pooling.py``; section 3.2 of https://arxiv.org/abs/2101.08596.
    """

    def __init__(
        self,
        kernel_size: int,
        strides: int = 1,
        padding: str = "same",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        kernel_regularizer: Any = None,
        trainable: bool = False,
        dtype: str = "float32",
        name: str = "learnable_pooling",
    ) -> None:
        super().__init__(
            *(kernel_size, strides, padding, use_bias, kernel_initializer, kernel_regularizer, trainable, dtype, name),
            least=2,
        )

    def _kernel_shape(self, n_channels: int) -> tuple[int, ...]:
        return 1, 1, n_channels, 1

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """[B, T, C] to [B, frames, C].

        Raises:
            ValueError: fewer samples than a window that is not padded.
        """
        check_features(inputs)
        check_length(inputs, self.kernel_size, self.padding)
        windows = impulse_responses.gaussian_lowpass(tf.convert_to_tensor(self.kernel), self.kernel_size)

        def pool(x: tf.Tensor) -> tf.Tensor:
            strides = (1, self.strides, self.strides, 1)  # must be equal; the height is 1
            outputs = tf.nn.depthwise_conv2d(tf.expand_dims(x, axis=1), windows, strides, self.padding)
            return tf.squeeze(outputs, axis=1)

        return of_any_batch(pool, inputs)


@registered
class MaxPooling1D(Described, keras.layers.MaxPooling1D):
    """The largest value of each channel in each window; nothing is learned.

    Args:
        kernel_size: samples in a window.
        strides: hop between frames, in samples.
        padding: ``"same"`` or ``"valid"``, in any case.
        use_bias: ignored, as in the original; so are the three below.
        kernel_initializer: ignored.
        kernel_regularizer: ignored.
        trainable: ignored.
        dtype: ``"float32"`` or ``"float64"``.
        name: of the layer.

    Source: ``leaf_audio/pooling.py``.
    """

    def __init__(
        self,
        kernel_size: int,
        strides: int = 1,
        padding: str = "same",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        kernel_regularizer: Any = None,
        trainable: bool = False,
        dtype: str = "float32",
        name: str = "frontend_max_pooling",
    ) -> None:
        super().__init__(
            pool_size=check_count("kernel_size", kernel_size),
            strides=check_count("strides", strides),
            padding=check_padding(padding).lower(),
            name=check_name(name),
            dtype=check_dtype(dtype),
        )
