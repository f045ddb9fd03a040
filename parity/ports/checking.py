"""``leaf-ladder port check FILE``: every port that a file describes, without pytest."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

from parity.ports.certifying import diagnose
from parity.ports.diagnosis import Diagnosis
from parity.ports.port import Port


def described(file: Path, name: str | None = None) -> list[Port]:
    """Read the ports of a file, or the one that is named; what lies beside the file can be imported by it.

    Raises:
        ValueError: the file is no Python, imports what cannot be found, or describes no port or none of the name.
    """
    if (folder := str(file.resolve().parent)) not in sys.path:
        sys.path.insert(0, folder)
    spec = importlib.util.spec_from_file_location(file.stem, file)
    if spec is None or spec.loader is None:
        raise ValueError(f"file={str(file)!r}: must be a Python file")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except (SyntaxError, ImportError) as error:
        raise ValueError(f"file={str(file)!r}: must be Python that can be imported ({error})") from error
    found = [value for value in vars(module).values() if isinstance(value, Port)]
    if not found:
        raise ValueError(f"file={str(file)!r}: must describe a port: PORT = parity.Port(...)")
    names = [port.name for port in found]
    if name is not None and name not in names:
        raise ValueError(f"name={name!r}: {file} describes {names}, must be one of these")
    return [port for port in found if name in (None, port.name)]


def check(file: Path, examples: int, seed: int, name: str | None = None) -> list[Diagnosis]:
    """Diagnose each port of a file, or the one that is named.

    Raises:
        ValueError: as :func:`described`; or a description that the port does not bear out.
    """
    import torch

    torch.set_num_threads(1)  # clips are short: threads would wait for each other
    return [diagnose(port, examples, seed, str(file)) for port in described(file, name)]
