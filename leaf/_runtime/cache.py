"""Cache tensors until their parameters change: filters, windows, plans.

A module holds one and asks it in ``forward``::

    self._cache = ParameterCache()
    filters = self._cache.get("filters", settings, (self.center_freqs, self.bandwidths), self.filters)

``settings`` are the other arguments of ``make``, hashable or at least comparable: a size, limits, a plan. ``get`` sees
for itself where nothing may be kept, so the module need not ask whether a gradient is wanted or a graph is traced.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad

T = TypeVar("T")


class ParameterCache:
    """The last value under each name, with the parameters that it was computed from.

    On the CPU parameters are compared value by value, so that no change goes unseen. Elsewhere that would wait for the
    device: there a tensor is the same if its storage is and PyTorch has counted no write to it. Writes through
    ``.data`` are not counted; where a parameter on another device is changed that way, call :meth:`clear`. Optimizers,
    ``load_state_dict``, ``to`` and everything under ``torch.no_grad()`` are seen. A copy or a pickle is empty.

    An entry is one tuple, replaced as a whole and never written to: threads that share a module may make a value twice,
    and never get another's.
    """

    generation = 0  # raised by what changes code at runtime, as planted faults do: it empties every cache

    def __init__(self) -> None:
        self._entries: dict[str, tuple[Any, Sequence[Value | Version], Any]] = {}

    def get(self, name: str, settings: Any, sources: tuple[Tensor, ...], make: Callable[[], T]) -> T:
        """Return ``make()``, or its last result under this name if settings and sources are unchanged.

        The cache is bypassed where autograd records, in forward mode too; under ``torch.func``; while a graph is
        traced; and where a source is a subclass of a tensor.
        """
        if not keepable(*sources):
            return make()
        found, settings = self._entries.get(name), (ParameterCache.generation, settings)
        if found is not None and found[0] == settings and unchanged(found[1], sources):
            value: T = found[2]
            return value
        # an inference tensor could not be saved for the backward pass of a later call
        with torch.inference_mode(False), torch.no_grad():
            before = tuple(Value(t) if at_hand(t) else Version(t) for t in sources)
            value = make()
            if unchanged(before, sources):  # else another thread wrote to them meanwhile
                self._entries[name] = settings, before, value
        return value

    def clear(self) -> None:
        """Forget everything."""
        self._entries = {}

    def __deepcopy__(self, memo: dict[int, Any]) -> ParameterCache:
        return ParameterCache()

    def __reduce__(self) -> tuple[type[ParameterCache], tuple[()]]:
        return ParameterCache, ()


class Version:
    """Remember a tensor by its storage and by PyTorch's count of writes to it.

    It holds an alias, so that the storage is not freed and given to another tensor.
    """

    def __init__(self, t: Tensor) -> None:
        self.held, self.version = t.detach(), _version(t)

    def is_still(self, t: Tensor) -> bool:
        return (
            self.version == _version(t) is not None
            and (t.dtype, t.device) == (self.held.dtype, self.held.device)
            and t.data_ptr() == self.held.data_ptr()
        )


class Value:
    """Remember a tensor by a copy of its values."""

    def __init__(self, t: Tensor) -> None:
        self.held = t.detach().clone()

    def is_still(self, t: Tensor) -> bool:
        return (t.dtype, t.device) == (self.held.dtype, self.held.device) and torch.equal(t, self.held)


def unchanged(before: Sequence[Value | Version], now: Sequence[Tensor]) -> bool:
    return all(was.is_still(t) for was, t in zip(before, now, strict=True))


def _version(t: Tensor) -> int | None:
    return None if t.is_inference() else t._version


def at_hand(t: Tensor) -> bool:
    """Tell whether values can be read without waiting for a device."""
    return t.device.type == "cpu"


def plain(t: Tensor) -> bool:
    """Tell whether a tensor holds its values itself, unlike a subclass or a tensor inside ``torch.func``."""
    if type(t) not in (Tensor, nn.Parameter):
        return False
    try:
        t.untyped_storage().data_ptr()
    except RuntimeError:  # what vmap, grad, jvp and functionalize hand over has no memory
        return False
    return True


def tracing(*tensors: Tensor) -> bool:
    """Tell whether a graph is traced or captured, which runs later than this code."""
    if torch.compiler.is_compiling() or torch.jit.is_tracing():  # type: ignore[attr-defined,no-untyped-call]
        return True
    return any(t.is_cuda for t in tensors) and torch.cuda.is_current_stream_capturing()


def wants_graph(*tensors: Tensor) -> bool:
    """Tell whether autograd records operations on these."""
    return torch.is_grad_enabled() and any(t.requires_grad for t in tensors)


def keepable(*tensors: Tensor) -> bool:
    """Tell whether results that are computed of these may be kept for a later call."""
    return not (tracing(*tensors) or wants_graph(*tensors)) and plain_values(tensors)


def plain_values(tensors: Sequence[Tensor]) -> bool:
    """Tell whether tensors are no more than their values, and what is computed of them stays so."""
    # under torch.func.grad even a new tensor stands for another, which lives no longer than the call
    return all(map(plain, (*tensors, torch.empty(1)))) and all(
        forward_ad.unpack_dual(t).tangent is None  # type: ignore[no-untyped-call]
        for t in tensors
    )
