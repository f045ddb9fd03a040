"""The adapter of rung 3: EfficientLEAF with PCEN, exact where asked and approximate where configured."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

import efficientleaf
from parity.adapters import canonical
from parity.adapters.canonical import Variables
from parity.adapters.leaf import PlainAdapter, pcen_stages, plain_arguments, require_plain
from parity.adapters.rungs import reject_options
from parity.oracle.config import LeafConfig
from parity.oracle.geometry import Box, Geometry, Group

FULL_RATE = 1e-9  # a stride factor under which no group that responds to sound has a stride
OPTIONS = ("num_groups", "conv_win_factor", "stride_factor", "exact_for")


def exact_options(config: LeafConfig, variables: Variables) -> dict[str, float]:
    """Find the arguments that switch the approximation off: one group, full rate, the kernel as long as LEAF's.

    The kernel's length is ``int(factor max(sigma))``, so the factor follows the parameters, and parameters that move
    want another one.

    Raises:
        ValueError: a sigma is under LEAF's lower limit, where EfficientLEAF's clamp (half of it) is another function;
            or all filters are centred on 0 Hz, where its stride is as long as a frame.
    """
    box = Box.of_leaf(config.window)
    mu, sigma = variables[canonical.KERNEL].T
    if mu.max() <= np.pi * FULL_RATE:
        raise ValueError(
            f"variable {canonical.KERNEL!r}: largest mu {mu.max()}: must be above {np.pi * FULL_RATE:.2g} rad/sample; "
            "efficientleaf has no full rate at 0 Hz"
        )
    if sigma.min() < box.sigma_low:
        raise ValueError(
            f"variable {canonical.KERNEL!r}: sigma {sigma.min()}: must be at least {box.sigma_low:.6g}; efficientleaf "
            "clamps at half of that, leaf at that"
        )
    factor = (config.window + 0.5) / min(float(sigma.max()), box.sigma_high)
    return {"num_groups": 1, "conv_win_factor": factor, "stride_factor": FULL_RATE}


class EfficientLeafAdapter(PlainAdapter):
    """Reads and writes ``efficientleaf.EfficientLeaf`` with PCEN."""

    rung = "efficientleaf"

    def owns(self, module: Any) -> bool:
        return isinstance(module, efficientleaf.EfficientLeaf)

    def build(self, config: LeafConfig, dtype: str = "float32", **options: Any) -> efficientleaf.EfficientLeaf:
        """Build the frontend, see :meth:`Adapter.build`.

        Args:
            config: the frontend; ``padding="centered"`` alone.
            dtype: ``float32`` or ``float64``.
            **options: ``num_groups``, ``conv_win_factor``, ``stride_factor`` of the rung, or ``exact_for``, canonical
                variables for which :func:`exact_options` switches the approximation off.
        """
        reject_options("efficientleaf", options, OPTIONS)
        require_plain("efficientleaf", config)
        if config.padding != "centered":
            raise ValueError(
                f"padding={config.padding!r}: efficientleaf holds padding='centered' alone; pass padding='centered' to "
                "accept frames that are aligned otherwise"
            )
        if "exact_for" in options:
            options = exact_options(config, options["exact_for"])
        options = {"num_groups": min(4, config.n_filters), **options}
        module = efficientleaf.EfficientLeaf(**plain_arguments(config), **options)
        return module.to(getattr(torch, dtype)).eval()

    def forward_stages(self, module: Any, x: torch.Tensor) -> dict[str, torch.Tensor]:
        """Compute the stages at a group's own rate only where there is one group."""
        bank = module.filterbank
        groups = bank.groups()
        stages: dict[str, torch.Tensor] = {}
        if len(groups) == 1:
            group, n = groups[0], bank.n_filters
            convolved = bank.convolve(x[:, None], group)
            stages = {
                "filters": bank.filters(group).reshape(2, n, -1).transpose(0, 1),
                "windows": bank.windows(group).reshape(n, -1),
                "conv": convolved.reshape(x.shape[0], 2, n, -1).transpose(1, 2),
                "modulus": bank.modulus(convolved),
            }
        stages["pool"] = bank(x[:, None])
        return {**stages, **pcen_stages(module.compression, stages["pool"])}

    def geometry(self, module: Any, config: LeafConfig) -> Geometry:
        """Return the groups that the module itself has chosen; whether rightly, :mod:`parity.checks.plans` asks."""
        groups = tuple(Group(*numbers) for numbers in self.plan(module))
        return Geometry(config.window, config.stride, "centered", Box.of_efficientleaf(config.window), groups)

    def plan(self, module: Any) -> list[tuple[int, ...]]:
        """Return the groups as plain numbers: start, stop, kernel, stride, window, pooling stride."""
        return [
            (g.start, g.stop, g.kernel_size, g.conv_stride, g.window_size, g.pool_stride)
            for g in module.filterbank.groups()
        ]
