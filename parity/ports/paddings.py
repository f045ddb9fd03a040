"""List what a port may put beside the audio or the energies, at which hop it may pool, and what audio it may take.

Each name ends a sentence about the stage ``conv`` or ``pool``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from parity.oracle.arrays import Array
from parity.oracle.geometry import centered_pads, same_pads
from parity.ports.formulas import Formula, Label, Setting, Values, conv, pool
from parity.ports.substitutions import rounded

CENTRED = "pads W // 2 zeros on both sides"


def _total(n: int, k: int, hop: int) -> int:
    return sum(same_pads(n, k, hop))


Pads = Callable[[int, int, int], tuple[int, int]]
# Other paddings of the pooling: zeros before and after n samples, for windows of k taps at a hop.
POOL_PADS: dict[str, Pads] = {
    "pads K // 2 zeros on both sides": lambda n, k, hop: centered_pads(k),
    "pads (K - 1) // 2 zeros before and K // 2 after": lambda n, k, hop: ((k - 1) // 2, k // 2),
    "pads (K - 1) // 2 zeros on both sides": lambda n, k, hop: ((k - 1) // 2, (k - 1) // 2),
    "pads the odd zero before": lambda n, k, hop: (_total(n, k, hop) - _total(n, k, hop) // 2, _total(n, k, hop) // 2),
    "pads all zeros before": lambda n, k, hop: (_total(n, k, hop), 0),
    "pads all zeros after": lambda n, k, hop: (0, _total(n, k, hop)),
    "pads nothing": lambda n, k, hop: (0, 0),
    "pads K - 1 zeros before": lambda n, k, hop: (k - 1, 0),
    "pads TensorFlow's SAME": same_pads,
}
HOPS: dict[str, Callable[[int], int]] = {
    "has a hop of one sample more": lambda hop: hop + 1, "has a hop of one sample less": lambda hop: max(hop - 1, 1),
    "has half the hop": lambda hop: max(hop // 2, 1), "has twice the hop": lambda hop: 2 * hop,
}  # fmt: skip


def frames_apart(label: Label, s: Setting) -> int:
    """Count the samples by which a padding of the pooling begins a frame too early; 0 for any other formula."""
    if label.stage != "pool" or label.sentence not in POOL_PADS:
        return 0
    n, hop = s.x.shape[1], s.expected.config.stride
    return POOL_PADS[label.sentence](n, s.window, hop)[0] - s.pads(n, hop)[0]


def _pooled(pads: Pads | None, other: Callable[[int], int] = lambda hop: hop) -> Formula:
    """The pooling with other pads, or the reference's own, at another hop."""

    def pooled(s: Setting, v: Values) -> Array:
        n, k, hop = v["modulus"].shape[-1], v["windows"].shape[-1], other(s.expected.config.stride)
        return pool(s, v, s.pads(n, hop, k) if pads is None else pads(n, k, hop), hop)

    return pooled


# Other inputs of the convolution than the audio.
AUDIO: dict[str, Callable[[Array], Array]] = {
    "takes the audio without its mean": lambda x: x - x.mean(-1, keepdims=True),
    "takes the audio without the mean of all clips": lambda x: x - x.mean(),
    "takes the audio without the mean over the clips at each sample": lambda x: x - x.mean(0, keepdims=True),
    "takes the audio with a pre-emphasis of 0.97": lambda x: x - 0.97 * np.pad(x, [(0, 0), (1, 0)])[:, :-1],
    "takes the audio with a pre-emphasis of 0.97, and the first sample as it is": lambda x: np.concatenate(
        [x[:, :1], x[:, 1:] - 0.97 * x[:, :-1]], axis=-1
    ),
    "takes the audio backwards": lambda x: x[:, ::-1],
    "takes the audio limited to [-1, 1]": lambda x: np.clip(x, -1, 1),
    "takes the audio rounded to float16": lambda x: rounded(x, "float16"),
    "takes the audio rounded to bfloat16": lambda x: rounded(x, "bfloat16"),
    "takes the audio rounded to 16-bit integers": lambda x: np.round(x * 32768) / 32768,
    "takes the magnitude of the audio": np.abs,
    "takes the first clip for all": lambda x: np.repeat(x[:1], len(x), axis=0),
    "takes the mean of all clips for each": lambda x: np.repeat(x.mean(0, keepdims=True), len(x), axis=0),
    "takes the audio without its last sample": lambda x: x * (np.arange(x.shape[1]) < x.shape[1] - 1),
    "takes the audio without its first sample": lambda x: x * (np.arange(x.shape[1]) > 0),
}


def _heard(other: Callable[[Array], Array], centred: bool) -> Formula:
    def heard(s: Setting, v: Values) -> Array:
        n_taps = v["filters"].shape[-1]
        return conv(s, v, centered_pads(n_taps) if centred else s.pads(s.x.shape[1], 1, n_taps), other(s.x))

    return heard


def _conv_padded(pads: Callable[[int], tuple[int, int]]) -> Formula:
    return lambda s, v: conv(s, v, pads(v["filters"].shape[-1]))


# Paddings by something else than zeros, by NumPy's names.
MODES = {"reflection": "reflect", "reflection of its end as well": "symmetric", "its first and last value": "edge",
         "its other end": "wrap"}  # fmt: skip


def _conv_filled(mode: Any) -> Formula:
    return lambda s, v: conv(s, v, (0, 0), np.pad(s.x, [(0, 0), s.pads(s.x.shape[1], 1)], mode=mode))


def _pool_filled(mode: Any) -> Formula:
    def filled(s: Setting, v: Values) -> Array:
        pads = s.pads(s.x.shape[1], s.expected.config.stride, v["windows"].shape[-1])
        return pool(s, {**v, "modulus": np.pad(v["modulus"], [(0, 0), (0, 0), pads], mode=mode)}, (0, 0))

    return filled


CONV_PADDINGS: dict[str, Formula] = {
    CENTRED: _conv_padded(centered_pads),
    "pads W // 2 zeros before and (W - 1) // 2 after": _conv_padded(lambda k: (k // 2, (k - 1) // 2)),
    "pads all zeros before": _conv_padded(lambda k: (k - 1, 0)),
    "pads all zeros after": _conv_padded(lambda k: (0, k - 1)),
    "pads nothing": lambda s, v: conv(s, v, (0, 0)),
    **{f"pads by {text}": _conv_filled(mode) for text, mode in MODES.items()},
}
POOL_PADDINGS: dict[str, Formula] = {
    **{sentence: _pooled(pads) for sentence, pads in POOL_PADS.items()},
    **{f"pads by {text}": _pool_filled(mode) for text, mode in MODES.items()},
}
# What is tried where no formula explains a case: two things at once, or another hop.
FURTHER = {
    "conv": tuple(
        Label(f"{CENTRED}, and {text}" if centred else text, "conv", {"conv": _heard(other, centred)})
        for centred in (False, True) for text, other in AUDIO.items()
    ),
    "pool": tuple(
        Label(f"{sentence}, and {text}" if sentence else text, "pool", {"pool": _pooled(pads, hop)})
        for sentence, pads in {"": None, **POOL_PADS}.items() for text, hop in HOPS.items()
    ),
}  # fmt: skip
