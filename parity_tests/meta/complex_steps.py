"""Gradients against complex steps: the derivative of an analytic function, without a difference that cancels."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from parity.criteria import OfMax

STEP = 1e-30
COMPLEX_STEP = OfMax(1e-11, "float64 sums over a thousand samples, and the cancellation of the drawn cotangent")


def check_complex_steps(
    output: Callable[[dict[str, np.ndarray]], np.ndarray],
    at: Mapping[str, np.ndarray],
    gradients: Mapping[str, np.ndarray],
    cotangent: np.ndarray,
    least: float = 0.0,
) -> None:
    """Hold each gradient of ``sum(cotangent * output)``, along a random direction, to a complex step.

    What cancels to nothing is judged against the terms of the sum, and ``least``.
    """
    rng = np.random.default_rng(5)
    for name, gradient in gradients.items():
        direction = rng.standard_normal(gradient.shape)
        terms = output({**at, name: at[name] + 1j * STEP * direction}).imag / STEP * cotangent
        along = np.sum(gradient * direction)
        scale = least + np.abs(terms).sum()
        verdict = COMPLEX_STEP(np.array([along, scale]), np.array([np.sum(terms), scale]))
        assert verdict.passes, f"{name}: {verdict}"
