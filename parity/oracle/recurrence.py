"""The smoother's running error frame by frame, whichever way an implementation walks."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from parity.oracle.arrays import Array
from parity.oracle.running import Running


def smoothed(x: Running, gain_in: Running, gain_back: Running) -> Running:
    """The smoother, frame by frame; counts the roundings of ``a x + b m`` and of ``m + a (x - m)``."""
    u, tiny = x.precision.u, x.precision.tiny
    lost = ~np.isfinite(x.error)  # nothing is promised of such a frame, nor of those behind it
    x = Running(x.value, np.where(lost, 0.0, x.error), x.precision)
    a, b = gain_in.size, np.abs(gain_back.value)
    b_error = gain_back.error
    value, error = np.empty(x.value.shape), np.empty(x.value.shape)
    state, state_error = x.value[..., 0], x.error[..., 0]
    fresh = np.abs(gain_in.value)[..., np.newaxis] * x.error + (gain_in.error[..., np.newaxis]) * x.size
    fresh = fresh + 3 * u * a[..., np.newaxis] * x.size + 3 * tiny  # two products and their sum
    kept = b_error + 3 * u * (a + b + b_error)
    for t in range(x.value.shape[-1]):
        state_error = fresh[..., t] + b * state_error + kept * (np.abs(state) + state_error)
        state = gain_in.value * x.value[..., t] + gain_back.value * state
        value[..., t], error[..., t] = state, state_error
    return Running(value, np.where(np.logical_or.accumulate(lost, axis=-1), np.inf, error), x.precision)


def either(
    loop: Running, by_scan: Callable[[Running, Array, Running], Running], x: Running, s: Array, initial: Running
) -> Running:
    """A moving average frame by frame, or by pairs of frames: the larger error of the two.

    The one-operation bound, which is no worst case, stays the loop's.
    """
    promised = np.isfinite(x.error)
    if np.isfinite(x.precision.longest) or not promised.all() or not np.all((s > -1) & (s < 2)):
        return loop
    return Running(loop.value, np.maximum(loop.error, by_scan(x, s, initial).error), x.precision)
