"""Run the blocks of pages, in order: ``python pages.py BLOCKS.json`` in an empty folder, in the reader's environment.

The standard library alone: it runs where nothing but the wheel and what it requires is installed. A page begins in a
folder of its own, with no name defined. Prints what became of each page as JSON in its last line.
"""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SHAPE = re.compile(r"#.*?\[(\d+(?:, \d+)*)\]")
INSTALLS = re.compile(r"^python -m pip install .*$", re.MULTILINE)


def blocks(page: str) -> list[dict[str, Any]]:
    """The fenced blocks of a page in Markdown: language, text and line."""
    return [
        {"language": match[1], "text": match[2], "line": page.count("\n", 0, match.start()) + 1}
        for match in FENCE.finditer(page)
    ]


def run(block: dict[str, Any], page: str, names: dict[str, Any]) -> None:
    """Run Python or bash as it stands; what installs is the test's own matter. A shape in a comment must be true."""
    if block["language"] == "bash":
        subprocess.run(["bash", "-euo", "pipefail", "-c", INSTALLS.sub("", block["text"])], check=True)
    if block["language"] != "python":
        return
    lines = block["text"].splitlines()
    for statement in ast.parse(block["text"]).body:
        ast.increment_lineno(statement, block["line"])
        exec(compile(ast.Module([statement], []), page, "exec"), names)
        said = SHAPE.search(lines[statement.end_lineno - block["line"] - 1])
        if said and isinstance(statement, ast.Assign):
            (target,) = statement.targets
            shape = tuple(names[target.id].shape)
            if shape != tuple(int(n) for n in said[1].split(",")):
                raise AssertionError(f"{target.id} has the shape {shape}, the page says {said[1]}")


def main(pages: dict[str, str]) -> dict[str, str]:
    """Run each page; return by page where it failed, or an empty text."""
    out, here = {}, Path.cwd()
    for page, text in pages.items():
        folder = here / page.replace("/", "-")
        folder.mkdir()
        os.chdir(folder)
        names: dict[str, Any] = {"__name__": "__main__"}
        out[page] = ""
        for block in blocks(text):
            try:
                run(block, page, names)
            except Exception:
                out[page] = f"{page}:{block['line']}: {traceback.format_exc()}"
                break
    return out


if __name__ == "__main__":
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    print(json.dumps(main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))))
