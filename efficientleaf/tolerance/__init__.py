"""LEAF's energies within a proven error: audio in blocks, each band at as few points as its bandwidth allows.

LEAF's band filters audio x by a complex Gabor, squares and pools by a window w:

    y[t] = sum_n h[n] x[t + n],        e = sum_t w[t] |y[t]|^2.

**Blocks.** The audio is cut into blocks that overlap by a filter's length. With the block's DFT X of N points and the
filter's response G, ``y[t] = sum_k X[k] G[k] exp(i w_k t) / N`` is exact for all t but those within a filter's reach of
the block's ends, which the blocks beside it yield.

**Few bins.** A Gabor is narrow: most of G is negligible. What it does to e to leave out such bins is a theorem of
three lines, in :mod:`~efficientleaf.tolerance.bound`; :mod:`~efficientleaf.tolerance.plan` takes from it, and from the
weights alone, how many bins each band needs.

**Few points.** With n bins, |y|^2 is a trigonometric polynomial of degree n - 1. Its values at 2 n points of the circle
determine it, and weights for these points give ``sum_t w[t] |y[t]|^2`` exactly, whatever w is: a window that the end of
a block or of the clip cuts needs other weights, and nothing else. So an inverse FFT of 2 n points takes the place of
one of N. :mod:`~efficientleaf.tolerance.blocks` computes this, forward and backward.

**Cut kernels.** LEAF's window cuts the kernels of the lowest bands at 6 to 11 % of their peak. Such a kernel answers to
every frequency, by some -60 dB. Where a promise does not allow to leave that out, the band is computed at full rate: at
all N points, without an error but rounding. The smaller the ``dynamic_range``, the fewer bands are.

**Weights that are learned.** Responses and weights of points are differentiable functions of centre, sigma and width.
Only the number of bins is a choice, and the bound holds for any that is large enough.
"""

from __future__ import annotations

from efficientleaf.tolerance.module import ToleranceFilterbank
from efficientleaf.tolerance.plan import Plan

__all__ = ["Plan", "ToleranceFilterbank"]
