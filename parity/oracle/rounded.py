"""LEAF with a rounding at every operation: how far from the oracle a faithful implementation comes to lie.

A running-error bound is a worst case: along the adjoint of a normalisation it exceeds what happens ten thousand times.
Here the oracle is run again with random roundings as large as an implementation's, whatever its order of summation,
and carried on through the same cancellations: draws of what an implementation is off.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from parity.oracle import pcen_stage, stages
from parity.oracle.arrays import Array
from parity.oracle.chain import Chain
from parity.oracle.config import LeafConfig
from parity.oracle.frontend import FLOOR, LOG_OFFSET, NORM_EPS


def rounded(
    config: LeafConfig,
    variables: Mapping[str, Array],
    x: Array,
    cotangent: Array,
    rng: np.random.Generator | None = None,
    ulp: float = 0.0,
) -> dict[str, Array]:
    """Stages from ``conv`` to ``output``, the gradient to ``input`` [B, T], and one for every trainable variable.

    Of the oracle's shapes: ``conv`` is [B, C, 2, T], ``modulus`` [B, C, T], the others [B, C, F].

    Args:
        config: what to compute.
        variables: by the original's names.
        x: audio, [B, T].
        cotangent: of the output.
        rng, ulp: of the roundings; without, they are the oracle's numbers.
    """
    c = Chain(x[:, np.newaxis], variables, rng, ulp)
    if config.preemp:
        stages.free_conv(c, "tfbanks_preemp/kernel", 1, "same")
    stages.gabor_conv(c, "kernel", config.window, 1, config.padding)
    found = {"conv": c.x.reshape(len(x), config.n_filters, 2, -1)}
    stages.activation(c, "squared_modulus")
    found["modulus"] = c.x
    stages.gaussian_pool(c, "learnable_pooling/kernel", config.window, config.stride, config.padding)
    found["pool"] = c.x
    stages.floor(c, FLOOR)
    found["floor"] = c.x
    if config.compression == "log":
        stages.log(c, LOG_OFFSET)
    elif config.compression != "none":
        pcen_stage.pcen(c, "PCEN/", config.pcen_floor, config.compression == "pcen")
        found["pcen"] = c.x
    if config.mean_var_norm:
        stages.normalisation(c, "tfbanks_instancenorm/gamma", "tfbanks_instancenorm/beta", NORM_EPS, axis=2)
    found["output"] = c.x
    found["input"] = c.back(cotangent)[:, 0]
    return {**found, **c.gradients}
