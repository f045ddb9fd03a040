"""The ``leaf-ladder`` command. Arguments are checked first; what is heavy is imported when they are right.

A command refuses in one line on stderr, with exit status 2.
"""

from __future__ import annotations

import functools
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, ParamSpec, TypeVar

try:
    import typer
    from typer.core import TyperCommand
except ModuleNotFoundError:
    from parity.weights.outputs import missing

    sys.exit(str(missing("the leaf-ladder command", "typer")))

ROOT = Path(__file__).resolve().parents[1]
P = ParamSpec("P")
R = TypeVar("R")
WRONG = (OSError, TypeError, ValueError)  # what a wrong argument or file raises


class Once(TyperCommand):
    """A command that refuses an option which is given again, where the first value would be lost without a word."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Count the options before they are taken."""
        _, _, order = self.make_parser(ctx).parse_args(args=list(args))
        for option, n in Counter(order).items():
            repeatable = option.multiple or getattr(option, "is_flag", False)
            if n > 1 and option.param_type_name == "option" and not repeatable:
                typer.echo(f"{option.opts[0]}: is given {n} times, must be given once", err=True)
                raise typer.Exit(2)
        return super().parse_args(ctx, args)


def refusing(*errors: type[Exception]) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Say warnings, these errors and a library that is missing in one line on stderr; errors end with exit status 2."""

    def decorate(command: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(command)
        def run(*args: P.args, **kwargs: P.kwargs) -> R:
            try:
                with warnings.catch_warnings():
                    warnings.showwarning = _said
                    return command(*args, **kwargs)
            except BrokenPipeError:
                raise
            except ModuleNotFoundError as error:
                from parity.weights.outputs import missing

                text = str(error)
                if "pip install" not in text:
                    text = str(missing("this", (error.name or "").split(".")[0]))
            except errors as error:
                text = str(error) or type(error).__name__
            typer.echo(" ".join(text.split()), err=True)
            raise typer.Exit(2)

        return run

    return decorate


def _said(message: Warning | str, *_: Any, **__: Any) -> None:
    typer.echo(f"warning: {' '.join(str(message).split())}", err=True)


app = typer.Typer(
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
    help="Certify a ladder of LEAF implementations.",
)  # fmt: skip
certificate = typer.Typer(no_args_is_help=True, help="What a run of the suite has certified.")
port = typer.Typer(no_args_is_help=True, help="Certify a port of LEAF that is not of this ladder.")


def _version(asked: bool) -> None:
    if asked:
        from parity import __version__

        typer.echo(f"leaf-ladder {__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", help="print the version and end", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Certify a ladder of LEAF implementations."""


@app.command(cls=Once)
@refusing(*WRONG)
def search(
    rungs: Annotated[list[str] | None, typer.Argument(help="the rungs to search; all if none is named")] = None,
    examples: Annotated[int, typer.Option(help="cases a rung")] = 1000,
    seed: Annotated[int, typer.Option(help="of the search")] = 0,
    record: Annotated[Path | None, typer.Option(help="a JSON file that keeps the worst cases")] = None,
) -> None:
    """Search for cases that come nearest to the running-error bound; ends with 1 if one violates a bound."""
    from parity.weights.outputs import require_library

    if examples < 1:
        raise ValueError(f"examples={examples}: must be at least 1")
    require_library("hypothesis", "a search")
    from parity.checks.search import DOMAINS, Searched, output, write
    from parity.checks.search import search as search_for

    for rung in rungs or []:
        if rung not in DOMAINS:
            raise ValueError(f"rung={rung!r}: must be one of {tuple(DOMAINS)}")
    if record is not None:
        output(record).check()
    failed = False
    for rung in rungs or list(DOMAINS):

        def progress(found: Searched) -> None:
            if found.n_examples % 500 == 0:
                name, ratio, _ = found.nearest
                typer.echo(f"{found.rung}: {found.n_examples} cases; nearest to its bound: {name}, {ratio:.3g}")
                if record is not None:  # an hour of searching is not lost with a terminal
                    write(record, found)

        found, coverage = search_for(rung, examples, seed, progress)
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


@app.command(cls=Once)
@refusing(*WRONG)
def replay(
    step: Annotated[
        str, typer.Argument(help="og_leaf, leaf, leaf-centered, efficientleaf, efficientleaf-direct, or RUNG-alone")
    ],
    case: Annotated[str, typer.Argument(help="a case as the certificate prints it, for example 'seed=3,n_filters=2'")],
) -> None:
    """Run one case on one step of the ladder and print every measurement; ends with 1 if one does not hold."""
    from parity.adapters.rungs import RUNGS
    from parity.cases.case import Case
    from parity.checks.steps import DTYPES, STEPS, SUFFIX, Runner, against_oracle
    from parity.report.table import render_measurements

    by_itself = [f"{rung}{SUFFIX}" for rung in RUNGS]
    if step not in (*STEPS, *by_itself):
        raise ValueError(f"step={step!r}: must be one of {', '.join((*STEPS, *by_itself))}")
    try:
        parsed = Case.parse(case)
    except ValueError as error:
        raise ValueError(f"case={case!r}: {error}") from None
    if step in STEPS:
        measured = list(Runner(STEPS[step]).run(parsed))
    else:
        rung = step.removesuffix(SUFFIX)
        dtypes = [dtype for dtype in DTYPES if dtype != "bfloat16" or RUNGS[rung].framework == "torch"]
        measured = [m for dtype in dtypes for m in against_oracle(rung, parsed, dtype)]
    typer.echo(render_measurements(measured, colour=sys.stdout.isatty()), nl=False)
    raise typer.Exit(0 if all(m.holds for m in measured) else 1)


@app.command(cls=Once)
@refusing(*WRONG)
def long(
    frames: Annotated[
        list[int] | None, typer.Option(help="a length; may be given again. Else 1000 to 10 million")
    ] = None,
    drawn: Annotated[int, typer.Option(help="cases drawn from the domain of the parameters, short ones")] = 5000,
    record: Annotated[
        bool, typer.Option("--record", help="keep the tables in benchmarks/results, for the certificate")
    ] = False,
) -> None:
    """Measure PCEN on long inputs against the oracle; ends with 1 if a bound is exceeded or NaN appears."""
    from parity.weights.outputs import require_checkout

    if bad := [n for n in frames or [] if n < 1]:
        raise ValueError(f"frames={bad[0]}: must be at least 1")
    if drawn < 0:
        raise ValueError(f"drawn={drawn}: must be at least 0")
    if record:
        require_checkout("record", ROOT)
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress, TimeElapsedColumn

    from parity.checks import long
    from parity.report import recorded

    if record:
        for name in long.NAMES:
            recorded.output(name, ROOT).check()
    before = long.measured(ROOT)
    with Progress(*Progress.get_default_columns(), MofNCompleteColumn(), TimeElapsedColumn()) as bar:

        def progress(what: str, total: int) -> Callable[[], None]:
            task = bar.add_task(what, total=total)
            return lambda: bar.advance(task)

        tables = long.tables(frames, drawn, progress)
    console = Console(width=max(Console().width, 180))
    for table in tables:
        console.print(table.rendered())
    if record and long.measured(ROOT) != before:
        typer.echo(f"{' or '.join(long.SOURCES)} has changed meanwhile: nothing kept", err=True)
        raise typer.Exit(1)
    if record:
        for table in tables:
            typer.echo(str(table.keep(ROOT)))
    raise typer.Exit(0 if all(table.holds for table in tables) else 1)


@app.command(cls=Once)
@refusing(*WRONG)
def formulations(
    record: Annotated[
        bool, typer.Option("--record", help="keep the table in benchmarks/results, for the certificate")
    ] = False,
) -> None:
    """Measure the ways to compute PCEN's gain and root against float64; seconds."""
    from parity.weights.outputs import require_checkout

    if record:
        require_checkout("record", ROOT)
    from rich.console import Console
    from rich.table import Table

    from parity.checks import formulations as found

    rows, console = found.table(), Console(width=max(Console().width, 160))
    shown = Table(*rows[0], title=found.TITLE, caption=found.NOTE)
    for row in rows:
        shown.add_row(*row.values())
    console.print(shown)
    if record:
        typer.echo(str(found.record(rows, ROOT)))


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
    from parity.weights.features import extract, prepare, prepared

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
    from parity.weights.convert_file import convert_file
    from parity.weights.frontend_config import settings_of

    options = {"padding": padding, "wrap": wrap or None, "num_groups": num_groups,
               "conv_win_factor": conv_win_factor, "stride_factor": stride_factor}  # fmt: skip
    options = {name: value for name, value in options.items() if value is not None}
    inputs = {f"config {text}": Path(text) for text in config or [] if text.endswith(".json")}
    settings = settings_of(config or [])
    for line in convert_file(source, target, to, settings, scope, options, clip, inputs=inputs, force=force).lines():
        typer.echo(line)
    typer.echo(f"written: {target}, {target.with_suffix('.json').name}")


@certificate.command("show", cls=Once)
@refusing(*WRONG)
def show(
    path: Annotated[Path, typer.Argument(help="certificate.json, or the folder that holds it")],
    everything: Annotated[bool, typer.Option("--all", help="every step and property, and the instrument")] = False,
) -> None:
    """Print the verdict, the ladder and what was shown, on one screen; ends with 1 if the certificate failed."""
    from parity.report.certificate import Certificate
    from parity.report.table import render, render_all

    found = Certificate.read(path)
    typer.echo((render_all if everything else render)(found, colour=sys.stdout.isatty()), nl=False)
    raise typer.Exit(0 if found.verdict == "certified" else 1)


@certificate.command("summary", cls=Once)
@refusing(*WRONG)
def summary(
    path: Annotated[Path, typer.Argument(help="certificate.json, or the folder that holds it")],
    into: Annotated[Path | None, typer.Option(help="a Markdown file: written between its two summary comments")] = None,
) -> None:
    """Print what was measured on the goldens and on speech as a table in Markdown, and the line on the instrument."""
    from parity.report.certificate import Certificate
    from parity.report.instrument import parts
    from parity.report.markdown import insert, measured
    from parity.weights.outputs import Output, require_file

    # what lies around the two comments is kept, so that any file that has them may be written
    to = None if into is None else Output("into", into, {"path": path}, force=True)
    if to is not None:
        require_file("into", to.path)
        to.check()
    found = Certificate.read(path)
    table = measured(found.claims)
    if to is not None:
        to.write(insert(to.path.read_text(encoding="utf-8"), "summary", table).encode())
    typer.echo(table)
    if found.evidence:
        typer.echo(f"\nThe instrument: {'; '.join(parts(found))}.")


@port.command("check", cls=Once)
@refusing(*WRONG)
def port_check(
    file: Annotated[Path, typer.Argument(help="a Python file with PORT = parity.Port(...)")],
    name: Annotated[str | None, typer.Option(help="of one port, where the file has several")] = None,
    examples: Annotated[int, typer.Option(help="cases to draw")] = 32,
    seed: Annotated[int, typer.Option(help="of the draws")] = 0,
) -> None:
    """Run the ports of a file and say where each departs from what it claims to be; ends with 1 if one does."""
    from parity.weights.outputs import require_file

    require_file("file", file)
    if examples < 1:
        raise ValueError(f"examples={examples}: must be at least 1")
    from parity.ports.certifying import check

    found = check(file, examples, seed, name)
    for diagnosis in found:
        typer.echo(str(diagnosis))
    raise typer.Exit(0 if all(diagnosis.holds for diagnosis in found) else 1)


@port.command("init", cls=Once)
@refusing(*WRONG)
def port_init(
    source: Annotated[str, typer.Argument(help="MODULE:CLASS, importable from here")],
    into: Annotated[Path | None, typer.Option(help="a Python file to write; else it is printed")] = None,
    force: Annotated[bool, typer.Option("--force", help="replace the file")] = False,
) -> None:
    """Write the first draft of a port's description, by what its module has and gives."""
    from parity.weights.outputs import Output

    to = None if into is None else Output("into", into, {}, force=force)
    if to is not None:
        to.check()
    from parity.ports.drafting import draft

    text = draft(source)
    if to is not None:
        to.write(text.encode())
        typer.echo(f"written: {into}; run: leaf-ladder port check {into}")
    else:
        typer.echo(text, nl=False)


app.add_typer(certificate, name="certificate")
app.add_typer(port, name="port")
