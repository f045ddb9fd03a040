"""Check that a call is refused by an error whose message says what it should."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest


def refused(call: Callable[[], Any], error: type[Exception], *named: str) -> None:
    """The call fails with this error, whose message holds everything named."""
    with pytest.raises(error) as caught:
        call()
    for text in named:
        assert text in str(caught.value), f"{text!r} is not in {str(caught.value)!r}"
