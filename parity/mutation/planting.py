"""What a planted fault is, and a benign reformulation."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

Plant = Callable[[], AbstractContextManager[None]]


@dataclass(frozen=True)
class Fault:
    """A bug of a kind that ports of LEAF have had, planted into a rung at run time.

    Attributes:
        name: unique, as the certificate prints it: ``rung/what-is-wrong``.
        kind: one of :data:`parity.mutation.KINDS`.
        rung: the rung that it is planted into.
        tap: the tap, or for a gradient the variable, at which it must be caught first.
        gate: the gate that must catch it there.
        statement: what is wrong, down to the operation.
        plant: makes a context manager; modules that are built and run inside of it have the fault.
        property: of the claim that must fail.
    """

    name: str
    kind: str
    rung: str
    tap: str
    gate: str
    statement: str
    plant: Plant
    property: str = "forward"


@dataclass(frozen=True)
class Benign:
    """A reformulation that means the same and rounds otherwise: it must pass.

    Attributes:
        name: unique, ``rung/what-is-done``.
        rung: the rung that it is planted into.
        statement: what is computed otherwise.
        reason: why it is the same function.
        plant: as for :class:`Fault`.
        tap: the first tap that it may round otherwise: what has none of the kind is not touched by it.
    """

    name: str
    rung: str
    statement: str
    reason: str
    plant: Plant
    tap: str = "filters"


def replaced(*replacements: tuple[Any, str, Any]) -> Plant:
    """A plant that sets attributes of modules or classes, and puts them back.

    Args:
        *replacements: (owner, name of the attribute, what takes its place).

    Raises:
        AttributeError: the owner has no such attribute: a fault must not outlive what it was planted into.
    """

    @contextmanager
    def plant() -> Iterator[None]:
        with ExitStack() as stack:
            for owner, name, value in replacements:
                missing = object()
                own = vars(owner).get(name, missing)
                if own is missing and not hasattr(owner, name):
                    raise AttributeError(f"{owner!r} has no attribute {name!r} to plant a fault into")
                stack.callback(_restore, owner, name, own, missing)
                setattr(owner, name, value)
            stack.callback(_forget)
            _forget()
            yield

    return plant


def _forget() -> None:
    """What a module keeps of its filters was computed by the code as it was."""
    if "leaf.cache" in sys.modules:
        sys.modules["leaf.cache"].ParameterCache.generation += 1


def _restore(owner: Any, name: str, own: Any, missing: object) -> None:
    if own is missing:
        delattr(owner, name)
    else:
        setattr(owner, name, own)
