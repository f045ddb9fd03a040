"""The adapter of rung 1: PyTorch with the original's own parametrisation."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from og_leaf import impulse_responses
from og_leaf.convolution import GaborConv1D, NormalizedConv1D, SincConv1D
from og_leaf.frontend import Leaf, log_compression
from og_leaf.frontends import MelFilterbanks
from og_leaf.keras_layers import Conv1D, LayerNormalization
from og_leaf.padding import pad_time
from og_leaf.pooling import ChannelWiseLearnablePooling1D, GaussianLowpass, LearnablePooling1D
from og_leaf.postprocessing import ExponentialMovingAverage, PCENLayer
from parity.adapters import layouts
from parity.adapters.original import arguments_of, built_compression, config_of_original, require_same_padding
from parity.adapters.rungs import Entry, TorchAdapter, reject_options
from parity.oracle.config import FLOOR, LeafConfig

# the original's classes that have variables, by their part of the frontend; a part of another class keeps none
CLASSES: dict[str, tuple[type, ...]] = {
    "_preemp_conv": (nn.Module,),
    "_complex_conv": (Conv1D, GaborConv1D, NormalizedConv1D, SincConv1D),
    "_activation": (),
    "_pooling": (LearnablePooling1D, GaussianLowpass, ChannelWiseLearnablePooling1D),
    "_compress_fn": (LayerNormalization, PCENLayer),
    "_instance_norm": (nn.Module,),
}


def _held(module: Leaf) -> dict[str, torch.Tensor]:
    """List a frontend's tensors by canonical name; refuse other tensors, those of a bias or of another class."""
    held: dict[str, Any] = {}
    left: dict[str, list[str]] = {}
    for key, tensor in module.state_dict(keep_vars=True).items():
        part, _, inside = key.partition(".")
        known = layouts.state_dict_name(key, tuple(tensor.shape))
        if known and isinstance(getattr(module, part), CLASSES[part]):
            held[known] = tensor
        elif part in CLASSES:
            left.setdefault(part, []).append(inside)
    for part, keys in left.items():
        raise ValueError(
            f"{part}={type(getattr(module, part)).__name__}: must be one of the original's classes to be carried, "
            f"without {keys}"
        )
    return held


class OgLeafAdapter(TorchAdapter):
    """Reads and writes ``og_leaf.Leaf``."""

    rung = "og_leaf"

    def owns(self, module: Any) -> bool:
        return isinstance(module, (Leaf, MelFilterbanks))

    def build(self, config: LeafConfig, dtype: str = "float32", **options: Any) -> Leaf:
        """Build the frontend; the rung has no options."""
        reject_options("og_leaf", options)
        require_same_padding("og_leaf", config)
        kind: torch.dtype = getattr(torch, dtype)
        compress = built_compression(config, PCENLayer, log_compression, num_channels=config.n_filters, dtype=kind)
        return Leaf(**arguments_of(config), compression_fn=compress, dtype=kind).eval()

    def config(self, module: Any) -> LeafConfig:
        """Read the configuration of a frontend with LEAF's own filters and pooling."""
        compress = module._compress_fn
        ema = getattr(compress, "ema", None)
        n_smooth = len(ema._weights) if isinstance(ema, ExponentialMovingAverage) else None
        none, preemp = isinstance(compress, nn.Identity), module._preemp_conv is not None
        return config_of_original(module, PCENLayer, n_smooth, log_compression, none, preemp)

    def shapes(self, module: Any) -> dict[str, tuple[int, ...]]:
        """Return the shapes of the parameters of any of the original's frontends."""
        return {name: entry.shape for name, entry in self.entries(module).items()}

    def entries(self, module: Any) -> dict[str, Entry]:
        """List the parameters of any of the original's frontends; refuse those that its own classes have not."""
        held = {} if isinstance(module, MelFilterbanks) else _held(module)
        return {
            name: Entry((t,), layouts.original_shape(name, tuple(t.shape)), reverse=layouts.reversed_axes(name, t.ndim))
            for name, t in held.items()
        }

    def arrays(self, module: Any, x: np.ndarray, cotangent: np.ndarray) -> dict[str, np.ndarray]:
        """Stages and gradients; ``output`` is of the call that is differentiated, as the rung has no other way."""
        output, gradients = self.differentiated(module, x, cotangent)
        return {**self.inner_stages(module, x), "output": output, **gradients}

    def forward_stages(self, module: Any, x: torch.Tensor) -> dict[str, torch.Tensor]:
        conv, pooling = module._complex_conv, module._pooling
        filters = impulse_responses.gabor_filters(conv.constraint(conv._kernel), conv._kernel_size)
        window = impulse_responses.gaussian_lowpass(pooling.kernel, pooling.kernel_size)
        y = x[:, None]
        if module._preemp_conv is not None:
            y = module._preemp_conv(pad_time(y, 2, 1, "SAME"))
        convolved = conv(y)
        modulus = module._activation(convolved)
        pool = pooling(modulus)
        floored = torch.clamp(pool, min=FLOOR)
        stages = {
            "filters": torch.stack([filters.real, filters.imag], dim=1),
            "windows": window.reshape(-1, pooling.kernel_size),
            "conv": convolved.reshape(x.shape[0], -1, 2, x.shape[1]),
            "modulus": modulus,
            "pool": pool,
            "floor": floored,
        }
        compress = module._compress_fn
        if isinstance(compress, PCENLayer):
            stages["ema"] = compress.ema(floored, floored[..., 0])
            stages["pcen"] = compress(floored)
        if module._instance_norm is not None:
            stages["norm"] = module._instance_norm(compress(floored))
        return stages
