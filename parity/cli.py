"""The ``leaf-ladder`` command. Arguments are checked first; what is heavy is imported when they are right."""

from __future__ import annotations

import sys
from typing import Annotated

try:
    import typer
except ModuleNotFoundError:
    sys.exit("the leaf-ladder command needs typer: python -m pip install typer")

from parity.commands import certificates, measuring, weights

app = typer.Typer(
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
    help="Certify a ladder of LEAF implementations.",
)  # fmt: skip
for part in (measuring, weights):
    app.add_typer(part.app)
app.add_typer(certificates.app, name="certificate")


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
