"""Files that commands read and write: judged before any work, made beside, and moved into place when they are whole.

The standard library alone: it runs before anything heavy is imported, and the recorder has NumPy and no more.
"""

from __future__ import annotations

import glob
import os
import secrets
import signal
import stat
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import BinaryIO

PREFIX = ".leaf-ladder-"  # of what is being made; the rest of its name is random, and no run looks for it
LIBRARIES = {".h5": "h5py", ".hdf5": "h5py", ".keras": "h5py", ".safetensors": "safetensors"}  # of files of weights
PACKAGES = {"keras": "tensorflow"}  # where the package that brings a module is called otherwise
ENDING = ("SIGTERM", "SIGHUP")  # SIGINT is an exception by itself


def require_file(name: str, path: Path) -> None:
    """Refuse to read what is no file with content: a folder, a pipe that would never end, a device, nothing.

    Raises:
        ValueError: names the argument, its value and what is wrong.
    """
    found, shown = _found(name, path), f"{name}={str(path)!r}"
    if found is None:
        raise ValueError(f"{shown}: there is no such file")
    if not stat.S_ISREG(found.st_mode):
        raise ValueError(f"{shown}: must be a file, is a {_kind(found)}")
    if not found.st_size:
        raise ValueError(f"{shown}: must have content, is empty")
    if not os.access(path, os.R_OK):
        raise ValueError(f"{shown}: must be a file that may be read; there is no permission")


def require_weights(name: str, path: Path) -> None:
    """Refuse to read weights that are not there, or for whose file a library is missing.

    ``path`` is a file, the prefix of a TensorFlow checkpoint, or a folder that holds one.

    Raises:
        ModuleNotFoundError: the library is not installed.
        ValueError: names the argument, its value and what is wrong.
    """
    found = _found(name, path)
    if found is None:  # with the suffix, a name may be too long
        indexed = _found(name, path.with_name(path.name + ".index"))
        if indexed and stat.S_ISREG(indexed.st_mode):
            return
    elif stat.S_ISDIR(found.st_mode):
        return
    require_file(name, path)
    if library := LIBRARIES.get(path.suffix):
        require_library(library, f"{name}={str(path)!r}")


def shown(value: object) -> str:
    """Show a value in a message as it shows itself, or by the name of its type where it cannot."""
    try:
        return repr(value)
    except Exception:
        return type(value).__name__


def missing(what: str, *libraries: str) -> ModuleNotFoundError:
    """Make the one hint at what to install for ``what``: libraries, never an extra of a package that is on no index."""
    packages = " ".join(dict.fromkeys(PACKAGES.get(library, library) for library in libraries))
    return ModuleNotFoundError(
        f"{what} needs {' and '.join(libraries)}: python -m pip install {packages}", name=libraries[0]
    )


def require_library(library: str, what: str) -> None:
    """Refuse with :func:`missing` what needs a library that is not installed; nothing is imported."""
    if find_spec(library) is None:
        raise missing(what, library)


def require_checkout(name: str, root: Path) -> None:
    """Refuse with a ValueError to keep records beside an installed package, where there is no clone."""
    project = root / "pyproject.toml"
    if not project.is_file() or 'name = "leaf-ladder"' not in project.read_text("utf-8", errors="replace"):
        raise ValueError(f"{name}: needs a clone of the repository, whose benchmarks/results keep it; {root} is none")


@dataclass(frozen=True)
class Output:
    """A file that a command is going to write.

    Attributes:
        name: of the argument, for messages.
        path: where; a symbolic link stays one, and what it leads to is written.
        inputs: what the command reads, by argument. None of it is ever written over.
        ours: whether a file that is there is an earlier output of the same command, and so may be replaced.
        force: whether any file may be.
    """

    name: str
    path: Path
    inputs: Mapping[str, Path] = field(default_factory=dict)
    ours: Callable[[Path], bool] = lambda path: False
    force: bool = False

    def check(self) -> None:
        """Refuse before any work what could not, or must not, be written.

        Raises:
            ValueError: it is an input, whatever its name; or something is there that is not ours; or the folder is
                missing or cannot be written to. Names the argument, its value and what is allowed.
        """
        self._check_what_is_there()
        folder = self._real.parent
        if not folder.is_dir():
            raise ValueError(f"{self._shown}: there is no such folder")
        try:
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as error:
            raise self._refusal(error) from error

    def write(self, data: bytes) -> None:
        """Write it, whole or not at all; raises as :meth:`replacing`."""
        with self.replacing() as file:
            file.write(data)

    @contextmanager
    def replacing(self) -> Iterator[BinaryIO]:
        """Open a file beside; it takes its place when it is whole, and leaves nothing when it is not.

        Raises:
            ValueError: the disk is full, or the file cannot be written for another reason; or something that must not
                be replaced has appeared in its place.
        """
        beside = self._real.with_name(PREFIX + secrets.token_hex(8))
        with signals_as_errors():
            try:
                with open(beside, "xb") as file:
                    yield file
                    file.flush()
                    os.fsync(file.fileno())
                self._check_what_is_there()
                os.replace(beside, self._real)
            except OSError as error:
                raise self._refusal(error) from error
            finally:
                beside.unlink(missing_ok=True)

    def _check_what_is_there(self) -> None:
        for name, path in self.inputs.items():
            if any(same_file(self.path, read) for read in _files_of(path)):
                raise ValueError(f"{self._shown}: is the file of {name}={str(path)!r}, which is read; name another")
        found = _found(self.name, self.path)
        if found is None:
            return
        if not stat.S_ISREG(found.st_mode):
            raise ValueError(f"{self._shown}: must be a file, or nothing yet; is a {_kind(found)}")
        if not self.force and not self.ours(self.path):
            raise ValueError(
                f"{self._shown}: a file is there, and nothing says that this command wrote it; name another, or "
                "replace it with --force"
            )

    @property
    def _real(self) -> Path:
        return Path(os.path.realpath(self.path))

    @property
    def _shown(self) -> str:
        return f"{self.name}={str(self.path)!r}"

    def _refusal(self, error: OSError) -> ValueError:
        return ValueError(f"{self._shown}: cannot be written ({error.strerror or error})")


def check_all(*outputs: Output) -> None:
    """Check outputs of one command, each by itself (see :meth:`Output.check`), and that no two are one file."""
    for number, output in enumerate(outputs):
        for other in outputs[:number]:
            if same_file(output.path, other.path):
                raise ValueError(f"{output.name}={str(output.path)!r}: is the file of {other.name}; name another")
        output.check()


def replace_file(path: Path, data: bytes) -> None:
    """Write a file that is ours, so that a reader never sees half of it; what is there is replaced."""
    Output("path", path, force=True).write(data)


def same_file(one: Path, other: Path) -> bool:
    """Tell whether two paths are one file: by name, by way of links, or as two names of it."""
    try:
        return os.path.realpath(one) == os.path.realpath(other) or os.path.samefile(one, other)
    except (OSError, ValueError):
        return False


@contextmanager
def signals_as_errors() -> Iterator[None]:
    """Let a signal that ends the process raise SystemExit, so that what is unfinished is cleaned up.

    Where the program has its own handler, or in another thread than the main one, nothing is changed.
    """

    def end(number: int, frame: object) -> None:
        signal.signal(number, signal.SIG_IGN)  # once is enough
        raise SystemExit(128 + number)

    numbers = [getattr(signal, name) for name in ENDING if hasattr(signal, name)]
    if threading.current_thread() is not threading.main_thread():
        numbers = []
    taken = [number for number in numbers if signal.getsignal(number) is signal.SIG_DFL]
    for number in taken:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, signal.SIG_DFL)


def _files_of(path: Path) -> Iterator[Path]:
    """List what is read under a path: itself, and the parts of a TensorFlow checkpoint of that prefix or folder."""
    yield path
    parts = ("index", "data-*")
    yield from (found for part in parts for found in path.parent.glob(f"{glob.escape(path.name)}.{part}"))
    yield from (found for part in parts for where in ("", "variables/") for found in path.glob(f"{where}*.{part}"))


def _found(name: str, path: Path) -> os.stat_result | None:
    """Look at what is there, links followed; None if nothing is; refuses what is no path: too long, a loop of links."""
    try:
        return os.stat(path)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise ValueError(
            f"{name}={str(path)!r}: must be a path ({getattr(error, 'strerror', None) or error})"
        ) from error


def _kind(found: os.stat_result) -> str:
    if stat.S_ISDIR(found.st_mode):
        return "folder"
    return "pipe" if stat.S_ISFIFO(found.st_mode) else "device or socket"
