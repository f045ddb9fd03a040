"""SpecAugment's time warp and masks: what is drawn, and what a draw does to features.

Source: what ``SpectrumAugmenter._AugmentationNetwork`` of lingvo 0.14.2 (``lingvo/core/spectrum_augmenter.py``)
computes for features without padding and the arguments that ``leaf_audio/postprocessing.py`` sets;
https://arxiv.org/abs/1904.08779.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from og_leaf.checks import MOST_SAMPLES, check_count, check_real, shown
from og_leaf.initializers import Device
from og_leaf.inputs import check_tensor

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

    def __call__(self, inputs: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Features [B, C, frames] with what is drawn for them applied, see :func:`augment`.

        Raises:
            ValueError: another rank, or one frame where a warp is asked for.
        """
        _check_features(inputs)
        batch_size, n_bins, n_frames = inputs.shape
        return apply(inputs, self.sample(batch_size, n_frames, n_bins, generator, inputs.device))

    def draw(self, batch_size: int, n_frames: int, n_bins: int, generator: torch.Generator | None = None) -> Record:
        """One draw for a batch, as plain NumPy.

        Args:
            batch_size, n_frames, n_bins: of the features.
            generator: what to draw from; ``None`` draws from PyTorch's own (``torch.manual_seed``).

        Returns:
            int32 arrays: ``warp_origin`` and ``warp_destination`` [B] (the frame that moves, and where to), and
            ``time_start``, ``time_length``, ``freq_start``, ``freq_length`` [B, count]; what is off is not there.

        Raises:
            ValueError: one frame, where a warp is asked for.
        """
        drawn = self.sample(batch_size, n_frames, n_bins, generator)
        return {name: values.cpu().numpy() for name, values in drawn.items()}

    def sample(
        self,
        batch_size: int,
        n_frames: int,
        n_bins: int,
        generator: torch.Generator | None = None,
        device: Device = None,
    ) -> dict[str, Tensor]:
        """:meth:`draw` as tensors on ``device``; drawn where the generator is, and without one on ``device``."""
        where = device if generator is None else generator.device

        def uniform(*shape: int) -> Tensor:
            return torch.rand(shape, generator=generator, device=where, dtype=torch.float32)

        drawn = {}
        if self.time_warp_max_frames and self.time_warp_max_ratio:
            if n_frames < 2:
                raise ValueError(f"n_frames={n_frames}: a time warp divides by zero, must be at least 2")
            farthest = self.time_warp_max_frames
            shift = torch.randint(
                -farthest, farthest + 1, (batch_size,), generator=generator, device=where, dtype=torch.int32
            )
            limit = _share(self.time_warp_max_ratio, n_frames)
            shift = shift.clamp(-limit, limit)
            origin = (uniform(batch_size) * max(n_frames - 2, 0)).int() + 1
            drawn["warp_origin"] = origin
            drawn["warp_destination"] = (origin + shift).clamp(1, n_frames - 1)
        for axis, size, maximum, count, ratio in (
            ("time", n_frames, self.time_mask_max_frames, self.time_mask_count, self.time_mask_max_ratio),
            ("freq", n_bins, self.freq_mask_max_bins, self.freq_mask_count, 1.0),
        ):
            if maximum and count and ratio:
                length = (uniform(batch_size, count) * maximum).int()
                length = length.clamp(max=max(_share(ratio, size), 1))
                drawn[f"{axis}_start"] = (uniform(batch_size, count) * (size - length + 1)).int()
                drawn[f"{axis}_length"] = length
        return {name: values.to(device) for name, values in drawn.items()}


def generator_of(seed: Any) -> torch.Generator | None:
    """What is drawn from: a generator, one of an integer, or ``None`` for PyTorch's own.

    Raises:
        TypeError: another kind of seed.
        ValueError: an integer of more than 64 bits.
    """
    if seed is None or isinstance(seed, torch.Generator):
        return seed
    try:
        number = check_count("seed", seed, 2**63 - 1, least=-(2**63))
    except TypeError:
        raise TypeError(f"seed={shown(seed)}: must be an integer, a torch.Generator or None") from None
    return torch.Generator().manual_seed(number)


def augment(inputs: Tensor, record: Mapping[str, Any]) -> Tensor:
    """Features [B, C, frames] with a record applied: first the warp, then time masks, then frequency masks.

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
    batch_size, n_bins, n_frames = inputs.shape
    _check_record(record, (batch_size, n_frames, n_bins))
    return apply(inputs, {name: torch.as_tensor(np.asarray(v), device=inputs.device) for name, v in record.items()})


def apply(inputs: Tensor, drawn: Mapping[str, Tensor]) -> Tensor:
    """:func:`augment` for what :meth:`SpectrumAugmenter.sample` gives: nothing is checked."""
    n_bins, n_frames = inputs.shape[1:]
    outputs = inputs
    if "warp_origin" in drawn:
        warp = warp_matrix(drawn["warp_origin"], drawn["warp_destination"], n_frames, inputs.dtype)
        outputs = outputs @ warp.transpose(1, 2)
    if "time_start" in drawn:
        outputs = outputs * _mask(drawn["time_start"], drawn["time_length"], n_frames, inputs.dtype)[:, None, :]
    if "freq_start" in drawn:
        outputs = outputs * _mask(drawn["freq_start"], drawn["freq_length"], n_bins, inputs.dtype)[:, :, None]
    return outputs


def warp_matrix(origin: Tensor, destination: Tensor, n_frames: int, dtype: torch.dtype) -> Tensor:
    """The linear maps [B, frames out, frames in] that move ``origin`` [B] to ``destination`` [B].

    Time is stretched linearly from 0 to the moved frame, and from there to ``frames``; what falls between two frames
    is interpolated. Frame ``frames`` itself is not there: where the end is slowed down, the last frames fade.
    """
    origin, destination = origin.to(dtype)[:, None], destination.to(dtype)[:, None]
    frames = torch.arange(n_frames, device=origin.device, dtype=dtype)
    before = origin / destination
    after = (n_frames - origin) / (n_frames - destination)
    # The original adds a third piece, from the end of the clip on; with no padding it is zero to the bit.
    positions = before * frames + (after - before) * (frames - destination).relu()
    distance = positions[:, :, None] - frames
    return (distance + 1.0).relu() - 2.0 * distance.relu() + (distance - 1.0).relu()


def _mask(start: Tensor, length: Tensor, size: int, dtype: torch.dtype) -> Tensor:
    """[B, size]: 0 under one of the masks [B, count], 1 elsewhere."""
    index = torch.arange(size, device=start.device)
    start, end = start[:, :, None], (start + length)[:, :, None]
    covered = ((index >= start) & (index < end)).any(dim=1)
    return 1.0 - covered.to(dtype)


def _share(ratio: float, size: int) -> int:
    """``ratio`` of ``size``, computed in float32 and cut to an integer."""
    return int(np.float32(ratio) * np.float32(size))


def _check_whole(name: str, value: Any) -> int:
    return check_count(name, value, MOST_MASKS if name.endswith("count") else MOST_SAMPLES, least=0)


def _check_ratio(name: str, value: Any) -> float:
    return check_real(name, value, at_least=0, at_most=1)


def _check_features(inputs: Tensor) -> None:
    check_tensor("inputs", inputs)
    if inputs.dim() != 3:
        raise ValueError(f"inputs of shape {tuple(inputs.shape)}: must be [batch, channels, frames]")


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
