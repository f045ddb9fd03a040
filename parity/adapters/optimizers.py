"""The oracle's update rules as the frameworks' own optimisers, stepping a frontend by its own gradients.

Parameters and slots go in and come out by canonical name, slots in Keras' form, so that one state serves any
rung. Neither framework is imported before a trainer is made.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from parity.adapters.canonical import Variables
from parity.adapters.rungs import TorchAdapter
from parity.oracle.optimizers import PARAMETER, Adam, Momentum, Rule, Sgd

if TYPE_CHECKING:
    import torch

Slots = dict[str, Variables]  # by slot, then by canonical variable


@dataclass(frozen=True)
class State:
    """The state of training.

    Attributes:
        variables: every parameter, by canonical name.
        slots: by slot, each a trainable parameter's by canonical name, in Keras' form.
        n_steps: steps taken so far.
    """

    variables: Variables
    slots: Slots
    n_steps: int

    def values(self, variable: str, key: str) -> np.ndarray:
        """Return a variable, or one of its slots."""
        return self.variables[variable] if key == PARAMETER else self.slots[key][variable]

    @classmethod
    def start(cls, variables: Variables, rule: Rule) -> State:
        """Make the state before the first step: every slot 0."""
        return cls(variables, {slot: {k: np.zeros_like(v) for k, v in variables.items()} for slot in rule.slots}, 0)


class Trainer(ABC):
    """A frontend with an optimiser."""

    @abstractmethod
    def load(self, state: State) -> None:
        """Make this the state from which the next step starts."""

    @abstractmethod
    def state(self) -> State:
        """Return the present state."""

    @abstractmethod
    def step(self, x: np.ndarray, cotangent: np.ndarray) -> None:
        """Take one step down the gradient of ``sum(cotangent * output)``: audio [B, T], cotangent [B, C, frames]."""

    @abstractmethod
    def with_rule(self, rule: Rule) -> Trainer:
        """Make a trainer of the same module with a new optimiser; this one must not be used between its steps."""

    @abstractmethod
    def gradients(self, x: np.ndarray, cotangent: np.ndarray) -> Variables:
        """Compute the gradient of ``sum(cotangent * output)`` to each trainable variable, by canonical name."""


class TorchTrainer(Trainer):
    """A PyTorch rung in training mode, stepped by ``torch.optim`` with autograd's gradients.

    og_leaf projects its Gabor parameters after each step, by its own public call, as Keras does.

    Raises:
        TypeError: a rule that PyTorch does not have here.
        ValueError: the module learns a logarithm of a canonical variable, whose slots are not the variable's.
    """

    def __init__(self, adapter: TorchAdapter, module: Any, rule: Rule) -> None:
        import torch

        self.adapter, self.module, self.rule = adapter, module.train(), rule
        self.entries = adapter.trained(module)
        if logs := [name for name, entry in self.entries.items() if entry.log_sign]:
            raise ValueError(f"variables {logs}: the module learns their logarithms; must be the values")
        tensors = [t for entry in self.entries.values() for t in entry.tensors]
        self.optimizer: torch.optim.Optimizer
        if isinstance(rule, Sgd):
            self.optimizer = torch.optim.SGD(tensors, rule.learning_rate)
        elif isinstance(rule, Momentum):
            self.optimizer = torch.optim.SGD(tensors, rule.learning_rate, momentum=rule.momentum)
        elif isinstance(rule, Adam):
            self.optimizer = torch.optim.Adam(tensors, rule.learning_rate, betas=(rule.beta_1, rule.beta_2))
        else:
            raise TypeError(f"rule={rule!r}: must be Sgd, Momentum or Adam")
        self.n_steps = 0
        if adapter.rung == "og_leaf":
            import og_leaf

            og_leaf.project_after_step(self.optimizer, module)

    def load(self, state: State) -> None:
        """Set variables and slots."""
        import torch

        self.adapter.write(self.module, state.variables)
        self.n_steps = state.n_steps
        self.optimizer.state.clear()
        if state.n_steps == 0:
            return
        for name, entry in self.entries.items():
            values = {slot: entry.columns(held[name]) for slot, held in state.slots.items()}
            for i, tensor in enumerate(entry.tensors):
                slots = {key: values[slot][i] / scale for slot, (key, scale) in self._slots.items()}
                if isinstance(self.rule, Adam):
                    slots["step"] = torch.tensor(float(state.n_steps))
                self.optimizer.state[tensor] = slots

    @property
    def _slots(self) -> dict[str, tuple[str, float]]:
        """Return PyTorch's name of each slot, and what Keras' is of it: the momentum buffer is Keras' over ``-lr``."""
        if isinstance(self.rule, Momentum):
            return {"momentum": ("momentum_buffer", -self.rule.learning_rate)}
        return {"momentum": ("exp_avg", 1.0), "velocity": ("exp_avg_sq", 1.0)} if isinstance(self.rule, Adam) else {}

    def state(self) -> State:
        held: Mapping[Any, Any] = self.optimizer.state
        slots = {
            slot: {
                name: scale * entry.assemble([held[t][key] if t in held else t.detach() * 0 for t in entry.tensors])
                for name, entry in self.entries.items()
            }
            for slot, (key, scale) in self._slots.items()
        }
        return State(self.adapter.read(self.module), slots, self.n_steps)

    def step(self, x: np.ndarray, cotangent: np.ndarray) -> None:
        """Take a step, at the epsilon with which PyTorch's Adam is Keras', see the oracle's."""
        import torch

        like = next(self.module.parameters())
        self.n_steps += 1
        if isinstance(self.rule, Adam):
            for group in self.optimizer.param_groups:
                group["eps"] = self.rule.torch_epsilon(self.n_steps)
        self.optimizer.zero_grad()
        with on_one_thread():
            output = self.module(torch.as_tensor(x, dtype=like.dtype))
            output.backward(torch.as_tensor(cotangent, dtype=like.dtype))
            self.optimizer.step()

    def gradients(self, x: np.ndarray, cotangent: np.ndarray) -> Variables:
        with on_one_thread():
            gradients = self.adapter.gradients(self.module, x, cotangent)
        return {name: gradients[name] for name in self.entries}

    def with_rule(self, rule: Rule) -> TorchTrainer:
        return TorchTrainer(self.adapter, self.module, rule)


@contextmanager
def on_one_thread() -> Iterator[None]:
    """Run PyTorch on one thread: at these sizes a second one costs more than it does."""
    import torch

    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(n_threads)


class KerasTrainer(Trainer):
    """tf_leaf stepped by ``keras.optimizers``, which project the Gabor parameters themselves; in compiled graphs.

    The graphs take audio of any length; the one of the gradients serves every rule.

    Raises:
        TypeError: a rule that Keras does not have here.
    """

    def __init__(self, adapter: Any, module: Any, rule: Rule, gradients: Any = None) -> None:
        import keras
        import tensorflow as tf

        self.adapter, self.module, self.rule = adapter, module, rule
        self.weights = {name: w for name, w in adapter._weights(module).items() if w.trainable}
        if isinstance(rule, Sgd):
            self.optimizer = keras.optimizers.SGD(rule.learning_rate)
        elif isinstance(rule, Momentum):
            self.optimizer = keras.optimizers.SGD(rule.learning_rate, momentum=rule.momentum)
        elif isinstance(rule, Adam):
            self.optimizer = keras.optimizers.Adam(rule.learning_rate, rule.beta_1, rule.beta_2, rule.epsilon)
        else:
            raise TypeError(f"rule={rule!r}: must be Sgd, Momentum or Adam")
        variables = list(self.weights.values())
        self.optimizer.build(variables)

        def run(x: Any, seeds: Any) -> Any:
            with tf.GradientTape() as tape:
                output = module(x)
            return tape.gradient(output, [w.value for w in variables], output_gradients=seeds)

        shapes = [tf.TensorSpec([None] * n, module.compute_dtype) for n in (2, 3)]
        self._gradients = gradients or tf.function(run, input_signature=shapes, autograph=False)
        self._apply = tf.function(lambda gradients: self.optimizer.apply(gradients, variables), autograph=False)

    def load(self, state: State) -> None:
        self.adapter.write(self.module, state.variables)
        self.optimizer.iterations.assign(state.n_steps)
        for slot, variables in self._slots().items():
            for name, variable in variables.items():
                variable.assign(state.slots[slot][name])

    def state(self) -> State:
        slots = {slot: {k: v.numpy() for k, v in held.items()} for slot, held in self._slots().items()}
        return State(self.adapter.read(self.module), slots, int(self.optimizer.iterations.numpy()))

    def step(self, x: np.ndarray, cotangent: np.ndarray) -> None:
        self._apply(self._gradients(*self._arguments(x, cotangent)))

    def gradients(self, x: np.ndarray, cotangent: np.ndarray) -> Variables:
        """Compute gradients by a compiled graph."""
        gradients = self._gradients(*self._arguments(x, cotangent))
        return {name: np.array(g) for name, g in zip(self.weights, gradients, strict=True)}

    def with_rule(self, rule: Rule) -> KerasTrainer:
        return KerasTrainer(self.adapter, self.module, rule, self._gradients)

    def _arguments(self, x: np.ndarray, cotangent: np.ndarray) -> tuple[Any, Any]:
        import tensorflow as tf

        dtype = self.module.compute_dtype
        return tf.constant(x, dtype), tf.constant(np.ascontiguousarray(cotangent.transpose(0, 2, 1)), dtype)

    def _slots(self) -> dict[str, dict[str, Any]]:
        lists = {}
        if isinstance(self.rule, Momentum):
            lists = {"momentum": self.optimizer.momentums}
        elif isinstance(self.rule, Adam):
            lists = {"momentum": self.optimizer._momentums, "velocity": self.optimizer._velocities}
        return {slot: dict(zip(self.weights, held, strict=True)) for slot, held in lists.items()}


def trainer(adapter: Any, module: Any, rule: Rule) -> Trainer:
    """Make the trainer for a rung's module, by the adapter's kind."""
    return (TorchTrainer if isinstance(adapter, TorchAdapter) else KerasTrainer)(adapter, module, rule)
