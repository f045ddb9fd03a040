"""Execute a reference again in ways that keep its meaning, on fixed cases, to measure its own rounding.

``python -m parity.checks.executions tf_leaf OUT.npz [--threads N]`` executes it in a process of its own, for settings
that are read when a framework starts. A framework is imported only by a way that needs it.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from subprocess import DEVNULL, PIPE, Popen
from typing import Any

import numpy as np

from parity.adapters.canonical import checked
from parity.adapters.optimizers import on_one_thread
from parity.adapters.rungs import RUNGS, Adapter
from parity.cases.case import Case
from parity.checks.grid import Arrays, Expected, property_of
from parity.oracle.config import LeafConfig

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


MOVED = (1, 2)  # seeds of movements of the input


def inputs_of(case: Case, seed: int = 0) -> Expected:
    """The case's inputs, its audio and cotangent moved by an ulp where there is a seed."""
    config, x = case.config, case.input()
    # centred padding of an even window adds a sample to the filters' output; same padding none
    n = case.n_samples + (config.padding == "centered" and config.window % 2 == 0)
    cotangent = case.cotangent((case.batch, config.n_filters, -(-n // config.stride)))
    if seed:
        rng = np.random.default_rng([case.seed, 3, seed])
        x, cotangent = moved(x, rng), moved(cotangent, rng)
    return Expected(config, case.variables(), x, cotangent)


def moved(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Float32 values, each moved down by an ulp, not at all or up; zeros stay, as what is silent has no rounding."""
    steps = rng.integers(-1, 2, values.shape)
    up = np.nextafter(values, np.float32(np.inf))
    down = np.nextafter(values, np.float32(-np.inf))
    out = np.where(steps > 0, up, np.where(steps < 0, down, values))
    return np.where(values == 0, values, out).astype(np.float32)


Way = Callable[[Adapter, Any, Expected], dict[str, np.ndarray]]


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

    def __call__(self, inputs: Expected, way: Way) -> Arrays:
        """Stages and gradients."""
        adapter = RUNGS[self.rung].load_adapter()
        if inputs.config not in self._modules:
            self._modules[inputs.config] = adapter.build(inputs.config)
            self.prepare(self._modules[inputs.config])
        module = self._modules[inputs.config]
        adapter.write(module, checked(inputs.variables, inputs.config))
        return way(adapter, module, inputs)


def plainly(adapter: Adapter, module: Any, inputs: Expected) -> dict[str, np.ndarray]:
    """Call the module as everyone does."""
    return adapter.arrays(module, inputs.x, inputs.cotangent)


def compiled(module: Any) -> None:
    """Make every layer of a Keras model, and the model, a graph; their Python branches on shapes alone, and stays."""
    import tensorflow as tf

    for layer in module._flatten_layers():
        layer.call = tf.function(layer.call, autograph=False)


@contextmanager
def quiet(name: str) -> Iterator[None]:
    """A logger that says nothing short of an error."""
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def one_thread(adapter: Adapter, module: Any, inputs: Expected) -> dict[str, np.ndarray]:
    """Run PyTorch without its threads."""
    with on_one_thread():
        return plainly(adapter, module, inputs)


def without_onednn(adapter: Adapter, module: Any, inputs: Expected) -> dict[str, np.ndarray]:
    """Run PyTorch's own kernels, not oneDNN's."""
    import torch

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="TF32 acceleration")  # said when the flags are put back
        with torch.backends.mkldnn.flags(enabled=False):
            return plainly(adapter, module, inputs)


def every_other(adapter: Adapter, module: Any, inputs: Expected) -> dict[str, np.ndarray]:
    """Give audio as every other sample of a longer buffer."""
    return plainly(adapter, module, replace(inputs, x=np.repeat(inputs.x, 2, axis=1)[:, ::2]))


def clips_last(adapter: Adapter, module: Any, inputs: Expected) -> dict[str, np.ndarray]:
    """Give audio whose clips lie interleaved in memory."""
    return plainly(adapter, module, replace(inputs, x=np.ascontiguousarray(inputs.x.T).T))


def inference(adapter: Adapter, module: Any, inputs: Expected) -> dict[str, np.ndarray]:
    """Run PyTorch's forward pass without a record for gradients."""
    import torch

    with torch.inference_mode():
        return adapter.stages(module, inputs.x)


def clip_by_clip(adapter: Adapter, module: Any, inputs: Expected) -> dict[str, np.ndarray]:
    """Run every clip by itself; add the parameters' gradients up."""
    clips = [slice(i, i + 1) for i in range(len(inputs.x))]
    parts = [adapter.arrays(module, inputs.x[clip], inputs.cotangent[clip]) for clip in clips]
    return {name: _joined(name, [part[name] for part in parts]) for name in parts[0]}


def _joined(name: str, parts: list[np.ndarray]) -> np.ndarray:
    if name in PER_CLIP:
        return parts[0]
    return np.asarray(sum(parts)) if property_of(name) == "parameter gradient" else np.concatenate(parts)


TORCH_WAYS: dict[str, Way] = {
    "one thread": one_thread,
    "oneDNN off": without_onednn,
    "strided input": every_other,
    "interleaved input": clips_last,
    "inference mode": inference,
    "clip by clip": clip_by_clip,
}


@contextmanager
def elsewhere(reference: str, out: Path, arguments: Iterable[str] = (), **environment: str) -> Iterator[Popen[str]]:
    """Execute a reference on its calibration cases in a process of its own, which ends with the context."""
    command = [sys.executable, "-m", "parity.checks.executions", reference, str(out), *arguments]
    with Popen(command, env={**os.environ, **environment}, stdout=DEVNULL, stderr=PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def arrays_of(process: Popen[str], out: Path) -> list[Arrays]:
    """Wait for such a process, and read what it has written.

    Raises:
        RuntimeError: the process failed; says how.
    """
    _, said = process.communicate()
    if process.returncode:
        raise RuntimeError(f"{out.name}: exit status {process.returncode}: {said[-2000:]}")
    return load(out)


_SEPARATOR = "|"  # in no array's name


def save(out: Path, runs: Iterable[Arrays]) -> None:
    """Write the arrays of every case."""
    named = {f"{i}{_SEPARATOR}{name}": values for i, run in enumerate(runs) for name, values in run.items()}
    np.savez(out, **named)  # type: ignore[arg-type]


def load(path: Path) -> list[Arrays]:
    """Read what :func:`save` wrote."""
    runs: dict[int, dict[str, np.ndarray]] = {}
    with np.load(path, allow_pickle=False) as held:
        for key in held.files:
            i, name = key.split(_SEPARATOR)
            runs.setdefault(int(i), {})[name] = held[key]
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
    save(given.out, _executed(Executor(given.reference)))


BASE = "as it is"


@dataclass(frozen=True)
class Execution:
    """One way of executing a reference, done.

    Attributes:
        way: in words; :data:`BASE` for the one that all others are held against.
        seed: of the movement of the input before; 0 is none.
        runs: the arrays of each case, in the cases' order.
    """

    way: str
    seed: int
    runs: list[Arrays]

    @property
    def name(self) -> str:
        """The way, and what was moved."""
        return f"{self.way}, input moved by an ulp ({self.seed})" if self.seed else self.way


def executions(reference: str) -> Iterator[Execution]:
    """All executions of a reference, :data:`BASE` first.

    TensorFlow's are eager, and as a graph; what it reads when it starts, in processes of their own beside this one.

    Raises:
        ImportError: the reference's framework is not installed.
        RuntimeError: an execution in another process failed.
    """
    plain = Executor(reference)
    if RUNGS[reference].framework == "torch":
        yield Execution(BASE, 0, _executed(plain))
        yield from (Execution(name, 0, _executed(plain, way=way)) for name, way in TORCH_WAYS.items())
        yield from (Execution(BASE, seed, _executed(plain, seed)) for seed in MOVED)
        return
    with tempfile.TemporaryDirectory() as folder:
        threads, onednn = Path(folder) / "threads.npz", Path(folder) / "onednn.npz"
        with (
            elsewhere(reference, threads, ["--threads", "1"]) as one,
            elsewhere(reference, onednn, TF_ENABLE_ONEDNN_OPTS="0") as other,
        ):
            yield Execution(BASE, 0, _executed(plain))
            graph = Executor(reference, compiled)
            # TensorFlow says that tracing a function for every configuration is slow; here each is wanted
            with quiet("tensorflow"):
                for seed in (0, *MOVED):  # moved as a graph, which is ten times as fast
                    yield Execution("graph", seed, _executed(graph, seed))
            yield Execution("one thread", 0, arrays_of(one, threads))
            yield Execution("oneDNN off", 0, arrays_of(other, onednn))


def _executed(executor: Executor, seed: int = 0, way: Way = plainly) -> list[Arrays]:
    return [executor(inputs_of(case, seed), way) for case in calibration_cases(executor.rung)]


if __name__ == "__main__":
    main()
