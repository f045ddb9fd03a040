"""Describe a LEAF frontend as data: the arguments that the rungs share, and the conventions that they do not."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import Any

COMPRESSIONS = ("pcen", "fixed_pcen", "log", "none")
PADDINGS = ("same", "centered")
FLOOR = 1e-5  # on the pooled energies, before any compression (``Leaf.call`` in ``leaf_audio/frontend.py``)
LOG_OFFSET = 1e-5  # of ``log_compression``
NORM_EPS = 1e-6  # of the instance normalisation


@dataclass(frozen=True)
class LeafConfig:
    """The configuration of a LEAF frontend (rungs 0 to 2).

    Attributes:
        n_filters: number of Gabor filters, at least 1.
        sample_rate: Hz.
        window_len: length of the Gabor kernels and pooling windows, ms.
        window_stride: hop between frames, ms.
        padding: ``"same"`` (TensorFlow's geometry, rungs 0 and 1) or ``"centered"`` (rungs 2 and 3 as published).
        compression: ``"pcen"`` (trainable smoother), ``"fixed_pcen"`` (the smoother is a fixed recurrence),
            ``"log"`` (``log(x + 1e-5)``) or ``"none"``.
        per_channel_smooth: one smoothing coefficient per filter rather than one for all.
        pcen_floor: the offset added to the smoother (``floor`` of the original's PCEN layer, ``eps`` of the paper).
        preemp: a two-tap pre-emphasis filter before the filterbank.
        mean_var_norm: instance normalisation after the compression.

    Source: ``leaf_audio/frontend.py`` and ``leaf_audio/postprocessing.py`` (names and defaults).
    """

    n_filters: int = 40
    sample_rate: float = 16000
    window_len: float = 25.0
    window_stride: float = 10.0
    padding: str = "same"
    compression: str = "pcen"
    per_channel_smooth: bool = True
    pcen_floor: float = 1e-12
    preemp: bool = False
    mean_var_norm: bool = False

    def __post_init__(self) -> None:
        for name in ("n_filters", "sample_rate", "window_len", "window_stride", "pcen_floor"):
            value: Any = getattr(self, name)
            if hasattr(value, "item"):  # of NumPy, whose narrow types wrap
                object.__setattr__(self, name, value.item())
        if isinstance(self.sample_rate, float) and self.sample_rate.is_integer():  # one text for one configuration
            object.__setattr__(self, "sample_rate", int(self.sample_rate))
        for name in ("sample_rate", "window_len", "window_stride"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name}={getattr(self, name)!r}: must be a finite number above 0")
        if self.n_filters < 1:
            raise ValueError(f"n_filters={self.n_filters!r}: must be at least 1")
        if self.padding not in PADDINGS:
            raise ValueError(f"padding={self.padding!r}: must be one of {PADDINGS}")
        if self.compression not in COMPRESSIONS:
            raise ValueError(f"compression={self.compression!r}: must be one of {COMPRESSIONS}")

    @property
    def window(self) -> int:
        """Samples in a Gabor kernel and in a pooling window."""
        if self.padding == "same":
            return int(self.sample_rate * self.window_len // 1000 + 1)
        size = int(self.sample_rate * self.window_len / 1000)
        return size + 1 - size % 2

    @property
    def stride(self) -> int:
        """Samples between two frames."""
        if self.padding == "same":
            return int(self.sample_rate * self.window_stride // 1000)
        return int(self.sample_rate * self.window_stride / 1000)

    def with_(self, **changes: Any) -> LeafConfig:
        """A copy with some fields replaced."""
        return replace(self, **changes)

    def __str__(self) -> str:
        default = LeafConfig()
        changed = [
            f"{f.name}={getattr(self, f.name)}"
            for f in fields(self)
            if getattr(self, f.name) != getattr(default, f.name)
        ]
        return ",".join(changed) or "default"


@dataclass(frozen=True)
class Conventions:
    """Differences of the rungs outside their shared domain.

    Attributes:
        clip_smooth: the smoothing coefficient is limited to [0, 1] (the original), or free (simplified LEAF).
        delta_low: delta is limited from below (simplified LEAF: 0), or free (None, the original).
        upper_wins: limits of the filterbank that cross, in windows under four samples, give the upper one (simplified
            LEAF), or the lower (the original).
    """

    clip_smooth: bool = True
    delta_low: float | None = None
    upper_wins: bool = False


ORIGINAL = Conventions()
SIMPLIFIED = Conventions(clip_smooth=False, delta_low=0.0, upper_wins=True)
