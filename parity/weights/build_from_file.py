"""Build the module that a file of weights describes: a rung's, or a public port's with what the port adds to LEAF."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

import leaf
from parity.adapters import canonical, layouts
from parity.adapters.canonical import Variables
from parity.adapters.public import PUBLIC, PublicPort
from parity.oracle.config import FLOOR
from parity.weights.frontend_config import FIXED, FrontendConfig, build, typed
from parity.weights.load_weights import load_weights, open_file, told
from parity.weights.stored import Description, described, load

UNSAID = ("sample_rate", "window_len", "window_stride")  # no file of weights says these
UNSAID_OF_MEL = ("n_filters", "n_fft", "min_freq", "max_freq")  # nor these of the frontend that has no variables


class Reading(NamedTuple):
    """A module in evaluation mode, what it is, and the settings that neither the file nor the user said."""

    module: nn.Module
    about: Description
    assumed: dict[str, Any]


def read(source: Path, scope: str | None, settings: Mapping[str, Any]) -> Reading:
    """Read a file of weights: what ``leaf-ladder convert`` wrote as it says itself, any other by its variables.

    Of the others, a state dict of ``leaf`` becomes a ``leaf.Leaf``, whose ``padding`` may be given too, ``centered``
    being assumed. That is what public ports have, so theirs becomes a ``leaf.Leaf`` as well. The rest is ``og_leaf``.

    ``scope`` is as for :func:`parity.load_weights`, which says what is refused; ``settings``, see :func:`typed`, are of
    the frontend where the file does not say them. Where they are too few (see :func:`infer`), or the file says
    otherwise, that is a ValueError.
    """
    given = typed(settings)
    if about := described(source):
        held = {**about.config.as_dict(), "padding": about.padding}
        for name, value in given.items():
            if value != held[name]:
                raise ValueError(f"{name}={value!r}: must be {held[name]!r}, with which {str(source)!r} was written")
        return Reading(load(source), about, {})
    contents = open_file(source)
    where = contents.chosen(scope)
    hints, variables = contents.hints(where), contents.variables(where)
    assumed: dict[str, Any] = {}
    module: nn.Module
    if hints.get("rung") == "leaf" or "port" in hints:
        config = infer(variables, hints, {name: value for name, value in given.items() if name != "padding"})
        logs = bool(layouts.holds_logarithms(contents.held(where)))
        options = {"padding": given.get("padding", "centered"), "learn_logs": logs}
        module = _leaf(config, **options)
        about = Description("leaf", "float32", config, options)
        if "port" not in hints:
            assumed = {"rung": "leaf", "padding": options["padding"]}
    else:
        config = infer(variables, hints, given)
        module = build(config)
        about = Description("og_leaf", "float32", config, {})
    load_weights(module, source, scope=where)
    unsaid = (*UNSAID, *(UNSAID_OF_MEL if config.frontend == "MelFilterbanks" else ()))
    unsaid += ("pcen_floor",) if "pcen" in config.compression else ()
    assumed |= {name: getattr(config, name) for name in unsaid if name not in FIXED[config.frontend]}
    return Reading(module, about, {name: value for name, value in assumed.items() if name not in given})


def _leaf(config: FrontendConfig, padding: str, learn_logs: bool) -> leaf.Leaf:
    """Build a fresh ``leaf.Leaf`` for a state dict, its PCEN floored as LEAF's."""
    if (config.frontend, config.conv1d_cls, config.compression) != ("Leaf", "GaborConv1D", "pcen"):
        raise ValueError(f"settings {config}: must be those of Leaf with PCEN, as leaf's state dict has it")
    pcen = leaf.PCEN(
        config.n_filters, alpha=0.96, delta=2.0, r=0.5, eps=config.pcen_floor, learn_logs=learn_logs, clamp=FLOOR
    )
    return leaf.Leaf(
        config.n_filters,
        max_freq=min(7800.0, config.sample_rate / 2),
        sample_rate=config.sample_rate,
        window_len=config.window_len,
        window_stride=config.window_stride,
        compression=pcen,
        padding=padding,
    ).eval()


def load_wrapped(path: Path, settings: Mapping[str, Any]) -> nn.Module:
    """Build the frontend of a state dict, a public port's with its own departures; see :func:`parity.load`."""
    contents = open_file(path)
    where = contents.chosen(None)
    hints = contents.hints(where)
    port = PUBLIC.get(hints.get("port", ""))
    if port is None:
        return read(path, None, settings).module
    held = contents.held(where)
    variables = port.variables(held)
    config = infer(variables, hints, settings)
    if config.compression == "log":
        raise ValueError(f"compression='log': must be 'pcen' or 'none', {port.repository} has no log with its offset")
    n_taps = port.n_taps(held)
    if n_taps not in (None, config.window):
        raise ValueError(
            f"sample_rate={config.sample_rate}, window_len={config.window_len}: must be those of a window of {n_taps} "
            f"samples, as path={str(path)!r} has it, and mean {config.window}: give these two"
        )
    module = build(config)
    load_weights(module, variables)
    bias = torch.as_tensor(held[port.bias]) if port.bias in held else None
    return _placed(module, port, config.window, bias)


def _placed(module: Any, port: PublicPort, window: int, bias: torch.Tensor | None) -> nn.Module:
    """Make an ``og_leaf.Leaf`` pad as a port does, and add its bias."""
    before, after = port.pads(window)
    earlier = before - (window - 1) // 2, after - window // 2  # than SAME, which the convolution has by itself
    if any(earlier):
        module._complex_conv = nn.Sequential(nn.ConstantPad1d(earlier, 0.0), module._complex_conv)
    module._pooling = PlacedPooling(module._pooling, (before, after), bias)
    frontend: nn.Module = module.eval()
    return frontend


class PlacedPooling(nn.Module):
    """A pooling with zeros put before and after by a port's rule, and its bias: [B, C, T] -> [B, C, frames].

    Args:
        pooling: of ``og_leaf``; it pads nothing from now on.
        pads: zeros before and after.
        bias: [C], added to the energies; None for none.
    """

    def __init__(self, pooling: Any, pads: tuple[int, int], bias: torch.Tensor | None) -> None:
        super().__init__()
        pooling.padding = "VALID"
        self.pooling, self.pads = pooling, pads
        self.bias = None if bias is None else nn.Parameter(bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Pool squared moduli."""
        y: torch.Tensor = self.pooling(nn.functional.pad(x, self.pads))
        return y if self.bias is None else y + self.bias[:, None]


def infer(found: Mapping[str, Any], hints: Mapping[str, str], given: Mapping[str, Any]) -> FrontendConfig:
    """Find the configuration that holds these variables.

    What is given counts, then what the frontend's class fixes, then what the file says, then what the shapes mean. No
    file says the sample rate, the lengths and PCEN's floor: they are the original's defaults unless given.

    Args:
        found: variables by the canonical or the original's names.
        hints: see :meth:`parity.weights.contents.Contents.hints`.
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
