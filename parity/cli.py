"""The ``leaf-ladder`` command."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

try:
    import typer
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "the leaf-ladder command needs typer: python -m pip install 'leaf-ladder[report]'", name=error.name
    ) from error

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Certify a ladder of LEAF implementations.")
certificate_app = typer.Typer(no_args_is_help=True, help="What a run of the suite has certified.")
app.add_typer(certificate_app, name="certificate")


@app.callback()
def main() -> None:
    """Certify a ladder of LEAF implementations."""


@certificate_app.command("show")
def show(path: Annotated[Path, typer.Argument(help="certificate.json, or the folder that holds it")]) -> None:
    """Print the table of a certificate; ends with 1 if it failed."""
    from parity.report.certificate import Certificate
    from parity.report.table import render

    try:
        certificate = Certificate.read(path)
    except (OSError, ValueError) as error:
        typer.echo(f"path={str(path)!r}: must hold a certificate; {error}", err=True)
        raise typer.Exit(2) from None
    typer.echo(render(certificate, colour=sys.stdout.isatty()), nl=False)
    raise typer.Exit(0 if certificate.verdict == "certified" else 1)


@certificate_app.command("summary")
def summary(
    path: Annotated[Path, typer.Argument(help="certificate.json, or the folder that holds it")],
    into: Annotated[Path | None, typer.Option(help="a Markdown file: written between its two summary comments")] = None,
) -> None:
    """Print what was measured on the goldens and on speech, and the line on the instrument, in Markdown."""
    from parity.report.certificate import Certificate, replace_file
    from parity.report.instrument import line
    from parity.report.summary import insert, markdown

    try:
        certificate = Certificate.read(path)
        table = markdown(certificate.claims)
        if certificate.evidence:
            table += f"\n\nThe instrument: {line(certificate)}."
        if into is not None:
            replace_file(into, insert(into.read_text(encoding="utf-8"), table).encode())
    except (OSError, ValueError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    typer.echo(table)


@app.command()
def search(
    rungs: Annotated[list[str] | None, typer.Argument(help="the rungs to search; all if none is named")] = None,
    examples: Annotated[int, typer.Option(help="cases a rung")] = 1000,
    seed: Annotated[int, typer.Option(help="of the search")] = 0,
    record: Annotated[Path | None, typer.Option(help="a JSON file that keeps the worst cases")] = None,
) -> None:
    """Search for cases that come nearest to the running-error bound; ends with 1 if one violates a bound."""
    from parity.search import DOMAINS, Searched, write
    from parity.search import search as search_for

    failed = False
    for rung in rungs or list(DOMAINS):

        def progress(found: Searched) -> None:
            if found.n_examples % 500 == 0:
                name, ratio, _ = found.nearest
                typer.echo(f"{found.rung}: {found.n_examples} cases; nearest to its bound: {name}, {ratio:.3g}")
                if record is not None:  # an hour of searching is not lost with a terminal
                    write(record, found)

        try:
            found, coverage = search_for(rung, examples, seed, progress)
        except ValueError as error:
            typer.echo(str(error), err=True)
            raise typer.Exit(2) from None
        name, ratio, case = found.nearest
        n_violations = len(found.violations)
        typer.echo(f"{rung}: {found.n_examples} cases, {n_violations} violations; nearest: {name}, {ratio:.3g}")
        typer.echo(f"  {case}")
        typer.echo(coverage.table())
        for violation in found.violations[:10]:
            typer.echo(violation, err=True)
        failed = failed or bool(found.violations)
        if record is not None:
            write(record, found)
    raise typer.Exit(1 if failed else 0)


@app.command()
def replay(
    step: Annotated[
        str, typer.Argument(help="og_leaf, leaf, leaf-centered, efficientleaf, efficientleaf-direct, or RUNG-alone")
    ],
    case: Annotated[str, typer.Argument(help="a case as the certificate prints it, for example 'seed=3,n_filters=2'")],
) -> None:
    """Run one case on one step of the ladder and print every measurement; ends with 1 if one does not hold."""
    from parity.alone import DTYPES, SUFFIX, alone
    from parity.cases import Case
    from parity.report.table import render_measurements
    from parity.rungs import RUNGS
    from parity.steps import STEPS, Runner

    by_itself = [f"{rung}{SUFFIX}" for rung in RUNGS]
    if step not in (*STEPS, *by_itself):
        typer.echo(f"step={step!r}: must be one of {', '.join((*STEPS, *by_itself))}", err=True)
        raise typer.Exit(2)
    try:
        parsed = Case.parse(case)
    except ValueError as error:
        typer.echo(f"case={case!r}: {error}", err=True)
        raise typer.Exit(2) from None
    if step in STEPS:
        measured = list(Runner(STEPS[step]).run(parsed))
    else:
        rung = step.removesuffix(SUFFIX)
        dtypes = [dtype for dtype in DTYPES if dtype != "bfloat16" or RUNGS[rung].framework == "torch"]
        measured = [m for dtype in dtypes for m in alone(rung, parsed, dtype)]
    typer.echo(render_measurements(measured, colour=sys.stdout.isatty()), nl=False)
    raise typer.Exit(0 if all(m.holds for m in measured) else 1)


@app.command()
def features(
    source: Annotated[Path, typer.Argument(help="a recording, in any format that soundfile reads")],
    target: Annotated[Path, typer.Argument(help="the .npy file to write, float32 [filters, frames]")],
    frontend: Annotated[str, typer.Option(help="leaf or efficientleaf, with PCEN")] = "leaf",
    weights: Annotated[Path | None, typer.Option(help=".npz of hub variables, or .pt state dict; else fresh")] = None,
    n_filters: Annotated[int, typer.Option(help="number of filters")] = 40,
    sample_rate: Annotated[int, typer.Option(help="of the front end, Hz")] = 16000,
    padding: Annotated[str, typer.Option(help="of leaf: centered, or same as TensorFlow's")] = "centered",
    channel: Annotated[int | None, typer.Option(help="of a recording that has several, from 0")] = None,
) -> None:
    """Write the features of a recording of any length, in memory that does not grow with it."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from parity.features import build, extract, load

    try:
        module = build(frontend, sample_rate, n_filters, padding)
        if weights is not None:
            load(module, weights)
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[speed]}"),
            TimeRemainingColumn(),
        )
        with Progress(*columns) as bar:
            task, began = bar.add_task(source.name, speed="", visible=False), time.monotonic()

            def progress(done: int, total: int) -> None:
                times = done / sample_rate / max(time.monotonic() - began, 1e-9)
                bar.update(task, completed=done, total=total, visible=True, speed=f"{times:.0f} x real time")

            shape = extract(source, target, module, channel, progress)
    except ValueError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    typer.echo(f"{target}: {shape[0]} filters, {shape[1]} frames")


@app.command()
def convert(
    source: Annotated[
        Path, typer.Argument(help="a TensorFlow checkpoint prefix, .h5, .keras, .npz, .safetensors, .pt")
    ],
    target: Annotated[Path, typer.Argument(help="the .safetensors file to write; its configuration lies beside it")],
    to: Annotated[str, typer.Option(help="og_leaf, leaf or efficientleaf")] = "og_leaf",
    config: Annotated[str | None, typer.Option(help="a JSON file, or sample_rate=8000,frontend=SincNet,...")] = None,
    scope: Annotated[str | None, typer.Option(help="where in the file the frontend stands, my_model/leaf")] = None,
    padding: Annotated[str | None, typer.Option(help="centered: accept the other alignment of frames")] = None,
    wrap: Annotated[bool, typer.Option(help="put what the rung cannot hold around it")] = False,
    num_groups: Annotated[int | None, typer.Option(help="of efficientleaf: approximate, by groups")] = None,
    conv_win_factor: Annotated[float | None, typer.Option(help="of efficientleaf: sigmas in a kernel")] = None,
    stride_factor: Annotated[float | None, typer.Option(help="of efficientleaf: of the strides")] = None,
    clip: Annotated[Path | None, typer.Option(help="a .wav file to measure the difference on")] = None,
) -> None:
    """Convert a file of weights to a PyTorch rung and measure the difference; parity.load(TARGET) gives the module."""
    from parity.bridges.stored import beside
    from parity.carrying import carry, settings_of

    options = {"padding": padding, "wrap": wrap or None, "num_groups": num_groups,
               "conv_win_factor": conv_win_factor, "stride_factor": stride_factor}  # fmt: skip
    options = {name: value for name, value in options.items() if value is not None}
    try:
        carried = carry(source, target, to, settings_of(config), scope, options, clip)
    except (OSError, TypeError, ValueError, ModuleNotFoundError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    for line in carried.lines():
        typer.echo(line)
    typer.echo(f"written: {target}, {beside(target).name}")


@app.command()
def long(
    frames: Annotated[
        list[int] | None, typer.Option(help="a length; may be given again. Else 1000 to 10 million")
    ] = None,
    drawn: Annotated[int, typer.Option(help="cases drawn from the domain of the parameters, short ones")] = 5000,
    record: Annotated[bool, typer.Option(help="keep the tables in benchmarks/results, for the certificate")] = False,
) -> None:
    """Measure PCEN on long inputs against the oracle; ends with 1 if a bound is exceeded or NaN appears."""
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress, TimeElapsedColumn

    from parity import long_runs

    if bad := [n for n in frames or [] if n < 1]:
        typer.echo(f"frames={bad[0]}: must be at least 1", err=True)
        raise typer.Exit(2)
    root = Path(__file__).resolve().parents[1]
    before = long_runs.measured(root)
    with Progress(*Progress.get_default_columns(), MofNCompleteColumn(), TimeElapsedColumn()) as bar:

        def progress(what: str, total: int) -> Callable[[], None]:
            task = bar.add_task(what, total=total)
            return lambda: bar.advance(task)

        tables = long_runs.tables(frames, drawn, progress)
    console = Console(width=max(Console().width, 180))
    for table in tables:
        console.print(table.rendered())
    if record and long_runs.measured(root) != before:
        typer.echo(f"{' or '.join(long_runs.SOURCES)} has changed meanwhile: nothing kept", err=True)
        raise typer.Exit(1)
    if record:
        for table in tables:
            typer.echo(str(table.keep(root)))
    raise typer.Exit(0 if all(table.holds for table in tables) else 1)


@app.command()
def formulations(
    record: Annotated[bool, typer.Option(help="keep the table in benchmarks/results, for the certificate")] = False,
) -> None:
    """Measure the ways to compute PCEN's gain and root against float64; seconds."""
    from rich.console import Console
    from rich.table import Table

    from parity import formulations as found

    rows, console = found.table(), Console(width=max(Console().width, 160))
    shown = Table(*rows[0], title=found.TITLE, caption=found.NOTE)
    for row in rows:
        shown.add_row(*row.values())
    console.print(shown)
    if record:
        typer.echo(str(found.record(rows, Path(__file__).resolve().parents[1])))
