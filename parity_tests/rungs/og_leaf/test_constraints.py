"""Rung 1's constraints and penalties: what Keras' optimisers and losses do around the original's layers."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

import og_leaf
from og_leaf.constraints import EPSILON, UnitNorm
from parity.criteria import Exactly, OfMax, RelativeL2, status
from parity.oracle import filters, spectral

ROUNDED = OfMax(1e-6, "float32: a sum of a hundred terms, a root and a division; eight units in the last place")
SLOPE = RelativeL2(1e-6, "float32: two sums of a hundred terms, a root and a division")
KNOWN = Exactly("by hand, without a rounding")
PENALTIES = {"l1": (0.3, 0.0), "l2": (0.0, 0.7), "l1 and l2": (0.3, 0.7)}


def made(l1, l2):
    if not l2:
        return og_leaf.L1(l1)
    return og_leaf.L1L2(l1, l2) if l1 else og_leaf.L2(l2)


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def stepped(layer, optimizer, slope=1.0):
    """The kernel after a step down a gradient."""
    layer._kernel.grad = slope * normal(*layer._kernel.shape, seed=1)
    optimizer.step()
    return layer._kernel.detach().clone()


@pytest.mark.parametrize("make", [
    torch.optim.SGD, lambda p, lr: torch.optim.SGD(p, lr, momentum=0.9), torch.optim.Adam, torch.optim.AdamW,
    torch.optim.RMSprop,
], ids=["SGD", "momentum", "Adam", "AdamW", "RMSprop"])  # fmt: skip
def test_any_optimizer_ends_its_step_within_the_constraint(make):
    layer = og_leaf.NormalizedConv1D(6, 25)
    bare = copy.deepcopy(layer)
    optimizer = make([layer._kernel], 1.0)
    og_leaf.project_after_step(optimizer, layer)
    got, moved = stepped(layer, optimizer), stepped(bare, make([bare._kernel], 1.0))
    expected = filters.unit_norm(moved[:, 0].double().numpy())
    assert ROUNDED(got[:, 0].numpy(), expected).passes
    assert not ROUNDED(moved[:, 0].numpy(), expected).passes
    # down a gradient that takes mu and sigma out of the box, all of them beyond their lower limits
    model = og_leaf.Leaf(n_filters=3, sample_rate=8000)
    gabor, optimizer = model._complex_conv, make(model.parameters(), 1e3)
    og_leaf.project_after_step(optimizer, model)
    gabor._kernel.grad = torch.full_like(gabor._kernel, 1e3)
    optimizer.step()
    assert torch.equal(gabor._kernel, gabor.constraint(torch.full_like(gabor._kernel, -1e9)))


def test_every_constrained_kernel_of_a_module_is_projected_until_the_handle_is_removed():
    layers = og_leaf.GaborConv1D(4, 51), og_leaf.NormalizedConv1D(4, 51)
    model = torch.nn.Sequential(*layers)
    optimizer = torch.optim.SGD(model.parameters(), 1e3)
    handle = og_leaf.project_after_step(optimizer, model)
    for is_projected in (True, False):
        for layer in layers:
            got = stepped(layer, optimizer)
            assert ROUNDED(layer.constraint(got).numpy(), got.numpy()).passes is is_projected
        handle.remove()


@pytest.mark.parametrize("conv1d_cls", [og_leaf.GaborConv1D, og_leaf.NormalizedConv1D])
def test_a_frontends_kernel_is_projected(conv1d_cls):
    model = og_leaf.Leaf(n_filters=3, sample_rate=4000, conv1d_cls=conv1d_cls)
    optimizer = torch.optim.SGD(model.parameters(), 1e3)
    og_leaf.project_after_step(optimizer, model)
    got = stepped(model._complex_conv, optimizer)
    assert ROUNDED(model._complex_conv.constraint(got).numpy(), got.numpy()).passes


@pytest.mark.parametrize("cls", [og_leaf.GaborConv1D, og_leaf.NormalizedConv1D])
def test_a_kernel_that_does_not_move_is_left_alone(cls):
    layer, other = cls(4, 51), torch.nn.Parameter(torch.ones(1))
    layer._kernel.data.fill_(-1.0)
    optimizer = torch.optim.SGD([layer._kernel, other], 1.0)
    og_leaf.project_after_step(optimizer, layer)
    other.grad = torch.ones(1)
    optimizer.step()
    assert torch.equal(layer._kernel, torch.full_like(layer._kernel, -1.0))
    # one that is frozen need not be the optimizer's
    og_leaf.project_after_step(torch.optim.SGD([other], 1.0), cls(4, 51, trainable=False))


@pytest.mark.parametrize("module", [
    torch.nn.Linear(1, 1), og_leaf.SincConv1D(4, 9), og_leaf.Conv1D(4, 9), og_leaf.SincNet(n_filters=2),
])  # fmt: skip
def test_nothing_to_project_is_an_error(module):
    optimizer = torch.optim.SGD(module.parameters(), 1.0)
    name = type(module).__name__
    with pytest.raises(ValueError, match=f"module={name}: must contain a GaborConv1D or a NormalizedConv1D"):
        og_leaf.project_after_step(optimizer, module)


@pytest.mark.parametrize("cls", [og_leaf.GaborConv1D, og_leaf.NormalizedConv1D])
def test_a_kernel_that_the_optimizer_lacks_is_an_error(cls):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], 1.0)
    with pytest.raises(ValueError, match=f"must hold the kernel of its {cls.__name__}"):
        og_leaf.project_after_step(optimizer, cls(4, 9))


def test_unit_norm_and_its_gradient_are_the_oracles():
    h, d = normal(4, 1, 101).requires_grad_(), normal(4, 1, 101, seed=2)
    out = UnitNorm()(h)
    (slope,) = torch.autograd.grad(out, h, d)
    taps, seeds = (a.detach()[:, 0].double().numpy() for a in (h, d))
    assert ROUNDED(out.detach()[:, 0].numpy(), filters.unit_norm(taps)).passes
    assert SLOPE(slope[:, 0].numpy(), filters.unit_norm_adjoint(taps, seeds)).passes


@pytest.mark.usefixtures("tensorflow")
@pytest.mark.parametrize("scale", [1.0, 1e-7, 0.0])
def test_unit_norm_is_keras(scale):
    import tensorflow as tf

    from tf_leaf.convolution import NormalizedConv1D

    h, d = scale * normal(4, 1, 25), normal(4, 1, 25, seed=2)
    theirs = NormalizedConv1D(4, 25, name="conv")._kernel.constraint
    kernel = tf.constant(h.permute(2, 1, 0).numpy())
    with tf.GradientTape() as tape:
        tape.watch(kernel)
        out = tf.convert_to_tensor(theirs(kernel))
    expected = tape.gradient(out, kernel, tf.constant(d.permute(2, 1, 0).numpy())).numpy()
    leaf = h.requires_grad_()
    ours = UnitNorm()(leaf)
    (slope,) = torch.autograd.grad(ours, leaf, d)
    assert status(slope.permute(2, 1, 0).numpy(), expected).passes
    assert ROUNDED(ours.detach().permute(2, 1, 0).numpy(), out.numpy()).passes
    assert SLOPE(slope.permute(2, 1, 0).numpy(), expected).passes
    if not scale:
        assert SLOPE(slope.numpy(), d.numpy() / EPSILON).passes


@pytest.mark.parametrize("coefficients", PENALTIES.values(), ids=PENALTIES)
def test_penalty_and_its_gradient_are_the_oracles(coefficients):
    w = normal(4, 1, 25)
    w[0] = 0.0
    w.requires_grad_()
    penalty = made(*coefficients)(w)
    penalty.backward()
    values = w.detach().double().numpy()
    assert penalty.shape == ()
    assert ROUNDED(penalty.detach().numpy(), filters.penalty(values, *coefficients)).passes
    assert SLOPE(w.grad.numpy(), filters.penalty_adjoint(values, *coefficients)).passes
    assert KNOWN(w.grad[0].numpy(), np.zeros((1, 25))).passes


@pytest.mark.usefixtures("tensorflow")
@pytest.mark.parametrize("coefficients", PENALTIES.values(), ids=PENALTIES)
def test_penalty_is_keras(coefficients):
    import keras

    l1, l2 = coefficients
    theirs = keras.regularizers.L1L2(l1, l2) if l1 and l2 else keras.regularizers.L1(l1) if l1 else None
    theirs = theirs or keras.regularizers.L2(l2)
    w = normal(5, 7)
    assert ROUNDED(made(l1, l2)(w).numpy(), np.asarray(theirs(w.numpy()))).passes


def test_defaults_and_refusals_of_penalties():
    assert KNOWN([og_leaf.L1().l1, og_leaf.L2().l2], [0.01, 0.01]).passes
    assert (og_leaf.L1L2().l1, og_leaf.L1L2().l2) == (0, 0)
    assert KNOWN(og_leaf.L1L2()(normal(3)).numpy(), 0.0).passes
    with pytest.raises(TypeError, match="l1='much': must be a finite number"):
        og_leaf.L1("much")
    with pytest.raises(ValueError, match="l2=nan: must be a finite number"):
        og_leaf.L2(float("nan"))
    for made_with in (og_leaf.Leaf, og_leaf.SincNet):
        with pytest.raises(TypeError, match=r"regularizer_fn=0\.1: must be a callable"):
            made_with(n_filters=2, regularizer_fn=0.1)


def frontend(**settings):
    return og_leaf.Leaf(n_filters=2, sample_rate=4000, **{"regularizer_fn": og_leaf.L1L2(0.3, 0.7), **settings})


@pytest.mark.parametrize(("settings", "counted"), [
    ({}, ["_complex_conv._kernel", "_pooling.kernel"]),
    ({"preemp": True}, ["_preemp_conv.weight", "_complex_conv._kernel", "_pooling.kernel"]),
    ({"preemp": True, "learn_filters": False}, ["_pooling.kernel"]),
    ({"learn_pooling": False}, ["_complex_conv._kernel"]),
    ({"pooling_cls": og_leaf.MaxPooling1D}, ["_complex_conv._kernel"]),
    ({"learn_filters": False, "learn_pooling": False}, []),
    ({"regularizer_fn": None, "preemp": True}, []),
])  # fmt: skip
def test_a_frontends_loss_is_the_sum_over_what_it_learns(settings, counted):
    model = frontend(**settings)
    held = model.state_dict()
    expected = sum(float(filters.penalty(held[name].double().numpy(), 0.3, 0.7)) for name in counted)
    loss = model.regularization_loss()
    assert loss.shape == ()
    assert ROUNDED(loss.detach().numpy(), np.float64(expected)).passes
    if counted:
        loss.backward()
        assert sorted(n for n, p in model.named_parameters() if p.grad is not None) == sorted(counted)
    assert model.double().regularization_loss().dtype == torch.float64


def test_any_callable_is_a_penalty():
    model = frontend(regularizer_fn=lambda w: (w**4).sum())
    held = model.state_dict()
    fourth = sum(float((held[n].double() ** 4).sum()) for n in ("_complex_conv._kernel", "_pooling.kernel"))
    assert ROUNDED(model.regularization_loss().detach().numpy(), np.float64(fourth)).passes


def test_the_filters_spectra_are_penalised_once_there_was_an_input():
    layer = og_leaf.FFTConv1D(4, 25, kernel_regularizer=og_leaf.L1L2(0.3, 0.7))
    taps = layer.weight.detach()[:, 0].double().numpy()
    plain = filters.penalty(taps, 0.3, 0.7)
    assert ROUNDED(layer.regularization_loss().detach().numpy(), plain).passes
    for n_samples in (100, 20):
        layer(torch.zeros(1, 1, n_samples))
        whole = plain + 0.3 * spectral.spectrum_l1(taps, spectral.upper_power_of_2(n_samples))
        assert ROUNDED(layer.regularization_loss().detach().numpy(), whole).passes
    copy.deepcopy(layer)  # nothing of the last graph is kept
    layer.regularization_loss().backward()
    assert layer.weight.grad is not None


def test_a_penalty_without_an_l1_is_refused_where_spectra_are_penalised():
    with pytest.raises(TypeError, match=r"kernel_regularizer=.*: must have an l1"):
        og_leaf.FFTConv1D(4, 25, kernel_regularizer=og_leaf.L2(0.1))
