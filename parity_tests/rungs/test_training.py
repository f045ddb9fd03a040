"""Every rung takes the steps that mathematics says, and trains as the rung below: single steps, and a hundred."""

from __future__ import annotations

import numpy as np
import pytest

from parity.checks import training
from parity.checks.training_steps import out_and_back
from parity.oracle.optimizers import project
from parity_tests.helpers.rungs import STEPS, one

PROJECTED = STEPS[:1]


@pytest.mark.parametrize("rung", [one("tf_leaf"), *STEPS])
def test_single_steps(rung, ledger):
    for measurement in training.teacher_forced(rung):
        ledger.check(measurement)


@pytest.mark.parametrize("rung", STEPS)
def test_a_hundred_steps(rung, ledger):
    for measurement in training.free_run(rung):
        ledger.check(measurement)


@pytest.mark.parametrize("rung", PROJECTED)
def test_a_step_out_of_the_box_and_one_back(rung, ledger):
    for measurement in training.through_the_clamp():
        assert measurement.rung == rung
        ledger.check(measurement)


@pytest.mark.usefixtures("tensorflow")
def test_the_steps_reach_every_limit_and_come_back_from_both_of_sigma():
    # mu has no gradient at 0 and pi, where the response of a real signal is symmetric
    out, back = out_and_back()
    limits = {(side, column) for side in (0, 1) for column in (0, 1)}
    ends = project(np.array([[-1e9, -1e9], [1e9, 1e9]]), out.box)
    reached = out.exact("kernel", projects=True)["parameter"]
    assert {(s, c) for s, c in limits if (reached[:, c] == ends[s, c]).any()} == limits
    returned = back.exact("kernel", projects=True)["parameter"][:, 1]
    inside = (returned > ends[0, 1]) & (returned < ends[1, 1])
    assert set(back.start.variables["kernel"][inside, 1]) == set(ends[:, 1].astype(np.float32))
