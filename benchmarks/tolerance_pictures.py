"""Draws docs/energies-within-a-tolerance.png: ``python -m benchmarks.tolerance_pictures``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from matplotlib.figure import Figure

from efficientleaf import EfficientLeaf
from efficientleaf.tolerance.bound import quietest
from parity.oracle.approximation import Band
from parity.oracle.arrays import Array

PICTURE = Path(__file__).parents[1] / "docs" / "energies-within-a-tolerance.png"
BANDS = (0, 30)
TOLERANCES = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5)


def form(band: Band) -> Array:
    """Q of a frame, [2 W - 1, 2 W - 1]."""
    t, n = np.arange(-band.half, band.half + 1), np.arange(-band.half - band.reach, band.half + band.reach + 1)
    lag = n - t[:, None]
    taps = np.where(np.abs(lag) <= band.reach, np.exp(-(lag**2) / (2 * band.sigma**2)), 0.0)
    h = taps / (np.sqrt(2 * np.pi) * band.sigma) * np.exp(1j * band.mu * lag)
    return np.asarray(((h.conj().T * band.weights) @ h).real)


def draw(path: Annotated[Path, typer.Argument(help="of the picture")] = PICTURE) -> None:
    """Three rows: two forms; their filters' responses; eigenvalues, and what tolerances cost."""
    plans = {
        "1e-3": EfficientLeaf(tolerance=1e-3).plan(),
        "1e-3, 70 dB": EfficientLeaf(tolerance=1e-3, dynamic_range=70).plan(),
    }
    weights = plans["1e-3"].weights
    figure = Figure(figsize=(10, 11), layout="constrained")
    panels = figure.subplots(3, 2)
    for column, number in enumerate(BANDS):
        mu, sigma, width = weights[number]
        window = np.exp(-0.5 * (np.arange(-200, 201) / 200 / width) ** 2)
        q = form(Band(mu, sigma, 200, window))
        most = np.abs(q).max()
        panels[0, column].imshow(q, cmap="RdBu", vmin=-most, vmax=most, extent=(-400, 400, 400, -400))
        panels[0, column].set_title(f"Q of band {number}: samples about the frame's middle", fontsize=10)
        values = np.linalg.eigvalsh(q)
        taps = np.exp(-0.5 * (np.arange(-200, 201) / sigma) ** 2 + 1j * mu * np.arange(-200, 201))
        response = np.abs(np.fft.fft(taps / (np.sqrt(2 * np.pi) * sigma), 4096))[:2049]
        panels[1, column].plot(np.linspace(0, 8000, 2049), 20 * np.log10(np.maximum(response, 1e-10)))
        for label, plan in plans.items():
            allowed = plan.promise.allows(plan.geometry, plan.loudest(number))
            level = 20 * np.log10(quietest(allowed.t, allowed.a))
            panels[1, column].axhline(level, linestyle=":", color="gray")
            panels[1, column].text(0, level, f"{label}: below may be left out", va="bottom", fontsize=7)
        panels[1, column].set_title(f"band {number}: response in dB over Hz", fontsize=10)
        panels[2, 0].semilogy(np.maximum(values[::-1] / values[-1], 1e-16), label=f"band {number}")
    panels[2, 0].set_title("eigenvalues over the largest: a cut kernel's do not end", fontsize=10)
    panels[2, 0].legend(fontsize=8)
    for decibels in (None, 90.0, 70.0):
        cost = [EfficientLeaf(tolerance=t, dynamic_range=decibels).plan().cost(16000) / 16000 for t in TOLERANCES]
        label = "every audio" if decibels is None else f"{decibels:g} dB"
        panels[2, 1].semilogy(cost, TOLERANCES, "o-", label=label)
    panels[2, 1].set_title("tolerance against multiply-adds a sample (LEAF: 32260)", fontsize=10)
    panels[2, 1].legend(fontsize=8)
    figure.savefig(path, dpi=100)


if __name__ == "__main__":
    typer.run(draw)
