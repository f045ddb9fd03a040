"""Recordings of another rate, where they are to be resampled."""

from __future__ import annotations

import numpy as np

from experiments.data import Clip, Crops, Sound, read
from parity_tests.experiments.sounds import tone


def test_a_tone_keeps_its_frequency_and_length(tmp_path):
    path = tone(tmp_path / "x.wav", 1000, 1, rate=22050)
    samples = read(path, Sound(8000, resample=True))
    assert len(samples) == 8000
    assert int(np.argmax(np.abs(np.fft.rfft(samples)))) == 1000


def test_crops_are_of_the_new_rate(tmp_path):
    path = tone(tmp_path / "x.wav", 1000, 1, rate=22050)
    crop = Crops([Clip(path, "a", "x")], ["a"], Sound(8000, 0.5, resample=True))[0][0]
    assert int(np.argmax(np.abs(np.fft.rfft(crop.numpy())))) == 500
