"""Checkpoints of TensorFlow with any content and right checksums, and how a file is refused."""

from __future__ import annotations

import struct

from parity.weights.tensorflow_checkpoint import MAGIC, masked_crc
from parity_tests.meta import checkpoint_files as files
from parity_tests.meta import weights


def refuses(path, *named, error=ValueError, name="leaf"):
    module = files.torch_frontend(name) if name != "small" else weights.fresh("og_leaf")
    weights.refuses(module, path, path.name, *named, error=error)


def varint(value):
    out = b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def field(number, value):
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def checkpoint(path, entries, n_shards=1):
    """An index of one block with these keys and values, all checksums right."""

    def block(pairs):
        body = b"".join(b"\0" + varint(len(k)) + varint(len(v)) + k + v for k, v in pairs) + struct.pack("<II", 0, 1)
        return body + b"\0" + struct.pack("<I", masked_crc(body + b"\0")), len(body)

    first, size = block([(b"", field(1, n_shards)), *entries])
    top, top_size = block([(b"~", varint(0) + varint(size))])
    footer = (varint(0) + varint(0) + varint(len(first)) + varint(top_size)).ljust(40, b"\0")
    path.with_name(path.name + ".index").write_bytes(first + top + footer + MAGIC)
    return path


def entry(size, crc32c=0, dtype=1, shape=(), shard=0):
    dimensions = b"".join(field(2, field(1, n)) for n in shape)
    return field(1, dtype) + field(2, dimensions) + field(3, shard) + field(5, size) + field(6, crc32c)


def graph(tmp_path, nodes):
    """A checkpoint whose objects hang from each other in this way."""
    text = b"".join(field(1, node) for node in nodes)
    length = varint(len(text))
    data = length + struct.pack("<I", 0) + text
    value = masked_crc(struct.pack("<I", len(text)) + data[len(length) :])
    (tmp_path / "w.data-00000-of-00001").write_bytes(data)
    return checkpoint(tmp_path / "w", [(b"_CHECKPOINTABLE_OBJECT_GRAPH", entry(len(data), value, 7))])


def child(node, name):
    return field(1, field(1, node) + field(2, name))
