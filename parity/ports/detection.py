"""Find what a description leaves out: the constructor's arguments, how audio is taken, parameters, stages.

Whatever is told by a name, a shape or a value at the start is taken; what is told by none is refused, with what it may
be. Stages that are found and read elsewhere than where they are computed are left out again by the examination.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from parity.adapters import canonical
from parity.cases.case import Case
from parity.checks.initial import CONSTANTS
from parity.oracle.config import LeafConfig
from parity.ports.drawing import telling
from parity.ports.layouts import AdapterError
from parity.ports.port import AUDIO, FOUND, INPUT, Port, said

# What the arguments of constructors are called, by what they are given.
ARGUMENTS = {
    "n_filters": ("n_filters", "out_channels", "num_filters", "n_bands", "num_bands", "n_mels"),
    "sample_rate": ("sample_rate", "sr", "fs", "rate"), "window_len": ("window_len", "window_length_ms", "win_len"),
    "window_stride": ("window_stride", "hop_len", "stride_ms"), "window": ("window", "window_size", "kernel_size"),
    "stride": ("stride", "hop", "hop_length"), "pcen_floor": ("pcen_floor", "eps", "floor"),
    "mean_var_norm": ("mean_var_norm",), "preemp": ("preemp",),
}  # fmt: skip
IN_SAMPLES = {"window_len": "window", "window_stride": "stride"}  # where a constructor counts in these
OPTIONS = ("mean_var_norm", "preemp")  # which a constructor is told only where the description speaks of them
ONE_CHANNEL: dict[str, Any] = {"in_channels": 1}
HIGHEST = 7800.0  # Hz, of the band that the rungs start from
# Parts of the names by which each parameter is known; one letter is a whole name.
MU, SIGMA = "centres", "sigmas"
NAMES = {
    canonical.KERNEL: ("kernel",), MU: ("center", "centre", "mu", "freq"),
    SIGMA: ("bandwidth", "sigma", "fwhm", "inv", "width"), canonical.POOLING: ("pool",),
    canonical.ALPHA: ("alpha",), canonical.DELTA: ("delta",), canonical.ROOT: ("root", "r"),
    canonical.SMOOTH: ("ema", "smooth", "s"), canonical.PREEMP: ("preemp",),
    canonical.GAMMA: ("norm.weight", "norm.gamma"), canonical.BETA: ("norm.bias", "norm.beta"),
}  # fmt: skip
OPTIONAL = (canonical.PREEMP, canonical.GAMMA, canonical.BETA)
CONVOLUTIONS = (torch.conv1d, torch.conv2d)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.InstanceNorm1d, nn.InstanceNorm2d)


def completed(port: Port) -> Port:
    """The same description with nothing left out; a port that is a function needs no more than its audio.

    Raises:
        AdapterError: what is left out cannot be found; names it and what it may be.
    """
    if isinstance(port.build, str | type):
        build, fixed = constructor(port)
        port = replace(port, build=build, configs={**fixed, **port.configs})
    config = whole(port).config
    built = port.build(config)
    if not isinstance(built, nn.Module):
        return replace(port, audio=port.audio or AUDIO[0])
    if not isinstance(port.holds, Holding):
        port = replace(port, holds=Holding(port.build, port.holds))
    if not port.audio:
        port = replace(port, audio=audio_of(built, config.n_filters, port))
    if missing := [n for n in canonical.expected_shapes(config) if n not in port.parameters]:
        found, may_be = parameters(built, config, port.parameters)
        if unclear := [name for name in missing if name not in {*found, *OPTIONAL}]:
            raise AdapterError(
                f"parameters: must name {unclear} as well, which may be "
                f"{' or '.join(may_be.get(unclear[0]) or sorted(may_be[''])) or 'nothing that is left'}"
            )
        port = replace(port, parameters={**dict.fromkeys(OPTIONAL), **found, **port.parameters})
    return port


def whole(port: Port) -> Case:
    """The telling case of a port with every option that it takes."""
    every: dict[str, Any] = {of: True for of in OPTIONS if True in (port.allowed(of) or ())}
    if "pcen" in (port.allowed("compression") or ()):
        every["compression"] = "pcen"
    case = telling(port)
    return replace(case, config=case.config.with_(**every))


@dataclass
class Holding:
    """Tell whether a port holds a configuration: what was said of it, and that its constructor takes it.

    Attributes:
        build: the port's.
        said: by the description.
        refused: by what was raised, a configuration.
    """

    build: Any
    said: Callable[[LeafConfig], bool]
    refused: dict[str, LeafConfig] = field(default_factory=dict)

    def __call__(self, config: LeafConfig) -> bool:
        """Tell it; the constructor is called."""
        if not self.said(config):
            return False
        try:
            self.build(config)
        except (ValueError, AssertionError, NotImplementedError) as error:
            self.refused.setdefault(said(error, 80), config)
            return False
        return True


def imported(source: str) -> Any:
    """Import ``MODULE:NAME``.

    Raises:
        ValueError: no such text, module or name.
    """
    name, _, inside = source.partition(":")
    if not (name and inside):
        raise ValueError(f"source={source!r}: must be MODULE:CLASS")
    try:
        return getattr(importlib.import_module(name), inside)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"source={source!r}: must be importable ({error})") from error


def constructor(port: Port) -> tuple[Callable[[LeafConfig], Any], dict[str, Any]]:
    """A function from a configuration to a module, and the fields that the constructor does not take."""
    cls = imported(port.build) if isinstance(port.build, str) else port.build
    taken = inspect.signature(cls).parameters
    by_name: dict[str, str] = {}
    for of, names in ARGUMENTS.items():
        name = next((name for name in names if name in taken), None)
        if name is not None and (of not in OPTIONS or of in port.configs):
            default = taken[name].default
            in_samples = of in IN_SAMPLES and isinstance(default, int) and default > LeafConfig().window_len
            by_name[name] = IN_SAMPLES[of] if in_samples else of
    given = {*by_name.values(), *(of for of, samples in IN_SAMPLES.items() if samples in by_name.values())}
    plain = {name: value for name, value in {**ONE_CHANNEL, **port.groups}.items() if name in taken}
    if port.claims == "efficientleaf" and isinstance(getattr(taken.get("compression"), "default", None), str):
        plain["compression"] = "pcen"
    own = port.arguments

    def build(config: LeafConfig) -> Any:
        arguments = {name: getattr(config, of) for name, of in by_name.items()}
        if port.claims != "og_leaf" and "max_freq" in taken:
            arguments["max_freq"] = min(HIGHEST, config.sample_rate / 2)
        return cls(**{**arguments, **plain, **(own(config) if callable(own) else own)})

    default = LeafConfig()
    fixed = ("n_filters", "sample_rate", "window_len", "window_stride", "pcen_floor")
    return build, {of: getattr(default, of) for of in fixed if of not in given}


def audio_of(module: nn.Module, n_filters: int, port: Port) -> str:
    """Find how the audio is taken.

    Raises:
        AdapterError: it is taken in none of the ways.
    """
    x, problems = torch.from_numpy(telling(port).input()), []
    for audio, shaped in (("bt", x), ("b1t", x[:, None]), ("bt1", x[..., None])):
        try:
            with torch.no_grad():
                y = module.eval()(shaped)
        except Exception as error:
            problems.append(f"{audio}: {said(error, 80)}")
            continue
        if isinstance(y, Tensor) and y.ndim >= 3 and len(y) == len(x) and n_filters in y.shape[1:]:
            return audio
        problems.append(f"{audio}: output of {tuple(y.shape) if isinstance(y, Tensor) else type(y).__name__}")
    raise AdapterError(f"audio: must take audio [B, T], [B, 1, T] or [B, T, 1] ({'; '.join(problems)})")


def parameters(
    module: nn.Module, config: LeafConfig, given: Mapping[str, Any]
) -> tuple[dict[str, str | tuple[str, str]], dict[str, list[str]]]:
    """Find a fresh module's parameters: by shape, then by name and by the value that LEAF starts them from.

    Args:
        module: the port's own.
        config: that it was built for.
        given: what is known already.

    Returns:
        keys by canonical name; and by the name of what was not found, what it may be, under "" whatever is left.
    """
    used = {key for keys in given.values() if keys for key in ((keys,) if isinstance(keys, str) else keys)}
    left = {k: p for k, p in module.named_parameters(remove_duplicate=False) if k not in used}
    shapes = {n: s for n, s in canonical.expected_shapes(config).items() if n not in given}
    if canonical.KERNEL in shapes and not any(_plain(p.shape) == shapes[canonical.KERNEL] for p in left.values()):
        del shapes[canonical.KERNEL]
        shapes |= {MU: (config.n_filters,), SIGMA: (config.n_filters,)}
    out: dict[str, str] = {}
    while True:
        scores = {name: {k: _score(name, k, p) for k, p in left.items() if _plain(p.shape) == _plain(shape)}
                  for name, shape in shapes.items() if name not in out}  # fmt: skip
        sure: tuple[int, str, str] | None = None
        for name, of in scores.items():
            best = max(of.values(), default=0)
            top = [key for key, score in of.items() if score == best and best]
            wanted = max((other.get(top[0], 0) for other in scores.values()), default=0) if len(top) == 1 else np.inf
            if best >= wanted and (sure is None or best > sure[0]):
                sure = (best, name, top[0])
        if sure is None:
            break
        out[sure[1]] = sure[2]
        del left[sure[2]]
    found: dict[str, str | tuple[str, str]] = {name: key for name, key in out.items() if name not in (MU, SIGMA)}
    if MU in out and SIGMA in out:
        found[canonical.KERNEL] = (out[MU], out[SIGMA])
    return found, {**{name: [k for k, score in of.items() if score] for name, of in scores.items()}, "": list(left)}


def _score(name: str, key: str, parameter: Tensor) -> int:
    """Say how much speaks for a parameter: its name more than its value."""
    path, values = key.lower(), parameter.detach().cpu().double().numpy().ravel()
    parts = NAMES[name]
    named = any(path.split(".")[-1] == part if len(part) == 1 else part in path for part in parts)
    if name in (MU, SIGMA, canonical.KERNEL):
        rises = bool((np.diff(values) > 0).all()) and values[0] >= 0 and values[-1] <= np.pi
        valued = values.ndim == 1 and (rises if name == MU else not rises and np.ptp(values) > 0)
        valued |= name == canonical.KERNEL
    else:
        valued = bool(np.allclose(values, np.asarray(CONSTANTS[name], dtype=np.float64).ravel(), rtol=1e-5))
    biased = path.split(".")[-1].strip("_") == "bias" and name != canonical.BETA
    return 0 if biased else 2 * named + valued


def _plain(shape: Sequence[int]) -> tuple[int, ...]:
    return tuple(n for n in shape if n != 1)


class _Recorder(TorchFunctionMode):
    """Keeps the shapes of what convolutions take and give."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[tuple[int, ...], ...]] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if func in CONVOLUTIONS:
            given = (*args, *(kwargs or {}).values())
            self.seen.append(tuple(tuple(t.shape) for t in (given[0], given[1], out)))
        return out


@dataclass(frozen=True)
class _Part:
    """A submodule that was called: the shapes of what it took and gave, and those called around it."""

    path: str
    taken: tuple[int, ...]
    given: tuple[int, ...]
    norm: bool


def stages(port: Port, module: nn.Module, config: LeafConfig, audio: Tensor) -> Iterator[tuple[str, str]]:
    """List where stages may be read, the likeliest place of each first.

    Submodules are told by the sizes of what they take and give: both parts at full rate, energies at full rate, at the
    rate of frames; filters and windows by the convolutions of the whole module.

    Args:
        port: whose stages were left out, or of which those inside of others are looked for.
        module: the port's own.
        config: that it was built for.
        audio: as the port takes it.
    """
    parts, convolutions = _run(module, audio)
    n, n_samples = config.n_filters, max(audio.shape)
    frames = -(-n_samples // config.stride)

    def full(shape: tuple[int, ...], channels: int) -> bool:
        return channels in shape and max(shape) >= n_samples - config.window

    def framed(shape: tuple[int, ...]) -> bool:
        rest = [*shape[1:]]
        if len(rest) < 2 or n not in rest:
            return False
        rest.remove(n)
        return 0 < max(rest) - frames + 3 <= config.window // config.stride + 4

    places: list[tuple[str, str]] = []
    if port.stages is FOUND:
        pool = next((p for p in parts if framed(p.given) and max(p.taken) > 2 * frames), None)
        before = parts[: parts.index(pool)] if pool else parts
        places += [("conv", p.path) for p in before if full(p.given, 2 * n)][:1]
        places += [("modulus", p.path) for p in before if full(p.given, n) and not full(p.given, 2 * n)][-1:]
        if pool:
            places += [("modulus", pool.path + INPUT)] if full(pool.taken, n) else []
            places.append(("pool", pool.path))
        after = [p for p in parts if framed(p.taken) and framed(p.given)]
        norms = [p for p in after if p.norm or "norm" in p.path.lower().replace("pcen", "")]
        rest = [p for p in after if p not in norms]
        inner = [p for p in rest if any(p.path.startswith(q.path + ".") for q in rest)]
        smoothers = [p for p in rest if any(word in p.path.lower().split(".")[-1] for word in ("ema", "smooth"))]
        outer = [p for p in rest if p not in inner and p not in smoothers]
        places += [("ema", p.path) for p in (smoothers or inner)[:1]]
        places += [("norm", p.path) for p in norms[:1]]
        places += [("floor", p.path + INPUT) for p in outer[:1]] + [("pcen", p.path) for p in outer[-1:]]
    for number, (taken, weight, given) in enumerate(convolutions):
        at = f":conv[{number}]."
        if framed(given) and weight[0] == n and full(taken, n):
            places += [("windows", f"{at}weight"), ("modulus", f"{at}input"), ("pool", f"{at}output")]
        elif full(given, 2 * n) and weight[0] == 2 * n:
            places += [("filters", f"{at}weight"), ("conv", f"{at}output")]
    inside = ("filters", "windows", "conv", "modulus", "pool")
    for name, place in places:
        if name not in port.stages and (port.stages is FOUND or name in inside):
            yield name, place


def _run(module: nn.Module, audio: Tensor) -> tuple[list[_Part], list[tuple[tuple[int, ...], ...]]]:
    seen: list[_Part] = []

    def keeper(path: str) -> Any:
        def keep(part: nn.Module, given: Any, output: Any) -> None:
            if given and isinstance(given[0], Tensor) and isinstance(output, Tensor):
                norm = isinstance(part, NORMS)
                seen.append(_Part(path, tuple(given[0].shape), tuple(output.shape), norm))

        return keep

    hooks = [part.register_forward_hook(keeper(path)) for path, part in module.named_modules() if path]
    try:
        with torch.no_grad(), _Recorder() as recorder:
            module.eval()(audio)
    finally:
        for hook in hooks:
            hook.remove()
    return seen, recorder.seen
