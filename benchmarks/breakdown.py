"""Test what holds 8G-opt: its forward step by step, against a mel: ``python -m benchmarks.breakdown [--record]``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from torch import Tensor
from torch.utils.benchmark import Timer

from benchmarks.frontends import CASES, RATE, SETTINGS
from benchmarks.peers.mel import Mel
from efficientleaf import EfficientLeaf, GroupedGaborFilterbank, LogTBN
from efficientleaf.compression import lower_median
from parity.report import recorded

ROOT = Path(__file__).parents[1]
SOURCES = (
    "efficientleaf/filterbank.py", "efficientleaf/strided.py", "efficientleaf/compression.py",
    "leaf/_runtime/cache.py", "benchmarks/peers/mel.py", "benchmarks/breakdown.py",
)  # fmt: skip
TURNS, SECONDS = 15, 0.01
Step = tuple[str, Callable[[Any], Any]]


def steps(frontend: EfficientLeaf) -> list[Step]:
    """The forward of a published setting: each step takes what the one before it gives, the first audio [B, T]."""
    bank, compression = frontend.filterbank, frontend.compression
    assert isinstance(bank, GroupedGaborFilterbank)
    assert isinstance(compression, LogTBN)
    groups = bank.groups()
    shapes = bank._shapes(groups)
    each = list(zip(groups, shapes, strict=True))

    def unchanged(x: Tensor) -> Tensor:
        bank._shapes(bank.groups())
        return x

    def pooled(energies: list[Tensor]) -> Tensor:
        return torch.cat([bank.pool(e, *pair) for e, pair in zip(energies, each, strict=True)], 1)

    return [
        ("weights compared", unchanged),
        ("padding", lambda x: bank._signal(x.unsqueeze(1), groups)),
        ("convolutions", lambda heard: [bank.convolve(heard, *pair) for pair in each]),
        ("squared modulus", lambda outputs: [bank.modulus(y) for y in outputs]),
        ("pooling", pooled),
        ("logarithm", compression.log1p),
        ("median", lambda x: torch.stack((x, x - lower_median(x)), 1)),
        ("batch normalisation", compression.TBN),
    ]


@torch.no_grad()
def measured(case: str) -> list[dict[str, Any]]:
    """Milliseconds, share of all steps and ratio to a mel's of every step; steps take turns, the fastest counts."""
    n_clips, seconds = CASES[case]
    x = torch.from_numpy(np.random.default_rng(0).uniform(-1, 1, (n_clips, seconds * RATE)).astype(np.float32))
    frontend, mel = EfficientLeaf(**SETTINGS["8G-opt"]).eval(), Mel().eval()
    timed: list[tuple[str, Callable[[Any], Any], Any]] = [("mel", mel, x), ("whole", frontend, x)]
    given: Any = x
    for name, step in steps(frontend):
        timed.append((name, step, given))
        given = step(given)
    times: dict[str, list[float]] = {name: [] for name, _, _ in timed}
    for _ in range(TURNS):
        for name, step, given in timed:
            timer = Timer("step(given)", globals={"step": step, "given": given}, num_threads=torch.get_num_threads())
            times[name].append(timer.blocked_autorange(min_run_time=SECONDS).median)
    best = {name: min(found) for name, found in times.items()}
    total = sum(best.values()) - best["mel"] - best["whole"]
    return [
        {"case": case, "step": name, "ms": 1e3 * t, "of the steps": t / total, "times mel": t / best["mel"]}
        for name, t in best.items()
    ]


def main(
    record: Annotated[bool, typer.Option(help="keep the table in benchmarks/results")] = False,
    case: Annotated[list[str] | None, typer.Option(help="of benchmarks.frontends; may be given again")] = None,
) -> None:
    """Print the table."""
    cases = case or ["8 x 1 s", "1 x 1 s"]
    if unknown := [name for name in cases if name not in CASES]:
        raise typer.BadParameter(f"case={unknown[0]!r}: must be one of {tuple(CASES)}")
    rows = [row for name in cases for row in measured(name)]
    for row in rows:
        typer.echo("{case}  {step:<20} {ms:7.3f} ms {of the steps:6.1%} {times mel:6.2f} mel".format(**row))
    if record:
        recorded.keep(
            "breakdown",
            rows,
            title=f"8G-opt as published, forward, step by step, float32, {torch.get_num_threads()} threads",
            note="Fastest of the turns. Whole: all steps in one call. Mel: STFT of 512 points, dense matrix, log.",
            command=" ".join(["python -m benchmarks.breakdown --record", *(f"--case '{name}'" for name in case or ())]),
            sources=SOURCES,
            root=ROOT,
        )


if __name__ == "__main__":
    typer.run(main)
