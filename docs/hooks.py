"""Turn the notebook into a page of the site, and links that lead out of ``docs/`` into plain paths."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

NOTEBOOK = "tutorial.ipynb"
ROLE = re.compile(r":(?:attr|class|data|func|meth|mod):(?=<code>)")
OUTSIDE = re.compile(r"(?<!!)\[([^\]]+)\]\(\.\./([^)#\s]+)\)")


def on_files(files: Any, config: Any) -> Any:
    """Put the notebook's page and its pictures among the files; nothing is executed here."""
    from mkdocs.structure.files import File

    notebook = json.loads(Path(config.docs_dir, NOTEBOOK).read_text(encoding="utf-8"))
    text, pictures = page(notebook)
    for name, data in {"tutorial.md": text.encode(), **pictures}.items():
        files.append(File.generated(config, name, content=data))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Show links out of ``docs/`` as paths in the clone: the site has no page for what lies there."""
    depth = page.file.src_uri.count("/")
    markdown = markdown.replace(f"]({NOTEBOOK})", "](tutorial.md)")
    return markdown if depth else OUTSIDE.sub(lambda found: f"{found[1]} (`{found[2]}` in the clone)", markdown)


def on_page_content(html: str, page: Any, config: Any, files: Any) -> str:
    """Docstrings name other objects by roles (``:class:``), which Markdown does not know: the name alone stays."""
    return ROLE.sub("", html)


def page(notebook: dict[str, Any]) -> tuple[str, dict[str, bytes]]:
    """A notebook as Markdown, and its pictures by file name.

    Raises ValueError where a cell of code has not been executed.
    """
    parts: list[str] = []
    pictures: dict[str, bytes] = {}
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(source)
            continue
        if cell["execution_count"] is None:
            raise ValueError(f"{NOTEBOOK}: must be executed, and this cell is not: {source[:60]!r}")
        parts.append(f"```python\n{source}\n```")
        for output in cell["outputs"]:
            data = output.get("data", {})
            if "image/png" in data:
                name = f"tutorial-{len(pictures) + 1}.png"
                pictures[name] = base64.b64decode("".join(data["image/png"]))
                parts.append(f"![{cell['metadata']['alt']}]({name})")
            elif text := "".join(output.get("text", data.get("text/plain", ""))).rstrip():
                parts.append(f"```text\n{text}\n```")
    return "\n\n".join(parts) + "\n", pictures
