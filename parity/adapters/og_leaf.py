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
from parity.adapters import canonical, layouts
from parity.adapters.original import (
    arguments_of,
    built_compression,
    compression_of,
    config_of_original,
    require_leaf,
    require_same_padding,
)
from parity.adapters.rungs import Entry, TorchAdapter, reject_options
from parity.oracle.config import FLOOR, LeafConfig


def _held(module: Leaf) -> dict[str, torch.Tensor]:
    """The tensors of a frontend by canonical name.

    Raises:
        ValueError: a part has others, those of a bias or of another class; names it and them.
    """
    held: dict[str, Any] = {}
    parts = {name: getattr(module, name) for name in ("_complex_conv", "_activation", "_pooling", "_compress_fn")}
    if module._preemp_conv is not None:
        held[canonical.PREEMP] = module._preemp_conv.weight
    conv, pooling, compress = parts["_complex_conv"], parts["_pooling"], parts["_compress_fn"]
    if isinstance(conv, Conv1D):
        held[canonical.CONV] = conv.weight
    elif isinstance(conv, (GaborConv1D, NormalizedConv1D, SincConv1D)):
        held[canonical.KERNEL] = conv._kernel
    if isinstance(pooling, LearnablePooling1D):
        held[canonical.POOLING_2D] = pooling.kernel
    elif isinstance(pooling, (GaussianLowpass, ChannelWiseLearnablePooling1D)):
        held[canonical.POOLING] = pooling.kernel
    if isinstance(compress, LayerNormalization):
        held.update({canonical.NORM_GAMMA: compress.weight, canonical.NORM_BETA: compress.bias})
    elif isinstance(compress, PCENLayer):
        held.update({canonical.ALPHA: compress.alpha, canonical.DELTA: compress.delta, canonical.ROOT: compress.root})
        if isinstance(compress.ema, ExponentialMovingAverage):
            held[canonical.SMOOTH] = compress.ema._weights
        else:
            held[canonical.RNN_KERNEL] = compress.ema.input_weights
            held[canonical.RNN_RECURRENT] = compress.ema.recurrent_weights
    if module._instance_norm is not None:
        held.update({canonical.GAMMA: module._instance_norm.weight, canonical.BETA: module._instance_norm.bias})
    taken = {id(tensor) for tensor in held.values()}
    for name, part in parts.items():
        tensors = part.state_dict(keep_vars=True) if isinstance(part, nn.Module) else {}
        if left := [key for key, tensor in tensors.items() if id(tensor) not in taken]:
            raise ValueError(
                f"{name}={type(part).__name__}: must be one of the original's classes to be carried, without {left}"
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
        require_leaf(module)
        compress = module._compress_fn
        learned = isinstance(getattr(compress, "ema", None), ExponentialMovingAverage)
        n_smooth = module.n_filters if not learned else len(compress.ema._weights)
        compression = compression_of(
            compress, PCENLayer, learned, n_smooth, log_compression, isinstance(compress, nn.Identity)
        )
        return config_of_original(module, compression, module._preemp_conv is not None)

    def shapes(self, module: Any) -> dict[str, tuple[int, ...]]:
        """Return the shapes of the parameters of any of the original's frontends."""
        return {name: entry.shape for name, entry in self.entries(module).items()}

    def entries(self, module: Any) -> dict[str, Entry]:
        """List the parameters of any of the original's frontends.

        Raises:
            ValueError: a part of the frontend has parameters that the original's own class has not.
        """
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
