"""``leaf-ladder features`` and ``convert``."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from parity.commands import WRONG, Once, refusing

app = typer.Typer()


@app.command(cls=Once)
@refusing(*WRONG)
def features(
    source: Annotated[Path, typer.Argument(help="a recording, in any format that soundfile reads")],
    target: Annotated[Path, typer.Argument(help="the .npy file to write, float32 [filters, frames]")],
    frontend: Annotated[str | None, typer.Option(help="leaf, efficientleaf or og_leaf; leaf if nothing says")] = None,
    weights: Annotated[
        Path | None, typer.Option(help="of leaf-ladder convert, or what parity.load_weights reads; else fresh")
    ] = None,
    n_filters: Annotated[int | None, typer.Option(help="number of filters; 40 if nothing says")] = None,
    sample_rate: Annotated[int | None, typer.Option(help="of the front end, Hz; 16000 if nothing says")] = None,
    padding: Annotated[str | None, typer.Option(help="of leaf: centered, or same as TensorFlow's")] = None,
    channel: Annotated[int | None, typer.Option(help="of a recording that has several, from 0")] = None,
    force: Annotated[bool, typer.Option("--force", help="replace a file that is there")] = False,
) -> None:
    """Write the features of a recording of any length, in memory that does not grow with it.

    Weights that leaf-ladder convert wrote say themselves what they are; an option that contradicts them is refused.
    """
    from parity.outputs import require_file, require_library, require_weights

    require_file("source", source)
    if weights is not None:
        require_weights("weights", weights)
    require_library("soundfile", "reading a recording")
    from parity.features import extract, prepare, prepared

    options = {"frontend": frontend, "sample_rate": sample_rate, "n_filters": n_filters, "padding": padding}
    given = {name: value for name, value in options.items() if value is not None}
    output = prepare(source, target, given, weights, channel, force=force)

    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    made = prepared(given, weights)
    if weights is not None and made.assumed:
        said = ", ".join(f"{name}={value}" for name, value in made.assumed.items())
        typer.echo(f"assumed, for the weights do not say it: {said}", err=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[speed]}"), TimeRemainingColumn())
    with Progress(*columns) as bar:
        task, began = bar.add_task(source.name, speed="", visible=False), time.monotonic()

        def progress(done: int, total: int) -> None:
            times = done / made.sample_rate / max(time.monotonic() - began, 1e-9)
            bar.update(task, completed=done, total=total, visible=True, speed=f"{times:.0f} x real time")

        shape = extract(source, output, made.module, channel, progress, sample_rate=made.sample_rate)
    typer.echo(f"{target}: {shape[0]} filters, {shape[1]} frames")


@app.command(cls=Once)
@refusing(*WRONG)
def convert(
    source: Annotated[
        Path, typer.Argument(help="a TensorFlow checkpoint prefix, .h5, .keras, .npz, .safetensors, .pt")
    ],
    target: Annotated[Path, typer.Argument(help="the .safetensors file to write, its description inside")],
    to: Annotated[str, typer.Option(help="og_leaf, leaf or efficientleaf")] = "og_leaf",
    config: Annotated[
        list[str] | None,
        typer.Option(help="a JSON file, or sample_rate=8000,frontend=SincNet,...; may be given again"),
    ] = None,
    scope: Annotated[str | None, typer.Option(help="where in the file the frontend stands, my_model/leaf")] = None,
    padding: Annotated[str | None, typer.Option(help="centered: accept the other alignment of frames")] = None,
    wrap: Annotated[bool, typer.Option("--wrap", help="put what the rung cannot hold around it")] = False,
    num_groups: Annotated[int | None, typer.Option(help="of efficientleaf: approximate, by groups")] = None,
    conv_win_factor: Annotated[float | None, typer.Option(help="of efficientleaf: sigmas in a kernel")] = None,
    stride_factor: Annotated[float | None, typer.Option(help="of efficientleaf: of the strides")] = None,
    clip: Annotated[Path | None, typer.Option(help="a .wav file to measure the difference on")] = None,
    force: Annotated[bool, typer.Option("--force", help="replace files that this command did not write")] = False,
) -> None:
    """Convert a file of weights to a PyTorch rung and measure the difference; parity.load(TARGET) gives the module."""
    from parity.outputs import require_file, require_weights

    require_weights("source", source)
    if clip is not None:
        require_file("clip", clip)
    from parity.bridges.stored import beside
    from parity.carrying import carry
    from parity.settings import settings_of

    options = {"padding": padding, "wrap": wrap or None, "num_groups": num_groups,
               "conv_win_factor": conv_win_factor, "stride_factor": stride_factor}  # fmt: skip
    options = {name: value for name, value in options.items() if value is not None}
    inputs = {f"config {text}": Path(text) for text in config or [] if text.endswith(".json")}
    carried = carry(source, target, to, settings_of(config or []), scope, options, clip, inputs=inputs, force=force)
    for line in carried.lines():
        typer.echo(line)
    typer.echo(f"written: {target}, {beside(target).name}")
