"""``load_weights``: a module's parameters from the original's variables, from a file of them, or from another rung."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from parity.bridges.names import checked
from parity.rungs import rung_of


def load_weights(module: Any, source: Mapping[str, Any] | str | os.PathLike[str] | Any) -> None:
    """Set the parameters of a frontend; nothing is changed unless all of them can be.

    Args:
        module: a ``tf_leaf.Leaf``, ``og_leaf.Leaf``, ``leaf.Leaf`` or ``efficientleaf.EfficientLeaf`` (the last two
            with PCEN).
        source: a mapping of the original's variable names (``kernel:0``, ``leaf/PCEN/alpha:0``, ...; the prefix and
            ``:0`` are optional) to real arrays; the path of an ``.npz`` file of such a mapping; or another rung's
            module, whose configuration must hold the same variables.

    Raises:
        TypeError: the module belongs to no rung, or a value is complex or no array of numbers.
        ValueError: a variable is missing, not expected, misshapen, NaN or infinite; or the rung cannot hold its value
            (the message names the variable, the value and what is allowed); or the file cannot be read without
            unpickling.
    """
    bridge = rung_of(module).load_bridge()
    if isinstance(source, (str, os.PathLike)):
        source = _read_npz(Path(source))
    if not isinstance(source, Mapping):
        source = rung_of(source).load_bridge().read(source)
    bridge.write(module, checked(source, bridge.config(module)))


def _read_npz(path: Path) -> dict[str, np.ndarray]:
    if path.suffix != ".npz":
        raise ValueError(f"source={str(path)!r}: must be an .npz file of arrays by the original's variable names")
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except FileNotFoundError:
        raise ValueError(f"source={str(path)!r}: there is no such file") from None
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"source={str(path)!r}: must be an .npz file of plain arrays, none pickled or torn ({error})"
        ) from error
