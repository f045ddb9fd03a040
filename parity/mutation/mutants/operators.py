"""Mutants of a Python file: every one differs from it by one operator, constant, argument, call, slice or statement.

Imports, docstrings, annotations, decorators, strings, ``raise`` statements, ``repr`` methods and what stands under
``TYPE_CHECKING`` are left as they are: none of them is a number that a user sees.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from types import CodeType
from typing import Any, NamedTuple

_ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv, ast.Pow: ast.Mult, ast.MatMult: ast.Add, ast.BitOr: ast.BitAnd, ast.BitAnd: ast.BitOr,
}  # fmt: skip
_COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE), ast.LtE: (ast.Lt, ast.Gt), ast.Gt: (ast.GtE, ast.LtE), ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,), ast.NotEq: (ast.Eq,), ast.Is: (ast.IsNot,), ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,), ast.NotIn: (ast.In,),
}  # fmt: skip
_PAIRS = (
    ("min", "max"), ("minimum", "maximum"), ("amin", "amax"), ("any", "all"), ("floor", "ceil"), ("sin", "cos"),
    ("exp", "expm1"), ("log", "log1p"), ("zeros", "ones"), ("zeros_like", "ones_like"), ("sum", "mean"),
    ("real", "imag"), ("reduce_min", "reduce_max"), ("reduce_sum", "reduce_mean"), ("argmin", "argmax"),
)  # fmt: skip
_NAMES = {a: b for pair in _PAIRS for a, b in (pair, pair[::-1])}
_BUILT_IN = ("min", "max", "any", "all")
# the names by which modules are imported: a call on one has no receiver
_MODULES = ("torch", "F", "np", "math", "tf", "nn", "tf.math", "tf.signal", "keras", "tf.nn")
_REPR = ("__repr__", "extra_repr", "__str__")


@dataclass(frozen=True)
class Mutant:
    """One change of one file.

    Attributes:
        path: of the file, from the repository's root.
        name: qualified name of the function or class that holds the change; ``<module>`` outside of any.
        operator: what was done, in a word or two.
        before, after: the statement without and with the change.
        line: of the changed expression.
        lines: first and last of the statement, of a compound one of what stands before its body; of one outside
            functions those of the whole file, any of which may depend on it.
        node, variant: which node below the root is changed, and by which of its replacements.
    """

    path: str
    name: str
    operator: str
    before: str
    after: str
    line: int
    lines: tuple[int, int]
    node: int
    variant: int

    @property
    def key(self) -> tuple[str, str, str, str]:
        """Identify the change, whatever lines are added elsewhere in the file."""
        return self.path, self.name, self.before, self.after

    def compile(self, source: str, filename: str) -> CodeType:
        """The mutated file's code, with the line numbers of the original."""
        tree = ast.parse(source)
        node, put = _slots(tree)[self.node]
        change = list(_changes(node))[self.variant]
        put(ast.copy_location(change.node or ast.Pass(), node))
        code: CodeType = compile(ast.fix_missing_locations(tree), filename, "exec", dont_inherit=True)
        return code


class _Change(NamedTuple):
    operator: str
    node: ast.AST | None  # None deletes the statement


class _Place(NamedTuple):
    name: str
    statement: ast.stmt
    in_function: bool


def mutants(path: str, source: str) -> list[Mutant]:
    """Every mutant of a file, in the order of the file.

    Args:
        path: to be kept with each.
        source: the file's text.
    """
    tree = ast.parse(source)
    places = dict(_places(tree))
    found = []
    for index, (node, put) in enumerate(_slots(tree)):
        if id(node) not in places:
            continue
        name, statement, in_function = places[id(node)]
        lines = _lines(statement) if in_function else (1, len(source.splitlines()))
        before, line = _header(statement), getattr(node, "lineno", statement.lineno)
        for variant, change in enumerate(_changes(node)):
            put(change.node)
            after = "pass" if change.node is None else _header(change.node if node is statement else statement)
            put(node)
            if after != before:
                found.append(Mutant(path, name, change.operator, before, after, line, lines, index, variant))
    return sorted(found, key=lambda m: (m.line, m.node, m.variant))


def _slots(tree: ast.AST) -> list[tuple[ast.AST, Callable[[ast.AST | None], None]]]:
    """Every node below the root, as ``ast.walk`` finds them, and what puts another in its place."""
    found: list[tuple[ast.AST, Callable[[ast.AST | None], None]]] = []
    for parent in ast.walk(tree):
        for field, value in ast.iter_fields(parent):
            if isinstance(value, ast.AST):
                found.append((value, partial(setattr, parent, field)))
            elif isinstance(value, list):
                found += [(v, partial(value.__setitem__, i)) for i, v in enumerate(value) if isinstance(v, ast.AST)]
    return found


def _lines(statement: ast.stmt) -> tuple[int, int]:
    body = getattr(statement, "body", None)
    if isinstance(statement, (ast.FunctionDef, ast.ClassDef)) or not body:
        return statement.lineno, statement.end_lineno or statement.lineno
    return statement.lineno, max(statement.lineno, body[0].lineno - 1)


def _header(statement: ast.AST) -> str:
    """The statement on one line; of a compound one what stands before its body."""
    if hasattr(statement, "body"):
        empty: dict[str, object] = {
            field: [] for field in ("orelse", "finalbody", "handlers", "decorator_list") if hasattr(statement, field)
        }
        statement = _with(statement, body=[ast.Expr(ast.Constant(...))], **empty)
    return " ".join(ast.unparse(statement).split())


def _places(tree: ast.Module) -> Iterator[tuple[int, _Place]]:
    """The nodes that may change, by identity, each with its function and statement."""

    def visit(
        node: ast.AST, names: tuple[str, ...], statement: ast.stmt | None, in_function: bool
    ) -> Iterator[tuple[int, _Place]]:
        if isinstance(node, ast.stmt):
            statement = node
        is_docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if is_docstring or isinstance(node, (ast.Import, ast.ImportFrom, ast.JoinedStr)):
            return
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            return
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            if node.name in _REPR:
                return
            inner, in_function = (*names, node.name), isinstance(node, ast.FunctionDef)
            yield id(node), _Place(".".join(inner), node, in_function)
            for child in ast.iter_child_nodes(node):
                if child not in node.decorator_list and child is not getattr(node, "returns", None):
                    yield from visit(child, inner, node, in_function)
            return
        if statement is not None:
            yield id(node), _Place(".".join(names) or "<module>", statement, in_function)
        if isinstance(node, ast.Raise):
            return
        for field, value in ast.iter_fields(node):
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST) and field != "annotation":
                    yield from visit(child, names, statement, in_function)

    yield from visit(tree, (), None, False)


def _changes(node: ast.AST) -> Iterator[_Change]:
    """Every replacement of a node; the same ones in the same order whenever it is asked."""
    match node:
        case ast.BinOp() | ast.AugAssign():
            if other := _ARITHMETIC.get(type(node.op)):
                yield _Change("arithmetic", _with(node, op=other()))
            if isinstance(node, ast.AugAssign):
                yield _Change("statement deleted", None)
        case ast.UnaryOp(operand=ast.Constant(value=0)):
            return
        case ast.UnaryOp():
            yield _Change("sign" if isinstance(node.op, ast.USub) else "negation dropped", node.operand)
        case ast.Compare():
            for i, op in enumerate(node.ops):
                for new in _COMPARISONS[type(op)]:
                    yield _Change("comparison", _with(node, ops=[*node.ops[:i], new(), *node.ops[i + 1 :]]))
        case ast.BoolOp():
            yield _Change("and/or", _with(node, op=ast.Or() if isinstance(node.op, ast.And) else ast.And()))
        case ast.Constant(value=bool(value)):
            yield _Change("constant", ast.Constant(not value))
        case ast.Constant(value=int(value)):
            yield from (_Change("constant", ast.Constant(new)) for new in (value + 1, value - 1))
        case ast.Constant(value=float(value)):
            others = (value * 1.01, value * 0.5) if value else (1.0,)
            yield from (_Change("constant", ast.Constant(new)) for new in others)
        case ast.Call():
            yield from _calls(node)
        case ast.Slice():
            for field, by in (("lower", 1), ("upper", -1)):
                if (bound := getattr(node, field)) is not None:
                    yield _Change("slice", _with(node, **{field: None}))
                    yield _Change("slice", _with(node, **{field: _plus(bound, by)}))
            if node.step is not None:
                yield _Change("slice", _with(node, step=None))
        case ast.If() | ast.IfExp():
            yield _Change("condition negated", _with(node, test=ast.UnaryOp(ast.Not(), node.test)))
        case ast.Attribute(attr=name, ctx=ast.Load()) if name in _NAMES:
            yield _Change("name", _with(node, attr=_NAMES[name]))
        case ast.Name(id=name, ctx=ast.Load()) if name in _BUILT_IN:
            yield _Change("name", _with(node, id=_NAMES[name]))
        case ast.Expr() | ast.Raise():
            yield _Change("statement deleted", None)
        case ast.Assign() if all(isinstance(target, ast.Subscript) for target in node.targets):
            yield _Change("statement deleted", None)


def _calls(node: ast.Call) -> Iterator[_Change]:
    args, keywords, function = node.args, node.keywords, node.func
    if isinstance(function, ast.Name) and function.id == "range":
        yield from (_Change("range", _with(node, args=[*args[:-1], _plus(args[-1], by)])) for by in (-1, 1))
        return
    if isinstance(function, ast.Name) and function.id in ("super", "isinstance", "TypeVar"):
        return
    if args and not isinstance(args[0], ast.Starred):
        yield _Change("call dropped", args[0])
    if isinstance(function, ast.Attribute) and ast.unparse(function.value) not in _MODULES:
        yield _Change("call dropped", function.value)
    if len(args) == 2 and not any(isinstance(arg, ast.Starred) for arg in args):
        yield _Change("arguments swapped", _with(node, args=args[::-1]))
    for i, keyword in enumerate(keywords):
        if keyword.arg is not None:
            yield _Change("argument dropped", _with(node, keywords=[*keywords[:i], *keywords[i + 1 :]]))


def _plus(node: ast.expr, by: int) -> ast.expr:
    return ast.BinOp(node, ast.Add() if by > 0 else ast.Sub(), ast.Constant(abs(by)))


def _with(node: ast.AST, **fields: object) -> Any:
    """A shallow copy with other fields."""
    new = copy.copy(node)
    for name, value in fields.items():
        setattr(new, name, value)
    return new
