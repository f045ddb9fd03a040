"""Every execution of a reference on its calibration cases."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from parity.adapters.rungs import RUNGS
from parity.checks.reexecution.calibration import MOVED, NOTHING, Arrays, Draw, Inputs, calibration_cases
from parity.checks.reexecution.ways import TORCH_WAYS, Runner, Way, compiled, plainly, quiet_tracing
from parity.checks.reexecution.worker import Worker

BASE = "as it is"


@dataclass(frozen=True)
class Execution:
    """One way of executing a reference, done.

    Attributes:
        way: in words; :data:`BASE` for the one that all others are held against.
        draw: what was moved before.
        runs: the arrays of each case, in the cases' order.
    """

    way: str
    draw: Draw
    runs: list[Arrays]

    @property
    def name(self) -> str:
        """The way, and what was moved."""
        return self.way if self.draw == NOTHING else f"{self.way}, {self.draw}"


def executions(reference: str) -> Iterator[Execution]:
    """All executions of a reference, :data:`BASE` first.

    Raises:
        ImportError: the reference's framework is not installed.
        RuntimeError: an execution in another process failed.
    """
    if RUNGS[reference].framework == "tensorflow":
        yield from _tensorflow(reference)
    else:
        yield from _torch(reference)


def _torch(reference: str) -> Iterator[Execution]:
    runner = Runner(reference)
    yield _execution(BASE, runner)
    for name, way in TORCH_WAYS.items():
        yield _execution(name, runner, way=way)
    for draw in MOVED:
        yield _execution(BASE, runner, draw)


def _tensorflow(reference: str) -> Iterator[Execution]:
    """Eager, and as a graph; what TensorFlow reads when it starts, in processes of their own beside this one."""
    with tempfile.TemporaryDirectory() as folder:
        workers = {
            "one thread": Worker.start(reference, Path(folder) / "threads.npz", ["--threads", "1"]),
            "oneDNN off": Worker.start(reference, Path(folder) / "onednn.npz", TF_ENABLE_ONEDNN_OPTS="0"),
        }
        try:
            yield _execution(BASE, Runner(reference))
            graph = Runner(reference, compiled)
            with quiet_tracing():
                yield _execution("graph", graph)
            for draw in MOVED:  # as a graph, which is ten times as fast
                yield _execution("graph", graph, draw)
            for name, worker in workers.items():
                yield Execution(name, NOTHING, worker.arrays())
        finally:
            for worker in workers.values():
                worker.stop()


def _execution(name: str, runner: Runner, draw: Draw = NOTHING, way: Way = plainly) -> Execution:
    cases = calibration_cases(runner.rung)
    return Execution(name, draw, [runner(Inputs.of(case, draw), way) for case in cases])
