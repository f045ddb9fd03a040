"""Features of a recording of any length: read, computed and written a piece at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from parity.weights.outputs import Output, require_file, require_library, require_weights
from parity.weights.requested import DEFAULTS, build, prepared, require_agreement, require_choices
from parity.weights.stored import described

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["build", "extract", "prepare", "prepared"]

BLOCK = 1 << 16  # samples read at a time
WHOLE = 1 << 26  # samples times filters that are computed at once, in about 2 GB, by what cannot stream


def prepare(
    source: Path,
    target: Path,
    given: Mapping[str, Any],
    weights: Path | None = None,
    channel: int | None = None,
    *,
    force: bool = False,
) -> Output:
    """Check every argument of the command, before anything heavy is imported.

    Args:
        source, target, channel: see :func:`extract`.
        given, weights: see :func:`prepared`.
        force: whether a file that is there may be replaced; an array does not say who wrote it.

    Returns the file to write.
    Raises:
        ModuleNotFoundError: a library that is needed is not installed.
        ValueError: names the argument, its value and what is allowed.
    """
    require_choices(given.get("frontend", DEFAULTS["frontend"]), given.get("padding") if "frontend" in given else None)
    for name in ("sample_rate", "n_filters"):
        if given.get(name, 1) < 1:
            raise ValueError(f"{name}={given[name]!r}: must be at least 1")
    require_file("source", source)
    if weights is not None:
        require_weights("weights", weights)
    output = Output("target", target, {"source": source, **({"weights": weights} if weights else {})}, force=force)
    output.check()
    rate = given.get("sample_rate", None if weights else DEFAULTS["sample_rate"])
    if weights is not None and (about := described(weights)):
        require_agreement(about, given, weights)
        rate = about.config.sample_rate
    opened(source, channel, rate).close()
    return output


def extract(
    source: Path,
    target: Path | Output,
    module: Any,
    channel: int | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
    *,
    sample_rate: float | None = None,
) -> tuple[int, int]:
    """Write a recording's features to an ``.npy`` file, float32 [filters, frames], in memory that does not grow.

    The file appears when it is whole; until then, and if anything fails, what was there stays. A front end that cannot
    stream computes the whole recording at once, up to a length.

    Args:
        source: audio that soundfile reads, at the front end's sample rate.
        target: the ``.npy`` file; a path where nothing is yet.
        module: a front end; audio [B, T] to features [B, filters, frames].
        channel: of a recording that has several, from 0.
        progress: called with the samples done and their total.
        sample_rate: of the front end, Hz; the module's own by default.

    Returns the shape.
    Raises:
        ValueError: there is no folder to write to; the recording cannot be read to its end, is empty, has another rate,
            has NaN or infinite samples, has several channels and none is chosen, or is too long for what cannot stream;
            a feature is NaN or infinite; names what is wrong and what is allowed.
    """
    import soundfile

    require_file("source", source)
    rate = module.sample_rate if sample_rate is None else sample_rate
    output = target if isinstance(target, Output) else Output("target", target, {"source": source})
    output.check()
    with opened(source, channel, rate) as recording:
        n_samples = recording.frames
        chunks = _chunks(source, recording, channel or 0, lambda done: progress(done, n_samples))
        frames = _frames(module, chunks, n_samples)
        try:
            with output.replacing() as file:
                return _write(file, frames)
        except soundfile.LibsndfileError as error:
            raise ValueError(f"source={str(source)!r}: must be audio that can be read to its end ({error})") from error


def opened(source: Path, channel: int | None, sample_rate: float | None) -> Any:
    """A recording, as soundfile opens it.

    Args:
        source: of it.
        channel: that is wanted; None where it must have one.
        sample_rate: that it must have, Hz; None if that is not known yet.

    Raises:
        ModuleNotFoundError: soundfile is not installed.
        ValueError: it is no recording, has no samples, another rate or no such channel; names what.
    """
    require_library("soundfile", "reading a recording")
    import soundfile

    try:
        recording = soundfile.SoundFile(source)
    except (soundfile.LibsndfileError, OSError, TypeError) as error:  # TypeError: headerless, so nothing says its rate
        raise ValueError(f"source={str(source)!r}: must be audio that soundfile reads ({error})") from error
    try:
        if sample_rate is not None and recording.samplerate != sample_rate:
            raise ValueError(
                f"source={str(source)!r} has {recording.samplerate} Hz, the front end {sample_rate:g}: resample it, or "
                f"ask for --sample-rate {recording.samplerate} and weights of that rate"
            )
        n_channels = recording.channels
        if (channel is None and n_channels > 1) or not 0 <= (channel or 0) < n_channels:
            raise ValueError(f"channel={channel!r}: must be from 0 to {n_channels - 1}, as there are {n_channels}")
        if not recording.frames:
            raise ValueError(f"source={str(source)!r}: must have at least one sample")
    except ValueError:
        recording.close()
        raise
    return recording


def _chunks(source: Path, recording: Any, channel: int, progress: Callable[[int], None]) -> Iterator[Tensor]:
    import torch

    done = 0
    # not by `blocks`, which after a short read goes on with what its buffer held before
    while len(block := recording.read(BLOCK, dtype="float32", always_2d=True)):
        samples = block[:, channel].copy()
        if len(bad := np.flatnonzero(~np.isfinite(samples))):
            n = done + int(bad[0])
            raise ValueError(
                f"source={str(source)!r}: sample {n} (at {n / recording.samplerate:.3f} s) is {samples[bad[0]]}; "
                "must be finite"
            )
        yield torch.from_numpy(samples).unsqueeze(0)
        done += len(block)
        progress(done)


def _frames(module: Any, chunks: Iterator[Tensor], n_samples: int) -> Iterator[Tensor]:
    """Features [1, filters, n] one after another.

    Raises:
        ValueError: the module cannot stream, and the recording is too long to be computed at once.
    """
    import torch

    dtype = next((parameter.dtype for parameter in module.parameters()), torch.float32)
    audio = (chunk.to(dtype) for chunk in chunks)
    if hasattr(module, "stream"):
        streamed: Iterator[Tensor] = module.stream(audio, n_samples)
        return streamed
    n_filters = getattr(module, "n_filters", None) or getattr(module, "frontend", module).filterbank.n_filters
    if n_samples * n_filters > WHOLE:
        raise ValueError(
            f"source has {n_samples} samples: {type(module).__module__}.{type(module).__name__} cannot stream, and "
            f"computes {WHOLE // n_filters} at once at most; leaf-ladder convert --to leaf makes what can"
        )

    def whole() -> Iterator[Tensor]:
        with torch.no_grad():
            yield module(torch.cat(list(audio), -1))

    return whole()


def _write(file: BinaryIO, frames: Iterator[Tensor]) -> tuple[int, int]:
    """Frames one after another are the columns of a Fortran-ordered array; its header has room to grow.

    Raises:
        ValueError: a value is NaN or infinite; names the first.
    """

    def header(n_filters: int, n_frames: int) -> None:
        shape = {"descr": "<f4", "fortran_order": True, "shape": (n_filters, n_frames)}
        np.lib.format.write_array_header_1_0(file, shape)

    n_filters = n_frames = begin = 0
    for piece in frames:
        values = piece[0].T.contiguous().numpy().astype("<f4", copy=False)
        if not begin:
            n_filters = values.shape[1]
            header(n_filters, 0)
            begin = file.tell()
        if len(bad := np.argwhere(~np.isfinite(values))):
            frame, band = (int(n) for n in bad[0])
            raise ValueError(
                f"features: frame {n_frames + frame} of filter {band} is {values[frame, band]}, of finite audio and "
                "weights; must be finite"
            )
        file.write(values.tobytes())
        n_frames += len(values)
    file.seek(0)
    header(n_filters, n_frames)
    if file.tell() != begin:
        raise RuntimeError(f"the header of {n_frames} frames does not fit where that of none was")
    return n_filters, n_frames
