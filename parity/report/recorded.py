"""Keep what runs too long for the certificate have measured, with their commit; it is stale once a source changes."""

from __future__ import annotations

import ast
import hashlib
import io
import json
import tokenize
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from parity.report.claims import plain
from parity.report.environment import commit, describe
from parity.weights.outputs import Output

FOLDER = Path("benchmarks", "results")
_Place = tuple[int, int]  # line from 1, column in bytes
_WITH_DOCSTRING = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True)
class Record:
    """One table of numbers, and where it comes from.

    Attributes:
        name: of the file, without its suffix.
        title: of the table.
        note: what it shows, in a sentence or two.
        command: that measures it again.
        commit: that was measured; with ``+`` where files had changed since.
        date: ISO 8601, UTC.
        machine: that it ran on.
        sources: SHA-256 by path of the files that the numbers depend on; of the code alone where it is Python.
        rows: plain values by column; all rows have the first one's columns.
    """

    name: str
    title: str
    note: str
    command: str
    commit: str
    date: str
    machine: dict[str, Any]
    sources: dict[str, str]
    rows: list[dict[str, Any]]

    def changed(self, root: Path) -> list[str]:
        """List the sources that are no longer what was measured; with one of them the record is stale."""
        return [path for path, digest in self.sources.items() if _digest(root / path) != digest]


def keep(
    name: str, rows: Sequence[Mapping[str, Any]], *, title: str, note: str, command: str, sources: Sequence[str],
    root: Path,
) -> Path:  # fmt: skip
    """Write a record to ``benchmarks/results/NAME.json``; what is there is replaced at once or not at all.

    Args:
        name: of the file.
        rows: the numbers.
        title, note, command: see :class:`Record`.
        sources: paths below ``root`` of the files that the numbers depend on.
        root: the repository.

    Raises:
        ValueError: there are no rows, a row has other columns than the first, or a source is missing; names it.
    """
    table = [{column: plain(value) for column, value in row.items()} for row in rows]
    if not table:
        raise ValueError("rows: must have at least one")
    if odd := [row for row in table if list(row) != list(table[0])]:
        raise ValueError(f"rows: every one must have the columns {list(table[0])}, not {list(odd[0])}")
    if missing := [path for path in sources if not (root / path).is_file()]:
        raise ValueError(f"sources: {', '.join(missing)}: no such file")
    date = datetime.now(timezone.utc).isoformat(timespec="seconds")
    digests = {path: _digest(root / path) for path in sources}
    record = Record(name, title, note, command, commit_of(root), date, describe(root), digests, table)
    to = output(name, root)
    to.path.parent.mkdir(parents=True, exist_ok=True)
    to.write((json.dumps(asdict(record), indent=1, allow_nan=False) + "\n").encode())
    return to.path


def output(name: str, root: Path) -> Output:
    """Name the file of a record: a record may be replaced, another file may not."""
    return Output("record", root / FOLDER / f"{name}.json", ours=lambda path: _record(path) is not None)


def read(root: Path) -> list[Record]:
    """Read every record of a repository, by name; none where it has no such folder. Other JSON files are not ours."""
    found = [_record(path) for path in sorted((root / FOLDER).glob("*.json"))]
    return [record for record in found if record is not None]


def find(name: str, root: Path) -> Record:
    """Find the record of this name; raises FileNotFoundError where there is none."""
    for record in read(root):
        if record.name == name:
            return record
    raise FileNotFoundError(f"{FOLDER / name}.json: is not on record")


def _record(path: Path) -> Record | None:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return None
    return Record(**data) if isinstance(data, dict) and set(data) == {field.name for field in fields(Record)} else None


def _digest(path: Path) -> str:
    if not path.is_file():
        return ""
    content = path.read_bytes()
    if path.suffix == ".py":
        content = without_prose(content.decode()).encode()
    return hashlib.sha256(content).hexdigest()


def without_prose(source: str) -> str:
    """Return a Python file without comments, docstrings, messages of errors and empty lines: no number depends on them.

    Cut out of the text, not written anew from a tree, so that every version of Python finds the same.
    """
    text = source.split("\n")
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            line, column = token.start
            text[line - 1] = text[line - 1][:column]
    lines = [line.encode() for line in text]  # a tree counts columns in bytes
    for node in ast.walk(ast.parse(source)):
        if span := _prose(node):
            (begin, first), (end, last) = span
            around = lines[begin - 1][:first] + lines[end - 1][last:]
            lines[begin - 1 : end] = [around] + [b""] * (end - begin)
    return "".join(f"{line.decode().rstrip()}\n" for line in lines if line.strip())


def _prose(node: ast.AST) -> tuple[_Place, _Place] | None:
    """Return where a docstring, or what an error is raised with, begins and ends."""
    if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
        return _end(node.exc.func), _end(node.exc)
    first = node.body[0] if isinstance(node, _WITH_DOCSTRING) and node.body else None
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        return (first.lineno, first.col_offset), _end(first)
    return None


def _end(node: ast.expr | ast.stmt) -> _Place:
    assert node.end_lineno is not None  # a tree that was parsed has both
    assert node.end_col_offset is not None
    return node.end_lineno, node.end_col_offset


def commit_of(root: Path) -> str:
    """Name the commit that is checked out, nine digits; with ``+`` where files have changed since."""
    found = commit(root)
    return "" if found is None else found["id"][:9] + ("+" if found["dirty"] else "")
