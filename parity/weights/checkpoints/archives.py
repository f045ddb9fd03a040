"""Zip archives of weights: NumPy's ``.npz``, PyTorch's ``.pt`` and what a ``.keras`` archive holds."""

from __future__ import annotations

import io
import math
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from parity.weights.checkpoints.contents import Array, Contents, Mapped, flat
from parity.weights.checkpoints.guard import MOST_BYTES, MOST_DIRECTORY, File, archive, require_checksum, unpacked

IN_MEMORY = 1 << 27  # of a state dict; beyond, its tensors stay in the file until they are asked for
LARGEST = 1 << 31  # of a state dict: its checksums take seconds
WITHOUT_ARCHIVE = 1 << 24  # of a state dict as PyTorch wrote it before 1.6, which is one pickle


class Npz(Mapped):
    """An ``.npz`` file; a member's header is read with the directory, its values when they are asked for.

    Raises:
        ValueError: it is torn, or holds what is no plain array.
    """

    def __init__(self, path: Path) -> None:
        self.file = File(path)
        self.members: dict[str, zipfile.ZipInfo] = {}
        shapes: dict[str, Any] = {}
        with archive(self.file) as found:
            for member in found.infolist():
                name = member.filename.removesuffix(".npy")
                if name in shapes:
                    raise ValueError(f"{self.file.where}: holds {name!r} twice")
                shapes[name], self.members[name] = self._header(found, member), member
        super().__init__(path, shapes)

    def load(self, key: str) -> Array:
        """See :meth:`Contents.load`."""
        member = self.members[key]
        with archive(self.file) as found:
            try:
                # the member is read whole first: that checks its CRC before its header is believed
                data = io.BytesIO(unpacked(found, member))
                array: Array = np.lib.format.read_array(data, allow_pickle=False)
                if data.read(1):
                    raise ValueError("more bytes than values")
            except Exception as error:  # torn bytes make zipfile, zlib and the reader of headers fail in a dozen ways
                raise self._torn(key, error) from error
        return array

    def _header(self, found: zipfile.ZipFile, member: zipfile.ZipInfo) -> Any:
        """What stands for an array until it is read: its shape and type."""
        try:
            with found.open(member) as opened:
                version = np.lib.format.read_magic(opened)
                reader = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
                shape, _, dtype = reader[version](opened)
                begin = opened.tell()
            if dtype.hasobject:
                raise ValueError("pickled objects")
            if math.prod(shape) * dtype.itemsize != member.file_size - begin:
                raise ValueError(f"{member.file_size - begin} bytes for shape {shape} of {dtype}")
        except Exception as error:
            raise self._torn(member.filename, error) from error
        return _Shape(shape)

    def _torn(self, name: str, error: Exception) -> ValueError:
        return ValueError(
            f"{self.file.where}: must be an .npz file of plain arrays, none pickled or torn; {name!r} is not ({error})"
        )


class _Shape:
    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape


def state_dict(path: Path) -> Contents:
    """The tensors of a ``.pt`` file; every member of it is held to its checksum before PyTorch reads it.

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
    try:
        with file.open() as opened:
            source: Any = path if lazily else opened
            held = flat(torch.load(source, map_location="cpu", weights_only=True, mmap=lazily))
            # what else a training script keeps beside the tensors is left out
            tensors = {name: value for name, value in held if hasattr(value, "detach")}
        if sizes is not None:
            _require_held(tensors, sizes)
    except Exception as error:  # a torn or foreign file makes unpickling fail in a dozen ways
        raise ValueError(f"{file.where}: must be a state dict of tensors alone, not torn ({error})") from error
    return Mapped(path, tensors)


def _checked_members(file: File) -> Counter[int]:
    """The sizes of the members that hold values, once all members match their checksums."""
    with archive(file) as found:
        for member in found.infolist():
            if member.compress_type != zipfile.ZIP_STORED:
                raise ValueError(f"{file.where}: {member.filename!r} is compressed, which PyTorch does not do")
            if member.filename.endswith("data.pkl") and member.file_size > MOST_DIRECTORY:
                raise ValueError(
                    f"{file.where}: {member.filename!r} has {member.file_size} bytes: at most {MOST_DIRECTORY} are read"
                )
            require_checksum(file, found, member)
        return Counter(member.file_size for member in found.infolist() if "/data/" in f"/{member.filename}")


def _require_held(tensors: dict[str, Any], sizes: Counter[int]) -> None:
    """Refuse tensors of more bytes than the file has for them, which PyTorch would take from beyond."""
    storages = {}
    for value in tensors.values():
        if value.layout is not _strided():
            continue  # refused when it is read
        storage = value.untyped_storage()
        storages[storage.data_ptr(), storage.nbytes()] = storage.nbytes()
    if beyond := Counter(n for n in storages.values() if n) - sizes:
        raise ValueError(f"a tensor of {next(iter(beyond))} bytes is not in it")


def _strided() -> Any:
    import torch

    return torch.strided


def inside_keras(path: Path) -> bytes:
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
