"""The process in which damaged files are read: what they open, take and raise is watched, and printed as JSON."""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Any

import torch

import leaf
from parity import load, load_weights
from parity_tests.meta import checkpoint_files as files
from parity_tests.meta.damage import MEGABYTES, NAME, SECONDS, Original, cases, originals
from parity_tests.meta.weights import held, same_bits

ALLOWED = (ValueError, OSError, ModuleNotFoundError)
CODE = (".py", ".pyc", ".so")  # what an import, or a traceback, opens
EVENTS = ("open", "os.remove", "os.rename", "os.mkdir", "subprocess.Popen", "socket.connect")
opened: list[str] = []
watching = False


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
