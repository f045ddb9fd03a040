"""Choose the clip that a conversion is measured on: a user's recording, the repository's clip, or synthesised audio."""

from __future__ import annotations

import wave
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from parity.weights.outputs import require_file

Array = NDArray[Any]
SPEECH = Path(__file__).resolve().parents[2] / "fixtures" / "speech" / "arctic_a0009.wav"


class Recording(NamedTuple):
    """The first channel of a ``.wav`` file: its path, samples [1, T] in float32, and rate in Hz."""

    path: Path
    samples: Array
    sample_rate: int


def recorded(path: Path) -> Recording:
    """Read the samples of a ``.wav`` file of 16 bits; raises ValueError where it cannot be read, and names it."""
    require_file("clip", path)
    try:
        with wave.open(str(path)) as file:
            if file.getsampwidth() != 2:
                raise ValueError(f"{8 * file.getsampwidth()} bits a sample")
            rate = file.getframerate()
            samples = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, file.getnchannels())
    except (OSError, EOFError, ValueError, wave.Error) as error:
        raise ValueError(f"clip={str(path)!r}: must be a .wav file of 16-bit samples ({error})") from None
    if not len(samples):
        raise ValueError(f"clip={str(path)!r}: must have samples")
    return Recording(path, (samples[None, :, 0] / 32768).astype(np.float32), rate)


def audio_of(recording: Recording | None, sample_rate: int) -> tuple[str, Array]:
    """Choose what to measure on: in words, and its samples [1, T] in float32.

    That is the user's recording, which must have the frontend's ``sample_rate`` in Hz; or the repository's clip, whose
    samples serve at any rate, which is said; or, without the repository, audio that is synthesised.
    """
    if recording is not None and recording.sample_rate != sample_rate:
        raise ValueError(
            f"clip={str(recording.path)!r}: has {recording.sample_rate} Hz, must have the frontend's {sample_rate}; "
            "resample it, or say the frontend's rate: --config sample_rate=..."
        )
    if recording is None and not SPEECH.is_file():
        n = np.arange(3 * sample_rate)
        swell = 10.0 ** (2.0 * np.sin(2 * np.pi * n / sample_rate) - 2.5)
        tone = np.sin(np.pi * n * n / (4.0 * len(n)))  # from 0 Hz to a quarter of the rate
        noise = np.random.default_rng(0).standard_normal(len(n))
        return "3 s of a synthesised sweep and noise", (swell * (tone + noise))[None].astype(np.float32)
    used = recording or recorded(SPEECH)
    other = "" if used.sample_rate == sample_rate else f" ({used.sample_rate} Hz, taken as {sample_rate} Hz)"
    return used.path.name + other, used.samples
