"""What is looked at before a file of weights is believed: its kind, its size, and a zip archive's directory."""

from __future__ import annotations

import os
import stat
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

# 2,048 filters, complex, of 4,096 taps: the most values that are read where no module says how many it needs
MOST_VALUES = 1 << 24
MOST_BYTES = 1 << 28  # of what is unpacked whole: the weights inside a .keras archive
MOST_DIRECTORY = 1 << 23  # of an archive's directory, a header or an index: about 100,000 entries
_END = b"PK\x05\x06"
_END64 = b"PK\x06\x06"
_PIECE = 1 << 20


class File:
    """A regular file that must stay as it is while it is read.

    Args:
        path: of the file; a symbolic link is followed.
        said: what messages call it; the path by default.

    Attributes:
        size: bytes.

    Raises:
        ValueError: there is no such file, it cannot be read, or it is a folder, a device, a pipe or the like.
    """

    def __init__(self, path: Path, said: Path | None = None) -> None:
        self.path = path
        self.where = f"source={str(said or path)!r}"
        try:
            found = os.stat(path)
        except (OSError, ValueError) as error:
            why = "there is no such file" if isinstance(error, FileNotFoundError) else f"cannot be read ({error})"
            raise ValueError(f"{self.where}: {why}") from None
        if not stat.S_ISREG(found.st_mode):
            raise ValueError(f"{self.where}: must be a regular file of weights, such as .npz or .pt")
        self.size = found.st_size
        self._found = _signature(found)

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
            self.require_same(file)
            yield file
            self.require_same(file)

    def require_same(self, file: BinaryIO) -> None:
        """Refuse a file that is not as it was.

        Raises:
            ValueError: it has changed.
        """
        if _signature(os.fstat(file.fileno())) != self._found:
            raise ValueError(f"{self.where}: changed while it was read; read it again")

    def require_at_most(self, size: int, what: str = "its size") -> None:
        """Refuse a file of more bytes.

        Raises:
            ValueError: it has more.
        """
        if self.size > size:
            raise ValueError(f"{self.where}: {what} is {self.size} bytes, must be at most {size}")

    def part(self, offset: int, size: int) -> bytes:
        """Bytes of the file.

        Raises:
            ValueError: it ends before them; or as :meth:`open`.
        """
        if offset < 0 or size < 0 or offset + size > self.size:
            raise ValueError(f"{self.where}: ends at byte {self.size}, before byte {offset + size} that it speaks of")
        with self.open() as file:
            file.seek(offset)
            data = file.read(size)
        if len(data) != size:
            raise ValueError(f"{self.where}: changed while it was read; read it again")
        return data


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
        try:
            found = zipfile.ZipFile(opened)
        except Exception as error:
            raise ValueError(f"{file.where}: must be a zip archive, not torn ({error})") from error
        names = [member.filename for member in found.infolist()]
        if twice := [name for name, n in Counter(names).items() if n > 1]:
            raise ValueError(f"{file.where}: holds {twice[0]!r} twice")
        if outside := [name for name in names if name.startswith(("/", "\\")) or ".." in name.split("/")]:
            raise ValueError(f"{file.where}: holds {outside[0]!r}, a name outside of the archive")
        for member in found.infolist():  # the others unpack without a limit
            if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise ValueError(f"{file.where}: {member.filename!r} must be stored or deflated")
        yield found


def _require_directory(file: File) -> None:
    """Refuse a directory that is too long to be read, or that does not end the file."""
    if file.size < 22:
        raise ValueError(f"{file.where}: must be a zip archive, not torn")
    end = file.part(file.size - 22, 22)
    if end[:4] != _END or end[20:] != b"\0\0":
        raise ValueError(f"{file.where}: must be a zip archive that ends where its directory does, not torn")
    size, offset, last = int.from_bytes(end[12:16], "little"), int.from_bytes(end[16:20], "little"), file.size - 22
    if 0xFFFFFFFF in (size, offset) or end[10:12] == b"\xff\xff" or _ends_wide(file):
        if file.size < 98:
            raise ValueError(f"{file.where}: must be a zip archive, not torn")
        wide = file.part(file.size - 98, 56)
        if wide[:4] != _END64:
            raise ValueError(f"{file.where}: must be a zip archive, not torn")
        size, offset = int.from_bytes(wide[40:48], "little"), int.from_bytes(wide[48:56], "little")
        last = file.size - 98
    if offset + size != last:
        raise ValueError(f"{file.where}: must be a zip archive with nothing before or after it, not torn")
    if size > MOST_DIRECTORY:
        raise ValueError(f"{file.where}: its directory is {size} bytes, must be at most {MOST_DIRECTORY}")


def _ends_wide(file: File) -> bool:
    return file.size >= 98 and file.part(file.size - 42, 4) == b"PK\x06\x07"


def require_checksum(file: File, found: zipfile.ZipFile, member: zipfile.ZipInfo) -> None:
    """Read a member in pieces and hold it to its CRC-32.

    Raises:
        ValueError: it does not match, or cannot be unpacked; names file and member.
    """
    try:
        with found.open(member) as opened:
            crc = 0
            while piece := opened.read(_PIECE):
                crc = zlib.crc32(piece, crc)
        if crc != member.CRC:
            raise ValueError("its bytes do not match their checksum")
    except Exception as error:
        raise ValueError(f"{file.where}: {member.filename!r} is torn ({error})") from error


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


def inflates(data: bytes, most: int) -> bool:
    """Whether a zlib stream is whole and unpacks to no more than so many bytes."""
    stream = zlib.decompressobj()
    try:
        return len(stream.decompress(data, most + 1)) <= most and stream.eof
    except zlib.error:
        return False
