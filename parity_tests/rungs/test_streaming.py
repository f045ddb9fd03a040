"""Rungs 2 and 3 in chunks: any way of cutting gives the frames of the whole, in memory that does not grow."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import efficientleaf
import leaf
from leaf._runtime.streaming import BLOCK
from parity.cases.case import Case
from parity.cases.strategies import cases
from parity.checks.steps import streamed
from parity.criteria import Exactly, OfMax
from parity_tests.helpers.refusals import refused
from parity_tests.helpers.rungs import one
from parity_tests.helpers.streaming import joined, peak_of, small

SAME_BITS = Exactly("a copy of the same numbers in the same order")
SCANNED = OfMax(2.0**-20, "two roundings a level of the scan, five levels, in either order, and a root")
SUMMED = OfMax(2.0**-20, "the same sums of 400 products in another order, and a logarithm")
ROUNDED = OfMax(2.0**-20, "some 20 roundings in float32")
BOTH = [one("leaf"), one("efficientleaf")]
PADDED = [
    one("leaf", "centered", id="leaf-centered"), one("leaf", "same", id="leaf-same"), one("efficientleaf", "centered"),
]  # fmt: skip


@pytest.mark.parametrize(("rung", "padding"), PADDED)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_any_way_of_cutting(ledger, rung, dtype, padding):
    @settings(max_examples=60)
    @given(case=cases(plain=True, padding=padding, weights=("drawn", "trained")), data=st.data())
    def check(case, data):
        cuts = data.draw(st.lists(st.integers(0, case.n_samples), max_size=8).map(sorted))
        for measurement in streamed(rung, case, cuts, dtype):
            ledger.check(measurement)

    check()


@pytest.mark.parametrize("rung", BOTH)
def test_sample_by_sample(ledger, rung):
    case = Case.parse("n_filters=2,sample_rate=2000,window_len=8.5,n_samples=150,padding=centered,weights=trained")
    for measurement in streamed(rung, case, range(1, case.n_samples)):
        ledger.check(measurement)


@pytest.mark.parametrize(("rung", "padding"), PADDED)
def test_chunks_of_several_blocks(ledger, rung, padding):
    """The edges of the blocks lie between frames, at one or at none of the cuts."""
    n_samples = 5 * BLOCK // 2 + 77
    case = Case.parse(
        f"n_filters=3,sample_rate=2000,window_len=8.5,n_samples={n_samples},padding={padding},weights=trained,batch=2"
    )
    for cuts in ((), (BLOCK + 1,), (19, 2 * BLOCK + 38)):
        for measurement in streamed(rung, case, cuts):
            ledger.check(measurement)


@pytest.mark.parametrize("rung", BOTH)
def test_is_a_snapshot(rung):
    """Weights that change while it runs do not show; nothing asks for gradients; the module's mode stays."""
    frontend, x = small(rung), torch.randn(1, 4000, generator=torch.Generator().manual_seed(0))
    expected = joined(frontend, x, 500)
    frontend.train()
    stream = frontend.stream(torch.split(x, 500, -1))
    frames = [next(stream)]
    with torch.no_grad():
        for parameter in frontend.parameters():
            parameter.mul_(1.5)
    frames.extend(stream)
    assert SAME_BITS(torch.cat(frames, -1).numpy(), expected.numpy()).passes
    assert not any(piece.requires_grad for piece in frames)
    assert frontend.training


@pytest.mark.parametrize("rung", BOTH)
def test_memory_does_not_grow_with_the_audio(rung):
    frontend = small(rung)
    assert peak_of(frontend, 20_000, 1000) == peak_of(frontend, 400_000, 1000)


# states of PCEN, and what is refused


@pytest.mark.leaf
def test_memory_does_not_grow_with_the_chunk():
    frontend = small()
    # what is held between blocks goes up and down by less than a frame: 20 samples of 2 filters
    assert peak_of(frontend, 20 * BLOCK, 20 * BLOCK) < peak_of(frontend, 2 * BLOCK, 2 * BLOCK) + 20 * 2 * 4


@pytest.mark.leaf
def test_a_state_is_what_came_before():
    pcen = leaf.PCEN(3, delta=2.0, r=0.5)
    x = torch.rand(2, 3, 40)
    head, state = pcen.step(x[..., :17])
    tail, _ = pcen.step(x[..., 17:], state)
    assert SCANNED(torch.cat((head, tail), -1).detach().numpy(), pcen(x).detach().numpy()).passes


@pytest.mark.leaf
def test_a_state_in_half_precision_keeps_what_a_small_s_adds():
    pcen = leaf.PCEN(1, s=2.0**-12).to(torch.bfloat16)
    _, state = pcen.step(torch.zeros(1, 1, 1, dtype=torch.bfloat16))
    for _ in range(4):
        _, state = pcen.step(torch.ones(1, 1, 1024, dtype=torch.bfloat16), state)
    s = float(pcen.parameters_linear()[0].detach())  # rounded to bfloat16
    assert ROUNDED(state.detach().numpy(), np.full((1, 1), -np.expm1(4096 * np.log1p(-s)))).passes


@pytest.mark.leaf
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
@pytest.mark.leaf
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
@pytest.mark.leaf
def test_wrong_chunks(chunks, n_samples, error, named):
    refused(lambda: list(small().stream(chunks, n_samples)), error, *named)


@pytest.mark.parametrize(("n_samples", "error"), [(0, ValueError), (2.5, TypeError)])
@pytest.mark.leaf
def test_wrong_lengths(n_samples, error):
    refused(lambda: small().stream([], n_samples), error, f"n_samples={n_samples}", "an integer from 1")


@pytest.mark.leaf
def test_wrong_state():
    refused(lambda: leaf.PCEN(2).step(torch.ones(1, 2, 3), torch.ones(2)), ValueError, "state of shape (2,)", "(1, 2)")


# groups of other strides, and compressions over time


@pytest.mark.efficientleaf
def test_chunks_of_several_blocks_in_groups_of_other_strides():
    frontend = small("efficientleaf").eval()
    x = torch.rand(2, 3 * BLOCK, generator=torch.Generator().manual_seed(3)) - 0.5
    with torch.no_grad():
        whole = frontend(x)
    for size in (3 * BLOCK, BLOCK + 1):
        assert SUMMED(joined(frontend, x, size).numpy(), whole.numpy()).passes


@pytest.mark.parametrize("frozen", [True, False])
@pytest.mark.efficientleaf
def test_a_stream_has_the_groups_that_the_module_has(frozen):
    frontend = small("efficientleaf").eval()
    frontend.freeze(frozen)
    with torch.no_grad():
        frontend.filterbank.bandwidths.mul_(0.5)
        frontend.filterbank.center_freqs.mul_(0.5)
    x = torch.rand(2, 6000, generator=torch.Generator().manual_seed(4)) - 0.5
    with torch.no_grad():
        whole = frontend(x)
    assert SUMMED(joined(frontend, x, 700).numpy(), whole.numpy()).passes


@pytest.mark.efficientleaf
def test_groups_have_other_strides():
    assert len({group.conv_stride for group in small("efficientleaf").filterbank.groups()}) == 3


@pytest.mark.efficientleaf
def test_a_logarithm_and_its_normalisation_stream_in_evaluation():
    logtbn = efficientleaf.LogTBN(4, a=5, trainable=True, per_band=True)
    frontend = small("efficientleaf", compression=logtbn)
    x = torch.randn(2, 6000, generator=torch.Generator().manual_seed(2))
    frontend.train()(x)  # running statistics that are not the initial ones
    with torch.no_grad():
        whole = frontend.eval()(x)
    assert SUMMED(joined(frontend, x, 900).numpy(), whole.numpy()).passes


@pytest.mark.efficientleaf
def test_a_median_over_the_clip_does_not_stream():
    named = ("compression=LogTBN", "median over time")
    refused(lambda: small("efficientleaf", compression="logtbn").stream([]), ValueError, *named)
