"""A test of several rungs is written once: it is drawn over their names, and ``-m og_leaf`` selects one rung's."""

from __future__ import annotations

from typing import Any

import pytest

RUNGS = ("tf_leaf", "og_leaf", "leaf", "efficientleaf")


def one(step: str, *values: Any, id: str = "", tensorflow: bool = False) -> Any:
    """Make the parameters of one rung's test: the step, then ``values``.

    Args:
        step: a rung, or one and what is special, ``leaf-centered``; the mark on the test is the rung.
        values: further parameters.
        id: of the parameters; the step if empty.
        tensorflow: whether the test runs TensorFlow though the rung does not.
    """
    rung = step.partition("-")[0]
    marks = [getattr(pytest.mark, rung)]
    if tensorflow or rung == "tf_leaf":
        marks.append(pytest.mark.tensorflow)
    return pytest.param(step, *values, id=id or step, marks=marks)


EVERY = [one(rung) for rung in RUNGS]
STEPS = [one("og_leaf", tensorflow=True), one("leaf"), one("efficientleaf")]
