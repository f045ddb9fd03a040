"""Rung 1 trains as TensorFlow does: single steps, steps through the clamps, and a hundred on its own."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import og_leaf
from parity.checks import training
from parity.checks.training_steps import out_and_back
from parity.oracle.optimizers import project


@pytest.mark.usefixtures("tensorflow")
def test_single_steps(ledger):
    for measurement in training.teacher_forced("og_leaf"):
        ledger.check(measurement)


@pytest.mark.usefixtures("tensorflow")
def test_a_hundred_steps(ledger):
    for measurement in training.free_run("og_leaf"):
        ledger.check(measurement)


@pytest.mark.usefixtures("tensorflow")
def test_a_step_out_of_the_box_and_one_back(ledger):
    for measurement in training.through_the_clamp():
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


def stepped(layer, optimizer):
    """Mu and sigma after a step down a gradient that takes them out of the box."""
    layer._kernel.grad = torch.full_like(layer._kernel, 1e3)
    optimizer.step()
    return layer._kernel.detach().clone()


@pytest.mark.parametrize("make", [
    lambda p: torch.optim.SGD(p, 1.0), lambda p: torch.optim.SGD(p, 1.0, momentum=0.9),
    lambda p: torch.optim.Adam(p, 1e3), lambda p: torch.optim.AdamW(p, 1e3), lambda p: torch.optim.RMSprop(p, 1e3),
], ids=["SGD", "momentum", "Adam", "AdamW", "RMSprop"])  # fmt: skip
def test_any_optimizer_projects_after_its_step(make):
    model = og_leaf.Leaf(n_filters=3, sample_rate=8000)
    layer = model._complex_conv
    optimizer = make(model.parameters())
    og_leaf.project_after_step(optimizer, model)
    kernel = stepped(layer, optimizer)
    assert torch.equal(kernel, layer.constraint(torch.full_like(kernel, -1e9)))


def test_the_handle_undoes_the_call():
    layer = og_leaf.GaborConv1D(4, 51)
    optimizer = torch.optim.SGD(layer.parameters(), 1.0)
    og_leaf.project_after_step(optimizer, layer).remove()
    kernel = stepped(layer, optimizer)
    assert not torch.equal(kernel, layer.constraint(kernel))


def test_a_kernel_that_does_not_move_is_left_alone():
    layer, other = og_leaf.GaborConv1D(4, 51), torch.nn.Parameter(torch.ones(1))
    layer._kernel.data.fill_(-1.0)
    optimizer = torch.optim.SGD([layer._kernel, other], 1.0)
    og_leaf.project_after_step(optimizer, layer)
    other.grad = torch.ones(1)
    optimizer.step()
    assert torch.equal(layer._kernel, torch.full((2, 2), -1.0))
    frozen = og_leaf.GaborConv1D(4, 51, trainable=False)
    og_leaf.project_after_step(torch.optim.SGD([other], 1.0), frozen)


def test_refusals():
    layer, other = og_leaf.GaborConv1D(4, 51), torch.nn.Linear(1, 1)
    optimizer = torch.optim.SGD(other.parameters(), 1.0)
    with pytest.raises(ValueError, match="module=Linear: must contain a GaborConv1D"):
        og_leaf.project_after_step(optimizer, other)
    with pytest.raises(ValueError, match="the optimizer must hold the kernel"):
        og_leaf.project_after_step(optimizer, layer)
