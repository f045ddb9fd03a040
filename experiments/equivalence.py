"""Whether front ends are as good after training: ``python -m experiments.equivalence --data FOLDER --work FOLDER``.

Every front end is trained once a seed. Runs of one seed are a pair: the same clips in the same order, crops, noise and
start of encoder and head. Their accuracies on the test clips are subtracted from those of the reference, and two
one-sided tests say whether the mean difference is within the margin. What is on disk is not run again.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
import typer

from experiments.data import Sound, digest, fewer
from experiments.frontends import FRONTENDS, Bands
from experiments.layouts import DataSet, data_set
from experiments.network import Config
from experiments.statistics import Paired, paired, verdicts
from experiments.training import NotFinite, Settings, Training, evaluated
from parity.report import recorded
from parity.report.markdown import table
from parity.weights.outputs import replace_file, require_checkout

ROOT = Path(__file__).parents[1]
REFERENCE, CONTROL = "og_leaf", "frozen centres"
MARGIN = 2.0  # percentage points of accuracy; stated before any run
NAME = "after_training"
SOURCES = tuple(
    f"experiments/{name}.py"
    for name in ("data", "encoders", "equivalence", "frontends", "layouts", "network", "statistics", "training")
)
Row = dict[str, Any]


@dataclass(frozen=True)
class Plan:
    """What is held fixed over all runs.

    Attributes:
        sound: how clips become inputs.
        encoder: "small" or "efficientnet-b0".
        epochs, batch_size: of every run.
        clips_per_class: of training.
        n_validation, n_test: clips, at most; classes have the same number.
    """

    sound: Sound
    encoder: str = "small"
    epochs: int = 12
    batch_size: int = 16
    clips_per_class: int = 60
    n_validation: int = 100
    n_test: int = 500


def run(name: str, seed: int, plan: Plan, found: DataSet, work: Path) -> Row:
    """One run: read where it is on disk, otherwise trained and kept there.

    A run that ends in NaN has no accuracy; its row says where NaN came from.

    Raises ValueError where a file is of another plan or split.
    """
    n_classes = len(found.classes)
    sides = dict(found.split)
    sides["train"] = fewer(sides["train"], plan.clips_per_class)
    for side, most in (("validation", plan.n_validation), ("test", plan.n_test)):
        sides[side] = fewer(sides[side], max(most // n_classes, 1))
    of_split = digest(sides, found.root)
    identity = {"plan": asdict(plan), "split": of_split}
    folder = work / f"{name.replace(' ', '_').replace(',', '')}-{seed}"
    path = folder / "row.json"
    if path.is_file():
        kept = json.loads(path.read_text(encoding="utf-8"))
        if kept["identity"] != identity:
            raise ValueError(f"work={str(work)!r}: {path.name} of {folder.name} is of another plan or data")
        row: Row = kept["row"]
        return row
    rate = plan.sound.sample_rate
    config = Config(n_classes, name, plan.encoder, Bands.at(rate), seed)
    settings = Settings(plan.epochs, plan.batch_size, seed=seed)
    start = time.monotonic()
    row = {"front end": name, "seed": seed, "accuracy, %": None, "loss": None, "ended by": ""}
    try:
        training = Training(
            config, settings, plan.sound, found.classes, sides["train"], sides["validation"], folder,
            data=of_split,
        )  # fmt: skip
        while not training.done:
            training.run_epoch()
        best = torch.load(folder / "best.pt", weights_only=True)
        training.network.load_state_dict(best["network"])
        loss, accuracy = evaluated(training.network, sides["test"], found.classes, plan.sound)
        row |= {"accuracy, %": 100 * accuracy, "loss": loss}
    except NotFinite as error:
        row["ended by"] = str(error)
    row |= {"seconds": time.monotonic() - start, "encoder": plan.encoder, "split": of_split}
    folder.mkdir(parents=True, exist_ok=True)
    replace_file(path, json.dumps({"identity": identity, "row": row}).encode())
    return row


def compared(rows: Sequence[Row], reference: str = REFERENCE, margin: float = MARGIN) -> list[tuple[str, Paired, str]]:
    """Every front end against the reference: name, test and verdict, over the seeds where both have an accuracy.

    A front end without a pair is not among them.
    """
    of = {(row["front end"], row["seed"]): row["accuracy, %"] for row in rows if row["accuracy, %"] is not None}
    names = dict.fromkeys(row["front end"] for row in rows if row["front end"] != reference)
    tests = {}
    for name in names:
        seeds = sorted(seed for at, seed in of if at == name and (reference, seed) in of)
        if seeds:
            tests[name] = paired([of[name, seed] - of[reference, seed] for seed in seeds], margin)
    said = verdicts(list(tests.values()))
    return [(name, test, verdict) for (name, test), verdict in zip(tests.items(), said, strict=True)]


def results(rows: Sequence[Row]) -> str:
    """The table: difference, interval, verdict, power, runs ended by NaN, seconds a run."""
    lines = []
    for name, test, verdict in compared(rows):
        own = [row for row in rows if row["front end"] == name]
        interval = "" if test.n == 1 else f"{test.low:+.1f} to {test.high:+.1f}"
        lines.append((
            name, f"{test.n}", f"{test.mean:+.1f}", interval, verdict, f"{test.power:.0%}",
            f"{sum(bool(row['ended by']) for row in own)}", f"{sum(row['seconds'] for row in own) / len(own):.0f}",
        ))  # fmt: skip
    head = ("front end", "pairs", "accuracy less og_leaf's, points", "90 % interval")
    return table([*head, f"equivalent within {MARGIN:g} points", "power", "NaN", "seconds a run"], lines)


def main(
    data: Annotated[Path, typer.Option(help="folder of classes; experiments.prompts lays one out")],
    work: Annotated[Path, typer.Option(help="folder of the runs; what is in it is not run again")],
    seeds: Annotated[int, typer.Option(help="runs of every front end")] = 8,
    encoder: Annotated[str, typer.Option(help="small or efficientnet-b0")] = "small",
    epochs: Annotated[int, typer.Option()] = 12,
    clips_per_class: Annotated[int, typer.Option(help="of training")] = 60,
    n_test: Annotated[int, typer.Option(help="clips, at most")] = 500,
    sample_rate: Annotated[int, typer.Option()] = 8000,
    seconds: Annotated[float, typer.Option(help="of a crop")] = 0.5,
    noise: Annotated[float, typer.Option(help="dB of a clip over white noise")] = 5.0,
    only: Annotated[list[str] | None, typer.Option(help="a front end; the reference is always run")] = None,
    record: Annotated[bool, typer.Option(help="keep the rows in benchmarks/results")] = False,
) -> None:
    """Run what is not there yet, seed by seed, and print the table."""
    names = list(dict.fromkeys([REFERENCE, *(only or FRONTENDS)]))
    if record:
        require_checkout("record", ROOT)
    plan = Plan(
        Sound(sample_rate, seconds, noise=noise), encoder, epochs, clips_per_class=clips_per_class, n_test=n_test
    )
    found = data_set(data)
    rows = []
    for seed in range(seeds):
        for name in names:
            rows.append(run(name, seed, plan, found, work))
            accuracy = rows[-1]["accuracy, %"]
            said = rows[-1]["ended by"] if accuracy is None else f"{accuracy:.1f} %"
            typer.echo(f"seed {seed}, {name}: {said}, {rows[-1]['seconds']:.0f} s")
    typer.echo(results(rows))
    if record:
        recorded.keep(
            NAME, rows, title="Accuracy after training",
            note=f"Paired runs on {', '.join(found.classes)}; the margin is {MARGIN:g} points.",
            command="python -m experiments.equivalence --record", sources=SOURCES, root=ROOT,
        )  # fmt: skip


if __name__ == "__main__":
    typer.run(main)
