"""``project_after_step``: any optimiser of PyTorch ends its step as Keras does, within the limits."""

from __future__ import annotations

import pytest
import torch

import og_leaf


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
