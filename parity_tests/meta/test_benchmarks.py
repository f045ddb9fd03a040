"""Benchmarks time the front end's own steps, and count all bytes that are alive."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmarks.breakdown import steps
from benchmarks.frontends import SETTINGS
from benchmarks.memory import Peak
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


def test_counts_what_is_alive_at_once():
    with Peak() as peak:
        a = torch.zeros(100)
        b = a + 1
        del a
        c = b + 1
        del b, c
    assert (peak.most, peak.now) == (800, 0)


def test_views_and_what_was_there_before_cost_nothing():
    a = torch.zeros(100)
    with Peak() as peak:
        a[10:].add_(1)
    assert peak.most == 0


def test_sees_what_backward_makes():
    x = torch.ones(100, requires_grad=True)
    with Peak() as peak:
        (x * x).sum().backward()
    assert peak.most >= 2 * 400
