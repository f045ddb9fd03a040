"""Where rung 1 is not rung 0: each difference exists, with its declared size."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import og_leaf
from parity_tests.divergent import diverges

pytestmark = pytest.mark.usefixtures("tensorflow")


def test_projection_after_step(ledger):
    import keras
    import tensorflow as tf

    import tf_leaf

    start = np.float32([[1.0, 10.0], [2.0, 20.0]])
    step = np.float32([[2.0, 9.5], [-2.0, -200.0]])  # out of every limit: mu -1 and 4, sigma 0.5 and 220
    layers = [module.GaborConv1D(4, 51) for module in (tf_leaf, og_leaf)]
    layers[0]._kernel.assign(start)
    keras.optimizers.SGD(1.0).apply_gradients([(tf.constant(step), layers[0]._kernel)])
    kernel = layers[1]._kernel
    kernel.data.copy_(torch.from_numpy(start))
    kernel.grad = torch.from_numpy(step)
    torch.optim.SGD([kernel], 1.0).step()

    projected = layers[1].constraint(kernel).detach().numpy()
    assert np.array_equal(layers[0]._kernel.numpy(), projected)
    share = np.mean(kernel.detach().numpy() != projected)
    diverges(ledger, "projection-after-step", share, tap="kernel", case="2 filters", property="training step")
