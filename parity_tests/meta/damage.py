"""Damaged files of weights, drawn from a seed, and what reading each comes to.

``python -m parity_tests.meta.damage N_FILES SEED BEGIN FOLDER`` reads them in a process of its own: what they open,
take and raise is watched, and printed as JSON.
"""

from __future__ import annotations

import io
import json
import os
import re
import resource
import signal
import struct
import sys
import time
import warnings
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import torch

import leaf
from parity import load, load_weights
from parity.weights import stored
from parity_tests.meta import checkpoint_files as files
from parity_tests.meta.weights import held, same_bits

NAME = "leaf_everything"
CHECKED = {".pt", "leaf .pt", ".npz", "packed .npz", ".keras", "by objects", "by names", "converted"}
SECONDS, MEGABYTES = 10, 500
Files = dict[str, bytes]
ALLOWED = (ValueError, OSError, ModuleNotFoundError)
CODE = (".py", ".pyc", ".so")  # what an import, or a traceback, opens
EVENTS = ("open", "os.remove", "os.rename", "os.mkdir", "subprocess.Popen", "socket.connect")
opened: list[str] = []
watching = False


@dataclass(frozen=True)
class Original:
    """A whole file of weights, or the files that belong together.

    Attributes:
        kind: its format; those of :data:`CHECKED` have a checksum.
        path: what is given to be read.
        files: their bytes by name.
    """

    kind: str
    path: str
    files: Files


def originals(folder: Path) -> list[Original]:
    """One of each format, with the same weights; made once."""
    from safetensors.torch import save_file

    recorded = files.FOLDER / NAME
    module = files.torch_frontend(NAME)
    load_weights(module, recorded / "model")
    state = {name: tensor.contiguous() for name, tensor in module.state_dict().items()}
    torch.save({"model": state, "epoch": 3}, folder / "w.pt")
    torch.save(leaf.Leaf(4, compression=leaf.PCEN(4, learn_logs=False)).state_dict(), folder / "l.pt")
    save_file(state, folder / "w.safetensors")
    np.savez(folder / "w.npz", **{name: tensor.numpy() for name, tensor in state.items()})
    np.savez_compressed(folder / "p.npz", **files.variables(NAME))
    with zipfile.ZipFile(folder / "w.keras", "w") as archive:
        archive.writestr("metadata.json", "{}")
        archive.write(recorded / "model.weights.h5", "model.weights.h5")
    about = stored.Description("og_leaf", "float32", files.config(NAME), {})
    (folder / "c.safetensors").write_bytes(stored.encode(module, about))
    made = {".pt": "w.pt", "leaf .pt": "l.pt", ".safetensors": "w.safetensors", ".npz": "w.npz",
            "packed .npz": "p.npz", ".keras": "w.keras"}  # fmt: skip
    found = [Original(kind, name, {name: (folder / name).read_bytes()}) for kind, name in made.items()]
    found += [Original(f".{name.split('.', 1)[1]}", name, {name: (recorded / name).read_bytes()})
              for name in ("model.h5", "model.weights.h5")]  # fmt: skip
    for kind, prefix in (("by objects", "model"), ("by names", "named")):
        found.append(Original(kind, prefix, {p.name: p.read_bytes() for p in recorded.glob(f"{prefix}.[id]*")}))
    converted = {"c.safetensors": (folder / "c.safetensors").read_bytes()}
    return [*found, Original("converted", "c.safetensors", converted)]


# what befalls the bytes of a file


def flipped(data: bytearray, rng: np.random.Generator) -> None:
    for at in rng.integers(0, len(data), rng.integers(1, 4)):
        data[at] ^= 1 << int(rng.integers(8))


def cut(data: bytearray, rng: np.random.Generator) -> None:
    del data[int(rng.integers(len(data))) :]


def zeroed(data: bytearray, rng: np.random.Generator) -> None:
    begin, size = int(rng.integers(len(data))), int(rng.integers(1, 600))
    data[begin : begin + size] = bytes(len(data[begin : begin + size]))


def swapped(data: bytearray, rng: np.random.Generator) -> None:
    size = min(1 << int(rng.integers(2, 10)), len(data) // 2)
    first, second = sorted(int(n) for n in rng.integers(0, len(data) - size + 1, 2))
    data[first : first + size], data[second : second + size] = data[second : second + size], data[first : first + size]


def appended(data: bytearray, rng: np.random.Generator) -> None:
    data += rng.bytes(int(rng.integers(1, 200)))


def doubled(data: bytearray, rng: np.random.Generator) -> None:
    begin, size = int(rng.integers(len(data))), int(rng.integers(1, 600))
    data[begin:begin] = data[begin : begin + size]


def number(data: bytearray, rng: np.random.Generator) -> None:
    """A length, an offset or a size of the head becomes another: zero, one more, or very many."""
    width = int(rng.choice([1, 2, 4, 8]))
    at = int(rng.integers(max(1, min(len(data), 4096) - width)))
    if rng.integers(2):  # of the tail, where archives and tables have their directories
        at = max(0, len(data) - width - at)
    old = int.from_bytes(data[at : at + width], "little")
    new = int(rng.choice([0, old + 1, old * 2 + 1, (1 << 8 * width - 1) - 1]))
    data[at : at + width] = (new % (1 << 8 * width)).to_bytes(width, "little")


def worded(data: bytearray, rng: np.random.Generator) -> None:
    """A word, a name, a type or a shape as text, becomes another of the same length."""
    words = list(re.finditer(rb"[A-Za-z_<][A-Za-z0-9_]{2,}|\d+", bytes(data)))
    if words:
        found = words[int(rng.integers(len(words)))]
        other = words[int(rng.integers(len(words)))][0] if rng.integers(2) else b"9" * len(found[0])
        data[found.start() : found.end()] = other[: len(found[0])].ljust(len(found[0]), b"0")


BYTES = (flipped, flipped, cut, zeroed, swapped, appended, doubled, number, number, worded)


# what befalls what a file says, its checksums being right


def resaved(data: bytes, change: Callable[[str, bytes], list[tuple[str, bytes]]]) -> bytes:
    """A zip archive with its members changed."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as source, zipfile.ZipFile(out, "w") as target:
        for member in source.infolist():
            for name, content in change(member.filename, source.read(member)):
                target.writestr(zipfile.ZipInfo(name), content, member.compress_type)
    return out.getvalue()


def members(data: bytes, rng: np.random.Generator) -> bytes:
    """A member of an archive is renamed, doubled, left out, or says another shape or type."""
    with zipfile.ZipFile(io.BytesIO(data)) as source:
        names = source.namelist()
    chosen, how = names[int(rng.integers(len(names)))], int(rng.integers(4))

    def change(name: str, content: bytes) -> list[tuple[str, bytes]]:
        if name != chosen:
            return [(name, content)]
        other = bytearray(content)
        number(other, rng)
        new = [[(name + "_", content)], [(name, content)] * 2, [], [(name, bytes(other))]]
        return new[how]

    return resaved(data, change)


def headed(data: bytes, rng: np.random.Generator) -> bytes:
    """A ``.safetensors`` header is another: a name, a type, a shape or where the values lie."""
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + size])
    names = [name for name in header if name != "__metadata__"]
    name = names[int(rng.integers(len(names)))]
    about = header[name]
    how = int(rng.integers(5))
    if how == 0:
        header[f"{name}_"] = header.pop(name)
    elif how == 1:
        about["dtype"] = str(rng.choice(["F64", "C64", "BOOL", "F8_E4M3", "F16"]))
    elif how == 2:
        about["shape"] = [*about["shape"], int(rng.choice([0, 2, 1 << 40]))]
    elif how == 3:
        about["data_offsets"] = [int(n) for n in rng.integers(0, 2 * len(data), 2)]
    else:
        header[f"{name}_"] = about
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data[8 + size :]


def grouped(data: bytes, rng: np.random.Generator) -> bytes:
    """A dataset of an HDF5 file is renamed, left out, unwritten, misshapen, a link, packed, or of another type."""
    import h5py

    out = io.BytesIO(data)
    with h5py.File(out, "r+") as file:
        names: list[str] = []
        file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
        name = names[int(rng.integers(len(names)))]
        values, how = file[name][()], int(rng.integers(7))
        del file[name]
        if how == 0:
            file[f"{name}_"] = values
        elif how == 2:
            file.create_dataset(name, values.shape, values.dtype)
        elif how == 3:
            file[name] = np.concatenate([np.ravel(values)] * 2)
        elif how == 4:
            file[name] = h5py.ExternalLink("other.h5", "x") if rng.integers(2) else h5py.SoftLink("/nowhere")
        elif how == 5:
            file.create_dataset(name, data=np.zeros(1 << 20, "f4"), chunks=(1 << 20,), compression=9)
        elif how == 6:
            file[name] = values.astype("c8")
    return out.getvalue()


def damaged(original: Original, rng: np.random.Generator) -> tuple[Files, bool]:
    """Its files, one of them damaged, and whether checksums still tell so."""
    names = sorted(original.files)
    name = names[int(rng.integers(len(names)))]
    data, out = original.files[name], dict(original.files)
    if rng.integers(4) == 0 and original.kind not in ("by objects", "by names", "converted"):
        edit = {".safetensors": headed, ".h5": grouped, ".weights.h5": grouped}.get(original.kind, members)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of zipfile, on a name that comes twice
            out[name] = edit(data, rng)
        return out, False
    changed = bytearray(data)
    BYTES[int(rng.integers(len(BYTES)))](changed, rng)
    out[name] = bytes(changed)
    return out, original.kind in CHECKED


def cases(made: list[Original], n_files: int, seed: int) -> Iterator[tuple[int, Original, Files, bool]]:
    """So many damaged files, as many of each format; a number draws the same file whatever comes before it."""
    for i in range(n_files):
        original = made[i % len(made)]
        yield i, original, *damaged(original, np.random.default_rng([seed, i]))


# the process in which they are read


def watch(event: str, arguments: tuple[Any, ...]) -> None:
    """Keep what is opened outside of the folder, or to be written."""
    if not watching or event not in EVENTS:
        return
    path = os.fsdecode(arguments[0]) if isinstance(arguments[0], (str, bytes, os.PathLike)) else str(arguments[0])
    inside = event == "open" and path.startswith(f"{folder}/") and not (arguments[2] or 0) & (os.O_WRONLY | os.O_RDWR)
    if not inside and not path.endswith(CODE):
        opened.append(f"{event} {path}")


def say(**row: Any) -> None:
    """A line for the process that started this one."""
    print(json.dumps(row), flush=True)


class TooLong(BaseException):
    """The time of a file is over."""


def ring(signum: int, frame: FrameType | None) -> None:
    raise TooLong


def fresh(kind: str) -> Any:
    """A module for a format."""
    if kind == "leaf .pt":
        return leaf.Leaf(4, compression=leaf.PCEN(4, learn_logs=False))
    return files.torch_frontend(NAME)


def read(original: Original, where: Path, module: Any) -> Any:
    """The module that a file was read into."""
    if original.kind == "converted":
        return load(where)
    load_weights(module, where)
    return module


def main(n_files: int, seed: int, begin: int) -> None:
    """Read the damaged files from one on."""
    global watching
    made_in = folder.parent / "originals"
    made_in.mkdir(parents=True, exist_ok=True)
    made = originals(made_in)
    blank, module, whole = {}, {}, {}
    for original in made:  # whatever is imported, is imported here
        for name, data in original.files.items():
            (folder / name).write_bytes(data)
        module[original.kind] = fresh(original.kind)
        blank[original.kind] = {name: torch.zeros_like(t) for name, t in module[original.kind].state_dict().items()}
        whole[original.kind] = held(read(original, folder / original.path, fresh(original.kind)))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    signal.signal(signal.SIGALRM, ring)
    for i, original, changed, told in cases(made, n_files, seed):
        if i < begin:
            continue
        say(begins=i)
        for name, data in changed.items():
            (folder / name).write_bytes(data)
        kind = original.kind
        module[kind].load_state_dict(blank[kind])
        what = f"file {i} of seed {seed} ({kind})"
        opened.clear()
        started = time.monotonic()
        signal.alarm(SECONDS)
        watching, end = True, ""
        try:
            found = held(read(original, folder / original.path, module[kind]))
            end = "unchanged" if same_bits(found, whole[kind]) else "changed"
        except ALLOWED as error:
            end = "refused"
            if original.path.split(".")[0] not in str(error):
                say(violation=f"{what}: the refusal does not name the file: {error}")
            if not same_bits(held(module[kind]), {n: t.numpy() for n, t in blank[kind].items()}):
                say(violation=f"{what}: refused, and the module is changed")
        except BaseException as error:
            say(violation=f"{what}: {type(error).__name__}: {error}")
        finally:
            signal.alarm(0)
            watching = False
        if time.monotonic() - started > SECONDS:
            say(violation=f"{what}: took over {SECONDS} s")
        if end == "changed" and told:
            say(violation=f"{what}: loaded other numbers")
        for path in opened:
            say(violation=f"{what}: {path}")
        taken = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10
        if taken > MEGABYTES:
            say(violation=f"{what}: took {taken} MB")
            before += taken << 10
        if end:
            say(kind=kind, end=end)


if __name__ == "__main__":
    folder = Path(sys.argv[4]) / "damaged"
    folder.mkdir(parents=True, exist_ok=True)
    sys.addaudithook(watch)
    main(*map(int, sys.argv[1:4]))
