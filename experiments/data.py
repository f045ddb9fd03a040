"""Recordings in folders: found, looked over, split by group, read when they are needed, cropped or cut into chunks."""

from __future__ import annotations

import hashlib
import multiprocessing
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.context import BaseContext
from pathlib import Path

import numpy as np
import soundfile
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from parity.weights.outputs import require_library

SUFFIXES = (".wav", ".flac", ".ogg", ".mp3")
SPLITS = ("train", "validation", "test")
SHARES = (0.7, 0.1, 0.2)  # as published
BLOCK = 1 << 16  # frames that are read at once where a file is looked over
MOST_GAIN = 30.0  # dB, as published
Samples = NDArray[np.float32]


@dataclass(frozen=True, order=True)
class Clip:
    """A recording.

    Attributes:
        path: of the file.
        label: name of its class.
        group: what must not be on two sides of a split: a speaker, or a text.
    """

    path: Path
    label: str
    group: str


@dataclass(frozen=True)
class Skipped:
    """A file that is left out.

    Attributes:
        path: of the file.
        reason: "corrupt: ...", "empty" or "silent".
    """

    path: Path
    reason: str


@dataclass(frozen=True)
class Sound:
    """How recordings become inputs.

    Attributes:
        sample_rate: Hz, of all inputs.
        seconds: length of a crop and of a chunk.
        resample: whether files of another rate are converted (soxr); otherwise they are refused.
        level: dB of the standard deviation that every input is scaled to, with 30 dB of gain at most; None leaves it.
            Published is 15, which is beyond [-1, 1], where a tolerance of EfficientLEAF holds.
        noise: dB of a clip's power over that of white noise that is added to it; None for none.
        n_chunks: of a clip in evaluation, at most, spread over it evenly; None for all.
    """

    sample_rate: int = 16000
    seconds: float = 1.0
    resample: bool = False
    level: float | None = -20.0
    noise: float | None = None
    n_chunks: int | None = None

    def __post_init__(self) -> None:
        if self.sample_rate < 1:
            raise ValueError(f"sample_rate={self.sample_rate}: must be at least 1")
        if not self.size >= 1:
            raise ValueError(f"seconds={self.seconds}: must be at least one sample")
        if self.n_chunks is not None and self.n_chunks < 1:
            raise ValueError(f"n_chunks={self.n_chunks}: must be at least 1, or None")

    @property
    def size(self) -> int:
        """Samples of a crop."""
        return int(self.seconds * self.sample_rate)


def folder(root: Path) -> list[Clip]:
    """A folder of classes, ``root/CLASS/.../file``; the group is the path below the class, without its suffix.

    So files of one name are one group: a text that several classes say is on one side of a split.

    Raises ValueError where there is no such folder, or no classes with recordings in it.
    """
    return clips_below(root, lambda path: (path.parts[0], path.with_suffix("").as_posix().partition("/")[2]))


def clips_below(root: Path, labelled: Callable[[Path], tuple[str, str] | None]) -> list[Clip]:
    """Every recording below a folder, sorted.

    Args:
        root: the folder.
        labelled: a path below ``root`` to (label, group), or to None where the file is none of the classes'.

    Raises ValueError where there is no such folder, or fewer than two classes.
    """
    if not root.is_dir():
        raise ValueError(f"data={str(root)!r}: must be a folder")
    found = []
    for path in root.rglob("*"):
        if path.suffix.lower() in SUFFIXES and path.is_file():
            relative = path.relative_to(root)
            if len(relative.parts) > 1 and (named := labelled(relative)) is not None:
                found.append(Clip(path, *named))
    if len({clip.label for clip in found}) < 2:
        raise ValueError(f"data={str(root)!r}: must hold recordings ({', '.join(SUFFIXES)}) of at least two classes")
    return sorted(found)


def looked_over(clips: Iterable[Clip]) -> tuple[list[Clip], list[Skipped]]:
    """Those that can be used, and those that cannot.

    A file is silent if all of its samples are 0; as soon as one is not, what is left to read is its last block.
    """
    good, skipped = [], []
    for clip in clips:
        reason = _reason(clip.path)
        if reason:
            skipped.append(Skipped(clip.path, reason))
        else:
            good.append(clip)
    return good, skipped


def _reason(path: Path) -> str:
    try:
        with soundfile.SoundFile(path) as file:
            if not file.frames:
                return "empty"
            loud = any(block.any() for block in file.blocks(BLOCK, dtype="float32"))
            last = min(BLOCK, file.frames)
            file.seek(file.frames - last)
            if len(file.read(last)) < last:
                return "corrupt: it ends before the length that it names"
    except (soundfile.SoundFileError, OSError) as error:
        return "empty" if path.is_file() and not path.stat().st_size else f"corrupt: {error}"
    return "" if loud else "silent"


def split(clips: Sequence[Clip], seed: int = 0, shares: tuple[float, float, float] = SHARES) -> dict[str, list[Clip]]:
    """Training, validation and test, with every group on one side only.

    Args:
        clips: in any order; the split depends on their groups alone.
        seed: of the order of the groups.
        shares: of the groups; > 0, with the sum 1.

    Raises ValueError for other shares, and where a side would have no clips.
    """
    if min(shares) <= 0 or abs(sum(shares) - 1) > 1e-9:
        raise ValueError(f"shares={shares}: must be above 0 with the sum 1")
    groups = sorted({clip.group for clip in clips})
    order = np.random.default_rng(seed).permutation(len(groups))
    edges = [round(len(groups) * sum(shares[:i])) for i in range(len(shares) + 1)]
    side = {
        groups[at]: name
        for name, first, last in zip(SPLITS, edges[:-1], edges[1:], strict=True)
        for at in order[first:last]
    }
    return sides(clips, side)


def sides(clips: Iterable[Clip], side: Mapping[str, str]) -> dict[str, list[Clip]]:
    """A split by a table from group to "train", "validation" or "test".

    Raises ValueError where one of them has no clips.
    """
    out: dict[str, list[Clip]] = {name: [] for name in SPLITS}
    for clip in sorted(clips):
        out[side[clip.group]].append(clip)
    if missing := [name for name, held in out.items() if not held]:
        raise ValueError(f"data: {', '.join(missing)} must have clips; there are too few groups ({len(set(side))})")
    return out


def fewer(clips: Sequence[Clip], per_class: int | None, seed: int = 0) -> list[Clip]:
    """At most so many clips of every class, drawn by the seed; all of them for None."""
    if per_class is None:
        return list(clips)
    order = np.random.default_rng(seed).permutation(len(clips))
    taken: Counter[str] = Counter()
    kept = []
    for at in order:
        if taken[clips[at].label] < per_class:
            taken[clips[at].label] += 1
            kept.append(clips[at])
    return sorted(kept)


def digest(split_: Mapping[str, Sequence[Clip]], root: Path) -> str:
    """SHA-256 of who is on which side: side, path below ``root`` and class of every clip."""
    lines = [
        f"{name}\t{clip.path.relative_to(root).as_posix()}\t{clip.label}\n"
        for name in SPLITS
        for clip in sorted(split_.get(name, ()))
    ]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def read(path: Path, sound: Sound, start: int = 0, size: int | None = None) -> Samples:
    """Samples of a file, its channels averaged, at the sample rate that is asked for.

    Args:
        path: of the file.
        sound: the rate, and whether to resample.
        start, size: of a part, in samples of the file. A resampled file is read whole.

    Raises ValueError for a file that cannot be read, or has another rate and is not resampled.
    """
    try:
        with soundfile.SoundFile(path) as file:
            rate = int(file.samplerate)
            if rate != sound.sample_rate and not sound.resample:
                raise ValueError(
                    f"{path}: has {rate} Hz, must have sample_rate={sound.sample_rate} where nothing is resampled"
                )
            file.seek(start)
            samples = file.read(-1 if size is None else size, dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, OSError) as error:
        raise ValueError(f"{path}: cannot be read ({error})") from error
    mono = np.ascontiguousarray(samples.mean(axis=1, dtype=np.float32))
    if rate != sound.sample_rate:
        require_library("soxr", f"{path}: resampling")
        import soxr

        mono = soxr.resample(mono, rate, sound.sample_rate).astype(np.float32)
    return mono


def prepared(samples: Samples, sound: Sound, rng: np.random.Generator) -> Tensor:
    """An input [size]: padded with zeros at its end, with noise, scaled to the level."""
    out = np.zeros(sound.size, np.float32)
    out[: len(samples)] = samples
    if sound.noise is not None:
        power = float(np.mean(np.square(samples, dtype=np.float64))) if len(samples) else 0.0
        drawn = rng.standard_normal(sound.size, np.float32)
        out += np.float32(np.sqrt(power) * 10 ** (-sound.noise / 20)) * drawn
    if sound.level is not None:
        gain = min(10 ** (MOST_GAIN / 20), 10 ** (sound.level / 20) / (float(out.std()) + 1e-9))
        out *= np.float32(gain)
    return torch.from_numpy(out)


class Crops(Dataset[tuple[Tensor, int]]):
    """Training: of every clip a crop, another one in every epoch; it depends on seed, epoch and clip alone.

    Args:
        clips: of training.
        classes: names, in the order of the network's scores.
        sound: how they become inputs.
        seed: of crops and noise.
    """

    def __init__(self, clips: Sequence[Clip], classes: Sequence[str], sound: Sound, seed: int = 0) -> None:
        self.clips, self.sound, self.seed, self.epoch = list(clips), sound, seed, 0
        self.classes = {name: index for index, name in enumerate(classes)}

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        clip = self.clips[index]
        rng = np.random.default_rng([self.seed, self.epoch, index])
        size = self.sound.size
        if self.sound.resample:
            whole = read(clip.path, self.sound)
            start = int(rng.integers(max(len(whole) - size, 0) + 1))
            samples = whole[start : start + size]
        else:
            start = int(rng.integers(max(soundfile.info(clip.path).frames - size, 0) + 1))
            samples = read(clip.path, self.sound, start, size)
        return prepared(samples, self.sound, rng), self.classes[clip.label]

    def order(self) -> list[int]:
        """Of the clips in this epoch."""
        return [int(i) for i in np.random.default_rng([self.seed, self.epoch]).permutation(len(self))]


class Chunks(Dataset[tuple[Tensor, int]]):
    """Evaluation: the chunks of a clip, [n, size], and its class; the noise depends on the clip alone.

    Chunks follow one another; the last one ends where the clip does, and begins earlier where it has to. A clip that is
    shorter than a chunk is padded.
    """

    def __init__(self, clips: Sequence[Clip], classes: Sequence[str], sound: Sound, seed: int = 0) -> None:
        self.clips, self.sound, self.seed = list(clips), sound, seed
        self.classes = {name: index for index, name in enumerate(classes)}

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        clip, size = self.clips[index], self.sound.size
        samples = read(clip.path, self.sound)
        rng = np.random.default_rng([self.seed, index])
        chosen = starts(len(samples), size, self.sound.n_chunks)
        parts = [prepared(samples[start : start + size], self.sound, rng) for start in chosen]
        return torch.stack(parts), self.classes[clip.label]


def starts(length: int, size: int, most: int | None = None) -> list[int]:
    """Where the chunks of a clip begin.

    Every sample is in one; where these are more than ``most``, so many are spread over the clip evenly.
    """
    whole = list(range(0, length - size + 1, size)) or [0]
    every = whole if whole[-1] + size >= length else [*whole, length - size]
    if most is None or len(every) <= most:
        return every
    return [round((2 * i + 1) / (2 * most) * (length - size)) for i in range(most)]


def epoch(crops: Crops, number: int, batch_size: int, n_workers: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
    """The batches of an epoch: audio [B, size] and classes [B]. The last may be smaller, but is never of one clip.

    Batch normalisation has no statistics of a single clip, so that one is left out.
    """
    crops.epoch = number
    order = crops.order()
    batches = [order[i : i + batch_size] for i in range(0, len(order), batch_size)]
    if len(batches) > 1 and len(batches[-1]) == 1:
        batches.pop()
    loader = torch.utils.data.DataLoader(
        crops, batch_sampler=batches, num_workers=n_workers, multiprocessing_context=_workers() if n_workers else None
    )
    yield from loader


def _workers() -> BaseContext:
    """How workers are started: not forked from this process.

    PyTorch's threads may hold a lock at that moment, for which a forked worker waits for ever; from Python 3.12 on it
    warns of that. They are forked from a server that has imported what they need and runs no threads.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    return context
