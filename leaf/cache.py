"""What is computed from parameters alone, kept for as long as these stay as they are."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, TypeVar

import torch
from torch import Tensor

T = TypeVar("T")


class ParameterCache:
    """Values by name, the last one of each, with what it was computed from.

    On the CPU parameters are compared value by value, so that no change goes unseen. Elsewhere that would wait for the
    device: there a tensor is the same if its storage is and PyTorch has counted no write to it. Writes through
    ``.data`` are not counted; where a parameter on another device is changed that way, call :meth:`clear`. Optimizers,
    ``load_state_dict``, ``to`` and everything under ``torch.no_grad()`` are seen. A copy or a pickle is empty.
    """

    generation = 0  # of the code: one more, and everything kept anywhere is stale

    def __init__(self) -> None:
        self._entries: dict[str, tuple[Hashable, tuple[_Source, ...], Any]] = {}

    def get(self, name: str, settings: Hashable, sources: tuple[Tensor, ...], make: Callable[[], T]) -> T:
        """``make()`` without gradients, or what it last gave under this name for these settings and sources.

        While a graph is traced, or where a source is no plain tensor (``torch.func``), nothing is kept.
        """
        if torch.compiler.is_compiling() or not all(map(plain, sources)):
            return make()
        found, settings = self._entries.get(name), (ParameterCache.generation, settings)
        if found is not None and found[0] == settings and all(map(_Source.is_still, found[1], sources)):
            value: T = found[2]
            return value
        # an inference tensor could not be saved for the backward pass of a later call
        with torch.inference_mode(False), torch.no_grad():
            value = make()
            self._entries[name] = settings, tuple(map(_Source, sources)), value
        return value

    def clear(self) -> None:
        """Forgets everything."""
        self._entries = {}

    def __deepcopy__(self, memo: dict[int, Any]) -> ParameterCache:
        return ParameterCache()

    def __reduce__(self) -> tuple[type[ParameterCache], tuple[()]]:
        return ParameterCache, ()


class _Source:
    """A tensor as it was. On other devices an alias keeps its storage, so that no other takes its place in memory."""

    def __init__(self, t: Tensor) -> None:
        self.held = t.detach().clone() if at_hand(t) else t.detach()
        self.version = _version(t)

    def is_still(self, t: Tensor) -> bool:
        if t.dtype != self.held.dtype or t.device != self.held.device:
            return False
        if at_hand(t):
            return torch.equal(t, self.held)
        return self.version == _version(t) is not None and t.data_ptr() == self.held.data_ptr()


def at_hand(t: Tensor) -> bool:
    """Whether values can be looked at without waiting."""
    return t.device.type == "cpu"


def _version(t: Tensor) -> int | None:
    return None if t.is_inference() else t._version


def plain(t: Tensor) -> bool:
    """Whether a tensor has values: it stands for no others, as under ``torch.func``."""
    return type(t) in (Tensor, torch.nn.Parameter) and not torch._C._functorch.is_functorch_wrapped_tensor(t)


def wants_graph(*parameters: Tensor) -> bool:
    """Whether gradients may be asked for, so that what is computed from these must not be kept."""
    return torch.is_grad_enabled() and any(p.requires_grad for p in parameters)
