"""A test of several rungs is written once: it is drawn over their names, and ``-m og_leaf`` selects one rung's."""

from __future__ import annotations

from typing import Any

import pytest

RUNGS = ("tf_leaf", "og_leaf", "leaf", "efficientleaf")


def one(rung: str, *values: Any, id: str = "", tensorflow: bool = False) -> Any:
    """The parameters of one rung's test: ``values``, or its name where there are none.

    Args:
        rung: its mark is on the test.
        values: parameters.
        id: of the parameters; the rung's name if empty.
        tensorflow: whether the test runs TensorFlow though the rung does not.
    """
    marks = [getattr(pytest.mark, rung)]
    if tensorflow or rung == "tf_leaf":
        marks.append(pytest.mark.tensorflow)
    return pytest.param(*(values or (rung,)), id=id or rung, marks=marks)


EVERY = [one(rung) for rung in RUNGS]
STEPS = [one("og_leaf", tensorflow=True), one("leaf"), one("efficientleaf")]
