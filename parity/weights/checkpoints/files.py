"""Opening files of weights by what they are called: none is unpickled, and none needs TensorFlow."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path

from parity.weights.checkpoints.archives import keras_weights, npz, state_dict
from parity.weights.checkpoints.bundle import Bundle
from parity.weights.checkpoints.contents import Contents
from parity.weights.checkpoints.guard import File
from parity.weights.checkpoints.hdf5 import groups
from parity.weights.checkpoints.keras3 import Keras3
from parity.weights.checkpoints.named import LegacyH5, Named
from parity.weights.checkpoints.objects import GRAPH, Objects
from parity.weights.checkpoints.tensors import safetensors

KINDS = (
    "the prefix of a TensorFlow checkpoint, or a folder with one; a Keras .h5, .weights.h5 or .keras file; .npz; "
    ".safetensors; or a state dict, .pt or .pth"
)
STATE = "checkpoint"  # TensorFlow's text file beside what CheckpointManager and Saver write
PART = re.compile(r"(.+)\.(?:index|data-\d{5}-of-\d{5})")


def open_file(path: Path) -> Contents:
    """Open a file of weights.

    Args:
        path: of a kind that :data:`KINDS` lists.

    Raises:
        ModuleNotFoundError: h5py or safetensors is needed and not installed.
        ValueError: there is no such file, it is torn or pickled, or of another kind; names the path.
    """
    where = f"source={str(path)!r}"
    try:
        indexed = bool(path.name) and path.with_name(path.name + ".index").is_file()
        folder, there = path.is_dir(), path.exists()
    except (OSError, ValueError) as error:  # a name that is too long, or has a byte that no name has
        raise ValueError(f"{where}: cannot be read ({error})") from None
    if indexed:
        return _checkpoint(path)
    if part := PART.fullmatch(path.name):
        raise ValueError(f"{where}: a part of a TensorFlow checkpoint; give the prefix {part[1]!r}")
    if reader := READERS.get(path.suffix):
        return reader(path)
    if folder:
        return _folder(path)
    if there and path.name == STATE:
        raise ValueError(f"{where}: lists checkpoints and holds none; give the prefix of one, or its folder")
    raise ValueError(f"{where}: {'must be' if there else 'there is no such file; must be'} {KINDS}")


def _checkpoint(prefix: Path) -> Contents:
    bundle = Bundle(prefix)
    if GRAPH not in bundle.entries:
        return Named(prefix, bundle.arrays(), ((key, key) for key in bundle.entries))
    objects = Objects(bundle)
    named = objects.by_name()
    # a model that was exported lists its variables without the layers that they belong to
    return named if not objects.scopes() and named.scopes() else objects


def _folder(path: Path) -> Contents:
    """The checkpoint of a SavedModel, or the only one in a folder."""
    saved = path / "variables" / "variables"
    if saved.with_name("variables.index").is_file():
        return _checkpoint(saved)
    found = sorted(index.with_suffix("") for index in path.glob("*.index"))
    if len(found) != 1:
        names = [prefix.name for prefix in found]
        raise ValueError(
            f"source={str(path)!r}: must hold one checkpoint, holds {names or 'none'}; give the prefix of one"
        )
    return _checkpoint(found[0])


def _h5(path: Path) -> Contents:
    arrays, layer_names, version = groups(path, File(path).open)
    if layer_names or any("/vars/" in f"/{key}" for key in arrays):
        return Keras3(path, arrays, layer_names)
    return LegacyH5(path, arrays, version)


def _keras(path: Path) -> Contents:
    data = keras_weights(path)
    arrays, layer_names, _ = groups(path, lambda: io.BytesIO(data))
    return Keras3(path, arrays, layer_names)


READERS: dict[str, Callable[[Path], Contents]] = {
    ".npz": npz,
    ".safetensors": safetensors,
    ".pt": state_dict,
    ".pth": state_dict,
    ".h5": _h5,
    ".hdf5": _h5,
    ".keras": _keras,
}
