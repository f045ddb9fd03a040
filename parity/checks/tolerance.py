"""EfficientLEAF's tolerance on drawn parameters and hostile signals, against LEAF's energies in float64.

A draw is a geometry, a bank of a few filters anywhere in LEAF's box (or near a mel bank, as trained ones are) and a
clip of every kind in :data:`KINDS`: bursts in the flank of a window and loud tones outside of a band are among them.
:func:`matrices` are the energies themselves, as forms of a short clip, whose eigenvectors are the worst signals.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from efficientleaf import ToleranceFilterbank
from leaf import GaborFilterbank
from leaf.filters import SIGMA_PER_SAMPLE, mel_filter_params
from leaf.pcen import leaf_pcen

Array = NDArray[np.float64]

TOLERANCES = (1e-2, 1e-3, 1e-4)  # that are held to account
FLOOR = 1e-5
RATES = (8000, 11025, 16000, 16000, 22050)
WINDOWS = (25.0, 25.0, 16.0, 40.0)
HOPS = (10.0, 10.0, 12.5, 5.0, 9.5)
MOST_FRAMES = 40


@dataclass(frozen=True)
class BandDraw:
    """A filterbank and a length of audio.

    Attributes:
        seed: of everything here, and of the signals.
        rate, size, hop: Hz, and the window and hop in samples.
        centers, sigmas, widths: as LEAF's filterbank holds them, within its box.
        n_samples: of a clip.
    """

    seed: int
    rate: int
    size: int
    hop: int
    centers: Array
    sigmas: Array
    widths: Array
    n_samples: int


def draw(seed: int, n_filters: int = 6) -> BandDraw:
    """Half of the banks anywhere in LEAF's box, half near a mel bank."""
    rng = np.random.default_rng(seed)
    rate = int(rng.choice(RATES))
    size, hop = int(rate * rng.choice(WINDOWS) / 1000) | 1, int(rate * rng.choice(HOPS) / 1000)
    lowest, highest = 4 * SIGMA_PER_SAMPLE, size * SIGMA_PER_SAMPLE
    if rng.random() < 0.5:
        centers = rng.uniform(0, math.pi, n_filters)
        sigmas = lowest * (highest / lowest) ** rng.random(n_filters)
        widths = np.clip(rng.uniform(0, 0.5, n_filters) ** rng.choice([1.0, 2.0]), 2 / size, 0.5)
    else:
        mel = mel_filter_params(40, 60.0, 0.4875 * rate, rate)
        bands = np.sort(rng.choice(40, n_filters, replace=False))
        centers, sigmas = (t.double().numpy()[bands] for t in mel)
        centers = np.clip(centers + rng.normal(0, 0.02, n_filters), 0, math.pi)
        sigmas = np.clip(sigmas * np.exp(rng.normal(0.1, 0.15, n_filters)), lowest, highest)
        widths = np.clip(rng.normal(0.4, 0.04, n_filters), 2 / size, 0.5)
    edges = [1, 2, hop - 1, hop, hop + 1, size // 2, size - 1, size, size + 1, 3 * hop, 4 * hop + 1]
    n = int(rng.choice(edges)) if rng.random() < 0.3 else int(rng.integers(1, MOST_FRAMES * hop))
    return BandDraw(seed, rate, size, hop, centers, sigmas, widths, max(n, 1))


def banks(
    drawn: BandDraw, tolerance: float, dtype: torch.dtype = torch.float64
) -> tuple[GaborFilterbank, ToleranceFilterbank]:
    """LEAF's in float64 and the tolerance's in ``dtype``, with the draw's parameters."""
    n = len(drawn.sigmas)
    reference = GaborFilterbank(n, 60.0, drawn.rate / 2, drawn.rate, drawn.size, drawn.size, drawn.hop).double()
    ours = ToleranceFilterbank(n, 60.0, drawn.rate / 2, drawn.rate, drawn.size, drawn.hop, tolerance=tolerance).double()
    ours.to(dtype)
    with torch.no_grad():
        for bank in (reference, ours):
            for parameter, values in zip(bank.parameters(), (drawn.centers, drawn.sigmas, drawn.widths), strict=True):
                parameter.copy_(torch.from_numpy(values).to(bank.center_freqs.dtype))
        # one set of parameters, that of the candidate's precision
        reference.load_state_dict({name: value.double() for name, value in ours.state_dict().items()})
    return reference.eval(), ours.eval()


KINDS = (
    "noise", "signs", "silence", "dc", "impulse", "pulses", "tone", "chirp", "loud tone, weak noise", "two loud tones",
    "beating tones", "weak inside, loud outside", "bursts", "step",
)  # fmt: skip


def clips(drawn: BandDraw) -> Tensor:
    """A clip [kinds, T] of every kind, within [-1, 1]; each takes its draws behind the last one's."""
    rng, length, n_bands = np.random.default_rng([drawn.seed, 1]), drawn.n_samples, len(drawn.sigmas)
    n = np.arange(length, dtype=np.float64)

    def of_band() -> tuple[float, float]:
        i = rng.integers(n_bands)
        return drawn.centers[i], drawn.sigmas[i]

    noise = rng.uniform(-1, 1, length) * 10 ** rng.uniform(-5, 0)
    signs = rng.choice([-1.0, 1.0], length)
    dc = np.full(length, 10 ** rng.uniform(-3, 0))
    impulse = (n == int(rng.choice(np.array([0, length - 1, int(rng.integers(length))])))).astype(np.float64)
    pulses = n % int(rng.integers(2, 100)) == 0  # beats at every multiple of a frequency at once
    near = drawn.centers[rng.integers(n_bands)] if rng.random() < 0.5 else rng.uniform(0, math.pi)
    tone = 10 ** rng.uniform(-3, 0) * np.cos(near * n + rng.uniform(0, 6))
    a, b = rng.uniform(0, math.pi, 2)
    chirp = np.cos(a * n + (b - a) * n**2 / (2 * length))
    loud = 0.9 * np.cos(rng.uniform(0, math.pi) * n)
    loud_weak = loud + 10 ** rng.uniform(-5, -1) * rng.uniform(-1, 1, length)
    a, b = rng.uniform(0, math.pi, 2)
    two = 0.5 * np.cos(a * n) + 0.5 * np.cos(b * n)
    # equally strong in a band, on either side of its centre: the worst of the skirts
    center, sigma = of_band()
    beat = rng.uniform(0.5, 12) / sigma
    beating = 0.5 * np.cos((center - beat / 2) * n) + 0.5 * np.cos((center + beat / 2) * n + rng.uniform(0, 6))
    # a tone in a band at the floor, and a loud one outside
    center, sigma = of_band()
    inside = center + rng.uniform(-3, 3) / sigma
    outside = inside + rng.choice([-1, 1]) * rng.uniform(4, 40) / sigma
    weak = 10 ** rng.uniform(-4, -1)
    weak_inside = (1 - weak) * np.cos(outside * n) + weak * np.cos(inside * n)
    # a band's own tone, now and then: in every hop, or once
    center, _ = of_band()
    lasting, first = rng.integers(1, 80), rng.integers(max(1, length))
    period = drawn.hop if rng.random() < 0.5 else length
    bursts = np.where((n - first) % period < lasting, np.cos(center * n + rng.uniform(0, 6)), 0.0)
    first, last = np.sort(rng.integers(0, length + 1, 2))
    step = (n >= first) & (n < last)  # a level that comes, and goes
    made = (noise, signs, np.zeros(length), dc, impulse, pulses, tone, chirp, loud_weak, two, beating, weak_inside)
    return torch.from_numpy(np.stack([np.asarray(x, dtype=np.float64) for x in (*made, bursts, step)]))


@dataclass(frozen=True)
class Errors:
    """Errors of a batch of clips against LEAF, energies floored at 1e-5.

    Attributes:
        band: L2 norm of the difference over LEAF's, [clips, bands]: what the tolerance is for.
        frame: largest relative difference of a single frame, [clips].
        pcen: largest difference after PCEN over the largest value, [clips].
    """

    band: Array
    frame: Array
    pcen: Array


@torch.no_grad()
def errors(ours: ToleranceFilterbank, reference: GaborFilterbank, x: Tensor) -> Errors:
    """``x`` [clips, T] in float64."""
    true = reference(x.to(ours.center_freqs.dtype).double())
    found = ours(x.to(ours.center_freqs.dtype)).double()
    a, b = found.clamp(min=FLOOR), true.clamp(min=FLOOR)
    pcen = leaf_pcen(ours.n_filters).double()
    p, q = pcen(found), pcen(true)
    scale = q.abs().amax((1, 2)).clamp(min=1e-300)
    return Errors(
        ((a - b).norm(dim=-1) / b.norm(dim=-1)).numpy(),
        ((a - b).abs() / b).amax((1, 2)).numpy(),
        ((p - q).abs().amax((1, 2)) / scale).numpy(),
    )


def matrices(bank: Callable[[Tensor], Tensor], n_samples: int) -> Array:
    """The matrices [C, frames, n, n] of a clip's energies, quadratic forms of its n samples: from their gradients.

    The gradient of x' Q x is 2 Q x: a column of Q is half of what a step of 1 in a sample adds to it, from any start.
    """
    start = torch.from_numpy(np.random.default_rng(0).uniform(-1, 1, n_samples))
    x = torch.cat((start.unsqueeze(0), start + torch.eye(n_samples, dtype=torch.float64))).requires_grad_()
    e = bank(x)
    found = np.zeros((*e.shape[1:], n_samples, n_samples))
    for band, frame in np.ndindex(*e.shape[1:]):
        (slopes,) = torch.autograd.grad(e[:, band, frame].sum(), x, retain_graph=True)
        columns = (slopes[1:] - slopes[0]).numpy() / 2
        found[band, frame] = (columns + columns.T) / 2
    return found


def worst_signals(ours: Array, true: Array, floor: float) -> Array:
    """Clips [..., 2, n] within [-1, 1] for which two forms [..., n, n] differ most, over e + floor |x|^2."""
    values, vectors = np.linalg.eigh(true + floor * np.eye(true.shape[-1]))
    half = vectors / np.sqrt(values)[..., np.newaxis, :]
    found = half @ np.linalg.eigh(np.swapaxes(half, -1, -2) @ (ours - true) @ half)[1]
    x = np.swapaxes(found[..., [0, -1]], -1, -2)
    return np.asarray(x / np.abs(x).max(axis=-1, keepdims=True))
