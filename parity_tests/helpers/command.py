"""Run ``leaf-ladder`` in this process."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from typer.testing import CliRunner

from parity.cli import app


def run(*arguments: Any, refused: Sequence[str] = ()) -> str:
    """The text of a command that succeeds, or that is refused in one line which holds everything named."""
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert done.exit_code == (2 if refused else 0), (done.output, done.exception)
    assert not refused or len(done.stderr.strip().splitlines()) == 1, done.output
    assert all(text in done.output for text in refused), done.output
    return done.output
