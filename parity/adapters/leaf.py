"""The adapter of rung 2: simplified LEAF, whose parameters are the same under other names."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

import leaf
from parity.adapters import canonical
from parity.adapters.canonical import Variables
from parity.adapters.rungs import Entry, TorchAdapter, reject_options
from parity.oracle.config import LeafConfig


def require_plain(rung: str, config: LeafConfig) -> None:
    """Refuse with a ValueError what rungs 2 and 3 cannot hold: all but a filterbank and PCEN; names it."""
    refused = []
    if config.preemp:
        refused.append("pre-emphasis (preemp=True)")
    if config.mean_var_norm:
        refused.append("instance norm (mean_var_norm=True)")
    if config.compression != "pcen":
        refused.append(f"compression={config.compression!r}")
    if refused:
        raise ValueError(
            f"{rung} cannot hold {', '.join(refused)}: it allows PCEN with a trainable smoother alone; "
            "pass wrap=True to put the rest around it"
        )


def band_of(sample_rate: float) -> tuple[float, float]:
    """Edges in Hz where nobody gives any: LEAF's 60 and 7800 Hz, as far as half the rate holds them."""
    half = float(sample_rate) / 2
    return 60.0 if half > 60 else 0.0, min(7800.0, half)


def plain_arguments(config: LeafConfig) -> dict[str, Any]:
    """Return the arguments that rungs 2 and 3 share; the band is that of a start that is overwritten."""
    min_freq, max_freq = band_of(config.sample_rate)
    pcen = leaf.PCEN(
        config.n_filters, s=0.04, alpha=0.96, delta=2.0, r=0.5, eps=config.pcen_floor, learn_logs=False, clamp=1e-5
    )
    shared = {name: getattr(config, name) for name in ("n_filters", "sample_rate", "window_len", "window_stride")}
    return {**shared, "min_freq": min_freq, "max_freq": max_freq, "compression": pcen}


def pcen_entries(compression: Any, n_filters: int) -> dict[str, Entry]:
    """List PCEN's parameters by canonical name; learned logarithms are carried as the values that they stand for.

    Refuse a compression that is no PCEN, or has another number of bands than the filterbank.
    """
    if not isinstance(compression, leaf.PCEN):
        raise ValueError(f"compression={type(compression).__name__}: must be a leaf.PCEN to be carried")
    if compression.num_bands != n_filters:
        raise ValueError(f"compression.num_bands={compression.num_bands}: must be n_filters={n_filters} to be carried")
    log = int(compression.learn_logs)
    return {
        canonical.ALPHA: Entry((compression.alpha,), (n_filters,), log),
        canonical.DELTA: Entry((compression.delta,), (n_filters,), log),
        canonical.ROOT: Entry((compression.r,), (n_filters,), -log),  # of the root's inverse: r itself is the logarithm
        canonical.SMOOTH: Entry((compression.s,), (n_filters,), log),
    }


class PlainAdapter(TorchAdapter):
    """The common part of rungs 2 and 3: a filterbank and a PCEN whose parameters have the same names."""

    def config(self, module: Any) -> LeafConfig:
        pcen_entries(module.compression, module.filterbank.n_filters)
        return LeafConfig(
            n_filters=module.filterbank.n_filters,
            sample_rate=module.sample_rate,
            window_len=module.window_len,
            window_stride=module.window_stride,
            padding=getattr(module, "padding", "centered"),  # rung 3 has no other
            pcen_floor=module.compression.eps,
        )

    def entries(self, module: Any) -> dict[str, Entry]:
        bank, n = module.filterbank, module.filterbank.n_filters
        return {
            canonical.KERNEL: Entry((bank.center_freqs, bank.bandwidths), (n, 2)),
            canonical.POOLING: Entry((bank.pooling_widths,), (1, 1, n, 1)),
            **pcen_entries(module.compression, n),
        }

    def write(self, module: Any, variables: Variables) -> None:
        """Make one smoothing coefficient one a filter; learned logarithms, which nothing limits where they are used,
        are written within the limits of alpha and the root."""
        held, smooth = dict(variables), variables.get(canonical.SMOOTH)
        if smooth is not None and smooth.shape == (1,):
            held[canonical.SMOOTH] = np.repeat(smooth, module.filterbank.n_filters)
        if module.compression.learn_logs:
            held[canonical.ALPHA] = np.minimum(held[canonical.ALPHA], 1.0)
            held[canonical.ROOT] = np.maximum(held[canonical.ROOT], 1.0)
        super().write(module, held)


class LeafAdapter(PlainAdapter):
    """Reads and writes ``leaf.Leaf`` with PCEN."""

    rung = "leaf"

    def owns(self, module: Any) -> bool:
        return isinstance(module, leaf.Leaf)

    def build(self, config: LeafConfig, dtype: str = "float32", **options: Any) -> leaf.Leaf:
        """Build the frontend; the rung has no options."""
        reject_options("leaf", options)
        require_plain("leaf", config)
        module = leaf.Leaf(**plain_arguments(config), padding=config.padding)
        return module.to(getattr(torch, dtype)).eval()

    def forward_stages(self, module: Any, x: torch.Tensor) -> dict[str, torch.Tensor]:
        bank = module.filterbank
        n = bank.n_filters
        convolved = bank.convolve(x[:, None])
        modulus = bank.modulus(convolved)
        pool = bank.pool(modulus)
        return {
            "filters": bank.filters().reshape(2, n, -1).transpose(0, 1),
            "windows": bank.windows().reshape(n, -1),
            "conv": convolved.reshape(x.shape[0], 2, n, -1).transpose(1, 2),
            "modulus": modulus,
            "pool": pool,
            **pcen_stages(module.compression, pool),
        }


def pcen_stages(compression: leaf.PCEN, pool: torch.Tensor) -> dict[str, torch.Tensor]:
    """Compute the stages of PCEN on pooled energies."""
    floored = pool if compression.clamp is None else pool.clamp(min=compression.clamp)
    return {"floor": floored, "ema": compression.smooth(floored), "pcen": compression(pool)}
