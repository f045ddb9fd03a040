"""Filters and windows of the PyTorch rungs have no tap that makes a convolution slow, and lack none that counts."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import leaf
import og_leaf
from parity.criteria import AtMost, OfMax
from parity.oracle.gabor import gabor
from parity.oracle.geometry import Box
from parity.oracle.pooling import gaussian_window
from parity.oracle.running import FLUSHED
from parity_tests.helpers.rungs import one

SIZE, N = 401, 300
CLOSE = OfMax(1e-6, "eight roundings of float32")
HALF_STEP = 2.0**-24  # of 24-bit audio
BOX = Box.of_leaf(SIZE)
CENTRES, SIGMAS = np.linspace(0.05, 3.1, N), np.geomspace(BOX.sigma_low, BOX.sigma_high, N)
WIDTHS = np.geomspace(2 / SIZE, 0.5, N)


def of_og_leaf(dtype):
    kernel = torch.tensor(np.stack([CENTRES, SIGMAS], axis=1), dtype=dtype)
    widths = torch.tensor(WIDTHS, dtype=dtype).reshape(N, 1, 1, 1)
    return og_leaf.gabor_filters(kernel, SIZE), og_leaf.gaussian_lowpass(widths, SIZE).reshape(N, SIZE)


def of_leaf(dtype):
    centres, sigmas, widths = (torch.tensor(array, dtype=dtype) for array in (CENTRES, SIGMAS, WIDTHS))
    return leaf.gabor_filters(SIZE, centres, sigmas), leaf.gauss_windows(SIZE, widths)


BOTH = pytest.mark.parametrize(("rung", "made"), [one("og_leaf", of_og_leaf), one("leaf", of_leaf)])
DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)


def taps(made, dtype):
    """All taps of the filters, real and imaginary parts, and of the windows; and the oracle's."""
    filters, windows = made(dtype)
    found = torch.cat([torch.view_as_real(filters).movedim(2, 1).flatten(), windows.flatten()]).double().numpy()
    return found, np.concatenate([gabor(CENTRES, SIGMAS, SIZE).ravel(), gaussian_window(WIDTHS, SIZE).ravel()])


@BOTH
@DTYPES
def test_half_a_step_of_audio_makes_no_tap_subnormal(rung, made, dtype):
    found, _ = taps(made, dtype)
    products = np.abs(found[found != 0]) * HALF_STEP
    assert products.min() >= torch.finfo(dtype).tiny


@BOTH
@DTYPES
def test_what_is_zero_is_negligible(rung, made, dtype):
    found, exact = taps(made, dtype)
    lost = np.abs(exact[found == 0]).max()
    reason = "twice what half a step of 24-bit audio makes subnormal: a tap is rounded before it is judged"
    negligible = AtMost(FLUSHED * torch.finfo(dtype).tiny, reason)
    assert lost > 0
    assert negligible(lost).passes


@BOTH
def test_a_tap_that_is_zero_keeps_its_gradient(rung, made):
    # at a centre of 0 the imaginary part is 0, and its derivative by the centre is t times the Gaussian
    centre, sigma = torch.zeros(1, requires_grad=True), torch.tensor([20.0])
    filters = (og_leaf.gabor_filters(torch.stack([centre, sigma], dim=1), SIZE) if rung == "og_leaf"
               else leaf.gabor_filters(SIZE, centre, sigma))  # fmt: skip
    (slope,) = torch.autograd.grad(filters.imag[0, SIZE // 2 + 10], centre)
    expected = 10 * np.exp(-(10**2) / (2 * 20**2)) / (np.sqrt(2 * np.pi) * 20)
    assert CLOSE(slope.numpy(), [expected]).passes
