"""Mutants of a Python file: every one differs from it by one operator, constant, argument, call, slice or statement.

Imports, docstrings, annotations, decorators, strings, ``raise`` statements, ``repr`` methods and what stands under
``TYPE_CHECKING`` are left as they are: none of them is a number that a user sees.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass
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
        node, variant: which node of ``ast.walk`` is changed, and by which of its replacements.
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
        """What stays when lines are added elsewhere in the file."""
        return self.path, self.name, self.before, self.after

    def compile(self, source: str, filename: str) -> CodeType:
        """The mutated file's code, with the line numbers of the original."""
        tree = ast.parse(source)
        _replace(tree, self.node, self.variant)
        code: CodeType = compile(tree, filename, "exec", dont_inherit=True)
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
    nodes = list(ast.walk(tree))
    found = []
    for index, node in enumerate(nodes):
        if id(node) not in places:
            continue
        name, statement, in_function = places[id(node)]
        lines = _lines(statement) if in_function else (1, len(source.splitlines()))
        before = _header(statement)
        for variant, change in enumerate(_changes(node)):
            if change.node is None:
                after = "pass"
            else:
                memo: dict[int, Any] = {}
                shown = copy.deepcopy(_bare(statement), memo)
                after = _header(_substituted(shown, memo.get(id(node), shown), change.node))
            if after != before:
                line = getattr(node, "lineno", statement.lineno)
                found.append(Mutant(path, name, change.operator, before, after, line, lines, index, variant))
    return sorted(found, key=lambda m: (m.line, m.node, m.variant))


def _replace(tree: ast.Module, index: int, variant: int) -> None:
    node = list(ast.walk(tree))[index]
    change = list(_changes(node))[variant]
    new = ast.Pass() if change.node is None else change.node
    ast.fix_missing_locations(_substituted(tree, node, ast.copy_location(new, node)))


def _substituted(tree: ast.AST, old: object, new: ast.AST) -> ast.AST:
    if tree is old:
        return new
    for parent in ast.walk(tree):
        for field, value in ast.iter_fields(parent):
            if value is old:
                setattr(parent, field, new)
            elif isinstance(value, list):
                setattr(parent, field, [new if item is old else item for item in value])
    return tree


def _lines(statement: ast.stmt) -> tuple[int, int]:
    body = getattr(statement, "body", None)
    if isinstance(statement, (ast.FunctionDef, ast.ClassDef)) or not body:
        return statement.lineno, statement.end_lineno or statement.lineno
    return statement.lineno, max(statement.lineno, body[0].lineno - 1)


def _bare(statement: ast.AST) -> ast.AST:
    """A compound statement without its body, any other as it is."""
    if not hasattr(statement, "body"):
        return statement
    bare = _with(statement, body=[ast.Expr(ast.Constant(...))])
    for field in ("orelse", "finalbody", "handlers", "decorator_list"):
        if hasattr(bare, field):
            setattr(bare, field, [])
    return bare


def _header(statement: ast.AST) -> str:
    """The statement on one line; of a compound one what stands before its body."""
    return " ".join(ast.unparse(_bare(statement)).split())


def _places(tree: ast.Module) -> Iterator[tuple[int, _Place]]:
    """The nodes that may change, by identity, each with its function and statement."""

    def visit(
        node: ast.AST, names: tuple[str, ...], statement: ast.stmt | None, in_function: bool
    ) -> Iterator[tuple[int, _Place]]:
        if isinstance(node, ast.stmt):
            statement = node
        if isinstance(node, (ast.Import, ast.ImportFrom, ast.JoinedStr)) or _is_docstring(node):
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


def _is_docstring(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _changes(node: ast.AST) -> Iterator[_Change]:
    """Every replacement of a node; the same ones in the same order whenever it is asked."""
    if isinstance(node, (ast.BinOp, ast.AugAssign)):
        if other := _ARITHMETIC.get(type(node.op)):
            yield _Change("arithmetic", _with(node, op=other()))
        if isinstance(node, ast.AugAssign):
            yield _Change("statement deleted", None)
    elif isinstance(node, ast.UnaryOp) and not (isinstance(node.operand, ast.Constant) and node.operand.value == 0):
        yield _Change("sign" if isinstance(node.op, ast.USub) else "negation dropped", node.operand)
    elif isinstance(node, ast.Compare):
        for i, op in enumerate(node.ops):
            for new in _COMPARISONS[type(op)]:
                yield _Change("comparison", _with(node, ops=[*node.ops[:i], new(), *node.ops[i + 1 :]]))
    elif isinstance(node, ast.BoolOp):
        yield _Change("and/or", _with(node, op=ast.Or() if isinstance(node.op, ast.And) else ast.And()))
    elif isinstance(node, ast.Constant):
        for value in _constants(node.value):
            yield _Change("constant", ast.Constant(value))
    elif isinstance(node, ast.Call):
        yield from _calls(node)
    elif isinstance(node, ast.Slice):
        if node.lower is not None:
            yield _Change("slice", _with(node, lower=None))
            yield _Change("slice", _with(node, lower=_plus(node.lower, 1)))
        if node.upper is not None:
            yield _Change("slice", _with(node, upper=None))
            yield _Change("slice", _with(node, upper=_plus(node.upper, -1)))
        if node.step is not None:
            yield _Change("slice", _with(node, step=None))
    elif isinstance(node, (ast.If, ast.IfExp)):
        yield _Change("condition negated", _with(node, test=ast.UnaryOp(ast.Not(), node.test)))
    elif isinstance(node, ast.Attribute) and node.attr in _NAMES and isinstance(node.ctx, ast.Load):
        yield _Change("name", _with(node, attr=_NAMES[node.attr]))
    elif isinstance(node, ast.Name) and node.id in _BUILT_IN and isinstance(node.ctx, ast.Load):
        yield _Change("name", _with(node, id=_NAMES[node.id]))
    elif isinstance(node, (ast.Expr, ast.Raise)) or (
        isinstance(node, ast.Assign) and all(isinstance(target, ast.Subscript) for target in node.targets)
    ):
        yield _Change("statement deleted", None)


def _calls(node: ast.Call) -> Iterator[_Change]:
    args, keywords = node.args, node.keywords
    if isinstance(node.func, ast.Name) and node.func.id == "range":
        yield _Change("range", _with(node, args=[*args[:-1], _plus(args[-1], -1)]))
        yield _Change("range", _with(node, args=[*args[:-1], _plus(args[-1], 1)]))
        return
    if isinstance(node.func, ast.Name) and node.func.id in ("super", "isinstance", "TypeVar"):
        return
    method = isinstance(node.func, ast.Attribute)
    receiver = node.func.value if isinstance(node.func, ast.Attribute) else None
    if args and not isinstance(args[0], ast.Starred):
        yield _Change("call dropped", args[0])
    if method and receiver is not None and not _is_module(receiver):
        yield _Change("call dropped", receiver)
    if len(args) == 2 and not any(isinstance(arg, ast.Starred) for arg in args):
        yield _Change("arguments swapped", _with(node, args=args[::-1]))
    for i, keyword in enumerate(keywords):
        if keyword.arg is not None:
            yield _Change("argument dropped", _with(node, keywords=[*keywords[:i], *keywords[i + 1 :]]))


def _is_module(node: ast.AST) -> bool:
    """Whether a name is one of those by which modules are imported, so that a call on it has no receiver."""
    return ast.unparse(node) in ("torch", "F", "np", "math", "tf", "nn", "tf.math", "tf.signal", "keras", "tf.nn")


def _constants(value: object) -> tuple[Any, ...]:
    if isinstance(value, bool):
        return (not value,)
    if isinstance(value, int):
        return (value + 1, value - 1)
    if isinstance(value, float):
        return (1.0,) if value == 0 else (value * 1.01, value * 0.5)
    return ()


def _plus(node: ast.expr, by: int) -> ast.expr:
    return ast.BinOp(node, ast.Add() if by > 0 else ast.Sub(), ast.Constant(abs(by)))


def _with(node: ast.AST, **fields: object) -> ast.AST:
    """A shallow copy with other fields."""
    new = copy.copy(node)
    for name, value in fields.items():
        setattr(new, name, value)
    return new
