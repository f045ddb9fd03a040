"""CRC-32C, by NumPy: many pieces of the data at a time, whose checksums are then joined. No library is needed."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

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
    """What zero bytes make of each bit of a checksum: the columns of a matrix over two elements."""
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
