"""How often training ends in NaN: ``python -m experiments.not_finite --data FOLDER --work FOLDER``.

Short trainings of each way to hold PCEN's parameters and of each compression, on crops of a second and on whole
recordings. The front end's rate is ten times the published one, so that few steps go as far as many.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import soundfile
import typer

from experiments.data import Clip, Sound
from experiments.equivalence import PLAN, ROOT, SOURCES, Row, run
from experiments.layouts import DataSet, data_set
from parity.report import recorded
from parity.report.markdown import table
from parity.weights.outputs import require_checkout

NAME = "training_not_finite"
ROUTES = (
    "og_leaf", "og_leaf, PCEN in one module", "og_leaf, learned logs", "leaf", "leaf, learned logs", "efficientleaf",
    "efficientleaf, tolerance 1e-3",
)  # fmt: skip
LONGEST = 6.0  # s: of the recordings that are taken
INPUTS = {"1 s": 1.0, "whole": LONGEST}  # a shorter recording is followed by zeros
SHORT = replace(
    PLAN, n_filters=10, epochs=1, batch_size=4, rate=1e-3, frontend_rate=1e-2, warmup_steps=0, clips_per_class=48,
    n_validation=10, n_test=25,
)  # fmt: skip


def within(found: DataSet, seconds: float) -> DataSet:
    """The data set without its longer recordings."""

    def short(clip: Clip) -> bool:
        return bool(soundfile.info(os.fspath(clip.path)).duration <= seconds)

    return replace(found, split={side: [clip for clip in clips if short(clip)] for side, clips in found.split.items()})


def routes(rows: list[Row]) -> str:
    """Markdown: runs that ended by NaN of every front end and length of the inputs, and where NaN first came from."""
    lines = []
    for name in dict.fromkeys(row["front end"] for row in rows):
        cells = []
        for inputs in INPUTS:
            own = [row for row in rows if (row["front end"], row["inputs"]) == (name, inputs)]
            ended = [row["ended by"] for row in own if row["ended by"]]
            cells.append(f"{len(ended)} of {len(own)}" + (f"; {ended[0]}" if ended else ""))
        lines.append((name, *cells))
    return table(("front end", *(f"inputs: {inputs}" for inputs in INPUTS)), lines)


def main(
    data: Annotated[Path, typer.Option(help="folder of classes; experiments.prompts lays one out")],
    work: Annotated[Path, typer.Option(help="folder of the runs; what is in it is not run again")],
    seeds: Annotated[int, typer.Option(help="runs of every front end and length")] = 4,
    record: Annotated[bool, typer.Option(help="keep the rows in benchmarks/results")] = False,
) -> None:
    """Run what is not there yet, and print the table."""
    if record:
        require_checkout("record", ROOT)
    found = within(data_set(data), LONGEST)
    rows: list[Row] = []
    for seed in range(seeds):
        for inputs, seconds in INPUTS.items():
            plan = replace(SHORT, sound=Sound(SHORT.sound.sample_rate, seconds, n_chunks=1))
            for name in ROUTES:
                row = run(name, seed, plan, found, work / inputs.replace(" ", ""))
                rows.append({**row, "inputs": inputs, "plan": plan.digest})
    typer.echo(routes(rows))
    if record:
        recorded.keep(
            NAME, rows, title="Trainings that end in NaN", note="One training of 60 steps a row.",
            command="python -m experiments.not_finite --data prompts/language --work nan --record",
            sources=(*SOURCES, "experiments/not_finite.py"), root=ROOT,
        )  # fmt: skip


if __name__ == "__main__":
    typer.run(main)
