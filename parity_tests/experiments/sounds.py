"""Small recordings, made where a test needs them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

RATE = 8000


def tone(path: Path, frequency: float, seconds: float = 0.25, rate: int = RATE, seed: int = 0) -> Path:
    """A tone in noise as a file, with the folders above it."""
    t = np.arange(int(seconds * rate)) / rate
    noise = np.random.default_rng(seed).standard_normal(len(t))
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, 0.3 * np.sin(2 * np.pi * frequency * t) + 0.02 * noise, rate)
    return path


def two_classes(root: Path, n_clips: int = 20) -> Path:
    """A folder of low and high tones, of several lengths."""
    for n in range(n_clips):
        for name, frequency in (("low", 300 + 10 * n), ("high", 2000 + 20 * n)):
            tone(root / name / f"{n}.wav", frequency, 0.1 + 0.02 * n, seed=n)
    return root
