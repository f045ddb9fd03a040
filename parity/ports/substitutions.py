"""List what a port may take for a parameter of a filter: its mean, its square, another limit or parameter."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from parity.oracle.arrays import Array, exact
from parity.ports.formulas import ADDED, SUBTRACTED, Setting


def rounded(x: Array, dtype: str) -> Array:
    """Values rounded to ``float16`` or ``bfloat16``."""
    if dtype == "float16":
        with np.errstate(over="ignore"):
            return exact(x.astype(np.float16))
    bits = np.ascontiguousarray(x, dtype=np.float32).view(np.uint32)
    return exact(((bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000).astype(np.uint32).view(np.float32))


# What may be taken for a parameter, of all filters.
TAKEN: dict[str, Callable[[Array], Array]] = {
    "the mean of {} over all filters": lambda p: np.full_like(p, p.mean()),
    "the first filter's {} for all": lambda p: np.full_like(p, p[0]),
    "the largest {} for all": lambda p: np.full_like(p, p.max()),
    "the least {} for all": lambda p: np.full_like(p, p.min()),
    "{} of the filters in reverse order": lambda p: p[::-1], "{} in rising order": np.sort,
    "{} of the next filter": lambda p: np.roll(p, -1), "{} of the filter before": lambda p: np.roll(p, 1),
    "twice {}": lambda p: 2 * p, "half of {}": lambda p: p / 2, "{} times pi": lambda p: p * np.pi,
    "{} / pi": lambda p: p / np.pi, "{} times 2 pi": lambda p: p * 2 * np.pi, "{} / (2 pi)": lambda p: p / (2 * np.pi),
    "1 / ({})": lambda p: 1 / p, "the square of {}": np.square, "the square root of {}": np.sqrt, "exp({})": np.exp,
    "log({})": np.log, "sigmoid({})": lambda p: 1 / (1 + np.exp(-p)), "softplus({})": lambda p: np.log1p(np.exp(p)),
    "tanh({})": np.tanh, "1 - ({})": lambda p: 1 - p, "the opposite of {}": np.negative, "the magnitude of {}": np.abs,
    "{} rounded to float16": lambda p: rounded(p, "float16"),
    "{} rounded to bfloat16": lambda p: rounded(p, "bfloat16"),
    "{} rounded to an integer": np.round, "the integer below {}": np.floor,
}  # fmt: skip


def ways(name: str) -> Iterator[tuple[str, Callable[[Setting], Array]]]:
    """The sentences and values of what may be taken for a parameter."""
    whole = {ADDED: "delta", SUBTRACTED: "delta", "the root of the sum": "the root", "the root of delta": "the root",
             "the weight of the frame": "s", "the weight of the state": "s"}.get(name, name)  # fmt: skip
    is_part = whole != name

    def given(s: Setting) -> Array:
        return 1 - s.raw[whole] if name == "the weight of the state" else s.raw[whole]

    def low(s: Setting) -> Array:
        return np.maximum(given(s), s.limits[whole][0])

    def high(s: Setting) -> Array:
        return np.minimum(given(s), s.limits[whole][1])

    def turned(s: Setting) -> Array:
        bottom, top = s.limits[whole]
        return np.clip(given(s), top if np.isfinite(top) else -np.inf, bottom if np.isfinite(bottom) else np.inf)

    yield f"does not limit {name}", given
    yield f"does not limit {name} from above", low
    yield f"does not limit {name} from below", high
    yield f"limits {name} on the wrong side", turned
    for text, way in TAKEN.items():
        said = f"takes {text.format(name)}"
        yield said, _made(name, way)
        if not is_part:
            yield f"{said}, before it is limited", _before_limits(name, way)
    for other in ("mu", "sigma", "the pooling width", "s", "alpha", "delta", "the root"):
        if other != whole:
            yield f"takes {other} for {name}", _held(other)


def _made(name: str, way: Callable[[Array], Array]) -> Callable[[Setting], Array]:
    return lambda s: way(s.plain.parameter(name))


def _before_limits(name: str, way: Callable[[Array], Array]) -> Callable[[Setting], Array]:
    return lambda s: np.clip(way(s.raw[name]), *s.limits[name])


def _held(name: str) -> Callable[[Setting], Array]:
    return lambda s: s.held[name]
