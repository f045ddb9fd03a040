"""SpecAugment's time warp and masks: what is drawn, and what a draw does to features.

Source: what ``SpectrumAugmenter._AugmentationNetwork`` of lingvo 0.14.2 (``lingvo/core/spectrum_augmenter.py``)
computes for features without padding and the arguments that ``leaf_audio/postprocessing.py`` sets;
https://arxiv.org/abs/1904.08779.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tf_leaf.checks import MOST_SAMPLES, check_count, check_real, shown
from tf_leaf.inputs import check_tensor

MOST_MASKS = 2**10  # of an item, over time or frequency
Record = dict[str, NDArray[np.int32]]
PAIRS = (("warp_origin", "warp_destination"), ("time_start", "time_length"), ("freq_start", "freq_length"))


class SpectrumAugmenter:
    """Draws a time warp, time masks and frequency masks, anew and independently for each item of a batch.

    - Warp: one frame, uniform over 1 to ``frames - 2`` (frame 1 of shorter clips), moves by a whole number of
      frames, uniform over ``-time_warp_max_frames`` to ``time_warp_max_frames`` and limited to
      ``time_warp_max_ratio`` of the frames; where it arrives is limited to 1 to ``frames - 1``.
    - Mask: its length is uniform over 0 to ``max - 1``, so that the maximum itself is never drawn, and limited to the
      ratio of the frames, or the number of bins, but for 1; its place is then uniform over all that hold it. Masks may
      overlap.

    A maximum, count or ratio of 0 turns its part off, and nothing is drawn for it.

    Args:
        freq_mask_max_bins: lengths of frequency masks stay below it.
        freq_mask_count: frequency masks per item.
        time_mask_max_frames: lengths of time masks stay below it.
        time_mask_count: time masks per item.
        time_mask_max_ratio: longest time mask, as a share of the frames; 0 to 1.
        time_warp_max_frames: farthest warp, frames.
        time_warp_max_ratio: farthest warp, as a share of the frames; 0 to 1.

    Raises:
        TypeError: a maximum or count is not an integer, a ratio not a number.
        ValueError: a negative one, or a ratio above 1.

    Source: lingvo 0.14.2, ``lingvo/core/spectrum_augmenter.py``, whose defaults these are.
    """

    def __init__(
        self,
        freq_mask_max_bins: int = 15,
        freq_mask_count: int = 1,
        time_mask_max_frames: int = 50,
        time_mask_count: int = 1,
        time_mask_max_ratio: float = 1.0,
        time_warp_max_frames: int = 0,
        time_warp_max_ratio: float = 0.0,
    ) -> None:
        self.freq_mask_max_bins = _check_whole("freq_mask_max_bins", freq_mask_max_bins)
        self.freq_mask_count = _check_whole("freq_mask_count", freq_mask_count)
        self.time_mask_max_frames = _check_whole("time_mask_max_frames", time_mask_max_frames)
        self.time_mask_count = _check_whole("time_mask_count", time_mask_count)
        self.time_mask_max_ratio = _check_ratio("time_mask_max_ratio", time_mask_max_ratio)
        self.time_warp_max_frames = _check_whole("time_warp_max_frames", time_warp_max_frames)
        self.time_warp_max_ratio = _check_ratio("time_warp_max_ratio", time_warp_max_ratio)

    def __call__(self, inputs: tf.Tensor, generator: tf.random.Generator | None = None) -> tf.Tensor:
        """Features [B, frames, C] with what is drawn for them applied, see :func:`augment`.

        Raises:
            ValueError: another rank, or one frame where a warp is asked for (a graph may not know it, and gives NaN).
        """
        _check_features(inputs)
        sizes = tf.unstack(tf.shape(inputs), 3)
        batch_size, n_frames, n_bins = (s if n is None else n for s, n in zip(sizes, inputs.shape, strict=True))
        return apply(inputs, self.sample(batch_size, n_frames, n_bins, generator))

    def draw(self, batch_size: int, n_frames: int, n_bins: int, generator: tf.random.Generator | None = None) -> Record:
        """One draw for a batch, as plain NumPy: eager execution alone.

        Args:
            batch_size, n_frames, n_bins: of the features.
            generator: what to draw from; ``None`` draws from TensorFlow's global state (``tf.random.set_seed``).

        Returns:
            int32 arrays: ``warp_origin`` and ``warp_destination`` [B] (the frame that moves, and where to), and
            ``time_start``, ``time_length``, ``freq_start``, ``freq_length`` [B, count]; what is off is not there.

        Raises:
            ValueError: one frame, where a warp is asked for.
        """
        return {name: drawn.numpy() for name, drawn in self.sample(batch_size, n_frames, n_bins, generator).items()}

    def sample(
        self, batch_size: Any, n_frames: Any, n_bins: Any, generator: tf.random.Generator | None = None
    ) -> dict[str, tf.Tensor]:
        """:meth:`draw` as tensors, for graphs too; there the sizes may be tensors, and one frame is not seen."""
        # From the global state these are the draws of the original, in its order: an equal seed gives equal masks.
        uniform = tf.random.uniform if generator is None else generator.uniform
        drawn = {}
        if self.time_warp_max_frames and self.time_warp_max_ratio:
            if isinstance(n_frames, int) and n_frames < 2:
                raise ValueError(f"n_frames={n_frames}: a time warp divides by zero, must be at least 2")
            farthest = self.time_warp_max_frames
            shift = uniform((batch_size,), minval=-farthest, maxval=farthest + 1, dtype=tf.int32)
            limit = _share(self.time_warp_max_ratio, n_frames)
            shift = tf.maximum(-limit, tf.minimum(shift, limit))
            inner = tf.cast(tf.maximum(n_frames - 2, 0), tf.float32)
            drawn["warp_origin"] = tf.cast(uniform((batch_size,)) * inner, tf.int32) + 1
            drawn["warp_destination"] = tf.minimum(tf.maximum(drawn["warp_origin"] + shift, 1), n_frames - 1)
        for axis, size, maximum, count, ratio in (
            ("time", n_frames, self.time_mask_max_frames, self.time_mask_count, self.time_mask_max_ratio),
            ("freq", n_bins, self.freq_mask_max_bins, self.freq_mask_count, 1.0),
        ):
            if maximum and count and ratio:
                length = tf.cast(uniform((batch_size, count)) * float(maximum), tf.int32)
                length = tf.minimum(length, tf.maximum(_share(ratio, size), 1))
                places = tf.cast(size - length + 1, tf.float32)
                drawn[f"{axis}_start"] = tf.cast(uniform((batch_size, count)) * places, tf.int32)
                drawn[f"{axis}_length"] = length
        return drawn


def generator_of(seed: Any) -> tf.random.Generator | None:
    """What is drawn from: a generator, one of an integer, or ``None`` for TensorFlow's global state.

    Raises:
        TypeError: another kind of seed.
        ValueError: an integer of more than 64 bits.
    """
    if seed is None or isinstance(seed, tf.random.Generator):
        return seed
    try:
        number = check_count("seed", seed, 2**63 - 1, least=-(2**63))
    except TypeError:
        raise TypeError(f"seed={shown(seed)}: must be an integer, a tf.random.Generator or None") from None
    return tf.random.Generator.from_seed(number)


def augment(inputs: tf.Tensor, record: Mapping[str, Any]) -> tf.Tensor:
    """Features [B, frames, C] with a record applied: first the warp, then time masks, then frequency masks.

    What a mask covers is multiplied by 0, and the rest by 1: a NaN or an infinity stays NaN under a mask. See
    :func:`warp_matrix` for the warp.

    Args:
        inputs: features, float32 or float64.
        record: of :meth:`SpectrumAugmenter.draw` or of another rung; integer NumPy arrays.

    Raises:
        TypeError: an array of the record does not hold integers.
        ValueError: an unknown name, half of a pair, another shape than the features ask for, or a warp or mask that
            does not lie in them.
    """
    _check_features(inputs)
    _check_record(record, tuple(inputs.shape))
    return apply(inputs, {name: tf.convert_to_tensor(values, tf.int32) for name, values in record.items()})


def apply(inputs: tf.Tensor, drawn: Mapping[str, tf.Tensor]) -> tf.Tensor:
    """:func:`augment` for what :meth:`SpectrumAugmenter.sample` gives: nothing is checked."""
    n_frames, n_bins = tf.shape(inputs)[1], tf.shape(inputs)[2]
    outputs = inputs
    if "warp_origin" in drawn:
        warp = warp_matrix(drawn["warp_origin"], drawn["warp_destination"], n_frames, inputs.dtype)
        outputs = tf.einsum("bxc,bzx->bzc", outputs, warp)
    if "time_start" in drawn:
        mask = _mask(drawn["time_start"], drawn["time_length"], n_frames, inputs.dtype)
        outputs = tf.einsum("bxc,bx->bxc", outputs, mask)  # a sum of one product, whose zeros are all positive
    if "freq_start" in drawn:
        mask = _mask(drawn["freq_start"], drawn["freq_length"], n_bins, inputs.dtype)
        outputs = tf.einsum("bxc,bc->bxc", outputs, mask)
    return outputs


def warp_matrix(origin: tf.Tensor, destination: tf.Tensor, n_frames: Any, dtype: tf.DType) -> tf.Tensor:
    """The linear maps [B, frames out, frames in] that move ``origin`` [B] to ``destination`` [B].

    Time is stretched linearly from 0 to the moved frame, and from there to ``frames``; what falls between two frames
    is interpolated. Frame ``frames`` itself is not there: where the end is slowed down, the last frames fade.
    """
    origin, destination = tf.cast(origin, dtype), tf.cast(destination, dtype)
    frames = tf.cast(tf.range(n_frames), dtype)
    size = tf.cast(n_frames, dtype)
    before = origin / destination
    after = (size - origin) / (size - destination)
    bend = (after - before)[:, tf.newaxis] * tf.nn.relu(frames - destination[:, tf.newaxis])
    # The original adds a third piece, from the end of the clip on; with no padding it is zero to the bit.
    positions = before[:, tf.newaxis] * frames + bend
    distance = positions[:, :, tf.newaxis] - frames
    return tf.nn.relu(distance + 1.0) - 2.0 * tf.nn.relu(distance) + tf.nn.relu(distance - 1.0)


def _mask(start: tf.Tensor, length: tf.Tensor, size: Any, dtype: tf.DType) -> tf.Tensor:
    """[B, size]: 0 under one of the masks [B, count], 1 elsewhere."""
    index = tf.range(size)
    start, end = start[:, :, tf.newaxis], (start + length)[:, :, tf.newaxis]
    covered = tf.reduce_any((index >= start) & (index < end), axis=1)
    return 1.0 - tf.cast(covered, dtype)


def _share(ratio: float, size: Any) -> tf.Tensor:
    """``ratio`` of ``size``, computed in float32 and cut to an integer."""
    return tf.cast(tf.constant(ratio, tf.float32) * tf.cast(size, tf.float32), tf.int32)


def _check_whole(name: str, value: Any) -> int:
    return check_count(name, value, MOST_MASKS if name.endswith("count") else MOST_SAMPLES, least=0)


def _check_ratio(name: str, value: Any) -> float:
    return check_real(name, value, at_least=0, at_most=1)


def _check_features(inputs: tf.Tensor) -> None:
    check_tensor("inputs", inputs)
    if inputs.shape.rank != 3:
        raise ValueError(f"inputs of shape {inputs.shape}: must be [batch, frames, channels]")


def _check_record(record: Mapping[str, Any], shape: tuple[int, ...]) -> None:
    if not isinstance(record, Mapping):
        raise TypeError(f"record={shown(record)}: must be a mapping of names to integer arrays")
    batch_size, n_frames, n_bins = shape
    known = [name for pair in PAIRS for name in pair]
    for name in record:
        if name not in known:
            raise ValueError(f"record has {name!r}: must be of {known}")
    for first, second in PAIRS:
        if (first in record) != (second in record):
            raise ValueError(f"record has one of {first!r} and {second!r}: must have both or neither")
        if first not in record:
            continue
        a, b = np.asarray(record[first]), np.asarray(record[second])
        for name, values in ((first, a), (second, b)):
            if values.dtype.kind not in "iu":
                raise TypeError(f"record[{name!r}] of dtype {values.dtype}: must hold integers")
        n_axes = 1 if first == "warp_origin" else 2
        if a.shape != b.shape or a.ndim != n_axes or a.shape[0] != batch_size:
            wanted = f"({batch_size},)" if n_axes == 1 else f"({batch_size}, count)"
            raise ValueError(f"record[{first!r}] and [{second!r}] of shapes {a.shape} and {b.shape}: must be {wanted}")
        if n_axes == 1 and not (np.all((a >= 1) & (b >= 1)) and np.all((a < n_frames) & (b < n_frames))):
            raise ValueError(f"record[{first!r}]={a}, [{second!r}]={b}: must lie from 1 to {n_frames - 1}")
        size = n_frames if first == "time_start" else n_bins
        if n_axes == 2 and not np.all((a >= 0) & (b >= 0) & (a + b <= size)):
            raise ValueError(f"record[{first!r}]={a}, [{second!r}]={b}: must lie within {size}")
