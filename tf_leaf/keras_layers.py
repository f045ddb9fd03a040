"""What the original takes from Keras 2, where Keras 3 computes something else."""

from __future__ import annotations

import keras
import tensorflow as tf

from tf_leaf.checks import TINY, channels_of, check_dtype, check_name, check_real
from tf_leaf.described import Described, registered
from tf_leaf.inputs import check_features

# Below this TensorFlow's fused kernel would silently raise epsilon.
_LEAST_FUSED_EPSILON = 1.001e-5


@registered
class LayerNormalization(Described, keras.layers.Layer):
    """Normalises every frame over its channels, then scales and shifts each channel.

    Weights: ``gamma`` and ``beta`` [C], initially 1 and 0. As in Keras 2, float32 goes through TensorFlow's fused batch
    normalisation, a frame in place of a batch, and float64 through ``tf.nn.moments``; Keras 3 rounds otherwise.

    Args:
        epsilon: added to the variance.
        name: of the layer.
        dtype: ``"float32"`` or ``"float64"``.

    Source: ``tf.keras.layers.LayerNormalization`` of Keras 2, as ``leaf_audio/frontend.py`` uses it.
    """

    passes_masks = True

    def __init__(self, epsilon: float = 1e-3, name: str = "layer_normalization", dtype: str = "float32") -> None:
        super().__init__(name=check_name(name), dtype=check_dtype(dtype))
        self.epsilon = check_real("epsilon", epsilon, at_least=TINY)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Creates the weights for inputs of shape [B, frames, C]."""
        shape = (channels_of(input_shape),)
        self.gamma = self.add_weight(name="gamma", shape=shape, initializer="ones")
        self.beta = self.add_weight(name="beta", shape=shape, initializer="zeros")

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """As the input's."""
        return input_shape

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Normalises [B, frames, C]."""
        check_features(inputs)
        gamma, beta = tf.convert_to_tensor(self.gamma), tf.convert_to_tensor(self.beta)
        if inputs.dtype != tf.float32 or self.epsilon < _LEAST_FUSED_EPSILON:
            mean, variance = tf.nn.moments(inputs, [2], keepdims=True)
            return tf.nn.batch_normalization(inputs, mean, variance, beta, gamma, self.epsilon)
        shape = tf.shape(inputs)
        n_frames = shape[0] * shape[1]
        normalised, _, _ = tf.compat.v1.nn.fused_batch_norm(
            tf.reshape(inputs, [1, n_frames, shape[2], 1]),
            scale=tf.ones([n_frames], inputs.dtype),
            offset=tf.zeros([n_frames], inputs.dtype),
            epsilon=self.epsilon,
            data_format="NCHW",
        )
        return tf.reshape(normalised, shape) * gamma + beta
