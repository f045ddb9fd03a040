"""The LEAF frontend. Source: ``leaf_audio/frontend.py``, whose other frontends are in :mod:`tf_leaf.frontends`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from tf_leaf import postprocessing
from tf_leaf.checks import (
    MOST_FILTERS,
    check_audio_shape,
    check_bank,
    check_callable,
    check_count,
    check_dtype,
    check_duration,
    check_flag,
    check_geometry,
    check_name,
    check_rate,
    check_real,
    shown,
)
from tf_leaf.convolution import GaborConv1D, SincConv1D
from tf_leaf.described import Described, registered
from tf_leaf.initializers import Constant, GaborInit, PreempInit
from tf_leaf.inputs import check_audio, check_features, check_initializer, check_regularizer, check_tensor, of_any_batch
from tf_leaf.pooling import GaussianLowpass
from tf_leaf.postprocessing import InstanceNormalization, PCENLayer

COMPRESSIONS = ("pcen", "log")


@registered
def log_compression(inputs: tf.Tensor, log_offset: float = 1e-5) -> tf.Tensor:
    """``log(inputs + log_offset)``, of any shape. Source: ``leaf_audio/frontend.py``."""
    return tf.math.log(check_tensor("inputs", inputs) + check_real("log_offset", log_offset, at_least=0))


@registered
class SquaredModulus(Described, keras.layers.Layer):
    """Squared modulus of complex channels whose real and imaginary parts are interleaved.

    Source: ``leaf_audio/frontend.py`` (twice the mean of the two squares).
    """

    passes_masks = True

    def __init__(self, dtype: str = "float32", name: str = "squared_modulus") -> None:
        super().__init__(name=check_name(name), dtype=check_dtype(dtype))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """[B, T, 2 C] to [B, T, C]."""
        n_channels = input_shape[2]
        return (*input_shape[:2], None if n_channels is None else n_channels // 2)

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """[B, T, 2 C] to [B, T, C]."""
        check_features(x)
        squares = tf.expand_dims(tf.transpose(x, perm=[0, 2, 1]) ** 2, axis=2)
        means = tf.nn.avg_pool(squares, ksize=(2, 1), strides=(2, 1), padding="VALID", data_format="NHWC")
        return tf.transpose(2 * tf.squeeze(means, axis=2), perm=[0, 2, 1])


@registered
class Leaf(Described, keras.Model):
    """A learnable frontend: Gabor filters, squared modulus, Gaussian pooling, floor 1e-5, compression.

    All weights exist after construction. Unlike the original's, the defaults of ``compression_fn`` and
    ``activation`` are fresh layers in each instance, so that instances share no weights.

    Args:
        learn_pooling: whether the pooling windows are learned.
        learn_filters: whether the filters, and the pre-emphasis, are learned.
        conv1d_cls: class of the filterbank, called with the arguments of :class:`GaborConv1D`; with ``2 * n_filters``
            for ``filters``, of which :class:`SincConv1D` makes ``n_filters`` channels and the others all.
        activation: a layer or function on [B, T, channels]; ``None`` is a :class:`SquaredModulus`, which halves them.
        pooling_cls: class of the pooling, called with the arguments of :class:`GaussianLowpass`.
        n_filters: number of filters, at least 1; 2 for :class:`SincConv1D` before :class:`SquaredModulus`.
        sample_rate: Hz.
        window_len: length of filters and pooling windows, ms; ``int(sample_rate * window_len // 1000 + 1)``
            samples.
        window_stride: hop between frames, ms.
        compression_fn: ``"pcen"`` (all of it learned, per channel, floor 1e-12), ``"log"``, a layer or
            function on [B, frames, C], or ``None`` for no compression.
        preemp: start with a learnable two-tap pre-emphasis.
        preemp_init: its initialiser; ``None`` is ``PreempInit()``.
        complex_conv_init: initialiser of the filters; ``None`` is mel-spaced from 60 to 7800 Hz **at 16 kHz
            whatever the sample rate**, as in the original.
        pooling_init: initialiser of the pooling; ``None`` is a constant 0.4.
        regularizer_fn: Keras regulariser of the learned filters and pooling windows.
        mean_var_norm: end with an instance normalisation.
        spec_augment: where called with ``training=True``, end with a :class:`tf_leaf.SpecAugment`: this one, or with
            ``True`` one of its own.
        name: of the model.
        dtype: ``"float32"`` or ``"float64"``, of every weight and operation.

    Raises:
        TypeError: ``n_filters`` is not an integer, a length is not a number, a compression is not callable.
        ValueError: a value outside its range, a window or stride of less than a sample, an unknown
            compression, or one of another dtype or width.

    Source: ``leaf_audio/frontend.py``; section 3 of https://arxiv.org/abs/2101.08596.
    """

    def __init__(
        self,
        learn_pooling: bool = True,
        learn_filters: bool = True,
        conv1d_cls: Callable[..., Any] = GaborConv1D,
        activation: Callable[[tf.Tensor], tf.Tensor] | None = None,
        pooling_cls: Callable[..., Any] = GaussianLowpass,
        n_filters: int = 40,
        sample_rate: float = 16000,
        window_len: float = 25.0,
        window_stride: float = 10.0,
        compression_fn: str | Callable[[tf.Tensor], tf.Tensor] | None = "pcen",
        preemp: bool = False,
        preemp_init: Any = None,
        complex_conv_init: Any = None,
        pooling_init: Any = None,
        regularizer_fn: Any = None,
        mean_var_norm: bool = False,
        spec_augment: bool | postprocessing.SpecAugment = False,
        name: str = "leaf",
        dtype: str = "float32",
    ) -> None:
        dtype = check_dtype(dtype)
        learn_filters, learn_pooling = (
            check_flag("learn_filters", learn_filters),
            check_flag("learn_pooling", learn_pooling),
        )
        n_filters = check_count("n_filters", n_filters, MOST_FILTERS)
        window_size, stride = check_geometry(sample_rate, window_len, window_stride)
        check_bank("n_filters", 2 * n_filters, "window_len", window_size)
        regularizer_fn = check_regularizer(regularizer_fn, "regularizer_fn")
        preemp_init = PreempInit() if preemp_init is None else check_initializer("preemp_init", preemp_init)
        super().__init__(name=check_name(name), dtype=dtype)
        self.n_filters = n_filters
        self.sample_rate = check_rate(sample_rate)
        self.window_len = check_duration("window_len", window_len, sample_rate)
        self.window_stride = check_duration("window_stride", window_stride, sample_rate)
        self._preemp = preemp = check_flag("preemp", preemp)
        self._instance_norm = None
        with keras.name_scope(self.name):
            if preemp:
                self._preemp_conv = keras.layers.Conv1D(
                    filters=1,
                    kernel_size=2,
                    strides=1,
                    padding="same",
                    use_bias=False,
                    kernel_initializer=preemp_init,
                    kernel_regularizer=regularizer_fn if learn_filters else None,
                    name="tfbanks_preemp",
                    trainable=learn_filters,
                    dtype=dtype,
                )
                _build(self._preemp_conv, 1, "preemp_init")
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
                kernel_regularizer=regularizer_fn if learn_filters else None,
                name="tfbanks_complex_conv",
                trainable=learn_filters,
                dtype=dtype,
            )
            _build(self._complex_conv, 1, "complex_conv_init")
            if activation is not None:
                check_callable("activation", activation, "a layer or function on [B, T, C], or None")
            self._activation = SquaredModulus(dtype=dtype) if activation is None else activation
            self._pooling = _part(
                "pooling_cls",
                pooling_cls,
                {"kernel_initializer": "pooling_init"},
                kernel_size=window_size,
                strides=stride,
                padding="SAME",
                use_bias=False,
                kernel_initializer=Constant(0.4) if pooling_init is None else pooling_init,
                kernel_regularizer=regularizer_fn if learn_pooling else None,
                trainable=learn_pooling,
                dtype=dtype,
            )
            n_channels = _channels(self._complex_conv, self._activation, n_filters)
            _build(self._pooling, n_channels, "pooling_init")
            self._compress_fn = _compression(compression_fn, n_channels, dtype)
            _build(self._compress_fn, n_channels, "compression_fn")
            if check_flag("mean_var_norm", mean_var_norm):
                self._instance_norm = InstanceNormalization(name="tfbanks_instancenorm", dtype=dtype)
                _build(self._instance_norm, n_channels, "mean_var_norm")
            self._spec_augment_fn = _augmentation(spec_augment, dtype)
        self.build((None, None))  # what an exported model takes

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Features [B, frames, C] of audio [B, T] or [B, T, 1]; with SAME padding ``frames = ceil(T / stride)``.

        As Keras does, other floating dtypes are cast to the model's. ``training`` turns ``spec_augment`` on, no more.

        Raises:
            TypeError: integer, boolean or complex samples.
            ValueError: another rank, more than one channel, or no samples.
        """
        check_audio(inputs, self.compute_dtype)
        return of_any_batch(lambda x: self._features(x, training), inputs)

    def _features(self, inputs: tf.Tensor, training: bool) -> tf.Tensor:
        audio = inputs if inputs.shape.rank == 3 else tf.expand_dims(inputs, axis=2)
        filtered = self._complex_conv(self._preemp_conv(audio) if self._preemp else audio)
        energies = tf.maximum(self._pooling(self._activation(filtered)), 1e-5)
        features = self._compress_fn(energies)
        if self._instance_norm is not None:
            features = self._instance_norm(features)
        return self._spec_augment_fn(features) if training else features

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Nothing, as all weights exist; audio of any batch and length is expected.

        Raises:
            ValueError: a shape that is not of audio.
        """
        check_audio_shape(input_shape)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """[B, T] or [B, T, 1], of which each may be unknown, to [B, frames, C].

        Raises:
            ValueError: as :meth:`call`.
        """
        check_audio_shape(input_shape)
        shape: tuple[int | None, ...] = (*input_shape[:2], 1)
        for stage in (self._complex_conv, self._activation, self._pooling, self._compress_fn):
            shape = shape_after(stage, shape, self.compute_dtype)
        return shape

    def compute_output_spec(self, inputs: Any, training: bool = False) -> Any:
        """The shape and dtype of what :meth:`call` gives, which raises the same."""
        check_audio(inputs, self.compute_dtype)
        return keras.KerasTensor(self.compute_output_shape(inputs.shape), dtype=self.compute_dtype)

    def save(self, filepath: Any, overwrite: bool = True, zipped: bool | None = None, **kwargs: Any) -> None:
        """``keras.Model.save``, which would empty a file that is there before it asks for the configuration.

        Raises:
            ValueError: as :meth:`get_config`.
        """
        self.get_config()
        super().save(filepath, overwrite=overwrite, zipped=zipped, **kwargs)


def shape_after(stage: Any, shape: tuple[int | None, ...], dtype: str) -> tuple[int | None, ...]:
    """The shape that a layer or function makes of one, computing nothing."""
    if not isinstance(stage, keras.Layer):
        stage = keras.layers.Lambda(stage, dtype=dtype)
    return tuple(stage.compute_output_spec(keras.KerasTensor(shape, dtype=dtype)).shape)


def _part(name: str, cls: Any, asked_as: dict[str, str], /, **arguments: Any) -> Any:
    """A layer of a class that the user chose; what it refuses is named as the frontend's own arguments are."""
    if not callable(cls) or isinstance(cls, keras.Layer):
        raise TypeError(f"{name}={shown(cls)}: must be a class of layers, called with {', '.join(arguments)}")
    try:
        layer = cls(**arguments)
    except (TypeError, ValueError) as error:
        own = next((asked for argument, asked in asked_as.items() if argument in str(error)), None)
        message = f"{own}: {error}" if own else f"{name}={shown(cls)}: must take {', '.join(arguments)}: {error}"
        raise (TypeError if isinstance(error, TypeError) else ValueError)(message) from error
    if not callable(layer):
        raise TypeError(f"{name}={shown(cls)}: must give a layer or another callable, got {shown(layer)}")
    return layer


def _build(layer: Any, n_channels: int, argument: str) -> None:
    """Creates the weights of a layer on [B, T, n_channels] now; functions and built layers are left alone."""
    if isinstance(layer, keras.Layer) and not layer.built:
        try:
            layer.build((None, None, n_channels))
        except (TypeError, ValueError) as error:
            message = f"{argument}: must fit {n_channels} channels: {error}"
            raise (TypeError if isinstance(error, TypeError) else ValueError)(message) from error


def _channels(convolution: Any, activation: Any, n_filters: int) -> int:
    """How many channels an activation gives on a filterbank's, without computing any."""
    n_channels = n_filters if isinstance(convolution, SincConv1D) else 2 * n_filters
    if isinstance(activation, SquaredModulus):
        if n_channels < 2:
            raise ValueError(f"n_filters={n_filters}: must be at least 2, SquaredModulus halves its channels")
        return n_channels // 2
    given = tf.TensorSpec([None, None, n_channels], getattr(convolution, "compute_dtype", "float32"))
    return int(tf.function(activation).get_concrete_function(given).output_shapes[-1])


def _augmentation(spec_augment: Any, dtype: str) -> Any:
    if isinstance(spec_augment, postprocessing.SpecAugment):
        if spec_augment.compute_dtype != dtype:
            raise ValueError(f"spec_augment has dtype {spec_augment.compute_dtype}: must be dtype={dtype!r}")
        return spec_augment
    if not isinstance(spec_augment, bool):
        raise TypeError(f"spec_augment={shown(spec_augment)}: must be True, False or a tf_leaf.SpecAugment")
    return postprocessing.SpecAugment(dtype=dtype) if spec_augment else tf.identity


def _compression(compression_fn: Any, n_filters: int, dtype: str) -> Any:
    allowed = f"must be one of {COMPRESSIONS}, a callable or None"
    if compression_fn is None:
        return tf.identity
    if isinstance(compression_fn, str) and compression_fn == "log":
        return log_compression
    if isinstance(compression_fn, str) and compression_fn == "pcen":
        return PCENLayer(
            alpha=0.96,
            smooth_coef=0.04,
            delta=2.0,
            floor=1e-12,
            trainable=True,
            learn_smooth_coef=True,
            per_channel_smooth_coef=True,
            dtype=dtype,
        )
    if isinstance(compression_fn, str):
        raise ValueError(f"compression_fn={shown(compression_fn)}: {allowed}")
    check_callable("compression_fn", compression_fn, f"one of {COMPRESSIONS}, a callable on [B, frames, C] or None")
    if isinstance(compression_fn, keras.Layer) and compression_fn.compute_dtype != dtype:
        raise ValueError(f"compression_fn has dtype {compression_fn.compute_dtype}: must be dtype={dtype!r}")
    if isinstance(compression_fn, PCENLayer) and compression_fn.built:
        width = compression_fn.alpha.shape[0]
        if width != n_filters:
            raise ValueError(f"compression_fn was built for {width} channels: must be n_filters={n_filters}")
    return compression_fn
