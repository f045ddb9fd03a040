"""Every front end against a mel spectrogram, and against LEAF: ``python -m benchmarks.frontends [--record] [--quick]``.

Candidates take turns, so that what slows the machine slows them all; of each the fastest turn counts. Forward: in
evaluation, without gradients. Forward and backward: in training, gradients of the audio and of every parameter.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from torch import Tensor, nn
from torch.utils.benchmark import Timer

import og_leaf
from benchmarks.accuracy import Error, errors
from benchmarks.memory import Peak
from benchmarks.peers.mel import Mel, nnaudio
from benchmarks.peers.published import PublishedEfficientLeaf, PublishedLeaf
from efficientleaf import EfficientLeaf, GroupedGaborFilterbank
from efficientleaf.tolerance.plan import Geometry, leaf_cost
from leaf import Leaf
from parity.report import recorded
from parity.report.environment import describe
from parity.weights.outputs import replace_file

ROOT = Path(__file__).parents[1]
RATE = 16000
CASES = {
    "1 x 1 s": (1, 1),
    "8 x 1 s": (8, 1),
    "1 x 10 s": (1, 10),
    "1 x 60 s": (1, 60),
    "64 x 1 s": (64, 1),
}  # clips, seconds
QUICK = ("1 x 1 s", "8 x 1 s")
SETTINGS: dict[str, dict[str, Any]] = {
    "default": {},
    "8G": {"num_groups": 8},
    "8G-opt": {"num_groups": 8, "conv_win_factor": 6.0, "stride_factor": 16.0},
}
TOLERANCES = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5)
RANGES = ((1e-3, 70.0), (1e-5, 70.0))  # tolerances with a dynamic range
COMPRESSIONS = ("logtbn", "pcen")
ROUNDS, SECONDS = 3, 0.1  # turns of a candidate, and how long each at least
SLOW = 0.4  # seconds; what takes longer has one turn
SOURCES = (
    "leaf/filterbank.py", "leaf/filters.py", "leaf/pcen.py", "leaf/_runtime/scan.py", "efficientleaf/strided.py",
    "leaf/_runtime/cache.py", "efficientleaf/filterbank.py", "efficientleaf/compression.py",
    "efficientleaf/tolerance/module.py", "efficientleaf/tolerance/blocks.py", "efficientleaf/tolerance/plan.py",
    "efficientleaf/tolerance/bound.py", "benchmarks/peers/mel.py", "benchmarks/peers/published.py",
    "benchmarks/accuracy.py", "benchmarks/frontends.py",
)  # fmt: skip


@dataclass(frozen=True)
class Candidate:
    """What is timed.

    Attributes:
        name: in the table.
        kind: "mel", "LEAF", "EfficientLEAF, published" or "EfficientLEAF, tolerance".
        compression: after the energies.
        build: makes it.
    """

    name: str
    kind: str
    compression: str
    build: Callable[[], nn.Module]


def candidates(quick: bool) -> list[Candidate]:
    """All of them; the first is what times are relative to."""
    found = [
        Candidate("mel", "mel", "log", Mel),
        Candidate("mel, sparse matrix", "mel", "log", lambda: Mel(matrix="sparse")),
        Candidate("mel, n_fft 401", "mel", "log", lambda: Mel(n_fft=401)),
        Candidate("og_leaf", "LEAF", "pcen", og_leaf.Leaf),
        Candidate("leaf", "LEAF", "pcen", Leaf),
        Candidate("LEAF, published code", "LEAF", "pcen", lambda: PublishedLeaf(Leaf())),
    ]
    if nnaudio() is not None:
        found.insert(3, Candidate("mel, nnAudio", "mel", "none", lambda: nnaudio() or Mel()))
    for compression in COMPRESSIONS:
        published = SETTINGS["8G-opt"], compression
        found.append(
            Candidate("8G-opt, published code", "EfficientLEAF, published", compression,
                      lambda given=published: PublishedEfficientLeaf(_efficient(*given), given[1])),
        )  # fmt: skip
        for name, setting in SETTINGS.items():
            given = setting, compression
            found.append(
                Candidate(name, "EfficientLEAF, published", compression, lambda given=given: _efficient(*given))
            )
        full: list[tuple[float, float | None]] = [(tolerance, None) for tolerance in TOLERANCES]
        for tolerance, decibels in [*full, *RANGES] if not quick else [(1e-3, None), RANGES[0]]:
            given = {"tolerance": tolerance, "dynamic_range": decibels}, compression
            name = f"tolerance {tolerance:g}" + ("" if decibels is None else f", {decibels:g} dB")
            found.append(
                Candidate(name, "EfficientLEAF, tolerance", compression, lambda given=given: _efficient(*given))
            )
    return found


def _efficient(setting: dict[str, Any], compression: str) -> EfficientLeaf:
    return EfficientLeaf(**setting, compression=compression)


def operations(module: nn.Module) -> float | None:
    """Multiply-adds for a sample of audio in a clip of one second: filters, modulus, pooling; None for a mel."""
    if isinstance(module, (og_leaf.Leaf, Leaf, PublishedLeaf)):
        return leaf_cost(40, Geometry(401, 160), RATE) / RATE
    if isinstance(module, PublishedEfficientLeaf):
        module = EfficientLeaf(**SETTINGS["8G-opt"])
    if not isinstance(module, EfficientLeaf):
        return None
    bank, total = module.filterbank, 0.0
    if not isinstance(bank, GroupedGaborFilterbank):
        return module.plan().cost(RATE) / RATE
    for g in bank.groups():
        points, frames = -(-RATE // g.conv_stride), -(-RATE // bank.pool_stride)
        total += (g.stop - g.start) * (points * (2 * g.kernel_size + 2) + frames * g.window_size)
    return total / RATE


class Run:
    """A candidate on a case, in one mode."""

    def __init__(self, candidate: Candidate, case: str, backward: bool, device: str) -> None:
        n_clips, seconds = CASES[case]
        rng = np.random.default_rng(0)
        x = torch.from_numpy(rng.uniform(-1, 1, (n_clips, seconds * RATE)).astype(np.float32)).to(device)
        self.module = candidate.build().to(device).train(backward)
        self.x, self.backward = x.requires_grad_(backward), backward
        self.sources = [self.x, *(p for p in self.module.parameters() if p.requires_grad)]
        self.cotangent: Tensor | None = None
        if backward:
            shape = self.module(self.x).shape
            self.cotangent = torch.from_numpy(rng.standard_normal(tuple(shape)).astype(np.float32)).to(device)
        self.times: list[float] = []

    def __call__(self) -> None:
        if self.backward:
            torch.autograd.grad(self.module(self.x), self.sources, self.cotangent, allow_unused=True)
            return
        with torch.no_grad():
            self.module(self.x)

    def turn(self, seconds: float) -> None:
        """Time it once more, unless it is slow and has been."""
        if self.times and self.times[-1] > SLOW:
            return
        timer = Timer("run()", globals={"run": self}, num_threads=torch.get_num_threads())
        self.times.append(timer.blocked_autorange(min_run_time=seconds).median)

    def peak(self) -> float | None:
        """MB of all tensors that it makes and that are alive at once, at most; None where a tensor is sparse."""
        try:
            with Peak() as peak:
                self()
        except NotImplementedError:
            return None
        return peak.most / 1e6


def rows(case: str, backward: bool, device: str, quick: bool) -> Iterator[dict[str, Any]]:
    """One line a candidate."""
    all_of_them = candidates(quick)
    runs = [Run(candidate, case, backward, device) for candidate in all_of_them]
    for _ in range(2 if quick else ROUNDS):
        for run in runs:
            run.turn(SECONDS / (2 if quick else 1))
    mel = min(runs[0].times)
    for candidate, run in zip(all_of_them, runs, strict=True):
        yield {
            "case": case,
            "of": "forward and backward" if backward else "forward",
            "front end": candidate.name,
            "kind": candidate.kind,
            "compression": candidate.compression,
            "ms": 1e3 * min(run.times),
            "times mel": min(run.times) / mel,
            "peak MB": run.peak(),
        }


def measured(quick: bool, device: str, cases: Sequence[str]) -> list[dict[str, Any]]:
    """The whole table."""
    found: dict[str, tuple[float | None, dict[str, Error | None]]] = {}
    for candidate in candidates(quick):
        module = candidate.build().eval()
        energies = candidate.kind.startswith("EfficientLEAF") or candidate.kind == "LEAF"
        found[candidate.name] = operations(module), errors(module) if energies else {"noise": None, "speech": None}
    table = []
    for case in cases:
        for backward in (False, True):
            for row in rows(case, backward, device, quick):
                cost, error = found[row["front end"]]
                row["MAC a sample"] = cost
                for signal, e in error.items():
                    row[f"error, {signal}"] = None if e is None else e.put_back
                    row[f"error as it is, {signal}"] = None if e is None else e.as_it_is
                table.append(row)
                typer.echo(", ".join(f"{k} {v:.3g}" if isinstance(v, float) else f"{k} {v}" for k, v in row.items()))
    return table


def keep_csv(table: list[dict[str, Any]], path: Path, machine: dict[str, Any]) -> None:
    """The table, with the machine in lines that begin with #."""
    out = io.StringIO()
    for name, value in machine.items():
        out.write(f"# {name}: {json.dumps(value)}\n")
    writer = csv.DictWriter(out, list(table[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(table)
    replace_file(path, out.getvalue().encode())


def main(
    record: Annotated[bool, typer.Option(help="keep the table in benchmarks/results")] = False,
    quick: Annotated[bool, typer.Option(help="two cases and one tolerance, in under a minute")] = False,
    case: Annotated[list[str] | None, typer.Option(help="one of the cases, else all; may be given again")] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda")] = "cuda" if torch.cuda.is_available() else "cpu",
    tf32: Annotated[bool, typer.Option(help="let a GPU's tensor cores round to ten bits")] = False,
) -> None:
    """Print the table."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32
    torch.manual_seed(0)
    cases = case or (QUICK if quick else tuple(CASES))
    if unknown := [name for name in cases if name not in CASES]:
        raise typer.BadParameter(f"case={unknown[0]!r}: must be one of {tuple(CASES)}")
    table = measured(quick, device, cases)
    if not record:
        return
    name = "frontends" if device == "cpu" else f"frontends_{device}"
    rounding = "" if device == "cpu" else f" TF32 {'on' if tf32 else 'off'}."
    recorded.keep(
        name,
        table,
        title=f"Front ends, 40 bands, 16 kHz, float32, {device}, {torch.get_num_threads()} threads",
        note="Fastest of the turns, ratios to a mel spectrogram (STFT of 512 points, window 401, hop 160, dense "
        "matrix, logarithm) in the same run. Error: the largest of any band, L2 over the frames against LEAF's "
        f"energies with the same weights, both floored at 1e-5, the gain of the stride put back.{rounding}",
        command=" ".join(["python -m benchmarks.frontends --record", *(f"--case '{name}'" for name in case or ())])
        + (" --quick" if quick else ""),
        sources=SOURCES,
        root=ROOT,
    )
    keep_csv(table, ROOT / recorded.FOLDER / f"{name}.csv", {**describe(ROOT), "device": device, "tf32": tf32})


if __name__ == "__main__":
    typer.run(main)
