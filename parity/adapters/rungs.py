"""The ladder as data: each rung, what it stands on, what can be read off it, and the adapter that reads it."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from parity.adapters.base import Adapter


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
        """The rung's adapter; imports its framework.

        Raises:
            ImportError: the framework is not installed.
        """
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


def rung_of(module: Any) -> Rung:
    """The rung that a module belongs to, told by its class; imports no framework that the module did not bring.

    Raises:
        TypeError: no rung has such a module.
    """
    packages = {cls.__module__.split(".")[0] for cls in type(module).__mro__}
    for name in ("efficientleaf", "leaf", "og_leaf", "tf_leaf"):
        if name in packages:
            rung = RUNGS[name]
            if rung.load_adapter().owns(module):
                return rung
    allowed = "tf_leaf.Leaf, og_leaf.Leaf, leaf.Leaf or efficientleaf.EfficientLeaf"
    raise TypeError(f"module={type(module).__module__}.{type(module).__qualname__}: must be a {allowed}")
