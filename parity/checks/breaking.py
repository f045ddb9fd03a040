"""Each way to NaN or infinity in the original's PCEN, on one band and a few frames: no draws, no training set.

:func:`layer` makes the compression of a rung by itself; :func:`through_zero`, :func:`at_delta`, :func:`over_silence`
and :func:`with_infinity` drive it there. Neither framework is imported before a layer is made.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

KINDS = ("tf_leaf", "og_leaf", "leaf", "leaf, linear")
VARIED = np.tile(np.array([0.25, 1.0], np.float32), 8)  # energies, frame by frame
INFINITE = 3  # the frame of it
RATE, STEPS = 0.2, 100
NAMES = {"s": "smooth", "ema._weights": "smooth", "r": "root"}  # PyTorch's names, where they are not the original's


@dataclass(frozen=True)
class TrialOutcome:
    """Output and gradients of a layer on energies [frames].

    Attributes:
        output: [frames].
        gradients: of the sum of the outputs, to ``input`` [frames] and to what the layer holds of ``alpha``, ``delta``,
            ``root`` and ``smooth`` [1]: for learned logarithms, to those.
    """

    output: Array
    gradients: dict[str, Array]

    @property
    def nan(self) -> float:
        """Share of NaN in the output."""
        return float(np.isnan(self.output).mean())

    @property
    def broken(self) -> list[str]:
        """Names of the arrays that are not finite: ``output``, and the gradients."""
        every = {"output": self.output, **self.gradients}
        return sorted(name for name, values in every.items() if not np.isfinite(values).all())


class _Torch:
    def __init__(self, module: Any, logs: bool) -> None:
        self.module, self.logs = module, logs

    def outcome(self, x: Array) -> TrialOutcome:
        """Output and gradients for energies [frames]."""
        import torch

        energies = torch.tensor(x)[None, None].requires_grad_()
        output = self.module(energies)
        named = dict(self.module.named_parameters())
        to_input, *others = torch.autograd.grad(output.sum(), [energies, *named.values()])
        gradients = {NAMES.get(n, n): g.numpy() for n, g in zip(named, others, strict=True)}
        return TrialOutcome(output.detach().numpy()[0, 0], {"input": to_input.numpy()[0, 0], **gradients})

    def raise_output(self, x: Array, rate: float) -> None:
        """One step of the framework's plain SGD, of delta alone, up the gradient of the sum of the outputs."""
        import torch

        optimizer = torch.optim.SGD([self.module.delta], rate)
        self.module.delta.grad = -torch.from_numpy(self.outcome(x).gradients["delta"])
        optimizer.step()

    def delta(self) -> float:
        """delta as the layer holds it, out of a learned logarithm."""
        held = self.module.delta.item()
        return float(np.exp(held) if self.logs else held)


class _Keras:
    def __init__(self, layer: Any) -> None:
        self.layer = layer

    def outcome(self, x: Array) -> TrialOutcome:
        import tensorflow as tf

        energies = tf.constant(x[None, :, None])
        with tf.GradientTape() as tape:
            tape.watch(energies)
            output = self.layer(energies)
            total = tf.reduce_sum(output)
        weights = self.layer.trainable_variables
        to_input, *others = tape.gradient(total, [energies, *weights])
        gradients = {w.name: g.numpy() for w, g in zip(weights, others, strict=True)}
        return TrialOutcome(output.numpy()[0, :, 0], {"input": to_input.numpy()[0, :, 0], **gradients})

    def raise_output(self, x: Array, rate: float) -> None:
        import keras

        gradient = -self.outcome(x).gradients["delta"]
        keras.optimizers.SGD(rate).apply_gradients([(keras.ops.convert_to_tensor(gradient), self.layer.delta)])

    def delta(self) -> float:
        return float(self.layer.delta.numpy()[0])


def layer(kind: str, delta: float = 2.0, floor: float = 1e-12, clamp: float | None = None) -> _Torch | _Keras:
    """PCEN with alpha 0.96, s 0.04, root 2.

    Args:
        kind: of ``KINDS``; ``leaf`` learns logarithms.
        delta, floor: see :class:`og_leaf.PCENLayer`.
        clamp: lower limit of the input, in the kinds that have one.

    Raises:
        ValueError: the kind refuses a value.
    """
    given: dict[str, Any] = {"alpha": 0.96, "smooth_coef": 0.04, "delta": delta, "root": 2.0, "floor": floor}
    if kind == "tf_leaf":
        import tf_leaf

        built = tf_leaf.PCENLayer(**given, trainable=True, learn_smooth_coef=True, per_channel_smooth_coef=True)
        built.build((None, None, 1))
        return _Keras(built)
    if kind == "og_leaf":
        import og_leaf

        module = og_leaf.PCENLayer(1, **given, trainable=True, learn_smooth_coef=True, per_channel_smooth_coef=True)
        return _Torch(module, logs=False)
    import leaf

    logs = kind == "leaf"
    pcen = leaf.PCEN(1, s=0.04, alpha=0.96, delta=delta, r=0.5, eps=floor, learn_logs=logs, clamp=clamp)
    return _Torch(pcen, logs)


def through_zero(pcen: _Torch | _Keras) -> tuple[float, TrialOutcome]:
    """A loss that wants louder features: SGD lowers delta, from 2, the faster the lower it is.

    Returns the last delta that was a number, and the outcome after ``STEPS`` steps.
    """
    last = pcen.delta()
    for _ in range(STEPS):
        pcen.raise_output(VARIED, RATE)
        last = last if np.isnan(pcen.delta()) else pcen.delta()
    return last, pcen.outcome(VARIED)


def at_delta(kind: str, delta: float) -> float:
    """Gradient of one frame's output to what the layer holds of delta; the energy behind the gain is 1."""
    return float(layer(kind, delta, floor=0.0).outcome(np.ones(1, np.float32)).gradients["delta"][0])


def over_silence(kind: str, floor: float, clamp: float | None = None) -> TrialOutcome:
    """Digital silence."""
    return layer(kind, floor=floor, clamp=clamp).outcome(np.zeros(8, np.float32))


def with_infinity(kind: str) -> TrialOutcome:
    """One infinite frame among others."""
    x = VARIED.copy()
    x[INFINITE] = np.inf
    return layer(kind).outcome(x)
