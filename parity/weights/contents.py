"""Share what every reader of weights needs: a file that must not change meanwhile, and the frontends in it.

Readers say what is wrong; who opens a file names it, see :func:`naming`.
"""

from __future__ import annotations

import math
import os
import stat
import struct
import zipfile
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from numpy.typing import NDArray

from parity.adapters.canonical import require_finite

Array = NDArray[Any]
# 2,048 filters, complex, of 4,096 taps: the most values that are read where no module says how many it needs
MOST_VALUES = 1 << 24
MOST_DIRECTORY = 1 << 23  # of an archive's directory, a header or an index: about 100,000 entries
PIECE = 1 << 20  # bytes that are read at a time of what is only checked


@contextmanager
def naming(source: str | os.PathLike[str]) -> Iterator[None]:
    """Put a file's path before what is wrong with it, and make that a ValueError."""
    try:
        yield
    except (TypeError, ValueError) as error:
        raise ValueError(f"source={os.fspath(source)!r}: {error}") from error


@contextmanager
def refused_as(message: str) -> Iterator[None]:
    """Refuse with this message, and the error's own in brackets, whatever torn or foreign bytes make fail."""
    try:
        yield
    except Exception as error:
        raise ValueError(f"{message} ({error})") from error


class File:
    """A regular file that must stay as it is while it is read.

    Attributes:
        path: of the file; a symbolic link is followed.
        size: bytes.

    Raises:
        ValueError: there is no such file, it cannot be read, or it is a folder, a device, a pipe or the like.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._found = os.stat(path)
        except (OSError, ValueError) as error:
            why = "there is no such file" if isinstance(error, FileNotFoundError) else f"cannot be read ({error})"
            raise ValueError(why) from None
        if not stat.S_ISREG(self._found.st_mode):
            raise ValueError("must be a regular file of weights, such as .npz or .pt")
        self.size = self._found.st_size

    @contextmanager
    def open(self) -> Iterator[BinaryIO]:
        """Open the file to be read; raises ValueError where that fails, or where it changed since it was looked at."""
        try:
            file = self.path.open("rb")
        except OSError as error:
            raise ValueError(f"cannot be read ({error})") from None
        with file:
            self._require_same(file)
            yield file
            self._require_same(file)

    def part(self, offset: int, size: int) -> bytes:
        """Read so many bytes from an offset; raises ValueError where the file ends before them, or as :meth:`open`."""
        if offset < 0 or offset + size > self.size:
            raise ValueError(f"ends at byte {self.size}, before byte {offset + size} that it speaks of")
        with self.open() as file:
            file.seek(offset)
            return file.read(size)

    def require_at_most(self, size: int, what: str) -> None:
        """Refuse a file of more bytes; ``what`` it has is said."""
        if self.size > size:
            raise ValueError(f"{what} is {self.size} bytes, must be at most {size}")

    def _require_same(self, file: BinaryIO) -> None:
        now = os.fstat(file.fileno())
        if any(getattr(now, n) != getattr(self._found, n) for n in ("st_dev", "st_ino", "st_size", "st_mtime_ns")):
            raise ValueError("changed while it was read; read it again")


@contextmanager
def open_archive(file: File) -> Iterator[zipfile.ZipFile]:
    """Open a zip archive; refuse one with a name twice or outside, or with anything before or after it."""
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


def require_checksum(found: zipfile.ZipFile, member: zipfile.ZipInfo) -> None:
    """Read a member in pieces, which holds it to its CRC-32."""
    with refused_as(f"{member.filename!r} is torn"), found.open(member) as opened:
        while opened.read(PIECE):
            pass


def read_member(found: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    """Read a member whole, held to its CRC-32, and never more of it than the directory says."""
    with found.open(member) as opened:
        data = opened.read(member.file_size + 1)
    if len(data) != member.file_size:
        raise ValueError(f"{len(data)} bytes for {member.file_size}")
    return data


@dataclass(frozen=True)
class StoredArray:
    """An array whose values are read when they are asked for; ``read`` raises ValueError or TypeError."""

    shape: tuple[int, ...]
    read: Callable[[], Array]


class Contents(ABC):
    """An opened source of weights.

    A scope is where in the source a frontend stands: the path of attributes, groups or names that leads to it, joined
    with ``/``; ``""`` is the source itself.

    Attributes:
        arrays: by the source's own keys.
    """

    def __init__(self, arrays: Mapping[str, StoredArray]) -> None:
        self.arrays = arrays

    @abstractmethod
    def scopes(self) -> tuple[str, ...]:
        """Find the frontends that can be told by their structure."""

    @abstractmethod
    def names(self, scope: str) -> dict[str, str]:
        """Map each variable's canonical name (what is no frontend's: the source's own) to its key.

        Optimiser slots, counters and metrics are left out. Raises ValueError where there is no such scope.
        """

    @abstractmethod
    def hints(self, scope: str) -> dict[str, str]:
        """Collect what the source says of a frontend beside its variables.

        ``frontend``, ``conv1d_cls``, ``pooling_cls``: the original's classes.
        ``kernel``: ``keras`` where the filters' kernel is named as in Keras' own convolution, ``own`` where it is named
        as in the original's own layers.
        ``layout``: ``simplified`` for a state dict of ``leaf`` or ``efficientleaf``, ``names`` for arrays by the
        original's names; none for other files.
        ``port``: the repository of a public port's state dict, see :mod:`parity.adapters.layouts`.
        """

    def choose_scope(self, scope: str | None) -> str:
        """Return the given scope, or the only frontend's (the source itself where none can be told); refuse several."""
        if scope is not None:
            return scope.strip("/")
        found = self.scopes()
        if len(found) > 1:
            raise ValueError(f"scope=None: must be one of {list(found)}, where frontends are")
        return found[0] if found else ""

    def read(self, scope: str, most: int = MOST_VALUES) -> dict[str, Array]:
        """Read the arrays under a scope as they are stored, by the names that :meth:`names` gives.

        Raises:
            ValueError: they have more than ``most`` values together, and none is read; or one is torn, no number, NaN
                or infinite; or there is no such scope.
        """
        found = self.names(scope)
        total = sum(math.prod(self.arrays[key].shape) for key in found.values())
        if total > most:
            raise ValueError(f"the frontend at {scope!r} has {total} values, must have at most {most}")
        arrays = {name: self.arrays[key].read() for name, key in found.items()}
        for name, key in found.items():
            if arrays[name].dtype.kind == "f":
                require_finite(key, arrays[name])  # by the source's own name
        return arrays

    def no_such_scope(self, scope: str) -> ValueError:
        """Make the error for a scope that is not there."""
        found = list(self.scopes()) or "none that can be told"
        return ValueError(f"scope={scope!r}: there is no such scope; frontends are at {found}")


def joined(parts: Iterable[str]) -> str:
    """Join the parts of a scope or name, those that are empty left out."""
    return "/".join(part for part in parts if part)
