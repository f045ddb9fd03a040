"""The pictures of a certificate: what every rung makes of one speech clip, with which filters, and what a bug does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np
import soundfile

import efficientleaf
import leaf
from parity.adapters.rungs import RUNGS, Adapter, rung_of
from parity.oracle.config import LeafConfig
from parity.report import pictures, recorded
from parity.report.answers import MILLIONTH
from parity.report.page import Picture
from parity.report.pictures import Array, webp
from parity.weights.convert_module import convert
from parity.weights.load_weights import load_weights

N_FREQUENCIES = 16384
SAMPLE_RATE = 16000
RECORDED = Path("goldens", "speech.npz")  # beside the clip's folder: the original's weights and output on the clip
LIMIT = 1e-6  # of the difference of two outputs on the clip, relative to the largest
ROUGH: dict[str, Any] = {"num_groups": 8, "conv_win_factor": 6, "stride_factor": 16}
CENTRED = "leaf, centred"  # with the alignment of frames that efficientleaf has
STEPS = (("og_leaf", "tf_leaf"), ("leaf", "og_leaf"), ("efficientleaf", CENTRED))


class Exhibit(NamedTuple):
    """A frontend on show, and the adapter of its rung."""

    module: Any
    adapter: Adapter

    def features(self, x: Array) -> Array:
        """[filters, frames] of audio [1, T]."""
        return np.asarray(self.adapter.output(self.module, x)[0], dtype=np.float64)

    def responses(self) -> tuple[Array, Array]:
        """Frequencies in Hz [F] and the magnitude response of each filter [C, F]."""
        hz = np.arange(N_FREQUENCIES) * (SAMPLE_RATE / 2 / N_FREQUENCIES)
        spectra = [
            np.abs(np.fft.fft(kernels[:, 0] + 1j * kernels[:, 1], 2 * N_FREQUENCIES)[:, :N_FREQUENCIES])
            for kernels in self._filters()
        ]
        return hz, np.concatenate(spectra)

    def _filters(self) -> Iterator[Array]:
        """Filters [C, 2, W], a group at a time."""
        if self.adapter.rung != "efficientleaf":
            yield self.adapter.stages(self.module, np.zeros((1, SAMPLE_RATE // 10), dtype=np.float32))["filters"]
            return
        bank = self.module.filterbank
        for group in bank.groups():
            yield bank.filters(group).detach().numpy().reshape(2, group.stop - group.start, -1).transpose(1, 0, 2)


def ladder(golden: Path) -> tuple[dict[str, Exhibit], Array | None]:
    """Build the rungs up the ladder with the original's weights, and the two upper ones with their defaults.

    Args:
        golden: of the clip; without it the weights are og_leaf's own.

    Returns:
        Without rung 0 where there is no TensorFlow; and what was recorded of the original, [filters, frames], or None.
    """
    port, original = RUNGS["og_leaf"].load_adapter().build(LeafConfig()), None
    if golden.is_file():
        with np.load(golden, allow_pickle=False) as arrays:
            weights = {n.removeprefix("variables/"): arrays[n] for n in arrays.files if n.startswith("variables/")}
            original = np.asarray(arrays["output"][0], dtype=np.float64)
        load_weights(port, weights)
    shown: dict[str, Any] = {}
    with suppress(ImportError):
        shown["tf_leaf"] = convert(port, "tf_leaf")
    centred = convert(port, "leaf", padding="centered")
    shown |= {
        "og_leaf": port,
        "leaf": convert(port, "leaf"),
        CENTRED: centred,
        "efficientleaf": convert(centred, "efficientleaf"),
        "leaf, its own defaults": leaf.Leaf(),
        "efficientleaf, 8 groups (8G-opt)": efficientleaf.EfficientLeaf(compression="pcen", **ROUGH),
    }
    return {name: Exhibit(module, rung_of(module).load_adapter()) for name, module in shown.items()}, original


def draw(clip: Path, faults: Sequence[Mapping[str, Any]] = ()) -> list[Picture]:
    """Draw the rungs on a clip of 16 kHz, its first channel, and the planted bugs that rows of evidence tell of.

    Refuse with a ValueError another sampling rate.
    """
    audio, rate = soundfile.read(clip, dtype="float32", always_2d=True)
    if rate != SAMPLE_RATE:
        raise ValueError(f"clip={str(clip)!r}: sampled at {rate} Hz, must be {SAMPLE_RATE} Hz")
    x = audio[:, 0][None]
    shown, original = ladder(clip.parents[1] / RECORDED)
    features = {name: exhibit.features(x) for name, exhibit in shown.items()}
    steps = {
        f"{above} - {below.partition(',')[0]}": _relative(features[above], features[below])
        for above, below in STEPS if below in features
    }  # fmt: skip
    if original is not None:
        lowest = next(iter(features))
        steps = {f"{lowest} - the original": _relative(features[lowest], original), **steps}
    largest = "; ".join(f"{name}: {_peak(change) / MILLIONTH:.2g}" for name, change in steps.items())
    port = shown["og_leaf"]
    del features[CENTRED], shown[CENTRED]
    return [
        Picture(
            "A spoken sentence, on every rung",
            "Look for the same picture in the first four panels: same weights, same colours, no visible difference. "
            "The last two are the upper rungs with their own defaults, which differ on purpose: see the divergences.",
            f"Features of one sentence, {len(shown)} panels of 40 filters over 3 seconds. The rungs' panels look "
            "alike; the panels of the defaults differ in some bands.",
            webp(pictures.features(features)),
        ),
        Picture(
            "The same sentence: each rung minus the rung below",
            "Look at the scale: its unit is a millionth of the largest feature, max|a - b| / max|b|, and one float32 "
            "rounding is 0.06. Rounding is a fine grain that follows the loudness; a mistake would be thousands of "
            "units strong.",
            f"Differences, a panel a step, in millionths of the largest feature. The largest: {largest}.",
            webp(pictures.differences(steps)),
        ),
        Picture(
            "Filters of each rung over each other",
            "Look for thin lines that run inside thick ones: there the filters are the same. Below, where each filter "
            "peaks and how wide it is at -3 dB, against the first rung's; only other defaults leave the line.",
            "Frequency responses of five filters from 60 Hz to 8 kHz. The rungs' curves coincide; those of the two "
            "upper rungs' own defaults peak and widen elsewhere.",
            webp(pictures.filters({name: exhibit.responses() for name, exhibit in shown.items()})),
        ),
        _fault(port, x, features["leaf"], [float(row["ratio"]) for row in faults if row["caught"]]),
    ]


def _fault(port: Exhibit, x: Array, reference: Array, caught: Sequence[float]) -> Picture:
    """Show what the most common bug of ports looks like: a smoother that ignores the state to start from."""
    from og_leaf.postprocessing import ExponentialMovingAverage

    smooth = ExponentialMovingAverage.forward

    def from_zero(self: Any, inputs: Any, initial_state: Any) -> Any:
        return smooth(self, inputs, initial_state * 0)

    right = _relative(port.features(x), reference)
    with patch.object(ExponentialMovingAverage, "forward", from_zero):
        wrong = _relative(port.features(x), reference)
    below = " Below, by how much each planted bug of this certificate broke the limit that caught it."
    return Picture(
        "A bug, caught",
        "Look at the left edge of the second panel. Here the smoother starts from zero and not from the first frame, "
        f"a bug that public ports have: {_peak(wrong) / LIMIT:,.0f} times the limit, which the step without it stays "
        f"below.{below if caught else ''}",
        "Differences over their limit, on a logarithmic scale. Without the bug all is dark; with it the first second "
        "glows in every filter." + (f" A histogram of {len(caught)} planted bugs, all beyond 1." if caught else ""),
        webp(pictures.fault(
            {"og_leaf against leaf, as they are": right, "og_leaf with the bug planted, against leaf": wrong},
            caught, LIMIT,
        )),
    )  # fmt: skip


def draw_recorded(root: Path) -> list[Picture]:
    """Error against length and against cost, where the repository holds a record of them."""
    records, out = {record.name: record for record in recorded.read(root)}, []
    if long := records.get("long"):
        out.append(Picture(
            "Error against length",
            "Look for solid lines that stay below the dashed ones of their colour: the error of PCEN in float32, and "
            "what its own roundings may add up to at most. Flat lines mean that length alone costs nothing. "
            + _when(long, root),
            f"Four panels of error against length, up to {max(row['frames'] for row in long.rows):,} frames, a line "
            "for each smoothing coefficient s; every solid line lies below its dashed limit.",
            webp(pictures.against_length(long.rows)),
        ))  # fmt: skip
    if cost := records.get("frontends"):
        out.append(Picture(
            "Error against cost",
            "Look for triangles below and left of circles: a front end with a known error that is both nearer to LEAF "
            "and faster than the published setting. " + _when(cost, root),
            "Error of the energies against time, of LEAF, of the published settings of EfficientLEAF, and of "
            "EfficientLEAF with a tolerance from 0.1 to 0.00001.",
            webp(pictures.against_cost(cost.rows)),
        ))  # fmt: skip
    return out


def _when(record: recorded.Record, root: Path) -> str:
    stale = ", for another version of these files" if record.changed(root) else ""
    return f"Recorded on {record.date[:10]} at {record.commit}{stale}."


def _peak(values: Array) -> float:
    return float(np.max(np.abs(values), initial=0.0))


def _relative(candidate: Array, reference: Array) -> Array:
    """Compute the difference as a fraction of the reference's largest value."""
    return np.asarray((candidate - reference) / _peak(reference))
