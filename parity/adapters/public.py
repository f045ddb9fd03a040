"""Public ports of LEAF: how their state dicts name its parameters, and what they add to it. NumPy alone.

The EfficientLEAF repository's names are those of ``og_leaf``, ``leaf`` and ``efficientleaf``: see
:mod:`parity.adapters.layouts`.
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
        others: further keys, by canonical name.
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
        """A state dict by canonical names and shapes, without bias and buffers; unknown names are kept."""
        names = {
            self.kernel: canonical.KERNEL, self.pooling: canonical.POOLING,
            f"{self.compression}alpha": canonical.ALPHA, f"{self.compression}delta": canonical.DELTA,
            f"{self.compression}root": canonical.ROOT, f"{self.compression}ema._weights": canonical.SMOOTH,
            **{key: name for name, key in self.others.items()},
        }  # fmt: skip
        left_out = {self.bias, *self.derived}
        out = {names.get(key, key): array for key, array in held.items() if key not in left_out}
        if canonical.POOLING in out:
            out[canonical.POOLING] = out[canonical.POOLING].reshape(1, 1, -1, 1)
        if canonical.PREEMP in out:
            out[canonical.PREEMP] = out[canonical.PREEMP].transpose()
        return out

    def require_no_bias(self, held: Mapping[str, Array]) -> None:
        """Refuse a trained bias on the energies, for which no rung has a place.

        Raises:
            ValueError: a value is not 0; names the variable, the value and what to do.
        """
        bias = held.get(self.bias)
        if bias is not None and np.any(bias):
            largest = float(bias.flat[np.abs(bias).argmax()])
            raise ValueError(
                f"variable {self.bias!r}: value {largest:g}: must be 0, for {self.repository} adds it to the energies "
                "and no rung has a place for it; parity.load(path, wrap=True) builds og_leaf with the bias added"
            )

    def n_taps(self, held: Mapping[str, Array]) -> int | None:
        """The window's length in samples, where the state dict says it."""
        return next((len(held[name]) for name in self.derived if name in held), None)


def _same_by_itself(n_taps: int) -> tuple[int, int]:
    """TensorFlow's SAME at a stride of 1, at whatever stride."""
    return (n_taps - 1) // 2, n_taps // 2


PUBLIC = {
    port.repository: port
    for port in (
        PublicPort(
            "denfed/leaf-audio-pytorch", "_complex_conv._kernel", "_pooling._kernel", "_compress_fn.", centered_pads,
            others={canonical.PREEMP: "_preemp_conv.weight"},
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
    """The public port that these names of a state dict are those of."""
    found = set(names)
    return next((port for port in PUBLIC.values() if {port.kernel, port.pooling} <= found), None)
