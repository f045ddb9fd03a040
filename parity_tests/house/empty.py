"""The wheel, and an environment that holds it and what it requires, and nothing else."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import venv
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import Distribution, distribution
from pathlib import Path
from types import ModuleType

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]


def module(path: Path) -> ModuleType:
    """A file of Python that belongs to no package."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def build_wheel(folder: Path) -> Path:
    """Build the wheel from a copy of the source: setuptools writes beside it, and packs what an earlier build left."""
    source = folder / "source"
    left_out = shutil.ignore_patterns(
        ".*", "*.egg-info", "__pycache__", "build", "dist", "certificate", "venv", "node_modules"
    )
    shutil.copytree(ROOT, source, ignore=left_out)
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(source)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = folder.glob("*.whl")
    return wheel


def metadata_of(wheel: Path) -> str:
    """The wheel's METADATA."""
    with zipfile.ZipFile(wheel) as file:
        (name,) = (name for name in file.namelist() if name.endswith(".dist-info/METADATA"))
        return file.read(name).decode()


def required(wheel: Path, also: Sequence[str] = ()) -> dict[str, Distribution]:
    """Everything that ``pip install WHEEL ALSO`` would bring, found where this process has it."""
    found: dict[str, Distribution] = {}
    todo = [*re.findall(r"^Requires-Dist: (.+)$", metadata_of(wheel), re.MULTILINE), *also]
    while todo:
        requirement = Requirement(todo.pop())
        wanted = requirement.marker is None or any(
            requirement.marker.evaluate({"extra": extra}) for extra in requirement.extras or {""}
        )
        if wanted and requirement.name not in found:
            found[requirement.name] = distribution(requirement.name)
            todo += [
                line for line in found[requirement.name].requires or []
                if Requirement(line).marker is None or Requirement(line).marker.evaluate({"extra": ""})
            ]  # fmt: skip
    return found


@dataclass(frozen=True)
class Environment:
    """A Python of its own.

    Attributes:
        python: its interpreter.
        cwd: an empty folder to run it in.
    """

    python: Path
    cwd: Path

    def run(self, *args: str) -> subprocess.CompletedProcess[str]:
        """Run the interpreter, blind to this process' environment and folder."""
        env = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PYTEST", "KERAS"))}
        return subprocess.run([self.python, *args], cwd=self.cwd, env=env, capture_output=True, text=True)

    def prints(self, code: str) -> str:
        """What a program prints; it must not fail."""
        done = self.run("-W", "error", "-c", code)
        assert done.returncode == 0, done.stderr
        return done.stdout


def install(wheel: Path, folder: Path, also: Sequence[str] = ()) -> Environment:
    """Install the wheel with pip; what it requires, and what else is asked for, is linked in rather than downloaded.

    ``--system-site-packages``, or this process' site-packages on the path, would bring TensorFlow, the report's
    libraries and the checkout itself, so that nothing would be shown; a download of torch is a gigabyte and a network.
    """
    home, empty = folder / "env", folder / "empty"
    empty.mkdir()
    venv.create(home, with_pip=False, symlinks=True)
    python = home / "bin" / "python"
    (site,) = home.glob("lib/python*/site-packages")
    for held in required(wheel, also).values():
        for top in {file.parts[0] for file in held.files or [] if ".." not in file.parts}:
            target = Path(str(held.locate_file(top)))
            if target.name != "__pycache__" and not (site / top).exists():
                (site / top).symlink_to(target)
    command = [sys.executable, "-m", "pip", "--python", str(python), "install", "--no-deps", "--no-index", str(wheel)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return Environment(python, empty)
