"""The adapter of a PyTorch port: its parameters, stages and axes, from what :class:`parity.ports.Port` says of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from parity.adapters import canonical
from parity.adapters.canonical import Variables
from parity.adapters.rungs import Entry, TorchAdapter
from parity.oracle.config import LeafConfig
from parity.ports import layouts
from parity.ports.detection import CONVOLUTIONS
from parity.ports.layouts import AdapterError, Axes
from parity.ports.port import INPUT, Port, Stage, convolution, keeps_shape

Arrays = dict[str, np.ndarray]
Keep = Callable[[str, Tensor], Tensor]


class Adapted(nn.Module):
    """A port that takes audio [B, T] and gives [B, C, frames].

    Args:
        port: what was said of it.
        inner: the port's own module.
        config: that it was built for.
        axes: of the stages, by name; filled in as they are found.
    """

    def __init__(self, port: Port, inner: nn.Module, config: LeafConfig, axes: dict[str, Axes]) -> None:
        super().__init__()
        self.port, self.inner, self.config, self.axes = port, inner, config, axes

    def audio(self, x: Tensor) -> Tensor:
        """Audio [B, T] as the port takes it; a view, of a copy where a gradient to it is asked for.

        A port that changes its input in place could not be differentiated otherwise.
        """
        x = x.clone() if x.requires_grad else x
        return {"bt": x, "b1t": x[:, None], "bt1": x[..., None]}[self.port.audio]

    def forward(self, x: Tensor) -> Tensor:
        """[B, T] to [B, C, frames].

        Raises:
            TypeError: the port gives no tensor.
        """
        y = self.inner(self.audio(x))
        if not isinstance(y, Tensor):
            raise TypeError(f"the output is a {type(y).__name__}: must be a tensor")
        axes = self.axes.get("output", ("b", "c", "t"))
        if y.ndim != len(axes) or any(not axis and n != 1 for axis, n in zip(axes, y.shape, strict=True)):
            return y
        own = [axis for axis in axes if axis]
        return y.reshape([n for axis, n in zip(axes, y.shape, strict=True) if axis]).permute(*map(own.index, "bct"))


@dataclass
class Forced:
    """A run in which every stage was computed from the reference's own.

    Attributes:
        stages: what the port made of each, canonical.
        exchanged: those that were handed on as the reference has them; the others are the port's own.
        gradients: to the input and the parameters, each stage from the reference's own cotangent.
        slopes: what the port's next stage hands back to each, canonical.
    """

    stages: Arrays = field(default_factory=dict)
    exchanged: set[str] = field(default_factory=set)
    gradients: Arrays = field(default_factory=dict)
    slopes: Arrays = field(default_factory=dict)


class PortAdapter(TorchAdapter):
    """Reads and writes one port.

    Args:
        port: the port.
    """

    rung = "port"

    def __init__(self, port: Port) -> None:
        self.port = port
        self.axes = {
            stage: layouts.parse(stage, port.given_layout(stage))
            for stage in ("output", *port.stages)
            if port.given_layout(stage)
        }

    def owns(self, module: Any) -> bool:
        """See :meth:`Adapter.owns`."""
        return isinstance(module, Adapted) and module.port is self.port

    def build(self, config: LeafConfig, dtype: str = "float32", **options: Any) -> Adapted:
        """See :meth:`Adapter.build`; there are no options.

        Raises:
            TypeError: what was built is no module.
            AdapterError: a parameter or a submodule that it does not have.
        """
        inner = self.port.build(config)
        if not isinstance(inner, nn.Module):
            raise TypeError(f"build(config) gave a {type(inner).__name__}: must be a torch.nn.Module")
        adapted = Adapted(self.port, inner, config, self.axes)
        self.entries(adapted)
        for name, stage in self._asked(config).items():
            if isinstance(stage, str):
                _submodule(adapted, name, stage)
        return (adapted.double() if dtype == "float64" else adapted.float()).eval()

    def config(self, module: Any) -> LeafConfig:
        """See :meth:`Adapter.config`."""
        config: LeafConfig = module.config
        return config

    def entries(self, module: Any) -> dict[str, Entry]:
        """See :meth:`TorchAdapter.entries`.

        Raises:
            AdapterError: a key that the module does not have, or a tensor of another shape than its variable.
        """
        held = tensors(module.inner)
        out = {}
        for name, shape in canonical.expected_shapes(module.config).items():
            given = self.port.parameters.get(name)
            if given is None:
                continue
            keys = (given,) if isinstance(given, str) else given
            if unknown := [key for key in keys if key not in held]:
                raise AdapterError(f"parameters[{name!r}]={unknown}: must be among {sorted(held)}")
            found = tuple(held[key] for key in keys)
            if len(keys) not in (1, 2) or (len(keys) == 2 and name != canonical.KERNEL):
                raise AdapterError(f"parameters[{name!r}]={keys}: must be one key, of 'kernel' one or two")
            wanted = shape if len(keys) == 1 else shape[:1]
            for key, tensor in zip(keys, found, strict=True):
                if _squeezed(tuple(tensor.shape)) != _squeezed(wanted):
                    raise AdapterError(f"parameters[{name!r}]={key!r}: shape {tuple(tensor.shape)}, must be {wanted}")
            sign = 0 if name not in self.port.logs else -1 if name == canonical.ROOT else 1
            out[name] = Entry(found, shape, log_sign=sign)
        return out

    def write(self, module: Any, variables: Variables) -> None:
        """See :meth:`Adapter.write`; what the port does not have is left out."""
        super().write(module, {name: variables[name] for name in self.entries(module)})

    def not_carried(self, module: Any) -> tuple[str, ...]:
        """Parameters that no variable of LEAF is mapped to: they keep their initial values."""
        used = {id(t) for entry in self.entries(module).values() for t in entry.tensors}
        return tuple(name for name, tensor in module.inner.named_parameters() if id(tensor) not in used)

    def stages(self, module: Any, x: np.ndarray) -> Arrays:
        """See :meth:`Adapter.stages`; those that the port shows, and its output."""

        def run() -> Arrays:
            seen: dict[str, Tensor] = {}

            def keep(name: str, y: Tensor) -> Tensor:
                seen[name] = y.detach().clone()  # what comes next may change it in place
                return y

            audio = self._audio(module, x)
            with self._reading(module, keep):
                self._call(module, audio, keep)
            # the call that is judged is the module's own, with nothing attached
            output = module(audio).detach().cpu().numpy()
            return {**{name: self._canonical(module, name, y) for name, y in seen.items()}, "output": output}

        return self._without_training(module, run)

    def forward_stages(self, module: Any, x: Tensor) -> dict[str, Tensor]:
        """See :meth:`TorchAdapter.forward_stages`."""
        return {name: torch.as_tensor(y) for name, y in self.stages(module, x.detach().cpu().numpy()).items()}

    def find_layouts(self, module: Any, x: np.ndarray, reference: Mapping[str, np.ndarray]) -> None:
        """Find the axes of all stages that were not given, on audio whose stages have axes of different sizes.

        Raises:
            AdapterError: the axes of a stage can be told neither by sizes nor by values.
        """

        def seen(x: np.ndarray) -> Arrays:
            found: Arrays = {}

            def keep(name: str, y: Tensor) -> Tensor:
                found[name] = y.detach().cpu().numpy().copy()
                return y

            def run() -> None:
                audio = self._audio(module, x)
                with self._reading(module, keep):
                    found["output"] = self._call(module, audio, keep).detach().cpu().numpy()

            self._without_training(module, run)
            return found

        impulse = np.zeros_like(x)
        impulse[:, x.shape[1] // 2] = 1
        for name, values in seen(x).items():
            if name not in self.axes and name in reference:
                wave = values if name == "filters" else seen(impulse)[name] if name == "conv" else None
                self.axes[name] = layouts.find(values, reference[name], name, self.port.parts, wave)

    def forced(
        self,
        module: Any,
        x: np.ndarray,
        given: Mapping[str, np.ndarray],
        cotangents: Mapping[str, np.ndarray],
        cotangent: np.ndarray,
        left_out: tuple[str, ...] = (),
    ) -> Forced:
        """Run the port with each stage that is a submodule handed on as the reference has it, forward and back.

        Args:
            module: the port.
            x: audio, [B, T].
            given: the reference's stages, canonical.
            cotangents: the reference's cotangents of them.
            cotangent: of the output.
            left_out: stages that are read and not replaced.
        """
        forced = Forced()

        def exchange(name: str, y: Tensor) -> Tensor:
            if name in forced.stages:  # a submodule that is called again, by a function for one
                return y
            forced.stages[name] = self._canonical(module, name, y.detach())
            if (
                name not in given
                or name in left_out
                or name not in self.axes
                or not isinstance(self.port.stages.get(name), str)
            ):
                return y
            value = self._own(module, name, given[name], y)
            if value.shape != y.shape and keeps_shape(name, self.port.stages[name]):
                return y
            forced.exchanged.add(name)
            back = self._own(module, name, cotangents[name], y) if name in cotangents else None

            def record(d: Tensor) -> None:
                forced.slopes[name] = self._canonical(module, name, d)

            y = y if y.requires_grad else y.detach().requires_grad_()
            replaced: Tensor = _Exchange.apply(y, value, back, record)  # type: ignore[no-untyped-call]
            return replaced

        def run() -> Forced:
            audio = self._audio(module, x).requires_grad_()
            entries = {n: e for n, e in self.entries(module).items() if all(t.requires_grad for t in e.tensors)}
            held = [t for entry in entries.values() for t in entry.tensors]
            with self._reading(module, exchange):
                output = self._call(module, audio, exchange, module)
            forced.stages["output"] = output.detach().cpu().numpy()
            if output.shape != cotangent.shape:
                return forced
            seeds = torch.as_tensor(cotangent, dtype=output.dtype)
            grads = iter(torch.autograd.grad(output, [audio, *held], seeds, materialize_grads=True, allow_unused=True))
            forced.gradients["input"] = next(grads).cpu().numpy()
            for name, entry in entries.items():
                forced.gradients[name] = entry.gradient([next(grads) for _ in entry.tensors])
            return forced

        return self._without_training(module, run)

    def _asked(self, config: LeafConfig) -> dict[str, Stage]:
        return {name: stage for name, stage in self.port.stages.items() if name in self.port.stages_of(config)}

    def _call(self, module: Any, audio: Tensor, keep: Keep, whole: nn.Module | None = None) -> Tensor:
        """One forward, and the stages that are functions, each handed to ``keep``."""
        y = module.inner(module.audio(audio)) if whole is None else whole(audio)
        if not isinstance(y, Tensor):
            raise TypeError(f"the output is a {type(y).__name__}: must be a tensor")
        for name, stage in self._asked(module.config).items():
            if not isinstance(stage, str):
                read = stage(module.inner, module.audio(audio))
                if not isinstance(read, Tensor):
                    raise TypeError(f"stages[{name!r}]: the function gives a {type(read).__name__}, must be a tensor")
                keep(name, read)
        return y

    @contextmanager
    def _reading(self, module: Any, keep: Keep) -> Iterator[None]:
        """While it lasts, what submodules give or take goes through ``keep``.

        Raises:
            AdapterError: forward does not call a submodule that is a stage.
        """
        called: set[str] = set()
        hooks = []
        asked = {name: stage for name, stage in self._asked(module.config).items() if isinstance(stage, str)}
        convolutions = _Convolutions(keep, called)
        for name, stage in asked.items():
            part = _submodule(module, name, stage)
            if found := convolution(stage):
                path, *which = found
                if path not in convolutions.asked:
                    hooks.append(part.register_forward_pre_hook(convolutions.entering(path)))
                    hooks.append(part.register_forward_hook(convolutions.leaving))
                convolutions.asked.setdefault(path, {})[tuple(which)] = name
            elif stage.endswith(INPUT):
                hooks.append(part.register_forward_pre_hook(_of_input(name, keep, called)))
            else:
                hooks.append(part.register_forward_hook(_of_output(name, keep, called)))
        try:
            with convolutions:
                yield
        finally:
            for hook in hooks:
                hook.remove()
        if missed := [name for name in asked if name not in called]:
            what = "make that convolution" if convolution(asked[missed[0]]) else "call that submodule"
            raise AdapterError(f"stages[{missed[0]!r}]={asked[missed[0]]!r}: forward does not {what}")

    def _canonical(self, module: Any, name: str, y: Tensor) -> np.ndarray:
        values = y.detach().cpu().resolve_conj().numpy()
        axes = self.axes.get(name)
        if axes is None:
            return values.copy()
        return np.array(layouts.to_canonical(values, name, axes, module.config.n_filters))

    def _own(self, module: Any, name: str, values: np.ndarray, like: Tensor) -> Tensor:
        """Canonical values as the port has them."""
        own = layouts.from_canonical(values, name, self.axes[name], like.is_complex())
        return torch.as_tensor(np.ascontiguousarray(own)).to(like.device, like.dtype)


class _Convolutions(TorchFunctionMode):
    """While it lasts, what convolutions inside of submodules take, give or weigh by goes through ``keep``.

    Attributes:
        asked: by submodule, then by the number of the convolution inside it and what of it: the stage.
    """

    def __init__(self, keep: Keep, called: set[str]) -> None:
        super().__init__()
        self.keep, self.called = keep, called
        self.asked: dict[str, dict[tuple[Any, ...], str]] = {}
        self.inside: list[tuple[str, list[int]]] = []
        self.padded: dict[int, tuple[Tensor, Tensor, Any, Any]] = {}

    def entering(self, path: str) -> Callable[[nn.Module, Any], None]:
        """A hook that begins to count."""
        return lambda part, given: self.inside.append((path, [-1]))

    def leaving(self, part: nn.Module, given: Any, output: Any) -> None:
        """A hook that ends it."""
        self.inside.pop()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is nn.functional.pad and self.inside and args:
            padded = func(*args, **kwargs)
            self.padded[id(padded)] = (padded, args[0], args[1:], kwargs)
            return padded
        if func not in CONVOLUTIONS or not self.inside:
            return func(*args, **kwargs)
        given = dict(zip(("input", "weight"), args[:2], strict=False)) | kwargs
        for _, count in self.inside:
            count[0] += 1
        _, before, *pads = self.padded.get(id(given["input"]), (None, None))
        if before is None:
            kept = {what: self._through(what, given[what]) for what in ("input", "weight")}
        else:  # the stage is what was padded
            read = self._through("input", before)
            padded = given["input"] if read is before else nn.functional.pad(read, *pads[0], **pads[1])
            kept = {"input": padded, "weight": self._through("weight", given["weight"])}
        return self._through("output", func(kept["input"], kept["weight"], *args[2:], **_without(kwargs, kept)))

    def _through(self, what: str, y: Tensor) -> Tensor:
        for path, (number,) in self.inside:
            if (name := self.asked[path].get((number, what))) is not None:
                self.called.add(name)
                y = self.keep(name, y)
        return y


def _without(given: Mapping[str, Any], names: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in given.items() if name not in names}


class _Exchange(torch.autograd.Function):
    """Hands on other values, and back another cotangent; what came back is recorded."""

    @staticmethod
    def forward(ctx: Any, y: Tensor, value: Tensor, back: Tensor | None, record: Callable[[Tensor], None]) -> Tensor:
        ctx.back, ctx.record, ctx.shape = back, record, y.shape
        return value.clone()

    @staticmethod
    def backward(ctx: Any, *slopes: Any) -> Any:
        (d,) = slopes
        ctx.record(d)
        handed = d if ctx.back is None else ctx.back
        if handed.shape != ctx.shape:  # a stage that is a sample too long: what is beyond has no part in the output
            fitted = handed.new_zeros(ctx.shape)
            shared = tuple(slice(0, min(a, b)) for a, b in zip(handed.shape, ctx.shape, strict=True))
            fitted[shared] = handed[shared]
            handed = fitted
        return handed, None, None, None


def tensors(module: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers by state-dict key."""
    return {**dict(module.named_parameters(remove_duplicate=False)), **dict(module.named_buffers())}


def _submodule(module: Any, name: str, stage: str) -> nn.Module:
    path = stage.partition(":")[0]
    found: dict[str, nn.Module] = dict(module.inner.named_modules())
    if path not in found or (not path and not convolution(stage)):
        raise AdapterError(f"stages[{name!r}]={stage!r}: must be among {sorted(filter(None, found))}")
    return found[path]


def _squeezed(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(n for n in shape if n != 1)


def _of_output(name: str, keep: Keep, called: set[str]) -> Any:
    def hook(module: nn.Module, arguments: Any, output: Any) -> Any:
        if not isinstance(output, Tensor):
            raise TypeError(f"stages[{name!r}]: the submodule gives a {type(output).__name__}, must be a tensor")
        called.add(name)
        return keep(name, output)

    return hook


def _of_input(name: str, keep: Keep, called: set[str]) -> Any:
    def hook(module: nn.Module, arguments: Any) -> Any:
        if not (arguments and isinstance(arguments[0], Tensor)):
            raise TypeError(f"stages[{name!r}]: the submodule takes no tensor first, must do so")
        called.add(name)
        return (keep(name, arguments[0]), *arguments[1:])

    return hook
