"""Hours of audio through ``leaf-ladder features``: speed and memory. ``python -m benchmarks.streaming [--record]``.

Each run is a process of its own, reading a FLAC file of the committed speech clip at changing levels, with silence.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated

import numpy as np
import soundfile
import typer

from parity.report import recorded

ROOT = Path(__file__).parents[1]
CLIP = ROOT / "fixtures" / "speech" / "arctic_a0009.wav"
LENGTHS = (600, 10_800)  # seconds
FRONTENDS = ("leaf", "efficientleaf")


def write(path: Path, seconds: int) -> None:
    """A recording: the clip again and again, 0 to 60 dB down, a second of silence between."""
    clip, rate = soundfile.read(CLIP, dtype="float32")
    rng, left = np.random.default_rng(seconds), seconds * rate
    with soundfile.SoundFile(path, "w", rate, 1) as file:
        while left > 0:
            piece = np.concatenate((clip * 10 ** rng.uniform(-3.0, 0.0), np.zeros(rate)))[:left]
            file.write(piece)
            left -= len(piece)


def run(frontend: str, recording: Path) -> tuple[float, float]:
    """Seconds, and the largest resident memory in bytes."""
    target = recording.with_suffix(".npy")
    command = [sys.executable, "-m", "parity", "features", str(recording), str(target), "--frontend", frontend]
    began = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise RuntimeError(f"{' '.join(command)}: status {status}")
    target.unlink()
    return time.monotonic() - began, usage.ru_maxrss * 1024.0


def main(record: Annotated[bool, typer.Option(help="keep the table in benchmarks/results")] = False) -> None:
    """Print the table."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for seconds in LENGTHS:
            recording = Path(folder) / f"{seconds}.flac"
            write(recording, seconds)
            for frontend in FRONTENDS:
                took, memory = run(frontend, recording)
                rows.append({
                    "frontend": frontend,
                    "hours": seconds / 3600,
                    "times real time": seconds / took,
                    "resident memory, MB": memory / 1e6,
                    "threads": int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1)),
                })  # fmt: skip
                typer.echo(
                    ", ".join(f"{k} {v:.3g}" if isinstance(v, float) else f"{k} {v}" for k, v in rows[-1].items())
                )
    if record:
        recorded.keep(
            "streaming",
            rows,
            title="Hours of audio through leaf-ladder features, 16 kHz, 40 filters",
            note="The whole process: starting Python, decoding FLAC, features, writing.",
            command="python -m benchmarks.streaming --record",
            sources=["leaf/_runtime/streaming.py", "leaf/filterbank.py", "leaf/pcen.py", "leaf/_runtime/scan.py",
                     "efficientleaf/filterbank.py", "parity/weights/features.py", "benchmarks/streaming.py"],
            root=ROOT,
        )  # fmt: skip


if __name__ == "__main__":
    typer.run(main)
