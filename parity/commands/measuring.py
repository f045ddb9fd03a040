"""``leaf-ladder search``, ``replay``, ``long`` and ``formulations``."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from parity.commands import WRONG, Once, refusing

app = typer.Typer()
ROOT = Path(__file__).resolve().parents[2]


@app.command(cls=Once)
@refusing(*WRONG)
def search(
    rungs: Annotated[list[str] | None, typer.Argument(help="the rungs to search; all if none is named")] = None,
    examples: Annotated[int, typer.Option(help="cases a rung")] = 1000,
    seed: Annotated[int, typer.Option(help="of the search")] = 0,
    record: Annotated[Path | None, typer.Option(help="a JSON file that keeps the worst cases")] = None,
) -> None:
    """Search for cases that come nearest to the running-error bound; ends with 1 if one violates a bound."""
    from parity.outputs import require_library

    if examples < 1:
        raise ValueError(f"examples={examples}: must be at least 1")
    require_library("hypothesis", "a search")
    from parity.search import DOMAINS, Searched, output, write
    from parity.search import search as search_for

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
@refusing()
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
    from parity.outputs import require_checkout

    if bad := [n for n in frames or [] if n < 1]:
        raise ValueError(f"frames={bad[0]}: must be at least 1")
    if drawn < 0:
        raise ValueError(f"drawn={drawn}: must be at least 0")
    if record:
        require_checkout("record", ROOT)
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress, TimeElapsedColumn

    from parity import long_runs
    from parity.report import recorded

    if record:
        for name in long_runs.NAMES:
            recorded.output(name, ROOT).check()
    before = long_runs.measured(ROOT)
    with Progress(*Progress.get_default_columns(), MofNCompleteColumn(), TimeElapsedColumn()) as bar:

        def progress(what: str, total: int) -> Callable[[], None]:
            task = bar.add_task(what, total=total)
            return lambda: bar.advance(task)

        tables = long_runs.tables(frames, drawn, progress)
    console = Console(width=max(Console().width, 180))
    for table in tables:
        console.print(table.rendered())
    if record and long_runs.measured(ROOT) != before:
        typer.echo(f"{' or '.join(long_runs.SOURCES)} has changed meanwhile: nothing kept", err=True)
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
    from parity.outputs import require_checkout

    if record:
        require_checkout("record", ROOT)
    from rich.console import Console
    from rich.table import Table

    from parity import formulations as found

    rows, console = found.table(), Console(width=max(Console().width, 160))
    shown = Table(*rows[0], title=found.TITLE, caption=found.NOTE)
    for row in rows:
        shown.add_row(*row.values())
    console.print(shown)
    if record:
        typer.echo(str(found.record(rows, ROOT)))
