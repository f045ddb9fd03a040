"""The ``leaf-ladder`` command."""

from __future__ import annotations

import sys
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
    """Print the measured differences of each step on the goldens and on speech, as a Markdown table."""
    from parity.report.certificate import Certificate, replace_file
    from parity.report.summary import insert, markdown

    try:
        table = markdown(Certificate.read(path).claims)
        if into is not None:
            replace_file(into, insert(into.read_text(encoding="utf-8"), table).encode())
    except (OSError, ValueError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    typer.echo(table)


@app.command()
def replay(
    step: Annotated[str, typer.Argument(help="og_leaf, leaf, leaf-centered, efficientleaf or efficientleaf-direct")],
    case: Annotated[str, typer.Argument(help="a case as the certificate prints it, for example 'seed=3,n_filters=2'")],
) -> None:
    """Run one case on one step of the ladder and print every measurement; ends with 1 if one does not hold."""
    from parity.cases import Case
    from parity.report.table import render_measurements
    from parity.steps import STEPS, Runner

    if step not in STEPS:
        typer.echo(f"step={step!r}: must be one of {', '.join(STEPS)}", err=True)
        raise typer.Exit(2)
    try:
        parsed = Case.parse(case)
    except ValueError as error:
        typer.echo(f"case={case!r}: {error}", err=True)
        raise typer.Exit(2) from None
    measured = list(Runner(STEPS[step]).run(parsed))
    typer.echo(render_measurements(measured, colour=sys.stdout.isatty()), nl=False)
    raise typer.Exit(0 if all(m.holds for m in measured) else 1)
