"""The pictures of a certificate: what every rung makes of one speech clip, and with which filters."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from parity.adapters.base import Adapter
from parity.adapters.rungs import RUNGS
from parity.oracle.config import LeafConfig
from parity.report import pictures
from parity.weights.converting import convert

Array = NDArray[Any]
N_FREQUENCIES = 16384
SAMPLE_RATE = 16000


@dataclass(frozen=True)
class Exhibit:
    """A frontend on show.

    Attributes:
        module: the frontend.
        adapter: of its rung.
    """

    module: Any
    adapter: Adapter

    def features(self, x: Array) -> Array:
        """[filters, frames] of audio [1, T]."""
        return np.asarray(self.adapter.output(self.module, x)[0], dtype=np.float64)

    def groups(self) -> Iterator[tuple[Array, Array, int]]:
        """Filters [C, 2, W], pooling windows [C, W] and the stride of the samples pooled."""
        if self.adapter.rung != "efficientleaf":
            stages = self.adapter.stages(self.module, np.zeros((1, SAMPLE_RATE // 10), dtype=np.float32))
            yield stages["filters"], stages["windows"], 1
            return
        bank = self.module.filterbank
        for group in bank.groups():
            n = group.stop - group.start
            kernels = bank.filters(group).detach().numpy().reshape(2, n, -1).transpose(1, 0, 2)
            yield kernels, bank.windows(group).detach().numpy().reshape(n, -1), group.conv_stride

    def responses(self) -> tuple[Array, Array]:
        """Frequencies in Hz [F] and the magnitude response of each filter [C, F]."""
        hz = np.arange(N_FREQUENCIES) * (SAMPLE_RATE / 2 / N_FREQUENCIES)
        spectra = [
            np.abs(np.fft.fft(kernels[:, 0] + 1j * kernels[:, 1], 2 * N_FREQUENCIES)[:, :N_FREQUENCIES])
            for kernels, _, _ in self.groups()
        ]
        return hz, np.concatenate(spectra)

    def windows(self) -> tuple[Array, Array]:
        """Time in ms from the middle and the pooling window, both [C, W], NaN beyond a shorter one's ends."""
        parts = [(window, stride) for _, window, stride in self.groups()]
        longest = max(window.shape[1] for window, _ in parts)
        ms, values = [], []
        for window, stride in parts:
            n, size = window.shape
            pad = ((0, 0), (0, longest - size))
            times = (np.arange(size) - (size - 1) / 2) * stride * 1000 / SAMPLE_RATE
            ms.append(np.pad(np.tile(times, (n, 1)), pad, constant_values=np.nan))
            values.append(np.pad(window.astype(np.float64), pad, constant_values=np.nan))
        return np.concatenate(ms), np.concatenate(values)


def exhibits() -> dict[str, Exhibit]:
    """Frontends with their initial values, up the ladder; without rung 0 where there is no TensorFlow."""
    import efficientleaf
    import leaf

    adapters = {name: rung.load_adapter() for name, rung in RUNGS.items() if rung.framework == "torch"}
    port = adapters["og_leaf"].build(LeafConfig())
    rough: dict[str, Any] = {"num_groups": 8, "conv_win_factor": 6, "stride_factor": 16}
    out = {
        "og_leaf": Exhibit(port, adapters["og_leaf"]),
        'leaf, carried over, padding="same"': Exhibit(convert(port, "leaf"), adapters["leaf"]),
        "leaf": Exhibit(leaf.Leaf(), adapters["leaf"]),
        "efficientleaf, PCEN": Exhibit(efficientleaf.EfficientLeaf(compression="pcen"), adapters["efficientleaf"]),
        "efficientleaf 8G-opt, PCEN": Exhibit(
            efficientleaf.EfficientLeaf(compression="pcen", **rough), adapters["efficientleaf"]
        ),
    }
    try:
        adapter = RUNGS["tf_leaf"].load_adapter()
    except ImportError:
        return out
    return {"tf_leaf": Exhibit(adapter.build(LeafConfig()), adapter), **out}


def draw(clip: Path) -> dict[str, bytes]:
    """Caption to PNG.

    Args:
        clip: an audio file, 16 kHz; of several channels the first is used.

    Raises:
        ValueError: another sampling rate.
    """
    audio, rate = soundfile.read(clip, dtype="float32", always_2d=True)
    if rate != SAMPLE_RATE:
        raise ValueError(f"clip={str(clip)!r}: sampled at {rate} Hz, must be {SAMPLE_RATE} Hz")
    shown = exhibits()
    features = {name: item.features(audio[:, 0][None]) for name, item in shown.items()}
    names = list(features)
    changes = {f"{b} - {a}": _relative_difference(features[b], features[a]) for a, b in itertools.pairwise(names)}
    return {
        "A sentence, on every rung": pictures.features(features),
        "The same sentence: what each rung changes": pictures.differences(changes),
        "Filters of each rung over each other": pictures.filters({n: e.responses() for n, e in shown.items()}),
        "Pooling windows of each rung over each other": pictures.windows({n: e.windows() for n, e in shown.items()}),
    }


def _relative_difference(candidate: Array, reference: Array) -> Array:
    frames = min(candidate.shape[1], reference.shape[1])
    return np.asarray((candidate[:, :frames] - reference[:, :frames]) / np.abs(reference).max())
