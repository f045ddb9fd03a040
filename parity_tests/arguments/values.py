"""Values for any argument, by type: what users, configuration files and other libraries hand over. NumPy alone."""

from __future__ import annotations

import datetime
import enum
import functools
import math
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np


class Colour(enum.Enum):
    RED = 3


class Size(enum.IntEnum):
    SMALL = 3


class Nameless:
    """An object that cannot be shown, nor read as a number."""

    def __repr__(self) -> str:
        raise RuntimeError("no representation")

    def __index__(self) -> int:
        raise RuntimeError("no index")

    def __float__(self) -> float:
        raise RuntimeError("no number")


class Endless:
    """Iterates for ever."""

    def __iter__(self) -> Endless:
        return self

    def __next__(self) -> int:
        return 1


def first(*args: Any, **kwargs: Any) -> Any:
    """A function of anything."""
    return args[0] if args else None


VALUES: dict[str, Callable[[], Any]] = {
    "None": lambda: None, "True": lambda: True, "False": lambda: False, "text": lambda: "of no use",
    "empty text": lambda: "", "number in text": lambda: "3", "same": lambda: "same", "log": lambda: "log",
    "long text": lambda: "x" * 10_000, "bytes": lambda: b"3", "bytearray": lambda: bytearray(b"3"), "3": lambda: 3,
    "1": lambda: 1, "0": lambda: 0, "-1": lambda: -1, "-7": lambda: -7, "2.5": lambda: 2.5, "0.5": lambda: 0.5,
    "3.0": lambda: 3.0, "-0.5": lambda: -0.5, "0.0": lambda: 0.0, "1e-300": lambda: 1e-300, "5e-324": lambda: 5e-324,
    "1e6": lambda: 1e6, "10**9": lambda: 10**9, "1e12": lambda: 1e12, "10**12": lambda: 10**12, "1e300": lambda: 1e300,
    "10**400": lambda: 10**400, "10**5000": lambda: 10**5000, "NaN": lambda: math.nan, "infinity": lambda: math.inf,
    "-infinity": lambda: -math.inf, "int8": lambda: np.int8(3), "int16": lambda: np.int16(1000),
    "uint8": lambda: np.uint8(200), "uint64": lambda: np.uint64(2**63), "float16": lambda: np.float16(2.5),
    "float32": lambda: np.float32(0.3), "float64": lambda: np.float64(2.5), "longdouble": lambda: np.longdouble(2.5),
    "NumPy's NaN": lambda: np.float32("nan"), "NumPy's True": lambda: np.bool_(True),
    "NumPy's text": lambda: np.str_("3"), "NumPy's date": lambda: np.datetime64("2020-01-01"),
    "complex64": lambda: np.complex64(1 + 1j), "complex": lambda: 1j, "array of no dimensions": lambda: np.array(3),
    "float array of no dimensions": lambda: np.array(2.5), "bool array of no dimensions": lambda: np.array(True),
    "array of one": lambda: np.array([3]), "array": lambda: np.array([1.0, 2.0]),
    "object array": lambda: np.array([object()]),
    "masked array": lambda: np.ma.masked_array([1.0, 2.0], mask=[True, False]), "fraction": lambda: Fraction(5, 2),
    "decimal": lambda: Decimal("2.5"), "decimal NaN": lambda: Decimal("NaN"),
    "signalling decimal NaN": lambda: Decimal("sNaN"), "member": lambda: Colour.RED,
    "integer member": lambda: Size.SMALL, "list": lambda: [1, 2], "empty list": list,
    "nested list": lambda: [[1.0, 2.0], [3.0]], "tuple": lambda: (3,), "empty tuple": tuple, "dict": lambda: {"a": 1},
    "empty dict": dict, "set": lambda: {1, 2}, "range": lambda: range(3), "generator": lambda: (n for n in range(3)),
    "object": object, "nameless": Nameless, "endless": Endless, "function": lambda: first,
    "partial": lambda: functools.partial(first, None), "class": lambda: int, "class of dicts": lambda: dict,
    "exception": lambda: ValueError("three"), "module": lambda: math, "slice": lambda: slice(None),
    "ellipsis": lambda: ..., "path": lambda: Path("nowhere/3"), "date": lambda: datetime.date(2020, 1, 1),
}  # fmt: skip
