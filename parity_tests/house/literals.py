"""Finds numeric bounds that have no reason: float literals in comparisons and tolerances.

The allowed form is a criterion with a derivation, ``OfMax(2e-15, "nine terms of a few roundings each")``. Criteria and
bounds that live in ``parity`` are the instrument's; whatever a test writes itself is walked here.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

import parity.criteria

CRITERIA = {
    name for name, made in vars(parity.criteria).items()
    if isinstance(made, type) and made.__module__ == "parity.criteria"
}  # fmt: skip
TOLERANCES = {"rtol", "atol", "rel", "abs", "rel_tol", "abs_tol", "tol", "tolerance"}
# Every one of them has a tolerance: written there, or worse, the library's default.
APPROXIMATE = {
    "approx", "isclose", "allclose", "assert_allclose", "assert_close", "assert_almost_equal", "assertAlmostEqual",
    "assert_approx_equal", "assert_array_almost_equal", "assert_array_almost_equal_nulp", "assert_array_max_ulp",
}  # fmt: skip
COMPARING = {
    "lt", "le", "gt", "ge", "eq", "ne", "less", "less_equal", "greater", "greater_equal", "assert_array_less",
}  # fmt: skip


def unreasoned(source: str) -> list[tuple[int, str]]:
    """Line and kind of every offence in a module's source, in order.

    Kinds: ``comparison`` (a float literal, or a name for one, in a comparison), ``tolerance`` (a number as a
    tolerance), ``approximate`` (a call that compares with a tolerance of its own) and ``criterion without a reason``.
    """
    tree = ast.parse(source)
    return sorted(set(_offences(tree, _constants(tree))))


def _offences(tree: ast.AST, constants: set[str]) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare) and _holds_float(node, constants):
            yield node.lineno, "comparison"
        if not isinstance(node, ast.Call):
            continue
        name = _name(node.func)
        if name in APPROXIMATE:
            yield node.lineno, "approximate"
        if name in COMPARING and any(_holds_float(argument, constants) for argument in node.args):
            yield node.lineno, "comparison"
        if name in CRITERIA and _literal_numbers(node) and not _has_reason(node):
            yield node.lineno, "criterion without a reason"
        for keyword in node.keywords:
            if keyword.arg in TOLERANCES and _holds_float(keyword.value, constants):
                yield keyword.value.lineno, "tolerance"


def _constants(tree: ast.AST) -> set[str]:
    """Names that stand for a float literal, or for arithmetic on literals: a bound by another name."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            targets, value = node.targets, node.value
        elif isinstance(node, (ast.AnnAssign, ast.NamedExpr)) and node.value is not None:
            targets, value = [node.target], node.value
        else:
            continue
        arithmetic = (ast.Constant, ast.BinOp, ast.UnaryOp, ast.operator, ast.unaryop)
        if all(isinstance(part, arithmetic) for part in ast.walk(value)) and _holds_float(value, set()):
            found |= {target.id for target in targets if isinstance(target, ast.Name)}
    return found


def _holds_float(node: ast.AST, constants: set[str]) -> bool:
    """Tell whether a float literal or a name for one is inside, but for criteria that have a reason."""
    if isinstance(node, ast.Call) and _name(node.func) in CRITERIA and _has_reason(node):
        return False
    if isinstance(node, ast.Constant):
        return isinstance(node.value, (float, complex))
    if isinstance(node, ast.Name):
        return node.id in constants
    return any(_holds_float(child, constants) for child in ast.iter_child_nodes(node))


def _has_reason(criterion: ast.Call) -> bool:
    given = [*criterion.args, *(keyword.value for keyword in criterion.keywords)]
    return any(isinstance(part, ast.JoinedStr) or _text(part) for part in given)


def _text(node: ast.expr) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def _literal_numbers(call: ast.Call) -> bool:
    given = [*call.args, *(keyword.value for keyword in call.keywords)]
    parts = [part for argument in given for part in ast.walk(argument)]
    return any(isinstance(part, ast.Constant) and isinstance(part.value, float) for part in parts)


def _name(function: ast.expr) -> str:
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""
