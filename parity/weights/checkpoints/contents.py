"""Contents of a file of weights: the frontends in it, their scopes, and their variables by canonical names."""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
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


class Contents(ABC):
    """An opened file of weights. Values are read when they are asked for, those of one frontend alone.

    A scope is where in the file a frontend stands: the path of attributes, groups or names that leads to it, joined
    with ``/``; ``""`` is the file itself.

    Attributes:
        path: of the file, for messages.
    """

    path: Path

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
    def load(self, key: str) -> Array:
        """A value.

        Raises:
            ValueError: it is torn, or of a type that is no number.
        """

    @abstractmethod
    def shape(self, key: str) -> tuple[int, ...]:
        """The shape of a value that need not have been read."""

    def hints(self, scope: str) -> dict[str, str]:
        """What the file says of the frontend beside its variables, by the original's names.

        ``rung``: ``leaf`` for a state dict of simplified LEAF, or of EfficientLEAF, which has the same names.
        ``port``: the repository of a public port's state dict, see :mod:`parity.adapters.public`.
        ``frontend``, ``conv1d_cls``, ``pooling_cls``: the classes. ``kernel``: ``keras`` where the filters' kernel is
        named as Keras' own convolution does, ``own`` where as the original's own layers do.
        """
        del scope
        return {}

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
            ValueError: they have more than ``most`` values together, and none is read; or as :meth:`names` and
                :meth:`load`.
        """
        found = self.names(scope)
        total = sum(math.prod(self.shape(key)) for key in found.values())
        if total > most:
            raise ValueError(
                f"source={str(self.path)!r}: the frontend at {scope!r} has {total} values, must have at most {most}"
            )
        arrays = {name: self.load(key) for name, key in found.items()}
        for name, key in found.items():
            if arrays[name].dtype.kind == "f":
                require_finite(key, arrays[name])  # by the file's own name
        return arrays

    def variables(self, scope: str | None = None, most: int = MOST_VALUES) -> dict[str, Array]:
        """The variables of a frontend by canonical names.

        Raises:
            ValueError: as :meth:`chosen` and :meth:`held`.
        """
        return self.held(self.chosen(scope), most)

    def no_scope(self, scope: str) -> ValueError:
        """The error for a scope that is not there."""
        return ValueError(f"scope={scope!r}: {str(self.path)!r} has no such scope; frontends are at {self._found()}")

    def _found(self) -> str:
        found = self.scopes()
        return str(list(found)) if found else "none that can be told"


class Mapped(Contents):
    """Arrays by name, as ``.npz``, ``.safetensors`` and ``.pt`` hold them, under a scope or as they are.

    Args:
        path: for messages.
        arrays: by the file's names, whose parts are joined with ``/`` or, in a state dict, with ``.``.
    """

    def __init__(self, path: Path, arrays: Mapping[str, Any]) -> None:
        self.path = path
        self.arrays = arrays

    def scopes(self) -> tuple[str, ...]:
        """See :meth:`Contents.scopes`: what the names of a state dict's frontends begin with.

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

    def load(self, key: str) -> Array:
        """See :meth:`Contents.load`; of a mapping too.

        Raises:
            TypeError: it is no array or tensor, nor what NumPy takes for one.
            ValueError: some of its values are masked.
        """
        value = self.arrays[key]
        if np.ma.is_masked(value):
            raise ValueError(f"variable {key!r}: has masked values, must have all")
        try:
            return np.asarray(plain(value))
        except Exception as error:
            raise TypeError(f"variable {key!r}: must be a numeric array, got {type(value).__name__}") from error

    def shape(self, key: str) -> tuple[int, ...]:
        """See :meth:`Contents.shape`."""
        return tuple(getattr(self.arrays[key], "shape", ()))

    def variables(self, scope: str | None = None, most: int = MOST_VALUES) -> dict[str, Array]:
        """See :meth:`Contents.variables`; a state dict's too, in the original's layout.

        Raises:
            ValueError: a public port's bias on the energies is not 0; or as :meth:`Contents.variables`.
        """
        arrays = self.held(self.chosen(scope), most)
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


def plain(value: Any) -> Any:
    """A PyTorch tensor, on any device, as an array; what NumPy has no type for or is of 16 bits, as float32.

    Anything else comes back as it is.
    """
    if not hasattr(value, "detach"):
        return value
    tensor = value.detach().cpu()
    return (tensor.float() if tensor.is_floating_point() and tensor.element_size() < 4 else tensor).numpy()


def flat(held: Mapping[Any, Any]) -> Iterator[tuple[Any, Any]]:
    """What nested mappings hold, as training scripts save them, by dotted name.

    Raises:
        ValueError: they nest without end, or too deep or too often to be what a script saved.
    """
    left = [MOST_ENTRIES]

    def walk(held: Mapping[Any, Any], above: tuple[Any, ...]) -> Iterator[tuple[Any, Any]]:
        for name, value in held.items():
            left[0] -= 1
            if left[0] < 0 or len(above) > MOST_DEPTH or any(value is outer for outer in above):
                raise ValueError(
                    f"source: mappings must hold each other to {MOST_DEPTH} levels and {MOST_ENTRIES} entries at most, "
                    "and none itself"
                )
            if isinstance(value, Mapping):
                yield from ((f"{name}.{inner}", item) for inner, item in walk(value, (*above, value)))
            else:
                yield name, value

    return walk(held, (held,))


def joined(parts: Iterable[str]) -> str:
    """Parts of a scope or name, those that are empty left out."""
    return "/".join(part for part in parts if part)
