"""Faults of ``tf_leaf`` and reformulations that must pass; TensorFlow is imported when one is planted, not before.

Rung 0 claims the original's bits where both run in one process; the reformulations mean the same, but round otherwise,
so they pass the gates of rounding and not that claim.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from parity.mutation.planting import Benign, Fault, Plant, replaced
from parity.mutation.tf_leaf_compression import (
    Replacement,
    least,
    norm_of_keras,
    normalised,
    shared_compression,
    smoothed,
)


def _planted(make: Callable[[], Replacement]) -> Plant:
    @contextmanager
    def plant() -> Iterator[None]:
        with replaced(make())():
            yield

    return plant


def _mel_to_nyquist() -> Replacement:
    from tf_leaf.melfilters import Gabor

    own: Any = vars(Gabor)["mel_filters"]

    def mel_filters(self: Any) -> Any:
        whole = Gabor(self.n_filters, self.min_freq, self.sample_rate / 2, self.sample_rate, n_fft=self.n_fft)
        return own.fget(whole)

    return Gabor, "mel_filters", property(mel_filters)


def _init_of_1024_bins() -> Replacement:
    from tf_leaf import initializers
    from tf_leaf.melfilters import Gabor

    return initializers, "Gabor", lambda **arguments: Gabor(**{**arguments, "n_fft": 1024})


def _sigma_halved_limit() -> Replacement:
    import tensorflow as tf

    from tf_leaf.convolution import GaborConstraint

    def call(self: Any, kernel: Any) -> Any:
        kernel, per_sample = tf.convert_to_tensor(kernel), math.sqrt(2 * math.log(2)) / math.pi
        mu = tf.clip_by_value(kernel[:, 0], 0.0, math.pi)
        return tf.stack([mu, tf.clip_by_value(kernel[:, 1], 2 * per_sample, self._kernel_size * per_sample)], axis=1)

    return GaborConstraint, "__call__", call


class _Unprojected:
    """A variable whose constraint the layer knows of, and the optimiser does not."""

    def __init__(self, variable: Any) -> None:
        constraint, variable.constraint = variable.constraint, None
        self.variable = variable
        self.constraint = lambda _: constraint(variable)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.variable, name)


def _not_projected() -> Replacement:
    from tf_leaf.convolution import GaborConv1D

    own = GaborConv1D.__init__

    def init(self: Any, *args: Any, **arguments: Any) -> None:
        own(self, *args, **arguments)
        self._kernel = _Unprojected(self._kernel)

    return GaborConv1D, "__init__", init


def _norm_in_float32() -> Replacement:
    import tensorflow as tf

    from tf_leaf import impulse_responses

    own = impulse_responses.gabor_impulse_response

    def response(t: Any, center: Any, fwhm: Any) -> Any:
        exact = tf.sqrt(tf.constant(2.0 * math.pi, t.dtype))
        rounded = tf.cast(tf.sqrt(tf.constant(2.0 * math.pi, tf.float32)), t.dtype)
        return own(t, center, fwhm) * tf.cast(exact / rounded, impulse_responses.complex_dtype(t.dtype))

    return impulse_responses, "gabor_impulse_response", response


def _parts_in_blocks() -> Replacement:
    import tensorflow as tf

    from tf_leaf import impulse_responses
    from tf_leaf.convolution import GaborConv1D

    def call(self: Any, inputs: Any) -> Any:
        filters = impulse_responses.gabor_filters(self._kernel.constraint(self._kernel), self._kernel_size)
        stacked = tf.concat([tf.math.real(filters), tf.math.imag(filters)], axis=0)
        return tf.nn.conv1d(inputs, tf.transpose(stacked)[:, tf.newaxis], stride=self._strides, padding=self._padding)

    return GaborConv1D, "call", call


def _modulus_halved() -> Replacement:
    from tf_leaf.frontend import SquaredModulus

    own = SquaredModulus.call
    return SquaredModulus, "call", lambda self, x: own(self, x) / 2


def _sum_of_squares() -> Replacement:
    from tf_leaf.frontend import SquaredModulus

    return SquaredModulus, "call", lambda self, x: x[:, :, 0::2] ** 2 + x[:, :, 1::2] ** 2


def _pool_centred() -> Replacement:
    import tensorflow as tf

    from tf_leaf import impulse_responses
    from tf_leaf.pooling import GaussianLowpass

    def call(self: Any, inputs: Any) -> Any:
        windows = impulse_responses.gaussian_lowpass(tf.convert_to_tensor(self.kernel), self.kernel_size)
        size = self.kernel_size
        padded = tf.pad(inputs, [[0, 0], [(size - 1) // 2, size // 2], [0, 0]])[:, tf.newaxis]
        hop = (1, self.strides, self.strides, 1)
        return tf.squeeze(tf.nn.depthwise_conv2d(padded, windows, strides=hop, padding="VALID"), axis=1)

    return GaussianLowpass, "call", call


def _window_around_half() -> Replacement:
    import tensorflow as tf

    from tf_leaf import impulse_responses

    def gaussian_lowpass(sigma: Any, filter_size: int) -> Any:
        sigma = tf.clip_by_value(sigma, 2.0 / filter_size, 0.5)
        t = tf.reshape(tf.range(0, filter_size, dtype=sigma.dtype), (1, filter_size, 1, 1))
        return tf.exp(-0.5 * ((t - filter_size // 2) / (sigma * 0.5 * (filter_size - 1))) ** 2)

    return impulse_responses, "gaussian_lowpass", gaussian_lowpass


def _floor_added() -> Replacement:
    import tensorflow as tf

    from tf_leaf.frontend import Leaf

    def call(self: Any, inputs: Any, training: bool = False) -> Any:
        outputs = inputs[:, :, tf.newaxis] if inputs.shape.rank < 3 else inputs
        if self._preemp:
            outputs = self._preemp_conv(outputs)
        energies = self._pooling(self._activation(self._complex_conv(outputs)))
        outputs = self._compress_fn(energies + 1e-5)
        return outputs if self._instance_norm is None else self._instance_norm(outputs)

    return Leaf, "call", call


def _fault(
    name: str,
    kind: str,
    tap: str,
    gate: str,
    statement: str,
    make: Callable[[], Replacement],
    property: str = "forward",
) -> Fault:
    return Fault(f"tf_leaf/{name}", kind, "tf_leaf", tap, gate, statement, _planted(make), property)


FAULTS: tuple[Fault, ...] = (
    _fault("mel-to-nyquist", "hard-coded rate or band edges", "mel", "soundness",
           "the last mel triangle ends at half the sample rate, whatever max_freq says", _mel_to_nyquist),
    _fault("init-1024-bins", "another n_fft", "init", "soundness",
           "the initial values are measured on 1024 points in place of 512", _init_of_1024_bins),
    _fault("sigma-floor-halved", "clamp widened by 2", "filters", "direct",
           "sigma may be half of the original's least", _sigma_halved_limit),
    _fault("not-projected", "clamp not after the step", "kernel", "direct",
           "the constraint is the layer's own and not the variable's: no optimiser applies it",
           _not_projected, property="training step"),
    _fault("norm-in-float32", "reduced precision", "filters", "direct",
           "sqrt(2 pi) is a float32 constant whatever the dtype: seen in float64", _norm_in_float32),
    _fault("parts-in-blocks", "blocks fed to the pairwise modulus", "conv", "direct",
           "all real parts, then all imaginary ones, while the modulus takes its channels in pairs", _parts_in_blocks),
    _fault("modulus-halved", "mean for sum, abs for square", "modulus", "direct",
           "the mean of the two squares in place of their sum", _modulus_halved),
    _fault("window-around-half", "K/2 for (K-1)/2", "windows", "direct",
           "an even window stands around size // 2, half a sample late", _window_around_half),
    _fault("pool-centred", "centred padding", "pool", "direct",
           "half a window of zeros on either side in place of SAME's", _pool_centred),
    _fault("floor-added", "floor as addition", "output", "direct",
           "1e-5 is added to the energies in place of being their least", _floor_added),
    _fault("smoother-exchanged", "s and 1-s exchanged", "ema", "direct",
           "(1 - s) x + s m", smoothed(lambda w, frame, state: (1.0 - w) * frame + w * state)),
    _fault("recurrence-from-zero", "ignored initial state", "pcen", "direct",
           "the fixed recurrence is called without its initial state", normalised(least, start=False)),
    _fault("minimum-exchanged", "tie gradients", "PCEN/alpha", "direct",
           "minimum(1, alpha) for minimum(alpha, 1): at a tie TensorFlow gives the gradient to the first of the two",
           normalised(lambda tf, alpha: tf.minimum(1.0, alpha)), property="parameter gradient"),
    _fault("norm-eps-1e-3", "eps of the norm", "norm", "direct",
           "eps is 1e-3, the default of Keras' normalisations", norm_of_keras),
    _fault("shared-compression", "shared default module", "output", "status",
           "frontends of one width share the default PCEN layer of the first",
           shared_compression, property="status"),
)  # fmt: skip

BENIGN: tuple[Benign, ...] = (
    Benign("tf_leaf/sum-of-squares", "tf_leaf", "re^2 + im^2 in place of twice the mean of the squares",
           "halving and doubling are exact", _planted(_sum_of_squares)),
    Benign("tf_leaf/smoother-by-lerp", "tf_leaf", "m + s (x - m) in place of s x + (1 - s) m",
           "the same sum, factored", _planted(smoothed(lambda w, frame, state: state + w * (frame - state))), "ema"),
    Benign("tf_leaf/root-by-expm1", "tf_leaf", "delta^r expm1(r log1p(v / delta)) in place of a difference of powers",
           "(v + delta)^r = delta^r exp(r log(1 + v / delta)); delta is above 0",
           _planted(normalised(least, by_expm1=True)), "pcen"),
)  # fmt: skip
