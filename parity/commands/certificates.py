"""``leaf-ladder certificate``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from parity.commands import WRONG, Once, refusing

app = typer.Typer(no_args_is_help=True, help="What a run of the suite has certified.")


@app.command("show", cls=Once)
@refusing(*WRONG)
def show(path: Annotated[Path, typer.Argument(help="certificate.json, or the folder that holds it")]) -> None:
    """Print the table of a certificate; ends with 1 if it failed."""
    from parity.report.certificate import Certificate
    from parity.report.table import render

    certificate = Certificate.read(path)
    typer.echo(render(certificate, colour=sys.stdout.isatty()), nl=False)
    raise typer.Exit(0 if certificate.verdict == "certified" else 1)


@app.command("summary", cls=Once)
@refusing(*WRONG)
def summary(
    path: Annotated[Path, typer.Argument(help="certificate.json, or the folder that holds it")],
    into: Annotated[Path | None, typer.Option(help="a Markdown file: written between its two summary comments")] = None,
) -> None:
    """Print what was measured on the goldens and on speech, and the line on the instrument, in Markdown."""
    from parity.outputs import Output, require_file
    from parity.report.certificate import Certificate
    from parity.report.instrument import line
    from parity.report.summary import insert, markdown

    # what lies around the two comments is kept, so that any file that has them may be written
    to = None if into is None else Output("into", into, {"path": path}, force=True)
    if to is not None:
        require_file("into", to.path)
        to.check()
    certificate = Certificate.read(path)
    table = markdown(certificate.claims)
    if certificate.evidence:
        table += f"\n\nThe instrument: {line(certificate)}."
    if to is not None:
        to.write(insert(to.path.read_text(encoding="utf-8"), table).encode())
    typer.echo(table)
