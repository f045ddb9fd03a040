"""The stages as a graph: what each is computed from, and the walks over it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

# What each stage is computed from.
FROM: dict[str, tuple[str, ...]] = {
    "filters": (),
    "windows": (),
    "conv": ("filters",),
    "modulus": ("conv",),
    "pool": ("modulus", "windows"),
    "floor": ("pool",),
    "ema": ("floor",),
    "pcen": ("floor", "ema"),
    "norm": ("pcen", "floor"),
    "output": ("norm", "pcen", "floor"),
}


def upstream(stage: str, until: Collection[str] = ()) -> list[str]:
    """List a stage and what it is computed from, at whatever distance; nothing beyond the stages in ``until``."""
    return _reached(stage, lambda name: FROM.get(name, ()), until)


def downstream(stage: str, until: Collection[str] = ()) -> list[str]:
    """List a stage and what is computed from it, at whatever distance; nothing beyond the stages in ``until``."""
    return _reached(stage, lambda name: (after for after, before in FROM.items() if name in before), until)


def _reached(start: str, step: Callable[[str], Iterable[str]], until: Collection[str]) -> list[str]:
    out, todo = list[str](), [start]
    while todo:
        name = todo.pop()
        if name not in out:
            out.append(name)
            todo += step(name) if name not in until else ()
    return out
