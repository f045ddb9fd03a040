"""``leaf-ladder port check FILE``: every port that a file describes, without pytest."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

from parity.ports.certifying import diagnose
from parity.ports.diagnosis import Diagnosis
from parity.ports.port import Port


def described(file: Path) -> list[Port]:
    """The ports of a file; what lies beside the file can be imported by it.

    Raises:
        ValueError: the file describes no port.
    """
    if (folder := str(file.resolve().parent)) not in sys.path:
        sys.path.insert(0, folder)
    spec = importlib.util.spec_from_file_location(file.stem, file)
    if spec is None or spec.loader is None:
        raise ValueError(f"file={str(file)!r}: must be a Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found = [value for value in vars(module).values() if isinstance(value, Port)]
    if not found:
        raise ValueError(f"file={str(file)!r}: must describe a port: PORT = parity.Port(...)")
    return found


def check(file: Path, examples: int, seed: int, name: str | None = None) -> list[Diagnosis]:
    """The diagnosis of each port of a file, or of the one that is named.

    Raises:
        ValueError: no such port; a description that the port does not bear out.
    """
    import torch

    torch.set_num_threads(1)  # clips are short: threads would wait for each other
    ports = described(file)
    if name is not None and name not in [port.name for port in ports]:
        raise ValueError(f"name={name!r}: {file} describes {[port.name for port in ports]}")
    return [diagnose(port, examples, seed, str(file)) for port in ports if name in (None, port.name)]
