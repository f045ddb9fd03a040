"""List by stage what a port may compute instead of LEAF's own: other formulas, other values of its parameters.

Each name ends a sentence about the stage.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from parity.adapters import canonical
from parity.oracle.arrays import Array, exact
from parity.oracle.compression import standardise
from parity.oracle.config import FLOOR, LOG_OFFSET, NORM_EPS
from parity.oracle.gabor import wavelets_at
from parity.oracle.pcen import smoother
from parity.ports.formulas import (
    ACTS,
    Formula,
    Label,
    Setting,
    Values,
    conv,
    gained,
    gains,
    pcen,
    rooted,
)
from parity.ports.paddings import CONV_PADDINGS, POOL_PADDINGS
from parity.ports.substitutions import ways


def _started(first: Callable[[Array], Array], n_before: int = 1) -> Formula:
    """The smoother from another first state; with ``n_before`` 0 that state is the first frame."""

    def started(s: Setting, values: Values) -> Array:
        x = values["floor"]
        if n_before:
            return smoother(np.concatenate([first(x), x], axis=-1), *gains(s))[..., 1:]
        y = smoother(np.concatenate([first(x), x[..., 1:]], axis=-1), *gains(s))
        return np.concatenate([x[..., :1], y[..., 1:]], axis=-1)

    return started


def _running_on(s: Setting, values: Values) -> Array:
    n_clips, n_filters, n = values["floor"].shape
    joined = values["floor"].transpose(1, 0, 2).reshape(1, n_filters, -1)
    return smoother(joined, *gains(s)).reshape(n_filters, n_clips, n).transpose(1, 0, 2)


def _less(s: Setting, root: Array | int) -> Array:
    return np.asarray((s.parameter("delta") ** (1 / root))[:, np.newaxis])


def _ones(s: Setting) -> Array:
    return np.ones_like(s.raw["alpha"])


OTHER_FLOORS = ("1e-12", "1e-10", "1e-8", "1e-7", "1e-6", "1e-4", "1e-3", "0.01")


def _paired(v: Values) -> Array:
    n_clips, n_filters, _, n = v["conv"].shape
    blocks = v["conv"].reshape(n_clips, 2, n_filters, n)
    return np.asarray((blocks**2).sum(axis=1))


def _unbiased(s: Setting, values: Values) -> Array:
    y = s.compressed(values)
    n = y.shape[-1]
    centred = y - y.mean(axis=2, keepdims=True)
    return np.asarray(
        s.gamma * centred / np.sqrt((centred**2).sum(axis=2, keepdims=True) / max(n - 1, 1) + NORM_EPS) + s.beta
    )


def _limited(low: float) -> Formula:
    return lambda s, v: np.maximum(v["pool"], low)


def _other_eps(eps: float) -> Formula:
    return lambda s, values: pcen(s, values, eps=eps)


FWHM = float(2 * np.sqrt(2 * np.log(2)))  # of a Gaussian, in sigmas


def _shifted(taps: float) -> Formula:
    def shifted(s: Setting, values: Values) -> Array:
        t = exact(np.arange(-(s.window // 2), (s.window + 1) // 2) - taps)
        return wavelets_at(t, s.parameter("mu"), s.parameter("sigma"))

    return shifted


def _windows_around(middle: Callable[[int], float], half: Callable[[int], float]) -> Formula:
    """Windows of K taps whose middle, or the half that their width is counted in, is another one than (K - 1) / 2."""

    def around(s: Setting, values: Values) -> Array:
        t = np.arange(s.window) - middle(s.window)
        return np.asarray(np.exp(-0.5 * (t / (s.parameter("the pooling width")[:, np.newaxis] * half(s.window))) ** 2))

    return around


def _middle(n_taps: int) -> float:
    return (n_taps - 1) / 2


def _causal_preemp(s: Setting, values: Values) -> Array:
    a, b = s.v[canonical.PREEMP].reshape(2)
    x = exact(s.expected.x)
    before = np.pad(x, [(0, 0), (1, 0)])[:, :-1]
    return conv(s, values, s.pads(x.shape[1], 1), a * before + b * x)


def _taps(s: Setting) -> Array:
    return exact(np.arange(-(s.window // 2), (s.window + 1) // 2))


def _of(per_filter: Array) -> Array:
    return per_filter[:, np.newaxis, np.newaxis]


def _peaks(s: Setting) -> Array:
    return _of(1 / (np.sqrt(2 * np.pi) * s.parameter("sigma")))


def _magnitudes(v: Values) -> Array:
    return np.asarray(np.sqrt((v["filters"] ** 2).sum(axis=1, keepdims=True)))


def _enveloped(times: float) -> Formula:
    return lambda s, v: wavelets_at(_taps(s), s.parameter("mu"), s.parameter("sigma") * times) * times


OVER_FRAMES: dict[str, Callable[..., Array]] = {
    "mean": np.mean, "largest": np.max, "least": np.min, "median": np.median,
}  # fmt: skip


def _over_frames(of: Callable[..., Array]) -> Callable[[Array], Array]:
    return lambda x: of(x, axis=-1, keepdims=True)


def _carried(taps: float) -> Formula:
    """The carrier so many samples late, where the envelope is in place."""

    def carried(s: Setting, values: Values) -> Array:
        late = np.exp(-1j * taps * s.parameter("mu"))[:, np.newaxis]
        turned = (values["filters"][:, 0] + 1j * values["filters"][:, 1]) * late
        return np.stack([turned.real, turned.imag], axis=1)

    return carried


OTHERS: dict[str, dict[str, Formula]] = {
    "filters": {
        "is conjugate: the imaginary parts are negated": lambda s, v: v["filters"] * [[[1.0], [-1.0]]],
        "has real and imaginary parts exchanged": lambda s, v: v["filters"][:, ::-1],
        "lies one tap later": _shifted(1.0),
        "lies one tap earlier": _shifted(-1.0),
        "lies half a tap later": _shifted(0.5),
        "lies half a tap earlier": _shifted(-0.5),
        **{
            f"has its carrier {text} sample {'late' if taps > 0 else 'early'}, its envelope in place": _carried(taps)
            for text, taps in (("one", 1.0), ("one", -1.0), ("half a", 0.5), ("half a", -0.5))
        },
        "is not divided by sqrt(2 pi) sigma": lambda s, v: v["filters"] / _peaks(s),
        "is divided by sigma twice": lambda s, v: v["filters"] / s.parameter("sigma")[:, None, None],
        "has norm 1": lambda s, v: v["filters"] / np.sqrt((v["filters"] ** 2).sum(axis=(1, 2), keepdims=True)),
        "has magnitudes that sum to 1": lambda s, v: v["filters"] / _magnitudes(v).sum(axis=-1, keepdims=True),
        "has an envelope of exp(-t^2 / sigma^2), without the 2": _enveloped(2**-0.5),
        "has an envelope of exp(-t^2 / (4 sigma^2)), with 4 for 2": _enveloped(2**0.5),
        "has an envelope of exp(-t^2 / (2 sigma)), with sigma for sigma^2": lambda s, v: (
            wavelets_at(_taps(s), s.parameter("mu"), np.sqrt(s.parameter("sigma")))
            * _of(np.sqrt(s.parameter("sigma")) / s.parameter("sigma"))
        ),
        "takes sigma for the full width at half maximum, in the envelope alone": _enveloped(1 / FWHM),
        "has an envelope of exp(-abs(t) / sigma)": lambda s, v: (
            v["filters"] / _magnitudes(v) * _peaks(s) * np.exp(-abs(_taps(s)) / s.parameter("sigma")[:, None])[:, None]
        ),
        "has no envelope": lambda s, v: v["filters"] / _magnitudes(v) * _peaks(s),
        "is multiplied by a Hann window": lambda s, v: v["filters"] * np.hanning(s.window),
        "has the mean of its taps taken off": lambda s, v: v["filters"] - v["filters"].mean(axis=-1, keepdims=True),
        "is reversed in time": lambda s, v: v["filters"][..., ::-1],
        "is in the order of rising mu": lambda s, v: v["filters"][np.argsort(s.parameter("mu"), kind="stable")],
    },
    "windows": {
        "is centred on K / 2 and K / 2 wide, where (K - 1) / 2 is meant": _windows_around(
            lambda k: k / 2, lambda k: k / 2
        ),
        "is centred on K / 2, where (K - 1) / 2 is meant": _windows_around(lambda k: k / 2, _middle),
        "is centred on K // 2, where (K - 1) / 2 is meant": _windows_around(lambda k: k // 2, _middle),
        "counts its width in K / 2, where (K - 1) / 2 is meant": _windows_around(_middle, lambda k: k / 2),
        "is a Hann window": lambda s, v: np.broadcast_to(np.hanning(s.window), v["windows"].shape),
        "is a Hann window over K + 1 taps": lambda s, v: np.broadcast_to(
            np.hanning(s.window + 2)[1:-1], v["windows"].shape
        ),
        "is a Hann window over K taps and half a tap more at each end": lambda s, v: np.broadcast_to(
            np.cos(np.pi * (np.arange(s.window) - _middle(s.window)) / s.window) ** 2, v["windows"].shape
        ),
        "is 1 everywhere": lambda s, v: np.ones_like(v["windows"]),
        "sums to 1": lambda s, v: v["windows"] / v["windows"].sum(axis=1, keepdims=True),
        "lacks the 1 / 2 of the exponent": lambda s, v: v["windows"] ** 2,
        "is exp(-abs(t) / 2) of t in widths, not of its square": lambda s, v: np.exp(
            -np.sqrt(-2 * np.log(v["windows"])) / 2
        ),
        "is exp(-abs(t)) of t in widths": lambda s, v: np.exp(-np.sqrt(-2 * np.log(v["windows"]))),
        "is divided by sqrt(2 pi) times its width": lambda s, v: (
            v["windows"] / (np.sqrt(2 * np.pi) * s.parameter("the pooling width") * _middle(s.window))[:, None]
        ),
        "has norm 1": lambda s, v: v["windows"] / np.sqrt((v["windows"] ** 2).sum(axis=1, keepdims=True)),
    },
    "conv": {
        **CONV_PADDINGS,
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
        "is the square of the sum of both parts": lambda s, v: v["conv"].sum(axis=2) ** 2,
        "is the difference of the squares, not their sum": lambda s, v: (
            v["conv"][:, :, 0] ** 2 - v["conv"][:, :, 1] ** 2
        ),
        "is twice the product of both parts": lambda s, v: 2 * v["conv"].prod(axis=2),
        "is the larger of the two squares": lambda s, v: (v["conv"] ** 2).max(axis=2),
        "is the larger of the two magnitudes": lambda s, v: np.abs(v["conv"]).max(axis=2),
        "is squared twice": lambda s, v: v["modulus"] ** 2,
        "has filters beside each other for the parts of one": lambda s, v: _paired(v),
    },
    "pool": POOL_PADDINGS,
    "floor": {
        "adds 1e-5, where the larger of the two is meant": lambda s, v: v["pool"] + FLOOR,
        "has no lower limit of 1e-5": lambda s, v: v["pool"],
        "has a lower limit of 1e-5 times the largest energy of the clip": lambda s, v: np.maximum(
            v["pool"], FLOOR * v["pool"].max(axis=(1, 2), keepdims=True)
        ),
        "has a lower limit of 1e-5 times the largest energy of all clips": lambda s, v: np.maximum(
            v["pool"], FLOOR * v["pool"].max()
        ),
        "has a lower limit of 1e-5 times the largest energy of the filter": lambda s, v: np.maximum(
            v["pool"], FLOOR * v["pool"].max(axis=2, keepdims=True)
        ),
        "has an upper limit of 1e-5, not a lower one": lambda s, v: np.minimum(v["pool"], FLOOR),
        "is normalised, where the normalisation comes after the compression": lambda s, v: standardise(
            np.maximum(v["pool"], FLOOR), s.gamma, s.beta, NORM_EPS, axes=(2,)
        ),
        "has 1e-5 for what is negative alone": lambda s, v: np.where(v["pool"] < 0, FLOOR, v["pool"]),
        **{f"has a lower limit of {low}, not of 1e-5": _limited(float(low)) for low in OTHER_FLOORS},
    },
    "ema": {
        "starts from 0, not from the first frame": _started(lambda x: np.zeros_like(x[..., :1])),
        **{f"starts from the {text} of all frames": _started(_over_frames(of)) for text, of in OVER_FRAMES.items()},
        "starts from the last frame": _started(lambda x: x[..., -1:]),
        "starts from the first clip's first frame": _started(lambda x: np.repeat(x[:1, :, :1], len(x), axis=0), 0),
        "starts from 1": _started(lambda x: np.ones_like(x[..., :1])),
        "starts from the lower limit of 1e-5": _started(lambda x: np.full_like(x[..., :1], FLOOR)),
        "starts from s times the first frame": lambda s, v: smoother(
            np.concatenate([v["floor"][..., :1] * gains(s)[0][:, None], v["floor"][..., 1:]], -1), *gains(s)
        ),
        "exchanges s and 1 - s": lambda s, v: smoother(v["floor"], *gains(s)[::-1]),
        "is one frame behind": lambda s, v: np.concatenate([v["ema"][..., :1], v["ema"][..., :-1]], axis=-1),
        "is smoothed twice": lambda s, v: smoother(v["ema"], *gains(s)),
        "is not smoothed": lambda s, v: v["floor"],
        "runs from the last frame to the first": lambda s, v: smoother(v["floor"][..., ::-1], *gains(s))[..., ::-1],
        "takes the energies without their lower limit": lambda s, v: smoother(v["pool"], *gains(s)),
        "takes the frame before in the place of the smoothed one": lambda s, v: np.concatenate(
            [
                v["floor"][..., :1],
                gains(s)[0][:, None] * v["floor"][..., 1:] + gains(s)[1][:, None] * v["floor"][..., :-1],
            ],
            axis=-1,
        ),
        "is the mean of all frames so far": lambda s, v: (
            np.cumsum(v["floor"], axis=-1) / np.arange(1, v["floor"].shape[-1] + 1)
        ),
        "is the mean of all frames": lambda s, v: np.broadcast_to(
            v["floor"].mean(axis=-1, keepdims=True), v["floor"].shape
        ),
        "runs on from one clip into the next": _running_on,
        "keeps the largest energy so far": lambda s, v: np.maximum.accumulate(v["floor"], axis=-1),
    },
    "pcen": {
        "does not subtract delta^(1 / root)": lambda s, v: v["pcen"] + _less(s, s.parameter("the root")),
        "adds delta^(1 / root), where it is subtracted": lambda s, v: v["pcen"] + 2 * _less(s, s.parameter("the root")),
        "raises to the root, not to 1 / root": lambda s, v: replace(
            s, changes={"the root": lambda s: 1 / s.plain.parameter("the root")}
        ).own("pcen", v),
        "has no root": lambda s, v: gained(s, v),
        "divides by the energies, not by the smoothed": lambda s, v: pcen(s, v, m=v["floor"]),
        "takes the smoothed energies for the energies": lambda s, v: pcen(s, {**v, "floor": v["ema"]}),
        "divides by the frame's largest smoothed energy": lambda s, v: pcen(s, v, m=v["ema"].max(1, keepdims=True)),
        "divides by the mean of the smoothed energies over filters": lambda s, v: pcen(
            s, v, m=v["ema"].mean(1, keepdims=True)
        ),
        "divides by the smoothed energies of the frame before": lambda s, v: pcen(
            s, v, m=np.concatenate([v["ema"][..., :1], v["ema"][..., :-1]], axis=-1)
        ),
        "raises the energies to alpha as well": lambda s, v: rooted(
            s, (v["floor"] / (s.expected.config.pcen_floor + v["ema"])) ** s.parameter("alpha")[:, np.newaxis]
        ),
        "multiplies by the smoothed energies, where it divides": lambda s, v: rooted(s, v["floor"] ** 2 / gained(s, v)),
        "takes alpha for 1": lambda s, v: replace(s, changes={"alpha": _ones}).own("pcen", v),
        **{
            f"adds {eps:g} to the smoother, whatever was asked": _other_eps(eps)
            for eps in (1e-12, 1e-8, 1e-6, 1e-5, 1e-3)
        },
        "adds nothing to the smoother": _other_eps(0.0),
        "adds the floor after the power, not before": lambda s, v: rooted(
            s, v["floor"] / (s.expected.config.pcen_floor + v["ema"] ** s.parameter("alpha")[:, np.newaxis])
        ),
        "adds the floor to the energies as well": lambda s, v: pcen(
            s, {**v, "floor": v["floor"] + s.expected.config.pcen_floor}
        ),
        "subtracts delta, not delta^(1 / root)": lambda s, v: (
            v["pcen"] + _less(s, s.parameter("the root")) - _less(s, 1)
        ),
        "adds delta after the root": lambda s, v: (
            gained(s, v) ** (1 / s.parameter("the root"))[:, np.newaxis]
            + _less(s, 1)
            - _less(s, s.parameter("the root"))
        ),
        "is log(1 + x / delta) of the gained energies": lambda s, v: np.log1p(gained(s, v) / _less(s, 1)),
    },
    "norm": {
        "is not applied: the option is ignored": lambda s, v: s.compressed(v),
        "takes the energies, not what the compression makes of them": lambda s, v: standardise(
            np.maximum(v["pool"], FLOOR), s.gamma, s.beta, NORM_EPS, axes=(2,)
        ),
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


def _labels(stage: str) -> tuple[Label, ...]:
    out = [Label(sentence, stage, {stage: formula}) for sentence, formula in OTHERS.get(stage, {}).items()]
    for name in (name for name, acts in ACTS.items() if acts == stage):
        out += [Label(sentence, stage, changes={name: way}) for sentence, way in ways(name)]
    if stage == "filters":
        out.append(Label(
            "exchanges mu and sigma", stage, changes={"mu": lambda s: s.held["sigma"], "sigma": lambda s: s.held["mu"]}
        ))  # fmt: skip
        out.append(Label(
            "exchanges mu and sigma before they are limited", stage,
            changes={"mu": lambda s: np.clip(s.raw["sigma"], *s.limits["mu"]),
                     "sigma": lambda s: np.clip(s.raw["mu"], *s.limits["sigma"])},
        ))  # fmt: skip
    return tuple(out)


LABELS = {stage: _labels(stage) for stage in OTHERS}
