"""Commands killed (signal 9) at any moment leave the old file or the new one, whole, and nothing that a run trusts.

``python -m parity_tests.meta.test_killed SEED MOMENTS`` is a process of its own, which forks: the child runs the
command and kills itself just before the n-th of its calls that touch files, n drawn; a quarter of the children is
killed by the clock instead. Then the files are judged and the command is run again, unharmed. It prints JSON: for each
command how many moments, how many were killed before the new file was in place and how many after, and what was wrong.
A dozen seeded moments a command; ``LEAF_LADDER_KILLS=200`` tries so many.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

import og_leaf
from fixtures import record, store
from fixtures.kinds import Kind
from parity import load
from parity.cli import app
from parity.weights import stored
from parity.weights.clip import SPEECH
from parity.weights.frontend_config import FrontendConfig
from parity.weights.outputs import PREFIX

CALLS = {"open", "fdopen", "write", "flush", "fsync", "close", "replace", "rename", "unlink", "mkdir", "rmdir", "stat",
         "lstat", "seek", "truncate", "writestr"}  # fmt: skip
WRITERS = (*(f"parity/weights/{name}" for name in ("outputs", "features", "stored")), "fixtures/", "pathlib", "shutil",
           "numpy/lib")  # fmt: skip
Files = dict[str, bytes]
MOMENTS = int(os.environ.get("LEAF_LADDER_KILLS", "12"))
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="a process that is killed is forked")


@pytest.fixture(scope="module")
def found():
    command = [sys.executable, "-m", "parity_tests.meta.test_killed", "0", str(MOMENTS)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("command", ["Features", "Convert", "Recorder"])
def test_old_or_new_and_whole(found, command, ledger):
    row = found[command]
    counts = {name: row[name] for name in ("moments", "killed", "old", "new")}
    ledger.note("killed", command=command.lower(), **counts)
    assert row["wrong"] == []
    assert row["killed"] > 0
    assert row["old"] + row["new"] == row["moments"] == MOMENTS


class Features:
    """``leaf-ladder features --force`` over an array that is there."""

    def prepare(self, folder: Path) -> None:
        soundfile.write(folder / "in.wav", np.random.default_rng(0).uniform(-0.5, 0.5, 3000), 16000)
        np.save(folder / "out.npy", np.ones(3))

    def run(self, folder: Path) -> None:
        command("features", folder / "in.wav", folder / "out.npy", "--n-filters", 1, "--force")

    def content(self, folder: Path) -> Any:
        """Read the file in place; raises if it is torn."""
        return np.load(folder / "out.npy").tobytes()


class Convert:
    """``leaf-ladder convert`` over an earlier output of its own."""

    def prepare(self, folder: Path) -> None:
        config = FrontendConfig(n_filters=1, window_len=2.0)
        for seed, name in enumerate(("old", "new")):
            torch.manual_seed(seed)
            module = og_leaf.Leaf(n_filters=1, window_len=2.0)
            with torch.no_grad():
                module._pooling.kernel.fill_(0.3 + 0.1 * seed)
            torch.save(module.state_dict(), folder / f"{name}.pt")
            if name == "old":
                about = stored.Description("og_leaf", "float32", config, {})
                written = stored.outputs(folder / "w.safetensors", {})
                stored.write(written, stored.encode(module, about), about)
        (folder / "in.wav").write_bytes(SPEECH.read_bytes()[: 44 + 2000])

    def run(self, folder: Path) -> None:
        target, clip = folder / "w.safetensors", folder / "in.wav"
        command("convert", folder / "new.pt", target, "--config", "window_len=2", "--to", "leaf", "--clip", clip)

    def content(self, folder: Path) -> Any:
        """Read the file in place; raises if it is torn."""
        module = load(folder / "w.safetensors")
        json.loads((folder / "w.json").read_text())
        return type(module).__module__, [tensor.tolist() for tensor in module.state_dict().values()]


class Recorder:
    """``python -m fixtures.record --replace`` over an earlier recording."""

    names = ("one", "two")

    def prepare(self, folder: Path) -> None:
        self._run(folder, 0.0)

    def run(self, folder: Path) -> None:
        self._run(folder, 1.0)

    def _run(self, folder: Path, value: float) -> None:
        class Source:
            def __init__(self, name: str) -> None:
                self.name = name

            def describe(self) -> dict[str, str]:
                return {"label": self.name}

        def recorded(source: Any, name: str) -> Any:
            return {"case": name}, {"output": np.full((2, 3), value)}, ""

        record.Source = Source
        record.KINDS = {"frontends": Kind("frontends", folder / "none" / "goldens", self.names, recorded)}
        record.main(["--source", "tf_leaf", "--kind", "frontends", "--replace", "--out", str(folder)])

    def content(self, folder: Path) -> Any:
        """Read the file in place; raises if it is torn."""
        place = folder / "goldens"
        if {path.name for path in place.iterdir()} != {store.MANIFEST, *(f"{name}.npz" for name in self.names)}:
            raise ValueError(f"files {sorted(path.name for path in place.iterdir())}")
        return [store.read(name, place)[1]["output"].tolist() for name in self.names]


def command(*arguments: Any) -> None:
    """The command, in this process.

    Raises:
        RuntimeError: it did not end with 0.
    """
    try:
        app([str(argument) for argument in arguments], prog_name="leaf-ladder")
    except SystemExit as done:
        if done.code:
            raise RuntimeError(f"{arguments}: exit status {done.code}") from done


def forked(run: Callable[[], None], *, at: int = 0, after: float = 0.0) -> tuple[bool, int]:
    """Run in a child that dies before its n-th call that touches files, or after so many seconds.

    Returns whether it was killed, and how many such calls it made where it was not.
    """
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        count = 0

        def watch(frame: Any, event: str, function: Any) -> None:
            nonlocal count
            if event == "c_call" and function.__name__ in CALLS and any(w in frame.f_code.co_filename for w in WRITERS):
                count += 1
                if count == at:
                    os.kill(os.getpid(), signal.SIGKILL)

        status = 1
        try:
            with open(os.devnull, "w") as nowhere:
                os.dup2(nowhere.fileno(), 1)
                sys.setprofile(watch)
                run()
                sys.setprofile(None)
            status = 0
        finally:
            os.write(writing, str(count).encode())
            os._exit(status)
    os.close(writing)
    if after:
        time.sleep(after)
        os.kill(pid, signal.SIGKILL)
    _, ended = os.waitpid(pid, 0)
    with os.fdopen(reading) as pipe:
        counted = pipe.read()
    if os.WIFSIGNALED(ended):
        return True, 0
    if os.WEXITSTATUS(ended):
        raise RuntimeError(f"the command failed by itself (wait status {ended})")
    return False, int(counted)


def files_in(folder: Path) -> Files:
    """Path and content of every file."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def examine(subject: Any, moments: int, rng: np.random.Generator, top: Path) -> dict[str, Any]:
    """Kill a command at so many moments; see the module."""
    start = top / "start"
    start.mkdir()
    subject.prepare(start)
    before, old = files_in(start), subject.content(start)
    subject.run(shutil.copytree(start, top / "warm"))  # here, so that no child spends its calls on imports
    whole = shutil.copytree(start, top / "whole")
    began = time.monotonic()
    _, n_calls = forked(lambda: subject.run(whole))
    lasted, new = time.monotonic() - began, subject.content(whole)
    if old == new or not n_calls:
        raise RuntimeError(f"{type(subject).__name__}: old and new are the same, or no call was counted")
    found = Counter({"killed": 0, "old": 0, "new": 0})
    wrong: list[str] = []
    for moment in range(moments):
        folder = shutil.copytree(start, top / "at")
        by_clock = moment % 4 == 3
        when = {"after": float(rng.uniform(0, lasted))} if by_clock else {"at": int(rng.integers(1, n_calls + 1))}
        killed, _ = forked(lambda folder=folder: subject.run(folder), **when)  # type: ignore[misc]
        try:
            held = subject.content(folder)
            found["killed" if killed else "ended before"] += 1
            found["old" if held == old else "new" if held == new else "neither"] += 1
            after = files_in(folder)
            changed = [name for name in after if not name.startswith(PREFIX) and after[name] != before.get(name)]
            left = {name: data for name, data in after.items() if name.startswith(PREFIX)}
            found["with a left-over"] += bool(left)
            if held not in (old, new) or (held == old and changed and changed != ["w.json"]):
                raise ValueError(f"neither the old nor the new: {changed}")
            forked(lambda folder=folder: subject.run(folder))  # type: ignore[misc]
            again = files_in(folder)
            if subject.content(folder) != new or any(again.get(name) != data for name, data in left.items()):
                raise ValueError("the next run is another, or took up what was left")
        except (EOFError, OSError, ValueError, RuntimeError) as error:
            wrong.append(f"{when}: {error}")
        shutil.rmtree(folder)
    return {"moments": moments, "calls": n_calls, **found, "wrong": wrong}


def main(seed: int, moments: int) -> dict[str, Any]:
    """Every command at so many moments."""
    torch.set_num_threads(1)
    rng, out = np.random.default_rng(seed), {}
    for subject in (Features(), Convert(), Recorder()):
        with tempfile.TemporaryDirectory() as top, contextlib.redirect_stdout(sys.stderr):
            out[type(subject).__name__] = examine(subject, moments, rng, Path(top))
    return out


if __name__ == "__main__":
    print(json.dumps(main(*map(int, sys.argv[1:]))))
