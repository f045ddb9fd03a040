"""Run a subject on rung 1, ``og_leaf``, with the outcome in the original's layout and names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

import og_leaf
from og_leaf.regularizers import Regularized
from parity.adapters import composed, layouts
from parity.cases.public_names import public
from parity.cases.subjects import Subject
from parity.criteria.outcome import Array, Outcome, real_parts

# A kernel's axes in PyTorch's order, by its rank: [taps, in, out] and [1, taps, C, 1]; the others are alike.
_AXES = {3: (2, 1, 0), 4: (2, 0, 3, 1)}
# of layers by themselves; a frontend's are those of a state dict
_OF_LAYERS = {
    "_kernel": "kernel",
    "weight": "kernel",
    "_bias": "bias",
    "_weights": "smooth",
    "ema._weights": "EMA/smooth",
    "ema.input_weights": "simple_rnn/simple_rnn_cell/kernel",
    "ema.recurrent_weights": "simple_rnn/simple_rnn_cell/recurrent_kernel",
}
REFUSALS = (ValueError, TypeError, RuntimeError, AttributeError, IndexError)


def run(subject: Subject, dtype: str = "float32", variables: Mapping[str, Array] | None = None) -> Outcome:
    """Run a subject on ``og_leaf``.

    Args:
        subject: what to run.
        dtype: ``"float32"`` or ``"float64"``, of everything.
        variables: values in place of the subject's own, by canonical name, such as those that another implementation
            held; what is not there is the subject's.
    """
    try:
        return _Run(subject, getattr(torch, dtype), variables or {}).outcome()
    except REFUSALS as refusal:
        return Outcome(refused=type(refusal).__name__)


def build(subject: Subject, dtype: str = "float32") -> torch.nn.Module:
    """Build the layer, constraint or frontend of a subject, with its initialisers' weights; refuse other names."""
    _, module = _Run(subject, getattr(torch, dtype), {}).build()
    if module is None:
        raise ValueError(f"subject {subject}: must be a layer, a constraint or a frontend")
    return module


def canonical_names(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    """List the module's parameters and persistent buffers by the original's names."""
    layer = {**_OF_LAYERS, "kernel": "conv2d/kernel"} if isinstance(module, og_leaf.LearnablePooling1D) else _OF_LAYERS
    return {
        layouts.state_dict_name(name, tuple(tensor.shape)) or layer.get(name, name): tensor
        for name, tensor in module.state_dict(keep_vars=True).items()
    }


def to_original(values: torch.Tensor) -> Array:
    """Put a kernel in the original's order of axes."""
    array = np.asarray(values.detach().numpy())
    return array.transpose(np.argsort(_AXES[array.ndim])) if array.ndim in _AXES else array


def from_original(array: Array) -> Array:
    """Put a kernel in PyTorch's order of axes."""
    return array.transpose(_AXES[array.ndim]) if array.ndim in _AXES else array


class _Run:
    def __init__(self, subject: Subject, dtype: torch.dtype, given: Mapping[str, Array]) -> None:
        self.subject = subject
        self.dtype = dtype
        self.given = given
        self.own = subject.arguments
        self.kind = public(subject.name).kind
        self.module: Any = None  # what :meth:`outcome` has run

    def outcome(self) -> Outcome:
        subject = self.subject
        call, module = self.build()
        self.module = module
        arguments = {name: self.tensor(value) for name, value in self.values(subject.tensors).items()}
        x = self.input() if subject.takes_input else None
        held = {} if module is None else canonical_names(module)
        shapes = {name: to_original(tensor).shape for name, tensor in held.items()}
        with torch.no_grad():
            for name, value in self.values(shapes).items():
                held[name].copy_(self.tensor(from_original(value)))
        differentiable = "gradient" in public(subject.name).properties
        watched = {**({} if x is None else {"input": x}), **arguments}
        if differentiable:
            for tensor in watched.values():
                tensor.requires_grad_()
        sources = {**watched, **{name: tensor for name, tensor in held.items() if tensor.requires_grad}}
        output = call(x, **arguments)
        losses = None
        if isinstance(output, tuple):  # of fft_conv1d
            output, losses = output
        elif module is not None and _is_penalised(module):
            penalised: Any = module
            losses = penalised.regularization_loss()
        recorded = self.output(output)
        copies = {name: np.array(value.detach().numpy()) for name, value in arguments.items()}
        variables = {**copies, **{name: np.array(to_original(value)) for name, value in held.items()}}
        if not differentiable:
            return Outcome(real_parts(recorded.detach().numpy()), variables)
        parts = torch.view_as_real(recorded) if recorded.is_complex() else recorded
        seeds = self.tensor(subject.cotangent(tuple(parts.shape)))
        gradients = self.gradients(parts, sources, seeds)
        found = {name: np.zeros_like(self.original(name, s)) for name, s in sources.items()} | gradients
        if losses is None:
            return Outcome(np.array(parts.detach().numpy()), variables, found)
        penalties = self.gradients(losses, sources, torch.ones_like(losses))
        return Outcome(np.array(parts.detach().numpy()), variables, found, losses.detach().numpy(), penalties)

    def gradients(
        self, output: torch.Tensor, sources: Mapping[str, torch.Tensor], seeds: torch.Tensor
    ) -> dict[str, Array]:
        """Compute gradients to the sources that the output depends on, in the original's layout."""
        if not output.requires_grad:
            return {}
        found = torch.autograd.grad(output, list(sources.values()), seeds, retain_graph=True, allow_unused=True)
        return {n: np.array(self.original(n, g)) for n, g in zip(sources, found, strict=True) if g is not None}

    def values(self, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Array]:
        """Return the subject's values, or the given ones."""
        drawn = self.subject.values(shapes)
        return {**drawn, **{name: np.asarray(self.given[name]) for name in shapes if name in self.given}}

    def tensor(self, array: Array) -> torch.Tensor:
        return torch.tensor(np.ascontiguousarray(array), dtype=self.dtype)

    def input(self) -> torch.Tensor:
        """Return the input as the original has it: a leaf of the graph, whose gradient is then in that layout."""
        x = self.subject.input()
        return torch.tensor(x) if self.subject.name == "upper_power_of_2" else self.tensor(x)

    def original(self, name: str, value: torch.Tensor) -> Array:
        """Return a source's value or gradient: inputs and arguments lie as the original's anyway."""
        own = name == "input" or name in self.subject.tensors
        return np.asarray(value.detach().numpy()) if own else to_original(value)

    def output(self, value: Any) -> torch.Tensor:
        """Return the output in the original's layout."""
        if not isinstance(value, torch.Tensor):
            return torch.as_tensor(np.asarray(value))
        turned = self.kind in ("frontend", "layer") or self.subject.name in ("fft_conv1d", "overlap_add_conv1d")
        if turned and value.dim() == 3:
            return value.transpose(1, 2)
        if self.subject.name in ("sinc_filters", "sinc_impulse_response"):
            return value.T
        turned = self.kind == "initializer" or self.subject.name == "gaussian_lowpass"
        return value.permute(*np.argsort(_AXES[value.dim()])) if turned and value.dim() in _AXES else value

    def build(self) -> tuple[Callable[..., Any], torch.nn.Module | None]:
        """Make the function of the input and other arguments in the original's layout, and the module in it."""
        name, own = self.subject.name, dict(self.own)
        made = getattr(og_leaf, name)
        if "window_type" in own:
            own["window_type"] = og_leaf.WindowType[own["window_type"]]
        if self.kind == "initializer":
            shape = self.subject.shape
            axes = _AXES.get(len(shape), range(len(shape)))
            return (lambda _: made(**own)(tuple(shape[axis] for axis in axes), dtype=self.dtype)), None
        if name == "Gabor":
            what = own.pop("property")
            return (lambda _: getattr(made(dtype=self.dtype, **own), what)), None
        if name == "window":
            return (lambda _: made(**own)), None
        if self.kind == "function":
            return self.function(name, made, own), None
        if self.kind == "constraint":
            module = made(**own)
            return module, module
        module = self.layer(name, own).train(False)
        return (lambda x, **tensors: module(x.transpose(1, 2) if x.dim() == 3 else x, **tensors)), module

    def function(self, name: str, made: Any, own: dict[str, Any]) -> Callable[..., Any]:
        settings = {k: v for k, v in own.items() if k not in ("n_filters", "kernel_size")}
        if name == "upper_power_of_2":
            return lambda x: np.array([made(n) for n in x.tolist()], dtype=np.int32)
        if name in ("hz2mel", "mel2hz"):
            return lambda x: made(x.numpy())
        if name == "amplitude":
            return lambda x: made(torch.view_as_complex(x).T, **settings)
        if name in ("fft_conv1d", "overlap_add_conv1d"):
            return lambda x, filters: made(x.transpose(1, 2), filters.permute(2, 1, 0), **settings)
        if name.startswith("sinc"):
            return lambda x, **tensors: made(x.T, *(t.T for t in tensors.values()), **settings)
        if name == "gaussian_lowpass":
            return lambda x: made(x.permute(*_AXES[4]), **settings)
        return lambda x, **tensors: made(x, **tensors, **settings)

    def layer(self, name: str, own: dict[str, Any]) -> Any:
        """Build the module of these settings, by the original's arguments and ``num_channels``."""
        made = getattr(og_leaf, name)
        if name in ("SquaredModulus", "SpecAugment"):
            return made(**own)
        own["dtype"] = self.dtype
        if self.kind == "frontend":
            return self.frontend(name, own)
        if "regularizer" in own:
            own["kernel_regularizer"] = _regularizer(own.pop("regularizer"))
            own["kernel_initializer"] = _initializer(own["kernel_initializer"])
        if name == "FFTConv1D":
            own["activation"] = ACTIVATIONS[own["activation"]]()
        if not name.endswith("Conv1D"):
            own["num_channels"] = self.subject.shape[-1]
        return made(**own)

    def frontend(self, name: str, own: dict[str, Any]) -> Any:
        made = getattr(og_leaf, name)
        if name == "MelFilterbanks":
            kind = own.pop("compression")
            own["compression_fn"] = og_leaf.log_compression if kind == "log" else torch.nn.Identity()
            return made(**own)
        own["regularizer_fn"] = _regularizer(own.pop("regularizer"))
        for setting in ("complex_conv_init", "pooling_init"):
            if setting in own:
                own[setting] = _initializer(own[setting])
        if name == "Leaf":
            own["num_channels"] = composed.width(own)
            own["conv1d_cls"] = getattr(og_leaf, own["conv1d_cls"])
            own["pooling_cls"] = getattr(og_leaf, own["pooling_cls"])
            own["activation"] = ACTIVATIONS[own["activation"]]()
            own["compression_fn"] = self.compression(own.pop("compression"), own["num_channels"])
        return made(**own)

    def compression(self, kind: str, n: int) -> Any:
        if kind in ("none", "log"):
            return og_leaf.log_compression if kind == "log" else None
        if kind == "layer_norm":
            return og_leaf.LayerNormalization(n, dtype=self.dtype)
        pcen = composed.compressions(kind)
        return og_leaf.PCENLayer(n, **pcen, trainable=kind != "frozen_pcen", dtype=self.dtype)


def _regularizer(penalties: tuple[tuple[str, float], ...] | None) -> Any:
    return None if penalties is None else og_leaf.L1L2(**dict(penalties))


def _initializer(kind: Any) -> Any:
    if isinstance(kind, tuple):
        return og_leaf.Constant(kind[1])
    return INITIALIZERS[kind]()


INITIALIZERS: dict[str, Callable[[], Any]] = {
    "gabor": lambda: og_leaf.GaborInit(sample_rate=16000, min_freq=60.0, max_freq=7800.0),
    "sinc": og_leaf.SincInit,
    "lowpass": og_leaf.LowpassInit,
}
ACTIVATIONS: dict[str, Callable[[], Any]] = {
    "squared_modulus": og_leaf.SquaredModulus,
    "leaky_relu": lambda: og_leaf.LeakyReLU(alpha=0.2),
    "relu": torch.nn.ReLU,
    "none": torch.nn.Identity,
}


def _is_penalised(module: Any) -> bool:
    """Tell whether Keras would list a loss for the module."""
    parts = [part for part in module.modules() if isinstance(part, Regularized)]
    preemp = getattr(module, "_preemp_conv", None) is not None and module._preemp_regularizer is not None
    return preemp or any(part.kernel_regularizer is not None for part in parts)
