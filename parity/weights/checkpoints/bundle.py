"""Read TensorFlow's checkpoint files without TensorFlow: a sorted table of entries, and their bytes in shards.

From below: the checksum, the fields of a Protocol Buffers message, the table.

The format is that of ``tensorflow/core/util/tensor_bundle`` (``PREFIX.index``, an uncompressed LevelDB table, and
``PREFIX.data-00000-of-00001``). Every block and every value that is read is held to its CRC-32C.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from parity.weights.checkpoints.guard import File

_POLYNOMIAL = 0x82F63B78
Words = NDArray[np.uint32]


def _table() -> Words:
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = (table >> np.uint32(1)) ^ np.where(table & np.uint32(1), np.uint32(_POLYNOMIAL), np.uint32(0))
    return table


_TABLE = _table()
_WORDS = _TABLE.tolist()


def masked_crc(data: bytes) -> int:
    """CRC-32C as TensorFlow stores it: rotated, and a constant added."""
    crc = crc32c(data)
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def crc32c(data: bytes) -> int:
    """The CRC-32C of some bytes."""
    n_lanes = 1024 if len(data) < 1 << 22 else 16384
    length = len(data) // n_lanes
    crc = 0xFFFFFFFF
    if length >= 16:  # what is shorter is as fast byte by byte
        pieces = np.frombuffer(data, np.uint8, n_lanes * length).reshape(n_lanes, length).T
        lanes = np.zeros(n_lanes, np.uint32)
        lanes[0] = crc
        for column in pieces:
            lanes = _TABLE[(lanes ^ column) & np.uint32(0xFF)] ^ (lanes >> np.uint32(8))
        columns = _zeros(length)
        crc = 0
        for lane in lanes.tolist():
            crc = _times(columns, crc) ^ lane
        data = data[n_lanes * length :]
    for byte in data:
        crc = _WORDS[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


@cache
def _zeros(length: int) -> tuple[int, ...]:
    """Compute what zero bytes make of each bit of a checksum: the columns of a matrix over two elements."""
    step = tuple(_WORDS[bit & 0xFF] ^ (bit >> 8) for bit in (1 << i for i in range(32)))
    out = tuple(1 << i for i in range(32))
    while length:
        if length & 1:
            out = tuple(_times(step, column) for column in out)
        step = tuple(_times(step, column) for column in step)
        length >>= 1
    return out


def _times(columns: tuple[int, ...], word: int) -> int:
    out = 0
    while word:
        low = word & -word
        out ^= columns[low.bit_length() - 1]
        word ^= low
    return out


def varint(data: bytes, at: int) -> tuple[int, int]:
    """The variable-length integer at a position, and the position after it.

    Raises:
        ValueError: it is torn, or longer than 64 bits.
    """
    value = 0
    for i in range(10):
        if at + i >= len(data):
            break
        byte = data[at + i]
        value |= (byte & 0x7F) << (7 * i)
        if byte < 0x80:
            return value, at + i + 1
    raise ValueError(f"an integer at byte {at} is torn")


def fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Number and value of every field, in order: an int for integers, bytes for what has a length.

    Raises:
        ValueError: the message is torn, or has a kind of field that is out of use.
    """
    at = 0
    while at < len(data):
        tag, at = varint(data, at)
        kind = tag & 7
        value: int | bytes
        if kind == 0:
            value, at = varint(data, at)
        elif kind in (1, 2, 5):
            size = 8 if kind == 1 else 4
            if kind == 2:
                size, at = varint(data, at)
            value, at = data[at : at + size], at + size
            if at > len(data):
                raise ValueError("a field is longer than its message")
            if kind != 2:
                value = int.from_bytes(value, "little")
        else:
            raise ValueError(f"a field of kind {kind} is none of a checkpoint's")
        yield tag >> 3, value


def message(value: int | bytes) -> bytes:
    """The bytes of a field that must have a length.

    Raises:
        ValueError: it is an integer.
    """
    if not isinstance(value, bytes):
        raise ValueError("a field is an integer where a message is expected")
    return value


def integer(value: int | bytes) -> int:
    """The value of a field that must be an integer.

    Raises:
        ValueError: it has a length.
    """
    if isinstance(value, bytes):
        raise ValueError("a field is a message where an integer is expected")
    return value


MAGIC = bytes.fromhex("57fb808b247547db")
FOOTER = 48
STRING = 7
MOST_INDEX = 1 << 22  # bytes of an index, or of a graph of objects: that of about 50,000 variables
MOST_NAMES = 1 << 25  # characters of all names, which share their beginnings in the file
DTYPES = {
    1: "<f4", 2: "<f8", 3: "<i4", 4: "u1", 5: "<i2", 6: "i1", 8: "<c8", 9: "<i8", 10: "?", 17: "<u2", 18: "<c16",
    19: "<f2", 22: "<u4", 23: "<u8",
}  # fmt: skip


@dataclass
class Entry:
    """The place of a value.

    Attributes:
        dtype: TensorFlow's number of it.
        shape: of the value.
        shard: of the data files.
        offset, size: of its bytes there.
        crc: of its bytes, masked.
        sliced: it is stored in parts.
    """

    dtype: int = 0
    shape: list[int] = field(default_factory=list)
    shard: int = 0
    offset: int = 0
    size: int = 0
    crc: int = 0
    sliced: bool = False


class Bundle:
    """A checkpoint's entries by key.

    Args:
        prefix: the path without ``.index``.

    Raises:
        ValueError: there is no such checkpoint, or it is torn, or of a kind that TensorFlow 2 does not write.
    """

    def __init__(self, prefix: Path) -> None:
        self.prefix = prefix
        index = prefix.with_name(prefix.name + ".index")
        file = File(index, prefix)
        file.require_at_most(MOST_INDEX, "its index")
        try:
            self.n_shards, self.entries = _read_index(file.part(0, file.size))
        except ValueError as error:
            raise ValueError(f"source={str(index)!r}: must be the index of a TensorFlow checkpoint ({error})") from None

    def shape(self, key: str) -> tuple[int, ...]:
        """The shape of a key's value."""
        return tuple(self.entries[key].shape)

    def load(self, key: str) -> NDArray[Any]:
        """The value of a key.

        Raises:
            ValueError: it is torn, in parts, or no number; or its data file is missing.
        """
        entry = self.entries[key]
        if entry.dtype not in DTYPES:
            raise ValueError(f"source={str(self.prefix)!r}, {key!r}: type {entry.dtype} of TensorFlow is no number")
        dtype = np.dtype(DTYPES[entry.dtype])
        if math.prod(entry.shape) * dtype.itemsize != entry.size:
            raise ValueError(f"source={str(self.prefix)!r}, {key!r}: {entry.size} bytes for shape {entry.shape}")
        data = self._bytes(key, entry)
        if masked_crc(data) != entry.crc:
            raise ValueError(f"source={str(self.prefix)!r}, {key!r}: its bytes do not match their checksum")
        return np.frombuffer(data, dtype=dtype).reshape(entry.shape).copy()

    def text(self, key: str) -> bytes:
        """The value of a key that holds one string.

        Raises:
            ValueError: it is torn, or no single string.
        """
        entry = self.entries[key]
        where = f"source={str(self.prefix)!r}, {key!r}"
        if entry.dtype != STRING or entry.shape:
            raise ValueError(f"{where}: must be one string")
        if entry.size > MOST_INDEX:
            raise ValueError(f"{where}: {entry.size} bytes, must be at most {MOST_INDEX}")
        data = self._bytes(key, entry)
        length, at = varint(data, 0)
        value = data[at + 4 :]
        size = length.to_bytes(4 if length < 1 << 32 else 8, "little")
        if len(value) != length or masked_crc(size + data[at:]) != entry.crc:
            raise ValueError(f"{where}: its bytes do not match their checksum")
        return value

    def _bytes(self, key: str, entry: Entry) -> bytes:
        where = f"source={str(self.prefix)!r}, {key!r}"
        if entry.sliced:
            raise ValueError(f"{where}: a variable in parts (partitioned) is not read; save it whole")
        if entry.shard >= self.n_shards:
            raise ValueError(f"{where}: is in data file {entry.shard}, of {self.n_shards}")
        name = f"{self.prefix.name}.data-{entry.shard:05d}-of-{self.n_shards:05d}"
        try:
            return File(self.prefix.with_name(name)).part(entry.offset, entry.size)
        except ValueError as error:
            raise ValueError(f"{where}: {name!r} cannot be read ({error})") from None


def _read_index(data: bytes) -> tuple[int, dict[str, Entry]]:
    if len(data) < FOOTER or data[-8:] != MAGIC:
        raise ValueError("its footer is not that of a table")
    at = len(data) - FOOTER
    _, at = _handle(data, at)
    top, _ = _handle(data, at)
    entries: dict[str, Entry] = {}
    n_shards = 0
    left, names = len(data), MOST_NAMES
    for _, handle in _block(data, *top):
        (where, _) = _handle(handle, 0)
        left -= where[1]
        if left < 0:
            raise ValueError("blocks lie over each other")
        for key, value in _block(data, *where):
            names -= len(key)
            if names < 0:
                raise ValueError("its names are too long")
            if key == b"":
                n_shards = _n_shards(value)
            elif (name := key.decode("utf-8")) in entries:
                raise ValueError(f"{name!r} comes twice")
            else:
                entries[name] = _entry(value)
    if not n_shards:
        raise ValueError("it has no header")
    return n_shards, entries


def _handle(data: bytes, at: int) -> tuple[tuple[int, int], int]:
    offset, at = varint(data, at)
    size, at = varint(data, at)
    return (offset, size), at


def _block(data: bytes, offset: int, size: int) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of a block; a key repeats the beginning of the one before."""
    end = offset + size
    if end + 5 > len(data):
        raise ValueError("a block ends beyond the file")
    if int.from_bytes(data[end + 1 : end + 5], "little") != masked_crc(data[offset : end + 1]):
        raise ValueError("a block does not match its checksum")
    if data[end] != 0:
        raise ValueError("a block is compressed, which TensorFlow does not do")
    block = data[offset:end]
    n_restarts = int.from_bytes(block[-4:], "little")
    block = block[: len(block) - 4 - 4 * n_restarts]
    at, key = 0, b""
    while at < len(block):
        shared, at = varint(block, at)
        own, at = varint(block, at)
        length, at = varint(block, at)
        if shared > len(key) or at + own + length > len(block):
            raise ValueError("an entry is longer than its block")
        key = key[:shared] + block[at : at + own]
        yield key, block[at + own : at + own + length]
        at += own + length


def _n_shards(header: bytes) -> int:
    found = dict(fields(header))
    if found.get(2, 0) != 0:
        raise ValueError("it is of a big-endian machine")
    return integer(found.get(1, 0))


def _entry(data: bytes) -> Entry:
    entry = Entry()
    for number, value in fields(data):
        if number == 2:
            for kind, dimension in fields(message(value)):
                if kind == 2:
                    entry.shape.append(integer(dict(fields(message(dimension))).get(1, 0)))
        elif number == 7:
            entry.sliced = True
        elif number in (1, 3, 4, 5, 6):
            name = {1: "dtype", 3: "shard", 4: "offset", 5: "size", 6: "crc"}[number]
            setattr(entry, name, integer(value))
    return entry
