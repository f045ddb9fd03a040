"""A state dict of ``leaf`` or ``efficientleaf`` in a module of theirs: tensor by tensor, with any compression."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from parity.adapters import layouts
from parity.adapters.canonical import require_finite, require_fit
from parity.adapters.refusals import SIMPLIFIED
from parity.adapters.rungs import rung_of

if TYPE_CHECKING:
    from torch import nn

    import leaf
    from parity.weights.frontends import FrontendConfig


def same_form(module: nn.Module, held: Mapping[str, NDArray[Any]]) -> bool:
    """Whether PCEN's parameters are held as the module holds them, logarithms or values; others have one form."""
    logs = layouts.holds_logarithms(held)
    return logs in (None, getattr(module.compression, "learn_logs", logs))


def same_class(module: Any, source: Any) -> bool:
    """Whether both are of ``leaf`` or ``efficientleaf`` and have tensors of the same names that mean the same."""
    if not all(rung_of(frontend).name in SIMPLIFIED for frontend in (module, source)):
        return False
    forms = [getattr(frontend.compression, "learn_logs", None) for frontend in (module, source)]
    return forms[0] == forms[1] and set(module.state_dict()) == set(source.state_dict())


def load_own(module: nn.Module, held: Mapping[str, NDArray[Any]]) -> None:
    """Set every tensor of a module from a state dict of its names; all of them or none.

    Raises:
        TypeError: a value is no array of real numbers.
        ValueError: a name is missing or not expected, or a value is misshapen, NaN, infinite or too large; names it.
    """
    import torch

    own = module.state_dict(keep_vars=True)
    missing, extra = sorted(set(own) - set(held)), sorted(set(held) - set(own))
    if missing or extra:
        raise ValueError(
            f"variables do not match the module: missing {missing or 'none'}, not expected {extra or 'none'}; "
            f"allowed are {sorted(own)}"
        )
    for name, tensor in own.items():
        array = held[name]
        require_finite(name, array)
        if array.shape != tuple(tensor.shape):
            raise ValueError(f"variable {name!r}: shape {array.shape}, must be {tuple(tensor.shape)}")
        if tensor.is_floating_point():
            require_fit(name, array, str(tensor.dtype).removeprefix("torch."))
        elif array.dtype.kind not in "iu":
            raise TypeError(f"variable {name!r}: must be integers, got dtype {array.dtype}")
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(torch.as_tensor(np.array(held[name])))


def leaf_of(config: FrontendConfig, padding: str, learn_logs: bool) -> leaf.Leaf:
    """A fresh ``leaf.Leaf`` for a state dict, in evaluation mode, its PCEN floored as LEAF's.

    Raises:
        ValueError: as :class:`leaf.Leaf`; or the configuration is another frontend's.
    """
    import leaf
    from parity.oracle.config import FLOOR

    if (config.frontend, config.conv1d_cls, config.compression) != ("Leaf", "GaborConv1D", "pcen"):
        raise ValueError(f"settings {config}: must be those of Leaf with PCEN, as leaf's state dict has it")
    pcen = leaf.PCEN(
        config.n_filters, alpha=0.96, delta=2.0, r=0.5, eps=config.pcen_floor, learn_logs=learn_logs, clamp=FLOOR
    )
    return leaf.Leaf(
        config.n_filters,
        max_freq=min(7800.0, config.sample_rate / 2),
        sample_rate=config.sample_rate,
        window_len=config.window_len,
        window_stride=config.window_stride,
        compression=pcen,
        padding=padding,
    ).eval()
