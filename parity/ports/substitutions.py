"""List what a port may take for a parameter of a filter: its mean, its square, another limit or parameter."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from parity.oracle.arrays import Array, exact
from parity.ports import formulas
from parity.ports.formulas import WHOLE, Setting

OfArray = Callable[[Array], Array]


def rounded(dtype: str) -> OfArray:
    """Values rounded to ``float16`` or ``bfloat16``."""

    def to_bfloat16(x: Array) -> Array:
        bits = np.ascontiguousarray(x, dtype=np.float32).view(np.uint32)
        return exact(((bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000).astype(np.uint32).view(np.float32))

    def to_float16(x: Array) -> Array:
        with np.errstate(over="ignore"):
            return exact(x.astype(np.float16))

    return to_float16 if dtype == "float16" else to_bfloat16


# What may be taken for a parameter, of all filters.
TAKEN: dict[str, OfArray] = {
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
    "{} rounded to float16": rounded("float16"), "{} rounded to bfloat16": rounded("bfloat16"),
    "{} rounded to an integer": np.round, "the integer below {}": np.floor,
}  # fmt: skip


def ways(name: str) -> Iterator[tuple[str, Callable[[Setting], Array]]]:
    """The sentences and values of what may be taken for a parameter, or for one place of it."""
    whole = WHOLE.get(name, name)

    def limited(bounds: Callable[[float, float], tuple[float, float]], way: OfArray = lambda p: p) -> Any:
        """The parameter as it was given, changed, then inside of other limits."""
        state = name == formulas.OF_STATE
        return lambda s: np.clip(way(1 - s.raw[whole] if state else s.raw[whole]), *bounds(*s.limits[whole]))

    def made(way: OfArray) -> Any:
        return lambda s: way(s.plain.parameter(name))

    def other(taken: str) -> Any:
        return lambda s: s.held[taken]

    yield f"does not limit {name}", limited(lambda low, high: (-np.inf, np.inf))
    yield f"does not limit {name} from above", limited(lambda low, high: (low, np.inf))
    yield f"does not limit {name} from below", limited(lambda low, high: (-np.inf, high))
    yield (
        f"limits {name} on the wrong side",
        limited(lambda low, high: (high if high < np.inf else -np.inf, low if low > -np.inf else np.inf)),
    )
    for text, way in TAKEN.items():
        said = re.sub(r"(filter's|largest|least) the ", r"\1 ", f"takes {text.format(name)}")
        yield said, made(way)
        if name == whole:
            yield f"{said}, before it is limited", limited(lambda low, high: (low, high), way)
    yield from ((f"takes {taken} for {name}", other(taken)) for taken in formulas.PARAMETERS if taken != whole)
