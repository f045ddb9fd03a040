"""Differences of rung 1 from rung 0: each exists, with its declared size."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import og_leaf
from parity.checks import breaking
from parity_tests.helpers.divergent import diverges

pytestmark = pytest.mark.usefixtures("tensorflow")


START = np.float32([[1.0, 10.0], [2.0, 20.0]])
GRADIENT = np.float32([[2.0, 9.5], [-2.0, -200.0]])  # out of every limit: mu -1 and 4, sigma 0.5 and 220


def keras_kernel():
    import keras
    import tensorflow as tf

    import tf_leaf

    layer = tf_leaf.GaborConv1D(4, 51)
    layer._kernel.assign(START)
    keras.optimizers.SGD(1.0).apply_gradients([(tf.constant(GRADIENT), layer._kernel)])
    return layer._kernel.numpy()


def torch_kernel(project):
    layer = og_leaf.GaborConv1D(4, 51)
    layer._kernel.data.copy_(torch.from_numpy(START))
    optimizer = torch.optim.SGD([layer._kernel], 1.0)
    if project:
        og_leaf.project_after_step(optimizer, layer)
    layer._kernel.grad = torch.from_numpy(GRADIENT)
    optimizer.step()
    return layer, layer._kernel.detach().numpy()


def test_projection_after_step(ledger):
    layer, kernel = torch_kernel(project=False)
    projected = layer.constraint(layer._kernel).detach().numpy()
    assert np.array_equal(keras_kernel(), projected)
    share = np.mean(kernel != projected)
    diverges(ledger, "projection-after-step", share, stage="kernel", case="2 filters", property="training step")


def test_projection_after_step_ends_with_the_documented_call():
    assert np.array_equal(torch_kernel(project=True)[1], keras_kernel())


def test_og_delta_through_zero(ledger):
    delta, outcome = breaking.through_zero(breaking.layer("og_leaf"))
    assert delta < 0  # the last that was a number
    assert set(outcome.broken) == {"output", "input", "alpha", "delta", "root", "smooth"}
    diverges(ledger, "og-delta-through-zero", outcome.nan, stage="pcen", case="one band, 16 frames", property="status")


def test_og_delta_gradient(ledger):
    gradient = breaking.at_delta("og_leaf", 1e-12)
    assert np.isneginf(breaking.at_delta("og_leaf", 0.0))
    diverges(ledger, "og-delta-gradient", -gradient, stage="pcen", case="one frame of 1", property="parameter gradient")


def test_og_silence_without_floor(ledger):
    outcome = breaking.over_silence("og_leaf", floor=0.0)
    assert not breaking.over_silence("og_leaf", floor=1e-12).broken
    assert set(outcome.broken) == {"output", "input", "alpha", "delta", "root", "smooth"}
    diverges(ledger, "og-silence-without-floor", outcome.nan, stage="pcen", case="8 frames of 0", property="status")


def test_short_transform_gradient(ledger):
    import tensorflow as tf

    import tf_leaf

    x, stages = np.ones((1, 9, 1), np.float32), np.ones((25, 1, 1), np.float32)
    with tf.GradientTape() as tape:
        filters = tf.Variable(stages)
        y, _ = tf_leaf.fft_conv1d(tf.constant(x), filters)
    with pytest.raises(tf.errors.InvalidArgumentError):
        tape.gradient(y, filters)
    filters = torch.tensor(stages.T.copy(), requires_grad=True)
    y, _ = og_leaf.fft_conv1d(torch.tensor(x.transpose(0, 2, 1)), filters)
    given = torch.autograd.grad(y.sum(), [filters])
    diverges(ledger, "short-transform-gradient", len(given), stage="conv", case="9 samples, 25 taps", property="status")


def test_gradient_of_a_power_of_a_negative(ledger):
    import tensorflow as tf

    import tf_leaf

    theirs = tf_leaf.PCENLayer(root=1.0, trainable=True)
    x = np.full((1, 3, 1), 0.1, np.float32)
    theirs.build(x.shape)
    theirs.delta.assign([-2.0])
    with tf.GradientTape() as tape:
        y = theirs(x)
    assert np.isfinite(y).all()
    assert np.isfinite(tape.gradient(y, theirs.root.value)).all()
    ours = og_leaf.PCENLayer(1, root=1.0, trainable=True)
    with torch.no_grad():
        ours.delta.fill_(-2.0)
    output = ours(torch.from_numpy(x.transpose(0, 2, 1)))
    assert torch.isfinite(output).all()
    (gradient,) = torch.autograd.grad(output, ours.root, torch.ones_like(output))
    n = int(gradient.isnan().sum())
    case = "one band, three frames of 0.1"
    diverges(ledger, "gradient-of-a-power-of-a-negative", n, stage="pcen", case=case, property="parameter gradient")


def test_maximum_beside_nan(ledger):
    import tf_leaf

    x = np.array([1, 1, np.nan, 0, 2, 2, 2, 1], np.float32)
    theirs = tf_leaf.MaxPooling1D(3, 2)(x[None, :, None]).numpy().ravel()
    ours = og_leaf.MaxPooling1D(1, 3, 2)(torch.from_numpy(x)[None, None]).numpy().ravel()
    n = int(np.sum(np.isnan(ours) & ~np.isnan(theirs)))
    diverges(ledger, "maximum-beside-nan", n, stage="pool", case="8 samples, windows of 3, hop 2", property="status")


def test_spec_augment_draws(ledger):
    import tensorflow as tf

    from tf_leaf.spectrum_augmenter import SpectrumAugmenter

    own = {"freq_mask_count": 2, "time_mask_count": 2, "time_warp_max_frames": 8, "time_warp_max_ratio": 1.0}
    ours = og_leaf.spectrum_augmenter.SpectrumAugmenter(**own)
    mine = ours.draw(1000, 100, 40, torch.Generator().manual_seed(3))
    theirs = SpectrumAugmenter(**own).draw(1000, 100, 40, tf.random.Generator.from_seed(3))
    differ = [(mine[name] != theirs[name]).reshape(1000, -1).any(axis=1) for name in mine]
    share = np.any(differ, axis=0).mean()
    diverges(
        ledger, "spec-augment-draws", share, stage="output", case="1000 items of 100 frames and 40 channels, seed 3"
    )


def test_spec_augment_evaluation(ledger):
    import tensorflow as tf

    import tf_leaf

    x = np.random.default_rng(0).uniform(1, 2, (4, 5, 60)).astype(np.float32)
    kept = (og_leaf.SpecAugment().eval()(torch.from_numpy(x)).numpy() == x).mean()
    assert (tf_leaf.SpecAugment()(tf.constant(x.transpose(0, 2, 1))).numpy().transpose(0, 2, 1) != x).any()
    diverges(ledger, "spec-augment-evaluation", kept, stage="output", case="4 clips of 60 frames and 5 channels")


def test_gaussian_tail(ledger):
    import tensorflow as tf

    import tf_leaf

    theirs = tf_leaf.gaussian_lowpass(tf.fill([1, 1, 1, 1], 0.08), 401).numpy().ravel()
    ours = og_leaf.gaussian_lowpass(torch.full((1, 1, 1, 1), 0.08), 401).numpy().ravel()
    lost = theirs[(ours == 0) & (theirs != 0)]
    diverges(ledger, "gaussian-tail", lost.max(), stage="windows", case="width 0.08, 401 taps", property="status")
