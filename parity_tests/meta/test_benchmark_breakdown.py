"""The steps that are timed one by one are the front end's forward, whole and in its order."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmarks.breakdown import steps
from benchmarks.frontends import SETTINGS
from efficientleaf import EfficientLeaf
from parity.criteria import Exactly

SAME = Exactly("the same operations on the same numbers")


@pytest.mark.parametrize("setting", SETTINGS)
@torch.no_grad()
def test_steps_in_a_row_are_the_forward(setting):
    frontend = EfficientLeaf(**SETTINGS[setting]).eval()
    x = torch.from_numpy(np.random.default_rng(0).uniform(-1, 1, (2, 2000)).astype(np.float32))
    found = x
    for _, step in steps(frontend):
        found = step(found)
    assert SAME(found.numpy(), frontend(x).numpy()).passes
