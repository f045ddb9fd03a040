"""Describe where a certificate was made: versions, commit, processor, threads. Imports no further library."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("leaf-ladder", "numpy", "torch", "tensorflow", "keras", "hypothesis", "pytest")
# what decides which kernels a library picks, on x86 and on Arm
FEATURES = (
    "sse4_1",
    "avx",
    "avx2",
    "fma",
    "avx512f",
    "avx512bw",
    "avx512_vnni",
    "avx512_bf16",
    "amx_tile",
    "asimd",
    "sve",
)


def describe(root: Path) -> dict[str, Any]:
    """The environment of this process, for the certificate.

    Args:
        root: a folder of the checkout, for the commit.
    """
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: installed(name) for name in PACKAGES},
        "commit": commit(root),
        "cpu": cpu(),
        "threads": threads(),
        "onednn": onednn(),
        "hypothesis_profile": _hypothesis_profile(),
    }


def installed(name: str) -> str | None:
    """The version of a package, or of its build for CPUs alone; None where neither is installed."""
    for candidate in (name, f"{name}-cpu"):
        try:
            return version(candidate)
        except PackageNotFoundError:
            continue
    return None


def commit(root: Path) -> dict[str, Any] | None:
    """``{"id": ..., "dirty": ...}`` of the checkout, or None outside of one or without git."""
    try:
        head = _git(root, "rev-parse", "HEAD")
        return {"id": head, "dirty": bool(_git(root, "status", "--porcelain"))}
    except (OSError, subprocess.SubprocessError):
        return None


def _git(root: Path, *args: str) -> str:
    done = subprocess.run(["git", *args], cwd=root, capture_output=True, text=True, check=True, timeout=30)
    return done.stdout.strip()


def cpu() -> dict[str, Any]:
    """Model, number of cores and those features that decide which kernels run."""
    model, flags = platform.processor() or platform.machine(), set[str]()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    for line in lines:
        name, _, value = (part.strip() for part in line.partition(":"))
        if name == "model name":
            model = value
        elif name in ("flags", "Features"):
            flags.update(value.split())
    return {"model": model, "cores": os.cpu_count(), "features": [f for f in FEATURES if f in flags]}


def threads() -> dict[str, Any]:
    """Threads that torch and TensorFlow use; None for a library never imported. 0: it chooses itself."""
    out: dict[str, Any] = {"torch": None, "tensorflow": None}
    if torch := sys.modules.get("torch"):
        out["torch"] = {"intra": torch.get_num_threads(), "inter": torch.get_num_interop_threads()}
    if tf := sys.modules.get("tensorflow"):
        of = tf.config.threading
        out["tensorflow"] = {
            "intra": of.get_intra_op_parallelism_threads(),
            "inter": of.get_inter_op_parallelism_threads(),
        }
    return out


def onednn() -> dict[str, Any]:
    """Whether the libraries use oneDNN: torch as it says, TensorFlow by the variable that switches it."""
    torch = sys.modules.get("torch")
    return {
        "TF_ENABLE_ONEDNN_OPTS": os.environ.get("TF_ENABLE_ONEDNN_OPTS", "unset"),
        "torch": None
        if torch is None
        else bool(torch.backends.mkldnn.is_available() and torch.backends.mkldnn.enabled),
    }


def _hypothesis_profile() -> str | None:
    hypothesis = sys.modules.get("hypothesis")
    return None if hypothesis is None else str(hypothesis.settings.get_current_profile_name())
