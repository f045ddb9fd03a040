"""Translate state dicts of PyTorch's LEAFs, ours and public ports', to the original's names and layout. NumPy alone.

TensorFlow has a convolution's taps first and its outputs last, [W, in, out], PyTorch [out, in, W]; a pooling is a
two-dimensional convolution there, [1, W, 1, 1] or one deviation a channel, [1, 1, C, 1].
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from parity.adapters import canonical
from parity.oracle.geometry import centered_pads

Array = NDArray[Any]
# reversed in PyTorch where they have three dimensions
TAPS = (canonical.KERNEL, canonical.CONV, canonical.POOLING, canonical.PREEMP)
FREE_FILTERS = "_complex_conv.weight"  # of Keras' own convolution and its subclass, in a state dict
# a published port's state dict (EfficientLEAF, model/OG_leaf.py), which og_leaf's follows
STATE_DICT = {
    "_preemp_conv.weight": canonical.PREEMP,
    "_complex_conv._kernel": canonical.KERNEL,
    FREE_FILTERS: canonical.CONV,
    "_pooling.kernel": canonical.POOLING,
    "_compress_fn.alpha": canonical.ALPHA,
    "_compress_fn.delta": canonical.DELTA,
    "_compress_fn.root": canonical.ROOT,
    "_compress_fn.ema._weights": canonical.SMOOTH,
    "_compress_fn.ema.input_weights": canonical.RNN_KERNEL,
    "_compress_fn.ema.recurrent_weights": canonical.RNN_RECURRENT,
    "_compress_fn.weight": canonical.NORM_GAMMA,
    "_compress_fn.bias": canonical.NORM_BETA,
    "_instance_norm.weight": canonical.GAMMA,
    "_instance_norm.bias": canonical.BETA,
}
# the state dict of simplified LEAF and EfficientLEAF, but for the filters, which are two tensors there
CENTRES, SIGMAS = "filterbank.center_freqs", "filterbank.bandwidths"
_SIMPLIFIED = {
    "filterbank.pooling_widths": canonical.POOLING,
    "compression.alpha": canonical.ALPHA,
    "compression.delta": canonical.DELTA,
    "compression.r": canonical.ROOT,
    "compression.s": canonical.SMOOTH,
}


def original_shape(name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Find the original's shape of a variable from PyTorch's."""
    if name == canonical.POOLING_2D:
        return (1, int(np.prod(shape)), 1, 1)
    if name == canonical.POOLING and len(shape) == 4:  # one deviation a channel
        return (1, 1, shape[0], 1)
    return shape[::-1] if reversed_axes(name, len(shape)) else shape


def reversed_axes(name: str, rank: int) -> bool:
    """Tell whether PyTorch has a variable's axes the other way round."""
    return name in TAPS and rank == 3


def state_dict_name(name: str, shape: tuple[int, ...]) -> str:
    """Find the canonical name of a state dict's tensor, or nothing; one window for all channels is [1, 1, 1, W]."""
    known = STATE_DICT.get(name, "")
    return canonical.POOLING_2D if known == canonical.POOLING and len(shape) == 4 and shape[-1] > 1 else known


def to_original(name: str, array: Array) -> Array:
    """Put PyTorch's array in the original's layout."""
    shape = original_shape(name, array.shape)
    return array.transpose() if reversed_axes(name, array.ndim) else array.reshape(shape)


def from_state_dict(arrays: dict[str, Array]) -> dict[str, Array]:
    """Translate a state dict to canonical names and the original's layout; unknown names are kept."""
    out = {}
    for name, array in arrays.items():
        known = state_dict_name(name, array.shape)
        out[known or name] = to_original(known, array) if known else array
    return out


def from_simplified(arrays: dict[str, Array]) -> dict[str, Array]:
    """Translate a state dict of ``leaf`` or ``efficientleaf`` to canonical names; unknown ones are kept.

    Refuse one whose values do not tell whether PCEN holds logarithms.
    """
    out = {_SIMPLIFIED.get(name, name): array for name, array in arrays.items()}
    pcen = {_SIMPLIFIED[name] for name in arrays if name.startswith("compression.") and name in _SIMPLIFIED}
    if pcen:
        logs = holds_logarithms(arrays)
        if logs is None:
            raise ValueError(
                "variables 'compression.s' and 'compression.r': must be logarithms, which are negative, or values, "
                "which are above 0; here neither is certain"
            )
        for name in pcen if logs else ():
            with np.errstate(over="ignore"):  # what is infinite is refused by name
                held = out[name].astype(np.float64)
                out[name] = np.exp(-held if name == canonical.ROOT else held)
    if CENTRES in out and SIGMAS in out and out[CENTRES].shape == out[SIGMAS].shape:
        out[canonical.KERNEL] = np.stack([out.pop(CENTRES), out.pop(SIGMAS)], axis=-1)
    if canonical.POOLING in out and out[canonical.POOLING].ndim == 1:
        out[canonical.POOLING] = out[canonical.POOLING].reshape(1, 1, -1, 1)
    return out


def holds_logarithms(arrays: Mapping[str, Array]) -> bool | None:
    """Tell whether the PCEN of a state dict of ``leaf`` holds logarithms.

    None where it has no such values, or they do not tell.

    Values of ``s`` are not negative and those of ``r``, the root's inverse, above 0. Logarithms of ``s`` are not
    above 0, and those of ``r``, the root's, below 1: a root of e has no use.
    """
    s, r = (arrays.get(f"compression.{name}") for name in ("s", "r"))
    if s is None or r is None or not s.size or not r.size or s.dtype.kind not in "fiu" or r.dtype.kind not in "fiu":
        return None
    values = bool(s.min() >= 0 and r.min() > 0)
    logs = bool(s.max() <= 0 and r.max() < 1)
    return logs if logs != values else None


def is_simplified(found: Any) -> bool:
    """Tell whether names are those of a state dict of ``leaf`` or ``efficientleaf``."""
    return CENTRES in found


def is_state_dict(found: Any) -> bool:
    """Tell whether names are those of a state dict that holds a frontend, and not the original's."""
    return any(name in STATE_DICT for name in found)


@dataclass(frozen=True)
class PublicPort:
    """A repository's own LEAF.

    Attributes:
        repository: its owner and name.
        kernel: the filters' key.
        pooling: the pooling widths' key; no other port has both.
        compression: what the names of PCEN's parameters begin with.
        pads: zeros before and after, of filters and of pooling windows of so many taps, whatever the clip.
        bias: the key of a trained bias on the energies; empty where there is none.
        others: canonical names by further keys.
        derived: buffers that follow from the window's length, each an index for every tap.
        floor: what it always adds to the smoother; None where that is an argument.
    """

    repository: str
    kernel: str
    pooling: str
    compression: str
    pads: Callable[[int], tuple[int, int]]
    bias: str = ""
    others: Mapping[str, str] = field(default_factory=dict)
    derived: tuple[str, ...] = ()
    floor: float | None = 1e-12

    def variables(self, held: Mapping[str, Array]) -> dict[str, Array]:
        """Name a state dict's variables canonically, without bias and buffers; unknown names are kept."""
        names = {
            self.kernel: canonical.KERNEL, self.pooling: canonical.POOLING,
            f"{self.compression}alpha": canonical.ALPHA, f"{self.compression}delta": canonical.DELTA,
            f"{self.compression}root": canonical.ROOT, f"{self.compression}ema._weights": canonical.SMOOTH,
            **self.others,
        }  # fmt: skip
        left_out = {self.bias, *self.derived}
        out = {names.get(key, key): array for key, array in held.items() if key not in left_out}
        if canonical.POOLING in out:
            out[canonical.POOLING] = out[canonical.POOLING].reshape(1, 1, -1, 1)
        if canonical.PREEMP in out:
            out[canonical.PREEMP] = out[canonical.PREEMP].transpose()
        return out

    def require_no_bias(self, held: Mapping[str, Array]) -> None:
        """Refuse with a ValueError a trained bias on the energies, for which no rung has a place; says what to do."""
        bias = held.get(self.bias)
        if bias is not None and np.any(bias):
            largest = float(bias.flat[np.abs(bias).argmax()])
            raise ValueError(
                f"variable {self.bias!r}: value {largest:g}: must be 0, for {self.repository} adds it to the energies "
                "and no rung has a place for it; parity.load(path, wrap=True) builds og_leaf with the bias added"
            )

    def n_taps(self, held: Mapping[str, Array]) -> int | None:
        """Find the window's length in samples, where the state dict says it."""
        return next((len(held[name]) for name in self.derived if name in held), None)


def _same_by_itself(n_taps: int) -> tuple[int, int]:
    """TensorFlow's SAME at a stride of 1, at whatever stride."""
    return (n_taps - 1) // 2, n_taps // 2


PUBLIC = {
    port.repository: port
    for port in (
        PublicPort(
            "denfed/leaf-audio-pytorch", "_complex_conv._kernel", "_pooling._kernel", "_compress_fn.", centered_pads,
            others={"_preemp_conv.weight": canonical.PREEMP},
            derived=("_complex_conv.gabor_filter_init_t", "_pooling.gaussian_lowpass_init_t"), floor=None,
        ),
        PublicPort(
            "SarthakYadav/leaf-pytorch", "_complex_conv._kernel", "_pooling.weights", "_compression.",
            _same_by_itself, "_pooling._bias",
        ),
        PublicPort(
            "speechbrain/speechbrain", "complex_conv.kernel", "pooling.weights", "compression.", _same_by_itself,
            "pooling._bias",
        ),
    )
}  # fmt: skip


def public_port(names: Iterable[str]) -> PublicPort | None:
    """Find the public port whose state dict has these names."""
    found = set(names)
    return next((port for port in PUBLIC.values() if {port.kernel, port.pooling} <= found), None)
