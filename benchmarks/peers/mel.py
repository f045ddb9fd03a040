"""Logarithmic mel spectrograms: what a learnable front end takes the place of."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

MATRICES = ("dense", "sparse")
FLOOR = 1e-5


class Mel(nn.Module):
    """``log(matrix |stft|^2 + 1e-5)``: audio [B, T] to [B, n_mels, T // hop + 1].

    The fastest that PyTorch has on a CPU: squares added instead of a modulus, a transform whose length is a power of
    two, one matrix product for all frames.

    Args:
        n_mels, min_freq, max_freq, sample_rate: triangles of peak 1, evenly spaced in mel; Hz.
        n_fft, window, hop: samples; Hann.
        matrix: "dense", or "sparse" (CSR: a triangle covers few bins).
    """

    def __init__(
        self,
        n_mels: int = 40,
        min_freq: float = 60.0,
        max_freq: float = 7800.0,
        sample_rate: float = 16000,
        n_fft: int = 512,
        window: int = 401,
        hop: int = 160,
        matrix: str = "dense",
    ) -> None:
        super().__init__()
        if matrix not in MATRICES:
            raise ValueError(f"matrix={matrix!r}: one of {', '.join(map(repr, MATRICES))} is needed")
        self.n_fft, self.hop, self.matrix = n_fft, hop, matrix
        triangles = mel_triangles(n_mels, min_freq, max_freq, sample_rate, n_fft)
        self.register_buffer("window", torch.hann_window(window))
        self.register_buffer("triangles", triangles if matrix == "dense" else triangles.to_sparse_csr())

    def forward(self, x: Tensor) -> Tensor:
        z = torch.stft(
            x, self.n_fft, self.hop, self.window.shape[0], self.window, pad_mode="constant", return_complex=True
        )
        power = z.real.square() + z.imag.square()
        if self.matrix == "dense":
            return torch.log(torch.matmul(self.triangles, power) + FLOOR)
        n_clips, n_bins, n_frames = power.shape
        mel = torch.mm(self.triangles, power.transpose(0, 1).reshape(n_bins, n_clips * n_frames))
        return torch.log(mel.view(-1, n_clips, n_frames).transpose(0, 1) + FLOOR)


def mel_triangles(n_mels: int, min_freq: float, max_freq: float, sample_rate: float, n_fft: int) -> Tensor:
    """Triangles [n_mels, n_fft // 2 + 1] over the bins, between points that are evenly spaced in mel."""
    low, high = (1127 * math.log1p(f / 700) for f in (min_freq, max_freq))
    points = 700 * torch.expm1(torch.linspace(low, high, n_mels + 2) / 1127) * (n_fft / sample_rate)
    below, middle, above = (points[i : n_mels + i, None] for i in range(3))
    bins = torch.arange(n_fft // 2 + 1.0)
    return torch.minimum((bins - below) / (middle - below), (above - bins) / (above - middle)).clamp(min=0.0)


def nnaudio(n_mels: int = 40) -> Any | None:
    """nnAudio's mel spectrogram, a convolution with sines and cosines; None where it is not installed."""
    try:
        from nnAudio.features import MelSpectrogram
    except ImportError:
        return None
    return MelSpectrogram(
        sr=16000, n_fft=512, win_length=401, hop_length=160, n_mels=n_mels, fmin=60, fmax=7800, verbose=False
    )
