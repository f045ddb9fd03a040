"""List by stage what a port may compute instead of LEAF's own: rows of a sentence, and a formula or a parameter.

A row of a formula is a function of the setting and of the stages before; a row of a parameter is what is taken in its
place. Each sentence ends one about the stage.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from parity.adapters import canonical
from parity.oracle.arrays import Array, exact
from parity.oracle.compression import standardise
from parity.oracle.config import FLOOR, LOG_OFFSET, NORM_EPS
from parity.oracle.gabor import wavelets_at
from parity.oracle.geometry import centered_pads, same_pads
from parity.oracle.pcen import smoother
from parity.ports import formulas
from parity.ports.formulas import ACTS, Formula, Row, Setting, Values, conv, gained, gains, pcen, rooted
from parity.ports.substitutions import OfArray, rounded, ways

ConvPads = Callable[[int], tuple[int, int]]
Pads = Callable[[int, int, int], tuple[int, int]]
FWHM = float(2 * np.sqrt(2 * np.log(2)))  # of a Gaussian, in sigmas
ROOT_2PI = np.sqrt(2 * np.pi)


# -- filters and windows


def _taps(s: Setting) -> Array:
    return exact(np.arange(-(s.window // 2), (s.window + 1) // 2))


def _wavelets(taps: float = 0.0, wider: float = 1.0) -> Formula:
    """The filters so many taps late, or with another width in the envelope alone."""
    return lambda s, v: wavelets_at(_taps(s) - taps, s.parameter("mu"), s.parameter("sigma") * wider) * wider


def _carried(taps: float) -> Formula:
    """The carrier so many samples late, where the envelope is in place."""

    def carried(s: Setting, v: Values) -> Array:
        turned = (v["filters"][:, 0] + 1j * v["filters"][:, 1]) * np.exp(-1j * taps * s.column("mu"))
        return np.stack([turned.real, turned.imag], axis=1)

    return carried


def _enveloped(envelope: Callable[[Array, Array], Array]) -> Formula:
    """The filters with another envelope of taps and sigma in the place of theirs, of the same peak."""

    def enveloped(s: Setting, v: Values) -> Array:
        size = envelope(_taps(s), s.column("sigma")) / (ROOT_2PI * s.column("sigma"))
        wave = size * np.exp(1j * s.column("mu") * _taps(s))
        return np.stack([wave.real, wave.imag], axis=1)

    return enveloped


def _magnitudes(v: Values) -> Array:
    return np.asarray(np.sqrt((v["filters"] ** 2).sum(axis=1, keepdims=True)))


FILTERS: dict[str, Formula] = {
    "is conjugate: the imaginary parts are negated": lambda s, v: v["filters"] * [[[1.0], [-1.0]]],
    "has real and imaginary parts exchanged": lambda s, v: v["filters"][:, ::-1],
    "lies one tap later": _wavelets(1.0), "lies one tap earlier": _wavelets(-1.0),
    "lies half a tap later": _wavelets(0.5), "lies half a tap earlier": _wavelets(-0.5),
    **{f"has its carrier {text} sample {'late' if taps > 0 else 'early'}, its envelope in place": _carried(taps)
       for text, taps in (("one", 1.0), ("one", -1.0), ("half a", 0.5), ("half a", -0.5))},
    "is not divided by sqrt(2 pi) sigma": lambda s, v: v["filters"] * ROOT_2PI * s.column("sigma")[..., np.newaxis],
    "is divided by sigma twice": lambda s, v: v["filters"] / s.column("sigma")[..., np.newaxis],
    "has norm 1": lambda s, v: v["filters"] / np.sqrt((v["filters"] ** 2).sum(axis=(1, 2), keepdims=True)),
    "has magnitudes that sum to 1": lambda s, v: v["filters"] / _magnitudes(v).sum(axis=-1, keepdims=True),
    "has an envelope of exp(-t^2 / sigma^2), without the 2": _wavelets(wider=2**-0.5),
    "has an envelope of exp(-t^2 / (4 sigma^2)), with 4 for 2": _wavelets(wider=2**0.5),
    "has an envelope of exp(-t^2 / (2 sigma)), with sigma for sigma^2": _enveloped(lambda t, s: np.exp(-t * t / 2 / s)),
    "takes sigma for the full width at half maximum, in the envelope alone": _wavelets(wider=1 / FWHM),
    "has an envelope of exp(-abs(t) / sigma)": _enveloped(lambda t, s: np.exp(-np.abs(t) / s)),
    "has no envelope": _enveloped(lambda t, s: np.ones_like(t * s)),
    "is multiplied by a Hann window": lambda s, v: v["filters"] * np.hanning(s.window),
    "has the mean of its taps taken off": lambda s, v: v["filters"] - v["filters"].mean(axis=-1, keepdims=True),
    "is reversed in time": lambda s, v: v["filters"][..., ::-1],
    "is in the order of rising mu": lambda s, v: v["filters"][np.argsort(s.parameter("mu"), kind="stable")],
}  # fmt: skip
EXCHANGED = (
    Row("exchanges mu and sigma", "filters",
        changes={"mu": lambda s: s.held["sigma"], "sigma": lambda s: s.held["mu"]}),
    Row("exchanges mu and sigma before they are limited", "filters",
        changes={"mu": lambda s: np.clip(s.raw["sigma"], *s.limits["mu"]),
                 "sigma": lambda s: np.clip(s.raw["mu"], *s.limits["sigma"])}),
)  # fmt: skip


def _middle(n_taps: int) -> float:
    return (n_taps - 1) / 2


def _windows_around(middle: Callable[[int], float], half: Callable[[int], float]) -> Formula:
    """Windows of K taps whose middle, or the half that their width is counted in, is another one than (K - 1) / 2."""
    return lambda s, v: np.exp(
        -0.5 * ((np.arange(s.window) - middle(s.window)) / (s.column("the pooling width") * half(s.window))) ** 2
    )


def _same_windows(taps: Callable[[int], Array]) -> Formula:
    return lambda s, v: np.broadcast_to(taps(s.window), v["windows"].shape)


WINDOWS: dict[str, Formula] = {
    "is centred on K / 2 and K / 2 wide, where (K - 1) / 2 is meant": _windows_around(lambda k: k / 2, lambda k: k / 2),
    "is centred on K / 2, where (K - 1) / 2 is meant": _windows_around(lambda k: k / 2, _middle),
    "is centred on K // 2, where (K - 1) / 2 is meant": _windows_around(lambda k: k // 2, _middle),
    "counts its width in K / 2, where (K - 1) / 2 is meant": _windows_around(_middle, lambda k: k / 2),
    "is a Hann window": _same_windows(np.hanning),
    "is a Hann window over K + 1 taps": _same_windows(lambda k: np.hanning(k + 2)[1:-1]),
    "is a Hann window over K taps and half a tap more at each end": _same_windows(
        lambda k: np.cos(np.pi * (np.arange(k) - _middle(k)) / k) ** 2),
    "is 1 everywhere": lambda s, v: np.ones_like(v["windows"]),
    "sums to 1": lambda s, v: v["windows"] / v["windows"].sum(axis=1, keepdims=True),
    "lacks the 1 / 2 of the exponent": lambda s, v: v["windows"] ** 2,
    "is exp(-abs(t) / 2) of t in widths, not of its square": lambda s, v: (
        np.exp(-np.sqrt(-2 * np.log(v["windows"])) / 2)),
    "is exp(-abs(t)) of t in widths": lambda s, v: np.exp(-np.sqrt(-2 * np.log(v["windows"]))),
    "is divided by sqrt(2 pi) times its width": lambda s, v: (
        v["windows"] / (ROOT_2PI * s.column("the pooling width") * _middle(s.window))),
    "has norm 1": lambda s, v: v["windows"] / np.sqrt((v["windows"] ** 2).sum(axis=1, keepdims=True)),
}  # fmt: skip

# -- the convolution and the pooling: what they hear, what stands beside it, and the hop

CENTRED = "pads W // 2 zeros on both sides"
# Paddings by something else than zeros, by NumPy's names.
MODES = {"reflection": "reflect", "reflection of its end as well": "symmetric", "its first and last value": "edge",
         "its other end": "wrap"}  # fmt: skip
# Other inputs of the convolution than the audio.
AUDIO: dict[str, OfArray] = {
    "takes the audio without its mean": lambda x: x - x.mean(-1, keepdims=True),
    "takes the audio without the mean of all clips": lambda x: x - x.mean(),
    "takes the audio without the mean over the clips at each sample": lambda x: x - x.mean(0, keepdims=True),
    "takes the audio with a pre-emphasis of 0.97": lambda x: x - 0.97 * np.pad(x, [(0, 0), (1, 0)])[:, :-1],
    "takes the audio with a pre-emphasis of 0.97, and the first sample as it is": (
        lambda x: np.concatenate([x[:, :1], x[:, 1:] - 0.97 * x[:, :-1]], axis=-1)),
    "takes the audio backwards": lambda x: x[:, ::-1],
    "takes the audio limited to [-1, 1]": lambda x: np.clip(x, -1, 1),
    **{f"takes the audio rounded to {dtype}": rounded(dtype) for dtype in ("float16", "bfloat16")},
    "takes the audio rounded to 16-bit integers": lambda x: np.round(x * 32768) / 32768,
    "takes the magnitude of the audio": np.abs,
    "takes the first clip for all": lambda x: np.repeat(x[:1], len(x), axis=0),
    "takes the mean of all clips for each": lambda x: np.repeat(x.mean(0, keepdims=True), len(x), axis=0),
    "takes the audio without its last sample": lambda x: x * (np.arange(x.shape[1]) < x.shape[1] - 1),
    "takes the audio without its first sample": lambda x: x * (np.arange(x.shape[1]) > 0),
}  # fmt: skip


def _heard(
    other: OfArray = lambda x: x, pads: Callable[[int], tuple[int, int]] | None = None, mode: Any = ""
) -> Formula:
    """The convolution of another audio, with other pads of W taps than the reference's, or other values in them."""

    def heard(s: Setting, v: Values) -> Array:
        n_taps = v["filters"].shape[-1]
        beside = pads(n_taps) if pads else s.pads(s.x.shape[1], 1, n_taps)
        return conv(s, v, (0, 0), np.pad(s.x, [(0, 0), beside], mode=mode)) if mode else conv(s, v, beside, other(s.x))

    return heard


def _causal(x: Array, s: Setting) -> Array:
    a, b = s.v[canonical.PREEMP].reshape(2)
    return np.asarray(a * np.pad(x, [(0, 0), (1, 0)])[:, :-1] + b * x)


CONV: dict[str, Formula] = {
    CENTRED: _heard(pads=centered_pads),
    "pads W // 2 zeros before and (W - 1) // 2 after": _heard(pads=lambda k: (k // 2, (k - 1) // 2)),
    "pads all zeros before": _heard(pads=lambda k: (k - 1, 0)),
    "pads all zeros after": _heard(pads=lambda k: (0, k - 1)), "pads nothing": _heard(pads=lambda k: (0, 0)),
    **{f"pads by {text}": _heard(mode=mode) for text, mode in MODES.items()},
    "is conjugate: the imaginary parts are negated": lambda s, v: v["conv"] * [[1.0], [-1.0]],
    "has real and imaginary parts exchanged": lambda s, v: v["conv"][:, :, ::-1],
    "ignores the pre-emphasis": lambda s, v: conv(s, v, s.pads(s.x.shape[1], 1), exact(s.expected.x)),
    "has a pre-emphasis of the sample before, where the original takes the one after": lambda s, v: conv(
        s, v, s.pads(s.x.shape[1], 1), _causal(exact(s.expected.x), s)),
}  # fmt: skip
MODULUS: dict[str, Formula] = {
    "is the modulus, not its square": lambda s, v: np.sqrt(v["modulus"]),
    "is the sum of magnitudes, not of squares": lambda s, v: np.abs(v["conv"]).sum(axis=2),
    "has real parts alone": lambda s, v: v["conv"][:, :, 0] ** 2,
    "has imaginary parts alone": lambda s, v: v["conv"][:, :, 1] ** 2,
    "is the square of the sum of both parts": lambda s, v: v["conv"].sum(axis=2) ** 2,
    "is the difference of the squares, not their sum": lambda s, v: v["conv"][:, :, 0] ** 2 - v["conv"][:, :, 1] ** 2,
    "is twice the product of both parts": lambda s, v: 2 * v["conv"].prod(axis=2),
    "is the larger of the two squares": lambda s, v: (v["conv"] ** 2).max(axis=2),
    "is the larger of the two magnitudes": lambda s, v: np.abs(v["conv"]).max(axis=2),
    "is squared twice": lambda s, v: v["modulus"] ** 2,
    "has filters beside each other for the parts of one": lambda s, v: (
        (v["conv"].reshape(len(v["conv"]), 2, -1, v["conv"].shape[-1]) ** 2).sum(axis=1)),
}  # fmt: skip


def _total(n: int, k: int, hop: int) -> int:
    return sum(same_pads(n, k, hop))


# Other paddings of the pooling: zeros before and after n samples, for windows of k taps at a hop.
POOL_PADS: dict[str, Pads] = {
    "pads K // 2 zeros on both sides": lambda n, k, hop: centered_pads(k),
    "pads (K - 1) // 2 zeros before and K // 2 after": lambda n, k, hop: ((k - 1) // 2, k // 2),
    "pads (K - 1) // 2 zeros on both sides": lambda n, k, hop: ((k - 1) // 2, (k - 1) // 2),
    "pads the odd zero before": lambda n, k, hop: same_pads(n, k, hop)[::-1],
    "pads all zeros before": lambda n, k, hop: (_total(n, k, hop), 0),
    "pads all zeros after": lambda n, k, hop: (0, _total(n, k, hop)),
    "pads nothing": lambda n, k, hop: (0, 0), "pads K - 1 zeros before": lambda n, k, hop: (k - 1, 0),
    "pads TensorFlow's SAME": same_pads,
}  # fmt: skip
HOPS: dict[str, Callable[[int], int]] = {
    "has a hop of one sample more": lambda hop: hop + 1, "has a hop of one sample less": lambda hop: max(hop - 1, 1),
    "has half the hop": lambda hop: max(hop // 2, 1), "has twice the hop": lambda hop: 2 * hop,
}  # fmt: skip


def frames_apart(row: Row, s: Setting) -> int:
    """Count the samples by which a padding of the pooling begins a frame too early; 0 for any other formula."""
    if row.stage != "pool" or row.sentence not in POOL_PADS:
        return 0
    n, hop = s.x.shape[1], s.expected.config.stride
    return POOL_PADS[row.sentence](n, s.window, hop)[0] - s.pads(n, hop)[0]


def _pooled(pads: Pads | None = None, other: Callable[[int], int] = lambda hop: hop, mode: Any = "constant") -> Formula:
    """The pooling with other pads than the reference's, or other values in them, or at another hop."""

    def pooled(s: Setting, v: Values) -> Array:
        n, k, hop = v["modulus"].shape[-1], v["windows"].shape[-1], other(s.expected.config.stride)
        beside = s.pads(n, hop, k) if pads is None else pads(n, k, hop)
        if mode == "constant":
            return formulas.pool(s, v, beside, hop)
        return formulas.pool(s, {**v, "modulus": np.pad(v["modulus"], [(0, 0), (0, 0), beside], mode=mode)}, (0, 0))

    return pooled


POOL = {
    **{sentence: _pooled(pads) for sentence, pads in POOL_PADS.items()},
    **{f"pads by {text}": _pooled(mode=mode) for text, mode in MODES.items()},
}

# -- the floor, the smoother, PCEN and what comes after


def _at_least(low: float, of: Callable[[Array], Any] = lambda x: 1.0) -> Formula:
    """The energies with another lower limit, of some quantity of theirs."""
    return lambda s, v: np.maximum(v["pool"], low * of(v["pool"]))


def _normalised(
    x: Callable[[Setting, Values], Array] = Setting.compressed, eps: float = NORM_EPS, axes: tuple[int, ...] = (2,)
) -> Formula:
    return lambda s, v: standardise(x(s, v), s.gamma, s.beta, eps, axes=axes)


_of_energies = _normalised(lambda s, v: np.maximum(v["pool"], FLOOR))
_A_LIMIT = "has a lower limit of 1e-5 times the largest energy of"
FLOORS: dict[str, Formula] = {
    "adds 1e-5, where the larger of the two is meant": lambda s, v: v["pool"] + FLOOR,
    "has no lower limit of 1e-5": lambda s, v: v["pool"],
    f"{_A_LIMIT} the clip": _at_least(FLOOR, lambda x: x.max(axis=(1, 2), keepdims=True)),
    f"{_A_LIMIT} all clips": _at_least(FLOOR, np.max),
    f"{_A_LIMIT} the filter": _at_least(FLOOR, lambda x: x.max(axis=2, keepdims=True)),
    "has an upper limit of 1e-5, not a lower one": lambda s, v: np.minimum(v["pool"], FLOOR),
    "is normalised, where the normalisation comes after the compression": _of_energies,
    "has 1e-5 for what is negative alone": lambda s, v: np.where(v["pool"] < 0, FLOOR, v["pool"]),
    **{f"has a lower limit of {low}, not of 1e-5": _at_least(float(low))
       for low in ("1e-12", "1e-10", "1e-8", "1e-7", "1e-6", "1e-4", "1e-3", "0.01")},
}  # fmt: skip


def _smoothed(x: OfArray, of: str = "floor") -> Formula:
    """The smoother over other frames."""
    return lambda s, v: smoother(x(v[of]), *gains(s))


def _started(first: OfArray) -> Formula:
    """The smoother from a state before the first frame."""
    return lambda s, v: smoother(np.concatenate([first(v["floor"]), v["floor"]], axis=-1), *gains(s))[..., 1:]


def _of_first(way: Callable[[Array, Setting], Array]) -> Formula:
    """The smoother with something else for its first frame."""
    return lambda s, v: smoother(np.concatenate([way(v["floor"][..., :1], s), v["floor"][..., 1:]], -1), *gains(s))


def _with_first(x: Array, y: Array) -> Array:
    return np.concatenate([x[..., :1], y[..., 1:]], axis=-1)


def _frame_before(x: Array) -> Array:
    return np.concatenate([x[..., :1], x[..., :-1]], axis=-1)


def _running_on(s: Setting, v: Values) -> Array:
    n_clips, n_filters, n = v["floor"].shape
    joined = v["floor"].transpose(1, 0, 2).reshape(1, n_filters, -1)
    return smoother(joined, *gains(s)).reshape(n_filters, n_clips, n).transpose(1, 0, 2)


def _over_frames(of: Callable[..., Array]) -> OfArray:
    return lambda x: of(x, axis=-1, keepdims=True)


EMA: dict[str, Formula] = {
    "starts from 0, not from the first frame": _started(lambda x: np.zeros_like(x[..., :1])),
    **{f"starts from the {text} of all frames": _started(_over_frames(of))
       for text, of in (("mean", np.mean), ("largest", np.max), ("least", np.min), ("median", np.median))},
    "starts from the last frame": _started(lambda x: x[..., -1:]),
    "starts from the first clip's first frame": lambda s, v: _with_first(
        v["floor"], _of_first(lambda x, s: np.repeat(x[:1], len(x), axis=0))(s, v)),
    "starts from 1": _started(lambda x: np.ones_like(x[..., :1])),
    "starts from the lower limit of 1e-5": _started(lambda x: np.full_like(x[..., :1], FLOOR)),
    "starts from s times the first frame": _of_first(lambda x, s: x * gains(s)[0][:, np.newaxis]),
    "exchanges s and 1 - s": lambda s, v: smoother(v["floor"], *gains(s)[::-1]),
    "is one frame behind": lambda s, v: _frame_before(v["ema"]),
    "is smoothed twice": _smoothed(lambda x: x, "ema"), "is not smoothed": lambda s, v: v["floor"],
    "runs from the last frame to the first": lambda s, v: smoother(v["floor"][..., ::-1], *gains(s))[..., ::-1],
    "takes the energies without their lower limit": _smoothed(lambda x: x, "pool"),
    "takes the frame before in the place of the smoothed one": lambda s, v: _with_first(
        v["floor"], gains(s)[0][:, None] * v["floor"] + gains(s)[1][:, None] * _frame_before(v["floor"])),
    "is the mean of all frames so far": lambda s, v: (
        np.cumsum(v["floor"], axis=-1) / np.arange(1, v["floor"].shape[-1] + 1)),
    "is the mean of all frames": lambda s, v: np.broadcast_to(v["floor"].mean(-1, keepdims=True), v["floor"].shape),
    "runs on from one clip into the next": _running_on,
    "keeps the largest energy so far": lambda s, v: np.maximum.accumulate(v["floor"], axis=-1),
}  # fmt: skip


def _less(s: Setting) -> Array:
    return np.asarray(s.column("delta") ** (1 / s.column("the root")))


def _divided(by: OfArray) -> Formula:
    """PCEN with something else for the smoothed energies."""
    return lambda s, v: pcen(s, v, m=by(v["ema"]))


def _other_eps(eps: float) -> Formula:
    return lambda s, v: pcen(s, v, eps=eps)


def _taking(name: str, way: Callable[[Setting], Array]) -> Formula:
    return lambda s, v: pcen(replace(s, changes={name: way}), v)


def _added(s: Setting) -> float:
    return s.expected.config.pcen_floor


PCEN: dict[str, Formula] = {
    "does not subtract delta^(1 / root)": lambda s, v: v["pcen"] + _less(s),
    "adds delta^(1 / root), where it is subtracted": lambda s, v: v["pcen"] + 2 * _less(s),
    "raises to the root, not to 1 / root": _taking("the root", lambda s: 1 / s.held["the root"]),
    "has no root": lambda s, v: gained(s, v),
    "divides by the energies, not by the smoothed": lambda s, v: pcen(s, v, m=v["floor"]),
    "takes the smoothed energies for the energies": lambda s, v: pcen(s, {**v, "floor": v["ema"]}),
    "divides by the frame's largest smoothed energy": _divided(lambda m: m.max(1, keepdims=True)),
    "divides by the mean of the smoothed energies over filters": _divided(lambda m: m.mean(1, keepdims=True)),
    "divides by the smoothed energies of the frame before": _divided(_frame_before),
    "raises the energies to alpha as well": lambda s, v: (
        rooted(s, (v["floor"] / (_added(s) + v["ema"])) ** s.column("alpha"))),
    "multiplies by the smoothed energies, where it divides": lambda s, v: rooted(s, v["floor"] ** 2 / gained(s, v)),
    "takes alpha for 1": _taking("alpha", lambda s: np.ones_like(s.raw["alpha"])),
    **{f"adds {eps:g} to the smoother, whatever was asked": _other_eps(eps) for eps in (1e-12, 1e-8, 1e-6, 1e-5, 1e-3)},
    "adds nothing to the smoother": _other_eps(0.0),
    "adds the floor after the power, not before": lambda s, v: (
        rooted(s, v["floor"] / (_added(s) + v["ema"] ** s.column("alpha")))),
    "adds the floor to the energies as well": lambda s, v: pcen(s, {**v, "floor": v["floor"] + _added(s)}),
    "subtracts delta, not delta^(1 / root)": lambda s, v: v["pcen"] + _less(s) - s.column("delta"),
    "adds delta after the root": lambda s, v: (
        gained(s, v) ** (1 / s.column("the root")) + s.column("delta") - _less(s)),
    "is log(1 + x / delta) of the gained energies": lambda s, v: np.log1p(gained(s, v) / s.column("delta")),
}  # fmt: skip


def _unbiased(s: Setting, v: Values) -> Array:
    y = s.compressed(v)
    centred = y - y.mean(axis=2, keepdims=True)
    variance = (centred**2).sum(axis=2, keepdims=True) / max(y.shape[-1] - 1, 1)
    return np.asarray(s.gamma * centred / np.sqrt(variance + NORM_EPS) + s.beta)


NORM: dict[str, Formula] = {
    "is not applied: the option is ignored": lambda s, v: s.compressed(v),
    "takes the energies, not what the compression makes of them": _of_energies,
    "divides by the unbiased variance": _unbiased,
    "ignores gamma and beta": lambda s, v: standardise(s.compressed(v), np.ones(()), np.zeros(()), NORM_EPS, axes=(2,)),
    "adds 1e-5 to the variance, not 1e-6": _normalised(eps=1e-5),
    "has one mean for all filters": _normalised(axes=(1, 2)),
}  # fmt: skip
OUTPUT: dict[str, Formula] = {
    "has a log offset of 1e-6, not 1e-5": lambda s, v: np.log(v["floor"] + 1e-6),
    "has no log offset": lambda s, v: np.log(v["floor"]),
    "is log(1 + x)": lambda s, v: np.log1p(v["floor"]),
    "is log10, not the natural logarithm": lambda s, v: np.log10(v["floor"] + LOG_OFFSET),
    "is not compressed": lambda s, v: v["floor"],
}

# -- all rows


def _rows(stage: str, others: dict[str, Formula]) -> tuple[Row, ...]:
    out = [Row(sentence, stage, {stage: formula}) for sentence, formula in others.items()]
    names = [name for name, acts in ACTS.items() if acts == stage]
    out += [Row(sentence, stage, changes={name: way}) for name in names for sentence, way in ways(name)]
    return (*out, *(EXCHANGED if stage == "filters" else ()))


OTHERS = {"filters": FILTERS, "windows": WINDOWS, "conv": CONV, "modulus": MODULUS, "pool": POOL, "floor": FLOORS,
          "ema": EMA, "pcen": PCEN, "norm": NORM, "output": OUTPUT}  # fmt: skip
ROWS = {stage: _rows(stage, others) for stage, others in OTHERS.items()}
# What is tried where no row explains a case: two things at once, or another hop.
FURTHER = {
    "conv": tuple(
        Row(f"{CENTRED}, and {text}" if pads else text, "conv", {"conv": _heard(other, pads)})
        for pads in (None, centered_pads) for text, other in AUDIO.items()
    ),
    "pool": tuple(
        Row(f"{sentence}, and {text}" if sentence else text, "pool", {"pool": _pooled(pads, hop)})
        for sentence, pads in {"": None, **POOL_PADS}.items() for text, hop in HOPS.items()
    ),
}  # fmt: skip
