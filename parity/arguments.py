"""Options of the ``argparse`` commands. The standard library alone."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any


class Once(argparse.Action):
    """Store a value, and refuse the option when it is given again: the first would be lost without a word."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        """See :class:`argparse.Action`."""
        if self in (seen := vars(namespace).setdefault("_seen", [])):
            parser.error(f"{option_string}: is given again, must be given once")
        seen.append(self)
        setattr(namespace, self.dest, values)
