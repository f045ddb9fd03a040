"""Build the frontend that a file of weights holds: a rung's, or a public port's with what the port adds to LEAF."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

import leaf
from parity.adapters import layouts
from parity.adapters.layouts import PUBLIC, PublicPort
from parity.oracle.config import FLOOR
from parity.weights.array_files import original_variables
from parity.weights.contents import Array, naming
from parity.weights.frontend_config import FIXED, FrontendConfig, build, typed
from parity.weights.infer_config import infer
from parity.weights.load_weights import load_weights, open_file
from parity.weights.stored import Description, described, load

UNSAID = ("sample_rate", "window_len", "window_stride")  # no file of weights says these
UNSAID_OF_MEL = ("n_filters", "n_fft", "min_freq", "max_freq")  # nor these of the frontend that has no variables


class StoredFrontend(NamedTuple):
    """A frontend in a file: its scope, what the file says of it, and its arrays as they are stored."""

    scope: str
    hints: dict[str, str]
    arrays: dict[str, Array]


class BuiltFrontend(NamedTuple):
    """A module in evaluation mode, what it is, and the settings that neither the file nor the user said."""

    module: nn.Module
    about: Description
    assumed: dict[str, Any]


def read_frontend(path: Path, scope: str | None = None) -> StoredFrontend:
    """Read a frontend's arrays from a file of weights; refused as by :func:`parity.load_weights`."""
    with naming(path):
        contents = open_file(path)
        scope = contents.choose_scope(scope)
        return StoredFrontend(scope, contents.hints(scope), contents.read(scope))


def build_from_file(source: Path, scope: str | None, settings: Mapping[str, Any]) -> BuiltFrontend:
    """Build what ``leaf-ladder convert`` wrote as it says itself, any other file's frontend by its variables.

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
        return BuiltFrontend(load(source), about, {})
    scope, hints, arrays = read_frontend(source, scope)
    variables = original_variables(arrays)
    assumed: dict[str, Any] = {}
    module: nn.Module
    if hints.get("layout") == "simplified" or "port" in hints:
        config = infer(variables, hints, {name: value for name, value in given.items() if name != "padding"})
        logs = bool(layouts.holds_logarithms(arrays))
        options = {"padding": given.get("padding", "centered"), "learn_logs": logs}
        module = _leaf(config, **options)
        about = Description("leaf", "float32", config, options)
        if "port" not in hints:
            assumed = {"rung": "leaf", "padding": options["padding"]}
    else:
        config = infer(variables, hints, given)
        module = build(config)
        about = Description("og_leaf", "float32", config, {})
    load_weights(module, source, scope=scope)
    unsaid = (*UNSAID, *(UNSAID_OF_MEL if config.frontend == "MelFilterbanks" else ()))
    unsaid += ("pcen_floor",) if "pcen" in config.compression else ()
    assumed |= {name: getattr(config, name) for name in unsaid if name not in FIXED[config.frontend]}
    return BuiltFrontend(module, about, {name: value for name, value in assumed.items() if name not in given})


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
    _, hints, held = read_frontend(path)
    port = PUBLIC.get(hints.get("port", ""))
    if port is None:
        return build_from_file(path, None, settings).module
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
    """Put zeros before and after, by a port's rule, pool, and add a bias [C] or None: [B, C, T] -> [B, C, frames].

    The ``pooling`` is ``og_leaf``'s, and pads nothing from now on.
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
