"""Read HDF5 files by h5py once it is certain that every value lies in the file and unpacks to its size."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any, BinaryIO

import numpy as np

from parity.weights.contents import Array, joined, refused_as

Opener = Callable[[], AbstractContextManager[BinaryIO]]
MOST_OBJECTS = 100_000
MOST_CHUNKS = 1024
MOST_TEXT = 4096  # bytes of a name that an object carries
HEAP = b"GCOL\1\0\0\0"  # what a heap of texts begins with
_PIECE = 1 << 20
DEFLATE, SHUFFLE, FLETCHER = 1, 2, 3  # HDF5's numbers of the filters that Keras' users set


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
    while piece := file.read(_PIECE):
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
