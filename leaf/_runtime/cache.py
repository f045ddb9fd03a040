"""What is computed from parameters alone, kept for as long as these stay as they are: one mechanism for every rung.

How a module uses it:

* Tensors that are differentiable in the parameters, as filters and windows are::

      self._cache = ParameterCache()
      filters = self._cache.get("filters", settings, (self.center_freqs, self.bandwidths), self.filters)

  ``settings`` is what else ``make`` depends on, hashable or at least comparable: a size, limits, a plan. ``get`` itself
  sees when nothing may be kept, so that the module need not ask whether a gradient is wanted or a graph is traced.

* A plan, which is made of the parameters' *values*: lengths, strides, a choice of columns. The module is
  :class:`Planned`, overrides ``current_plan``, and asks for it in ``forward`` by the same name::

      def current_plan(self):
          return self.planned(settings, (self.bandwidths, self.pooling_widths), self._make_plan)

  ``_make_plan`` must be a function of settings and sources alone: it runs once for them, without gradients and outside
  of ``inference_mode``. What is made of a plan goes through ``get``, with the plan among the settings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad

T = TypeVar("T")
Self = TypeVar("Self", bound="Planned")


class ParameterCache:
    """Values by name, the last one of each, with what it was computed from.

    On the CPU parameters are compared value by value, so that no change goes unseen. Elsewhere that would wait for the
    device: there a tensor is the same if its storage is and PyTorch has counted no write to it. Writes through
    ``.data`` are not counted; where a parameter on another device is changed that way, call :meth:`clear`. Optimizers,
    ``load_state_dict``, ``to`` and everything under ``torch.no_grad()`` are seen. A copy or a pickle is empty.

    An entry is one tuple, replaced as a whole and never written to: threads that share a module may make a value twice,
    and never get another's.
    """

    generation = 0  # of the code: one more, and everything kept anywhere is stale

    def __init__(self) -> None:
        self._entries: dict[str, tuple[Any, Sequence[_Value | _Version], Any]] = {}

    def get(self, name: str, settings: Any, sources: tuple[Tensor, ...], make: Callable[[], T]) -> T:
        """``make()``, or what it last gave under this name for these settings and sources.

        Nothing is kept, and nothing that was kept is used, where a gradient to a source may be asked for, backward or
        forward; under ``torch.func``; while a graph is traced; or where a source is a subclass of a tensor.
        """
        if not keepable(*sources):
            return make()
        found, settings = self._entries.get(name), (ParameterCache.generation, settings)
        if found is not None and found[0] == settings and _are_still(found[1], sources):
            value: T = found[2]
            return value
        # an inference tensor could not be saved for the backward pass of a later call
        with torch.inference_mode(False), torch.no_grad():
            before = tuple(_Value(t) if at_hand(t) else _Version(t) for t in sources)
            value = make()
            if _are_still(before, sources):  # else another thread wrote to them meanwhile
                self._entries[name] = settings, before, value
        return value

    def clear(self) -> None:
        """Forgets everything."""
        self._entries = {}

    def __deepcopy__(self, memo: dict[int, Any]) -> ParameterCache:
        return ParameterCache()

    def __reduce__(self) -> tuple[type[ParameterCache], tuple[()]]:
        return ParameterCache, ()


class Planned(nn.Module):
    """A module with a plan that is made of its parameters' values, and can be frozen for graphs.

    A graph (``torch.compile``, ``torch.export``, ONNX, ``torch.jit.trace``, a captured CUDA graph) cannot look at
    values, nor can ``torch.func.vmap`` over parameters: there the plan is the frozen one, and without one RuntimeError
    names ``freeze()``. Elsewhere the plan is always that of the parameters as they stand, frozen or not, so that no
    number is ever stale: a changed parameter renews the frozen plan at the next call.

    What becomes of a frozen plan: ``eval()``, ``deepcopy`` and ``pickle`` keep it; ``train()``, ``load_state_dict`` and
    another parameter in place of one end it. Where parameters have been written to or moved since it was frozen and no
    call came between, a graph in evaluation mode refuses it, and names ``freeze()``; writes through ``.data`` are not
    seen here. In training mode, after ``train()`` and then ``freeze()``, a graph keeps it through the steps that
    follow. A graph that is made stays as it is: the plan in it is fixed, the rest follows the parameters.
    """

    def __init__(self) -> None:
        super().__init__()
        self._cache = ParameterCache()
        self._frozen: _Frozen | None = None
        self.register_load_state_dict_post_hook(_thaw)  # type: ignore[no-untyped-call]

    def current_plan(self) -> Any:
        """The plan for the parameters as they stand: :meth:`planned`, with what the module plans by."""
        raise NotImplementedError

    def freeze(self: Self, frozen: bool = True) -> Self:
        """Fixes the plan as it is now for graphs, see :class:`Planned`; or gives it up."""
        self._frozen = None
        if frozen:
            # asked outside of a compiled graph, whose guards would look at the parameters in every call; not as a
            # decorator, which would import the compiler with this module
            torch.compiler.assume_constant_result(_out_of_date)  # type: ignore[no-untyped-call]
            self._frozen = _Frozen(self.current_plan(), self.parameters())
        return self

    def train(self: Self, mode: bool = True) -> Self:
        """As :meth:`torch.nn.Module.train`. Training ends what is frozen."""
        if mode:
            self._frozen = None
        return super().train(mode)

    def register_parameter(self, name: str, param: nn.Parameter | None) -> None:
        """As :meth:`torch.nn.Module.register_parameter`. Another parameter ends what is frozen."""
        self._frozen = None
        super().register_parameter(name, param)

    def planned(self, settings: Any, sources: tuple[Tensor, ...], make: Callable[[], T]) -> T:
        """``make()`` of the values of ``sources``, kept while these and ``settings`` stay; in a graph the frozen one.

        Raises RuntimeError where values cannot be read and nothing is frozen, or what is frozen is out of date.
        """
        if tracing(*sources):
            return self._fixed()  # type: ignore[no-any-return]
        values = tuple(t.detach() for t in sources)
        readable = all(map(plain, values)) and not any(t.is_meta for t in values)
        try:
            with torch.no_grad():
                plan = self._cache.get("plan", settings, values, make)
        except RuntimeError as error:
            if readable:
                raise
            return self._fixed(error)  # type: ignore[no-any-return]
        frozen = self._frozen
        if readable and frozen is not None and frozen.is_of(self) and not frozen.is_still(plan):
            self._frozen = _Frozen(plan, self.parameters())
        return plan

    def _fixed(self, error: Exception | None = None) -> Any:
        where = (
            f"{type(self).__name__}'s plan depends on its parameters' values, which cannot be read in a traced graph"
        )
        if self._frozen is None:
            raise RuntimeError(
                f"{where}, under vmap or on the meta device: call freeze() first, where they can be"
            ) from error
        # many parameters at a time are never those that the plan was made for
        if error is None and not self.training and _out_of_date(self):
            raise RuntimeError(f"{where}, and they have changed since freeze(): call it again")
        return self._frozen.plan


def _out_of_date(module: Planned) -> bool:
    frozen = module._frozen
    assert frozen is not None
    return not (frozen.is_of(module) and frozen.is_still(frozen.plan))


def _thaw(module: Planned, incompatible: object) -> None:
    module._frozen = None


class _Frozen:
    """A plan, and the parameters that it was made for; with them it is copied and pickled."""

    def __init__(self, plan: Any, parameters: Iterable[Tensor]) -> None:
        self.plan = plan
        self.parameters = tuple(parameters)
        self.versions: tuple[_Version, ...] | None = tuple(map(_Version, self.parameters))

    def is_of(self, module: nn.Module) -> bool:
        """Whether it is the module's own parameters that are in place, and not those of a ``functional_call``."""
        there = tuple(module.parameters())
        same = (t is own or not plain(t) for t, own in zip(there, self.parameters, strict=False))  # export's are fakes
        return len(there) == len(self.parameters) and all(same)

    def is_still(self, plan: object) -> bool:
        """Whether this is the plan, and they are as they were, as far as PyTorch counts: no value is looked at."""
        return plan is self.plan and self.versions is not None and _are_still(self.versions, self.parameters)

    def __getstate__(self) -> tuple[Any, tuple[Tensor, ...], bool]:
        return self.plan, self.parameters, self.is_still(self.plan)

    def __setstate__(self, state: tuple[Any, tuple[Tensor, ...], bool]) -> None:
        self.plan, self.parameters, still = state
        self.versions = tuple(map(_Version, self.parameters)) if still else None


class _Version:
    """A tensor as it was, told by its storage and by PyTorch's count of writes.

    An alias keeps the storage, so that no other takes its place in memory.
    """

    def __init__(self, t: Tensor) -> None:
        self.held, self.version = t.detach(), _version(t)

    def is_still(self, t: Tensor) -> bool:
        return (
            self.version == _version(t) is not None
            and (t.dtype, t.device) == (self.held.dtype, self.held.device)
            and t.data_ptr() == self.held.data_ptr()
        )


class _Value:
    """A tensor as it was, told by its values."""

    def __init__(self, t: Tensor) -> None:
        self.held = t.detach().clone()

    def is_still(self, t: Tensor) -> bool:
        return (t.dtype, t.device) == (self.held.dtype, self.held.device) and torch.equal(t, self.held)


def _are_still(before: Sequence[_Value | _Version], now: Sequence[Tensor]) -> bool:
    return all(was.is_still(t) for was, t in zip(before, now, strict=True))


def _version(t: Tensor) -> int | None:
    return None if t.is_inference() else t._version


def at_hand(t: Tensor) -> bool:
    """Whether values can be looked at without waiting."""
    return t.device.type == "cpu"


def plain(t: Tensor) -> bool:
    """Whether a tensor has values: it stands for no others, as under ``torch.func``."""
    # PyTorch has no public name for it before 2.7, and then only ``torch.func.debug_unwrap(t) is t``
    return type(t) in (Tensor, nn.Parameter) and not torch._C._functorch.is_functorch_wrapped_tensor(t)


def tracing(*tensors: Tensor) -> bool:
    """Whether what is computed of these becomes part of a graph that runs later."""
    if torch.compiler.is_compiling() or torch.jit.is_tracing():  # type: ignore[attr-defined,no-untyped-call]
        return True
    return any(t.is_cuda for t in tensors) and torch.cuda.is_current_stream_capturing()


def wants_graph(*tensors: Tensor) -> bool:
    """Whether a gradient to these may be asked for."""
    return torch.is_grad_enabled() and any(t.requires_grad for t in tensors)


def keepable(*tensors: Tensor) -> bool:
    """Whether what is computed of these may be kept."""
    return not (tracing(*tensors) or wants_graph(*tensors)) and _are_values(tensors)


def _are_values(tensors: Sequence[Tensor]) -> bool:
    """Whether tensors are no more than their values, and what is computed of them stays so."""
    # under torch.func.grad even a new tensor stands for another, which lives no longer than the call
    return all(map(plain, (*tensors, torch.empty(0)))) and all(
        forward_ad.unpack_dual(t).tangent is None  # type: ignore[no-untyped-call]
        for t in tensors
    )
