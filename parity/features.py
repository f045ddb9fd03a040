"""Features of a recording of any length: read, computed and written a piece at a time."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

FRONTENDS = ("leaf", "efficientleaf")
BLOCK = 1 << 16  # samples read at a time


def build(frontend: str, sample_rate: float, n_filters: int = 40, padding: str = "centered") -> Any:
    """A fresh front end with PCEN.

    Args:
        frontend: ``leaf`` or ``efficientleaf``.
        sample_rate: Hz. Band edges are LEAF's, 60 Hz (0 where half the rate is less) and 7800 Hz or half the rate.
        n_filters: number of filters.
        padding: of ``leaf``, see :class:`leaf.Leaf`.

    Raises:
        ValueError: another frontend, a padding that it does not have, or an argument out of its range; names it.
    """
    from efficientleaf import EfficientLeaf
    from leaf import Leaf
    from parity.bridges.leaf import band_of

    if frontend not in FRONTENDS:
        raise ValueError(f"frontend={frontend!r}: one of {', '.join(FRONTENDS)} is needed")
    min_freq, max_freq = band_of(sample_rate)
    if frontend == "leaf":
        return Leaf(n_filters, min_freq, max_freq, sample_rate=sample_rate, padding=padding)
    if padding != "centered":
        raise ValueError(f"padding={padding!r}: efficientleaf has 'centered' alone")
    groups = min(4, n_filters)
    return EfficientLeaf(n_filters, groups, min_freq, max_freq, sample_rate=sample_rate, compression="pcen")


def load(module: Any, weights: Path) -> None:
    """Set a front end's parameters from a file.

    Args:
        module: of :func:`build`.
        weights: a PyTorch state dict (``.pt``, ``.pth``) or what :func:`parity.load_weights` reads.

    Raises:
        ValueError: the file is missing, torn, or does not fit the module; says how.
    """
    if weights.suffix not in (".pt", ".pth"):
        from parity.bridges import load_weights

        load_weights(module, weights)
        return
    import torch

    try:
        module.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    except FileNotFoundError:
        raise ValueError(f"weights={str(weights)!r}: there is no such file") from None
    except Exception as error:  # a torn or foreign file makes unpickling and loading fail in a dozen ways
        raise ValueError(f"weights={str(weights)!r}: must be a state dict of this front end ({error})") from error


def extract(
    source: Path,
    target: Path,
    module: Any,
    channel: int | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[int, int]:
    """Write a recording's features to an ``.npy`` file, float32 [filters, frames], in memory that does not grow.

    The file appears when it is whole; until then, and if anything fails, what was there stays.

    Args:
        source: audio that soundfile reads, at the front end's sample rate.
        target: the ``.npy`` file.
        module: a front end that streams, float32.
        channel: of a recording that has several, from 0.
        progress: called with the samples done and their total.

    Returns the shape.
    Raises:
        ValueError: there is no folder to write to; the recording cannot be read to its end, is empty, has another rate,
            or has several channels and none is chosen; names what is wrong and what is allowed.
    """
    import soundfile

    if not target.parent.is_dir():
        raise ValueError(f"target={str(target)!r}: there is no such folder")
    try:
        recording = soundfile.SoundFile(source)
    except (soundfile.LibsndfileError, OSError, TypeError) as error:  # TypeError: headerless, so nothing says its rate
        raise ValueError(f"source={str(source)!r}: must be audio that soundfile reads ({error})") from error
    with recording:
        if recording.samplerate != module.sample_rate:
            raise ValueError(
                f"source={str(source)!r} has {recording.samplerate} Hz, the front end {module.sample_rate:g}: resample "
                f"it, or ask for --sample-rate {recording.samplerate} and weights of that rate"
            )
        n_channels = recording.channels
        if (channel is None and n_channels > 1) or not 0 <= (channel or 0) < n_channels:
            raise ValueError(f"channel={channel!r}: one of 0 to {n_channels - 1} is needed, as there are {n_channels}")
        n_samples = recording.frames
        if not n_samples:
            raise ValueError(f"source={str(source)!r} has no samples: at least one is needed")
        chunks = _chunks(recording, channel or 0, lambda done: progress(done, n_samples))
        try:
            return _write(target, module.stream(chunks, n_samples), module.filterbank.n_filters)
        except soundfile.LibsndfileError as error:
            raise ValueError(f"source={str(source)!r}: must be audio that can be read to its end ({error})") from error


def _chunks(recording: Any, channel: int, progress: Callable[[int], None]) -> Iterator[Any]:
    import torch

    done = 0
    # not by `blocks`, which after a short read goes on with what its buffer held before
    while len(block := recording.read(BLOCK, dtype="float32", always_2d=True)):
        yield torch.from_numpy(block[:, channel].copy()).unsqueeze(0)
        done += len(block)
        progress(done)


def _write(target: Path, frames: Iterator[Any], n_filters: int) -> tuple[int, int]:
    """Frames one after another are the columns of a Fortran-ordered array; its header has room to grow."""

    def header(n_frames: int) -> None:
        shape = {"descr": "<f4", "fortran_order": True, "shape": (n_filters, n_frames)}
        np.lib.format.write_array_header_1_0(file, shape)

    handle, beside = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            header(0)
            begin, n_frames = file.tell(), 0
            for piece in frames:
                file.write(piece[0].T.contiguous().numpy().astype("<f4", copy=False).tobytes())
                n_frames += piece.shape[-1]
            file.seek(0)
            header(n_frames)
            if file.tell() != begin:
                raise RuntimeError(f"the header of {n_frames} frames does not fit where that of none was")
        os.chmod(beside, 0o644)
        os.replace(beside, target)
    except BaseException:
        os.unlink(beside)
        raise
    return n_filters, n_frames
