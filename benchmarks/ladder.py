"""One sentence on every rung, and how far each is from the rung below: ``python -m benchmarks.ladder``.

Draws ``docs/ladder.png``. All rungs have the original's initial weights.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image  # matplotlib brings it

from parity.adapters.rungs import RUNGS
from parity.oracle.config import LeafConfig
from parity.weights.clip import SPEECH, recorded
from parity.weights.convert_module import convert
from parity.weights.outputs import replace_file

PICTURE = Path(__file__).parents[1] / "docs" / "ladder.png"
LEAST, MOST = 1e-9, 1.0  # of the scale of differences
SECONDS_PER_FRAME = 0.01


@dataclass(frozen=True)
class Shown:
    """A row of the picture.

    Attributes:
        name: what computed it.
        features: [filters, frames].
        below: what it is held against; None at the bottom.
        difference: |difference| / max|below|, [filters, frames]; None at the bottom.
    """

    name: str
    features: NDArray[Any]
    below: str | None = None
    difference: NDArray[Any] | None = None


def rows(audio: NDArray[np.float32]) -> list[Shown]:
    """Up the ladder, with the same weights everywhere.

    Args:
        audio: [1, T], 16 kHz.

    Raises:
        ImportError: TensorFlow is not installed.
    """
    adapters = {name: rung.load_adapter() for name, rung in RUNGS.items()}
    bottom = adapters["tf_leaf"].build(LeafConfig())
    port = convert(bottom, "og_leaf")
    centred = convert(port, "leaf", padding="centered")
    rough = {"num_groups": 4, "conv_win_factor": 4.77, "stride_factor": 1.0}
    modules = {
        "tf_leaf": ("tf_leaf", bottom),
        "og_leaf": ("og_leaf", port),
        "leaf": ("leaf", convert(port, "leaf")),
        "leaf, centred": ("leaf", centred),
        "efficientleaf, approximation off": ("efficientleaf", convert(centred, "efficientleaf", padding="centered")),
        "efficientleaf, published default": (
            "efficientleaf", convert(centred, "efficientleaf", padding="centered", **rough)),
    }  # fmt: skip
    out = {
        name: np.asarray(adapters[rung].output(module, audio)[0], np.float64)
        for name, (rung, module) in modules.items()
    }
    steps = {
        "og_leaf": "tf_leaf",
        "leaf": "og_leaf",
        "efficientleaf, approximation off": "leaf, centred",
        "efficientleaf, published default": "leaf, centred",
    }
    return [Shown("tf_leaf", out["tf_leaf"])] + [
        Shown(above, out[above], below.split(",")[0], np.abs(out[above] - out[below]) / np.abs(out[below]).max())
        for above, below in steps.items()
    ]


def draw(shown: Sequence[Shown]) -> Figure:
    """Features on the left, on one scale; differences on the right, on a logarithmic one that begins below rounding."""
    figure = Figure(figsize=(11, 1.5 * len(shown) + 0.6), layout="constrained")
    panels = figure.subplots(len(shown), 2, sharex=True, sharey=True)
    low, high = np.percentile(shown[0].features, [0.5, 99.5])
    for (left, right), row in zip(panels, shown, strict=True):
        n_filters, n_frames = row.features.shape
        where = {"origin": "lower", "aspect": "auto", "extent": (0, n_frames * SECONDS_PER_FRAME, 0, n_filters)}
        values = left.imshow(row.features, vmin=low, vmax=high, cmap="magma", **where)
        left.set_title(row.name, fontsize=9, loc="left")
        left.set_ylabel("filter", fontsize=8)
        if row.difference is None:
            right.axis("off")
            right.text(0.02, 0.5, "the lowest rung: equal to the original, bit for bit,\nin one process",
                       transform=right.transAxes, va="center", fontsize=9)  # fmt: skip
            continue
        off = right.imshow(np.maximum(row.difference, LEAST), norm=LogNorm(LEAST, MOST), cmap="viridis", **where)
        right.set_title(f"its difference to {row.below}: at most {row.difference.max():.0e}", fontsize=9, loc="left")
    for panel in panels[-1]:
        panel.set_xlabel("s")
    figure.colorbar(values, ax=panels[:, 0], shrink=0.5, label="feature", extend="both")
    figure.colorbar(off, ax=panels[:, 1], shrink=0.5, label="|difference| / largest feature", extend="min")
    return figure


def main(path: Annotated[Path, typer.Argument(help="of the picture")] = PICTURE) -> None:
    """Draw the picture."""
    png, small = io.BytesIO(), io.BytesIO()
    draw(rows(recorded(SPEECH).samples)).savefig(png, format="png", dpi=100)
    Image.open(png).convert("RGB").quantize(160).save(small, format="png", optimize=True)
    replace_file(path, small.getvalue())


if __name__ == "__main__":
    typer.run(main)
