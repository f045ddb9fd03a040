"""Settings of a frontend as the command line has them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from parity.weights.outputs import require_file


def settings_of(texts: Sequence[str]) -> dict[str, Any]:
    """The settings of every ``--config``: each a JSON file, or ``name=value,name=value``; together they are one.

    Raises:
        ValueError: one is neither, or two of them, or one by itself, give a setting two values; names it.
    """
    settings: dict[str, Any] = {}
    for text in texts:
        for name, value in _pairs(text):
            if name in settings and not _alike(settings[name], value):
                raise ValueError(f"config: {name}={settings[name]} and {name}={value}: must be given one value")
            settings[name] = value
    return settings


def _pairs(text: str) -> list[tuple[str, Any]]:
    try:
        if text.endswith(".json"):
            require_file("config", Path(text))
            read = json.loads(Path(text).read_text("utf-8"))
            return list(dict(read.get("config", read)).items())
        pairs = [(name.strip(), value.strip()) for name, value in (pair.split("=", 1) for pair in text.split(","))]
        if not all(name and value for name, value in pairs):
            raise ValueError("a name or a value is empty")
        return [(name, value) for name, value in pairs]
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"config={text!r}: must be a JSON file or name=value,name=value ({error})") from None


def _alike(one: Any, other: Any) -> bool:
    try:
        return float(one) == float(other)
    except (TypeError, ValueError):
        return str(one).lower() == str(other).lower()
