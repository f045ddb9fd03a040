"""Infer a frontend's configuration from its variables, and from what a file says beside them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from parity.adapters import canonical
from parity.adapters.canonical import CONV, KERNEL, SIMPLIFIED, Variables
from parity.adapters.rungs import Rung
from parity.cases.subjects import CONVOLUTIONS
from parity.weights.contents import Array
from parity.weights.frontend_config import FIXED, FrontendConfig


def infer(found: Mapping[str, Any], hints: Mapping[str, str], given: Mapping[str, Any]) -> FrontendConfig:
    """Find the configuration that holds these variables.

    A given setting is taken first, then what the frontend's class fixes, what the file says, and what shapes mean. No
    file says the sample rate, the lengths and PCEN's floor: they are the original's defaults unless given.

    Args:
        found: variables by the canonical or the original's names.
        hints: see :meth:`parity.weights.contents.Contents.hints`.
        given: settings of :class:`FrontendConfig`.

    Raises:
        TypeError, ValueError: a value is no array of finite real numbers; or the configuration cannot be told (names
            the setting to give and what it may be), or is not that of the variables.
    """
    other = sorted(name for name in found if name.startswith("compression."))
    if other and hints.get("layout") == "simplified":
        raise ValueError(
            f"variables {other}: must be those of PCEN to be carried, another compression is none of LEAF's"
        )
    variables = canonical.canonical(found)
    frontend = {**hints, **given}.get("frontend", "Leaf")
    if frontend not in FIXED:
        return FrontendConfig.of(**given)  # refuses
    if frontend == "MelFilterbanks":
        return FrontendConfig.of(**{"frontend": frontend, **given})
    if not variables:
        raise ValueError("no variables: only frontend='MelFilterbanks' has none; give it and its settings")
    said = {**hints, **FIXED[frontend], **given}
    settings: dict[str, Any] = {"preemp": canonical.PREEMP in variables, "mean_var_norm": canonical.GAMMA in variables}
    settings.update(_filters(variables, said, hints))
    settings["pooling_cls"] = said.get("pooling_cls") or _pooling(variables)
    settings["compression"] = said.get("compression") or _compression(variables)
    settings["activation"] = said.get("activation") or _activation(variables, settings)
    if settings["compression"] == "fixed_pcen":
        settings["pcen_floor"] = 1e-6  # of PCENLayer() as it is; that of Leaf's own default is 1e-12
    config = FrontendConfig.of(**{"frontend": frontend, **settings, **given})
    _require_window(config, variables)
    return config


def _filters(variables: Variables, said: Mapping[str, Any], hints: Mapping[str, str]) -> dict[str, Any]:
    kernel = variables.get(canonical.KERNEL)
    if kernel is None:
        raise ValueError(f"variables {sorted(variables)}: no filters ({canonical.KERNEL!r}) among them")
    if kernel.ndim not in (2, 3):
        raise ValueError(
            f"variable {canonical.KERNEL!r}: shape {kernel.shape}, must be [filters, 2] or [taps, 1, channels]"
        )
    classes, _ = possible_classes(kernel, hints)
    if "conv1d_cls" not in said and kernel.ndim == 3 and len(classes) > 1:
        among = " or ".join(map(repr, classes))
        raise ValueError(f"conv1d_cls: must be given, {among}: they store the same variables")
    n_filters = len(kernel) if kernel.ndim == 2 else kernel.shape[2] // 2
    return {"n_filters": n_filters, "conv1d_cls": said.get("conv1d_cls", classes[0])}


def _pooling(variables: Variables) -> str:
    if canonical.POOLING_2D in variables:
        return "LearnablePooling1D"
    if canonical.POOLING not in variables:
        return "MaxPooling1D"
    return "GaussianLowpass" if variables[canonical.POOLING].ndim == 4 else "ChannelWiseLearnablePooling1D"


def _compression(variables: Variables) -> str:
    if canonical.SMOOTH in variables:
        same = variables[canonical.SMOOTH].shape == variables.get(canonical.ALPHA, variables[canonical.SMOOTH]).shape
        return "pcen" if same else "shared_pcen"
    if canonical.ALPHA in variables:
        return "fixed_pcen"
    if canonical.NORM_GAMMA in variables:
        return "layer_norm"
    raise ValueError("compression: must be given, 'log' or 'none': neither has variables")


def _activation(variables: Variables, settings: Mapping[str, Any]) -> str:
    """Tell the squared modulus, which halves the channels; of the others, nothing is left in the variables."""
    n_outputs = settings["n_filters"] * (1 if settings["conv1d_cls"] == "SincConv1D" else 2)
    widths = [
        len(variables[name]) for name in (canonical.ALPHA, canonical.NORM_GAMMA, canonical.GAMMA) if name in variables
    ]
    if canonical.POOLING in variables:
        widths.append(variables[canonical.POOLING].shape[2])
    if (widths and widths[0] != n_outputs // 2) or settings["conv1d_cls"] == "SincConv1D":
        raise ValueError("activation: must be given, 'leaky_relu', 'relu' or 'none': none of them has variables")
    return "squared_modulus"


def _require_window(config: FrontendConfig, variables: Variables) -> None:
    """Refuse lengths that are not those of the taps that the variables have."""
    axes = {canonical.KERNEL: 0, canonical.POOLING: 0, canonical.POOLING_2D: 1}  # where they are taps
    for name, axis in axes.items():
        if name not in variables or (axis == 0 and variables[name].ndim != 3):
            continue
        if (found := variables[name].shape[axis]) != config.window:
            raise ValueError(
                f"variable {name!r}: {found} taps, but sample_rate={config.sample_rate}, "
                f"window_len={config.window_len} mean {config.window}: give these two"
            )


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
