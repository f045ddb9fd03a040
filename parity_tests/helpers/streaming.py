"""What rungs 2 and 3 share of streaming: drawn cuts, memory, and the snapshot that a stream is of."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.memory import Peak
from leaf._runtime.streaming import BLOCK
from parity.cases.case import Case
from parity.cases.strategies import cases
from parity.checks.steps import streamed
from parity.criteria import Exactly
from parity.report.claims import MeasurementLog

SAME_BITS = Exactly("a copy of the same numbers in the same order")


def check_cuts(rung: str, ledger: MeasurementLog, dtype: str, padding: str) -> None:
    """Any way of cutting gives the frames of the whole."""

    @settings(max_examples=60)
    @given(case=cases(plain=True, padding=padding, weights=("drawn", "trained")), data=st.data())
    def check(case: Case, data: st.DataObject) -> None:
        cuts = data.draw(st.lists(st.integers(0, case.n_samples), max_size=8).map(sorted))
        for measurement in streamed(rung, case, cuts, dtype):
            ledger.check(measurement)

    check()


def check_sample_by_sample(rung: str, ledger: MeasurementLog) -> None:
    """The smallest chunks there are."""
    case = Case.parse("n_filters=2,sample_rate=2000,window_len=8.5,n_samples=150,padding=centered,weights=trained")
    for measurement in streamed(rung, case, range(1, case.n_samples)):
        ledger.check(measurement)


def check_long_chunks(rung: str, ledger: MeasurementLog, padding: str) -> None:
    """Chunks that are worked on in several blocks, whose edges lie between frames, at one or at none of the cuts."""
    n_samples = 5 * BLOCK // 2 + 77
    case = Case.parse(
        f"n_filters=3,sample_rate=2000,window_len=8.5,n_samples={n_samples},padding={padding},weights=trained,batch=2"
    )
    for cuts in ((), (BLOCK + 1,), (19, 2 * BLOCK + 38)):
        for measurement in streamed(rung, case, cuts):
            ledger.check(measurement)


def joined(frontend: torch.nn.Module, x: torch.Tensor, size: int) -> torch.Tensor:
    """The frames of audio in chunks of a size."""
    return torch.cat(list(frontend.stream(torch.split(x, size, -1))), -1)


def check_is_a_snapshot(frontend: torch.nn.Module) -> None:
    """Weights that change while it runs do not show; nothing asks for gradients; the module's mode stays."""
    x = torch.randn(1, 4000, generator=torch.Generator().manual_seed(0))
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


def peak_of(frontend: torch.nn.Module, n_samples: int, size: int) -> int:
    """Bytes alive at once while audio is streamed in chunks of a size and its frames are dropped."""
    chunk = torch.zeros(1, size)
    with Peak() as peak:
        for _ in frontend.stream(chunk for _ in range(n_samples // size)):
            pass
    return peak.most
