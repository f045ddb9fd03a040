"""Zip archives of weights: opened once their directory is sound, and read member by member against the checksums."""

from __future__ import annotations

import struct
import zipfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from parity.weights.contents import MOST_DIRECTORY, File, refused_as

_PIECE = 1 << 20


@contextmanager
def open_archive(file: File) -> Iterator[zipfile.ZipFile]:
    """Open a zip archive whose directory is sound: nothing before or after it, and every name once and inside.

    Raises:
        ValueError: it is not; or as :meth:`File.open`.
    """
    _require_directory(file)
    with file.open() as opened:
        with refused_as("must be a zip archive, not torn"):
            found = zipfile.ZipFile(opened)
        for name, n in Counter(found.namelist()).items():
            if n > 1:
                raise ValueError(f"holds {name!r} twice")
            if name.startswith(("/", "\\")) or ".." in name.split("/"):
                raise ValueError(f"holds {name!r}, a name outside of the archive")
        for member in found.infolist():  # the others unpack without a limit
            if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise ValueError(f"{member.filename!r} must be stored or deflated")
        yield found


def _require_directory(file: File) -> None:
    """Refuse a directory that is too long to be read, or that does not end the file."""
    torn = ValueError("must be a zip archive that ends where its directory does, not torn")
    last = file.size - 22
    if last < 0:
        raise torn
    end = file.part(last, 22)
    size, offset = struct.unpack("<II", end[12:20])
    if last >= 76 and file.part(last - 20, 4) == b"PK\x06\x07":  # of 64 bits: its own record is before
        last -= 76
        wide = file.part(last, 56)
        size, offset = struct.unpack("<QQ", wide[40:56])
        if wide[:4] != b"PK\x06\x06":
            raise torn
    if end[:4] != b"PK\x05\x06" or end[20:] != b"\0\0":
        raise torn
    if offset + size != last:
        raise ValueError("must be a zip archive with nothing before or after it, not torn")
    if size > MOST_DIRECTORY:
        raise ValueError(f"its directory is {size} bytes, must be at most {MOST_DIRECTORY}")


def require_checksum(file: File, found: zipfile.ZipFile, member: zipfile.ZipInfo) -> None:
    """Read a member in pieces, which holds it to its CRC-32."""
    with refused_as(f"{member.filename!r} is torn"), found.open(member) as opened:
        while opened.read(_PIECE):
            pass


def read_member(found: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    """Read a member whole, held to its CRC-32, and never more of it than the directory says."""
    with found.open(member) as opened:
        data = opened.read(member.file_size + 1)
    if len(data) != member.file_size:
        raise ValueError(f"{len(data)} bytes for {member.file_size}")
    return data
