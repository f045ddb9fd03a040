"""What this rung's layers refuse: tensors, initialisers and regularisers that are not what they are said to be.

No value of a tensor is ever looked at.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_leaf.checks import check_audio_shape, frames_of, shown


def add_weight(
    layer: keras.Layer, name: str, shape: tuple[int | None, ...], given: dict[str, Any], trainable: bool, **options: Any
) -> Any:
    """A layer's weight from its ``kernel_initializer`` and ``kernel_regularizer``, as Keras makes it.

    Raises:
        TypeError, ValueError: one of these is none, or gives no kernel of this shape.
    """
    regularizer = check_regularizer(given.get("kernel_regularizer"))
    initializer = given["kernel_initializer"]
    found = check_initializer("kernel_initializer", initializer)
    try:
        weight = layer.add_weight(
            name=name, shape=shape, initializer=found, regularizer=regularizer, trainable=trainable, **options
        )
        if tuple(weight.shape) != tuple(shape):
            raise ValueError(f"it gives {tuple(weight.shape)}")
    except Exception as error:
        raise refused("kernel_initializer", initializer, shape, error) from error
    return weight


def refused(name: str, initializer: Any, shape: tuple[int | None, ...], error: Exception) -> Exception:
    """What to raise for an initialiser that gives no kernel of a shape."""
    message = f"{name}={shown(initializer)}: must be a Keras initialiser that gives a kernel of shape {shape}: {error}"
    return TypeError(message) if isinstance(error, TypeError) else ValueError(message)


def check_initializer(name: str, initializer: Any) -> Any:
    """A Keras initialiser, by name, configuration or itself.

    Raises:
        TypeError: it is none.
    """
    return _of_keras(name, initializer, keras.initializers.get, "a Keras initialiser")


def check_regularizer(regularizer: Any, name: str = "kernel_regularizer") -> Any:
    """A Keras regulariser, by name, configuration or itself.

    Raises:
        TypeError: it is none.
    """
    return _of_keras(name, regularizer, keras.regularizers.get, "a Keras regulariser or None")


def _of_keras(name: str, value: Any, get: Callable[[Any], Any], what: str) -> Any:
    try:
        found = get(value)
    except Exception as error:  # Keras reads dicts, names and classes, and fails at each in its own way
        raise TypeError(f"{name}={shown(value)}: must be {what}: {error}") from error
    if found is not None and not callable(found):
        raise TypeError(f"{name}={shown(value)}: must be {what}")
    return found


def check_tensor(
    name: str, value: Any, rank: int | None = None, dtype: str | None = None, symbolic: bool = False
) -> tf.Tensor:
    """A dense tensor of real floating-point numbers.

    Args:
        name: of the argument.
        value: a tensor, variable or array.
        rank: its dimensions; ``None`` for any.
        dtype: the name of its dtype; ``None`` for any floating-point one.
        symbolic: whether Keras' description of a tensor will do.

    Raises:
        TypeError: another kind of tensor (sparse, ragged), none, or of another dtype.
        ValueError: of another rank.
    """
    described = symbolic and isinstance(value, keras.KerasTensor) and not (value.sparse or value.ragged)
    if not described and not isinstance(value, (tf.Tensor, tf.Variable, np.ndarray, keras.Variable)):
        raise TypeError(f"{name}={shown(value)}: must be a dense tensor")
    found = tf.as_dtype(value.dtype).name
    if not tf.as_dtype(found).is_floating or dtype not in (None, found):
        raise TypeError(f"{name} of dtype {found}: must be {dtype or 'real floating-point numbers'}")
    if tf.TensorShape(value.shape).rank not in (rank, None) and rank is not None:
        raise ValueError(f"{name} of shape {tuple(value.shape)}: must have {rank} dimensions")
    return value


def check_features(inputs: Any, n_channels: int | None = None) -> None:
    """Refuse what is not [B, T, C] features for a layer.

    Raises:
        TypeError: no dense tensor of floating-point numbers.
        ValueError: another rank or number of channels, no channels or no frames.
    """
    check_tensor("inputs", inputs)
    if tf.TensorShape(inputs.shape).rank is None:
        return
    shape = tuple(inputs.shape)
    channels = "channels" if n_channels is None else n_channels
    if len(shape) != 3 or (n_channels is not None and shape[2] not in (n_channels, None)):
        raise ValueError(f"inputs of shape {shape}: must be [batch, samples, {channels}]")
    if 0 in shape[1:]:
        raise ValueError(f"inputs of shape {shape}: must have at least 1 sample and 1 channel")


def check_length(inputs: tf.Tensor, taps: int, padding: str) -> None:
    """Refuse signals that are shorter than a window that is not padded, where their length is known.

    Raises:
        ValueError: fewer samples than taps. TensorFlow itself fails where two hops or more are missing; where less is,
            its kernels give values that nothing has written.
    """
    frames_of(inputs.shape, taps, 1, padding)


def check_audio(inputs: Any, dtype: str) -> None:
    """Refuse what is not [B, T] or [B, T, 1] audio of at least one sample.

    Raises:
        TypeError: no dense tensor; integer, boolean or complex samples, or another dtype than the layer computes in.
        ValueError: another rank, more than one channel, or no samples.
    """
    check_tensor("inputs", inputs, dtype=dtype, symbolic=True)
    check_audio_shape(inputs.shape)


def of_any_batch(compute: Callable[[tf.Tensor], tf.Tensor], inputs: tf.Tensor) -> tf.Tensor:
    """``compute(inputs)``; where there are no clips, that of one silent clip, which is then left out.

    TensorFlow's own convolutions of no clips have another shape where oneDNN is on, and gradients that nothing has
    written where it is off.
    """
    if inputs.shape[0]:
        return compute(inputs)
    n_clips = tf.shape(inputs)[0]
    more = [[0, tf.cast(n_clips == 0, tf.int32)], *([0, 0] for _ in inputs.shape[1:])]
    return compute(tf.pad(inputs, more))[:n_clips]
