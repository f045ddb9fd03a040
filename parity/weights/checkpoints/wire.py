"""The wire format of protocol buffers, as much as a checkpoint needs: fields by number. Standard library alone."""

from __future__ import annotations

from collections.abc import Iterator


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
