"""Plant a change into a rung while it runs: an expression of its source, found by its text, is replaced.

The code of the function itself is changed, so that every file that has imported it runs the changed one;
``unittest.mock.patch.object`` cannot do that, because it deletes an attribute before it puts the old one back, and a
function must have its code. The mock is used for what is replaced as a whole.
"""

from __future__ import annotations

import ast
import builtins
import copy
import importlib
import inspect
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from types import FunctionType
from typing import Any
from unittest.mock import patch

Plant = Callable[[], AbstractContextManager[None]]
SELF, HOLE = "it", "_"  # the expression, in its replacement; its place, in what stands around it


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
        replacement: as Python text; ``it`` is the expression.
        inside: where the expression stands more than once: a longer one around it, which stands there once; with ``_``
            for the expression where the longer one holds two; or an argument with its default, as it is written.
        using: functions and modules that the replacement names and the file does not.
    """

    where: str
    expression: str
    replacement: str
    inside: str = ""
    using: tuple[Any, ...] = ()


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


@dataclass(frozen=True)
class Fault:
    """A bug of a kind that ports of LEAF have had, or could.

    Attributes:
        name: unique, as the certificate prints it: ``rung/what-is-wrong``.
        kind: one of :data:`parity.mutation.kinds.KINDS`.
        stage: of the rung, or for a gradient the variable, at which it must be caught first.
        criterion: that must catch it there.
        statement: what is wrong, down to the operation.
        changes: one, or several that are planted together; modules that are built and run inside have the fault.
        property: of the claim that must fail.
    """

    name: str
    kind: str
    stage: str
    criterion: str
    statement: str
    changes: Change | tuple[Change, ...]
    property: str = "forward"  # hides the decorator in this class

    @builtins.property
    def rung(self) -> str:
        """The rung that it is planted into."""
        return self.name.partition("/")[0]

    def plant(self) -> AbstractContextManager[None]:
        """Have the fault as long as the context lasts."""
        return planted(self.changes)


@dataclass(frozen=True)
class Benign:
    """A reformulation that means the same and rounds otherwise: it must pass.

    Attributes:
        name: unique, ``rung/what-is-done``.
        statement: what is computed otherwise.
        reason: why it is the same function.
        changes: as for :class:`Fault`.
        stage: the first that it may round otherwise: a case that has none of the kind is not touched by it.
    """

    name: str
    statement: str
    reason: str
    changes: Change | tuple[Change, ...]
    stage: str = "filters"

    @property
    def rung(self) -> str:
        """The rung that it is planted into."""
        return self.name.partition("/")[0]

    def plant(self) -> AbstractContextManager[None]:
        """Have the change as long as the context lasts."""
        return planted(self.changes)


@contextmanager
def planted(changes: Change | tuple[Change, ...]) -> Iterator[None]:
    """Make changes, and take them back.

    Raises:
        NotPlantedError: an expression is not there, or more than once; nothing is changed then.
    """
    several = changes if isinstance(changes, tuple) else (changes,)
    edits = sorted((c for c in several if isinstance(c, Edit)), key=lambda edit: edit.where)
    with ExitStack() as stack:
        for where, of_one in groupby(edits, key=lambda edit: edit.where):
            stack.enter_context(_edited(where, tuple(of_one)))
        for change in several:
            if isinstance(change, Patch):
                stack.enter_context(change.plant())
        _forget()
        try:
            yield
        finally:
            _forget()


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


def scaled(where: str, expression: str, inside: str = "", using: tuple[Any, ...] = ()) -> Callable[[float], Edit]:
    """Edits that multiply an expression by a factor; arguments as of :class:`Edit`."""
    return lambda factor: Edit(where, expression, f"{SELF} * {factor!r}", inside, using)


def shifted(where: str, expression: str, inside: str = "") -> Callable[[float], Edit]:
    """As :func:`scaled`, but adds ``factor - 1``: for a constant of 0, which has no relative change."""
    return lambda factor: Edit(where, expression, f"{SELF} + {factor - 1!r}", inside)


def _forget() -> None:
    """Drop the filters that modules keep: the code as it was computed them."""
    if "leaf._runtime.cache" in sys.modules:
        sys.modules["leaf._runtime.cache"].ParameterCache.generation += 1


@contextmanager
def _edited(where: str, edits: tuple[Edit, ...]) -> Iterator[None]:
    function = _function(where)
    new = _compiled(where, edits)
    attributes = ("__code__", "__defaults__", "__kwdefaults__")
    kept = {name: getattr(function, name) for name in attributes}
    with ExitStack() as stack:
        for helper in (helper for edit in edits for helper in edit.using):
            module = sys.modules[function.__module__]
            stack.enter_context(patch.object(module, helper.__name__, helper, create=True))
        try:
            for name in attributes:
                setattr(function, name, getattr(new, name))
            yield
        finally:
            for name, value in kept.items():
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
def _source(where: str) -> str:
    return textwrap.dedent(inspect.getsource(_function(where)))


def _compiled(where: str, edits: tuple[Edit, ...]) -> FunctionType:
    """The function with its expressions replaced."""
    definition = ast.parse(_source(where)).body[0]
    assert isinstance(definition, ast.FunctionDef)
    definition.decorator_list = []
    replacing = _Replacing({id(_node(definition, edit)): edit for edit in edits})
    replacing.visit(definition)
    if replacing.left:
        raise NotPlantedError(f"{where}: expressions of edits={edits} must not stand inside of each other")
    # inside of a function that has a __class__, a method may say super(); annotations stay text, as in this file
    body = textwrap.indent(ast.unparse(ast.fix_missing_locations(definition)), "    ")
    namespace = dict(_function(where).__globals__)
    exec(f"def planted(__class__):\n{body}\n    return {definition.name}", namespace)
    made: FunctionType = namespace["planted"](None)
    return made


def _node(definition: ast.FunctionDef, edit: Edit) -> ast.AST:
    """The one node that an edit is about."""
    if not edit.inside:
        return _only(definition, _parsed(edit.expression), edit)
    try:
        around = _parsed(edit.inside)
    except SyntaxError:
        return _only(_default(definition, edit), _parsed(edit.expression), edit)
    path = next((path for path, node in _walked(around) if isinstance(node, ast.Name) and node.id == HOLE), None)
    if path is None:
        return _only(_only(definition, around, edit), _parsed(edit.expression), edit)
    found: Any = _only(definition, _Naming(HOLE, _parsed(edit.expression)).visit(around), edit)
    for step in path:
        found = found[step] if isinstance(step, int) else getattr(found, step)
    return found  # type: ignore[no-any-return]


def _only(within: ast.AST, wanted: ast.AST, edit: Edit) -> ast.AST:
    text = ast.dump(wanted)
    found = [node for node in ast.walk(within) if type(node) is type(wanted) and ast.dump(node) == text]
    if len(found) != 1:
        times = f"must stand in the function once, stands there {len(found)} times"
        raise NotPlantedError(f"{edit.where}: expression={ast.unparse(wanted)!r}: {times}")
    return found[0]


def _default(definition: ast.FunctionDef, edit: Edit) -> ast.AST:
    """The default of an argument that is written as ``name: annotation = default``."""
    header = ast.parse(f"def header({edit.inside}): ...").body[0]
    assert isinstance(header, ast.FunctionDef)
    own, wanted = definition.args, header.args
    positional = [*own.posonlyargs, *own.args]
    defaults = dict(zip(positional[len(positional) - len(own.defaults) :], own.defaults, strict=True))
    defaults |= {a: value for a, value in zip(own.kwonlyargs, own.kw_defaults, strict=True) if value is not None}
    text = (ast.dump(wanted.args[0]), ast.dump(wanted.defaults[0]))
    for argument, value in defaults.items():
        if (ast.dump(argument), ast.dump(value)) == text:
            return value
    raise NotPlantedError(
        f"{edit.where}: inside={edit.inside!r}: must be an argument and its default, as written there"
    )


def _walked(node: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], ast.AST]]:
    """Every node with the way to it."""
    if isinstance(node, ast.AST):
        yield path, node
        for name, value in ast.iter_fields(node):
            yield from _walked(value, (*path, name))
    elif isinstance(node, list):
        for i, value in enumerate(node):
            yield from _walked(value, (*path, i))


def _parsed(expression: str) -> ast.expr:
    return ast.parse(expression, mode="eval").body


class _Replacing(ast.NodeTransformer):
    """Replaces nodes by their identity."""

    def __init__(self, edits: dict[int, Edit]) -> None:
        self.left = edits

    def visit(self, node: ast.AST) -> ast.AST:
        """Look at a node, and into it where it stays."""
        edit = self.left.pop(id(node), None)
        if edit is None:
            visited: ast.AST = self.generic_visit(node)
            return visited
        return _Naming(SELF, node).visit(_parsed(edit.replacement))  # type: ignore[no-any-return]


class _Naming(ast.NodeTransformer):
    """Puts an expression where a name stands for it."""

    def __init__(self, name: str, expression: ast.AST) -> None:
        self.name, self.expression = name, expression

    def visit_Name(self, node: ast.Name) -> ast.AST:
        """The expression in place of its name."""
        return copy.deepcopy(self.expression) if node.id == self.name else node
