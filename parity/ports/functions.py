"""The adapter of a port that is a function: audio and parameters in, the output or its stages out, NumPy arrays all.

What is behind the function may be JAX, MLX, C++ or anything else. It has no gradients and no state to be looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from parity.adapters.canonical import Variables, expected_shapes
from parity.adapters.rungs import Adapter
from parity.oracle.config import LeafConfig
from parity.ports import layouts
from parity.ports.port import Port

Function = Callable[[np.ndarray, Variables], Any]


class Called:
    """A function with the parameters that it is called with."""

    def __init__(self, function: Function, config: LeafConfig) -> None:
        self.function, self.config = function, config
        self.variables: Variables = {}

    def __call__(self, x: np.ndarray) -> dict[str, np.ndarray]:
        """Audio [B, T] to stages, ``output`` among them.

        Raises:
            TypeError: no array, or stages without an output.
        """
        answer = self.function(x, {name: value.copy() for name, value in self.variables.items()})
        stages = dict(answer) if isinstance(answer, Mapping) else {"output": answer}
        if "output" not in stages:
            raise TypeError(f"stages={sorted(stages)}: must have 'output'")
        return {name: np.asarray(values) for name, values in stages.items()}


class FunctionAdapter(Adapter):
    """Calls one port.

    Args:
        port: whose ``build`` gives a function.
    """

    rung = "port"

    def __init__(self, port: Port) -> None:
        self.port = port
        self.axes: dict[str, layouts.Axes] = {}

    def owns(self, module: Any) -> bool:
        """See :meth:`Adapter.owns`."""
        return isinstance(module, Called)

    def build(self, config: LeafConfig, dtype: str = "float32", **options: Any) -> Called:
        """See :meth:`Adapter.build`; there are no options.

        Raises:
            TypeError: what was built cannot be called.
        """
        function = self.port.build(config)
        if not callable(function):
            raise TypeError(f"build(config) gave a {type(function).__name__}: must be a module or a function")
        return Called(function, config)

    def config(self, module: Any) -> LeafConfig:
        """See :meth:`Adapter.config`."""
        config: LeafConfig = module.config
        return config

    def read(self, module: Any) -> Variables:
        """See :meth:`Adapter.read`."""
        return dict(module.variables)

    def write(self, module: Any, variables: Variables) -> None:
        """See :meth:`Adapter.write`."""
        module.variables = {name: np.array(variables[name]) for name in expected_shapes(module.config)}

    def output(self, module: Any, x: np.ndarray) -> np.ndarray:
        """See :meth:`Adapter.output`."""
        return self.stages(module, x)["output"]

    def stages(self, module: Any, x: np.ndarray) -> dict[str, np.ndarray]:
        """See :meth:`Adapter.stages`; those that the function gives."""
        n = module.config.n_filters
        found = module(np.array({"bt": x, "b1t": x[:, None], "bt1": x[..., None]}[self.port.audio]))
        return {
            name: layouts.to_canonical(y, name, self.axes[name], n) if name in self.axes else y
            for name, y in found.items()
        }

    def gradients(self, module: Any, x: np.ndarray, cotangent: np.ndarray) -> dict[str, np.ndarray]:
        """See :meth:`Adapter.gradients`; a function has none that can be read."""
        return {}

    def find_layouts(self, module: Any, x: np.ndarray, reference: Mapping[str, np.ndarray]) -> None:
        """Find the axes of all stages that were not given.

        Raises:
            ValueError: the axes of a stage can be told neither by sizes nor by values.
        """
        for name, values in self.stages(module, x).items():
            if given := self.port.given_layout(name):
                self.axes[name] = layouts.parse(name, given)
            elif name in reference and name not in self.axes:
                self.axes[name] = layouts.find(values, reference[name], name, self.port.parts)
