"""Whether front ends are as good after training: ``python -m experiments.equivalence --data FOLDER --work FOLDER``.

Every front end is trained once a seed. Runs of one seed are a pair: the same clips in the same order, crops, noise and
start of encoder and head. Their accuracies on the test clips are subtracted from those of the reference, and two
one-sided tests say whether the mean difference is within the margin. What is on disk is not run again.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from experiments.data import Sound, digest, fewer
from experiments.frontends import FRONTENDS, Bands
from experiments.layouts import DataSet, data_set
from experiments.network import Config
from experiments.training import NotFinite, Settings, Training, evaluated
from parity.report import recorded
from parity.weights.outputs import replace_file, require_checkout

ROOT = Path(__file__).parents[1]
NAME, REFERENCE = "after_training", "og_leaf"
SOURCES = tuple(
    f"experiments/{name}.py"
    for name in ("data", "encoders", "equivalence", "frontends", "layouts", "network", "training")
)
Row = dict[str, Any]


@dataclass(frozen=True)
class Plan:
    """What is held fixed over all runs.

    Attributes:
        sound: how clips become inputs.
        encoder: "small" or "efficientnet-b0".
        n_filters: bands.
        epochs, batch_size: of every run.
        rate: Adam's; it grows over ``warmup_steps``, and falls to 0 along half a cosine.
        frontend_rate: of the front end's parameters.
        warmup_steps: see ``rate``.
        clips_per_class: of training.
        n_validation, n_test: clips, at most; classes have the same number.
    """

    sound: Sound = field(default_factory=lambda: Sound(8000, 0.5, noise=15.0, n_chunks=3))
    encoder: str = "small"
    n_filters: int = 20
    epochs: int = 3
    batch_size: int = 16
    rate: float = 6e-3
    frontend_rate: float = 1e-3
    warmup_steps: int = 20
    clips_per_class: int = 160
    n_validation: int = 25
    n_test: int = 500

    @property
    def digest(self) -> str:
        """First digits of the SHA-256 of all values."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:12]


PLAN = Plan()  # of the record; stated before its runs


def run(name: str, seed: int, plan: Plan, found: DataSet, work: Path) -> Row:
    """One run: read where it is on disk, otherwise trained and kept there.

    What is tested is the network at the end of training. A run that ends in NaN has no accuracy; its row says where NaN
    came from. Seconds, of the clock and of the processor, are those of the process that ended the run.

    Raises ValueError where a file is of another plan or split.
    """
    n_classes = len(found.classes)
    sides = dict(found.split)
    sides["train"] = fewer(sides["train"], plan.clips_per_class)
    for side, most in (("validation", plan.n_validation), ("test", plan.n_test)):
        sides[side] = fewer(sides[side], max(most // n_classes, 1))
    of_split = digest(sides, found.root)
    identity = {"plan": asdict(plan), "split": of_split}
    folder = _folder(work, name, seed)
    path = folder / "row.json"
    if path.is_file():
        kept = json.loads(path.read_text(encoding="utf-8"))
        _require_same(path, kept["identity"], identity)
        row: Row = kept["row"]
        return row
    rate = plan.sound.sample_rate
    config = Config(n_classes, name, plan.encoder, Bands.at(rate, plan.n_filters), seed)
    settings = Settings(
        plan.epochs, plan.batch_size, plan.rate, plan.frontend_rate / plan.rate, plan.warmup_steps, "cosine", seed=seed
    )
    start, busy = time.monotonic(), time.process_time()
    row = {"front end": name, "seed": seed, "accuracy, %": None, "loss": None, "ended by": ""}
    try:
        training = Training(
            config, settings, plan.sound, found.classes, sides["train"], sides["validation"], folder,
            data=of_split,
        )  # fmt: skip
        while not training.done:
            training.run_epoch()
        loss, accuracy = evaluated(training.network, sides["test"], found.classes, plan.sound)
        row |= {"accuracy, %": 100 * accuracy, "loss": loss}
    except NotFinite as error:
        row["ended by"] = str(error)
    row |= {
        "seconds": round(time.monotonic() - start, 1), "CPU seconds": round(time.process_time() - busy, 1),
        "encoder": plan.encoder, "split": of_split, "commit": recorded.commit_of(ROOT),
    }  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    replace_file(path, json.dumps({"identity": identity, "row": row}).encode())
    return row


def read(plan: Plan, work: Path, names: Sequence[str], seeds: int) -> list[Row]:
    """The rows that are in a folder of runs, seed by seed, with the plan's digest; what is not there is left out.

    Raises ValueError where a row is of another plan.
    """
    rows = []
    for path in (_folder(work, name, seed) / "row.json" for seed in range(seeds) for name in names):
        if path.is_file():
            kept = json.loads(path.read_text(encoding="utf-8"))
            _require_same(path, kept["identity"]["plan"], asdict(plan))
            rows.append({**kept["row"], "plan": plan.digest})
    return rows


def _require_same(path: Path, kept: object, asked: object) -> None:
    if kept != asked:
        raise ValueError(f"work={str(path.parents[1])!r}: {path.parent.name} is of another plan or data")


def _folder(work: Path, name: str, seed: int) -> Path:
    return work / f"{name.replace(' ', '_').replace(',', '')}-{seed}"


def main(
    data: Annotated[Path, typer.Option(help="folder of classes; experiments.prompts lays one out")],
    work: Annotated[Path, typer.Option(help="folder of the runs; what is in it is not run again")],
    seeds: Annotated[int, typer.Option(help="runs of every front end")] = 8,
    encoder: Annotated[str, typer.Option(help="small or efficientnet-b0")] = PLAN.encoder,
    epochs: Annotated[int, typer.Option()] = PLAN.epochs,
    clips_per_class: Annotated[int, typer.Option(help="of training")] = PLAN.clips_per_class,
    n_test: Annotated[int, typer.Option(help="clips, at most")] = PLAN.n_test,
    sample_rate: Annotated[int, typer.Option()] = PLAN.sound.sample_rate,
    seconds: Annotated[float, typer.Option(help="of a crop")] = PLAN.sound.seconds,
    noise: Annotated[float, typer.Option(help="dB of a clip over white noise")] = PLAN.sound.noise or 0.0,
    only: Annotated[list[str] | None, typer.Option(help="a front end; the reference is always run")] = None,
    what_is_there: Annotated[bool, typer.Option("--what-is-there", help="run nothing; compare what has ended")] = False,
    record: Annotated[bool, typer.Option(help="keep the rows in benchmarks/results, and write the page")] = False,
) -> None:
    """Run what is not there yet, seed by seed, and print the table."""
    from experiments import equivalence_page

    names = list(dict.fromkeys([REFERENCE, *(only or FRONTENDS)]))
    if record:
        require_checkout("record", ROOT)
    plan = replace(
        PLAN, sound=replace(PLAN.sound, sample_rate=sample_rate, seconds=seconds, noise=noise), encoder=encoder,
        epochs=epochs, clips_per_class=clips_per_class, n_test=n_test,
    )  # fmt: skip
    if record and plan != PLAN:
        raise typer.BadParameter(f"record={record}: must be of the plan as it is, {PLAN}")
    if not what_is_there:
        found = data_set(data)
        for seed in range(seeds):
            for name in names:
                row = run(name, seed, plan, found, work)
                said = row["ended by"] if row["accuracy, %"] is None else f"{row['accuracy, %']:.1f} %"
                typer.echo(f"seed {seed}, {name}: {said}, {row['seconds']:.0f} s")
    rows = read(plan, work, names, seeds)
    typer.echo(equivalence_page.differences(rows))
    if record:
        recorded.keep(
            NAME, rows, title="Accuracy after training",
            note="One run a row. Runs of one seed are a pair: same clips, order, crops, noise, start of the encoder.",
            command="python -m experiments.equivalence --data prompts/language --work runs --record",
            sources=SOURCES, root=ROOT,
        )  # fmt: skip
        equivalence_page.write(ROOT)


if __name__ == "__main__":
    typer.run(main)
