"""Run a subject on the original or on rung 0: the same names and arguments, so one adapter for both.

Each is built by its own package, given the subject's variables by name, and run eagerly, with a tape. Where both run in
one process they see the same TensorFlow, of which ``tf.keras`` must then be Keras 2 (``TF_USE_LEGACY_KERAS=1``) for the
original, while rung 0 imports Keras 3 by its own name.
"""

from __future__ import annotations

import importlib
import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from parity.cases.public_names import public
from parity.cases.subjects import Subject
from parity.criteria.outcome import Array, Outcome

PACKAGES = ("tf_leaf", "leaf_audio")
REFUSALS = (ValueError, TypeError, AssertionError, AttributeError, ZeroDivisionError)
_NUMBERED = re.compile(r"\b(simple_rnn|simple_rnn_cell|conv2d|layer_normalization)_\d+(?=/|$)")
_TAPS = ("Conv1D", "FFTConv1D")


class Penalty:
    """The L1 and L2 penalty of Keras 2 in plain TensorFlow: an argument of either package, so the same for both."""

    def __init__(self, l1: float = 0.0, l2: float = 0.0) -> None:
        self.l1 = l1
        self.l2 = l2

    def __call__(self, x: Any) -> Any:
        tf = _tensorflow()
        total = tf.constant(0.0, x.dtype)
        if self.l1:
            total += self.l1 * tf.reduce_sum(tf.abs(x))
        if self.l2:
            total += 2.0 * self.l2 * tf.nn.l2_loss(x)
        return total


def run(subject: Subject, package: str) -> Outcome:
    """Run a subject on ``"tf_leaf"`` or ``"leaf_audio"``.

    Raises:
        ValueError: another package.
        ImportError: the package, or what it needs, is not installed.
    """
    if package not in PACKAGES:
        raise ValueError(f"package={package!r}: must be one of {PACKAGES}")
    tf = _tensorflow()
    for module in ("convolution", "frontend", "pooling", "postprocessing", "initializers", "utils"):
        importlib.import_module(f"{package}.{module}")
    try:
        return _Run(tf, subject, package).outcome()
    except (*REFUSALS, tf.errors.OpError) as refusal:
        return Outcome(refused=type(refusal).__name__)


def _tensorflow() -> Any:
    return importlib.import_module("tensorflow")


class _Run:
    def __init__(self, tf: Any, subject: Subject, package: str) -> None:
        self.tf = tf
        self.subject = subject
        self.package = package
        self.keras = importlib.import_module("keras") if package == "tf_leaf" else tf.keras
        self.own = subject.arguments

    def get(self, name: str) -> Any:
        """A public name of the package; its modules are not looked into, for rung 0 has more of them."""
        if self.package == "tf_leaf":
            return getattr(importlib.import_module("tf_leaf"), name)
        return getattr(importlib.import_module(f"{self.package}.{public(name).module}"), name)

    def outcome(self) -> Outcome:
        tf, subject = self.tf, self.subject
        arguments = {name: tf.constant(value) for name, value in subject.values(subject.tensors).items()}
        x = tf.constant(subject.input()) if subject.takes_input else None
        call, layer = self.build()
        if layer is not None:
            call(x, **arguments)  # the original's layers make their variables when they are first called
        held = {_canonical_name(v, layer): v for v in (layer.weights if layer is not None else [])}
        for name, value in subject.values({name: tuple(v.shape) for name, v in held.items()}).items():
            held[name].assign(value)
        trained = (
            {} if layer is None else {_canonical_name(v, layer): _variable(tf, v) for v in layer.trainable_weights}
        )
        watched = {**({} if x is None else {"input": x}), **arguments}
        sources = {**watched, **trained}
        differentiable = "gradient" in public(subject.name).properties
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(list(watched.values()) if differentiable else [])
            output = call(x, **arguments)
            extra = []
            if isinstance(output, tuple):  # of fft_conv1d
                output, *extra = output
            if _is_complex(output):
                output = tf.stack([tf.math.real(output), tf.math.imag(output)], axis=-1)
            losses = [*extra, *(layer.losses if layer is not None else [])]
        recorded = np.asarray(output)
        variables = {name: np.asarray(v) for name, v in [*arguments.items(), *held.items()]}
        if not differentiable:
            return Outcome(recorded, variables)
        try:
            return self._differentiated(tape, sources, output, losses, recorded, variables)
        except tf.errors.OpError as refusal:
            return Outcome(recorded, variables, gradient_refused=type(refusal).__name__)

    def _differentiated(
        self,
        tape: Any,
        sources: dict[str, Any],
        output: Any,
        losses: list[Any],
        recorded: Array,
        variables: dict[str, Array],
    ) -> Outcome:
        tf = self.tf
        seeds = tf.constant(self.subject.cotangent(recorded.shape))
        gradients = tape.gradient(output, sources, seeds, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        found = {name: np.asarray(tf.convert_to_tensor(g)) for name, g in gradients.items()}
        if not losses:
            return Outcome(recorded, variables, found)
        total = np.float32(math.fsum(float(loss) for loss in losses))  # whatever the order that Keras lists them in
        each = [tape.gradient(loss, sources) for loss in losses]
        penalties = {
            name: np.asarray(sum(np.float64(np.asarray(g[name])) for g in each if g[name] is not None), np.float32)
            for name in sources
            if any(g[name] is not None for g in each)
        }
        return Outcome(recorded, variables, found, np.asarray(total), penalties)

    def build(self) -> tuple[Callable[..., Any], Any]:
        """The function of the input and other arguments, and the Keras layer in it, if there is one."""
        name, own, tf = self.subject.name, self.own, self.tf
        kind = public(name).kind
        if kind == "initializer":
            made = self.get(name)(**self.window_type(own))
            return (lambda _: made(self.subject.shape, dtype="float32")), None
        if name == "Gabor":
            what = own.pop("property")
            return (lambda _: getattr(self.get(name)(**own), what)), None
        if name == "window":
            return (lambda _: self.get(name)(**self.window_type(own))), None
        if name in ("hz2mel", "mel2hz"):
            return (lambda x: self.get(name)(x.numpy())), None
        if name == "amplitude":
            return (lambda x: self.get(name)(tf.complex(x[..., 0], x[..., 1]), **own)), None
        if name == "gabor_impulse_response":
            return (lambda x, **tensors: self.get(name)(x, **tensors)), None
        if kind == "function":
            settings = {k: v for k, v in own.items() if k not in ("n_filters", "kernel_size")}
            return (lambda x, **tensors: self.get(name)(x, *tensors.values(), **settings)), None
        if kind == "constraint":
            return self.get(name)(**own), None
        layer = self.layer(name, own)
        return layer, layer

    def layer(self, name: str, own: dict[str, Any]) -> Any:
        """The layer or frontend of these settings."""
        if public(name).kind == "frontend":
            return self.frontend(name, own)
        if name == "SquaredModulus":
            return self.get(name)()
        regularizer = self.regularizer(own.pop("regularizer", None))
        if "kernel_initializer" in own:
            own["kernel_initializer"] = self.initializer(own["kernel_initializer"])
            own["kernel_regularizer"] = regularizer
        if name == "FFTConv1D":
            own["activation"] = None if own["activation"] == "none" else own["activation"]
        elif name.endswith("Conv1D"):
            own.update(input_shape=(None, None, 1), name="conv")
        return self.get(name)(**own)

    def frontend(self, name: str, own: dict[str, Any]) -> Any:
        if name == "MelFilterbanks":
            own["compression_fn"] = self.compression(own.pop("compression"))
            return self.get(name)(**own)
        own["regularizer_fn"] = self.regularizer(own.pop("regularizer"))
        for setting in ("complex_conv_init", "pooling_init"):
            if setting in own:
                own[setting] = self.initializer(own[setting])
        if name == "Leaf":
            conv = own["conv1d_cls"]
            own["conv1d_cls"] = self.keras.layers.Conv1D if conv == "Conv1D" else self.get(conv)
            own["pooling_cls"] = self.get(own["pooling_cls"])
            own["activation"] = self.activation(own["activation"])
            own["compression_fn"] = self.compression(own.pop("compression"))
        return self.get(name)(**own)

    def regularizer(self, penalties: tuple[tuple[str, float], ...] | None) -> Penalty | None:
        return None if penalties is None else Penalty(**dict(penalties))

    def initializer(self, kind: Any) -> Any:
        if isinstance(kind, tuple):
            return self.keras.initializers.Constant(kind[1])
        made: dict[str, Callable[[], Any]] = {
            "gabor": lambda: self.get("GaborInit")(sample_rate=16000, min_freq=60.0, max_freq=7800.0),
            "sinc": lambda: self.get("SincInit")(),
            "lowpass": lambda: self.get("LowpassInit")(),
            "preemp": lambda: self.get("PreempInit")(),
            "zeros": lambda: "zeros",
        }
        return made[kind]()

    def activation(self, kind: str) -> Any:
        slope = "negative_slope" if self.package == "tf_leaf" else "alpha"
        made: dict[str, Callable[[], Any]] = {
            "squared_modulus": lambda: self.get("SquaredModulus")(),
            "leaky_relu": lambda: self.keras.layers.LeakyReLU(**{slope: 0.2}),
            "relu": lambda: self.tf.nn.relu,
            "none": lambda: self.tf.identity,
        }
        return made[kind]()

    def compression(self, kind: str) -> Any:
        if kind in ("none", "log"):
            return self.get("log_compression") if kind == "log" else self.tf.identity
        if kind == "layer_norm":
            of_keras_2 = self.package == "leaf_audio"
            return self.keras.layers.LayerNormalization() if of_keras_2 else self.get("LayerNormalization")()
        if kind == "frozen_pcen":
            return self.get("PCENLayer")()
        return self.get("PCENLayer")(
            alpha=0.96, smooth_coef=0.04, delta=2.0, floor=1e-12, trainable=True,
            learn_smooth_coef=kind != "fixed_pcen", per_channel_smooth_coef=kind == "pcen",
        )  # fmt: skip

    def window_type(self, own: dict[str, Any]) -> dict[str, Any]:
        if "window_type" in own:
            own["window_type"] = self.get("WindowType")[own["window_type"]]
        return own


def _is_complex(output: Any) -> bool:
    return bool(getattr(output, "dtype", None) in ("complex64", "complex128"))


def _canonical_name(variable: Any, layer: Any) -> str:
    """Its name without the scope of the layer or model itself, ``:0`` and Keras' numbers."""
    name = str(getattr(variable, "path", variable.name)).split(":")[0].removeprefix(layer.name + "/")
    if not _keeps_scope(layer):  # Keras 3 has a layer's name before variables that its constructor makes
        name = name.removeprefix("tfbanks_complex_conv/")
    return _NUMBERED.sub(r"\1", name)


def _keeps_scope(layer: Any) -> bool:
    return type(getattr(layer, "_complex_conv", None)).__name__ in _TAPS


def _variable(tf: Any, variable: Any) -> Any:
    return variable if isinstance(variable, tf.Variable) else variable.value
