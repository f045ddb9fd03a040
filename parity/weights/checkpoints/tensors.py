"""``.safetensors`` files, read by their own library; values when they are asked for."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

from parity.weights.checkpoints.contents import Array, Mapped, StoredArray, as_array
from parity.weights.checkpoints.guard import MOST_DIRECTORY, File, refused_as
from parity.weights.outputs import require_library


def safetensors(path: Path) -> Mapped:
    """Open a ``.safetensors`` file.

    Raises:
        ModuleNotFoundError: safetensors is not installed.
        ValueError: it is torn.
    """
    require_library("safetensors", f"source={str(path)!r}: reading it")
    from safetensors import safe_open

    file = File(path)
    with refused_as(f"{file.where}: must be a .safetensors file, not torn"):
        length = int.from_bytes(file.part(0, 8), "little")
        if length > MOST_DIRECTORY:
            raise ValueError(f"its header is {length} bytes, must be at most {MOST_DIRECTORY}")
        json.loads(file.part(8, length), object_pairs_hook=_require_once)  # the library takes the last of two
        with file.open(), safe_open(path, "pt") as opened:
            shapes = {name: tuple(opened.get_slice(name).get_shape()) for name in opened.keys()}  # noqa: SIM118
    return Mapped(path, {name: StoredArray(shape, partial(_array, file, name)) for name, shape in shapes.items()})


def _array(file: File, name: str) -> Array:
    from safetensors import safe_open

    unread = refused_as(f"{file.where}, {name!r}: is not read; save it as float32")
    # of PyTorch, which has types that NumPy has not
    with unread, file.open(), safe_open(file.path, "pt") as opened:
        return as_array(name, opened.get_tensor(name)).copy()


def _require_once(pairs: list[tuple[str, Any]]) -> None:
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a name comes twice")
