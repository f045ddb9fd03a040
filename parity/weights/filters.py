"""Which class of filters a source has: several hold variables of the same name and shape that mean something else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from parity.adapters import canonical
from parity.adapters.canonical import Variables
from parity.adapters.refusals import SIMPLIFIED
from parity.weights.frontends import CONVOLUTIONS, FIXED

OF_KERAS = ("Conv1D", "FFTConv1D")  # they name and store their kernel alike
HERTZ = 4.0  # mu is kept in [0, pi] rad/sample, and what trained without that limit is just outside


def class_of(rung: str, module: Any) -> str:
    """The class of a module's filters by the original's name; nothing where it has none, or one of its own."""
    if rung in SIMPLIFIED:
        return "GaborConv1D"
    mro = type(getattr(module, "_complex_conv", None)).__mro__
    return next((cls.__name__ for cls in mro if cls.__name__ in CONVOLUTIONS), "")


def told(kernel: NDArray[Any], hints: Mapping[str, str]) -> tuple[tuple[str, ...], str]:
    """The classes that a kernel may be of, the likeliest first, and why no other.

    Args:
        kernel: [filters, 2] or [taps, 1, channels].
        hints: what the source says beside it, see :meth:`parity.weights.checkpoints.Contents.hints`.
    """
    fixed = FIXED.get(hints.get("frontend", ""), {}).get("conv1d_cls")
    if said := hints.get("conv1d_cls") or fixed:
        return (said,), "as the source says"
    if kernel.ndim == 2:
        largest = float(np.abs(kernel[:, 0]).max())
        if largest > HERTZ:
            return ("SincConv1D",), f"column 0 reaches {largest:g}, which is Hz"
        # one filter may be a low-pass of Hz; several, none of which starts above 3 Hz, are none that one trains
        if len(kernel) > 1 and largest <= np.float32(np.pi):
            return ("GaborConv1D",), f"column 0 reaches no more than {largest:g}, which is rad/sample"
        return ("GaborConv1D", "SincConv1D"), "by its values"
    among = {"keras": OF_KERAS, "own": ("NormalizedConv1D",)}.get(hints.get("kernel", ""))
    return among or (*OF_KERAS, "NormalizedConv1D"), "by the name of its kernel"


def require_same_filters(rung: str, module: Any, variables: Variables, hints: Mapping[str, str]) -> None:
    """Refuse a source whose filters are certain to be of another class than the module's.

    Raises:
        ValueError: names both.
    """
    own = class_of(rung, module)
    name = next((name for name in (canonical.KERNEL, canonical.CONV) if name in variables), "")
    if not own or not name:
        return
    classes, why = told(variables[name], hints)
    if own not in classes:
        raise ValueError(f"variable {name!r}: is of {' or '.join(classes)} ({why}), must be of the module's {own}")
