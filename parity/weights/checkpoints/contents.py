"""Contents of a file of weights: the frontends in it, their scopes, and their variables by canonical names."""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from parity.adapters import layouts
from parity.adapters.canonical import require_finite
from parity.adapters.public import public_port
from parity.weights.checkpoints.guard import MOST_VALUES

Array = NDArray[Any]
MOST_DEPTH, MOST_ENTRIES = 32, 100_000  # of mappings in mappings
# the filters of a state dict, and what stands before
FRONTEND = re.compile(r"(?:(.+?)\.)?(?:_complex_conv\.|complex_conv\.kernel$|filterbank\.center_freqs$)")


@dataclass(frozen=True)
class StoredArray:
    """An array that is read when it is asked for.

    Attributes:
        shape: of it.
        read: its values; raises ValueError or TypeError where they are torn or no numbers.
    """

    shape: tuple[int, ...]
    read: Callable[[], Array]


class Contents(ABC):
    """An opened file of weights.

    A scope is where in the file a frontend stands: the path of attributes, groups or names that leads to it, joined
    with ``/``; ``""`` is the file itself.

    Attributes:
        path: of the file, for messages.
        arrays: by the file's own keys.
    """

    def __init__(self, path: Path, arrays: Mapping[str, StoredArray]) -> None:
        self.path = path
        self.arrays = arrays

    @abstractmethod
    def scopes(self) -> tuple[str, ...]:
        """Where frontends are, those that can be told by their structure."""

    @abstractmethod
    def names(self, scope: str) -> dict[str, str]:
        """The variables under a scope: canonical name (what is no frontend's: the file's own) to key in the file.

        Optimiser slots, counters and metrics are left out.

        Raises:
            ValueError: there is no such scope.
        """

    @abstractmethod
    def hints(self, scope: str) -> dict[str, str]:
        """What the file says of the frontend beside its variables, by the original's names.

        ``rung``: ``leaf`` for a state dict of simplified LEAF, or of EfficientLEAF, which has the same names.
        ``port``: the repository of a public port's state dict, see :mod:`parity.adapters.public`.
        ``frontend``, ``conv1d_cls``, ``pooling_cls``: the classes. ``kernel``: ``keras`` where the filters' kernel is
        named as Keras' own convolution does, ``own`` where as the original's own layers do.
        """

    def chosen(self, scope: str | None) -> str:
        """The scope that is meant: the one given, or the only frontend's; the file itself where none can be told.

        Raises:
            ValueError: there are several frontends and no scope is given; names them.
        """
        if scope is not None:
            return scope.strip("/")
        found = self.scopes()
        if len(found) > 1:
            raise ValueError(f"scope=None: {str(self.path)!r} holds frontends at {list(found)}; give one of these")
        return found[0] if found else ""

    def held(self, scope: str, most: int = MOST_VALUES) -> dict[str, Array]:
        """The arrays under a scope as they are, by the names that follow it.

        Raises:
            ValueError: they have more than ``most`` values together, and none is read; or one is torn, no number, NaN
                or infinite; or there is no such scope.
        """
        found = self.names(scope)
        total = sum(math.prod(self.arrays[key].shape) for key in found.values())
        if total > most:
            raise ValueError(
                f"source={str(self.path)!r}: the frontend at {scope!r} has {total} values, must have at most {most}"
            )
        arrays = {name: self.arrays[key].read() for name, key in found.items()}
        for name, key in found.items():
            if arrays[name].dtype.kind == "f":
                require_finite(key, arrays[name])  # by the file's own name
        return arrays

    def variables(self, scope: str, most: int = MOST_VALUES) -> dict[str, Array]:
        """The variables of a frontend by canonical names; raises as :meth:`held`."""
        return self.held(scope, most)

    def no_scope(self, scope: str) -> ValueError:
        """The error for a scope that is not there."""
        found = list(self.scopes()) or "none that can be told"
        return ValueError(f"scope={scope!r}: {str(self.path)!r} has no such scope; frontends are at {found}")


class Mapped(Contents):
    """Arrays by name, as ``.npz``, ``.safetensors`` and ``.pt`` hold them, under a scope or as they are.

    The parts of a name are joined with ``/`` or, in a state dict, with ``.``.
    """

    def scopes(self) -> tuple[str, ...]:
        """What the names of a state dict's frontends begin with.

        Otherwise none, and every array must be the frontend's unless a scope is given.
        """
        found = {match[1] for name in self.arrays if (match := FRONTEND.match(str(name)))}
        return () if None in found else tuple(sorted(found))

    def names(self, scope: str) -> dict[str, str]:
        """See :meth:`Contents.names`."""
        if not scope:
            return {name: name for name in self.arrays}
        prefixes = (f"{scope}/", f"{scope.replace('/', '.')}.")
        found = {name[len(prefixes[0]) :]: name for name in self.arrays if str(name).startswith(prefixes)}
        if not found:
            raise self.no_scope(scope)
        return found

    def variables(self, scope: str, most: int = MOST_VALUES) -> dict[str, Array]:
        """See :meth:`Contents.variables`; a state dict's too, in the original's layout.

        Raises:
            ValueError: a public port's bias on the energies is not 0; or as :meth:`Contents.held`.
        """
        arrays = self.held(scope, most)
        if port := public_port(arrays):
            port.require_no_bias(arrays)
            return port.variables(arrays)
        return (layouts.from_simplified if layouts.is_simplified(arrays) else layouts.from_state_dict)(arrays)

    def hints(self, scope: str) -> dict[str, str]:
        """See :meth:`Contents.hints`: a state dict, too, names the filters of Keras' own convolution otherwise."""
        found = self.names(scope)
        if layouts.is_simplified(found):
            return {"rung": "leaf", "conv1d_cls": "GaborConv1D"}
        if port := public_port(found):
            return {"port": port.repository, "conv1d_cls": "GaborConv1D"}
        if not layouts.is_state_dict(found):
            return {}
        return {"kernel": "keras" if layouts.FREE_FILTERS in found else "own"}

    def no_scope(self, scope: str) -> ValueError:
        """The error for a scope that is not there."""
        heads = sorted({str(name).replace(".", "/").split("/")[0] for name in self.arrays})
        return ValueError(f"scope={scope!r}: {str(self.path)!r} has no such scope; names begin with {heads}")


def stored_arrays(values: Mapping[Any, Any]) -> dict[Any, StoredArray]:
    """What a mapping holds, arrays, tensors or what NumPy takes for one, to be read by :func:`as_array`."""
    return {
        name: StoredArray(tuple(getattr(value, "shape", ())), partial(as_array, name, value))
        for name, value in values.items()
    }


def as_array(name: Any, value: Any) -> Array:
    """An array, or a PyTorch tensor on any device, as an array; of 16 and 8 bits, as float32.

    Raises:
        TypeError: it is no array or tensor, nor what NumPy takes for one.
        ValueError: some of its values are masked.
    """
    if np.ma.is_masked(value):
        raise ValueError(f"variable {name!r}: has masked values, must have all")
    try:
        if hasattr(value, "detach"):
            tensor = value.detach().cpu()
            value = (tensor.float() if tensor.is_floating_point() and tensor.element_size() < 4 else tensor).numpy()
        return np.asarray(value)
    except Exception as error:
        raise TypeError(f"variable {name!r}: must be a numeric array, got {type(value).__name__}") from error


def flattened(mapping: Mapping[Any, Any]) -> Iterator[tuple[Any, Any]]:
    """What nested mappings hold, as training scripts save them, by dotted name.

    Raises:
        ValueError: they nest without end, or too deep or too often to be what a script saved.
    """
    left = MOST_ENTRIES

    def walk(inner: Mapping[Any, Any], above: tuple[Any, ...]) -> Iterator[tuple[Any, Any]]:
        nonlocal left
        for name, value in inner.items():
            left -= 1
            if left < 0 or len(above) > MOST_DEPTH or any(value is outer for outer in above):
                raise ValueError(
                    f"source: mappings must hold each other to {MOST_DEPTH} levels and {MOST_ENTRIES} entries at most, "
                    "and none itself"
                )
            if isinstance(value, Mapping):
                yield from ((f"{name}.{below}", item) for below, item in walk(value, (*above, value)))
            else:
                yield name, value

    return walk(mapping, (mapping,))


def joined(parts: Iterable[str]) -> str:
    """Parts of a scope or name, those that are empty left out."""
    return "/".join(part for part in parts if part)
