"""Execute a reference again in ways that keep its meaning, on fixed cases, to measure its own rounding.

``python -m parity.checks.executions tf_leaf OUT.npz [--threads N]`` executes it in a process of its own, for settings
that are read when a framework starts. A framework is imported only by a way that needs it.
"""

from __future__ import annotations

import argparse
import logging
import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from parity.adapters.base import Adapter
from parity.adapters.canonical import checked
from parity.adapters.rungs import RUNGS
from parity.cases.case import Case
from parity.oracle import LeafOracle
from parity.oracle.config import LeafConfig

Key = tuple[str, str]  # (property, stage), as in a Measurement
Arrays = dict[Key, np.ndarray]
PER_CLIP = ("filters", "windows")  # the stages that have no batch axis are those that the audio does not reach

# Every rate, compression and option that the drawn suite has, each with two signals and two kinds of weights, long
# enough that rounding averages out in all but the parameters' gradients. The two cases of a configuration have one
# shape: TensorFlow's graph is then traced once for both.
_PAIRS = (
    ("n_filters=4,n_samples=1600,batch=2",
     "weights=default,signal=noise,amplitude=0.3", "weights=trained,signal=loud_and_weak,amplitude=0.5"),
    ("n_filters=5,n_samples=1201,sample_rate=8000,pcen_floor=1e-06",
     "weights=trained,signal=chirp,amplitude=0.1", "weights=drawn,signal=noise,amplitude=0.01"),
    ("n_filters=3,n_samples=1763,sample_rate=22050,window_len=8.5,window_stride=5.0,preemp=True",
     "weights=drawn,signal=noise,amplitude=0.1", "weights=trained,signal=tone,amplitude=1.0"),
    ("n_filters=5,n_samples=600,batch=2,sample_rate=4000,per_channel_smooth=False,mean_var_norm=True",
     "weights=drawn,signal=loud_and_weak,amplitude=300.0", "weights=outside_shared,signal=noise,amplitude=0.3"),
    ("n_filters=4,n_samples=1500,sample_rate=11025,compression=fixed_pcen,preemp=True",
     "weights=drawn,signal=noise,amplitude=10.0", "weights=trained,signal=chirp,amplitude=0.3"),
    ("n_filters=5,n_samples=1280,batch=2,sample_rate=8000,compression=log,preemp=True,mean_var_norm=True",
     "weights=drawn,signal=loud_and_weak,amplitude=3.0", "weights=default,signal=noise,amplitude=0.3"),
    ("n_filters=4,n_samples=500,sample_rate=2000,window_len=16.0,compression=none,preemp=True,mean_var_norm=True",
     "weights=drawn,signal=chirp,amplitude=1.0", "weights=trained,signal=noise,amplitude=30.0"),
    ("n_filters=3,n_samples=1200,batch=2,window_stride=5.0,mean_var_norm=True",
     "weights=trained,signal=noise,amplitude=20.0", "weights=drawn,signal=noise,amplitude=1.0"),
)  # fmt: skip
CASES = tuple(
    Case.parse(f"{shape},{own},seed={2 * i + j + 1}")
    for i, (shape, *two) in enumerate(_PAIRS)
    for j, own in enumerate(two)
)


def calibration_cases(reference: str) -> tuple[Case, ...]:
    """The cases of a reference: as many as it can hold, framed as the rung above is held against it."""
    return tuple(_plain(case) for case in CASES) if reference == "leaf" else CASES


def _plain(case: Case) -> Case:
    """Reduce a case to what rungs 2 and 3 hold, with sigmas inside both their boxes."""
    c = case.config
    config = LeafConfig(c.n_filters, c.sample_rate, c.window_len, c.window_stride, "centered", pcen_floor=c.pcen_floor)
    weights = "trained" if case.weights.startswith("outside") else case.weights
    return Case(config, weights, case.signal, case.n_samples, case.batch, case.amplitude, case.seed)


@dataclass(frozen=True)
class Draw:
    """Move each number of the audio and of the cotangent down by an ulp, not at all or up, at random.

    Attributes:
        seed: of the movement; 0 is none.
    """

    seed: int = 0

    def __str__(self) -> str:
        return f"input moved by an ulp ({self.seed})" if self.seed else "input as it is"


NOTHING = Draw()
MOVED = (Draw(1), Draw(2))


@dataclass(frozen=True)
class Inputs:
    """Inputs of a case, and the expected arrays.

    Attributes:
        config: of the frontend.
        variables: weights, by canonical names, float32.
        x: audio, float32 [B, T].
        cotangent: of the output, float32 [B, C, frames].
    """

    config: LeafConfig
    variables: Mapping[str, np.ndarray]
    x: np.ndarray
    cotangent: np.ndarray

    @classmethod
    def of(cls, case: Case, draw: Draw = NOTHING) -> Inputs:
        """The case's, moved."""
        config, x = case.config, case.input()
        # centred padding of an even window adds a sample to the filters' output; same padding none
        n = case.n_samples + (config.padding == "centered" and config.window % 2 == 0)
        cotangent = case.cotangent((case.batch, config.n_filters, -(-n // config.stride)))
        if draw != NOTHING:
            rng = np.random.default_rng([case.seed, 3, draw.seed])
            x, cotangent = moved(x, rng), moved(cotangent, rng)
        return cls(config, case.variables(), x, cotangent)

    def exact(self) -> Arrays:
        """The oracle's stages and gradients."""
        oracle = LeafOracle(self.config)
        stages = oracle.stages(self.variables, self.x)
        return keyed(stages, oracle.gradients(self.variables, self.x, self.cotangent))


def moved(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Float32 values, each moved to a neighbour or left; zeros stay, as what is silent or absent has no rounding."""
    steps = rng.integers(-1, 2, values.shape)
    up = np.nextafter(values, np.float32(np.inf))
    down = np.nextafter(values, np.float32(-np.inf))
    out = np.where(steps > 0, up, np.where(steps < 0, down, values))
    return np.where(values == 0, values, out).astype(np.float32)


def keyed(stages: Mapping[str, np.ndarray], gradients: Mapping[str, np.ndarray]) -> Arrays:
    """Stages and gradients under (property, stage)."""
    out: Arrays = {("forward", stage): values for stage, values in stages.items()}
    for name, values in gradients.items():
        out["input gradient" if name == "input" else "parameter gradient", name] = values
    return out


Way = Callable[[Adapter, Any, Inputs], Arrays]


@dataclass
class Executor:
    """Executes one rung on any inputs; modules are kept, as a graph is traced once for a configuration.

    Attributes:
        rung: its name.
        prepare: done to each new module.
    """

    rung: str
    prepare: Callable[[Any], None] = lambda module: None
    _modules: dict[LeafConfig, Any] = field(default_factory=dict)

    def __call__(self, inputs: Inputs, way: Way) -> Arrays:
        """Stages and gradients."""
        adapter = RUNGS[self.rung].load_adapter()
        if inputs.config not in self._modules:
            self._modules[inputs.config] = adapter.build(inputs.config)
            self.prepare(self._modules[inputs.config])
        module = self._modules[inputs.config]
        adapter.write(module, checked(inputs.variables, inputs.config))
        return way(adapter, module, inputs)


def plainly(adapter: Adapter, module: Any, inputs: Inputs) -> Arrays:
    """Call the module as everyone does."""
    return keyed(adapter.stages(module, inputs.x), adapter.gradients(module, inputs.x, inputs.cotangent))


def compiled(module: Any) -> None:
    """Make every layer of a Keras model, and the model, a graph; their Python branches on shapes alone, and stays."""
    import tensorflow as tf

    for layer in module._flatten_layers():
        layer.call = tf.function(layer.call, autograph=False)


@contextmanager
def quiet_tracing() -> Iterator[None]:
    """TensorFlow says that tracing a function for every configuration is slow; here each is wanted."""
    logger = logging.getLogger("tensorflow")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def one_thread(adapter: Adapter, module: Any, inputs: Inputs) -> Arrays:
    """PyTorch without its threads."""
    import torch

    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return plainly(adapter, module, inputs)
    finally:
        torch.set_num_threads(n_threads)


def without_onednn(adapter: Adapter, module: Any, inputs: Inputs) -> Arrays:
    """PyTorch's own kernels."""
    import torch

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="TF32 acceleration")  # said when the flags are put back
        with torch.backends.mkldnn.flags(enabled=False):
            return plainly(adapter, module, inputs)


def every_other(adapter: Adapter, module: Any, inputs: Inputs) -> Arrays:
    """Audio as every other sample of a longer buffer."""
    buffer = np.zeros((inputs.x.shape[0], 2 * inputs.x.shape[1]), np.float32)
    buffer[:, ::2] = inputs.x
    return plainly(adapter, module, _with(inputs, buffer[:, ::2]))


def clips_last(adapter: Adapter, module: Any, inputs: Inputs) -> Arrays:
    """Audio whose clips lie interleaved in memory."""
    return plainly(adapter, module, _with(inputs, np.ascontiguousarray(inputs.x.T).T))


def inference(adapter: Adapter, module: Any, inputs: Inputs) -> Arrays:
    """PyTorch's forward pass without a record for gradients."""
    import torch

    with torch.inference_mode():
        return keyed(adapter.stages(module, inputs.x), {})


def clip_by_clip(adapter: Adapter, module: Any, inputs: Inputs) -> Arrays:
    """Every clip by itself; parameters' gradients are added up after."""
    parts = []
    for i in range(len(inputs.x)):
        one = Inputs(inputs.config, inputs.variables, inputs.x[i : i + 1], inputs.cotangent[i : i + 1])
        parts.append(plainly(adapter, module, one))
    return {key: _joined(key, [part[key] for part in parts]) for key in parts[0]}


def _joined(key: tuple[str, str], parts: list[np.ndarray]) -> np.ndarray:
    if key[1] in PER_CLIP:
        return parts[0]
    if key[0] == "parameter gradient":
        return np.asarray(sum(parts))
    return np.concatenate(parts)


def _with(inputs: Inputs, x: np.ndarray) -> Inputs:
    return Inputs(inputs.config, inputs.variables, x, inputs.cotangent)


TORCH_WAYS: dict[str, Way] = {
    "one thread": one_thread,
    "oneDNN off": without_onednn,
    "strided input": every_other,
    "interleaved input": clips_last,
    "inference mode": inference,
    "clip by clip": clip_by_clip,
}


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
        command = [sys.executable, "-m", "parity.checks.executions", reference, str(out), *arguments]
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
    executor = Executor(given.reference)
    save(given.out, [executor(Inputs.of(case), plainly) for case in calibration_cases(given.reference)])


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
    executor = Executor(reference)
    yield _execution(BASE, executor)
    for name, way in TORCH_WAYS.items():
        yield _execution(name, executor, way=way)
    for draw in MOVED:
        yield _execution(BASE, executor, draw)


def _tensorflow(reference: str) -> Iterator[Execution]:
    """Eager, and as a graph; what TensorFlow reads when it starts, in processes of their own beside this one."""
    with tempfile.TemporaryDirectory() as folder:
        workers = {
            "one thread": Worker.start(reference, Path(folder) / "threads.npz", ["--threads", "1"]),
            "oneDNN off": Worker.start(reference, Path(folder) / "onednn.npz", TF_ENABLE_ONEDNN_OPTS="0"),
        }
        try:
            yield _execution(BASE, Executor(reference))
            graph = Executor(reference, compiled)
            with quiet_tracing():
                yield _execution("graph", graph)
            for draw in MOVED:  # as a graph, which is ten times as fast
                yield _execution("graph", graph, draw)
            for name, worker in workers.items():
                yield Execution(name, NOTHING, worker.arrays())
        finally:
            for worker in workers.values():
                worker.stop()


def _execution(name: str, executor: Executor, draw: Draw = NOTHING, way: Way = plainly) -> Execution:
    cases = calibration_cases(executor.rung)
    return Execution(name, draw, [executor(Inputs.of(case, draw), way) for case in cases])


if __name__ == "__main__":
    main()
