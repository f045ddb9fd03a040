"""Check the arguments that only this rung has; see :mod:`leaf._runtime.checks` for the others."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from leaf._runtime.checks import MOST_VALUES, shown

# What makes EfficientLEAF's energies other than LEAF's: kernels of another length than the window, the decimation,
# its missing gain, windows narrower than LEAF's, taps beyond LEAF's window, and the lower limit of sigma.
SOURCES = ("kernel", "rate", "gain", "width", "span", "sigma")


def sources(exact: Any) -> frozenset[str]:
    """Names of ``SOURCES``. Raises TypeError for no collection of names, ValueError for another name."""
    message = f"exact={shown(exact)}: must be a collection of {', '.join(map(repr, SOURCES))}"
    if not isinstance(exact, Collection) or getattr(exact, "shape", None) == ():
        raise TypeError(message)
    if isinstance(exact, str) or not all(isinstance(name, str) and name in SOURCES for name in exact):
        raise ValueError(message)
    return frozenset(exact)


def kernels(conv_win_factor: float, n_filters: int, longest: int, pool_size: int) -> None:
    """Raises ValueError where kernels are longer than two windows, and have over 2**21 taps, which fill the memory."""
    if longest > 2 * pool_size and longest * n_filters > MOST_VALUES // 4:
        raise ValueError(
            f"conv_win_factor={conv_win_factor:g}: must be lower: {n_filters} kernels of {longest} taps are more than "
            f"{MOST_VALUES // 4} taps"
        )
