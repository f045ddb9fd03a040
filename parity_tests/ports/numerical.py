"""LEAF as a function of audio and parameters, in NumPy or whatever has its names: stages in, stages out."""

from __future__ import annotations

import math

PER_SAMPLE = math.sqrt(2 * math.log(2)) / math.pi


def frontend(xp, config, from_zero=False):
    """A function of audio [B, T] and parameters by canonical names.

    Args:
        xp: numpy, or jax.numpy.
        config: of the frontend.
        from_zero: start the smoother from zero, not from the first frame.
    """
    size, stride = config.window, config.stride

    def frames(x, hop):
        n = -(-x.shape[-1] // hop)
        total = max((n - 1) * hop + size - x.shape[-1], 0)
        padded = xp.pad(x, [(0, 0)] * (x.ndim - 1) + [(total // 2, total - total // 2)])
        return padded[..., hop * xp.arange(n)[:, None] + xp.arange(size)]

    def run(audio, held):
        mu = xp.clip(held["kernel"][:, :1], 0, math.pi)
        sigma = xp.maximum(xp.minimum(held["kernel"][:, 1:], size * PER_SAMPLE), 4 * PER_SAMPLE)
        t = xp.arange(-(size // 2), (size + 1) // 2, dtype="float32")
        envelope = xp.exp(-(t**2) / (2 * sigma**2)) / (math.sqrt(2 * math.pi) * sigma)
        filters = xp.stack([envelope * xp.cos(mu * t), envelope * xp.sin(mu * t)], axis=1)
        conv = xp.einsum("btk,cpk->bcpt", frames(audio, 1), filters)
        energies = conv[:, :, 0] ** 2 + conv[:, :, 1] ** 2
        width = xp.maximum(xp.minimum(held["learnable_pooling/kernel"].reshape(-1, 1), 0.5), 2 / size)
        half = (size - 1) / 2
        windows = xp.exp(-0.5 * ((xp.arange(size, dtype="float32") - half) / (width * half)) ** 2)
        pool = xp.einsum("bcfk,ck->bcf", frames(energies, stride), windows)
        floor = xp.maximum(pool, 1e-5)
        s = xp.clip(held["PCEN/EMA/smooth"], 0, 1)
        state, kept = floor[..., 0] * (0 if from_zero else 1), []
        for i in range(floor.shape[-1]):
            state = s * floor[..., i] + (1 - s) * state
            kept.append(state)
        ema = xp.stack(kept, axis=-1)
        alpha, root = (xp.minimum(held["PCEN/alpha"], 1), xp.maximum(held["PCEN/root"], 1))
        delta, alpha, r = held["PCEN/delta"][:, None], alpha[:, None], (1 / root)[:, None]
        y = (floor / (config.pcen_floor + ema) ** alpha + delta) ** r - delta**r
        stages = {"filters": filters, "conv": conv, "pool": pool, "floor": floor, "ema": ema, "output": y}
        return {name: value.astype("float32") for name, value in stages.items()}

    return run
