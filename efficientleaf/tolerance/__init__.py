"""LEAF's energies within a proven error, at the cost of a few products with the spectrum of each frame.

**A frame's energy is a quadratic form.** LEAF's band filters audio by a complex Gabor h, squares and pools by a
window w:

    e = sum_t w[t] |sum_n h[n] x[t + n]|^2 = x' Q x,    x the 2 W - 1 samples about the frame's middle.

**In frequency it is small.** The outputs y[t] that the window sees are, exactly, those of the frame's DFT of N >= 2 W
- 1 points: ``y[t] = sum_k X[k] G[k] exp(i w_k t) / N``, G the filter's response. So ``e = z* W z`` with z = G X and W
the Toeplitz matrix of the window's own transform. A Gabor is narrow: some 40 to 150 of 433 bins are not negligible.
:mod:`~efficientleaf.tolerance.bound` proves what leaving out the others does to e, and
:mod:`~efficientleaf.tolerance.plan` chooses them, from weights alone.

**It has low rank.** G W G = L L' with half as many columns as bins, so e is a sum of squares of products with L.
Audio is real and w is even, hence one real L serves the real and the imaginary parts of X. Where a band reaches
beyond frequency 0 or pi, the bins of its other side are folded onto these, and real and imaginary parts have an L
each.

**Weights that are learned.** G and W are differentiable functions of centre, sigma and width, and cheap: a transform
of the filters and one of the windows. :mod:`~efficientleaf.tolerance.forms` multiplies by G W G itself then; no
eigenvector is in a graph. Weights that stay have their L computed once.

**At the ends** of a clip the window is cut, and W is neither even nor real. |y|^2 of n bins is a trigonometric
polynomial of degree n - 1, so its values at 2 n - 1 points and their weights give these few frames.

**The lowest bands** have kernels that LEAF's window cuts at 6 to 11 % of their peak. Such a kernel answers to every
frequency, and the form has full rank: :mod:`~efficientleaf.tolerance.full_rate` computes every sample of these bands
by FFT. With a ``dynamic_range`` most of them need not be.
"""

from __future__ import annotations

from efficientleaf.tolerance.module import ToleranceFilterbank
from efficientleaf.tolerance.plan import Plan

__all__ = ["Plan", "ToleranceFilterbank"]
