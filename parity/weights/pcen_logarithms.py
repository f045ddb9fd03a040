"""Turn PCEN's parameters from values into logarithms and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from parity.adapters.canonical import Variables
from parity.oracle.arrays import Array

if TYPE_CHECKING:
    import leaf

PARAMETERS = ("s", "alpha", "delta", "r")


def relearned(pcen: leaf.PCEN, learn_logs: bool, dtype: str | None = None) -> leaf.PCEN:
    """Make the same PCEN, with its parameters held as logarithms or as values.

    Args:
        pcen: left as it is.
        learn_logs: of the new one; what is held so already is copied, wherever it lies.
        dtype: of the new one, ``"float32"`` or ``"float64"``; the given one's by default.

    Raises:
        ValueError: ``learn_logs`` is no bool; or as :func:`to_logarithms` and :func:`to_values`.
    """
    import leaf

    if not isinstance(learn_logs, bool):
        raise ValueError(f"learn_logs={learn_logs!r}: must be True or False")
    held = {name: getattr(pcen, name).detach().cpu().numpy() for name in PARAMETERS}
    if learn_logs != pcen.learn_logs:
        held = (to_logarithms if learn_logs else to_values)(held, dtype)
    new = leaf.PCEN(pcen.num_bands, eps=pcen.eps, learn_logs=learn_logs, clamp=pcen.clamp, form=pcen.form)
    new.to(pcen.s.device, getattr(torch, dtype) if dtype else pcen.s.dtype)
    with torch.no_grad():
        for name, value in held.items():
            getattr(new, name).copy_(torch.as_tensor(value))
    return new.train(pcen.training)


def to_logarithms(linear: Mapping[str, Array], dtype: str | None = None) -> Variables:
    """Turn what ``learn_logs=False`` holds into what ``learn_logs=True`` does.

    Args:
        linear: s and alpha in (0, 1], delta > 0, and r, the root's inverse, >= 1; arrays of float32 or float64.
        dtype: of the result; that of each array by default.

    Returns:
        Logarithms, that of ``r`` being of the root; in the shapes given.

    Raises:
        ValueError: a parameter is missing, or a value is outside of these ranges; names it.
    """
    wide = _wide(linear)
    for name in ("s", "alpha"):
        _require(name, wide[name], (wide[name] > 0) & (wide[name] <= 1), "must lie in (0, 1]")
    _require("delta", wide["delta"], (wide["delta"] > 0) & np.isfinite(wide["delta"]), "must be above 0, and finite")
    inverse = (wide["r"] >= 1) & np.isfinite(wide["r"])
    _require("r", wide["r"], inverse, "must be at least 1, and finite: the root is 1 / r, limited to 1")
    return {n: _rounded(-np.log(v) if n == "r" else np.log(v), dtype or linear[n].dtype) for n, v in wide.items()}


def to_values(logarithms: Mapping[str, Array], dtype: str | None = None) -> Variables:
    """Turn what ``learn_logs=True`` holds into what ``learn_logs=False`` does.

    Args:
        logarithms: of s, alpha and the root, <= 0, and of delta; arrays of float32 or float64.
        dtype: of the result; that of each array by default.

    Returns:
        s, alpha, delta, and r, the root's inverse; in the shapes given.

    Raises:
        ValueError: a parameter is missing, or the value that a logarithm stands for is outside of the shared domain or
            of the normal numbers of its dtype; names it.
    """
    wide = _wide(logarithms)
    for name in ("s", "alpha", "r"):
        _require(name, wide[name], wide[name] <= 0, "must be at most 0, the logarithm of a value in (0, 1]")
    with np.errstate(over="ignore"):
        values = {n: _rounded(np.exp(-v if n == "r" else v), dtype or logarithms[n].dtype) for n, v in wide.items()}
    for name, value in values.items():
        normal = (value >= np.finfo(value.dtype).tiny) & np.isfinite(value)
        _require(name, wide[name], normal, f"its exponential must be a normal number of {value.dtype}")
    return values


def _wide(parameters: Mapping[str, Array]) -> Variables:
    if missing := [name for name in PARAMETERS if name not in parameters]:
        raise ValueError(f"parameters: missing {missing}, must be {list(PARAMETERS)}")
    return {name: np.asarray(parameters[name], dtype=np.float64) for name in PARAMETERS}


def _rounded(value: Array, dtype: Any) -> Array:
    with np.errstate(over="ignore", under="ignore"):
        return value.astype(dtype)


def _require(name: str, values: Array, allowed: NDArray[np.bool_], what: str) -> None:
    if not np.all(allowed):
        outside = values[~allowed].flat[0]
        raise ValueError(f"compression.{name}: value {outside:g}: {what}")
