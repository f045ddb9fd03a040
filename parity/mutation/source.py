"""Plants a wrong constant into a function's own source: one expression, multiplied or shifted, and nothing else.

The function object itself is changed, so that everything that has imported it runs the changed one.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from types import FunctionType
from typing import Any

from parity.mutation.planting import Plant


class NotPlantedError(LookupError):
    """There is no such expression in the function's source: a constant must not outlive what it was planted into."""


Sized = Callable[[float], Plant]  # from a factor to a plant


def scaled(where: str, expression: str, nth: int = 0) -> Sized:
    """Plants that multiply one expression of a function by a factor.

    Args:
        where: ``module:function``, ``module:Class.method``; properties are entered. Imported when planted.
        expression: as in the source, for example ``math.pi`` or ``0.5``.
        nth: which of its occurrences, from 0, arguments' defaults before the body.
    """
    return _changed(where, expression, nth, lambda node, factor: ast.BinOp(node, ast.Mult(), ast.Constant(factor)))


def shifted(where: str, expression: str, nth: int = 0) -> Sized:
    """As :func:`scaled`, but adds ``factor - 1``: for a constant of 0, which has no relative change."""
    return _changed(where, expression, nth, lambda node, factor: ast.BinOp(node, ast.Add(), ast.Constant(factor - 1)))


def _changed(where: str, expression: str, nth: int, change: Callable[[ast.expr, float], ast.expr]) -> Sized:
    def sized(factor: float) -> Plant:
        @contextmanager
        def plant() -> Iterator[None]:
            function = _function(where)
            new = _compiled(where, _Replacing(expression, nth, lambda node: change(node, factor)))
            attributes = ("__code__", "__defaults__", "__kwdefaults__")
            kept = {name: getattr(function, name) for name in attributes}
            try:
                for name in attributes:
                    setattr(function, name, getattr(new, name))
                yield
            finally:
                for name, value in kept.items():
                    setattr(function, name, value)

        return plant

    return sized


class _Replacing(ast.NodeTransformer):
    """Replaces the n-th occurrence of an expression that is read."""

    def __init__(self, expression: str, nth: int, change: Callable[[ast.expr], ast.expr]) -> None:
        self.wanted = ast.unparse(ast.parse(expression, mode="eval").body)
        self.nth, self.change = nth, change
        self.n_found = 0

    def visit(self, node: ast.AST) -> ast.AST:
        """Looks at a node, and into it where it is another expression."""
        reads = isinstance(getattr(node, "ctx", ast.Load()), ast.Load)
        if isinstance(node, ast.expr) and reads and ast.unparse(node) == self.wanted:
            self.n_found += 1
            return self.change(node) if self.n_found == self.nth + 1 else node
        visited: ast.AST = self.generic_visit(node)
        return visited


def _function(where: str) -> FunctionType:
    module, _, path = where.partition(":")
    found: Any = importlib.import_module(module)
    for name in path.split("."):
        found = inspect.getattr_static(found, name)
    if isinstance(found, property):
        found = found.fget
    elif isinstance(found, staticmethod):
        found = found.__func__
    assert isinstance(found, FunctionType), f"{where}: must be a function"
    return found


@cache
def _source(where: str) -> str:
    return textwrap.dedent(inspect.getsource(_function(where)))


def _compiled(where: str, replacing: _Replacing) -> FunctionType:
    """The function with its expression replaced.

    Raises:
        NotPlantedError: there are fewer occurrences.
    """
    definition = ast.parse(_source(where)).body[0]
    assert isinstance(definition, ast.FunctionDef)
    definition.decorator_list = []
    replacing.visit(definition)
    if replacing.n_found <= replacing.nth:
        raise NotPlantedError(
            f"{where} has {replacing.n_found} times {replacing.wanted!r}: no occurrence {replacing.nth}"
        )
    # inside of a function that has a __class__, a method may say super(); annotations stay text, as in this file
    body = textwrap.indent(ast.unparse(ast.fix_missing_locations(definition)), "    ")
    namespace = dict(_function(where).__globals__)
    exec(f"def planted(__class__):\n{body}\n    return {definition.name}", namespace)
    made: FunctionType = namespace["planted"](None)
    return made
