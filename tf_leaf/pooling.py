"""Pooling: one learnable window, one a channel, Gaussian windows, a maximum. Source: ``leaf_audio/pooling.py``."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from tf_leaf import impulse_responses
from tf_leaf.checks import check_count, check_dtype, check_flag, check_padding
from tf_leaf.inputs import add_weight, check_features, check_initializer, check_length, check_regularizer, refused


class LearnablePooling1D(keras.layers.Layer):
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
    ) -> None:
        super().__init__(name="learnable_pooling", dtype=check_dtype(dtype))
        self.kernel_size = check_count("kernel_size", kernel_size)
        self.pool = keras.layers.Conv2D(
            filters=1,
            kernel_size=(1, self.kernel_size),
            strides=(1, check_count("strides", strides)),
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
            self.pool.build((None, input_shape[2], None, 1))
        except Exception as error:
            shape = (1, self.kernel_size, 1, 1)
            raise refused("kernel_initializer", self.pool.kernel_initializer, shape, error) from error

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """[B, T, C] to [B, frames, C], with ``frames = (T - W) // strides + 1``.

        Raises:
            ValueError: fewer samples than the window has.
        """
        check_features(x)
        check_length(x, self.kernel_size, "VALID")
        x = tf.transpose(tf.expand_dims(x, axis=1), perm=[0, 3, 2, 1])
        return tf.squeeze(tf.transpose(self.pool(x), perm=[0, 3, 2, 1]), axis=1)


class ChannelWiseLearnablePooling1D(keras.layers.Layer):
    """Smooths and decimates each channel with its own learnable window.

    Weight: ``kernel`` [W, 1, C].

    Args:
        kernel_size: taps of the windows, in samples.
        strides: hop between frames, in samples.
        padding: ``"same"`` or ``"valid"``, in any case.
        use_bias: ignored, as in the original.
        kernel_initializer: Keras initialiser of a [W, 1, C] kernel.
        kernel_regularizer: Keras regulariser of the windows.
        trainable: whether the windows are learned.
        dtype: ``"float32"`` or ``"float64"``.

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
    ) -> None:
        super().__init__(
            name="learnable_pooling", trainable=check_flag("trainable", trainable), dtype=check_dtype(dtype)
        )
        self.kernel_size = check_count("kernel_size", kernel_size)
        self.strides = check_count("strides", strides)
        self.padding = check_padding(padding)
        self.use_bias = use_bias
        self.kernel_initializer = check_initializer("kernel_initializer", kernel_initializer)
        self.kernel_regularizer = check_regularizer(kernel_regularizer)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Creates the weight for inputs of shape [B, T, C]."""
        given = {"kernel_initializer": self.kernel_initializer, "kernel_regularizer": self.kernel_regularizer}
        self.kernel = add_weight(self, "kernel", (self.kernel_size, 1, input_shape[2]), given, self.trainable)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """[B, T, C] to [B, frames, C].

        Raises:
            ValueError: fewer samples than a window that is not padded.
        """
        check_features(inputs)
        check_length(inputs, self.kernel_size, self.padding)
        kernel = tf.convert_to_tensor(self.kernel)
        return tf.nn.conv1d(inputs, kernel, stride=self.strides, padding=self.padding)


class GaussianLowpass(keras.layers.Layer):
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
    ) -> None:
        super().__init__(
            name="learnable_pooling", trainable=check_flag("trainable", trainable), dtype=check_dtype(dtype)
        )
        self.kernel_size = check_count("kernel_size", kernel_size, least=2)
        self.strides = check_count("strides", strides)
        self.padding = check_padding(padding)
        self.use_bias = use_bias
        self.kernel_initializer = check_initializer("kernel_initializer", kernel_initializer)
        self.kernel_regularizer = check_regularizer(kernel_regularizer)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Creates the weight for inputs of shape [B, T, C]."""
        given = {"kernel_initializer": self.kernel_initializer, "kernel_regularizer": self.kernel_regularizer}
        self.kernel = add_weight(self, "kernel", (1, 1, input_shape[2], 1), given, self.trainable)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """[B, T, C] to [B, frames, C].

        Raises:
            ValueError: fewer samples than a window that is not padded.
        """
        check_features(inputs)
        check_length(inputs, self.kernel_size, self.padding)
        windows = impulse_responses.gaussian_lowpass(tf.convert_to_tensor(self.kernel), self.kernel_size)
        if not inputs.shape[0]:  # none, or not known
            windows = _without_clips(windows, tf.shape(inputs)[0])
        outputs = tf.nn.depthwise_conv2d(
            tf.expand_dims(inputs, axis=1),
            windows,
            strides=(1, self.strides, self.strides, 1),  # must be equal; the height is 1
            padding=self.padding,
        )
        return tf.squeeze(outputs, axis=1)


@tf.custom_gradient
def _without_clips(windows: tf.Tensor, n_clips: tf.Tensor) -> Any:
    """The windows; their gradient is 0 where there are no clips, for which TensorFlow's kernel writes none at all."""

    def gradient(d: tf.Tensor) -> tuple[tf.Tensor, None]:
        return tf.where(n_clips > 0, d, tf.zeros_like(d)), None

    return tf.identity(windows), gradient


class MaxPooling1D(keras.layers.MaxPooling1D):
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
    ) -> None:
        super().__init__(
            pool_size=check_count("kernel_size", kernel_size),
            strides=check_count("strides", strides),
            padding=check_padding(padding).lower(),
            name="frontend_max_pooling",
            dtype=check_dtype(dtype),
        )
