"""Rungs 2 and 3 in chunks: any way of cutting gives the frames of the whole, in memory that does not grow."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from leaf._runtime.streaming import BLOCK
from parity.cases.case import Case
from parity.cases.strategies import cases
from parity.checks.steps import streamed
from parity.criteria import Exactly
from parity_tests.helpers.rungs import one
from parity_tests.helpers.streaming import joined, peak_of, small

SAME_BITS = Exactly("a copy of the same numbers in the same order")
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
