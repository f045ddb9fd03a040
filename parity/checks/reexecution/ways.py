"""Ways of executing a rung that keep its meaning. A framework is imported only by a way that needs it."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from parity.adapters.base import Adapter
from parity.adapters.canonical import checked
from parity.adapters.rungs import RUNGS
from parity.checks.reexecution.calibration import PER_CLIP, Arrays, Inputs, keyed
from parity.oracle.config import LeafConfig

Way = Callable[[Adapter, Any, Inputs], Arrays]


@dataclass
class Runner:
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
    """As everyone calls it."""
    return keyed(adapter.stages(module, inputs.x), adapter.gradients(module, inputs.x, inputs.cotangent))


def compiled(module: Any) -> None:
    """Make every layer of a Keras model, and the model, a graph."""
    import tensorflow as tf

    for layer in module._flatten_layers():
        layer.call = tf.function(layer.call)


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
