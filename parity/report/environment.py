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
    "sse4_1", "avx", "avx2", "fma", "avx512f", "avx512bw", "avx512_vnni", "avx512_bf16", "amx_tile", "asimd", "sve",
)  # fmt: skip


def describe(root: Path) -> dict[str, Any]:
    """Describe this process for the certificate (a library never imported: None), and the commit of a folder."""
    torch, hypothesis = sys.modules.get("torch"), sys.modules.get("hypothesis")
    mkldnn = torch and torch.backends.mkldnn
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: installed(name) for name in PACKAGES},
        "commit": commit(root),
        "cpu": cpu(),
        "threads": _threads(),
        "onednn": {
            "TF_ENABLE_ONEDNN_OPTS": os.environ.get("TF_ENABLE_ONEDNN_OPTS", "unset"),
            "torch": mkldnn and bool(mkldnn.is_available() and mkldnn.enabled),
        },
        "hypothesis_profile": hypothesis and str(hypothesis.settings.get_current_profile_name()),
    }


def installed(name: str) -> str | None:
    """Find the version of a package, or of its build for CPUs alone; None where neither is installed."""
    for candidate in (name, f"{name}-cpu"):
        try:
            return version(candidate)
        except PackageNotFoundError:
            continue
    return None


def commit(root: Path) -> dict[str, Any] | None:
    """``{"id": ..., "dirty": ...}`` of the checkout, or None outside of one or without git."""

    def git(*args: str) -> str:
        done = subprocess.run(["git", *args], cwd=root, capture_output=True, text=True, check=True, timeout=30)
        return done.stdout.strip()

    try:
        return {"id": git("rev-parse", "HEAD"), "dirty": bool(git("status", "--porcelain"))}
    except (OSError, subprocess.SubprocessError):
        return None


def cpu() -> dict[str, Any]:
    """Find the processor's model, number of cores and those features that decide which kernels run."""
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


def _threads() -> dict[str, Any]:
    """Threads that torch and TensorFlow use; 0: it chooses itself."""
    out: dict[str, Any] = {"torch": None, "tensorflow": None}
    if torch := sys.modules.get("torch"):
        out["torch"] = {"intra": torch.get_num_threads(), "inter": torch.get_num_interop_threads()}
    if tf := sys.modules.get("tensorflow"):
        of = tf.config.threading
        intra, inter = of.get_intra_op_parallelism_threads(), of.get_inter_op_parallelism_threads()
        out["tensorflow"] = {"intra": intra, "inter": inter}
    return out
