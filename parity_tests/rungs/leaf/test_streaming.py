"""What streams of rung 2 alone: states of PCEN, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import leaf
from leaf._runtime.streaming import BLOCK
from parity.criteria import OfMax
from parity_tests.helpers.refusals import refused
from parity_tests.helpers.streaming import joined, peak_of, small

SAME = OfMax(2.0**-20, "two roundings a level of the scan, five levels, in either order, and a root")

ROUNDED = OfMax(2.0**-20, "some 20 roundings in float32")


def test_memory_does_not_grow_with_the_chunk():
    frontend = small()
    # what is held between blocks goes up and down by less than a frame: 20 samples of 2 filters
    assert peak_of(frontend, 20 * BLOCK, 20 * BLOCK) < peak_of(frontend, 2 * BLOCK, 2 * BLOCK) + 20 * 2 * 4


def test_a_state_is_what_came_before():
    pcen = leaf.PCEN(3, delta=2.0, r=0.5)
    x = torch.rand(2, 3, 40)
    head, state = pcen.step(x[..., :17])
    tail, _ = pcen.step(x[..., 17:], state)
    assert SAME(torch.cat((head, tail), -1).detach().numpy(), pcen(x).detach().numpy()).passes


def test_a_state_in_half_precision_keeps_what_a_small_s_adds():
    pcen = leaf.PCEN(1, s=2.0**-12).to(torch.bfloat16)
    _, state = pcen.step(torch.zeros(1, 1, 1, dtype=torch.bfloat16))
    for _ in range(4):
        _, state = pcen.step(torch.ones(1, 1, 1024, dtype=torch.bfloat16), state)
    s = float(pcen.parameters_linear()[0].detach())  # rounded to bfloat16
    assert ROUNDED(state.detach().numpy(), np.full((1, 1), -np.expm1(4096 * np.log1p(-s)))).passes


def test_compressions_in_a_row_stream():
    pcen = leaf.PCEN(2, delta=2.0, r=0.5)
    x = torch.randn(1, 3000, generator=torch.Generator().manual_seed(1))
    one, many = small(compression=pcen), small(compression=torch.nn.Sequential(torch.nn.Identity(), pcen))
    assert torch.equal(joined(one, x, 700), joined(many, x, 700))


class Doubled(leaf.PCEN):
    def forward(self, x):
        return 2 * super().forward(x)


class Twice(torch.nn.Sequential):
    def forward(self, x):
        return 2 * super().forward(x)


@pytest.mark.parametrize(("arguments", "named"), [
    ({"compression": Doubled(2)}, ("compression=Doubled", "overrides forward")),
    ({"compression": Twice(leaf.PCEN(2))}, ("compression=Twice", "step(frames, state)")),
    ({"padding": "same"}, ("padding='same'", "n_samples=")),
    ({"compression": torch.log1p}, ("compression=log1p", "step(frames, state)")),
    ({"compression": torch.nn.InstanceNorm1d(2)}, ("compression=InstanceNorm1d", "step(frames, state)")),
])  # fmt: skip
def test_what_cannot_stream_says_so_at_once(arguments, named):
    refused(lambda: small(**arguments).stream([]), ValueError, *named)


@pytest.mark.parametrize(("chunks", "n_samples", "error", "named"), [
    ([], None, ValueError, ("no samples", "at least one")),
    ([torch.zeros(1, 0)], None, ValueError, ("chunks hold no samples", "at least one")),
    ([torch.zeros(1, 1, 0)], None, ValueError, ("chunks hold no samples", "at least one")),
    ([torch.zeros(1, 9)], 8, ValueError, ("n_samples=8", "9")),
    ([torch.zeros(1, 9)], 10, ValueError, ("n_samples=10", "9")),
    ([torch.zeros(1, 9), torch.zeros(2, 9)], None, ValueError, ("(2, 9)", "must have 1 clips")),
    ([torch.zeros(9)], None, ValueError, ("x of shape (9,)",)),
    ([torch.zeros(1, 9, dtype=torch.float64)], None, TypeError, ("torch.float64", "torch.float32")),
    ([[0.0]], None, TypeError, ("x=[0.0]", "torch.Tensor")),
])  # fmt: skip
def test_wrong_chunks(chunks, n_samples, error, named):
    refused(lambda: list(small().stream(chunks, n_samples)), error, *named)


@pytest.mark.parametrize(("n_samples", "error"), [(0, ValueError), (2.5, TypeError)])
def test_wrong_lengths(n_samples, error):
    refused(lambda: small().stream([], n_samples), error, f"n_samples={n_samples}", "an integer from 1")


def test_wrong_state():
    refused(lambda: leaf.PCEN(2).step(torch.ones(1, 2, 3), torch.ones(2)), ValueError, "state of shape (2,)", "(1, 2)")
