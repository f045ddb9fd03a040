"""``.safetensors`` files: the header is read and checked, and values when they are asked for."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from parity.weights.checkpoints.contents import Array, Mapped
from parity.weights.checkpoints.guard import MOST_DIRECTORY, File

# TensorFlow's, NumPy's and PyTorch's numbers by the format's names; bfloat16 is the upper half of float32
DTYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1",
    "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "u1", "BOOL": "?", "C64": "<c8",
}  # fmt: skip


class SafeTensors(Mapped):
    """A ``.safetensors`` file.

    Attributes:
        metadata: what its writer says of it, text by name.

    Raises:
        ValueError: it is torn.
    """

    def __init__(self, path: Path) -> None:
        from safetensors import safe_open

        self.file = File(path)
        try:
            length = int.from_bytes(self.file.part(0, 8), "little")
            if length > MOST_DIRECTORY:
                raise ValueError(f"its header is {length} bytes, must be at most {MOST_DIRECTORY}")
            header = json.loads(self.file.part(8, length), object_pairs_hook=_once)
            with safe_open(path, "numpy"):  # its own checks: types, sizes, and that values lie one after another
                pass
            self.metadata = {str(name): str(value) for name, value in header.pop("__metadata__", {}).items()}
            held = {name: _Tensor(8 + length, **about) for name, about in header.items()}
        except Exception as error:
            raise ValueError(f"{self.file.where}: must be a .safetensors file, not torn ({error})") from error
        super().__init__(path, held)

    def load(self, key: str) -> Array:
        """See :meth:`Contents.load`."""
        tensor = self.arrays[key]
        if tensor.dtype not in DTYPES:
            raise ValueError(f"{self.file.where}, {key!r}: type {tensor.dtype} is not read; save it as float32")
        dtype = np.dtype(DTYPES[tensor.dtype])
        if math.prod(tensor.shape) * dtype.itemsize != tensor.size:
            raise ValueError(f"{self.file.where}, {key!r}: {tensor.size} bytes for shape {tensor.shape}")
        array = np.frombuffer(self.file.part(tensor.offset, tensor.size), dtype)
        if tensor.dtype == "BF16":
            array = (array.astype("<u4") << 16).view("<f4")
        return array.reshape(tensor.shape).copy()


class _Tensor:
    """Where a value lies."""

    def __init__(self, begin: int, dtype: str, shape: list[int], data_offsets: list[int]) -> None:
        first, last = map(int, data_offsets)
        self.dtype = dtype
        self.shape = tuple(map(int, shape))
        self.offset = begin + first
        self.size = last - first


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    held = dict(pairs)
    if len(held) != len(pairs):
        raise ValueError("a name comes twice")
    return held
