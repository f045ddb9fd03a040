"""The parts of the ``leaf-ladder`` command, and how each of them refuses: in one line, with exit status 2."""

from __future__ import annotations

import functools
import warnings
from collections import Counter
from collections.abc import Callable
from typing import Any, ParamSpec, TextIO, TypeVar

import typer
from typer.core import TyperCommand

P = ParamSpec("P")
R = TypeVar("R")
WRONG = (OSError, TypeError, ValueError)  # what a wrong argument or file raises
PACKAGES = {"keras": "tensorflow"}  # where the package that brings a module is called otherwise


class Once(TyperCommand):
    """A command that refuses an option which is given again, where the first value would be lost without a word."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Count the options before they are taken."""
        _, _, order = self.make_parser(ctx).parse_args(args=list(args))
        for option, n in Counter(order).items():
            if (
                n > 1
                and option.param_type_name == "option"
                and not (option.multiple or getattr(option, "is_flag", False))
            ):
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
                text = str(error)
                if "pip install" not in text:
                    library = (error.name or "").split(".")[0]
                    text = f"this needs {library}: python -m pip install {PACKAGES.get(library, library)}"
            except errors as error:
                text = str(error) or type(error).__name__
            typer.echo(" ".join(text.split()), err=True)
            raise typer.Exit(2)

        return run

    return decorate


def _said(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    typer.echo(f"warning: {' '.join(str(message).split())}", err=True)
