"""Zip archives of weights: NumPy's ``.npz``, PyTorch's ``.pt`` and what a ``.keras`` archive holds."""

from __future__ import annotations

import io
import math
import zipfile
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from parity.weights.checkpoints.contents import Array, Mapped, StoredArray, flattened, stored_arrays
from parity.weights.checkpoints.guard import (
    MOST_BYTES,
    MOST_DIRECTORY,
    File,
    archive,
    refused_as,
    require_checksum,
    unpacked,
)

IN_MEMORY = 1 << 27  # of a state dict; beyond, its tensors stay in the file until they are asked for
LARGEST = 1 << 31  # of a state dict: its checksums take seconds
FOLDER = 0x10  # of a member's attributes: PyTorch takes no bytes of such, and whatever memory held for its values
WITHOUT_ARCHIVE = 1 << 24  # of a state dict as PyTorch wrote it before 1.6, which is one pickle
PLAIN = "must be an .npz file of plain arrays, none pickled or torn"


def npz(path: Path) -> Mapped:
    """Open an ``.npz`` file; a member's header is read with the directory, its values when they are asked for.

    Raises:
        ValueError: it is torn, or holds what is no plain array.
    """
    file = File(path)
    arrays: dict[str, StoredArray] = {}
    with archive(file) as found:
        for member in found.infolist():
            name = member.filename.removesuffix(".npy")
            if name in arrays:
                raise ValueError(f"{file.where}: holds {name!r} twice")
            with refused_as(f"{file.where}: {PLAIN}; {member.filename!r} is not"):
                arrays[name] = StoredArray(_shape(found, member), partial(_array, file, member))
    return Mapped(path, arrays)


def _shape(found: zipfile.ZipFile, member: zipfile.ZipInfo) -> tuple[int, ...]:
    with found.open(member) as opened:
        version = np.lib.format.read_magic(opened)
        reader = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
        shape, _, dtype = reader[version](opened)
        size = member.file_size - opened.tell()
    if dtype.hasobject:
        raise ValueError("pickled objects")
    if math.prod(shape) * dtype.itemsize != size:
        raise ValueError(f"{size} bytes for shape {shape} of {dtype}")
    return shape


def _array(file: File, member: zipfile.ZipInfo) -> Array:
    with archive(file) as found, refused_as(f"{file.where}: {PLAIN}; {member.filename!r} is not"):
        # the member is read whole first: that checks its CRC before its header is believed
        data = io.BytesIO(unpacked(found, member))
        array: Array = np.lib.format.read_array(data, allow_pickle=False)
        if data.read(1):
            raise ValueError("more bytes than values")
    return array


def state_dict(path: Path) -> Mapped:
    """Open a ``.pt`` file; every member of it is held to its checksum before PyTorch reads it.

    Raises:
        ValueError: it is torn, too large, or holds what is none of a state dict's.
    """
    import torch

    file = File(path)
    file.require_at_most(LARGEST, "a state dict")
    with file.open() as opened:
        zipped = opened.read(4) == b"PK\x03\x04"
    sizes = _checked_members(file) if zipped else None
    if sizes is None:
        file.require_at_most(WITHOUT_ARCHIVE, "a state dict of before PyTorch 1.6")
    lazily = sizes is not None and file.size > IN_MEMORY
    with refused_as(f"{file.where}: must be a state dict of tensors alone, not torn"):
        with file.open() as opened:
            source: Any = path if lazily else opened
            held = flattened(torch.load(source, map_location="cpu", weights_only=True, mmap=lazily))
            # what else a training script keeps beside the tensors is left out
            tensors = {name: value for name, value in held if isinstance(value, torch.Tensor)}
        if sizes is not None:
            _require_held(tensors, sizes)
    return Mapped(path, stored_arrays(tensors))


def _checked_members(file: File) -> Counter[int]:
    """The sizes of the members that hold values, once all members match their checksums."""
    with archive(file) as found:
        for member in found.infolist():
            if member.compress_type != zipfile.ZIP_STORED:
                raise ValueError(f"{file.where}: {member.filename!r} is compressed, which PyTorch does not do")
            if member.is_dir() or member.external_attr & FOLDER:
                raise ValueError(f"{file.where}: {member.filename!r} is marked as a folder, must be a file")
            if member.filename.endswith("data.pkl") and member.file_size > MOST_DIRECTORY:
                raise ValueError(
                    f"{file.where}: {member.filename!r} has {member.file_size} bytes: at most {MOST_DIRECTORY} are read"
                )
            require_checksum(file, found, member)
        return Counter(member.file_size for member in found.infolist() if "/data/" in f"/{member.filename}")


def _require_held(tensors: dict[Any, Any], sizes: Counter[int]) -> None:
    """Refuse tensors of more bytes than the file has for them, which PyTorch would take from beyond."""
    import torch

    storages = {}
    for value in tensors.values():
        if value.layout is torch.strided:  # others are refused when they are read
            storage = value.untyped_storage()
            storages[storage.data_ptr(), storage.nbytes()] = storage.nbytes()
    if beyond := Counter(n for n in storages.values() if n) - sizes:
        raise ValueError(f"a tensor of {next(iter(beyond))} bytes is not in it")


def keras_weights(path: Path) -> bytes:
    """The ``model.weights.h5`` of a ``.keras`` archive, all of whose members match their checksums.

    Raises:
        ValueError: it is torn or too large, or there is none.
    """
    file = File(path)
    with archive(file) as found:
        total = sum(member.file_size for member in found.infolist())
        if total > MOST_BYTES:
            raise ValueError(f"{file.where}: unpacks to {total} bytes, must be at most {MOST_BYTES}")
        for member in found.infolist():
            require_checksum(file, found, member)
        if "model.weights.h5" not in found.namelist():
            raise ValueError(f"{file.where}: must hold 'model.weights.h5', as Keras 3 writes it")
        return unpacked(found, found.getinfo("model.weights.h5"))
