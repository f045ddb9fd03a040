"""LEAF's stages as formulas that can be swapped for others, in float64: what a port may compute instead.

The values of a case come from the oracle; from the first stage that is swapped on they are computed anew.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from parity.adapters import canonical
from parity.checks.grid import Expected
from parity.oracle.arrays import Array, clamp, exact
from parity.oracle.compression import standardise
from parity.oracle.config import FLOOR, LOG_OFFSET, NORM_EPS
from parity.oracle.correlation import correlate, depthwise
from parity.oracle.gabor import gabor
from parity.oracle.geometry import clamped
from parity.oracle.pcen import normalise, smoother, smoother_adjoint
from parity.oracle.pooling import gaussian_window, squared_modulus
from parity.ports.port import STAGES

Values = dict[str, Array]
Formula = Callable[["Setting", Values], Array]


@dataclass(frozen=True)
class Setting:
    """One case: its configuration, weights and audio, and the stages that the oracle makes of them.

    Attributes:
        expected: of the case.
        given: stages that are taken as they are, and what follows from them.
    """

    expected: Expected
    given: Mapping[str, Array] = field(default_factory=dict)

    @cached_property
    def v(self) -> Values:
        """The weights in float64."""
        return {name: exact(value) for name, value in self.expected.variables.items()}

    @property
    def grouped(self) -> bool:
        """Tell whether filters are computed in groups, whose inner stages nobody sees."""
        return len(self.expected.oracle.geometry.groups) > 1

    @property
    def window(self) -> int:
        """Samples of a filter and of a pooling window."""
        return self.expected.config.window

    @property
    def x(self) -> Array:
        """The audio after the pre-emphasis, [B, T]."""
        x = exact(self.expected.x)
        if not self.expected.config.preemp:
            return x
        return correlate(x, self.v[canonical.PREEMP].reshape(1, 2), 1, (0, 1))[:, 0]

    @property
    def given_mu(self) -> Array:
        """Centres as they were given [C]."""
        return self.v[canonical.KERNEL][:, 0]

    @property
    def given_sigma(self) -> Array:
        """Sigmas as they were given [C]."""
        return self.v[canonical.KERNEL][:, 1]

    @property
    def given_width(self) -> Array:
        """Pooling widths as they were given [C]."""
        return self.v[canonical.POOLING].reshape(-1)

    @property
    def gamma(self) -> Array:
        """Of the instance normalisation [C, 1]."""
        return self.v[canonical.GAMMA][:, np.newaxis]

    @property
    def beta(self) -> Array:
        """Of the instance normalisation [C, 1]."""
        return self.v[canonical.BETA][:, np.newaxis]

    @cached_property
    def limited(self) -> tuple[Array, Array, Array]:
        """Centres in rad/sample, sigmas in samples and pooling widths in half windows, inside their limits [C] each."""
        box = self.expected.oracle.geometry.box
        return clamped(self.v[canonical.KERNEL], self.v[canonical.POOLING].reshape(-1), box)

    @property
    def mu(self) -> Array:
        """Centres inside their limits, rad/sample [C]."""
        return self.limited[0]

    @property
    def sigma(self) -> Array:
        """Sigmas inside their limits, samples [C]."""
        return self.limited[1]

    @property
    def width(self) -> Array:
        """Pooling widths inside their limits, in half windows [C]."""
        return self.limited[2]

    def pads(self, n: int, stride: int, n_taps: int = 0) -> tuple[int, int]:
        """The reference's padding of n samples, of windows of so many taps if they are others than its own."""
        return self.expected.oracle.geometry.pads(n, n_taps or self.window, stride)

    def compute(self, stage: str, swapped: Mapping[str, Formula]) -> Array:
        """A stage, with these formulas in the place of LEAF's own."""
        values: Values = dict(self.expected.stages)
        swapped = {**{name: as_given(y) for name, y in self.given.items()}, **swapped}
        changed = False
        for name in ORDER:
            if name in swapped:
                values[name], changed = swapped[name](self, values), True
            elif changed and name in values and name != "output":
                values[name] = OWN[name](self, values)
            if name == "output" and changed and "output" not in swapped:
                values["output"] = self.output(values)
            if name == stage:
                break
        return values[stage]

    def output(self, values: Values) -> Array:
        """The output from the stages before it."""
        return values["norm"] if self.expected.config.mean_var_norm else self.compressed(values)

    def compressed(self, values: Values) -> Array:
        """Compute what the normalisation takes."""
        kind = self.expected.config.compression
        if kind == "none":
            return values["floor"]
        return np.log(values["floor"] + LOG_OFFSET) if kind == "log" else values["pcen"]


def conv(s: Setting, values: Values, pads: tuple[int, int], x: Array | None = None) -> Array:
    """The filters over the audio, [B, C, 2, T]."""
    n_taps = values["filters"].shape[-1]
    x = s.x if x is None else x
    y = correlate(x, values["filters"].reshape(-1, n_taps), 1, pads)
    return y.reshape(x.shape[0], -1, 2, x.shape[1] + sum(pads) - n_taps + 1)


def pool(s: Setting, values: Values, pads: tuple[int, int], stride: int = 0) -> Array:
    """The windows over the energies, [B, C, F], at another stride if one is given."""
    return depthwise(values["modulus"], values["windows"], stride or s.expected.config.stride, pads)


def as_given(values: Array) -> Formula:
    """The formula that gives these values."""
    return lambda setting, stages: exact(values)


def parameters(s: Setting) -> tuple[Array, Array, Array, Array]:
    """alpha, delta, 1 / root and s, inside the original's limits."""
    delta = clamp(s.v[canonical.DELTA], low=s.expected.conventions.delta_low)
    held = s.v.get(canonical.SMOOTH, np.zeros(1))
    smooth = clamp(held, 0.0, 1.0) if s.expected.conventions.clip_smooth else held
    return clamp(s.v[canonical.ALPHA], high=1.0), delta, 1 / clamp(s.v[canonical.ROOT], low=1.0), smooth


def gains(s: Setting) -> tuple[Array, Array]:
    """Compute what the smoother multiplies the frame and its state by."""
    if s.expected.config.compression == "fixed_pcen":
        return np.diag(s.v[canonical.RNN_KERNEL]), np.diag(s.v[canonical.RNN_RECURRENT])
    smooth = parameters(s)[3]
    return smooth, 1 - smooth


def smoothed_back(s: Setting) -> Array:
    """The part of the energies' cotangent that came through the smoother, which the other part may cancel."""
    d = s.expected.cotangents.get("ema")
    return np.zeros(1) if d is None else smoother_adjoint(s.expected.stages["floor"], *gains(s), d)[0]


def pcen(s: Setting, values: Values, eps: float | None = None, **changes: Array) -> Array:
    """The gain and the root, with some of their parameters changed."""
    alpha, delta, r, _ = parameters(s)
    used = {"m": values["ema"], "alpha": alpha, "delta": delta, "r": r, **changes}
    added = s.expected.config.pcen_floor if eps is None else eps
    with np.errstate(all="ignore"):
        return normalise(values["floor"], used["m"], used["alpha"], used["delta"], used["r"], added)


def norm(s: Setting, values: Values) -> Array:
    """Instance normalisation, [B, C, F]."""
    return standardise(s.compressed(values), s.gamma, s.beta, NORM_EPS, axes=(2,))


def joined(conv: Array) -> Array:
    """The two parts of every filter one after the other, as the oracle has them: [B, C, 2, T] to [B, 2 C, T]."""
    return conv.reshape(conv.shape[0], -1, conv.shape[-1])


ORDER = (*STAGES, "output")
OWN: dict[str, Formula] = {
    "filters": lambda s, v: gabor(s.mu, s.sigma, s.window),
    "windows": lambda s, v: gaussian_window(s.width, s.window),
    "conv": lambda s, v: conv(s, v, s.pads(s.x.shape[1], 1, v["filters"].shape[-1])),
    "modulus": lambda s, v: squared_modulus(joined(v["conv"])),
    "pool": lambda s, v: pool(s, v, s.pads(v["modulus"].shape[-1], s.expected.config.stride, v["windows"].shape[-1])),
    "floor": lambda s, v: clamp(v["pool"], low=FLOOR),
    "ema": lambda s, v: smoother(v["floor"], *gains(s)),
    "pcen": pcen,
    "norm": norm,
}
