"""Opening files of weights by what they are called: none is unpickled, and none needs TensorFlow."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from parity.checkpoints.bundle import Bundle
from parity.checkpoints.contents import Array, Contents, Mapped, flat, plain
from parity.checkpoints.keras3 import Keras3
from parity.checkpoints.named import LegacyH5, Named
from parity.checkpoints.objects import GRAPH, Objects

KINDS = (
    "the prefix of a TensorFlow checkpoint, or a folder with one; a Keras .h5, .weights.h5 or .keras file; .npz; "
    ".safetensors; or a state dict, .pt or .pth"
)
PART = re.compile(r"(.+)\.(?:index|data-\d{5}-of-\d{5})")
EXTRA = "python -m pip install 'leaf-ladder[weights]'"


def open_file(path: Path) -> Contents:
    """Open a file of weights.

    Args:
        path: of a kind that :data:`KINDS` lists.

    Raises:
        ModuleNotFoundError: h5py or safetensors is needed and not installed.
        ValueError: there is no such file, it is torn or pickled, or of another kind; names the path.
    """
    reader = READERS.get(path.suffix)
    if path.with_name(path.name + ".index").is_file():
        return _checkpoint(path)
    if part := PART.fullmatch(path.name):
        raise ValueError(f"source={str(path)!r}: a part of a TensorFlow checkpoint; give the prefix {part[1]!r}")
    if reader is None and path.is_dir():
        return _folder(path)
    if reader is None:
        what = "must be" if path.exists() else "there is no such file; must be"
        raise ValueError(f"source={str(path)!r}: {what} {KINDS}")
    if not path.exists():
        raise ValueError(f"source={str(path)!r}: there is no such file")
    return reader(path)


def _checkpoint(prefix: Path) -> Contents:
    bundle = Bundle(prefix)
    if GRAPH not in bundle.entries:
        return Named(prefix, ((key, key) for key in bundle.entries), bundle.load)
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
        raise ValueError(f"source={str(path)!r}: must hold one checkpoint, holds {names or 'none'}; give its prefix")
    return _checkpoint(found[0])


def _npz(path: Path) -> Contents:
    try:
        with zipfile.ZipFile(path) as archive:
            # Each member is read whole first: that checks its CRC before its header is believed.
            members = {name.removesuffix(".npy"): io.BytesIO(archive.read(name)) for name in archive.namelist()}
        arrays = {name: np.lib.format.read_array(member, allow_pickle=False) for name, member in members.items()}
    except Exception as error:  # torn bytes make zipfile, zlib and the reader of headers fail in a dozen ways
        raise ValueError(
            f"source={str(path)!r}: must be an .npz file of plain arrays, none pickled or torn ({error})"
        ) from error
    return Mapped(path, arrays)


def _safetensors(path: Path) -> Contents:
    try:
        from safetensors import deserialize
    except ModuleNotFoundError as error:
        raise _needs("safetensors", path, error) from None
    try:
        read: Any = deserialize
        return Mapped(path, {name: _tensor(**held) for name, held in read(path.read_bytes())})
    except Exception as error:
        raise ValueError(f"source={str(path)!r}: must be a .safetensors file, not torn ({error})") from error


def _tensor(dtype: str, shape: list[int], data: bytes) -> Array:
    """A value of a ``.safetensors`` file; bfloat16 is the upper half of float32."""
    if dtype == "BF16":
        return (np.frombuffer(data, "<u2").astype("<u4") << 16).view("<f4").reshape(shape)
    kind = "?" if dtype == "BOOL" else f"<{dtype[0].lower()}{int(dtype[1:]) // 8}"
    return np.frombuffer(data, kind).reshape(shape)


def _state_dict(path: Path) -> Contents:
    import torch

    try:
        held = flat(torch.load(path, map_location="cpu", weights_only=True))
        # what else a training script keeps beside the tensors is left out
        arrays = {name: plain(value) for name, value in held if hasattr(value, "detach")}
    except Exception as error:  # a torn or foreign file makes unpickling fail in a dozen ways
        raise ValueError(f"source={str(path)!r}: must be a state dict of tensors alone ({error})") from error
    return Mapped(path, arrays)


def _h5(path: Path) -> Contents:
    data, called, version = _groups(path, path.read_bytes)
    if any("/vars/" in f"/{key}" for key in data) or any(key.endswith("vars") for key in called):
        return Keras3(path, data, called)
    return LegacyH5(path, data, version)


def _keras(path: Path) -> Contents:
    def weights() -> bytes:
        with zipfile.ZipFile(path) as archive:
            return archive.read("model.weights.h5")

    data, called, _ = _groups(path, weights)
    return Keras3(path, data, called)


def _groups(path: Path, read: Callable[[], bytes]) -> tuple[dict[str, Callable[[], Array]], dict[str, str], str]:
    """Every array of an HDF5 file by its path, the names that groups of Keras 3 carry, and Keras' version if said."""
    try:
        import h5py
    except ModuleNotFoundError as error:
        raise _needs("h5py", path, error) from None

    def value(dataset: Any) -> Callable[[], Array]:
        def get() -> Array:
            try:
                return np.asarray(dataset[()])
            except Exception as error:
                raise ValueError(f"source={str(path)!r}, {dataset.name!r}: cannot be read ({error})") from error

        return get

    arrays: dict[str, Callable[[], Array]] = {}
    called: dict[str, str] = {}

    def visit(name: str, item: Any) -> None:  # links out of the file are not followed
        if isinstance(item, h5py.Dataset):
            if item.external:
                raise ValueError(f"{name!r} lies in another file")
            arrays[name] = value(item)
        elif name.split("/")[-1] == "vars":
            called[name] = str(item.attrs.get("name", ""))

    try:
        file = h5py.File(io.BytesIO(read()), "r")
        version = str(file.attrs.get("keras_version", ""))
        file.visititems(visit)
    except Exception as error:
        raise ValueError(f"source={str(path)!r}: must be a file of Keras weights, not torn ({error})") from error
    return arrays, called, version


def _needs(package: str, path: Path, error: ModuleNotFoundError) -> ModuleNotFoundError:
    return ModuleNotFoundError(f"source={str(path)!r}: reading it needs {package}: {EXTRA}", name=error.name)


READERS: dict[str, Callable[[Path], Contents]] = {
    ".npz": _npz,
    ".safetensors": _safetensors,
    ".pt": _state_dict,
    ".pth": _state_dict,
    ".h5": _h5,
    ".hdf5": _h5,
    ".keras": _keras,
}
