"""What streams of rung 3 alone: groups of other strides, compressions over time."""

from __future__ import annotations

import pytest
import torch

import efficientleaf
from leaf._runtime.streaming import BLOCK
from parity.criteria import OfMax
from parity_tests.helpers.refusals import refused
from parity_tests.helpers.streaming import joined, small

SAME = OfMax(2.0**-20, "the same sums of 400 products in another order, and a logarithm")


def test_chunks_of_several_blocks_in_groups_of_other_strides():
    frontend = small("efficientleaf").eval()
    x = torch.rand(2, 3 * BLOCK, generator=torch.Generator().manual_seed(3)) - 0.5
    with torch.no_grad():
        whole = frontend(x)
    for size in (3 * BLOCK, BLOCK + 1):
        assert SAME(joined(frontend, x, size).numpy(), whole.numpy()).passes


@pytest.mark.parametrize("frozen", [True, False])
def test_a_stream_has_the_groups_that_the_module_has(frozen):
    frontend = small("efficientleaf").eval()
    frontend.freeze(frozen)
    with torch.no_grad():
        frontend.filterbank.bandwidths.mul_(0.5)
        frontend.filterbank.center_freqs.mul_(0.5)
    x = torch.rand(2, 6000, generator=torch.Generator().manual_seed(4)) - 0.5
    with torch.no_grad():
        whole = frontend(x)
    assert SAME(joined(frontend, x, 700).numpy(), whole.numpy()).passes


def test_groups_have_other_strides():
    assert len({group.conv_stride for group in small("efficientleaf").filterbank.groups()}) == 3


def test_a_logarithm_and_its_normalisation_stream_in_evaluation():
    logtbn = efficientleaf.LogTBN(4, a=5, trainable=True, per_band=True)
    frontend = small("efficientleaf", compression=logtbn)
    x = torch.randn(2, 6000, generator=torch.Generator().manual_seed(2))
    frontend.train()(x)  # running statistics that are not the initial ones
    with torch.no_grad():
        whole = frontend.eval()(x)
    assert SAME(joined(frontend, x, 900).numpy(), whole.numpy()).passes


def test_a_median_over_the_clip_does_not_stream():
    named = ("compression=LogTBN", "median over time")
    refused(lambda: small("efficientleaf", compression="logtbn").stream([]), ValueError, *named)
