"""Other formulas than LEAF's own that a port may compute, by stage; each name ends a sentence about the stage."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from parity.adapters import canonical
from parity.oracle.arrays import Array, exact
from parity.oracle.compression import standardise
from parity.oracle.config import FLOOR, LOG_OFFSET, NORM_EPS
from parity.oracle.gabor import gabor, wavelets_at
from parity.oracle.geometry import Z, centered_pads, same_pads
from parity.oracle.pcen import smoother
from parity.oracle.pooling import gaussian_window
from parity.ports.formulas import Formula, Setting, Values, conv, gains, parameters, pcen, pool


def _zero_start(s: Setting, values: Values) -> Array:
    x, (gain_in, gain_back) = values["floor"], gains(s)
    padded = np.concatenate([np.zeros_like(x[..., :1]), x], axis=-1)
    return smoother(padded, gain_in, gain_back)[..., 1:]


OTHER_FLOORS = ("1e-12", "1e-10", "1e-8", "1e-7", "1e-6", "1e-4", "1e-3", "0.01")


def _total(n: int, k: int, hop: int) -> int:
    return sum(same_pads(n, k, hop))


Pads = Callable[[int, int, int], tuple[int, int]]
# Other paddings of the pooling: zeros before and after n samples, for windows of k taps at a hop.
POOL_PADS: dict[str, Pads] = {
    "pads K // 2 zeros on both sides": lambda n, k, hop: centered_pads(k),
    "pads (K - 1) // 2 zeros before and K // 2 after": lambda n, k, hop: ((k - 1) // 2, k // 2),
    "pads (K - 1) // 2 zeros on both sides": lambda n, k, hop: ((k - 1) // 2, (k - 1) // 2),
    "pads the odd zero before": lambda n, k, hop: (_total(n, k, hop) - _total(n, k, hop) // 2, _total(n, k, hop) // 2),
    "pads all zeros before": lambda n, k, hop: (_total(n, k, hop), 0),
    "pads all zeros after": lambda n, k, hop: (0, _total(n, k, hop)),
    "pads nothing": lambda n, k, hop: (0, 0),
    "pads K - 1 zeros before": lambda n, k, hop: (k - 1, 0),
    "pads TensorFlow's SAME": same_pads,
}
HOPS: dict[str, Callable[[int], int]] = {
    "has a hop of one sample more": lambda hop: hop + 1, "has a hop of one sample less": lambda hop: max(hop - 1, 1),
    "has half the hop": lambda hop: max(hop // 2, 1), "has twice the hop": lambda hop: 2 * hop,
}  # fmt: skip


def frames_apart(label: tuple[str, str], s: Setting) -> int:
    """Count the samples by which a padding of the pooling begins a frame too early; 0 for any other formula."""
    sentence, stage = label
    if stage != "pool" or sentence not in POOL_PADS:
        return 0
    n, hop = s.x.shape[1], s.expected.config.stride
    return POOL_PADS[sentence](n, s.window, hop)[0] - s.pads(n, hop)[0]


def _pooled(pads: Pads | None, other: Callable[[int], int] = lambda hop: hop) -> Formula:
    """The pooling with other pads, or the reference's own, at another hop."""

    def pooled(s: Setting, v: Values) -> Array:
        n, k, hop = v["modulus"].shape[-1], v["windows"].shape[-1], other(s.expected.config.stride)
        return pool(s, v, s.pads(n, hop, k) if pads is None else pads(n, k, hop), hop)

    return pooled


CENTRED = "pads W // 2 zeros on both sides"
# Other inputs of the convolution than the audio.
AUDIO: dict[str, Callable[[Array], Array]] = {
    "takes the audio without its mean": lambda x: x - x.mean(-1, keepdims=True),
    "takes the audio divided by its largest magnitude": lambda x: x / np.abs(x).max(-1, keepdims=True),
    "takes the audio divided by its standard deviation": lambda x: x / x.std(-1, keepdims=True),
    "takes the audio without its mean, divided by its standard deviation": lambda x: (
        (x - x.mean(-1, keepdims=True)) / x.std(-1, keepdims=True)
    ),
    "takes the audio with a pre-emphasis of 0.97": lambda x: x - 0.97 * np.pad(x, [(0, 0), (1, 0)])[:, :-1],
    "takes the audio backwards": lambda x: x[:, ::-1],
}  # fmt: skip


def _heard(other: Callable[[Array], Array], centred: bool) -> Formula:
    def heard(s: Setting, v: Values) -> Array:
        n_taps = v["filters"].shape[-1]
        return conv(s, v, centered_pads(n_taps) if centred else s.pads(s.x.shape[1], 1, n_taps), other(s.x))

    return heard


def _conv_padded(pads: Callable[[int], tuple[int, int]]) -> Formula:
    return lambda s, v: conv(s, v, pads(v["filters"].shape[-1]))


def _eps_outside(s: Setting, values: Values) -> Array:
    alpha, delta, r = (p[:, np.newaxis] for p in parameters(s)[:3])
    with np.errstate(all="ignore"):
        gained = values["floor"] / (s.expected.config.pcen_floor + values["ema"] ** alpha)
        return np.asarray((gained + delta) ** r - delta**r)


def _reflected(s: Setting, values: Values) -> Array:
    pads = s.pads(s.x.shape[1], 1)
    return conv(s, values, (0, 0), np.pad(s.x, [(0, 0), pads], mode="reflect"))


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
OTHER_MU = (("pi / 2", np.pi / 2), ("2 pi", 2 * np.pi), ("3", 3.0), ("1", 1.0))


def _mu_below(high: float) -> Formula:
    return lambda s, v: gabor(np.clip(s.given_mu, 0.0, high), s.sigma, s.window)


def _sigma_within(low: float, times: float) -> Formula:
    return lambda s, v: gabor(s.mu, np.clip(s.given_sigma, low, times * s.window * Z), s.window)


def _width_within(n: int, high: float) -> Formula:
    return lambda s, v: gaussian_window(np.clip(s.given_width, n / s.window, high), s.window)


def _shifted(taps: float) -> Formula:
    def shifted(s: Setting, values: Values) -> Array:
        t = exact(np.arange(-(s.window // 2), (s.window + 1) // 2) - taps)
        return wavelets_at(t, s.mu, s.sigma)

    return shifted


def _windows_around(middle: Callable[[int], float], half: Callable[[int], float]) -> Formula:
    """Windows of K taps whose middle, or the half that their width is counted in, is another one than (K - 1) / 2."""

    def around(s: Setting, values: Values) -> Array:
        t = np.arange(s.window) - middle(s.window)
        return np.asarray(np.exp(-0.5 * (t / (s.width[:, np.newaxis] * half(s.window))) ** 2))

    return around


def _middle(n_taps: int) -> float:
    return (n_taps - 1) / 2


def _causal_preemp(s: Setting, values: Values) -> Array:
    a, b = s.v[canonical.PREEMP].reshape(2)
    x = exact(s.expected.x)
    before = np.pad(x, [(0, 0), (1, 0)])[:, :-1]
    return conv(s, values, s.pads(x.shape[1], 1), a * before + b * x)


OTHERS: dict[str, dict[str, Formula]] = {
    "filters": {
        "is conjugate: the imaginary parts are negated": lambda s, v: v["filters"] * [[[1.0], [-1.0]]],
        "has real and imaginary parts exchanged": lambda s, v: v["filters"][:, ::-1],
        "lies one tap later": _shifted(1.0),
        "lies one tap earlier": _shifted(-1.0),
        "lies half a tap later": _shifted(0.5),
        "lies half a tap earlier": _shifted(-0.5),
        "is not divided by sqrt(2 pi) sigma": lambda s, v: v["filters"] * (np.sqrt(2 * np.pi) * s.sigma)[:, None, None],
        "is divided by sigma twice": lambda s, v: v["filters"] / s.sigma[:, None, None],
        "has norm 1": lambda s, v: v["filters"] / np.sqrt((v["filters"] ** 2).sum(axis=(1, 2), keepdims=True)),
        "has an envelope of exp(-t^2 / sigma^2), without the 2": lambda s, v: (
            gabor(s.mu, s.sigma / 2**0.5, s.window) / 2**0.5
        ),
        "does not limit mu to [0, pi]": lambda s, v: gabor(s.given_mu, s.sigma, s.window),
        "does not limit sigma": lambda s, v: gabor(s.mu, s.given_sigma, s.window),
        "limits neither mu nor sigma": lambda s, v: gabor(s.given_mu, s.given_sigma, s.window),
        "limits sigma below at half of LEAF's": lambda s, v: gabor(
            s.mu, np.clip(s.given_sigma, 2 * Z, s.window * Z), s.window
        ),
        "limits sigma above at half of LEAF's": lambda s, v: gabor(
            s.mu, np.clip(s.given_sigma, 4 * Z, s.window * Z / 2), s.window
        ),
        "does not limit sigma from above": lambda s, v: gabor(s.mu, np.maximum(s.given_sigma, 4 * Z), s.window),
        "does not limit sigma from below": lambda s, v: gabor(s.mu, np.minimum(s.given_sigma, s.window * Z), s.window),
        **{f"limits mu above at {text}, not at pi": _mu_below(high) for text, high in OTHER_MU},
        "limits sigma above at twice of LEAF's": _sigma_within(4 * Z, 2.0),
        **{
            f"limits sigma below at {n} sqrt(2 log 2) / pi, where it is 4": _sigma_within(n * Z, 1.0)
            for n in (1, 3, 5, 6, 8)
        },
        "takes the magnitude of mu": lambda s, v: gabor(np.clip(np.abs(s.given_mu), 0.0, np.pi), s.sigma, s.window),
        "takes sigma for the full width at half maximum": lambda s, v: gabor(s.mu, s.sigma / FWHM, s.window),
        "takes sigma for the full width at half maximum, in the envelope alone": lambda s, v: (
            gabor(s.mu, s.sigma / FWHM, s.window) / FWHM
        ),
        "is in the order of rising mu": lambda s, v: v["filters"][np.argsort(s.mu, kind="stable")],
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
        **{f"limits its width below at {n} / K, where it is 2": _width_within(n, 0.5) for n in (1, 3, 4)},
        **{f"limits its width above at {high}, where it is 0.5": _width_within(2, high) for high in (0.4, 0.6, 1.0)},
        "does not limit its width": lambda s, v: gaussian_window(s.given_width, s.window),
        "does not limit its width from above": lambda s, v: gaussian_window(
            np.maximum(s.given_width, 2 / s.window), s.window
        ),
        "does not limit its width from below": lambda s, v: gaussian_window(np.minimum(s.given_width, 0.5), s.window),
    },
    "conv": {
        CENTRED: _conv_padded(centered_pads),
        "pads W // 2 zeros before and (W - 1) // 2 after": _conv_padded(lambda k: (k // 2, (k - 1) // 2)),
        "pads all zeros before": _conv_padded(lambda k: (k - 1, 0)),
        "pads all zeros after": _conv_padded(lambda k: (0, k - 1)),
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
    "pool": {sentence: _pooled(pads) for sentence, pads in POOL_PADS.items()},
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
        "adds the floor after the power, not before": _eps_outside,
        "takes one alpha for all filters, their mean": lambda s, v: pcen(
            s, v, alpha=np.full_like(parameters(s)[0], parameters(s)[0].mean())
        ),
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

# What is tried where none of these explains a case: two things at once.
FURTHER: dict[str, dict[str, Formula]] = {
    "conv": {
        **{text: _heard(other, False) for text, other in AUDIO.items()},
        **{f"{CENTRED}, and {text}": _heard(other, True) for text, other in AUDIO.items()},
    },
    "pool": {
        **{text: _pooled(None, hop) for text, hop in HOPS.items()},
        **{f"{sentence}, and {text}": _pooled(pads, hop) for sentence, pads in POOL_PADS.items()
           for text, hop in HOPS.items()},
    },
}  # fmt: skip
