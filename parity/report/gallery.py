"""The pictures of a certificate: what every rung makes of one speech clip, with which filters, and what a bug does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import soundfile
from numpy.typing import NDArray

from parity.adapters.base import Adapter
from parity.adapters.rungs import RUNGS
from parity.oracle.config import LeafConfig
from parity.report import pictures
from parity.report.picture import Picture
from parity.weights.converting import convert

Array = NDArray[Any]
N_FREQUENCIES = 16384
SAMPLE_RATE = 16000
RECORDED = Path("goldens", "speech.npz")  # beside the clip's folder: the original's weights and output on the clip
LIMIT = 1e-6  # of the difference of two outputs on the clip, relative to the largest
ROUGH: dict[str, Any] = {"num_groups": 8, "conv_win_factor": 6, "stride_factor": 16}
Pair = tuple[Array, Array]


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

    def filters(self) -> Iterator[Array]:
        """Filters [C, 2, W], a group at a time."""
        if self.adapter.rung != "efficientleaf":
            yield self.adapter.stages(self.module, np.zeros((1, SAMPLE_RATE // 10), dtype=np.float32))["filters"]
            return
        bank = self.module.filterbank
        for group in bank.groups():
            yield bank.filters(group).detach().numpy().reshape(2, group.stop - group.start, -1).transpose(1, 0, 2)

    def responses(self) -> Pair:
        """Frequencies in Hz [F] and the magnitude response of each filter [C, F]."""
        hz = np.arange(N_FREQUENCIES) * (SAMPLE_RATE / 2 / N_FREQUENCIES)
        spectra = [
            np.abs(np.fft.fft(kernels[:, 0] + 1j * kernels[:, 1], 2 * N_FREQUENCIES)[:, :N_FREQUENCIES])
            for kernels in self.filters()
        ]
        return hz, np.concatenate(spectra)


@dataclass(frozen=True)
class Ladder:
    """The rungs with one set of weights, as the claims on speech have them.

    Attributes:
        rungs: up the ladder; without rung 0 where there is no TensorFlow.
        centred: ``leaf`` with the alignment of frames that ``efficientleaf`` has.
        defaults: the two upper rungs as their own defaults make them.
        original: what was recorded of the original on the clip, [filters, frames]; None where nothing is at hand.
    """

    rungs: Mapping[str, Exhibit]
    centred: Exhibit
    defaults: Mapping[str, Exhibit]
    original: Array | None

    def pairs(self, x: Array) -> dict[str, Pair]:
        """What each step of the ladder compares on audio [1, T]: title to candidate and reference."""
        features = {name: item.features(x) for name, item in self.rungs.items()}
        centred = self.centred.features(x)
        out: dict[str, Pair] = {}
        if self.original is not None:
            lowest = next(iter(features))
            out[f"{lowest} - the original"] = features[lowest], self.original
        if "tf_leaf" in features:
            out["og_leaf - tf_leaf"] = features["og_leaf"], features["tf_leaf"]
        out["leaf - og_leaf"] = features["leaf"], features["og_leaf"]
        out["efficientleaf - leaf"] = features["efficientleaf"], centred
        return out


def ladder(recorded: Path) -> Ladder:
    """Every rung with the weights of the original's golden; with og_leaf's own where there is none.

    Args:
        recorded: the golden of the clip.
    """
    import efficientleaf
    import leaf

    adapters = {name: rung.load_adapter() for name, rung in RUNGS.items() if rung.framework == "torch"}
    config = LeafConfig()
    port = adapters["og_leaf"].build(config)
    original = None
    if recorded.is_file():
        with np.load(recorded, allow_pickle=False) as golden:
            weights = {n.removeprefix("variables/"): golden[n] for n in golden.files if n.startswith("variables/")}
            original = np.asarray(golden["output"][0], dtype=np.float64)
        adapters["og_leaf"].write(port, weights)
    variables = adapters["og_leaf"].read(port)
    centred = convert(port, "leaf", padding="centered")
    modules = {"og_leaf": port, "leaf": convert(port, "leaf"), "efficientleaf": convert(centred, "efficientleaf")}
    rungs = {name: Exhibit(module, adapters[name]) for name, module in modules.items()}
    try:
        adapter = RUNGS["tf_leaf"].load_adapter()
    except ImportError:
        pass
    else:
        lowest = adapter.build(config)
        adapter.write(lowest, variables)
        rungs = {"tf_leaf": Exhibit(lowest, adapter), **rungs}
    rough = efficientleaf.EfficientLeaf(compression="pcen", **ROUGH)
    defaults = {
        "leaf, its own defaults": Exhibit(leaf.Leaf(), adapters["leaf"]),
        "efficientleaf, 8 groups (8G-opt)": Exhibit(rough, adapters["efficientleaf"]),
    }
    return Ladder(rungs, Exhibit(centred, adapters["leaf"]), defaults, original)


def draw(clip: Path, faults: Sequence[Mapping[str, Any]] = ()) -> list[Picture]:
    """The pictures of the rungs.

    Args:
        clip: an audio file, 16 kHz; of several channels the first is used.
        faults: rows of evidence on planted bugs.

    Raises:
        ValueError: another sampling rate.
    """
    audio, rate = soundfile.read(clip, dtype="float32", always_2d=True)
    if rate != SAMPLE_RATE:
        raise ValueError(f"clip={str(clip)!r}: sampled at {rate} Hz, must be {SAMPLE_RATE} Hz")
    x = audio[:, 0][None]
    shown = ladder(clip.parents[1] / RECORDED)
    everything = {**shown.rungs, **shown.defaults}
    changes = {name: _relative(*pair) for name, pair in shown.pairs(x).items()}
    largest = "; ".join(f"{name}: {_peak(change) / pictures.MILLIONTH:.2g}" for name, change in changes.items())
    return [
        Picture(
            "A spoken sentence, on every rung",
            "Look for the same picture in the first four panels: same weights, same colours, no visible difference. "
            "The last two are the upper rungs with their own defaults, which differ on purpose: see the divergences.",
            f"Features of one sentence, {len(everything)} panels of 40 filters over 3 seconds. The rungs' panels look "
            "alike; the panels of the defaults differ in some bands.",
            pictures.features({name: item.features(x) for name, item in everything.items()}),
        ),
        Picture(
            "The same sentence: each rung minus the rung below",
            "Look at the scale: its unit is a millionth of the largest feature, max|a - b| / max|b|, and one float32 "
            "rounding is 0.06. Rounding is a fine grain that follows the loudness; a mistake would be thousands of "
            "units strong.",
            f"Differences, a panel a step, in millionths of the largest feature. The largest: {largest}.",
            pictures.differences(changes),
        ),
        Picture(
            "Filters of each rung over each other",
            "Look for thin lines that run inside thick ones: there the filters are the same. Below, where each filter "
            "peaks and how wide it is at -3 dB, against the first rung's; only other defaults leave the line.",
            "Frequency responses of five filters from 60 Hz to 8 kHz. The rungs' curves coincide; those of the two "
            "upper rungs' own defaults peak and widen elsewhere.",
            pictures.filters({name: item.responses() for name, item in everything.items()}),
        ),
        _fault(shown.rungs["og_leaf"], x, faults),
    ]


def _fault(port: Exhibit, x: Array, faults: Sequence[Mapping[str, Any]]) -> Picture:
    """What the most common bug of ports looks like: the smoother ignores the state that it should start from."""
    from og_leaf.postprocessing import ExponentialMovingAverage

    smooth = ExponentialMovingAverage.forward

    def from_zero(self: Any, inputs: Any, initial_state: Any) -> Any:
        return smooth(self, inputs, initial_state * 0)

    right = port.features(x)
    with patch.object(ExponentialMovingAverage, "forward", from_zero):
        wrong = port.features(x)
    reference = convert(port.module, "leaf")
    below = Exhibit(reference, RUNGS["leaf"].load_adapter()).features(x)
    caught = [float(row["ratio"]) for row in faults if row["killed"]]
    times = _peak(_relative(wrong, below)) / LIMIT
    return Picture(
        "A bug, caught",
        "Look at the left edge of the second panel. Here the smoother starts from zero and not from the first frame, "
        f"a bug that public ports have: {times:,.0f} times the limit, which the step without it stays below."
        + (
            " Below, by how much each planted bug of this certificate broke the limit that caught it." if caught else ""
        ),
        "Differences over their limit, on a logarithmic scale. Without the bug all is dark; with it the first second "
        "glows in every filter." + (f" A histogram of {len(caught)} planted bugs, all beyond 1." if caught else ""),
        pictures.fault(
            {
                "og_leaf against leaf, as they are": _relative(right, below),
                "og_leaf with the bug planted, against leaf": _relative(wrong, below),
            },
            caught,
            LIMIT,
        ),
    )


def _peak(values: Array) -> float:
    return float(np.max(np.abs(values), initial=0.0))


def _relative(candidate: Array, reference: Array) -> Array:
    """The difference as a fraction of the reference's largest value."""
    return np.asarray((candidate - reference) / _peak(reference))
