"""The ladder as data, and the interface by which every rung is built and read: adapters.

An adapter maps one rung to the canonical form. The part that every PyTorch rung shares is here, too.
"""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import numpy as np

from parity.adapters.canonical import Variables, checked, expected_shapes, require_fit
from parity.oracle.config import LeafConfig
from parity.oracle.geometry import Geometry

if TYPE_CHECKING:
    import torch

Result = TypeVar("Result")


@dataclass(frozen=True)
class Rung:
    """One implementation of LEAF.

    Attributes:
        name: its package.
        level: its place on the ladder, 0 at the bottom.
        title: what it is, in a few words.
        framework: ``tensorflow`` or ``torch``: what must be installed.
        reference: what it is certified against.
        stages: the stages that can be read off it, in the order of the computation.
        adapter: ``module:class`` of its adapter.
        subtracts: its PCEN subtracts ``delta^r``, as the original does, and loses digits of a weak signal by it.
    """

    name: str
    level: int
    title: str
    framework: str
    reference: str
    stages: tuple[str, ...]
    adapter: str
    subtracts: bool = False

    def load_adapter(self) -> Adapter:
        """Make the rung's adapter; raises ImportError where its framework is not installed."""
        module, _, name = self.adapter.partition(":")
        adapter: Adapter = getattr(importlib.import_module(module), name)()
        return adapter


_STAGES = ("filters", "windows", "conv", "modulus", "pool", "floor", "ema", "pcen", "norm", "output")

RUNGS: dict[str, Rung] = {
    rung.name: rung
    for rung in (
        Rung("tf_leaf", 0, "LEAF on today's TensorFlow", "tensorflow", "original", ("mel", "init", *_STAGES),
             "parity.adapters.tf_leaf:TfLeafAdapter", subtracts=True),
        Rung("og_leaf", 1, "1:1 PyTorch port", "torch", "tf_leaf", ("mel", "init", *_STAGES),
             "parity.adapters.og_leaf:OgLeafAdapter", subtracts=True),
        Rung("leaf", 2, "simplified LEAF", "torch", "og_leaf",
             ("init", *(s for s in _STAGES if s != "norm")), "parity.adapters.leaf:LeafAdapter"),
        Rung("efficientleaf", 3, "EfficientLEAF", "torch", "leaf",
             ("init", *(s for s in _STAGES if s != "norm")), "parity.adapters.efficientleaf:EfficientLeafAdapter"),
    )
}  # fmt: skip


def rung_of(module: Any, argument: str = "module") -> Rung:
    """Find the rung of a module by its class; imports no framework that the module did not bring.

    Raises TypeError where no rung has such a module; names the ``argument`` that it is.
    """
    packages = {cls.__module__.split(".")[0] for cls in type(module).__mro__}
    for name in ("efficientleaf", "leaf", "og_leaf", "tf_leaf"):
        if name in packages:
            rung = RUNGS[name]
            if rung.load_adapter().owns(module):
                return rung
    allowed = "tf_leaf.Leaf, og_leaf.Leaf, leaf.Leaf or efficientleaf.EfficientLeaf"
    raise TypeError(f"{argument}={type(module).__module__}.{type(module).__qualname__}: must be a {allowed}")


class Adapter(ABC):
    """Maps one rung to the canonical form: its parameters to the original's variables, its layout to [B, C, time].

    Attributes:
        rung: name of the rung.
    """

    rung: ClassVar[str]

    @abstractmethod
    def owns(self, module: Any) -> bool:
        """Tell whether the module is this rung's."""

    @abstractmethod
    def build(self, config: LeafConfig, dtype: str = "float32", **options: Any) -> Any:
        """Build a fresh module of the rung; refuse with a ValueError a configuration that it cannot hold, by name."""

    @abstractmethod
    def config(self, module: Any) -> LeafConfig:
        """Read the configuration off a module."""

    def shapes(self, module: Any) -> dict[str, tuple[int, ...]]:
        """Canonical name and shape of every variable that the module holds."""
        return expected_shapes(self.config(module))

    @abstractmethod
    def read(self, module: Any) -> Variables:
        """Read the module's parameters, by canonical names and shapes."""

    @abstractmethod
    def write(self, module: Any, variables: Variables) -> None:
        """Set the module's parameters from checked canonical variables, all of them or none.

        Refuse with a ValueError a value that the module cannot hold; names the variable, the value and what is allowed.
        """

    @abstractmethod
    def output(self, module: Any, x: np.ndarray) -> np.ndarray:
        """Run the module on audio [B, T], in evaluation mode: [B, C, frames]."""

    @abstractmethod
    def stages(self, module: Any, x: np.ndarray) -> dict[str, np.ndarray]:
        """Compute every stage that the rung has, in the canonical layout."""

    def stage(self, module: Any, x: np.ndarray, name: str) -> np.ndarray:
        """Compute one of :meth:`stages`, without those behind it where the rung can stop there."""
        return self.stages(module, x)[name]

    @abstractmethod
    def gradients(self, module: Any, x: np.ndarray, cotangent: np.ndarray) -> dict[str, np.ndarray]:
        """Compute the gradient of ``sum(cotangent * output)``: ``input`` [B, T] and each trainable variable."""

    def arrays(self, module: Any, x: np.ndarray, cotangent: np.ndarray) -> dict[str, np.ndarray]:
        """Stages and gradients, whose names are never the same."""
        return {**self.stages(module, x), **self.gradients(module, x, cotangent)}

    def filled(self, config: LeafConfig, variables: Mapping[str, Any], dtype: str = "float32", **options: Any) -> Any:
        """Build a module with these weights, by any of their names; raises as :meth:`build` and ``checked``."""
        module = self.build(config, dtype, **options)
        self.write(module, checked(variables, config))
        return module

    def geometry(self, module: Any, config: LeafConfig) -> Geometry | None:
        """Return the oracle's geometry of a module, where it is not LEAF's own."""
        return None


@dataclass(frozen=True)
class Entry:
    """One canonical variable as tensors of a PyTorch module: one tensor, or one a column.

    Attributes:
        tensors: the module's parameters or buffers.
        shape: the canonical shape.
        log_sign: 1 where the module holds the logarithm of the canonical value, -1 where it holds that of its
            inverse, 0 where it holds the value.
        reverse: the module has the canonical axes the other way round.
    """

    tensors: tuple[torch.Tensor, ...]
    shape: tuple[int, ...]
    log_sign: int = 0
    reverse: bool = False

    def assemble(self, values: Sequence[torch.Tensor]) -> np.ndarray:
        """Make the canonical array from one value a tensor."""
        arrays = [_numpy(v) for v in values]
        joined = arrays[0] if len(arrays) == 1 else np.stack(arrays, axis=1)
        joined = joined.transpose() if self.reverse else joined
        return np.array(joined.reshape(self.shape))

    def value(self) -> np.ndarray:
        """Return the canonical array."""
        held = self.assemble(self.tensors)
        # in float64, rounded once
        return np.exp(self.log_sign * held.astype(np.float64)).astype(held.dtype) if self.log_sign else held

    def gradient(self, gradients: Sequence[torch.Tensor]) -> np.ndarray:
        """Make the gradient to the canonical array from those to the tensors."""
        own = self.assemble(gradients)
        return own * self.log_sign / self.value() if self.log_sign else own

    def check(self, name: str, array: np.ndarray) -> None:
        """Refuse with a ValueError values that the tensors cannot hold; names the variable and the value."""
        require_fit(name, array, str(self.tensors[0].dtype).removeprefix("torch."))
        if self.log_sign and array.min() <= 0:
            raise ValueError(f"variable {name!r}: value {array.min()}: must be above 0, its logarithm is learned")

    def assign(self, array: np.ndarray) -> None:
        """Copy the canonical array into the tensors, in their dtype and on their device."""
        import torch

        if self.log_sign:
            array = self.log_sign * np.log(array.astype(np.float64))
        with torch.no_grad():
            for tensor, values in zip(self.tensors, self.columns(array), strict=True):
                tensor.copy_(values)

    def columns(self, array: np.ndarray) -> list[torch.Tensor]:
        """Return the canonical array as new tensors like these."""
        import torch

        array = array.transpose() if self.reverse else array
        columns = [array] if len(self.tensors) == 1 else list(array.T)
        return [
            torch.tensor(values, dtype=tensor.dtype, device=tensor.device).reshape(tensor.shape)
            for tensor, values in zip(self.tensors, columns, strict=True)
        ]


class TorchAdapter(Adapter):
    """Everything about a PyTorch rung that follows from its table of parameters."""

    @abstractmethod
    def entries(self, module: Any) -> dict[str, Entry]:
        """List the module's parameters by canonical name."""

    def trained(self, module: Any) -> dict[str, Entry]:
        """List the parameters that are learned, by canonical name."""
        return {n: e for n, e in self.entries(module).items() if all(t.requires_grad for t in e.tensors)}

    @abstractmethod
    def forward_stages(self, module: Any, x: torch.Tensor) -> dict[str, torch.Tensor]:
        """Compute every stage of the forward pass on audio [B, T], in the canonical layout."""

    def read(self, module: Any) -> Variables:
        return {name: entry.value() for name, entry in self.entries(module).items()}

    def write(self, module: Any, variables: Variables) -> None:
        entries = self.entries(module)
        for name, entry in entries.items():
            entry.check(name, variables[name])
        for name, entry in entries.items():
            entry.assign(variables[name])

    def output(self, module: Any, x: np.ndarray) -> np.ndarray:
        return self._without_training(module, lambda: _numpy(module(self._audio(module, x))))

    def stages(self, module: Any, x: np.ndarray) -> dict[str, np.ndarray]:
        """``output`` is the module's own call, not the last stage."""
        return {**self.inner_stages(module, x), "output": self.output(module, x)}

    def inner_stages(self, module: Any, x: np.ndarray) -> dict[str, np.ndarray]:
        """Compute every stage before the output."""
        found = self._without_training(module, lambda: self.forward_stages(module, self._audio(module, x)))
        return {name: _numpy(stage) for name, stage in found.items()}

    def stage(self, module: Any, x: np.ndarray, name: str) -> np.ndarray:
        """Compute one stage; the module's own call is left out."""
        return self.output(module, x) if name == "output" else self.inner_stages(module, x)[name]

    def autocast_stages(self, module: Any, x: np.ndarray) -> dict[str, np.ndarray]:
        """Compute the stages under torch's autocast to bfloat16, as float32 numbers."""
        import torch

        def run() -> dict[str, np.ndarray]:
            audio = self._audio(module, x)
            with torch.no_grad(), torch.autocast(audio.device.type, dtype=torch.bfloat16):
                stages = {**self.forward_stages(module, audio), "output": module(audio)}
            return {name: stage.float().cpu().numpy() for name, stage in stages.items()}

        return self._without_training(module, run)

    def gradients(self, module: Any, x: np.ndarray, cotangent: np.ndarray) -> dict[str, np.ndarray]:
        return self.differentiated(module, x, cotangent)[1]

    def differentiated(
        self, module: Any, x: np.ndarray, cotangent: np.ndarray
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Compute the output of the module's own call, and the gradients."""
        import torch

        def run() -> tuple[np.ndarray, dict[str, np.ndarray]]:
            audio = self._audio(module, x).requires_grad_()
            entries = self.trained(module)
            tensors = [t for entry in entries.values() for t in entry.tensors]
            output = module(audio)
            seeds = torch.as_tensor(cotangent, dtype=output.dtype)
            grads = iter(torch.autograd.grad(output, [audio, *tensors], seeds, materialize_grads=True))
            out = {"input": _numpy(next(grads))}
            for name, entry in entries.items():
                out[name] = entry.gradient([next(grads) for _ in entry.tensors])
            return _numpy(output), out

        return self._without_training(module, run)

    def _audio(self, module: Any, x: np.ndarray) -> torch.Tensor:
        import torch

        like = next(module.parameters())
        # a copy: a module that writes into its input must not reach the caller's array
        return torch.tensor(x, dtype=like.dtype, device=like.device)

    @staticmethod
    def _without_training(module: Any, run: Callable[[], Result]) -> Result:
        """Run in evaluation mode and put the module's own mode back."""
        training = module.training
        module.eval()
        try:
            return run()
        finally:
            module.train(training)


def _numpy(tensor: torch.Tensor) -> np.ndarray:
    return np.asarray(tensor.detach().cpu().numpy())


def reject_options(rung: str, options: dict[str, Any], allowed: tuple[str, ...] = ()) -> None:
    """Refuse with a ValueError the options that a rung does not have."""
    unknown = sorted(set(options) - set(allowed))
    if unknown:
        raise ValueError(f"options={unknown}: {rung} allows {list(allowed) or 'none'}")
