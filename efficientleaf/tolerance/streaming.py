"""Frames of audio that arrives in pieces."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from efficientleaf.tolerance.plan import Geometry
from leaf._runtime.streaming import Bank


class FrameBank(Bank):
    """A filterbank whose frames need a stretch of audio each: what they still need is held, and no more.

    Args:
        energies: audio [B, 1, n] to [B, C, frames], as if it were the whole.
        geometry: window and hop.
    """

    def __init__(self, energies: Callable[[Tensor], Tensor], geometry: Geometry) -> None:
        super().__init__([])
        self.energies, self.geometry = energies, geometry
        self._held: Tensor | None = None
        self._done = 0  # frames of what is held

    def push(self, x: Tensor) -> Tensor | None:
        """Frames [B, C, n] that audio [B, 1, n] completes; None if there are none."""
        held = x if self._held is None else torch.cat((self._held, x), -1)
        hop, reach = self.geometry.hop, 2 * self.geometry.half
        ready, done = max((held.shape[-1] - reach + hop - 1) // hop, 0), self._done
        e = self.energies(held)[..., done:ready] if ready > done else None
        ready = max(ready, done)
        kept = max(ready - self.geometry.hops_of_a_frame, 0)
        self._held, self._done = held[..., kept * hop :].clone(), ready - kept
        return e

    def finish(self) -> Tensor | None:
        """The frames that reach beyond the end."""
        if self._held is None:
            return None
        e = self.energies(self._held)[..., self._done :]
        return e if e.shape[-1] else None
