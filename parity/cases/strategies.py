"""Draw cases and subjects by Hypothesis: small things (a configuration, a kind of signal, a seed), never arrays.

Left to itself Hypothesis prefers what is simplest: of its first hundred cases, two thirds would have one frame and an
amplitude of 1, and some kind of signal would never come. So every choice is turned by a hash of the draws before it:
however those fall, the choices are even, and a search can still move the later ones by themselves.
:mod:`parity.checks.coverage` counts what comes of it.

Some subjects are refused by the original, and must be: a pooling without padding under a signal shorter than its
window, a sinc filter with an even number of taps.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from hypothesis import strategies as st

from parity.cases.case import SIGNALS, Case
from parity.cases.subjects import CONVOLUTIONS, POOLINGS, Subject
from parity.oracle.config import LeafConfig

MOST_SAMPLES = 4000
RATES = (2000, 4000, 8000, 11025, 16000, 22050)
DECADES = (-5, 3)  # of the amplitude
WEIGHTS_DRAWN = ("drawn", "drawn", "trained", "outside")

# Draws ahead of the first choice, so that this one is turned as well: Hypothesis makes most of its examples by changing
# a draw of an earlier one, and a change anywhere before a choice turns it anew.
N_SPARE = 6

Option = TypeVar("Option")


class Turned:
    """Draws that are even whatever Hypothesis prefers: each is turned by a hash of those before it."""

    def __init__(self, draw: st.DrawFn) -> None:
        self._draw = draw
        self._before = hashlib.blake2b(digest_size=8)
        for _ in range(N_SPARE):
            self.integer(0, 2**32)

    def integer(self, low: int, high: int) -> int:
        """Draw from low to high, both included."""
        n = high - low + 1
        turn = int.from_bytes(self._before.digest(), "little")
        drawn = self._draw(st.integers(0, n - 1))
        self._before.update(drawn.to_bytes(8, "little"))
        return low + (drawn + turn) % n

    def pick(self, options: Sequence[Option]) -> Option:
        """Draw one of the options; one that is listed twice comes twice as often."""
        return options[self.integer(0, len(options) - 1)]


def _config(turned: Turned, plain: bool, padding: str) -> LeafConfig:
    """Draw a configuration; ``plain`` is what rungs 2 and 3 hold: trainable PCEN, a smoother a filter, no more."""
    shared: dict[str, Any] = {
        "n_filters": turned.integer(1, 5),
        "sample_rate": turned.pick(RATES),
        "window_len": turned.pick([25.0, 25.0, 16.0, 8.5]),
        "window_stride": turned.pick([10.0, 10.0, 5.0, 30.0]),
        "pcen_floor": turned.pick([1e-12, 1e-6]),
    }
    if plain:
        return LeafConfig(**shared, padding=padding)
    return LeafConfig(
        **shared,
        padding=padding,
        compression=turned.pick(["pcen", "pcen", "pcen", "fixed_pcen", "log", "none"]),
        per_channel_smooth=turned.pick([False, True]),
        preemp=turned.pick([False, True]),
        mean_var_norm=turned.integer(0, 4) == 0,
    )


def _length(turned: Turned, window: int, stride: int) -> int:
    """Draw a length, biased to where padding and framing change: around a hop, a window and multiples of a hop."""
    edges = [1, stride - 1, stride, stride + 1, window - 1, window, window + 1]
    near = turned.integer(1, MOST_SAMPLES // stride) * stride + turned.integer(-1, 1)
    n = turned.pick([turned.pick(edges), near, turned.integer(1, MOST_SAMPLES)])
    return min(max(n, 1), MOST_SAMPLES)


@st.composite
def cases(
    draw: st.DrawFn,
    *,
    plain: bool = False,
    padding: str = "same",
    weights: tuple[str, ...] = WEIGHTS_DRAWN,
    signals: tuple[str, ...] = SIGNALS,
) -> Case:
    """Draw cases of up to 4000 samples, 5 filters and 2 clips, amplitudes from 1e-5 to 1e3.

    Args:
        draw: given by Hypothesis.
        plain: only what rungs 2 and 3 hold as well: trainable PCEN, one smoother a filter, nothing before or after.
        padding: of the configuration.
        weights: kinds of weights to choose from, see :class:`parity.cases.case.Case`.
        signals: kinds of signals to choose from.
    """
    turned = Turned(draw)
    config = _config(turned, plain, padding)
    return Case(
        config=config,
        weights=turned.pick(weights),
        signal=turned.pick(signals),
        n_samples=_length(turned, config.window, config.stride),
        batch=turned.integer(1, 2),
        amplitude=float(f"{10 ** (turned.integer(1000 * DECADES[0], 1000 * DECADES[1]) / 1000):.4g}"),
        seed=turned.integer(0, 2**31 - 1),
    )


def aligned(case: Case) -> Case:
    """Cut the case so that SAME and centred padding coincide: an odd window and ``n_samples % stride == 1``."""
    window_len = case.config.window_len
    if case.config.window % 2 == 0:
        window_len += 1000 / case.config.sample_rate
    config = case.config.with_(window_len=window_len)
    n = (case.n_samples - 1) // config.stride * config.stride + 1
    return Case(config, case.weights, case.signal, n, case.batch, case.amplitude, case.seed)


COMPRESSIONS = ("pcen", "shared_pcen", "fixed_pcen", "frozen_pcen", "log", "layer_norm", "none")
ACTIVATIONS = ("squared_modulus", "squared_modulus", "leaky_relu", "relu", "none")
REGULARIZERS = (None, (("l1", 0.01),), (("l2", 0.1),), (("l1", 0.02), ("l2", 0.3)))
SUBJECT_RATES = (2000, 4000, 8000, 11025, 16000)
WINDOW_TYPES = ("HAMMING", "HANNING", "SQUARED_HANNING")
MOST_SUBJECT_SAMPLES = 900

Drawn = dict[str, Any]  # the keywords of Subject.of


@st.composite
def subjects(draw: st.DrawFn, name: str, *, mean_var_norm: bool = True) -> Subject:
    """Draw subjects of one public name.

    Args:
        draw: given by Hypothesis.
        name: one that has a forward.
        mean_var_norm: whether frontends may end with an instance normalisation.
    """
    turned = Turned(draw)
    drawn = _DRAWERS[name](turned)
    if not mean_var_norm:
        drawn.pop("mean_var_norm", None)
    seed = turned.integer(0, 2**31 - 1)
    weights = turned.pick(["default", "trained", "trained", "outside"])
    return Subject.of(name, seed=seed, weights=weights, **drawn)


def _frontend(turned: Turned) -> Drawn:
    drawn: Drawn = {
        "n_filters": turned.integer(1, 4),
        "sample_rate": turned.pick(SUBJECT_RATES),
        "window_len": turned.pick([25.0, 16.0, 8.5]),
        "window_stride": turned.pick([10.0, 5.0, 30.0]),
        "preemp": turned.pick([False, True]),
        "learn_pooling": turned.integer(0, 3) > 0,
        "learn_filters": turned.integer(0, 3) > 0,
        "mean_var_norm": turned.integer(0, 3) == 0,
        "regularizer": turned.pick(REGULARIZERS),
    }
    return {**drawn, **_audio(turned, *_geometry(drawn))}


def _geometry(drawn: Drawn) -> tuple[int, int]:
    window, stride = (int(drawn["sample_rate"] * drawn[name] // 1000) for name in ("window_len", "window_stride"))
    return window + 1, stride


def _leaf(turned: Turned) -> Drawn:
    chosen: Drawn = {
        "conv1d_cls": turned.pick([*CONVOLUTIONS, "GaborConv1D"]),
        "activation": turned.pick(ACTIVATIONS),
        "pooling_cls": turned.pick([*POOLINGS, "GaussianLowpass"]),
        "compression": turned.pick([*COMPRESSIONS, "pcen"]),
    }
    drawn = {**_frontend(turned), **chosen}
    if chosen["conv1d_cls"] == "SincConv1D":
        drawn["complex_conv_init"] = turned.pick(["sinc", "gabor"])
        if chosen["activation"] == "squared_modulus":
            drawn["n_filters"] = max(drawn["n_filters"], 2)  # one leaves no channel: a declared divergence
    if chosen["pooling_cls"] == "LearnablePooling1D":
        drawn = _not_unwritten(drawn, *_geometry(drawn))
    return _at_least_two_samples(drawn) if chosen["conv1d_cls"] == "FFTConv1D" else drawn


def _at_least_two_samples(drawn: Drawn) -> Drawn:
    """Lengthen a clip of one sample, whose transform the original does not refuse: it ends the process."""
    return _of_length(drawn, max(drawn["shape"][1], 2))


def _not_unwritten(drawn: Drawn, window: int, stride: int) -> Drawn:
    """A window that is not padded and lacks less than two hops of signal is not refused by TensorFlow: its output is
    memory that nothing has written."""
    n_samples = drawn["shape"][1]
    return _of_length(drawn, window) if window - 2 * stride < n_samples < window else drawn


def _of_length(drawn: Drawn, n_samples: int) -> Drawn:
    batch, _, *rest = drawn["shape"]
    return {**drawn, "shape": (batch, n_samples, *rest)}


def _time_domain(turned: Turned) -> Drawn:
    """Draw windows of 401 samples, which alone fit the initialiser of its pooling; others are refused."""
    drawn = {**_frontend(turned), "sample_rate": 16000}
    if turned.integer(0, 4):
        drawn["window_len"] = 25.0
    elif turned.integer(0, 1):
        drawn["sample_rate"] = 8000
    stride = int(16 * drawn["window_stride"])
    n_samples = turned.pick([1, 401, 402, 401 + stride - 1, 401 + stride, 650])
    return _not_unwritten(_of_length(drawn, n_samples), 401, stride)


def _mel(turned: Turned) -> Drawn:
    window, stride = turned.pick([25.0, 16.0, 8.5]), turned.pick([10.0, 5.0, 30.0])
    return {
        "n_filters": turned.integer(1, 6),
        "n_fft": turned.pick([512, 401, 1024]),
        "window_len": window,
        "window_stride": stride,
        "max_freq": turned.pick([7800.0, 8000.0, 4000.0]),
        "compression": turned.pick(["log", "none"]),
        **_audio(turned, int(16 * window) + 1, int(16 * stride)),
    }


def _conv(turned: Turned) -> Drawn:
    drawn: Drawn = {
        "filters": 2 * turned.integer(1, 4),
        "kernel_size": turned.pick([1, 2, 9, 16, 25, 101]),
        "strides": turned.pick([1, 1, 3, 30]),
        "padding": turned.pick(["SAME", "VALID"]),
        "use_bias": turned.pick([False, True]),
        "regularizer": turned.pick(REGULARIZERS),
        "trainable": turned.integer(0, 3) > 0,
    }
    drawn.update(_audio(turned, drawn["kernel_size"], drawn["strides"], channel=True))
    return _not_unwritten(drawn, drawn["kernel_size"], drawn["strides"]) if drawn["padding"] == "VALID" else drawn


def _fft_conv(turned: Turned) -> Drawn:
    padding = turned.pick(["same", "same", "valid", "causal"])
    return {**_at_least_two_samples(_conv(turned)), "padding": padding, "activation": turned.pick(["none", "relu"])}


def _pooling(turned: Turned) -> Drawn:
    drawn: Drawn = {
        "kernel_size": turned.pick([2, 9, 16, 25]),
        "strides": turned.pick([1, 4, 30]),
        "padding": turned.pick(["same", "VALID"]),
        "kernel_initializer": turned.pick([("constant", 0.4), ("constant", -0.7)]),
        "regularizer": turned.pick(REGULARIZERS),
        "trainable": turned.integer(0, 3) > 0,
    }
    n_samples = _subject_length(turned, drawn["kernel_size"], drawn["strides"], 80)
    shape = (turned.integer(1, 2), n_samples, turned.integer(1, 4))
    drawn.update(shape=shape, signal=turned.pick(SIGNALS), amplitude=_amplitude(turned))
    # one of the poolings is never padded
    return _not_unwritten(drawn, drawn["kernel_size"], drawn["strides"])


def _frames(turned: Turned) -> Drawn:
    shape = (turned.integer(1, 2), turned.pick([1, 2, 5, 40]), turned.integer(1, 4))
    return {"shape": shape, "amplitude": _amplitude(turned)}


def _fft_function(turned: Turned) -> Drawn:
    size = turned.pick([1, 2, 9, 16, 25, 101])
    audio = _at_least_two_samples(_audio(turned, size, 64, channel=True))
    return {"kernel_size": size, "n_filters": turned.integer(1, 4), **audio}


def _shape(turned: Turned, *sizes: int) -> Drawn:
    return {"shape": tuple(n if n > 0 else turned.integer(1, -n) for n in sizes)}


def _audio(turned: Turned, window: int, stride: int, channel: bool = False) -> Drawn:
    shape = (turned.integer(1, 2), _subject_length(turned, window, stride, MOST_SUBJECT_SAMPLES))
    channels = (1,) if channel or turned.integer(0, 2) == 0 else ()
    return {"shape": (*shape, *channels), "signal": turned.pick(SIGNALS), "amplitude": _amplitude(turned)}


def _subject_length(turned: Turned, window: int, stride: int, most: int) -> int:
    edges = [1, stride - 1, stride, stride + 1, window - 1, window, window + 1]
    return min(max(turned.pick([turned.pick(edges), turned.integer(1, most)]), 1), most)


def _amplitude(turned: Turned) -> float:
    return float(f"{10 ** (turned.integer(-300, 200) / 100):.3g}")


def _band(turned: Turned) -> Drawn:
    return {
        "min_freq": turned.pick([0.0, 60.0, 1000.0]),
        "max_freq": turned.pick([7800.0, 8000.0, 4000.0]),
        "sample_rate": turned.pick([16000, 22050]),
        "n_fft": turned.pick([512, 400, 2048]),
        "normalize_energy": turned.pick([False, True]),
    }


def _gabor_init(turned: Turned) -> Drawn:
    n = turned.pick([1, 2, 5, 40])
    return {**_band(turned), "shape": turned.pick([(n, 2), (turned.pick([1, 24, 401]), 1, 2 * n)])}


def _gabor(turned: Turned) -> Drawn:
    what = turned.pick(["gabor_params_from_mels", "mel_filters", "gabor_filters"])
    n, window_len = turned.pick([1, 2, 5, 40]), turned.pick([1, 24, 401])
    return {**_band(turned), "n_filters": n, "window_len": window_len, "property": what}


def _lowpass_init(turned: Turned) -> Drawn:
    rate, window_len = turned.pick([4000, 8000, 16000]), turned.pick([25.0, 8.5])
    size = int(rate * window_len // 1000 + 1) + turned.pick([0, 0, 0, 1])  # a window of another length is refused
    n = turned.integer(1, 4)
    drawn = {"sample_rate": rate, "window_len": window_len, "window_type": turned.pick(WINDOW_TYPES)}
    return {**drawn, "shape": turned.pick([(size, 1, n), (1, size, n, 1)])}


def _pcen(turned: Turned) -> Drawn:
    return {
        **_frames(turned),
        "floor": turned.pick([1e-12, 1e-6]),
        "trainable": turned.pick([True, True, False]),
        "learn_smooth_coef": turned.pick([True, False]),
        "per_channel_smooth_coef": turned.pick([True, False]),
        "smooth_coef": turned.pick([0.04, 0.3]),
    }


_DRAWERS: dict[str, Callable[[Turned], Drawn]] = {
    "upper_power_of_2": lambda t: _shape(t, -6),
    "fft_conv1d": _fft_function,
    "overlap_add_conv1d": lambda t: {**_fft_function(t), "fft_length": t.pick([128, 256, 4096])},
    "FFTConv1D": _fft_conv,
    "GaborConstraint": lambda t: {**_shape(t, -5, 2), "kernel_size": t.pick([1, 25, 401])},
    "GaborConv1D": lambda t: {**_conv(t), "sort_filters": t.pick([False, True])},
    "NormalizedConv1D": _conv,
    "SincConv1D": lambda t: {**_conv(t), "sample_rate": t.pick([16000, 8000]), "min_band_hz": t.pick([50.0, 10.0])},
    "log_compression": lambda t: {**_frames(t), "log_offset": t.pick([1e-5, 1.0])},
    "SquaredModulus": lambda t: {**_shape(t, -2, -40, -6), "amplitude": _amplitude(t)},
    "Leaf": _leaf,
    "TimeDomainFilterbanks": _time_domain,
    "SincNet": _frontend,
    "SincNetPlus": _frontend,
    "MelFilterbanks": _mel,
    "amplitude": lambda t: {"shape": (t.pick([1, 2, 25, 64]), 3, 2), "i": t.integer(0, 2)},
    "gabor_impulse_response": lambda t: {**_shape(t, -40), "n_filters": t.integer(1, 4)},
    "gabor_filters": lambda t: {**_shape(t, -5, 2), "size": t.pick([1, 2, 25, 24, 401])},
    "sinc_impulse_response": lambda t: {**_shape(t, -40, 1), "n_filters": t.integer(1, 4)},
    "sinc_filters": lambda t: {
        **_shape(t, 1, -5), "size": t.pick([1, 2, 25, 24, 401]), "sample_rate": t.pick([16000, 8000])},
    "gaussian_lowpass": lambda t: {**_shape(t, 1, 1, -5, 1), "filter_size": t.pick([2, 25, 24, 401])},
    "PreempInit": lambda t: {"shape": t.pick([(2, 1, 1), (2, 1, 1), (3, 1, 1)]), "alpha": t.pick([0.97, 0.5])},
    "GaborInit": _gabor_init,
    "SincInit": lambda t: {
        **_shape(t, -40, 2), "sample_rate": t.pick([16000, 8000]), "min_low_hz": t.pick([50.0, 9.0])},
    "LowpassInit": _lowpass_init,
    "Gabor": _gabor,
    "LearnablePooling1D": _pooling,
    "ChannelWiseLearnablePooling1D": _pooling,
    "GaussianLowpass": _pooling,
    "MaxPooling1D": _pooling,
    "ExponentialMovingAverage": lambda t: {
        **_frames(t), "coeff_init": t.pick([0.04, 0.3]), "per_channel": t.pick([True, False]),
        "trainable": t.pick([True, False])},
    "PCENLayer": _pcen,
    "SpecAugment": lambda t: {
        "shape": (t.integer(1, 3), t.pick([1, 5, 40]), t.pick([1, 12, 40])), "freq_mask_count": t.integer(0, 3),
        "time_mask_count": t.integer(0, 3), "time_warp_max_frames": t.pick([0, 8])},
    "hz2mel": lambda t: _shape(t, -9),
    "mel2hz": lambda t: _shape(t, -9),
    "window": lambda t: {"window_type": t.pick(WINDOW_TYPES), "tmax": t.pick([1, 2, 24, 25, 401])},
}  # fmt: skip
