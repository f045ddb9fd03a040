"""The scan against the frame loop that it replaces: time, memory, error. ``python -m benchmarks.smoother [--record]``.

Times are ratios of medians within one run, on one thread.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from torch import Tensor
from torch.utils.benchmark import Timer

from benchmarks.memory import Peak
from leaf import exponential_moving_average
from parity.oracle.pcen import smoother
from parity.report import recorded

N_BANDS, S = 40, 0.04
LENGTHS = (6_000, 60_000)
MIN_SECONDS = 2.0
U = 2.0**-24
Smoother = Callable[[Tensor, Tensor, Tensor], Tensor]


def loop(x: Tensor, s: Tensor, initial: Tensor) -> Tensor:
    """A step of Python a frame, by ``M + s (x - M)``, which rounds least."""
    state, states = initial, []
    for frame in x.unbind(-1):
        state = torch.lerp(state, frame, s)
        states.append(state)
    return torch.stack(states, -1)


def published(x: Tensor, s: Tensor, initial: Tensor) -> Tensor:
    """A step of Python a frame, by ``(1 - s) M + s x``, as the published code has it."""
    state, states = initial, []
    for frame in x.unbind(-1):
        state = (1 - s) * state + s * frame
        states.append(state)
    return torch.stack(states, -1)


def given(n_frames: int) -> tuple[Tensor, Tensor, Tensor]:
    """Energies of many sizes, the coefficient, and a cotangent."""
    rng = np.random.default_rng(n_frames)
    x = torch.from_numpy((rng.uniform(0.0, 1.0, (1, N_BANDS, n_frames)) ** 4).astype(np.float32))
    d = torch.from_numpy(rng.standard_normal(x.shape).astype(np.float32))
    return x.requires_grad_(), torch.full((N_BANDS,), S, requires_grad=True), d


def run(smooth: Smoother, backward: bool, n_frames: int) -> tuple[float, float]:
    """Median seconds, and peak bytes over those of the input."""
    x, s, d = given(n_frames)

    def once() -> None:
        if backward:
            torch.autograd.grad(smooth(x, s, x[..., 0]), (x, s), d)
        else:
            with torch.no_grad():
                smooth(x, s, x[..., 0])

    seconds = Timer("once()", globals={"once": once}).blocked_autorange(min_run_time=MIN_SECONDS).median
    with Peak() as peak:
        once()
    return seconds, peak.most / (x.numel() * x.element_size())


def error(smooth: Smoother, n_frames: int) -> float:
    """The largest relative error against float64, in units of 2^-24."""
    x, s, _ = given(n_frames)
    with torch.no_grad():
        got = smooth(x, s, x[..., 0]).numpy()
    gain = s.detach().double().numpy()
    truth = smoother(x.detach().numpy(), gain, 1 - gain)
    return float(np.max(np.abs(got - truth) / truth) / U)


def main(record: Annotated[bool, typer.Option(help="keep the table in benchmarks/results")] = False) -> None:
    """Print the table."""
    torch.set_num_threads(1)
    rows = []
    peers: dict[str, Smoother] = {"frame loop": loop, "published frame loop": published}
    for n_frames in LENGTHS:
        for backward in (False, True):
            seconds, memory = run(exponential_moving_average, backward, n_frames)
            rows.append({
                "frames": n_frames, "of": "forward and backward" if backward else "forward",
                "ms": 1e3 * seconds, "ms a million frames": 1e9 * seconds / n_frames,
                **{f"times faster than the {name}": run(peer, backward, n_frames)[0] / seconds
                   for name, peer in peers.items()},
                "peak memory, inputs": memory,
                "error, u": error(exponential_moving_average, n_frames),
                **{f"error of the {name}, u": error(peer, n_frames) for name, peer in peers.items()},
            })  # fmt: skip
            typer.echo(", ".join(f"{k} {v:.3g}" if isinstance(v, float) else f"{k} {v}" for k, v in rows[-1].items()))
    if record:
        recorded.keep(
            "smoother",
            rows,
            title=f"The smoother's scan against a loop over frames, {N_BANDS} bands, one thread",
            note="Ratios of medians in one run; errors relative to the value, against float64.",
            command="python -m benchmarks.smoother --record",
            sources=["leaf/_runtime/scan.py", "benchmarks/smoother.py"],
            root=Path(__file__).parents[1],
        )


if __name__ == "__main__":
    typer.run(main)
