"""Modules whose plan (lengths, strides, a choice of columns) is computed from the values of their parameters.

The module is a :class:`Planned`, overrides ``current_plan``, and asks for it in ``forward`` by the same name::

    def current_plan(self):
        return self.planned(settings, (self.bandwidths, self.pooling_widths), self._make_plan)

``_make_plan`` must be a function of settings and sources alone: it runs once for them, without gradients and outside of
``inference_mode``. Tensors that are made of a plan go through ``self._cache.get``, with the plan among the settings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from leaf._runtime.cache import ParameterCache, Version, plain, tracing, unchanged

T = TypeVar("T")
Self = TypeVar("Self", bound="Planned")


class Planned(nn.Module):
    """A module whose plan is computed from the values of its parameters, and can be frozen for graphs.

    A graph (``torch.compile``, ``torch.export``, ONNX, ``torch.jit.trace``, a captured CUDA graph) cannot look at
    values, nor can ``torch.func.vmap`` over parameters: there the plan is the frozen one, and without one RuntimeError
    names ``freeze()``. Elsewhere the plan is always that of the present parameters, frozen or not: a changed parameter
    renews the frozen plan at the next call.

    ``eval()``, ``deepcopy`` and ``pickle`` keep a frozen plan; ``train()``, ``load_state_dict`` and the replacement of
    a parameter end it. Where parameters have been written to or moved since it was frozen and no call came between,
    a graph in evaluation mode refuses it, and names ``freeze()``; writes through ``.data`` are not seen here. In
    training mode, after ``train()`` and then ``freeze()``, a graph keeps it through the steps that follow. In a
    finished graph the plan is fixed, and the rest follows the parameters.
    """

    def __init__(self) -> None:
        super().__init__()
        self._cache = ParameterCache()
        self._frozen: _Frozen | None = None
        self.register_load_state_dict_post_hook(_thaw)  # type: ignore[no-untyped-call]

    def current_plan(self) -> Any:
        """The plan for the present parameters; calls :meth:`planned` with the module's settings."""
        raise NotImplementedError

    def freeze(self: Self, frozen: bool = True) -> Self:
        """Fix the present plan for graphs, see :class:`Planned`; with ``False``, release it."""
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
    """A plan and the parameters that it was made for, copied and pickled together."""

    def __init__(self, plan: Any, parameters: Iterable[Tensor]) -> None:
        self.plan = plan
        self.parameters = tuple(parameters)
        self.versions: tuple[Version, ...] | None = tuple(map(Version, self.parameters))

    def is_of(self, module: nn.Module) -> bool:
        """Tell whether the module has its own parameters in place, rather than those of a ``functional_call``."""
        there = tuple(module.parameters())
        same = (t is own or not plain(t) for t, own in zip(there, self.parameters, strict=False))  # export's are fakes
        return len(there) == len(self.parameters) and all(same)

    def is_still(self, plan: object) -> bool:
        """Tell whether this is the plan and no write to the parameters has been counted since; reads no value."""
        return plan is self.plan and self.versions is not None and unchanged(self.versions, self.parameters)

    def __getstate__(self) -> tuple[Any, tuple[Tensor, ...], bool]:
        return self.plan, self.parameters, self.is_still(self.plan)

    def __setstate__(self, state: tuple[Any, tuple[Tensor, ...], bool]) -> None:
        self.plan, self.parameters, still = state
        self.versions = tuple(map(Version, self.parameters)) if still else None
