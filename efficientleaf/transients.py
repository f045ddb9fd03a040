"""What a coarse grid makes of a click: the error of its energies over the frames that hear it.

Beats (:mod:`efficientleaf.projection`) bound what is steady. A click is heard by few frames, by some in the flank of
their window, where an error that is small against a steady energy is not small against its own; least where windows
are narrow against the hop, and at the ends of a clip, where the frames that would hear it in full are missing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from efficientleaf.projection import FLOOR, Array

PHASES = 4  # of the hop, at which a clip may end


@dataclass(frozen=True)
class Grid:
    """A matrix from windows at full rate to windows on every ``stride``-th sample."""

    projection: Array
    stride: int


@dataclass(frozen=True)
class Click:
    """The energies over time of a filter's response to a full-scale click, in a frame by where its window stands.

    Attributes:
        energy: squares of the filter's taps [2 n + 1], the middle one the click's own place.
        hop: samples between frames.
    """

    energy: Array
    hop: int

    @classmethod
    def of(cls, taps: Array, hop: int) -> Click:
        """Of the filter's taps from its middle on."""
        return cls(np.concatenate([taps[:0:-1], taps]) ** 2, hop)

    def heard(self, window: Array, reach: int) -> Array:
        """The pooled energy of a click at -reach ... reach from the middle of a window: [2 reach + 1]."""
        found = np.convolve(window, self.energy)
        middle = len(found) // 2
        if middle >= reach:
            return np.asarray(found[middle - reach : middle + reach + 1])
        return np.pad(found, reach - middle)

    def _pair(self, window: Array, grid: Grid, reach: int) -> tuple[Array, Array]:
        points = grid.projection @ window
        spread = np.zeros(grid.stride * (len(points) - 1) + 1)
        spread[:: grid.stride] = points
        return self.heard(window, reach), self.heard(spread, reach)

    def inside(self, windows: Array, grid: Grid) -> float:
        """Largest relative error over the frames of a click in the middle of a clip: any place, any of the windows."""
        reach = -(-(windows.shape[1] + len(self.energy)) // self.hop) * self.hop
        worst = 0.0
        for window in windows:
            true, found = (np.maximum(part, FLOOR) for part in self._pair(window, grid, reach))
            # by its place between two frames, the frames that hear it
            off, size = ((part[:-1].reshape(-1, self.hop) ** 2).sum(axis=0) for part in (found - true, true))
            worst = max(worst, float(np.sqrt((off / size).max())))
        return worst

    def at_an_end(self, window: Array, inner: Grid, edge: Grid, n_edge: int) -> float:
        """The same near an end, whose last ``n_edge`` frames, cut, are on a finer grid."""
        half = len(window) // 2
        n_frames = n_edge + -(-half // self.hop) + 1
        place = np.arange(n_frames * self.hop)
        worst = 0.0
        for phase in range(0, self.hop, max(1, self.hop // PHASES)):
            off, size = np.zeros(len(place)), np.zeros(len(place))
            for k in range(n_frames):
                centre = k * self.hop + phase  # samples between the frame's middle and the end
                cut = window * (np.arange(-half, half + 1) >= -centre)
                reach = max(centre, len(place)) + 1
                true, found = self._pair(cut, edge if k < n_edge else inner, reach)
                true, found = (np.maximum(part[place - centre + reach], FLOOR) for part in (true, found))
                off, size = off + (found - true) ** 2, size + true**2
            worst = max(worst, float(np.sqrt((off / size).max())))
        return worst
