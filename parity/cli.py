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

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Certify a ladder of LEAF implementations."
)
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
