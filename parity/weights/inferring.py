"""Infer a frontend from its variables: the class of its filters, and its whole configuration by shapes and names.

Two frontends of equal shapes may differ in what no variable says, padding, rate or floor: a warning names that.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from parity.adapters import canonical
from parity.adapters.canonical import Variables
from parity.adapters.refusals import SIMPLIFIED
from parity.oracle.config import FLOOR
from parity.weights.frontends import CONVOLUTIONS, FIXED, FrontendConfig

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


Facts = dict[str, Any]
# of what the original's variables are written with, whatever file or mapping holds them
ORIGINAL: Facts = {"padding": "same", "clamp": FLOOR}
CENTERED: Facts = {**ORIGINAL, "padding": "centered"}  # of public ports: frames as simplified LEAF's
ALONE: Facts = {"wrap": False}  # nothing is put around the frontend


def facts_of(rung: str, module: Any) -> Facts:
    """Collect what a frontend computes with beside its parameters; Hz and ms, what it does not have left out."""
    lengths = ("sample_rate", "window_len", "window_stride")
    facts = {**ALONE, **{name: float(getattr(module, name)) for name in lengths if hasattr(module, name)}}
    if rung not in SIMPLIFIED:
        floor = getattr(getattr(module, "_compress_fn", None), "_floor", None)
        return {**facts, **ORIGINAL, **({} if floor is None else {"eps": float(floor)})}
    facts["padding"] = getattr(module, "padding", "centered")  # efficientleaf has no other
    pcen = module.compression
    facts["n_taps"] = module.filterbank.pool_size
    if hasattr(pcen, "learn_logs"):
        facts.update(clamp=pcen.clamp, eps=float(pcen.eps))
    return facts


def warn_of_differences(source: Mapping[str, Any], module: Mapping[str, Any], origin: str, stacklevel: int) -> None:
    """Warn, once for all, of facts that a source and a module do not share: with the same weights they compute other
    numbers.

    Args:
        source, module: facts; those that either does not have are not known, and not compared.
        origin: what the source is, for the message.
        stacklevel: of the caller that is told.
    """
    differ = [name for name, value in source.items() if name in module and module[name] != value]
    if not differ:
        return
    said = ", ".join(f"{name}={module[name]!r} where {origin} has {source[name]!r}" for name in differ)
    frames = "; its frames stand elsewhere: padding='same' is TensorFlow's" if "padding" in differ else ""
    warnings.warn(
        f"load_weights: the weights are set, but the module has {said}, and computes other numbers with them{frames}",
        UserWarning,
        stacklevel=stacklevel,
    )


def infer(found: Mapping[str, Any], hints: Mapping[str, str], given: Mapping[str, Any]) -> FrontendConfig:
    """Find the configuration that holds these variables.

    What is given counts, then what the frontend's class fixes, then what the file says, then what the shapes mean. No
    file says the sample rate, the lengths and PCEN's floor: they are the original's defaults unless given.

    Args:
        found: variables by the canonical or the original's names.
        hints: what the file says beside them, see :meth:`parity.weights.checkpoints.Contents.hints`.
        given: settings of :class:`FrontendConfig`.

    Raises:
        TypeError, ValueError: a value is no array of finite real numbers; or the configuration cannot be told (names
            the setting to give and what it may be), or is not that of the variables.
    """
    if other := sorted(name for name in found if hints.get("rung") == "leaf" and name.startswith("compression.")):
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
    classes, _ = told(kernel, hints)
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
    """Squared modulus halves the channels; of the others, nothing is left in the variables."""
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
    taps = {name: variables[name].shape[0] for name in (canonical.KERNEL, canonical.POOLING) if name in variables
            and variables[name].ndim == 3}  # fmt: skip
    if canonical.POOLING_2D in variables:
        taps[canonical.POOLING_2D] = variables[canonical.POOLING_2D].shape[1]
    for name, found in taps.items():
        if found != config.window:
            raise ValueError(
                f"variable {name!r}: {found} taps, but sample_rate={config.sample_rate}, "
                f"window_len={config.window_len} mean {config.window}: give these two"
            )
