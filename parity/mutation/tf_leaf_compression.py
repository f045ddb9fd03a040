"""What is planted into ``tf_leaf``'s compression; TensorFlow is imported when it is, not before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Replacement = tuple[Any, str, Any]  # owner, attribute, what takes its place


def smoothed(update: Callable[[Any, Any, Any], Any]) -> Callable[[], Replacement]:
    """``ExponentialMovingAverage.call`` with another update, of the coefficient, a frame and the state."""

    def make() -> Replacement:
        import tensorflow as tf

        from tf_leaf.postprocessing import ExponentialMovingAverage

        def call(self: Any, inputs: Any, initial_state: Any) -> Any:
            w = tf.clip_by_value(tf.convert_to_tensor(self._weights), 0.0, 1.0)
            frames = tf.transpose(inputs, (1, 0, 2))
            smoothed = tf.scan(lambda state, frame: update(w, frame, state), frames, initializer=initial_state)
            return tf.transpose(smoothed, (1, 0, 2))

        return ExponentialMovingAverage, "call", call

    return make


def normalised(
    least: Callable[[Any, Any], Any], start: bool = True, by_expm1: bool = False
) -> Callable[[], Replacement]:
    """``PCENLayer.call`` with alpha limited by ``least(tf, alpha)``, a start of the recurrence or without, a root."""

    def make() -> Replacement:
        import tensorflow as tf

        from tf_leaf.postprocessing import ExponentialMovingAverage, PCENLayer

        def call(self: Any, inputs: Any) -> Any:
            alpha, delta = least(tf, tf.convert_to_tensor(self.alpha)), tf.convert_to_tensor(self.delta)
            r = 1.0 / tf.maximum(tf.convert_to_tensor(self.root), 1.0)
            given = start or isinstance(self.ema, ExponentialMovingAverage)
            smoothed = self.ema(inputs, initial_state=inputs[:, 0]) if given else self.ema(inputs)
            normalised = inputs / (self._floor + smoothed) ** alpha
            if by_expm1:
                return delta**r * tf.math.expm1(r * tf.math.log1p(normalised / delta))
            return (normalised + delta) ** r - delta**r

        return PCENLayer, "call", call

    return make


def norm_of_keras() -> Replacement:
    """The instance norm with Keras' default eps."""
    from tf_leaf.postprocessing import InstanceNormalization

    own = InstanceNormalization.__init__

    def init(self: Any, epsilon: float = 1e-3, name: str | None = None, dtype: str = "float32") -> None:
        own(self, epsilon=1e-3, name=name, dtype=dtype)

    return InstanceNormalization, "__init__", init


def shared_compression() -> Replacement:
    """One default compression for all frontends of a width."""
    from tf_leaf import frontend

    own, first = frontend._compression, dict[tuple[int, str], Any]()

    def compression(compression_fn: Any, n_filters: int, dtype: str) -> Any:
        made = own(compression_fn, n_filters, dtype)
        return first.setdefault((n_filters, dtype), made) if compression_fn == "pcen" else made

    return frontend, "_compression", compression


def least(tf: Any, alpha: Any) -> Any:
    """alpha as the original limits it."""
    return tf.minimum(alpha, 1.0)
