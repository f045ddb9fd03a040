"""Run a filterbank and a compression over audio in chunks, in memory that does not grow."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from leaf._runtime.checks import count, waveform

BLOCK = 16384  # samples that are worked on at a time, however long a chunk is
Step = Callable[[Tensor, Any], tuple[Tensor, Any]]


class Framewise(nn.Module):
    """A compression of single frames: in evaluation none depends on another."""

    def step(self, x: Tensor, state: None = None) -> tuple[Tensor, None]:
        """:meth:`forward` of frames that follow on others, which do not matter."""
        return self(x), state


@dataclass
class Windowed:
    """An operation on the windows of a signal that arrives in pieces.

    Attributes:
        operation: whole windows [B, K, size + n stride] to outputs [B, K', n + 1], without padding.
        size, stride: of the windows, in samples.
        left, right: zeros before and after the signal.
    """

    operation: Callable[[Tensor], Tensor]
    size: int
    stride: int
    left: int
    right: int
    _held: Tensor | None = None
    _skipped: int = 0  # samples to come that lie between two windows

    def push(self, x: Tensor) -> Tensor | None:
        """The outputs whose windows the samples [B, K, n] complete; None if there are none."""
        x = F.pad(x, (self.left, 0)) if self._held is None else torch.cat((self._held, x), -1)
        skipped = min(self._skipped, x.shape[-1])
        self._skipped -= skipped
        x = x[..., skipped:]
        n_windows = max((x.shape[-1] - self.size) // self.stride + 1, 0)
        used = n_windows * self.stride
        y = self.operation(x[..., : used - self.stride + self.size]) if n_windows else None
        self._skipped += max(used - x.shape[-1], 0)
        self._held = x[..., used:].clone()  # a view would keep all of x
        return y

    def finish(self) -> Tensor | None:
        """Outputs whose windows reach beyond the end."""
        if self._held is None:
            return None
        return self.push(self._held.new_zeros(*self._held.shape[:-1], self.right))


@dataclass
class Band:
    """Filters of one stride: convolution, energies, pooling."""

    convolve: Windowed
    modulus: Callable[[Tensor], Tensor]
    pool: Windowed

    def push(self, x: Tensor) -> list[Tensor]:
        """Frames [B, K, n] that audio [B, 1, n] completes: none or one piece."""
        return self._pooled(self.convolve.push(x))

    def finish(self) -> list[Tensor]:
        """The frames that reach beyond the end."""
        frames = self._pooled(self.convolve.finish())
        last = self.pool.finish()
        return frames if last is None else [*frames, last]

    def _pooled(self, y: Tensor | None) -> list[Tensor]:
        frames = None if y is None else self.pool.push(self.modulus(y))
        return [] if frames is None else [frames]


class Bank:
    """Bands side by side; a frame is returned once every band has computed it."""

    def __init__(self, bands: Sequence[Band]) -> None:
        self.bands = bands
        self._waiting: list[list[Tensor]] = [[] for _ in bands]

    def push(self, x: Tensor) -> Tensor | None:
        """Frames [B, C, n] that audio [B, 1, n] completes; None if there are none."""
        return self._joined([band.push(x) for band in self.bands])

    def finish(self) -> Tensor | None:
        """The last frames."""
        return self._joined([band.finish() for band in self.bands])

    def _joined(self, fresh: list[list[Tensor]]) -> Tensor | None:
        waiting = [old + new for old, new in zip(self._waiting, fresh, strict=True)]
        ready = min(sum(piece.shape[-1] for piece in pieces) for pieces in waiting)
        if not ready:
            self._waiting = waiting
            return None
        rows = [torch.cat(pieces, -1) for pieces in waiting]
        self._waiting = [[row[..., ready:].clone()] for row in rows]
        return torch.cat([row[..., :ready] for row in rows], 1)


def step_of(compression: object) -> Step:
    """The function (frames, state) -> (frames, state) of a compression.

    Raises:
        ValueError: the compression needs the whole clip, or has no ``step``.
    """
    if type(compression) is nn.Identity:
        return lambda x, state: (x, None)
    if type(compression) is nn.Sequential:
        steps = [step_of(part) for part in compression]

        def chain(x: Tensor, states: Any) -> tuple[Tensor, Any]:
            after = []
            for step, state in zip(steps, states or [None] * len(steps), strict=True):
                x, state = step(x, state)
                after.append(state)
            return x, after

        return chain
    name = getattr(compression, "__name__", type(compression).__name__)
    if reason := getattr(compression, "whole_clip", ""):
        raise ValueError(f"compression={name} cannot stream: {reason}")
    if not hasattr(compression, "step"):
        raise ValueError(
            f"compression={name} cannot stream: must have a step(frames, state) -> (frames, state), as leaf.PCEN has"
        )
    if not isinstance(compression, Framewise) and _overrides(type(compression), "forward", "step"):
        raise ValueError(f"compression={name} cannot stream: it overrides forward, but not the step that would run")
    step: Step = compression.step
    return step


def _overrides(kind: type, name: str, other: str) -> bool:
    """Tell whether a class defines ``name`` nearer to itself than ``other``."""
    owners = [next((i for i, base in enumerate(kind.__mro__) if n in vars(base)), 0) for n in (name, other)]
    return owners[0] < owners[1]


@torch.no_grad()
def stream(chunks: Iterable[Tensor], bank: Bank, step: Step, weight: Tensor, n_samples: int | None) -> Iterator[Tensor]:
    """Frames of audio in chunks, see :meth:`leaf.Leaf.stream`."""
    seen, batch, state = 0, None, None
    for chunk in chunks:
        if isinstance(chunk, Tensor) and chunk.ndim in (2, 3) and chunk.shape[-1] == 0:
            continue
        x = waveform(chunk, weight)
        batch = x.shape[0] if batch is None else batch
        if x.shape[0] != batch:
            raise ValueError(f"a chunk of shape {tuple(chunk.shape)}: must have {batch} clips, as those before")
        seen += x.shape[-1]
        if n_samples is not None and seen > n_samples:
            raise ValueError(f"n_samples={n_samples}: must be the length of all chunks, {seen} up to now")
        for piece in torch.split(x, BLOCK, -1):
            frames = bank.push(piece)
            if frames is not None:
                y, state = step(frames, state)
                yield y
    if not seen:
        raise ValueError("chunks hold no samples: must have at least one")
    if n_samples is not None and seen != n_samples:
        raise ValueError(f"n_samples={n_samples}: must be the length of all chunks, {seen}")
    frames = bank.finish()
    if frames is not None:
        yield step(frames, state)[0]


def length(n_samples: int | None) -> int | None:
    """Checks ``n_samples``: None or at least 1."""
    return None if n_samples is None else count("n_samples", n_samples, sys.maxsize)
