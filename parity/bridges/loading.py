"""``load_weights``: a module's parameters from the original's variables, from a file of them, or from another rung."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from parity.bridges.checks import same_function
from parity.bridges.names import checked
from parity.rungs import rung_of


def load_weights(module: Any, source: Mapping[str, Any] | str | os.PathLike[str] | Any) -> None:
    """Set the parameters of a frontend; nothing is changed unless all of them can be.

    Args:
        module: a ``tf_leaf.Leaf``, ``og_leaf.Leaf``, ``leaf.Leaf`` or ``efficientleaf.EfficientLeaf`` (the last two
            with PCEN).
        source: a mapping of the original's variable names (``kernel:0``, ``leaf/PCEN/alpha:0``, ...; the prefix and
            ``:0`` are optional) to real arrays; the path of an ``.npz`` file of such a mapping; or another rung's
            module, whose configuration must hold the same variables. Values that their source limits in its forward
            pass, and the module does not, are carried as the limit.

    Raises:
        TypeError: the module belongs to no rung, or a value is complex or no array of numbers.
        ValueError: a variable is missing, not expected, misshapen, NaN or infinite; or the rung cannot hold its value
            (the message names the variable, the value and what is allowed); or the file cannot be read without
            unpickling.
    """
    bridge = rung_of(module).load_bridge()
    origin = "original"
    if isinstance(source, (str, os.PathLike)):
        source = _read_npz(Path(source))
    if not isinstance(source, Mapping):
        rung = rung_of(source)
        origin, source = rung.name, rung.load_bridge().read(source)
    variables = checked(source, bridge.config(module))
    bridge.write(module, same_function(origin, bridge.rung, variables))


def _read_npz(path: Path) -> dict[str, np.ndarray]:
    if path.suffix != ".npz":
        raise ValueError(f"source={str(path)!r}: must be an .npz file of arrays by the original's variable names")
    try:
        with zipfile.ZipFile(path) as archive:
            # Each member is read whole first: that checks its CRC before its header is believed.
            members = {name.removesuffix(".npy"): io.BytesIO(archive.read(name)) for name in archive.namelist()}
        return {name: np.lib.format.read_array(member, allow_pickle=False) for name, member in members.items()}
    except FileNotFoundError:
        raise ValueError(f"source={str(path)!r}: there is no such file") from None
    except Exception as error:  # torn bytes make zipfile, zlib and the reader of headers fail in a dozen ways
        raise ValueError(
            f"source={str(path)!r}: must be an .npz file of plain arrays, none pickled or torn ({error})"
        ) from error
