"""A reference executed in a process of its own, for settings that are read when a framework starts.

``python -m parity.checks.reexecution.worker tf_leaf OUT.npz [--threads N]`` writes every array of every
calibration case.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from parity.checks.reexecution.calibration import Arrays, Inputs, calibration_cases
from parity.checks.reexecution.ways import Runner, plainly

_SEPARATOR = "|"  # in no property's and no stage's name


@dataclass
class Worker:
    """A running process.

    Attributes:
        process: what runs.
        out: where it writes.
    """

    process: subprocess.Popen[str]
    out: Path

    @classmethod
    def start(cls, reference: str, out: Path, arguments: Iterable[str] = (), **environment: str) -> Worker:
        """Start executing a reference on its calibration cases."""
        command = [sys.executable, "-m", "parity.checks.reexecution.worker", reference, str(out), *arguments]
        process = subprocess.Popen(
            command,
            env={**os.environ, **environment},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        return cls(process, out)

    def arrays(self) -> list[Arrays]:
        """Wait, and read what was written.

        Raises:
            RuntimeError: the process failed; says how.
        """
        _, said = self.process.communicate()
        if self.process.returncode:
            raise RuntimeError(f"{self.out.name}: exit status {self.process.returncode}: {said[-2000:]}")
        return load(self.out)

    def stop(self) -> None:
        """End the process, if it still runs."""
        with self.process:  # waits, and closes its pipe
            self.process.kill()


def save(out: Path, runs: Iterable[Arrays]) -> None:
    """Write the arrays of every case."""
    named = {_SEPARATOR.join([str(i), *key]): values for i, run in enumerate(runs) for key, values in run.items()}
    np.savez(out, **named)  # type: ignore[arg-type]


def load(path: Path) -> list[Arrays]:
    """Read what :func:`save` wrote."""
    runs: dict[int, Arrays] = {}
    with np.load(path, allow_pickle=False) as held:
        for name in held.files:
            i, property, stage = name.split(_SEPARATOR)
            runs.setdefault(int(i), {})[property, stage] = held[name]
    return [runs[i] for i in sorted(runs)]


def main(arguments: list[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("reference")
    parser.add_argument("out", type=Path)
    parser.add_argument("--threads", type=int)
    given = parser.parse_args(arguments)
    if given.threads:
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(given.threads)
        tf.config.threading.set_inter_op_parallelism_threads(given.threads)
    runner = Runner(given.reference)
    save(given.out, [runner(Inputs.of(case), plainly) for case in calibration_cases(given.reference)])


if __name__ == "__main__":
    main()
