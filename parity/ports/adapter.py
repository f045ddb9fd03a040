"""The adapter of a port: its parameters, stages and axes, from what :class:`parity.ports.Port` says of them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from parity.adapters import canonical
from parity.adapters.base import Entry, TorchAdapter
from parity.oracle.config import LeafConfig
from parity.ports.port import Port


class Adapted(nn.Module):
    """A port that takes audio [B, T] and gives [B, C, frames].

    Args:
        port: what was said of it.
        inner: the port's own module.
        config: that it was built for.
    """

    def __init__(self, port: Port, inner: nn.Module, config: LeafConfig) -> None:
        super().__init__()
        self.port, self.inner, self.config = port, inner, config

    def audio(self, x: Tensor) -> Tensor:
        """Audio [B, T] as the port takes it; a view."""
        return x if self.port.audio == "bt" else x[:, None]

    def forward(self, x: Tensor) -> Tensor:
        """[B, T] to [B, C, frames].

        Raises:
            TypeError: the port gives no tensor.
        """
        y = self.inner(self.audio(x))
        if not isinstance(y, Tensor):
            raise TypeError(f"the output is a {type(y).__name__}: must be a tensor")
        return _timed(y, self.port.layout)


class PortAdapter(TorchAdapter):
    """Reads and writes one port.

    Args:
        port: the port.
    """

    rung = "port"

    def __init__(self, port: Port) -> None:
        self.port = port

    def owns(self, module: Any) -> bool:
        """See :meth:`Adapter.owns`."""
        return isinstance(module, Adapted) and module.port is self.port

    def build(self, config: LeafConfig, dtype: str = "float32", **options: Any) -> Adapted:
        """See :meth:`Adapter.build`; there are no options.

        Raises:
            TypeError: what was built is no module.
            ValueError: a parameter or a submodule that it does not have.
        """
        inner = self.port.build(config)
        if not isinstance(inner, nn.Module):
            raise TypeError(f"build(config) gave a {type(inner).__name__}: must be a torch.nn.Module")
        adapted = Adapted(self.port, inner, config)
        self.entries(adapted)
        for name, stage in self.port.taps.items():
            if isinstance(stage, str) and name in self.port.stages(config):
                self._submodule(adapted, name, stage)
        return (adapted.double() if dtype == "float64" else adapted.float()).eval()

    def config(self, module: Any) -> LeafConfig:
        """See :meth:`Adapter.config`."""
        config: LeafConfig = module.config
        return config

    def entries(self, module: Any) -> dict[str, Entry]:
        """See :meth:`TorchAdapter.entries`.

        Raises:
            ValueError: a key that the module does not have, or a tensor of another shape than its variable.
        """
        held = _tensors(module.inner)
        out = {}
        for name, shape in canonical.expected_shapes(module.config).items():
            given = self.port.parameters[name]
            keys = (given,) if isinstance(given, str) else given
            if unknown := [key for key in keys if key not in held]:
                raise ValueError(f"parameters[{name!r}]={unknown}: must be among {sorted(held)}")
            tensors = tuple(held[key] for key in keys)
            if len(keys) not in (1, 2) or (len(keys) == 2 and name != canonical.KERNEL):
                raise ValueError(f"parameters[{name!r}]={keys}: must be one key, of 'kernel' one or two")
            wanted = shape if len(keys) == 1 else shape[:1]
            for key, tensor in zip(keys, tensors, strict=True):
                if _squeezed(tuple(tensor.shape)) != _squeezed(wanted):
                    raise ValueError(f"parameters[{name!r}]={key!r}: shape {tuple(tensor.shape)}, must be {wanted}")
            out[name] = Entry(tensors, shape)
        return out

    def not_carried(self, module: Any) -> tuple[str, ...]:
        """Parameters that no variable of LEAF is mapped to: they keep their initial values."""
        used = {id(t) for entry in self.entries(module).values() for t in entry.tensors}
        return tuple(name for name, tensor in module.inner.named_parameters() if id(tensor) not in used)

    def forward_stages(self, module: Any, x: Tensor) -> dict[str, Tensor]:
        """See :meth:`TorchAdapter.forward_stages`; the stages that the port shows, of those that it has."""
        asked = {name: stage for name, stage in self.port.taps.items() if name in self.port.stages(module.config)}
        seen: dict[str, Tensor] = {}
        hooks = [
            self._submodule(module, name, stage).register_forward_hook(_keeper(seen, name))
            for name, stage in asked.items()
            if isinstance(stage, str)
        ]
        try:
            module(x)
        finally:
            for hook in hooks:
                hook.remove()
        for name, stage in asked.items():
            if not isinstance(stage, str):
                seen[name] = stage(module.inner, module.audio(x))
            elif name not in seen:
                raise ValueError(f"taps[{name!r}]={stage!r}: forward does not call that submodule")
        return {name: self._in_canonical_layout(module, name, stage) for name, stage in seen.items()}

    def _submodule(self, module: Any, name: str, path: str) -> nn.Module:
        found: dict[str, nn.Module] = dict(module.inner.named_modules())
        if path not in found:
            raise ValueError(f"taps[{name!r}]={path!r}: must be among {sorted(filter(None, found))}")
        return found[path]

    def _in_canonical_layout(self, module: Any, name: str, stage: Tensor) -> Tensor:
        """A stage in the canonical layout; one of another size is left as it is, for the status criterion to name."""
        n = module.config.n_filters
        if name == "windows":
            return stage.reshape(n, -1) if stage.numel() % n == 0 else stage
        if name == "filters":
            return self._pairs(stage if stage.is_complex() else stage.reshape(-1, stage.shape[-1]), n, 0)
        stage = _timed(stage, self.port.taps_layout or self.port.layout)
        return self._pairs(stage, n, 1) if name == "conv" else stage

    def _pairs(self, stage: Tensor, n: int, axis: int) -> Tensor:
        """Channels on ``axis`` split into [C, 2]."""
        if stage.is_complex():
            return torch.stack([stage.real, stage.imag], dim=axis + 1)
        if stage.ndim <= axis or stage.shape[axis] != 2 * n:
            return stage
        before, after = stage.shape[:axis], stage.shape[axis + 1 :]
        if self.port.parts == "interleaved":
            return stage.reshape(*before, n, 2, *after)
        return stage.reshape(*before, 2, n, *after).transpose(axis, axis + 1)


def _tensors(module: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers by state-dict key."""
    return {**dict(module.named_parameters(remove_duplicate=False)), **dict(module.named_buffers())}


def _timed(y: Tensor, layout: str) -> Tensor:
    """With time as its last axis."""
    return y.transpose(1, 2) if layout == "btc" and y.ndim == 3 else y


def _squeezed(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(n for n in shape if n != 1)


def _keeper(seen: dict[str, Tensor], name: str) -> Any:
    def keep(module: nn.Module, arguments: Any, output: Any) -> None:
        if not isinstance(output, Tensor):
            raise TypeError(f"taps[{name!r}]: the submodule gives a {type(output).__name__}, must be a tensor")
        seen[name] = output.detach().clone()  # what comes next may change it in place

    return keep
