"""``leaf-ladder port init MODULE:CLASS``: a first description, by looking at a module's parameters and submodules.

Whatever is told by a shape or a name is filled in; what is not is left to the person, with a comment that says so.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from parity.adapters import canonical
from parity.oracle.config import LeafConfig

ARGUMENTS = {
    "config.n_filters": ("n_filters", "out_channels", "num_filters", "n_bands", "num_bands"),
    "config.sample_rate": ("sample_rate", "sr", "fs", "rate"),
    "config.window_len": ("window_len", "window_length_ms", "win_len"),
    "config.window_stride": ("window_stride", "hop_len", "stride_ms"),
}
FIXED = {"in_channels": 1}
# Parts of the names by which each variable is known, the surest first.
NAMES = {
    canonical.ALPHA: ("alpha",), canonical.DELTA: ("delta",), canonical.ROOT: ("root", "compression.r", "pcen.r"),
    canonical.SMOOTH: ("ema", "smooth", "compression.s", "pcen.s"), canonical.POOLING: ("pool",),
    canonical.PREEMP: ("preemp",), canonical.GAMMA: ("norm.weight", "norm.gamma"),
    canonical.BETA: ("norm.bias", "norm.beta"),
}  # fmt: skip
CENTRES, SIGMAS = ("center", "centre", "mu", "freq"), ("bandwidth", "sigma", "fwhm", "inv")
CONFIG = LeafConfig(n_filters=3, sample_rate=16000)
N_SAMPLES, BATCH = 1700, 2


@dataclass(frozen=True)
class Seen:
    """The shapes that a submodule took and gave."""

    path: str
    taken: tuple[int, ...]
    given: tuple[int, ...]


def draft(source: str) -> str:
    """Write the text of a description.

    Args:
        source: ``MODULE:CLASS``.

    Raises:
        ValueError: no such class, or one that cannot be built or run with what is known of its arguments.
    """
    cls = _class(source)
    arguments = _arguments(cls)
    config = {"n_filters": CONFIG.n_filters, "sample_rate": CONFIG.sample_rate, "window_len": CONFIG.window_len,
              "window_stride": CONFIG.window_stride}  # fmt: skip
    values = {
        name: config[text.removeprefix("config.")] if isinstance(text, str) else text
        for name, text in arguments.items()
    }
    try:
        module = cls(**values).eval()
    except Exception as error:
        raise ValueError(
            f"source={source!r}: {cls.__name__}({values}) raises {type(error).__name__}: {error}"
        ) from error
    audio, seen = _run(source, module)
    parameters, unknown = _parameters(module)
    stages = _stages(seen, module)
    return _text(source, cls, arguments, audio, parameters, unknown, stages)


def _class(source: str) -> Any:
    name, _, inside = source.partition(":")
    if not (name and inside):
        raise ValueError(f"source={source!r}: must be MODULE:CLASS")
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)
    try:
        cls = getattr(importlib.import_module(name), inside)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"source={source!r}: must be importable ({error})") from error
    if not (isinstance(cls, type) and issubclass(cls, nn.Module)):
        raise ValueError(f"source={source!r}: must be a torch.nn.Module class")
    return cls


def _arguments(cls: Any) -> dict[str, Any]:
    taken = inspect.signature(cls).parameters
    out: dict[str, Any] = {}
    for text, names in ARGUMENTS.items():
        if name := next((name for name in names if name in taken), None):
            out[name] = text
    return {**out, **{name: value for name, value in FIXED.items() if name in taken}}


def _run(source: str, module: nn.Module) -> tuple[str, list[Seen]]:
    """Find how the audio is taken, and what the submodules give, in the order of their calls."""
    x = torch.sin(torch.arange(BATCH * N_SAMPLES) * 0.37).reshape(BATCH, N_SAMPLES)
    problems = []
    for audio, shaped in (("bt", x), ("b1t", x[:, None]), ("bt1", x[..., None])):
        seen: list[Seen] = []
        hooks = [part.register_forward_hook(_keeper(path, seen)) for path, part in module.named_modules() if path]
        try:
            with torch.no_grad():
                y = module(shaped)
        except Exception as error:
            problems.append(f"{audio}: {type(error).__name__}")
            continue
        finally:
            for hook in hooks:
                hook.remove()
        if isinstance(y, Tensor) and y.ndim == 3 and y.shape[0] == BATCH and CONFIG.n_filters in y.shape[1:]:
            return audio, seen
    said = ", ".join(problems) or "its output has none of its channels"
    raise ValueError(f"source={source!r}: must take audio [B, T], [B, 1, T] or [B, T, 1] ({said})")


def _keeper(path: str, seen: list[Seen]) -> Any:
    def keep(part: nn.Module, given: Any, output: Any) -> None:
        if given and isinstance(given[0], Tensor) and isinstance(output, Tensor):
            seen.append(Seen(path, tuple(given[0].shape), tuple(output.shape)))

    return keep


def _parameters(module: nn.Module) -> tuple[dict[str, str | tuple[str, str]], list[str]]:
    left = {name: tuple(n for n in p.shape if n != 1) for name, p in module.named_parameters()}
    n, out = CONFIG.n_filters, dict[str, str | tuple[str, str]]()
    kernels = [name for name, shape in left.items() if shape == (n, 2)]
    centres = [k for k in left if left[k] == (n,) and any(part in k.lower().split(".")[-1] for part in CENTRES)]
    sigmas = [k for k in left if left[k] == (n,) and any(part in k.lower().split(".")[-1] for part in SIGMAS)]
    if kernels:
        out[canonical.KERNEL] = kernels[0]
        del left[kernels[0]]
    elif centres and sigmas:
        out[canonical.KERNEL] = (centres[0], sigmas[0])
        del left[centres[0]], left[sigmas[0]]
    for variable, parts in NAMES.items():
        wanted = (2,) if variable == canonical.PREEMP else (n,)
        fitting = [k for k, shape in left.items() if shape == wanted and "bias" not in k.replace("norm.bias", "")]
        found = next((k for part in parts for k in fitting if part in k.lower()), None)
        if found is not None:
            out[variable] = found
            del left[found]
    return out, list(left)


def _stages(seen: list[Seen], module: nn.Module) -> Mapping[str, str]:
    """Submodules by the sizes of what they give: parts at full rate, energies at full rate, at the rate of frames."""
    n, out = CONFIG.n_filters, dict[str, str]()
    frames = -(-N_SAMPLES // CONFIG.stride)
    last: Seen | None = None
    for part in seen:
        sizes = set(part.given)
        if "conv" not in out and 2 * n in part.given and max(sizes) >= N_SAMPLES - CONFIG.window:
            out["conv"] = part.path
        elif "pool" not in out and n in part.given and abs(max(sizes) - frames) <= CONFIG.window // CONFIG.stride + 1:
            out.setdefault("modulus", f"{part.path}:input" if n in part.taken and 2 * n not in part.taken else "")
            out["pool"] = part.path
        elif "pool" in out and n in part.given and max(sizes) <= 2 * frames:
            name = part.path.rsplit(".", 1)[-1].lower()
            if any(word in name for word in ("ema", "smooth")):
                out["ema"] = part.path
            else:
                last = part
    if last is not None:
        kind = "norm" if "norm" in last.path.lower() and "pcen" not in last.path.lower() else "pcen"
        out[kind] = last.path
        if kind == "pcen":
            out["floor"] = f"{last.path}:input"
    return {name: path for name, path in out.items() if path}


def _text(
    source: str, cls: Any, arguments: Mapping[str, Any], audio: str, parameters: Mapping[str, Any], unknown: list[str],
    stages: Mapping[str, str],
) -> str:  # fmt: skip
    module, _, name = source.partition(":")
    given = ", ".join(f"{key}={value}" for key, value in arguments.items())
    lines = [
        f'"""{source}, described by leaf-ladder port init: look it over, then run leaf-ladder port check on it."""', "",
        f"from {module} import {name}", "", "from parity import Port, certify", "", "PORT = Port(",
        f'    name="{module.split(".")[0]}",', '    claims="og_leaf",  # or "leaf", "efficientleaf"',
        f"    build=lambda config: {name}({given}),", "    parameters={",
    ]  # fmt: skip
    lines += [f"        {key!r}: {value!r},".replace("'", '"') for key, value in parameters.items()]
    missing = [key for key in canonical.expected_shapes(LeafConfig()) if key not in parameters]
    lines += [f"        # not found: {key}" for key in missing]
    lines += [f"        # no part of LEAF that is known: {key}" for key in unknown]
    lines += ["    },", "    stages={"]
    lines += [f"        {key!r}: {value!r},".replace("'", '"') for key, value in stages.items()]
    lines += ["    },", f'    audio="{audio}",']
    if fixed := [field for field, names in ARGUMENTS.items() if not any(name in arguments for name in names)]:
        held = {field.removeprefix("config."): getattr(LeafConfig(), field.removeprefix("config.")) for field in fixed}
        lines += [f"    configs={held},  # what its arguments do not say".replace("'", '"')]
    else:
        lines += ['    configs={"pcen_floor": 1e-12},  # what its arguments do not say']
    return "\n".join([*lines, ")", f"Test{cls.__name__} = certify(PORT)", ""])
