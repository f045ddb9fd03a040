"""The adapter of rung 0: Keras 3 layers with the original's own variables."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import keras
import numpy as np
import tensorflow as tf

import tf_leaf
from parity.adapters import canonical
from parity.adapters.canonical import Variables
from parity.adapters.original import arguments_of, built_compression, config_of_original, require_same_padding
from parity.adapters.rungs import Adapter, reject_options
from parity.oracle.config import FLOOR, LeafConfig
from tf_leaf import impulse_responses


def _channels_first(tensor: Any) -> np.ndarray:
    """[B, time, C] to the canonical [B, C, time]."""
    return np.ascontiguousarray(np.asarray(tensor).transpose(0, 2, 1))


@contextmanager
def _smoothing_once(module: Any) -> Iterator[None]:
    """Run PCEN's smoother, a dozen eager operations a frame, once for the same bits of its input; the weights stay."""
    smoother = getattr(module._compress_fn, "ema", None)
    if smoother is None:
        yield
        return
    own, known = smoother.call, dict[tuple[bytes, bytes], Any]()

    def call(inputs: Any, **named: Any) -> Any:
        state = named.get("initial_state")
        if state is None or not tf.executing_eagerly():
            return own(inputs, **named)
        key = inputs.numpy().tobytes(), state.numpy().tobytes()
        if key not in known:
            known[key] = own(inputs, **named)
        return known[key]

    with patch.object(smoother, "call", call):
        yield


class TfLeafAdapter(Adapter):
    """Reads and writes the frontends of ``tf_leaf``."""

    rung = "tf_leaf"

    def owns(self, module: Any) -> bool:
        return isinstance(module, (tf_leaf.Leaf, tf_leaf.MelFilterbanks))

    def build(self, config: LeafConfig, dtype: str = "float32", **options: Any) -> Any:
        """Build the frontend; the rung has no options."""
        reject_options("tf_leaf", options)
        require_same_padding("tf_leaf", config)
        compress = built_compression(config, tf_leaf.PCENLayer, tf_leaf.log_compression, dtype=dtype)
        return tf_leaf.Leaf(**arguments_of(config), compression_fn=compress, dtype=dtype)

    def config(self, module: Any) -> LeafConfig:
        """Read the configuration of a frontend with LEAF's own filters and pooling."""
        compress = module._compress_fn
        n_smooth = int(compress.ema._weights.shape[0]) if getattr(compress, "_learn_smooth_coef", False) else None
        return config_of_original(
            module, tf_leaf.PCENLayer, n_smooth, tf_leaf.log_compression, compress is tf.identity, bool(module._preemp)
        )

    def shapes(self, module: Any) -> dict[str, tuple[int, ...]]:
        """Return the shapes of the variables of any of the original's frontends."""
        return {name: tuple(weight.shape) for name, weight in self._weights(module).items()}

    def _weights(self, module: Any) -> dict[str, Any]:
        """List the variables by canonical name, refuse two of one; what is none of the original's keeps its own."""
        kernel = canonical.KERNEL
        if isinstance(getattr(module, "_complex_conv", None), keras.layers.Conv1D):
            kernel = canonical.CONV
        held: dict[str, Any] = {}
        for weight in module.weights:
            known = canonical.suffix(weight.path) or canonical.canonical_name(weight.path)
            known = kernel if known == canonical.CONV else known
            if known in held:
                raise ValueError(f"weights {held[known].path!r} and {weight.path!r}: both are {known!r} to be carried")
            held[known] = weight
        return held

    def read(self, module: Any) -> Variables:
        return {name: weight.numpy() for name, weight in self._weights(module).items()}

    def write(self, module: Any, variables: Variables) -> None:
        weights = self._weights(module)
        for name, weight in weights.items():
            canonical.require_fit(name, variables[name], weight.dtype)
        for name, weight in weights.items():
            weight.assign(variables[name])

    def output(self, module: Any, x: np.ndarray) -> np.ndarray:
        return _channels_first(module(self._audio(module, x)))

    def stages(self, module: Any, x: np.ndarray) -> dict[str, np.ndarray]:
        """``output`` is the module's own call, not the last stage."""
        with _smoothing_once(module):
            return {**dict(self._computed(module, x)), "output": self.output(module, x)}

    def stage(self, module: Any, x: np.ndarray, name: str) -> np.ndarray:
        if name == "output":
            return self.output(module, x)
        with _smoothing_once(module):
            for found, values in self._computed(module, x):
                if found == name:
                    return values
        raise KeyError(name)

    def _computed(self, module: Any, x: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
        """Compute the stages before the output, one after the other."""
        conv, pooling, compress = module._complex_conv, module._pooling, module._compress_fn
        kernel = conv._kernel.constraint(conv._kernel)
        filters = np.asarray(impulse_responses.gabor_filters(kernel, conv._kernel_size))
        yield "filters", np.stack([filters.real, filters.imag], axis=1)
        windows = np.asarray(
            impulse_responses.gaussian_lowpass(tf.convert_to_tensor(pooling.kernel), pooling.kernel_size)
        )
        yield "windows", np.ascontiguousarray(windows[0, :, :, 0].T)
        audio = self._audio(module, x)
        y = audio[:, :, tf.newaxis]
        if module._preemp:
            y = module._preemp_conv(y)
        convolved = conv(y)
        yield "conv", _channels_first(convolved).reshape(x.shape[0], -1, 2, x.shape[1])
        modulus = module._activation(convolved)
        yield "modulus", _channels_first(modulus)
        pool = pooling(modulus)
        yield "pool", _channels_first(pool)
        floored = tf.maximum(pool, FLOOR)
        yield "floor", _channels_first(floored)
        compressed = compress(floored)
        if isinstance(compress, tf_leaf.PCENLayer):
            yield "ema", _channels_first(compress.ema(floored, initial_state=floored[:, 0]))
            yield "pcen", _channels_first(compressed)
        if module._instance_norm is not None:
            yield "norm", _channels_first(module._instance_norm(compressed))

    def arrays(self, module: Any, x: np.ndarray, cotangent: np.ndarray) -> dict[str, np.ndarray]:
        """Stages and gradients; ``output`` is of the call that is differentiated."""
        with _smoothing_once(module):
            output, gradients = self._differentiated(module, x, cotangent)
            return {**dict(self._computed(module, x)), "output": output, **gradients}

    def gradients(self, module: Any, x: np.ndarray, cotangent: np.ndarray) -> dict[str, np.ndarray]:
        return self._differentiated(module, x, cotangent)[1]

    def _differentiated(
        self, module: Any, x: np.ndarray, cotangent: np.ndarray
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Compute the output of the module's own call, and the gradients."""
        audio = self._audio(module, x)
        weights = {name: w for name, w in self._weights(module).items() if w.trainable}
        with tf.GradientTape() as tape:
            tape.watch(audio)
            output = module(audio)
        seeds = tf.convert_to_tensor(cotangent.transpose(0, 2, 1), dtype=output.dtype)
        sources = [audio, *(w.value for w in weights.values())]
        grads = tape.gradient(output, sources, output_gradients=seeds)
        named = {name: np.array(g) for name, g in zip(["input", *weights], grads, strict=True)}
        return _channels_first(output), named

    def _audio(self, module: Any, x: np.ndarray) -> Any:
        return tf.convert_to_tensor(x, dtype=module.compute_dtype)
