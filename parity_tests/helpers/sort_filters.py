"""``sort_filters`` where centres are equal, as rungs 0 and 1 must have it.

The original sorts with ``tf.argsort``, which takes the largest of the negated values, the lower index first: a stable
order. Centres are sorted behind the constraint, so that all that lie beyond a limit are equal.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

N_FILTERS = 40  # PyTorch's other order is stable up to 16


def tied_kernel() -> NDArray[np.float32]:
    """Centres [C, 2] of which most have an equal, in the box or beyond it, each with a sigma of its own."""
    rng = np.random.default_rng(0)
    centres = rng.choice([-1.0, -0.0, 0.0, 0.4, 1.7, np.pi, 4.0], N_FILTERS)
    return np.stack([centres, rng.uniform(2, 8, N_FILTERS)], axis=1).astype(np.float32)


def sorted_kernel() -> NDArray[np.float32]:
    """The same in the order in which the original convolves them."""
    kernel = tied_kernel()
    return kernel[np.argsort(np.clip(kernel[:, 0], 0, np.float32(np.pi)), kind="stable")]


def audio() -> NDArray[np.float32]:
    """[1, 200]"""
    return np.random.default_rng(1).standard_normal((1, 200)).astype(np.float32)
