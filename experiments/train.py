"""Train a classifier: ``python -m experiments.train --data FOLDER --frontend leaf --out FOLDER``.

Without arguments it is trained on the language of the prompts that ``python -m experiments.prompts`` has laid out.

Adam and a plateau schedule, as published: the rate is lowered when the loss on the validation clips has not fallen for
some epochs, and training ends when it is below its minimum. Killed at any moment and started again with the same
command, it goes on from the last whole epoch and ends with the same bits.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import soundfile
import torch
import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from experiments.data import SPLITS, Sound, digest, fewer
from experiments.encoders import ENCODERS
from experiments.frontends import FRONTENDS, Bands
from experiments.layouts import LAYOUTS, data_set
from experiments.network import Config
from experiments.training import Settings, Training, evaluated

app = typer.Typer(add_completion=False)


@app.command()
def main(
    data: Annotated[Path, typer.Option(help="folder of recordings")] = Path("prompts", "language"),
    out: Annotated[Path, typer.Option(help="folder of the result: checkpoint.pt, best.pt, log.csv")] = Path("trained"),
    frontend: Annotated[str, typer.Option(help=f"one of: {'; '.join(FRONTENDS)}")] = "leaf",
    encoder: Annotated[str, typer.Option(help=f"one of: {'; '.join(ENCODERS)}")] = "small",
    layout: Annotated[str, typer.Option(help=f"of the data, one of: {'; '.join(LAYOUTS)}")] = "folder",
    sample_rate: Annotated[int | None, typer.Option(help="Hz, of all inputs; else the first recording's")] = None,
    resample: Annotated[bool, typer.Option(help="convert recordings of other rates")] = False,
    seconds: Annotated[float, typer.Option(help="length of a crop")] = 1.0,
    noise: Annotated[float | None, typer.Option(help="dB of a clip over white noise that is added")] = None,
    level: Annotated[float, typer.Option(help="dB of every input's standard deviation; published: 15")] = -20.0,
    clips_per_class: Annotated[int | None, typer.Option(help="of training, at most")] = None,
    n_filters: Annotated[int, typer.Option(help="bands of the front end")] = 40,
    epochs: Annotated[int, typer.Option(help="at most")] = 20,
    batch_size: Annotated[int, typer.Option(help="clips")] = 32,
    rate: Annotated[float, typer.Option(help="Adam's learning rate")] = 1e-3,
    frontend_rate_factor: Annotated[float, typer.Option(help="of the front end's rate over the others'")] = 1.0,
    warmup_steps: Annotated[int, typer.Option(help="over which the rate grows to its value")] = 0,
    schedule: Annotated[str, typer.Option(help="plateau, as published, or cosine")] = "plateau",
    patience: Annotated[int, typer.Option(help="epochs without a lower loss until the rate is lowered")] = 10,
    seed: Annotated[int, typer.Option(help="of start, order, crops and noise")] = 0,
    split_seed: Annotated[int, typer.Option(help="of the split")] = 0,
    workers: Annotated[int, typer.Option(help="processes that read")] = 0,
    device: Annotated[str, typer.Option(help="cpu, cuda, ...")] = "cpu",
    half: Annotated[bool, typer.Option(help="bfloat16 for encoder and head, on a GPU")] = False,
) -> None:
    """Train, keep the best epoch by the loss on validation clips, and print its accuracy on the test clips."""
    try:
        if not data.is_dir():
            raise ValueError(f"data={str(data)!r}: must be a folder; python -m experiments.prompts lays out an example")
        found = data_set(data, layout, split_seed)
        train = fewer(found.split["train"], clips_per_class, split_seed)
        hertz = int(soundfile.info(train[0].path).samplerate) if sample_rate is None else sample_rate
        sound = Sound(hertz, seconds, resample, level, noise)
        config = Config(len(found.classes), frontend, encoder, Bands.at(hertz, n_filters), seed)
        settings = Settings(
            epochs, batch_size, rate, frontend_rate_factor, warmup_steps, schedule, patience,
            seed=seed, n_workers=workers, device=device, half=half,
        )  # fmt: skip
        training = Training(
            config, settings, sound, found.classes, train, found.split["validation"], out,
            data=digest({**found.split, "train": train}, data),
        )  # fmt: skip
        for skipped in found.skipped:
            typer.echo(f"skipped {skipped.path}: {skipped.reason}")
        counts = ", ".join(f"{len(found.split[name]) if name != 'train' else len(train)} {name}" for name in SPLITS)
        typer.echo(f"{len(found.classes)} classes at {hertz} Hz, clips: {counts}, {len(found.skipped)} skipped")
        columns = (TextColumn("epoch {task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, transient=True) as progress:
            bar = progress.add_task("", total=None)
            while not training.done:
                progress.update(bar, description=str(training.epoch + 1), total=training.n_steps, completed=0)
                row = training.run_epoch(lambda: progress.advance(bar))
                progress.console.print(
                    f"epoch {row['epoch']}: loss {row['train loss']:.4f}, validation loss "
                    f"{row['validation loss']:.4f}, accuracy {row['validation accuracy']:.1%}, rate {row['rate']:.1e}"
                )
        best = torch.load(out / "best.pt", map_location=device, weights_only=True)
        training.network.load_state_dict(best["network"])
        loss, accuracy = evaluated(training.network, found.split["test"], found.classes, sound, split_seed)
    except ValueError as error:  # of an argument, or of a recording that is met on the way
        raise typer.BadParameter(str(error)) from error
    chance = max(sum(clip.label == name for clip in found.split["test"]) for name in found.classes)
    share = chance / len(found.split["test"])
    typer.echo(f"test: loss {loss:.4f}, accuracy {accuracy:.1%}; always the commonest class: {share:.1%}")


if __name__ == "__main__":
    app()
