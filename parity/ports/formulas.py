"""LEAF's stages as formulas that can be swapped for others, in float64: what a port may compute instead.

The values of a case come from the oracle; from the first stage that is swapped on they are computed anew.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from parity.adapters import canonical
from parity.checks.expected import Arrays, Expected
from parity.oracle.arrays import Array, clamp_adjoint, exact
from parity.oracle.convolution import correlate, depthwise, depthwise_adjoint, same_pads
from parity.oracle.frontend import FLOOR, LOG_OFFSET, NORM_EPS
from parity.oracle.norm import standardise, standardise_adjoint
from parity.oracle.pcen import normalise, normalise_adjoint, smoother, smoother_adjoint

Z = float(np.sqrt(2 * np.log(2)) / np.pi)
Values = dict[str, Array]
Formula = Callable[["Setting", Values], Array]


@dataclass(frozen=True)
class Setting:
    """One case: its configuration, weights and audio, and the stages that the oracle makes of them.

    Attributes:
        expected: of the case.
    """

    expected: Expected

    @cached_property
    def v(self) -> Values:
        """The weights in float64."""
        return {name: exact(value) for name, value in self.expected.variables.items()}

    @property
    def grouped(self) -> bool:
        """Whether filters are computed in groups, whose inner stages nobody sees."""
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
    def half(self) -> float:
        """Half of a window, whose middle this is."""
        return (self.window - 1) / 2

    @property
    def given_mu(self) -> Array:
        """Centres as they were given [C, 1]."""
        return self.v[canonical.KERNEL][:, :1]

    @property
    def given_sigma(self) -> Array:
        """Sigmas as they were given [C, 1]."""
        return self.v[canonical.KERNEL][:, 1:]

    @property
    def given_width(self) -> Array:
        """Pooling widths as they were given [C, 1]."""
        return self.v[canonical.POOLING].reshape(-1, 1)

    @property
    def gamma(self) -> Array:
        """Of the instance normalisation [C, 1]."""
        return self.v[canonical.GAMMA][:, np.newaxis]

    @property
    def beta(self) -> Array:
        """Of the instance normalisation [C, 1]."""
        return self.v[canonical.BETA][:, np.newaxis]

    @property
    def mu(self) -> Array:
        """Centres inside their limits, rad/sample [C, 1]."""
        return np.clip(self.given_mu, 0.0, np.pi)

    @property
    def sigma(self) -> Array:
        """Sigmas inside their limits, samples [C, 1]."""
        box = self.expected.oracle.geometry.box
        return np.maximum(np.minimum(self.v[canonical.KERNEL][:, 1:], box.sigma_high), box.sigma_low)

    @property
    def width(self) -> Array:
        """Pooling widths inside their limits, in half windows [C, 1]."""
        box = self.expected.oracle.geometry.box
        return np.maximum(np.minimum(self.v[canonical.POOLING].reshape(-1, 1), 0.5), box.width_low)

    def pads(self, n: int, stride: int) -> tuple[int, int]:
        """The reference's padding of n samples."""
        return self.expected.oracle.geometry.pads(n, self.window, stride)

    def compute(self, stage: str, swapped: Mapping[str, Formula]) -> Array:
        """A stage, with these formulas in the place of LEAF's own."""
        values: Values = dict(self.expected.stages)
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
        kind = self.expected.config.compression
        if self.expected.config.mean_var_norm:
            return values["norm"]
        if kind == "none":
            return values["floor"]
        return np.log(values["floor"] + LOG_OFFSET) if kind == "log" else values["pcen"]

    def compressed(self, values: Values) -> Array:
        """What the normalisation takes."""
        kind = self.expected.config.compression
        if kind == "none":
            return values["floor"]
        return np.log(values["floor"] + LOG_OFFSET) if kind == "log" else values["pcen"]


def filters(s: Setting, mu: Array, sigma: Array, shift: float = 0.0) -> Array:
    """Gabor wavelets [C, 2, W] around a tap."""
    t = np.arange(-(s.window // 2), (s.window + 1) // 2) - shift
    envelope = np.exp(-(t**2) / (2 * sigma**2)) / (np.sqrt(2 * np.pi) * sigma)
    return np.stack([envelope * np.cos(mu * t), envelope * np.sin(mu * t)], axis=1)


def windows(s: Setting, width: Array, centre: float, half: float) -> Array:
    """Gaussians [C, K] around a tap."""
    t = np.arange(s.window) - centre
    return np.asarray(np.exp(-0.5 * (t / (width * half)) ** 2))


def conv(s: Setting, values: Values, pads: tuple[int, int], x: Array | None = None) -> Array:
    """The filters over the audio, [B, C, 2, T]."""
    kernels = values["filters"].reshape(-1, s.window)
    x = s.x if x is None else x
    return correlate(x, kernels, 1, pads).reshape(x.shape[0], -1, 2, x.shape[1] + sum(pads) - s.window + 1)


def pool(s: Setting, values: Values, pads: tuple[int, int]) -> Array:
    """The windows over the energies, [B, C, F]."""
    return depthwise(values["modulus"], values["windows"], s.expected.config.stride, pads)


def parameters(s: Setting) -> tuple[Array, Array, Array, Array]:
    """alpha, delta, 1 / root and s, inside the original's limits."""
    low = s.expected.conventions.delta_low
    delta = s.v[canonical.DELTA] if low is None else np.maximum(s.v[canonical.DELTA], low)
    held = s.v.get(canonical.SMOOTH, np.zeros(1))
    smooth = np.clip(held, 0, 1) if s.expected.conventions.clip_smooth else held
    return np.minimum(s.v[canonical.ALPHA], 1), delta, 1 / np.maximum(s.v[canonical.ROOT], 1), smooth


def gains(s: Setting) -> tuple[Array, Array]:
    """What the smoother multiplies the frame and its state by."""
    if s.expected.config.compression == "fixed_pcen":
        return np.diag(s.v[canonical.RNN_KERNEL]), np.diag(s.v[canonical.RNN_RECURRENT])
    smooth = parameters(s)[3]
    return smooth, 1 - smooth


def pcen(s: Setting, values: Values, eps: float | None = None, **changes: Array) -> Array:
    """The gain and the root, with some of their parameters changed."""
    alpha, delta, r, _ = parameters(s)
    used = {"m": values["ema"], "alpha": alpha, "delta": delta, "r": r, **changes}
    added = s.expected.config.pcen_floor if eps is None else eps
    with np.errstate(all="ignore"):
        return normalise(values["floor"], used["m"], used["alpha"], used["delta"], used["r"], added)


def norm(s: Setting, values: Values) -> Array:
    """Instance normalisation, [B, C, F]."""
    gamma, beta = s.gamma, s.beta
    return standardise(s.compressed(values), gamma, beta, NORM_EPS, axes=(2,))


ORDER = ("filters", "windows", "conv", "modulus", "pool", "floor", "ema", "pcen", "norm", "output")
OWN: dict[str, Formula] = {
    "filters": lambda s, v: filters(s, s.mu, s.sigma),
    "windows": lambda s, v: windows(s, s.width, s.half, s.half),
    "conv": lambda s, v: conv(s, v, s.pads(s.x.shape[1], 1)),
    "modulus": lambda s, v: v["conv"][:, :, 0] ** 2 + v["conv"][:, :, 1] ** 2,
    "pool": lambda s, v: pool(s, v, s.pads(v["modulus"].shape[-1], s.expected.config.stride)),
    "floor": lambda s, v: np.maximum(v["pool"], FLOOR),
    "ema": lambda s, v: smoother(v["floor"], *gains(s)),
    "pcen": pcen,
    "norm": norm,
}


def cotangents(expected: Expected) -> Arrays:
    """The oracle's cotangent of every stage, for the cotangent of the output."""
    s, d = Setting(expected), exact(expected.cotangent)
    stages, config, out = expected.stages, expected.config, {"output": exact(expected.cotangent)}
    if config.mean_var_norm:
        out["norm"] = d
        d, *_ = standardise_adjoint(s.compressed(dict(stages)), s.gamma, NORM_EPS, (2,), d)
    floor = stages["floor"]
    if config.compression == "log":
        d = d / (floor + LOG_OFFSET)
    elif config.compression != "none":
        out["pcen"] = d
        alpha, delta, r, _ = parameters(s)
        d, d_m, *_ = normalise_adjoint(floor, stages["ema"], alpha, delta, r, config.pcen_floor, d)
        out["ema"] = d_m
        d = d + smoother_adjoint(floor, *gains(s), d_m)[0]
    out["floor"] = d
    out["pool"] = clamp_adjoint(stages["pool"], d, low=FLOOR)
    if not s.grouped:
        pads = s.pads(stages["modulus"].shape[-1], config.stride)
        out["modulus"], _ = depthwise_adjoint(stages["modulus"], stages["windows"], config.stride, pads, out["pool"])
        out["conv"] = 2 * stages["conv"] * out["modulus"][:, :, np.newaxis]
    return out


def _zero_start(s: Setting, values: Values) -> Array:
    x, (gain_in, gain_back) = values["floor"], gains(s)
    padded = np.concatenate([np.zeros_like(x[..., :1]), x], axis=-1)
    return smoother(padded, gain_in, gain_back)[..., 1:]


OTHER_FLOORS = ("1e-12", "1e-10", "1e-8", "1e-7", "1e-6", "1e-4", "1e-3", "0.01")


def _total(s: Setting, n: int) -> int:
    return sum(same_pads(n, s.window, s.expected.config.stride))


# Other paddings of the pooling: zeros before and after n samples.
POOL_PADS: dict[str, Callable[[Setting, int], tuple[int, int]]] = {
    "pads K // 2 zeros on both sides": lambda s, n: (s.window // 2, s.window // 2),
    "pads (K - 1) // 2 zeros before and K // 2 after": lambda s, n: ((s.window - 1) // 2, s.window // 2),
    "pads (K - 1) // 2 zeros on both sides": lambda s, n: ((s.window - 1) // 2, (s.window - 1) // 2),
    "pads the odd zero before": lambda s, n: (_total(s, n) - _total(s, n) // 2, _total(s, n) // 2),
    "pads all zeros before": lambda s, n: (_total(s, n), 0),
    "pads all zeros after": lambda s, n: (0, _total(s, n)),
    "pads nothing": lambda s, n: (0, 0),
    "pads K - 1 zeros before": lambda s, n: (s.window - 1, 0),
    "pads TensorFlow's SAME": lambda s, n: same_pads(n, s.window, s.expected.config.stride),
}


def frames_apart(label: tuple[str, str], s: Setting) -> int:
    """How many samples earlier than the reference's a frame begins by a padding of the pooling; 0 if it is none."""
    sentence, stage = label
    if stage != "pool" or sentence not in POOL_PADS:
        return 0
    n = s.x.shape[1]
    return POOL_PADS[sentence](s, n)[0] - s.pads(n, s.expected.config.stride)[0]


def _padded_pool(pads: Callable[[Setting, int], tuple[int, int]]) -> Formula:
    return lambda s, v: pool(s, v, pads(s, v["modulus"].shape[-1]))


def _reflected(s: Setting, values: Values) -> Array:
    pads = s.pads(s.x.shape[1], 1)
    return conv(s, values, (0, 0), np.pad(s.x, [(0, 0), pads], mode="reflect"))


def _unbiased(s: Setting, values: Values) -> Array:
    y = s.compressed(values)
    n = y.shape[-1]
    gamma, beta = s.gamma, s.beta
    centred = y - y.mean(axis=2, keepdims=True)
    return np.asarray(
        gamma * centred / np.sqrt((centred**2).sum(axis=2, keepdims=True) / max(n - 1, 1) + NORM_EPS) + beta
    )


def _limited(low: float) -> Formula:
    return lambda s, v: np.maximum(v["pool"], low)


def _other_eps(eps: float) -> Formula:
    return lambda s, values: pcen(s, values, eps=eps)


OTHER_MU = (("pi / 2", np.pi / 2), ("2 pi", 2 * np.pi), ("3", 3.0), ("1", 1.0))


def _mu_below(high: float) -> Formula:
    return lambda s, v: filters(s, np.clip(s.given_mu, 0.0, high), s.sigma)


def _sigma_within(low: float, times: float) -> Formula:
    return lambda s, v: filters(s, s.mu, np.clip(s.given_sigma, low, times * s.window * Z))


def _width_within(n: int, high: float) -> Formula:
    return lambda s, v: windows(s, np.clip(s.given_width, n / s.window, high), s.half, s.half)


def _shifted(taps: float) -> Formula:
    return lambda s, v: filters(s, s.mu, s.sigma, taps)


def _causal_preemp(s: Setting, values: Values) -> Array:
    a, b = s.v[canonical.PREEMP].reshape(2)
    x = exact(s.expected.x)
    before = np.pad(x, [(0, 0), (1, 0)])[:, :-1]
    return conv(s, values, s.pads(x.shape[1], 1), a * before + b * x)


# What a port may compute instead, by stage; each is the end of a sentence that begins with the stage.
OTHERS: dict[str, dict[str, Formula]] = {
    "filters": {
        "is conjugate: the imaginary parts are negated": lambda s, v: v["filters"] * [[[1.0], [-1.0]]],
        "has real and imaginary parts exchanged": lambda s, v: v["filters"][:, ::-1],
        "lies one tap later": _shifted(1.0),
        "lies one tap earlier": _shifted(-1.0),
        "lies half a tap later": _shifted(0.5),
        "lies half a tap earlier": _shifted(-0.5),
        "is not divided by sqrt(2 pi) sigma": lambda s, v: v["filters"] * (np.sqrt(2 * np.pi) * s.sigma)[:, None],
        "is divided by sigma twice": lambda s, v: v["filters"] / s.sigma[:, None],
        "has norm 1": lambda s, v: v["filters"] / np.sqrt((v["filters"] ** 2).sum(axis=(1, 2), keepdims=True)),
        "has an envelope of exp(-t^2 / sigma^2), without the 2": lambda s, v: (
            filters(s, s.mu, s.sigma / 2**0.5) / 2**0.5
        ),
        "does not limit mu to [0, pi]": lambda s, v: filters(s, s.given_mu, s.sigma),
        "does not limit sigma": lambda s, v: filters(s, s.mu, s.given_sigma),
        "limits neither mu nor sigma": lambda s, v: filters(s, s.given_mu, s.given_sigma),
        "limits sigma below at half of LEAF's": lambda s, v: filters(
            s, s.mu, np.clip(s.given_sigma, 2 * Z, s.window * Z)
        ),
        "limits sigma above at half of LEAF's": lambda s, v: filters(
            s, s.mu, np.clip(s.given_sigma, 4 * Z, s.window * Z / 2)
        ),
        "does not limit sigma from above": lambda s, v: filters(s, s.mu, np.maximum(s.given_sigma, 4 * Z)),
        "does not limit sigma from below": lambda s, v: filters(s, s.mu, np.minimum(s.given_sigma, s.window * Z)),
        **{f"limits mu above at {text}, not at pi": _mu_below(high) for text, high in OTHER_MU},
        "limits sigma above at twice of LEAF's": _sigma_within(4 * Z, 2.0),
        **{
            f"limits sigma below at {n} sqrt(2 log 2) / pi, where it is 4": _sigma_within(n * Z, 1.0)
            for n in (1, 3, 5, 6, 8)
        },
        "is in the order of rising mu": lambda s, v: v["filters"][np.argsort(s.mu[:, 0], kind="stable")],
    },
    "windows": {
        "is centred on K / 2 and K / 2 wide, where (K - 1) / 2 is meant": lambda s, v: windows(
            s, s.width, s.window / 2, s.window / 2
        ),
        "is centred on K / 2, where (K - 1) / 2 is meant": lambda s, v: windows(s, s.width, s.window / 2, s.half),
        "is centred on K // 2, where (K - 1) / 2 is meant": lambda s, v: windows(s, s.width, s.window // 2, s.half),
        "counts its width in K / 2, where (K - 1) / 2 is meant": lambda s, v: windows(s, s.width, s.half, s.window / 2),
        "sums to 1": lambda s, v: v["windows"] / v["windows"].sum(axis=1, keepdims=True),
        "lacks the 1 / 2 of the exponent": lambda s, v: v["windows"] ** 2,
        **{f"limits its width below at {n} / K, where it is 2": _width_within(n, 0.5) for n in (1, 3, 4)},
        **{f"limits its width above at {high}, where it is 0.5": _width_within(2, high) for high in (0.4, 0.6, 1.0)},
        "does not limit its width": lambda s, v: windows(s, s.given_width, s.half, s.half),
        "does not limit its width from above": lambda s, v: windows(
            s, np.maximum(s.given_width, 2 / s.window), s.half, s.half
        ),
        "does not limit its width from below": lambda s, v: windows(s, np.minimum(s.given_width, 0.5), s.half, s.half),
    },
    "conv": {
        "pads W // 2 zeros on both sides": lambda s, v: conv(s, v, (s.window // 2, s.window // 2)),
        "pads W // 2 zeros before and (W - 1) // 2 after": lambda s, v: conv(
            s, v, (s.window // 2, (s.window - 1) // 2)
        ),
        "pads all zeros before": lambda s, v: conv(s, v, (s.window - 1, 0)),
        "pads all zeros after": lambda s, v: conv(s, v, (0, s.window - 1)),
        "pads nothing": lambda s, v: conv(s, v, (0, 0)),
        "pads by reflection": _reflected,
        "is conjugate: the imaginary parts are negated": lambda s, v: v["conv"] * [[1.0], [-1.0]],
        "has real and imaginary parts exchanged": lambda s, v: v["conv"][:, :, ::-1],
        "ignores the pre-emphasis": lambda s, v: conv(s, v, s.pads(s.x.shape[1], 1), exact(s.expected.x)),
        "has a pre-emphasis of the sample before, where the original takes the one after": _causal_preemp,
    },
    "modulus": {
        "is the modulus, not its square": lambda s, v: np.sqrt(v["modulus"]),
        "is the sum of magnitudes, not of squares": lambda s, v: np.abs(v["conv"]).sum(axis=2),
        "has real parts alone": lambda s, v: v["conv"][:, :, 0] ** 2,
        "has imaginary parts alone": lambda s, v: v["conv"][:, :, 1] ** 2,
    },
    "pool": {sentence: _padded_pool(pads) for sentence, pads in POOL_PADS.items()},
    "floor": {
        "adds 1e-5, where the larger of the two is meant": lambda s, v: v["pool"] + FLOOR,
        "has no lower limit of 1e-5": lambda s, v: v["pool"],
        **{f"has a lower limit of {low}, not of 1e-5": _limited(float(low)) for low in OTHER_FLOORS},
    },
    "ema": {
        "starts from 0, not from the first frame": _zero_start,
        "exchanges s and 1 - s": lambda s, v: smoother(v["floor"], *gains(s)[::-1]),
        "does not limit s to [0, 1]": lambda s, v: smoother(
            v["floor"], s.v[canonical.SMOOTH], 1 - s.v[canonical.SMOOTH]
        ),
        "is one frame behind": lambda s, v: np.concatenate([v["ema"][..., :1], v["ema"][..., :-1]], axis=-1),
        "is not smoothed": lambda s, v: v["floor"],
        "runs from the last frame to the first": lambda s, v: smoother(v["floor"][..., ::-1], *gains(s))[..., ::-1],
        "starts from the mean of all frames": lambda s, v: smoother(
            np.concatenate([v["floor"].mean(-1, keepdims=True), v["floor"]], -1), *gains(s)
        )[..., 1:],
        "takes the energies without their lower limit": lambda s, v: smoother(v["pool"], *gains(s)),
    },
    "pcen": {
        "does not subtract delta^(1 / root)": lambda s, v: (
            v["pcen"] + parameters(s)[1][:, None] ** parameters(s)[2][:, None]
        ),
        "raises to the root, not to 1 / root": lambda s, v: pcen(s, v, r=1 / parameters(s)[2]),
        "does not limit alpha at 1": lambda s, v: pcen(s, v, alpha=s.v[canonical.ALPHA]),
        "does not limit the root at 1": lambda s, v: pcen(s, v, r=1 / s.v[canonical.ROOT]),
        "limits neither alpha nor the root": lambda s, v: pcen(
            s, v, alpha=s.v[canonical.ALPHA], r=1 / s.v[canonical.ROOT]
        ),
        "limits delta at 0": lambda s, v: pcen(s, v, delta=np.maximum(s.v[canonical.DELTA], 0)),
        "limits delta at 1": lambda s, v: pcen(s, v, delta=np.maximum(s.v[canonical.DELTA], 1)),
        "divides by the energies, not by the smoothed": lambda s, v: pcen(s, v, m=v["floor"]),
        "takes alpha for 1": lambda s, v: pcen(s, v, alpha=np.ones_like(s.v[canonical.ALPHA])),
        "adds 1e-6 to the smoother, whatever was asked": _other_eps(1e-6),
        "adds 1e-12 to the smoother, whatever was asked": _other_eps(1e-12),
        "adds 1e-5 to the smoother, whatever was asked": _other_eps(1e-5),
        "adds 1e-8 to the smoother, whatever was asked": _other_eps(1e-8),
        "adds nothing to the smoother": _other_eps(0.0),
        "subtracts delta, not delta^(1 / root)": lambda s, v: (
            v["pcen"] + (parameters(s)[1] ** parameters(s)[2] - parameters(s)[1])[:, None]
        ),
    },
    "norm": {
        "is not applied: the option is ignored": lambda s, v: s.compressed(v),
        "divides by the unbiased variance": _unbiased,
        "ignores gamma and beta": lambda s, v: standardise(
            s.compressed(v), np.ones(()), np.zeros(()), NORM_EPS, axes=(2,)
        ),
        "adds 1e-5 to the variance, not 1e-6": lambda s, v: standardise(
            s.compressed(v), s.gamma, s.beta, 1e-5, axes=(2,)
        ),
        "has one mean for all filters": lambda s, v: standardise(
            s.compressed(v), s.gamma, s.beta, NORM_EPS, axes=(1, 2)
        ),
    },
    "output": {
        "has a log offset of 1e-6, not 1e-5": lambda s, v: np.log(v["floor"] + 1e-6),
        "has no log offset": lambda s, v: np.log(v["floor"]),
        "is log(1 + x)": lambda s, v: np.log1p(v["floor"]),
        "is log10, not the natural logarithm": lambda s, v: np.log10(v["floor"] + LOG_OFFSET),
        "is not compressed": lambda s, v: v["floor"],
    },
}
