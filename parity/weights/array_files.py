"""Read arrays by name: a mapping, and the files ``.npz``, ``.safetensors`` and ``.pt``, of which none is unpickled."""

from __future__ import annotations

import io
import json
import math
import re
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from parity.adapters import layouts
from parity.adapters.layouts import public_port
from parity.weights.contents import (
    MOST_DIRECTORY,
    Array,
    Contents,
    File,
    StoredArray,
    open_archive,
    read_member,
    refused_as,
    require_checksum,
)
from parity.weights.outputs import require_library

# the filters of a state dict, and what stands before
FRONTEND = re.compile(r"(?:(.+?)\.)?(?:_complex_conv\.|complex_conv\.kernel$|filterbank\.center_freqs$)")
MOST_DEPTH, MOST_ENTRIES = 32, 100_000  # of mappings in mappings
IN_MEMORY = 1 << 27  # of a state dict; beyond, its tensors stay in the file until they are asked for
LARGEST = 1 << 31  # of a state dict: its checksums take seconds
FOLDER = 0x10  # of a member's attributes: PyTorch reads no bytes of it, and leaves its values unset
WITHOUT_ARCHIVE = 1 << 24  # of a state dict as PyTorch wrote it before 1.6, which is one pickle
PLAIN = "must be an .npz file of plain arrays, none pickled or torn"


class NamedArrays(Contents):
    """Arrays by name, under a scope or as they are; a name's parts are joined with ``/`` or, in a state dict, ``.``."""

    def scopes(self) -> tuple[str, ...]:
        """Find what the names of a state dict's frontends begin with; none where every array must be the frontend's."""
        found = {match[1] for name in self.arrays if (match := FRONTEND.match(str(name)))}
        return () if None in found else tuple(sorted(found))

    def names(self, scope: str) -> dict[str, str]:
        if not scope:
            return {name: name for name in self.arrays}
        prefixes = (f"{scope}/", f"{scope.replace('/', '.')}.")
        found = {name[len(prefixes[0]) :]: name for name in self.arrays if str(name).startswith(prefixes)}
        if not found:
            raise self.no_such_scope(scope)
        return found

    def hints(self, scope: str) -> dict[str, str]:
        """See :meth:`Contents.hints`: a state dict, too, names the filters of Keras' own convolution otherwise."""
        found = self.names(scope)
        if layouts.is_simplified(found):
            return {"layout": "simplified", "conv1d_cls": "GaborConv1D"}
        if port := public_port(found):
            return {"port": port.repository, "conv1d_cls": "GaborConv1D"}
        if not layouts.is_state_dict(found):
            return {"layout": "names"}
        return {"kernel": "keras" if layouts.FREE_FILTERS in found else "own"}

    def no_such_scope(self, scope: str) -> ValueError:
        heads = sorted({str(name).replace(".", "/").split("/")[0] for name in self.arrays})
        return ValueError(f"scope={scope!r}: there is no such scope; names begin with {heads}")


def original_variables(held: dict[str, Array]) -> dict[str, Array]:
    """Translate a state dict to canonical names and the original's layout; what is none is left as it is.

    Raises:
        ValueError: a public port's state dict has a bias on the energies; or one of ``leaf`` does not tell whether its
            PCEN holds logarithms.
    """
    if port := public_port(held):
        port.require_no_bias(held)
        return port.variables(held)
    return (layouts.from_simplified if layouts.is_simplified(held) else layouts.from_state_dict)(held)


def open_mapping(mapping: Mapping[Any, Any]) -> NamedArrays:
    """Open a mapping of arrays or tensors; names in nested mappings are joined with dots."""
    return NamedArrays(stored_arrays(dict(flattened(mapping))))


def stored_arrays(values: Mapping[Any, Any]) -> dict[Any, StoredArray]:
    """Make what a mapping holds readable by :func:`as_array`."""
    return {
        name: StoredArray(tuple(getattr(value, "shape", ())), partial(as_array, name, value))
        for name, value in values.items()
    }


def as_array(name: Any, value: Any) -> Array:
    """Turn an array, or a PyTorch tensor on any device, into an array; of 16 and 8 bits, into float32."""
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
    """Walk the values of nested mappings by dotted name; refuse those that are too deep or hold themselves."""
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


def open_npz(path: Path) -> NamedArrays:
    """Open an ``.npz`` file of plain arrays: their headers now, their values when they are asked for."""
    file = File(path)
    arrays: dict[str, StoredArray] = {}
    with open_archive(file) as found:
        for member in found.infolist():
            name = member.filename.removesuffix(".npy")
            if name in arrays:
                raise ValueError(f"holds {name!r} twice")
            with refused_as(f"{PLAIN}; {member.filename!r} is not"), found.open(member) as opened:
                version = np.lib.format.read_magic(opened)
                reader = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
                shape, _, dtype = reader[version](opened)
                size = member.file_size - opened.tell()
                if dtype.hasobject:
                    raise ValueError("pickled objects")
                if math.prod(shape) * dtype.itemsize != size:
                    raise ValueError(f"{size} bytes for shape {shape} of {dtype}")
            arrays[name] = StoredArray(shape, partial(_read_npz, file, member))
    return NamedArrays(arrays)


def _read_npz(file: File, member: zipfile.ZipInfo) -> Array:
    with open_archive(file) as found, refused_as(f"{PLAIN}; {member.filename!r} is not"):
        # the member is read whole first: that checks its CRC before its header is believed
        array: Array = np.lib.format.read_array(io.BytesIO(read_member(found, member)), allow_pickle=False)
    return array


def open_safetensors(path: Path) -> NamedArrays:
    """Open a ``.safetensors`` file by its own library; refuse one that is torn."""
    require_library("safetensors", f"source={str(path)!r}: reading it")
    from safetensors import safe_open

    file = File(path)
    with refused_as("must be a .safetensors file, not torn"):
        length = int.from_bytes(file.part(0, 8), "little")
        if length > MOST_DIRECTORY:
            raise ValueError(f"its header is {length} bytes, must be at most {MOST_DIRECTORY}")
        json.loads(file.part(8, length), object_pairs_hook=_require_once)  # the library takes the last of two
        with file.open(), safe_open(path, "pt") as opened:
            shapes = {name: tuple(opened.get_slice(name).get_shape()) for name in opened.keys()}  # noqa: SIM118
    arrays = {name: StoredArray(shape, partial(_read_safetensors, file, name)) for name, shape in shapes.items()}
    return NamedArrays(arrays)


def _require_once(pairs: list[tuple[str, Any]]) -> None:
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a name comes twice")


def _read_safetensors(file: File, name: str) -> Array:
    from safetensors import safe_open

    unread = refused_as(f"{name!r}: is not read; save it as float32")
    # of PyTorch, which has types that NumPy has not
    with unread, file.open(), safe_open(file.path, "pt") as opened:
        return as_array(name, opened.get_tensor(name)).copy()


def open_state_dict(path: Path) -> NamedArrays:
    """Open a ``.pt`` file of tensors; every member of it is held to its checksum before PyTorch reads it."""
    import torch

    file = File(path)
    file.require_at_most(LARGEST, "a state dict")
    with file.open() as opened:
        zipped = opened.read(4) == b"PK\x03\x04"
    sizes = _checked_members(file) if zipped else None
    if sizes is None:
        file.require_at_most(WITHOUT_ARCHIVE, "a state dict of before PyTorch 1.6")
    lazily = sizes is not None and file.size > IN_MEMORY
    with refused_as("must be a state dict of tensors alone, not torn"):
        with file.open() as opened:
            source: Any = path if lazily else opened
            held = flattened(torch.load(source, map_location="cpu", weights_only=True, mmap=lazily))
            # what else a training script keeps beside the tensors is left out
            tensors = {name: value for name, value in held if isinstance(value, torch.Tensor)}
        if sizes is not None:
            _require_held(tensors, sizes)
    return NamedArrays(stored_arrays(tensors))


def _checked_members(file: File) -> Counter[int]:
    """Hold all members to their checksums; return the sizes of those that hold values."""
    with open_archive(file) as found:
        for member in found.infolist():
            if member.compress_type != zipfile.ZIP_STORED:
                raise ValueError(f"{member.filename!r} is compressed, which PyTorch does not do")
            if member.is_dir() or member.external_attr & FOLDER:
                raise ValueError(f"{member.filename!r} is marked as a folder, must be a file")
            if member.filename.endswith("data.pkl") and member.file_size > MOST_DIRECTORY:
                raise ValueError(f"{member.filename!r} has {member.file_size} bytes: at most {MOST_DIRECTORY} are read")
            require_checksum(found, member)
        return Counter(member.file_size for member in found.infolist() if "/data/" in f"/{member.filename}")


def _require_held(tensors: dict[Any, Any], sizes: Counter[int]) -> None:
    """Refuse tensors of more bytes than their member has: PyTorch would read beyond it."""
    import torch

    strided = [value.untyped_storage() for value in tensors.values() if value.layout is torch.strided]
    # others are refused when they are read
    storages = {(storage.data_ptr(), storage.nbytes()) for storage in strided if storage.nbytes()}
    if beyond := Counter(n for _, n in storages) - sizes:
        raise ValueError(f"a tensor of {next(iter(beyond))} bytes is not in it")
