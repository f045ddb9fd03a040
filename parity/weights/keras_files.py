"""Read Keras' files of weights: ``.h5`` of Keras 2, and ``.weights.h5`` and ``.keras`` of Keras 3 and the last Keras 2.

All three are HDF5, read by h5py once it is certain that every value lies in the file and unpacks to its size.
"""

from __future__ import annotations

import io
import math
import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from parity.adapters import canonical
from parity.weights.contents import (
    PIECE,
    Array,
    Contents,
    File,
    StoredArray,
    joined,
    open_archive,
    read_member,
    refused_as,
    require_checksum,
)
from parity.weights.keras_names import MODELS, KerasNames, is_training_object
from parity.weights.outputs import require_library

Opener = Callable[[], AbstractContextManager[BinaryIO]]
MOST_OBJECTS = 100_000
MOST_CHUNKS = 1024
MOST_TEXT = 4096  # bytes of a name that an object carries
HEAP = b"GCOL\1\0\0\0"  # what a heap of texts begins with
DEFLATE, SHUFFLE, FLETCHER = 1, 2, 3  # HDF5's numbers of the filters that Keras' users set
MOST_BYTES = 1 << 28  # of the weights inside a .keras archive, which are unpacked whole
LARGEST = 1 << 30  # bytes of a file, all of which `require_heaps` scans: some seconds


def open_h5(path: Path) -> Contents:
    """Open an ``.h5`` file of weights, of Keras 2 or 3; raises as :func:`_open_hdf5`."""
    return _open_hdf5(path, File(path).open)


def open_keras_archive(path: Path) -> Contents:
    """Open a ``.keras`` archive, all of whose members must match their checksums; raises as :func:`_open_hdf5`."""
    file = File(path)
    with open_archive(file) as found:
        total = sum(member.file_size for member in found.infolist())
        if total > MOST_BYTES:
            raise ValueError(f"unpacks to {total} bytes, must be at most {MOST_BYTES}")
        for member in found.infolist():
            require_checksum(found, member)
        if "model.weights.h5" not in found.namelist():
            raise ValueError("must hold 'model.weights.h5', as Keras 3 writes it")
        data = read_member(found, found.getinfo("model.weights.h5"))
    return _open_hdf5(path, lambda: io.BytesIO(data), archived=True)


def _open_hdf5(path: Path, source: Opener, archived: bool = False) -> Contents:
    """List every dataset of an HDF5 file, which ``source`` opens here and again for each dataset.

    A file that is torn, or of which something lies elsewhere, is refused with a ValueError.
    """
    require_library("h5py", f"source={str(path)!r}: reading it")
    import h5py

    arrays: dict[str, StoredArray] = {}
    layer_names: dict[str, str] = {}
    with refused_as("must be a file of Keras weights, not torn"):
        with source() as opened:
            if (size := opened.seek(0, 2)) > LARGEST:
                raise ValueError(f"it has {size} bytes, must have at most {LARGEST}")
            opened.seek(0)
            require_heaps(opened)
        with source() as opened, h5py.File(opened, "r") as file:
            version = read_text(file, "keras_version")
            for name, item in walk(file):
                if isinstance(item, h5py.Dataset):
                    require_inside(name, item, size)
                    arrays[name] = StoredArray(item.shape or (), partial(read_dataset, name, source))
                elif name.split("/")[-1] == "vars":
                    layer_names[name] = read_text(item, "name")
    if archived or layer_names or any("/vars/" in f"/{key}" for key in arrays):
        return Keras3(arrays, layer_names)
    return LegacyH5(arrays, version)


class LegacyH5(Contents):
    """A Keras 2 ``.h5`` weights file, or the weights of a whole model in one: a group for each layer of the model.

    ``version`` is that of the Keras that wrote it, if said: the second names kernels by the class of their layer.
    """

    def __init__(self, arrays: Mapping[str, StoredArray], version: str = "") -> None:
        super().__init__(arrays)
        self.version = version
        groups: dict[str, dict[str, str]] = {}  # names by group, and their keys
        for key in arrays:
            group, _, name = key.removeprefix("model_weights/").partition("/")
            if not key.startswith("optimizer_weights/"):
                groups.setdefault(group, {})[name] = key
        if "tfbanks_complex_conv" in groups:  # the frontend is the model
            groups = {"": {name: key for group in groups.values() for name, key in group.items()}}
        self.groups = {group: KerasNames(arrays, keys.items()) for group, keys in groups.items()}

    def scopes(self) -> tuple[str, ...]:
        """Find the layers of the model, and the prefixes within one where it holds several."""
        found = []
        for group, named in self.groups.items():
            inside = named.scopes()
            found += [group] if len(inside) == 1 else [joined((group, scope)) for scope in inside]
        return tuple(found)

    def names(self, scope: str) -> dict[str, str]:
        named, inside = self._group_and_scope(scope)
        return named.names(inside)

    def hints(self, scope: str) -> dict[str, str]:
        named, inside = self._group_and_scope(scope)
        known = named.hints(inside)
        if not self.version.startswith("2."):
            return {name: value for name, value in known.items() if name != "kernel"}
        of_keras = canonical.CONV in map(canonical.suffix, named.names(inside))
        return {**known, "kernel": "keras"} if of_keras else known

    def _group_and_scope(self, scope: str) -> tuple[KerasNames, str]:
        group, _, inside = scope.partition("/")
        if not scope and "" not in self.groups:  # no frontend can be told: everything
            everything = (
                (joined((group, name)), key) for group, named in self.groups.items() for name, key in named.keys.items()
            )
            return KerasNames(self.arrays, everything), ""
        if group not in self.groups:
            raise self.no_such_scope(scope)
        named = self.groups[group]
        scopes = named.scopes()
        return named, inside or (scopes[0] if len(scopes) == 1 else "")


CONVOLUTION_GROUPS = {"gabor_conv1d": "GaborConv1D", "sinc_conv1d": "SincConv1D",
                "normalized_conv1d": "NormalizedConv1D", "fft_conv1d": "FFTConv1D"}  # fmt: skip
POOLING_GROUPS = {"gaussian_lowpass": "GaussianLowpass", "learnable_pooling1d": "LearnablePooling1D",
            "channel_wise_learnable_pooling1d": "ChannelWiseLearnablePooling1D"}  # fmt: skip
# Keras 3 calls groups by the class of their layer and numbers values, in the order of the class
VARIABLES = {
    f"{layer}/vars/{number}": name
    for layer, names in {
        "gabor_conv1d": (canonical.KERNEL,),
        "sinc_conv1d": (canonical.KERNEL,),
        "normalized_conv1d": (canonical.KERNEL,),
        "fft_conv1d": (canonical.CONV,),
        "gaussian_lowpass": (canonical.POOLING,),
        "channel_wise_learnable_pooling1d": (canonical.POOLING,),
        "learnable_pooling1d/pool": (canonical.POOLING_2D,),
        "pcen_layer": (canonical.ALPHA, canonical.DELTA, canonical.ROOT),
        "pcen_layer/ema": (canonical.SMOOTH,),
        "pcen_layer/ema/cell": (canonical.RNN_KERNEL, canonical.RNN_RECURRENT),
        "layer_normalization": (canonical.NORM_GAMMA, canonical.NORM_BETA),
        "instance_normalization": (canonical.GAMMA, canonical.BETA),
    }.items()
    for number, name in enumerate(names)
}


class Keras3(Contents):
    """The groups of a ``.weights.h5`` file; ``layer_names`` of those that say what their layer was called."""

    def __init__(self, arrays: Mapping[str, StoredArray], layer_names: Mapping[str, str]) -> None:
        super().__init__(arrays)
        self.keys = {_without_layers(key): key for key in arrays if not is_training_object(key.split("/")[0])}
        self.layer_names = {_without_layers(key): name for key, name in layer_names.items()}
        # groups without values too: a max pooling has none
        paths = [key.split("/") for key in (*self.keys, *self.layer_names)]
        self.groups = {"/".join(parts[:i]) for parts in paths for i in range(1, len(parts))}

    def scopes(self) -> tuple[str, ...]:
        """Find the groups that hold a filterbank's class, or a convolution and a pooling."""
        inside: dict[str, set[str]] = {}
        for group in self.groups:
            parent, _, name = group.rpartition("/")
            inside.setdefault(parent, set()).add(_unnumbered(name))
        own = {parent for parent, classes in inside.items() if classes & set(CONVOLUTION_GROUPS)}
        beside = {*POOLING_GROUPS, "squared_modulus"}
        other = {parent for parent, classes in inside.items() if "conv1d" in classes and classes & beside}
        return tuple(sorted(own | other))

    def names(self, scope: str) -> dict[str, str]:
        if scope and scope not in self.groups:
            raise self.no_such_scope(scope)
        prefix = f"{scope}/" if scope else ""
        under = {name.removeprefix(prefix): key for name, key in self.keys.items() if name.startswith(prefix)}
        groups = {name.split("/")[0] for name in under}
        convolutions = sorted(group for group in groups if _unnumbered(group) == "conv1d")
        called = {group: self.layer_names.get(f"{prefix}{group}/vars", "") for group in convolutions}
        if any(called.values()):
            preemp = [group for group in convolutions if called[group] == "tfbanks_preemp"]
        elif any(_unnumbered(group) in CONVOLUTION_GROUPS for group in groups):
            preemp = convolutions[:1]
        else:  # both are Keras' own class, and the pre-emphasis comes first
            preemp = convolutions[:-1]
        out = {}
        for name, key in under.items():
            group, _, rest = name.partition("/")
            if group in convolutions and rest == "vars/0":
                out[canonical.PREEMP if group in preemp else canonical.CONV] = key
            else:
                out[VARIABLES.get(joined((_unnumbered(group), rest)), name)] = key
        return out

    def hints(self, scope: str) -> dict[str, str]:
        prefix = f"{scope}/" if scope else ""
        children = {_unnumbered(g.removeprefix(prefix)) for g in self.groups if g.startswith(prefix)}
        out: dict[str, str] = {}
        for argument, classes in (("conv1d_cls", CONVOLUTION_GROUPS), ("pooling_cls", POOLING_GROUPS)):
            out.update((argument, classes[name]) for name in sorted(children & set(classes)))
        if "conv1d_cls" not in out and canonical.CONV in self.names(scope):
            out["conv1d_cls"] = "Conv1D"
        called = _unnumbered(self.layer_names.get(f"{prefix}vars", ""))
        return {**out, "frontend": MODELS[called]} if called in MODELS else out


def _unnumbered(group: str) -> str:
    """Return a group's name without the number that Keras gives a class's second layer."""
    return re.sub(r"_\d+$", "", group)


def _without_layers(path: str) -> str:
    """Return a path without ``layers``, which Keras puts before each layer."""
    return joined(part for part in path.split("/") if part != "layers")


def read_dataset(name: str, source: Opener) -> Array:
    """Read a dataset of numbers; one that would unpack to more than its shape, or to no number, is refused."""
    import h5py

    unread = refused_as(f"{name!r}: cannot be read")
    with unread, source() as opened, h5py.File(opened, "r") as file:
        dataset = file[name]
        if dataset.dtype.kind not in "fiubc" or dataset.shape is None:
            raise ValueError(f"type {dataset.dtype} is no number")
        if dataset.chunks is not None:
            _require_chunks(dataset, opened.seek(0, 2))
        return np.asarray(dataset[()])


def walk(file: Any) -> Iterator[tuple[str, Any]]:
    """Walk every object by its path, each once; links that may lead elsewhere are refused."""
    import h5py

    queue, seen = [("", file)], set()
    while queue:
        path, group = queue.pop()
        for name in group:
            where = joined((path, name))
            link = group.get(name, getlink=True)
            if not isinstance(link, h5py.HardLink):
                raise ValueError(f"{where!r} is a link to {link.path!r}; values must be in the file itself")
            item = group[name]
            if (address := h5py.h5o.get_info(item.id).addr) in seen:
                continue
            seen.add(address)
            if len(seen) > MOST_OBJECTS:
                raise ValueError(f"it holds over {MOST_OBJECTS} objects")
            yield where, item
            if isinstance(item, h5py.Group):
                queue.append((where, item))


def require_heaps(file: BinaryIO) -> None:
    """Refuse a heap of texts whose objects do not end where it does: libhdf5 would loop for ever."""
    offset, before = 0, b""
    while piece := file.read(PIECE):
        data, at, place = before + piece, -1, file.tell()
        while (at := data.find(HEAP, at + 1)) >= 0:
            _require_heap(file, offset + at)
        before = data[1 - len(HEAP) :]
        offset += len(data) - len(before)
        file.seek(place)


def _require_heap(file: BinaryIO, begin: int) -> None:
    file.seek(begin + 8)
    end = begin + int.from_bytes(file.read(8), "little")
    at = begin + 16
    while at + 16 <= end:
        file.seek(at)
        header = file.read(16)
        size = int.from_bytes(header[8:], "little")
        free = header[:2] == b"\0\0"  # its size includes the header
        step = size if free else 16 + -(-size // 8) * 8
        if len(header) < 16 or step < 16 or at + step > end:
            raise ValueError(f"its heap of texts at byte {begin} is torn")
        at += step


def read_text(item: Any, name: str) -> str:
    """Read a text attribute, or nothing where there is none or it is of another kind."""
    if name not in item.attrs:
        return ""
    held = item.attrs.get_id(name)
    return str(item.attrs[name]) if held.shape == () and held.get_storage_size() <= MOST_TEXT else ""


def require_inside(name: str, dataset: Any, size: int) -> None:
    """Refuse values that are virtual, in another file, or never written: HDF5 would fill them in."""
    import h5py

    layout = dataset.id.get_create_plist().get_layout()
    if layout == h5py.h5d.VIRTUAL or dataset.external:
        raise ValueError(f"{name!r} lies in another file; values must be in the file itself")
    if dataset.dtype.kind not in "fiub" or dataset.shape is None or not math.prod(dataset.shape):
        return  # refused when it is read
    whole = math.prod(dataset.shape) * dataset.dtype.itemsize
    if layout == h5py.h5d.CHUNKED:
        n_chunks = math.prod(-(-n // chunk) for n, chunk in zip(dataset.shape, dataset.chunks, strict=True))
        complete = n_chunks > MOST_CHUNKS or dataset.id.get_num_chunks() == n_chunks
    else:
        offset = dataset.id.get_offset()
        complete = dataset.id.get_storage_size() == whole and (offset is None or offset + whole <= size)
        complete = complete and (offset is not None or layout == h5py.h5d.COMPACT)
    if not complete:
        raise ValueError(f"{name!r} has values that were never written")


def _require_chunks(dataset: Any, size: int) -> None:
    """Refuse chunks that unpack to more than their shape, and filters other than HDF5's own of Keras' users."""
    plist = dataset.id.get_create_plist()
    filters = [plist.get_filter(i)[0] for i in range(plist.get_nfilters())]
    if unread := set(filters) - {DEFLATE, SHUFFLE, FLETCHER}:
        raise ValueError(f"filter {min(unread)} is not read; save it without, or with gzip")
    if len(set(filters)) != len(filters):
        raise ValueError(f"filters {filters}: must be each once")
    chunk, n_chunks = math.prod(dataset.chunks) * dataset.dtype.itemsize, dataset.id.get_num_chunks()
    if n_chunks > MOST_CHUNKS:
        raise ValueError(f"{n_chunks} chunks, must be at most {MOST_CHUNKS}")
    if chunk > 2 * max(math.prod(dataset.shape) * dataset.dtype.itemsize, 1 << 20):
        raise ValueError(f"chunks of {chunk} bytes for shape {dataset.shape}")
    for i in range(n_chunks):
        info = dataset.id.get_chunk_info(i)
        if info.byte_offset + info.size > size or info.size > 2 * chunk + 1024:
            raise ValueError(f"a chunk of {info.size} bytes at {info.byte_offset} is not in the file")
        if info.filter_mask:
            raise ValueError("a chunk leaves filters out")
        if DEFLATE in filters:
            _, raw = dataset.id.read_direct_chunk(info.chunk_offset)
            # a checksum of four bytes follows the packed values, or is packed with them
            if not _inflates(raw[:-4] if filters[-1] == FLETCHER else raw, chunk + 4):
                raise ValueError(f"a chunk does not unpack to its {chunk} bytes")


def _inflates(data: bytes, most: int) -> bool:
    """Tell whether a zlib stream is whole and unpacks to no more than so many bytes."""
    stream = zlib.decompressobj()
    try:
        return len(stream.decompress(data, most + 1)) <= most and stream.eof
    except zlib.error:
        return False
