"""Read a TensorFlow checkpoint without TensorFlow: find the frontends in its graph of objects, or by variables' names.

The format is that of ``tensorflow/core/util/tensor_bundle``: ``PREFIX.index``, an uncompressed LevelDB table of
Protocol Buffers messages, and ``PREFIX.data-00000-of-00001``. Every block and every value that is read is held to its
CRC-32C.

No library but TensorFlow reads the table. Beside it the messages and the checksum are short, and a frontend's
variables are kilobytes, so neither needs compiled code.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from parity.adapters import canonical
from parity.weights.contents import Array, Contents, File, StoredArray, joined, refused_as
from parity.weights.keras_names import KerasNames, is_training_object, model_name

GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"


def open_checkpoint(prefix: Path) -> Contents:
    """Open the checkpoint of a prefix; refuse with a ValueError one that TensorFlow 2 does not write."""
    bundle = Bundle(prefix)
    if GRAPH not in bundle.entries:
        return KerasNames(bundle.arrays(), ((key, key) for key in bundle.entries))
    objects = ObjectGraph(bundle)
    # Keras 3's export lists variables without their layers: only names tell the frontend
    by_name = ((node.full_name, node.key) for node in objects.nodes if node.key)
    named = KerasNames(objects.arrays, by_name)
    return named if not objects.scopes() and named.scopes() else objects


def open_folder(path: Path) -> Contents:
    """Open the checkpoint of a SavedModel, or the only one in a folder."""
    saved = path / "variables" / "variables"
    if saved.with_name("variables.index").is_file():
        return open_checkpoint(saved)
    found = sorted(index.with_suffix("") for index in path.glob("*.index"))
    if len(found) != 1:
        names = [prefix.name for prefix in found]
        raise ValueError(f"must hold one checkpoint, holds {names or 'none'}; give the prefix of one")
    return open_checkpoint(found[0])


# canonical names by path of the original's attributes, without an underscore before the last
ATTRIBUTES = {
    "_preemp_conv/kernel": canonical.PREEMP,
    "_complex_conv/kernel": canonical.KERNEL,
    "_pooling/kernel": canonical.POOLING,
    "_pooling/pool/kernel": canonical.POOLING_2D,
    "_compress_fn/alpha": canonical.ALPHA,
    "_compress_fn/delta": canonical.DELTA,
    "_compress_fn/root": canonical.ROOT,
    "_compress_fn/ema/smooth": canonical.SMOOTH,
    "_compress_fn/ema/weights": canonical.SMOOTH,
    "_compress_fn/ema/cell/kernel": canonical.RNN_KERNEL,
    "_compress_fn/ema/cell/recurrent_kernel": canonical.RNN_RECURRENT,
    "_compress_fn/gamma": canonical.NORM_GAMMA,
    "_compress_fn/beta": canonical.NORM_BETA,
    "_instance_norm/gamma": canonical.GAMMA,
    "_instance_norm/beta": canonical.BETA,
}
ORIGINALS_ATTRIBUTES = {part for path in ATTRIBUTES for part in path.split("/")[:-1]}
LISTS = ("layer", "variables", "trainable_", "non_trainable_", "all_variables", "tracker", "keras_api")
SIGNATURE = {"_complex_conv", "_pooling", "_activation"}


class Node(NamedTuple):
    """An object: its attributes by name, and the key and full name of its value if it is a variable."""

    children: dict[str, int]
    key: str
    full_name: str


class ObjectGraph(Contents):
    """A checkpoint with a graph of objects: frontends are those with the original's attributes.

    Raises:
        ValueError: the graph is torn.
    """

    def __init__(self, bundle: Bundle) -> None:
        super().__init__(bundle.arrays())
        with refused_as("its graph of objects cannot be read"):
            self.nodes = [_read_node(data) for data in message_fields(bundle.read_text(GRAPH), {1: bytes})[1]]
        reached = [child for node in self.nodes for child in node.children.values()]
        keys = {node.key for node in self.nodes if node.key}
        if not self.nodes or max(reached, default=0) >= len(self.nodes) or not keys <= set(self.arrays):
            raise ValueError("its graph of objects names what is not there")

    def scopes(self) -> tuple[str, ...]:
        """Find the shortest path of attributes to each frontend."""
        return tuple(path for path, node in self._walk(0) if set(self.nodes[node].children) >= SIGNATURE)

    def names(self, scope: str) -> dict[str, str]:
        """See :meth:`Contents.names`; ``scope`` is any path of attributes, not the shortest alone."""
        paths: dict[int, list[str]] = {}
        for path, node in self._walk_all_paths(self._node_at(scope)):
            if self.nodes[node].key:
                paths.setdefault(node, []).append(path)
        out = {}
        for node, found in paths.items():
            known = [ATTRIBUTES[plain] for plain in map(_without_underscore, found) if plain in ATTRIBUTES]
            out[known[0] if known else found[0]] = self.nodes[node].key
        return out

    def hints(self, scope: str) -> dict[str, str]:
        keys = set(self.names(scope).values())
        known = model_name(node.full_name for node in self.nodes if node.key in keys)
        filters = self.nodes[self._node_at(scope)].children.get("_complex_conv")
        called = set(self.nodes[filters].children) & {"kernel", "_kernel"} if filters is not None else set()
        # Keras 2: the original's layers list `kernel` and `_kernel`, Keras' layers only `kernel`.
        # Keras 3: every layer lists only `_kernel`.
        return {**known, "kernel": "own" if len(called) == 2 else "keras"} if "kernel" in called else known

    def _node_at(self, scope: str) -> int:
        node = 0
        for part in scope.split("/") if scope else ():
            if part not in self.nodes[node].children:
                raise self.no_such_scope(scope)
            node = self.nodes[node].children[part]
        return node

    def _walk(self, start: int) -> Iterator[tuple[str, int]]:
        """Walk every object under one, by its shortest path."""
        seen, queue, length = {start}, deque([("", start)]), 0
        while queue:
            path, node = queue.popleft()
            length = self._add_length(length, path)
            yield path, node
            for name, child in sorted(self.nodes[node].children.items(), key=_rank):
                if child not in seen and not is_training_object(name):
                    seen.add(child)
                    queue.append((joined((path, name)), child))

    def _walk_all_paths(self, start: int) -> Iterator[tuple[str, int]]:
        """Walk every object under one, by every name that an object on a shortest path has for it."""
        length = 0
        for path, node in self._walk(start):
            for name, child in self.nodes[node].children.items():
                if not is_training_object(name):
                    length = self._add_length(length, path)
                    yield joined((path, name)), child

    def _add_length(self, length: int, path: str) -> int:
        """Add to the length of all paths; refuse a crafted graph, whose paths are far longer than itself."""
        if (length := length + len(path)) > MOST_NAMES:
            raise ValueError("its graph of objects is too deep to be a model's")
        return length


def _rank(child: tuple[str, int]) -> int:
    """Rank an object's names: the original's own before any other, and lists of layers last."""
    if child[0] in ORIGINALS_ATTRIBUTES:
        return 0
    return 2 if child[0].lstrip("_").startswith(LISTS) else 1


def _without_underscore(path: str) -> str:
    head, _, name = path.rpartition("/")
    return joined((head, name.lstrip("_")))


def _read_node(data: bytes) -> Node:
    found = message_fields(data, {1: bytes, 2: bytes})
    children, key, full_name = {}, "", ""
    for message in found[1]:
        child = message_fields(message, {1: int, 2: bytes})
        children[_decode_last(child[2])] = last_integer(child[1])
    for message in found[2]:
        attribute = message_fields(message, {1: bytes, 2: bytes, 3: bytes})
        if _decode_last(attribute[1]) == "VARIABLE_VALUE":
            full_name, key = _decode_last(attribute[2]), _decode_last(attribute[3])
    return Node(children, key, full_name)


def _decode_last(values: list[bytes]) -> str:
    return b"".join(values[-1:]).decode("utf-8")


MAGIC = bytes.fromhex("57fb808b247547db")
FOOTER = 48
STRING = 7
MOST_INDEX = 1 << 22  # bytes of an index, or of a graph of objects: that of about 50,000 variables
MOST_NAMES = 1 << 25  # characters of all names, which share their beginnings in the file; or of all paths to objects
DTYPES = {
    1: "<f4", 2: "<f8", 3: "<i4", 4: "u1", 5: "<i2", 6: "i1", 8: "<c8", 9: "<i8", 10: "?", 17: "<u2", 18: "<c16",
    19: "<f2", 22: "<u4", 23: "<u8",
}  # fmt: skip


class StoredValue(NamedTuple):
    """The place of a value: TensorFlow's number of its type, where its bytes are, and their masked checksum."""

    dtype: int
    shape: tuple[int, ...]
    shard: int
    offset: int
    size: int
    crc: int
    sliced: bool  # stored in parts


class Bundle:
    """A checkpoint's entries by key.

    Raises:
        ValueError: there is none of this prefix (the path without ``.index``), or it is torn.
    """

    def __init__(self, prefix: Path) -> None:
        self.prefix = prefix
        index = prefix.with_name(prefix.name + ".index")
        file = File(index)
        file.require_at_most(MOST_INDEX, "its index")
        with refused_as(f"{str(index)!r} must be the index of a TensorFlow checkpoint"):
            self.n_shards, self.entries = _read_index(file.part(0, file.size))

    def arrays(self) -> dict[str, StoredArray]:
        """List every entry, to be read."""
        return {key: StoredArray(entry.shape, partial(self.read, key)) for key, entry in self.entries.items()}

    def read(self, key: str) -> Array:
        """Read the array of a key; refuse one that is torn, in parts or no number, or whose data file is missing."""
        entry = self.entries[key]
        if entry.dtype not in DTYPES:
            raise ValueError(f"{key!r}: type {entry.dtype} of TensorFlow is no number")
        dtype = np.dtype(DTYPES[entry.dtype])
        if math.prod(entry.shape) * dtype.itemsize != entry.size:
            raise ValueError(f"{key!r}: {entry.size} bytes for shape {entry.shape}")
        data = self._read_bytes(key)
        if masked_crc(data) != entry.crc:
            raise ValueError(f"{key!r}: its bytes do not match their checksum")
        return np.frombuffer(data, dtype=dtype).reshape(entry.shape).copy()

    def read_text(self, key: str) -> bytes:
        """Read the one string of a key; raises ValueError where it is torn, or no single string."""
        entry = self.entries[key]
        if entry.dtype != STRING or entry.shape:
            raise ValueError(f"{key!r}: must be one string")
        if entry.size > MOST_INDEX:
            raise ValueError(f"{key!r}: {entry.size} bytes, must be at most {MOST_INDEX}")
        data = self._read_bytes(key)
        length, at = read_varint(data, 0)
        value = data[at + 4 :]
        if len(value) != length or masked_crc(length.to_bytes(4, "little") + data[at:]) != entry.crc:
            raise ValueError(f"{key!r}: its bytes do not match their checksum")
        return value

    def _read_bytes(self, key: str) -> bytes:
        entry = self.entries[key]
        if entry.sliced:
            raise ValueError(f"{key!r}: a variable in parts (partitioned) is not read; save it whole")
        if entry.shard >= self.n_shards:
            raise ValueError(f"{key!r}: is in data file {entry.shard}, of {self.n_shards}")
        name = f"{self.prefix.name}.data-{entry.shard:05d}-of-{self.n_shards:05d}"
        with refused_as(f"{key!r}: {name!r} cannot be read"):
            return File(self.prefix.with_name(name)).part(entry.offset, entry.size)


def _read_index(data: bytes) -> tuple[int, dict[str, StoredValue]]:
    """Read the number of data files, and every entry, from a table: a block of blocks, named by its footer."""
    if len(data) < FOOTER or data[-8:] != MAGIC:
        raise ValueError("its footer is not that of a table")
    entries: dict[str, StoredValue] = {}
    n_shards, left, names = 0, len(data), MOST_NAMES
    _, _, at = _read_handle(data, len(data) - FOOTER)
    for _, handle in _read_block(data, *_read_handle(data, at)[:2]):
        offset, size, _ = _read_handle(handle, 0)
        left -= size
        if left < 0:
            raise ValueError("blocks lie over each other")
        for key, value in _read_block(data, offset, size):
            names -= len(key)
            if names < 0:
                raise ValueError("its names are too long")
            if key == b"":
                header = message_fields(value, {1: int, 2: int})
                if last_integer(header[2]) != 0:
                    raise ValueError("it is of a big-endian machine")
                n_shards = last_integer(header[1])
            elif (name := key.decode("utf-8")) in entries:
                raise ValueError(f"{name!r} comes twice")
            else:
                entries[name] = _read_entry(value)
    if not n_shards:
        raise ValueError("it has no header")
    return n_shards, entries


def _read_handle(data: bytes, at: int) -> tuple[int, int, int]:
    """Read offset and size of a block, and the position after them."""
    offset, at = read_varint(data, at)
    size, at = read_varint(data, at)
    return offset, size, at


def _read_block(data: bytes, offset: int, size: int) -> Iterator[tuple[bytes, bytes]]:
    """Read keys and values of a block; a key repeats the beginning of the one before."""
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
        shared, at = read_varint(block, at)
        own, at = read_varint(block, at)
        length, at = read_varint(block, at)
        if shared > len(key) or at + own + length > len(block):
            raise ValueError("an entry is longer than its block")
        key = key[:shared] + block[at : at + own]
        yield key, block[at + own : at + own + length]
        at += own + length


def _read_entry(data: bytes) -> StoredValue:
    found = message_fields(data, {1: int, 2: bytes, 3: int, 4: int, 5: int, 6: int, 7: bytes})
    dimensions = (dimension for message in found[2] for dimension in message_fields(message, {2: bytes})[2])
    shape = tuple(last_integer(message_fields(dimension, {1: int})[1]) for dimension in dimensions)
    dtype, shard, offset, size, crc = (last_integer(found[number]) for number in (1, 3, 4, 5, 6))
    return StoredValue(dtype, shape, shard, offset, size, crc, sliced=bool(found[7]))


def message_fields(data: bytes, kinds: Mapping[int, type]) -> dict[int, list[Any]]:
    """Read a Protocol Buffers message: by number of their field, values that are ``int``, or ``bytes`` of a length.

    Refuse one that is torn, or has a kind of field that is out of use, or another than ``kinds`` says.
    """
    found: dict[int, list[Any]] = {number: [] for number in kinds}
    at = 0
    while at < len(data):
        tag, at = read_varint(data, at)
        number, wire = tag >> 3, tag & 7
        value: int | bytes
        if wire == 0:
            value, at = read_varint(data, at)
        elif wire in (1, 2, 5):
            size, at = read_varint(data, at) if wire == 2 else (8 if wire == 1 else 4, at)
            value, at = data[at : at + size], at + size
            if at > len(data):
                raise ValueError("a field is longer than its message")
            if wire != 2:
                value = int.from_bytes(value, "little")
        else:
            raise ValueError(f"a field of kind {wire} is none of a checkpoint's")
        if number in kinds:
            if not isinstance(value, kinds[number]):
                raise ValueError(f"field {number} is {type(value).__name__}, must be {kinds[number].__name__}")
            found[number].append(value)
    return found


def last_integer(values: list[int]) -> int:
    """Return the value of an integer field, whose default is 0."""
    return values[-1] if values else 0


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    """Read a variable-length integer, and the position after it; raises ValueError where it is torn, or too long."""
    value = 0
    for i, byte in enumerate(data[at : at + 10]):
        value |= (byte & 0x7F) << (7 * i)
        if byte < 0x80:
            return value, at + i + 1
    raise ValueError(f"an integer at byte {at} is torn")


def _row(word: int) -> int:
    for _ in range(8):
        word = word >> 1 ^ (0x82F63B78 if word & 1 else 0)
    return word


_TABLE = [_row(byte) for byte in range(256)]


def crc32c(data: bytes) -> int:
    """Compute the CRC-32C of some bytes (RFC 3720)."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def masked_crc(data: bytes) -> int:
    """Compute the CRC-32C as TensorFlow stores it: rotated, and a constant added."""
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
