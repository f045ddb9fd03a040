"""What is looked at before a file of weights is believed: its kind, its size, and a zip archive's directory."""

from __future__ import annotations

import os
import stat
import struct
import zipfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

# 2,048 filters, complex, of 4,096 taps: the most values that are read where no module says how many it needs
MOST_VALUES = 1 << 24
MOST_BYTES = 1 << 28  # of what is unpacked whole: the weights inside a .keras archive
MOST_DIRECTORY = 1 << 23  # of an archive's directory, a header or an index: about 100,000 entries
_PIECE = 1 << 20


@contextmanager
def refused_as(message: str) -> Iterator[None]:
    """Refuse with this message, and the error's own in brackets, whatever torn or foreign bytes make fail."""
    try:
        yield
    except Exception as error:
        raise ValueError(f"{message} ({error})") from error


class File:
    """A regular file that must stay as it is while it is read.

    Args:
        path: of the file; a symbolic link is followed.
        shown: the path in messages; the same by default.

    Attributes:
        where: what messages begin with.
        size: bytes.

    Raises:
        ValueError: there is no such file, it cannot be read, or it is a folder, a device, a pipe or the like.
    """

    def __init__(self, path: Path, shown: Path | None = None) -> None:
        self.path = path
        self.where = f"source={str(shown or path)!r}"
        try:
            found = os.stat(path)
        except (OSError, ValueError) as error:
            why = "there is no such file" if isinstance(error, FileNotFoundError) else f"cannot be read ({error})"
            raise ValueError(f"{self.where}: {why}") from None
        if not stat.S_ISREG(found.st_mode):
            raise ValueError(f"{self.where}: must be a regular file of weights, such as .npz or .pt")
        self.size = found.st_size
        self._signature = _signature(found)

    @contextmanager
    def open(self) -> Iterator[BinaryIO]:
        """The file, opened to be read.

        Raises:
            ValueError: it cannot be opened, or it changed since it was first looked at.
        """
        try:
            file = self.path.open("rb")
        except OSError as error:
            raise ValueError(f"{self.where}: cannot be read ({error})") from None
        with file:
            self._require_same(file)
            yield file
            self._require_same(file)

    def part(self, offset: int, size: int) -> bytes:
        """Bytes of the file.

        Raises:
            ValueError: it ends before them; or as :meth:`open`.
        """
        if offset < 0 or offset + size > self.size:
            raise ValueError(f"{self.where}: ends at byte {self.size}, before byte {offset + size} that it speaks of")
        with self.open() as file:
            file.seek(offset)
            return file.read(size)

    def require_at_most(self, size: int, what: str) -> None:
        """Refuse a file of more bytes; ``what`` it has is said."""
        if self.size > size:
            raise ValueError(f"{self.where}: {what} is {self.size} bytes, must be at most {size}")

    def _require_same(self, file: BinaryIO) -> None:
        if _signature(os.fstat(file.fileno())) != self._signature:
            raise ValueError(f"{self.where}: changed while it was read; read it again")


def _signature(found: os.stat_result) -> tuple[int, int, int, int]:
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


@contextmanager
def archive(file: File) -> Iterator[zipfile.ZipFile]:
    """A zip archive whose directory is sound: nothing before or after it, and every name once and inside.

    Raises:
        ValueError: it is not; or as :meth:`File.open`.
    """
    _require_directory(file)
    with file.open() as opened:
        with refused_as(f"{file.where}: must be a zip archive, not torn"):
            found = zipfile.ZipFile(opened)
        for name, n in Counter(found.namelist()).items():
            if n > 1:
                raise ValueError(f"{file.where}: holds {name!r} twice")
            if name.startswith(("/", "\\")) or ".." in name.split("/"):
                raise ValueError(f"{file.where}: holds {name!r}, a name outside of the archive")
        for member in found.infolist():  # the others unpack without a limit
            if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise ValueError(f"{file.where}: {member.filename!r} must be stored or deflated")
        yield found


def _require_directory(file: File) -> None:
    """Refuse a directory that is too long to be read, or that does not end the file."""
    torn = ValueError(f"{file.where}: must be a zip archive that ends where its directory does, not torn")
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
        raise ValueError(f"{file.where}: must be a zip archive with nothing before or after it, not torn")
    if size > MOST_DIRECTORY:
        raise ValueError(f"{file.where}: its directory is {size} bytes, must be at most {MOST_DIRECTORY}")


def require_checksum(file: File, found: zipfile.ZipFile, member: zipfile.ZipInfo) -> None:
    """Read a member in pieces, which holds it to its CRC-32."""
    with refused_as(f"{file.where}: {member.filename!r} is torn"), found.open(member) as opened:
        while opened.read(_PIECE):
            pass


def unpacked(found: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    """A member whole, held to its CRC-32, and never more of it than the directory says.

    Raises:
        Exception: as zipfile and zlib raise; the caller names the file.
    """
    with found.open(member) as opened:
        data = opened.read(member.file_size + 1)
    if len(data) != member.file_size:
        raise ValueError(f"{len(data)} bytes for {member.file_size}")
    return data
