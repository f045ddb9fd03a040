"""Refuse filters of another class whose variables have the same names and shapes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from parity.adapters.canonical import CONV, KERNEL, Variables
from parity.adapters.refusals import SIMPLIFIED
from parity.adapters.rungs import Rung
from parity.weights.contents import Array
from parity.weights.frontend_config import CONVOLUTIONS, FIXED

OF_KERAS = ("Conv1D", "FFTConv1D")  # they name and store their kernel alike
HERTZ = 4.0  # Gabor centres lie in [0, pi] rad/sample, or just outside where training did not limit them


def class_in_module(rung: Rung, module: Any) -> str:
    """Name the original's class of a module's filters; nothing where it has none, or one of the user's."""
    if rung.name in SIMPLIFIED:
        return "GaborConv1D"
    mro = type(getattr(module, "_complex_conv", None)).__mro__
    return next((cls.__name__ for cls in mro if cls.__name__ in CONVOLUTIONS), "")


def possible_classes(kernel: Array, hints: Mapping[str, str]) -> tuple[tuple[str, ...], str]:
    """List the classes that a kernel, [filters, 2] or [taps, 1, channels], may be of, likeliest first; say why.

    ``hints`` are the source's, see :meth:`parity.weights.contents.Contents.hints`.
    """
    fixed = FIXED.get(hints.get("frontend", ""), {}).get("conv1d_cls")
    if said := hints.get("conv1d_cls") or fixed:
        return (said,), "as the source says"
    if kernel.ndim == 2:
        largest = float(np.abs(kernel[:, 0]).max())
        if largest > HERTZ:
            return ("SincConv1D",), f"column 0 reaches {largest:g}, which is Hz"
        # one filter may be a low-pass in Hz; nobody trains several that all start under 3 Hz
        if len(kernel) > 1 and largest <= np.float32(np.pi):
            return ("GaborConv1D",), f"column 0 reaches no more than {largest:g}, which is rad/sample"
        return ("GaborConv1D", "SincConv1D"), "by its values"
    among = {"keras": OF_KERAS, "own": ("NormalizedConv1D",)}.get(hints.get("kernel", ""))
    return among or (*OF_KERAS, "NormalizedConv1D"), "by the name of its kernel"


def require_same_class(own: str, variables: Variables, hints: Mapping[str, str]) -> None:
    """Refuse a source whose filters are certain to be of another class than the module's; names both."""
    name = next((name for name in (KERNEL, CONV) if name in variables), "")
    if not own or not name:
        return
    classes, why = possible_classes(variables[name], hints)
    if own not in classes:
        raise ValueError(f"variable {name!r}: is of {' or '.join(classes)} ({why}), must be of the module's {own}")
