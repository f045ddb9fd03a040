"""Check that a frontend is a function: it changes neither its input nor itself, remembers no call and shares nothing.

Everything is built with the rung's own defaults, for what is shared by accident is shared by default. Evaluation mode.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from parity.adapters.rungs import RUNGS
from parity.checks.grid import Context
from parity.criteria import Verdict
from parity.report.claims import Measurement

State = dict[str, np.ndarray]

SMALL: dict[str, Any] = {"n_filters": 3, "sample_rate": 4000}
BAND: dict[str, Any] = {**SMALL, "max_freq": 2000.0}
# What each rung is built with; a compression given as True is a new PCEN that does not learn its smoother.
FORMS: dict[str, Mapping[str, Mapping[str, Any]]] = {
    rung: {
        "default": SMALL,
        "everything": {**SMALL, "preemp": True, "mean_var_norm": True},
        "log": {**SMALL, "compression_fn": "log"},
        "fixed smoother": {**SMALL, "compression_fn": True},
    }
    for rung in ("tf_leaf", "og_leaf")
} | {
    "leaf": {"default": BAND, "same": {**BAND, "padding": "same"}},
    "efficientleaf": {"default": {**BAND, "num_groups": 2}, "pcen": {**BAND, "num_groups": 2, "compression": "pcen"}},
}
WIDER = 5


def purity(rung: str) -> Iterator[Measurement]:
    """Every form of the rung, called again and again; and frontends of two widths side by side."""
    for form, arguments in FORMS[rung].items():
        yield from PurityProbe(rung, form).calls(arguments)
        yield from PurityProbe(rung, form).side_by_side(arguments)


class PurityProbe:
    """One form of a rung's frontend."""

    def __init__(self, rung: str, form: str) -> None:
        self.rung, self.form = rung, form
        self.framework: _Torch | _Keras = _Keras() if RUNGS[rung].framework == "tensorflow" else _Torch()
        rng = np.random.default_rng(7)
        self.x = rng.uniform(-0.5, 0.5, (2, 280)).astype(np.float32)
        self.other = rng.uniform(-5, 5, (1, 441)).astype(np.float32)

    def calls(self, arguments: Mapping[str, Any]) -> Iterator[Measurement]:
        """One frontend: forward, again, on other audio, backward, and again; after each, what must be as it was."""
        run, back, state = self.framework.run, self.framework.back, self.framework.state
        module = self.build(arguments)
        audio, at_first = self.x.copy(), state(module)
        first = run(module, audio)
        yield self.same("the audio after a forward", [audio], [self.x])
        yield self.same("parameters and buffers after a forward", _all(state(module)), _all(at_first))
        yield self.same("a second call", [run(module, audio)], [first])
        run(module, self.other)
        yield self.same("a call after other audio of another length", [run(module, audio)], [first])
        d = np.random.default_rng(8).standard_normal(first.shape).astype(np.float32)
        slopes = back(module, audio, d)
        yield self.same("the audio after a backward", [audio], [self.x])
        yield self.same("parameters and buffers after a backward", _all(state(module)), _all(at_first))
        yield self.same("a call after a backward", [run(module, audio)], [first])
        back(module, self.other, run(module, self.other))
        yield self.same("a second backward", back(module, audio, d), slopes)

    def side_by_side(self, arguments: Mapping[str, Any]) -> Iterator[Measurement]:
        """A frontend whose neighbours, of its own width and wider, are built, moved and run while it stands."""
        run, state = self.framework.run, self.framework.state
        module = self.build(arguments)
        first, at_first = run(module, self.x), state(module)
        for name, n_filters in (("of the same width", arguments["n_filters"]), ("that is wider", WIDER)):
            neighbour = self.build({**arguments, "n_filters": n_filters})
            theirs, start = run(neighbour, self.x), state(neighbour)
            self.framework.move(module)
            yield self.same(f"parameters of a neighbour {name}", _all(state(neighbour)), _all(start))
            yield self.same(f"output of a neighbour {name}", [run(neighbour, self.x)], [theirs])
            run(module, self.other)
            module = self.build(arguments)
            self.framework.move(neighbour)
            run(neighbour, self.other)
            yield self.same(f"parameters beside a neighbour {name}", _all(state(module)), _all(at_first))
            yield self.same(f"output beside a neighbour {name}", [run(module, self.x)], [first])

    def build(self, arguments: Mapping[str, Any]) -> Any:
        """A new frontend of the rung, in evaluation mode."""
        package = importlib.import_module(self.rung)
        arguments = dict(arguments)
        if arguments.get("compression_fn") is True:
            width = {} if self.rung == "tf_leaf" else {"num_channels": arguments["n_filters"]}
            arguments["compression_fn"] = package.PCENLayer(**width)
        cls = package.EfficientLeaf if self.rung == "efficientleaf" else package.Leaf
        return self.framework.ready(cls(**arguments))

    def same(self, what: str, got: Sequence[np.ndarray], expected: Sequence[np.ndarray]) -> Measurement:
        """Bytes that differ between two lists of arrays."""
        again = f"pytest parity_tests/rungs/test_purity.py -m {self.rung}"
        context = Context(self.rung, self.rung, "purity", f"{self.form}: {what}", again)
        verdict = Verdict("status", _differing(got, expected), 0.0, "bytes that differ from what they were")
        return context.measurement("output", "status", verdict, "bitwise")


class _Torch:
    """Runs PyTorch modules on arrays whose memory they share, so that a change in place shows."""

    def ready(self, module: Any) -> Any:
        return module.eval()

    def run(self, module: Any, x: np.ndarray) -> np.ndarray:
        import torch

        return np.array(module(torch.from_numpy(x)).detach().numpy())

    def back(self, module: Any, x: np.ndarray, d: np.ndarray) -> list[np.ndarray]:
        import torch

        audio = torch.from_numpy(x).requires_grad_()
        y = module(audio)
        sources = [audio, *(p for p in module.parameters() if p.requires_grad)]
        slopes = torch.autograd.grad(y, sources, torch.from_numpy(d), materialize_grads=True)
        return [s.numpy() for s in slopes]

    def state(self, module: Any) -> State:
        held = [*module.named_parameters(), *module.named_buffers()]  # buffers out of the state dict, too
        return {name: np.array(tensor.detach().numpy()) for name, tensor in held}

    def move(self, module: Any) -> None:
        import torch

        with torch.no_grad():
            for tensor in [*module.parameters(), *module.buffers()]:
                tensor.mul_(3).add_(1)


class _Keras:
    """Runs Keras models; TensorFlow's tensors cannot be changed, but may share the memory of an array."""

    def ready(self, module: Any) -> Any:
        return module

    def run(self, module: Any, x: np.ndarray) -> np.ndarray:
        import tensorflow as tf

        return np.array(module(tf.convert_to_tensor(x)))

    def back(self, module: Any, x: np.ndarray, d: np.ndarray) -> list[np.ndarray]:
        import tensorflow as tf

        audio = tf.convert_to_tensor(x)
        with tf.GradientTape() as tape:
            tape.watch(audio)
            y = module(audio)
        sources = [audio, *(w.value for w in module.trainable_weights)]
        return [np.array(s) for s in tape.gradient(y, sources, output_gradients=tf.convert_to_tensor(d))]

    def state(self, module: Any) -> State:
        return {f"{i} {w.path}": np.array(w.numpy()) for i, w in enumerate(module.weights)}

    def move(self, module: Any) -> None:
        for weight in module.weights:
            weight.assign(3 * weight.numpy() + 1)


def _all(state: State) -> list[np.ndarray]:
    return [state[name] for name in sorted(state)]


def _differing(got: Sequence[np.ndarray], expected: Sequence[np.ndarray]) -> float:
    if [(a.shape, a.dtype) for a in got] != [(b.shape, b.dtype) for b in expected]:
        return float("inf")
    differing = 0
    for a, b in zip(got, expected, strict=True):
        differing += int(np.sum(np.frombuffer(a.tobytes(), np.uint8) != np.frombuffer(b.tobytes(), np.uint8)))
    return float(differing)
