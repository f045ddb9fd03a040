"""Plant a change into a rung while it runs: an expression of its source, found by its text, is replaced.

The code of the function itself is exchanged, so that every file that has imported it runs the changed one;
``unittest.mock.patch.object`` deletes an attribute before it puts the old one back, which a function's code cannot be.
"""

from __future__ import annotations

import ast
import copy
import importlib
import inspect
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from types import FunctionType
from typing import Any
from unittest.mock import patch

from parity.mutation import replacements

Plant = Callable[[], AbstractContextManager[None]]
ATTRIBUTES = ("__code__", "__defaults__", "__kwdefaults__")


class NotPlantedError(LookupError):
    """The expression is not in the function's source, or more than once: a fault must not outlive what it changes."""


@dataclass(frozen=True)
class Edit:
    """One expression of one function, replaced.

    Attributes:
        where: ``module:function`` or ``module:Class.method``, imported when it is planted; properties and static
            methods are entered.
        expression: as Python text, for example ``self.root.clamp(min=1.0)``. Syntax is compared, not spaces or quotes.
            It must stand there once, arguments' defaults included.
        replacement: as Python text; ``it`` is the expression. It may name what :mod:`parity.mutation.replacements` has.
        inside: where the expression stands more than once: a longer one around it, which stands there once; with ``_``
            for the expression where the longer one holds two; or an argument with its default, as it is written.
    """

    where: str
    expression: str
    replacement: str
    inside: str = ""


@dataclass(frozen=True)
class Patch:
    """A name replaced as a whole: the exception, for what no expression says.

    Attributes:
        plant: makes a context manager, see :func:`replacing`.
        reason: why it is no :class:`Edit`.
    """

    plant: Plant
    reason: str


Change = Edit | Patch
Changes = Change | tuple[Change, ...]  # several are planted together


class _Planted:
    name: str
    changes: Changes

    @property
    def rung(self) -> str:
        """The rung that it is planted into."""
        return self.name.partition("/")[0]

    def plant(self) -> AbstractContextManager[None]:
        """Have the change as long as the context lasts."""
        return planted(self.changes)


@dataclass(frozen=True)
class Fault(_Planted):
    """A bug of a kind that ports of LEAF have had, or could.

    Attributes:
        name: unique, as the certificate prints it: ``rung/what-is-wrong``.
        kind: the same word for the same bug in several rungs.
        stage: of the rung, or for a gradient the variable, at which it must be caught first.
        criterion: that must catch it there.
        statement: what is wrong, down to the operation.
        changes: what is planted; modules that are built and run inside have the fault.
        property: of the claim that must fail.
    """

    name: str
    kind: str
    stage: str
    criterion: str
    statement: str
    changes: Changes
    property: str = "forward"


@dataclass(frozen=True)
class Benign(_Planted):
    """A reformulation that means the same and rounds otherwise: it must pass.

    Attributes:
        name: unique, ``rung/what-is-done``.
        statement: what is computed otherwise.
        reason: why it is the same function.
        changes: what is planted.
        stage: the first that it may round otherwise: a case that has none of the kind is not touched by it.
    """

    name: str
    statement: str
    reason: str
    changes: Changes
    stage: str = "filters"


@contextmanager
def planted(changes: Changes) -> Iterator[None]:
    """Make changes, and take them back.

    Raises:
        NotPlantedError: an expression is not there, or more than once; nothing is changed then.
    """
    several = changes if isinstance(changes, tuple) else (changes,)
    edits = [change for change in several if isinstance(change, Edit)]
    with ExitStack() as stack:
        stack.callback(_forget)
        for where in dict.fromkeys(edit.where for edit in edits):
            stack.enter_context(_edited(where, [edit for edit in edits if edit.where == where]))
        for change in several:
            if isinstance(change, Patch):
                stack.enter_context(change.plant())
        _forget()
        yield


def replacing(where: str, make: Callable[[Any], Any]) -> Plant:
    """A plant that replaces a name of a module or class.

    Args:
        where: ``module:name`` or ``module:Class.name``.
        make: from what is there to what takes its place; called whenever it is planted.
    """

    @contextmanager
    def plant() -> Iterator[None]:
        owner, name = _owner(where)
        with patch.object(owner, name, make(inspect.getattr_static(owner, name))):
            yield

    return plant


def _forget() -> None:
    """Drop the filters that modules keep: the code as it was computed them."""
    if "leaf._runtime.cache" in sys.modules:
        sys.modules["leaf._runtime.cache"].ParameterCache.generation += 1


@contextmanager
def _edited(where: str, edits: Sequence[Edit]) -> Iterator[None]:
    function = _function(where)
    new, module = _compiled(function, edits), sys.modules[function.__module__]
    kept = [getattr(function, name) for name in ATTRIBUTES]
    named = {node.id for edit in edits for node in ast.walk(_parsed(edit.replacement)) if isinstance(node, ast.Name)}
    with ExitStack() as stack:
        for name in named & vars(replacements).keys() - vars(module).keys():
            stack.enter_context(patch.object(module, name, getattr(replacements, name), create=True))
        try:
            for name in ATTRIBUTES:
                setattr(function, name, getattr(new, name))
            yield
        finally:
            for name, value in zip(ATTRIBUTES, kept, strict=True):
                setattr(function, name, value)


def _owner(where: str) -> tuple[Any, str]:
    module, _, path = where.partition(":")
    *classes, name = path.split(".")
    owner: Any = importlib.import_module(module)
    for cls in classes:
        owner = inspect.getattr_static(owner, cls)
    return owner, name


def _function(where: str) -> FunctionType:
    found = inspect.getattr_static(*_owner(where))
    if isinstance(found, property):
        found = found.fget
    elif isinstance(found, staticmethod):
        found = found.__func__
    if not isinstance(found, FunctionType):
        raise TypeError(f"where={where!r}: must name a function, a property or a static method, not {found!r}")
    return found


@cache
def _source(function: FunctionType) -> str:
    return textwrap.dedent(inspect.getsource(function))


def _compiled(function: FunctionType, edits: Sequence[Edit]) -> FunctionType:
    """The function with its expressions replaced, one after the other."""
    definition = ast.parse(_source(function)).body[0]
    assert isinstance(definition, ast.FunctionDef)
    definition.decorator_list = []
    for edit in edits:
        _replace(definition, edit)
    # inside of a function that has a __class__, a method may say super(); annotations stay text, as in this file
    body = textwrap.indent(ast.unparse(ast.fix_missing_locations(definition)), "    ")
    namespace = dict(function.__globals__)
    exec(f"def planted(__class__):\n{body}\n    return {definition.name}", namespace)
    made: FunctionType = namespace["planted"](None)
    return made


def _replace(definition: ast.FunctionDef, edit: Edit) -> None:
    old = _parsed(edit.expression)
    new = _Replaced(_parsed("it"), old).visit(_parsed(edit.replacement))
    argument, colon, _ = edit.inside.partition(":")
    if colon and argument.isidentifier():
        definition.args = _with_default(definition.args, old, new, edit)
        return
    if edit.inside:
        around, hole = _parsed(edit.inside), _Replaced(_parsed("_"), old)
        old = hole.visit(copy.deepcopy(around))
        new = (
            _Replaced(_parsed("_"), new).visit(around)
            if hole.n_found
            else _once(around, _parsed(edit.expression), new, edit)
        )
    _once(definition, old, new, edit)


def _once(tree: Any, old: ast.AST, new: ast.AST, edit: Edit) -> Any:
    """The tree with its one such node replaced."""
    replaced = _Replaced(old, new)
    tree = replaced.visit(tree)
    if replaced.n_found != 1:
        times = f"must stand in the function once, stands there {replaced.n_found} times"
        raise NotPlantedError(f"{edit.where}: expression={ast.unparse(old)!r}: {times}")
    return tree


def _with_default(arguments: ast.arguments, old: ast.AST, new: ast.AST, edit: Edit) -> ast.arguments:
    """The arguments, one of which has another default."""
    written, argument = ast.unparse(arguments), ast.unparse(_arguments(edit.inside))
    if f", {argument}," not in f", {written},":
        raise NotPlantedError(
            f"{edit.where}: inside={edit.inside!r}: must be an argument and its default, as written there"
        )
    changed = ast.unparse(_once(_arguments(edit.inside), old, new, edit))
    return _arguments(written.replace(argument, changed))


def _arguments(text: str) -> ast.arguments:
    header = ast.parse(f"def header({text}): ...").body[0]
    assert isinstance(header, ast.FunctionDef)
    return header.args


def _parsed(expression: str) -> ast.expr:
    return ast.parse(expression, mode="eval").body


class _Replaced(ast.NodeTransformer):
    """Replaces every node that is written like the old one, and counts them."""

    def __init__(self, old: ast.AST, new: ast.AST) -> None:
        self.kind, self.old, self.new, self.n_found = type(old), ast.dump(old), new, 0

    def visit(self, node: ast.AST) -> Any:
        if type(node) is not self.kind or ast.dump(node) != self.old:
            return self.generic_visit(node)
        self.n_found += 1
        return copy.deepcopy(self.new)
