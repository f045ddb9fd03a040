"""The constants of the rungs: where each stands in the source, at which stage it acts, and a scene in which it does.

Left out, because no number depends on them: a factor of the mel scale of rungs 0 and 1, whose triangles are ratios (in
rungs 2 and 3 it is used twice, and listed); the 0.5 that rounds a group's window to an integer, which no stride that a
frame has is near enough to tell from its neighbours; the least of a stride, under which there is no divisor; and
delta's limit, which is reached from outside of what the rungs share alone. Exponents that are integers (squares) and
arguments' defaults that no frontend takes are no constants of LEAF's numbers either.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial

from parity.adapters import canonical
from parity.checks.plans import Setting
from parity.checks.steps import STEPS
from parity.mutation import detectors
from parity.mutation.detectors import Detector
from parity.mutation.efficientleaf import BATCH_NORM, EXPONENT, NORM, NORM_INIT, NORMALISED, RATIO_OF_SIZES
from parity.mutation.leaf import ALPHA, BACK, EDGES, FLOORED, INVERSE, MEL
from parity.mutation.planting import Change, Edit, Patch, replacing
from parity.mutation.scenes import CLEAN, Scene

Sized = Callable[[float], Change]  # from a factor
Row = tuple[str, str, str, Sized, Detector]  # the fields of a constant, but for the rung


@dataclass(frozen=True)
class RungConstant:
    """A number that a rung's source holds, or a parameter that has no canonical name.

    Attributes:
        rung: whose.
        name: unique within the rung.
        stage: where it acts first; of a parameter the output.
        statement: what it is.
        change: from a factor to a change that multiplies it (of a limit at 0: adds the factor less 1).
        detector: of a scene in which it matters.
        kind: ``constant`` or ``parameter``.
    """

    rung: str
    name: str
    stage: str
    statement: str
    change: Sized
    detector: Detector
    kind: str = "constant"


@cache
def constants(rung: str) -> tuple[RungConstant, ...]:
    """EfficientLEAF's own parameters, changed alike in all elements, and every constant, as they are computed.

    Raises:
        ValueError: no such rung.
    """
    if rung in ("tf_leaf", "og_leaf"):
        return tuple(RungConstant(rung, *row) for row in _of_original(rung))
    if rung not in ("leaf", "efficientleaf"):
        raise ValueError(f"rung={rung!r}: must be one of tf_leaf, og_leaf, leaf, efficientleaf")
    own = _of_leaf() if rung == "leaf" else _of_efficientleaf()
    parameters = PARAMETERS if rung == "efficientleaf" else ()
    return (*(RungConstant(rung, *row, kind="parameter") for row in parameters),
            *(RungConstant(rung, *row) for row in (*_shared(rung), *own)))  # fmt: skip


def scaled(where: str, expression: str, inside: str = "", by: str = "it * {!r}") -> Sized:
    """Edits that multiply an expression by a factor; arguments as of :class:`parity.mutation.planting.Edit`."""
    return lambda factor: Edit(where, expression, by.format(factor), inside)


def shifted(where: str, expression: str) -> Sized:
    """As :func:`scaled`, but adds ``factor - 1``: for a constant of 0, which has no relative change."""
    return lambda factor: Edit(where, expression, f"it + {factor - 1!r}")


# Cases as small as they can be and still have what is asked for in them. Outside: every limit, from either side.
OUTSIDE = "weights={},n_filters=8,sample_rate=4000,n_samples=200,seed=1"
INSIDE = "weights=drawn,n_filters=3,sample_rate=4000,signal=impulse_first,n_samples=400,seed=5,amplitude=10.0"
QUIET = "weights=trained,n_filters=3,sample_rate=4000,n_samples=400,amplitude=0.001,pcen_floor=1e-06"
FLOOR = "weights=trained,n_filters=3,sample_rate=4000,n_samples=200,amplitude=0.001,compression=none"
LOGARITHM = "weights=trained,n_filters=3,sample_rate=4000,n_samples=200,amplitude=0.001,compression=log"
STEADY = "weights=trained,n_filters=3,sample_rate=4000,n_samples=400,amplitude=0.05,compression=none,mean_var_norm=True"
# one group of rung 3 at full rate, some of whose 24 bands stand outside of each limit, on either side
LIMITS = partial(detectors.grouped, Setting(24, 1, 4.77, 1.0, 2000, 8.5, 7.0), 0)
SMALLEST_DRAW, QUIETEST_DRAW = 1, 6  # of the compression's probe
# where a number of rungs 0 and 1 stands more than once: what is around it
AROUND = {
    "tf_leaf": (
        "tf.math.log(tf.constant(2.0, dtype=self.dtype))",
        "tf.reduce_max(roots, axis=1, keepdims=True) / 2.0",
        "tf.clip_by_value(kernel[:, 0], 0.0, math.pi)",
        'tf.clip_by_value(check_tensor("sigma", sigma, 4), 2.0 / filter_size, 0.5)',
        "taps - 0.5 * (filter_size - 1)",
        "width * 0.5 * (filter_size - 1)",
        "-0.5 * from_middle**2",
        "tf.clip_by_value(tf.convert_to_tensor(self._weights), clip_value_min=0.0, clip_value_max=1.0)",
        "tf.math.minimum(tf.convert_to_tensor(self.alpha), 1.0)",
        "tf.math.maximum(tf.convert_to_tensor(self.root), 1.0)",
        "2 * tf.squeeze(means, axis=2)",
    ),
    "og_leaf": (
        "torch.log(torch.tensor(2.0, dtype=self.dtype))",
        "roots.amax(dim=1, keepdim=True) / 2.0",
        "impulse_responses.clip(kernel[:, 0], 0.0, math.pi)",
        'clip(check_tensor("sigma", sigma, 4), 2.0 / filter_size, 0.5)',
        "t - 0.5 * (filter_size - 1)",
        "sigma * 0.5 * (filter_size - 1)",
        "-0.5 * (numerator / denominator) ** 2",
        "clip(self._weights, 0.0, 1.0)",
        "self.alpha.clamp(max=1.0)",
        "self.root.clamp(min=1.0)",
        "2 * means",
    ),
}


def _of_original(rung: str) -> tuple[Row, ...]:
    """Rungs 0 and 1, whose files are each other's mirror image."""
    is_keras = rung == "tf_leaf"
    step, method = (CLEAN, "call") if is_keras else (STEPS["og_leaf"], "forward")
    outside, inside, quiet = (Scene(step, case) for case in (OUTSIDE.format("outside"), INSIDE, QUIET))
    mel, fresh, measured, half_peaks, own_eps = (
        partial(detector, rung) for detector in (
            detectors.own_mel, detectors.fresh, detectors.start, detectors.half_peaks, detectors.own_eps
        )
    )  # fmt: skip

    def at(path: str, expression: str, inside: str = "") -> Sized:
        return scaled(f"{rung}.{path}", expression, inside)

    init, params = "frontend:Leaf.__init__", "melfilters:Gabor.gabor_params_from_mels"
    features = f"frontend:Leaf.{'_features' if is_keras else method}"
    limits = f"convolution:GaborConstraint.{'__call__' if is_keras else method}"
    wavelet, window = "impulse_responses:gabor_impulse_response", "impulse_responses:gaussian_lowpass"
    smoother, pcen = (f"postprocessing:{c}.{method}" for c in ("ExponentialMovingAverage", "PCENLayer"))
    layer, default = "postprocessing:PCENLayer.__init__", "frontend:_compression"
    norm = "postprocessing:InstanceNormalization.__init__" if is_keras else init
    fixed = f"postprocessing:{'PCENLayer._fixed_smoother' if is_keras else 'SimpleRNN.__init__'}"
    gabor = "GaborInit(sample_rate=16000, min_freq=60.0, max_freq=7800.0)"
    log_2, half, clipped, limited, middle, around, exponent, clip, alpha, root, double = AROUND[rung]
    return (
        ("mel-break", "mel", "700 Hz, where the mel scale bends", _mel_break(rung), mel),
        ("mel-rate", "mel", "16000 Hz, whatever the rate", at(init, "16000", gabor), mel),
        ("mel-lowest", "mel", "60 Hz, the lowest corner", at(init, "60.0"), mel),
        ("mel-highest", "mel", "7800 Hz, the highest corner", at(init, "7800.0"), mel),
        ("bins-to-radians", "init", "2 of the 2 pi that a turn has", at(params, "2"), measured),
        ("bins-to-radians-pi", "init", "pi of that", at(params, "math.pi", "centers * 2 * math.pi"), measured),
        ("width-2", "init", "2 of sqrt(2 log 2)", at(params, "2.0", f"_ * {log_2}"), measured),
        ("width-log-2", "init", "the other 2 of it", at(params, "2.0", log_2), measured),
        ("width-pi", "init", "pi under it", at(params, "math.pi", "math.pi * n_wide"), measured),
        ("half-peak", "init", "half of the peak, where bins are counted", at(params, "2.0", half), half_peaks),
        ("preemp-earlier", canonical.PREEMP, "0.97", at("initializers:PreempInit.__init__", "0.97"), fresh),
        ("preemp-later", canonical.PREEMP, "1", at("initializers:PreempInit.__call__", "1.0"), fresh),
        ("pooling-start", canonical.POOLING, "0.4", at(init, "0.4"), fresh),
        ("alpha-start", canonical.ALPHA, "0.96", at(default, "0.96"), fresh),
        ("smooth-start", canonical.SMOOTH, "0.04", at(default, "0.04"), fresh),
        ("delta-start", canonical.DELTA, "2", at(default, "2.0"), fresh),
        ("root-start", canonical.ROOT, "2", at(layer, "2.0", "root: float = 2.0"), fresh),
        ("eps-start", "pcen", "1e-12", at(default, "1e-12"), fresh),
        ("alpha-of-the-layer", canonical.ALPHA, "0.96", at(layer, "0.96"), fresh),
        ("smooth-of-the-layer", canonical.RNN_KERNEL, "0.04", at(layer, "0.04"), fresh),
        ("delta-of-the-layer", canonical.DELTA, "2", at(layer, "2.0", "delta: float = 2.0"), fresh),
        ("eps-of-the-layer", "pcen", "1e-6", at(layer, "1e-6"), own_eps),
        ("recurrence", canonical.RNN_RECURRENT, "1 of 1 - s", at(fixed, "1.0"), fresh),
        ("mu-least", "filters", "0", shifted(f"{rung}.{limits}", "0.0"), outside),
        ("mu-most", "filters", "pi", at(limits, "math.pi", clipped), outside),
        ("sigma-least", "filters", "4 bins", at(limits, "4"), outside),
        ("sigma-per-sample", "filters", "2 of sqrt(2 log 2) / pi", at(limits, "2", "_ * math.log(2)"), outside),
        ("sigma-per-sample-log-2", "filters", "the other 2 of it", at(limits, "2", "math.log(2)"), outside),
        ("sigma-per-sample-pi", "filters", "pi of it", at(limits, "math.pi", "math.sqrt(2 * math.log(2)) / _"),
            outside),
        ("height-2", "filters", "2 of sqrt(2 pi) sigma", at(wavelet, "2.0", "2.0 * math.pi"), inside),
        ("height-pi", "filters", "pi of it", at(wavelet, "math.pi"), inside),
        ("exponent-2", "filters", "2 of 2 sigma^2", at(wavelet, "2.0", "2.0 * fwhm**2"), inside),
        ("width-least", "windows", "2 samples", at(window, "2.0"), outside),
        ("width-most", "windows", "0.5", at(window, "0.5", limited), outside),
        ("window-middle", "windows", "half of W - 1, where it stands", at(window, "0.5", middle), inside),
        ("window-half", "windows", "half of W - 1, what its width is relative to", at(window, "0.5", around),
            inside),
        ("window-exponent", "windows", "0.5 of the exponent", at(window, "0.5", exponent), inside),
        ("modulus-2", "modulus", "2 of twice the mean of two squares",
            at(f"frontend:SquaredModulus.{method}", double), inside),
        ("floor", "output", "1e-5, the least energy", at(features, "1e-05"),
            Scene(step, FLOOR)),
        ("log-offset", "output", "1e-5, added before the logarithm", at("frontend:log_compression", "1e-05"),
            Scene(step, LOGARITHM)),
        ("smooth-least", "ema", "0", shifted(f"{rung}.{smoother}", "0.0"), outside),
        ("smooth-most", "ema", "1", at(smoother, "1.0", clip), outside),
        ("smooth-rest", "ema", "1 of 1 - s", at(smoother, "1.0", "1.0 - w"), inside),
        ("alpha-most", "pcen", "1", at(pcen, "1.0", alpha), outside),
        ("root-least", "pcen", "1", at(pcen, "1.0", root), outside),
        ("root-inverse", "pcen", "1 of 1 / root", at(pcen, "1.0", "1.0 / root"), inside),
        ("eps", "pcen", "the floor of the smoother as it is added", at(pcen, "self._floor"), quiet),
        ("norm-eps", "norm", "1e-6, added to the variance", at(norm, "1e-06"), Scene(step, STEADY, rebuilt=True)),
    )  # fmt: skip


def _mel_break(rung: str) -> Sized:
    if rung == "og_leaf":
        return scaled("og_leaf.melfilters:_hertz_to_mel", "700.0")
    hertz = "tensorflow.python.ops.signal.mel_ops:_MEL_BREAK_FREQUENCY_HERTZ"
    return lambda factor: Patch(replacing(hertz, lambda own: factor * own), "the number is TensorFlow's own")


def _shared(rung: str) -> tuple[Row, ...]:
    """Rung 2, and what rung 3 takes from it."""
    of_leaf = rung == "leaf"
    inside, quiet = (Scene(STEPS[rung], case + ("" if of_leaf else ",padding=centered")) for case in (INSIDE, QUIET))
    outside: Detector = Scene(STEPS[rung], OUTSIDE.format("outside_shared")) if of_leaf else LIMITS
    start, fresh, floor = (partial(d, rung) for d in (detectors.start, detectors.fresh, detectors.own_floor))
    frontend = f"{'leaf.frontend:Leaf' if of_leaf else 'efficientleaf.frontend:EfficientLeaf'}.__init__"
    bank = f"{BANK if of_leaf else GROUPED}.__init__"
    pcen, limited, default = "leaf.pcen:PCEN.step", "leaf.pcen:PCEN.parameters_linear", "leaf.pcen:leaf_pcen"
    mel, pair, window = (f"leaf.filters:{f}" for f in ("mel_filter_params", "gabor_pair", "gauss_windows"))
    return (
        ("mel-factor", "init", "1127, from Hz to mel", scaled(mel, "1127", MEL), start),
        ("mel-factor-back", "init", "1127, from mel to Hz", scaled(mel, "1127", f"{EDGES} / 1127"), start),
        ("mel-break", "init", "700 Hz, from Hz to mel", scaled(mel, "700", MEL), start),
        ("mel-break-back", "init", "700 Hz, from mel to Hz", scaled(mel, "700", BACK), start),
        ("hertz-to-radians", "init", "2 pi over the rate", scaled(mel, "2 * math.pi / sample_rate"), start),
        ("sigma-start", "init", "half of the rate, over the width", scaled(mel, "sample_rate / 2"), start),
        ("mel-lowest", "init", "60 Hz, the lowest corner", scaled(frontend, "60.0"), start),
        ("mel-highest", "init", "7800 Hz, the highest corner", scaled(frontend, "7800.0"), start),
        ("pooling-start", canonical.POOLING, "0.4", scaled(bank, "0.4"), fresh),
        ("smooth-start", canonical.SMOOTH, "0.04", scaled(default, "0.04"), fresh),
        ("alpha-start", canonical.ALPHA, "0.96", scaled(default, "0.96"), fresh),
        ("delta-start", canonical.DELTA, "2", scaled(default, "2.0"), fresh),
        ("root-start", canonical.ROOT, "0.5, its inverse", scaled(default, "0.5"), fresh),
        ("eps-start", "pcen", "1e-12", scaled(default, "1e-12"), fresh),
        ("floor-start", "floor", "1e-5, the least energy", scaled(default, "1e-5"), floor),
        ("height-2", "filters", "2 of sqrt(2 pi) sigma", scaled(pair, "2 * math.pi"), inside),
        ("height-pi", "filters", "pi of it", scaled(pair, "math.pi"), inside),
        ("exponent-2", "filters", "2 of 2 sigma^2", scaled(pair, "2 * sigmas**2"), inside),
        ("window-middle", "windows", "half of W - 1, where it stands", scaled(window, "middle", "t - middle"), inside),
        ("window-half", "windows", "half of W - 1, what its width is relative to",
            scaled(window, "middle", "middle or 1.0"), inside),
        ("window-exponent", "windows", "0.5 of the exponent", scaled(window, "0.5"), inside),
        ("floor-acting", "pcen", "the least energy, as it acts", scaled(pcen, "self.clamp", FLOORED), quiet),
        ("eps", "pcen", "the floor of the smoother as it is added", scaled(pcen, "self.eps", "self.eps + m"), quiet),
        ("alpha-most", "pcen", "1", scaled(limited, "1.0", ALPHA), outside),
        ("root-least", "pcen", "1", scaled(limited, "1.0", INVERSE), outside),
        ("root-inverse", "pcen", "1 of 1 / root", scaled(limited, f"1 / {INVERSE}"), inside),
    )  # fmt: skip


BANK, GROUPED = "leaf.filterbank:GaborFilterbank", "efficientleaf.filterbank:GroupedGaborFilterbank"


def _of_leaf() -> tuple[Row, ...]:
    """The limits of rung 2."""
    outside = Scene(STEPS["leaf"], OUTSIDE.format("outside_shared"))
    filters, windows, per_sample = f"{BANK}.filters", f"{BANK}.windows", "SIGMA_PER_SAMPLE"
    low, high = f"4 * {per_sample}", f"self.filter_size * {per_sample}"
    return (
        ("mu-least", "filters", "0", shifted(filters, "0.0"), outside),
        ("mu-most", "filters", "pi", scaled(filters, "math.pi"), outside),
        ("sigma-least", "filters", "4 bins", scaled(filters, "4"), outside),
        ("sigma-per-sample-low", "filters", "sqrt(2 log 2) / pi, of 4", scaled(filters, per_sample, low), outside),
        ("sigma-per-sample", "filters", "sqrt(2 log 2) / pi, of the size", scaled(filters, per_sample, high), outside),
        ("width-least", "windows", "2 samples", scaled(windows, "2"), outside),
        ("width-most", "windows", "0.5", scaled(windows, "0.5"), outside),
    )


def _of_efficientleaf() -> Iterator[Row]:
    """The limits, the plan and the compression of rung 3."""
    bank, frontend = f"{GROUPED}.__init__", "efficientleaf.frontend:EfficientLeaf.__init__"
    lower = "(4 if 'sigma' in self.exact else 2) * SIGMA_PER_SAMPLE"
    for name, stage, statement, change in (
        ("mu-least", "filters", "0", shifted(bank, "0.0")),
        ("mu-most", "filters", "pi", scaled(bank, "math.pi")),
        ("sigma-least", "filters", "2 bins", scaled(bank, lower)),
        ("sigma-per-sample", "filters", "sqrt(2 log 2) / pi, of the size",
            scaled(bank, "self.pool_size * SIGMA_PER_SAMPLE")),
        ("width-least", "windows", "2 samples", scaled(bank, "2 / self.pool_size")),
        ("width-most", "windows", "0.5", scaled(bank, "0.5")),
        ("width-ratio", "windows", "K / W, to a group's rate",
            scaled(f"{GROUPED}.relative_width", "self.pool_size", RATIO_OF_SIZES)),
    ):  # fmt: skip
        yield name, stage, statement, change, LIMITS
    for name, statement, change in (
        ("kernel-factor", "4.77, a kernel's length in sigmas",
            scaled(frontend, "4.77", "conv_win_factor: float = 4.77")),
        ("stride-factor", "1 half period", scaled(frontend, "1.0", "stride_factor: float = 1.0")),
        ("stride-pi", "pi of a half period", scaled(f"{GROUPED}.get_stride", "math.pi")),
    ):  # fmt: skip
        yield name, "filters", statement, change, detectors.beside_thresholds
    yield "exponent-start", "log1p.a", "5", scaled(frontend, "5"), partial(detectors.fresh, "efficientleaf")
    logarithm = partial(detectors.compression, "logarithm", SMALLEST_DRAW)
    for name, statement, around in (
        ("base-learned", "10, of a learned exponent", f"10 ** ({EXPONENT})"),
        ("base-fixed", "10, of a fixed exponent", "10**self.a"),
    ):
        yield name, "log1p", statement, scaled(LOG1P, "10", around), logarithm
    normalisation = partial(detectors.compression, "normalisation", QUIETEST_DRAW)
    for name, statement in (("eps", "1e-5, PyTorch's default"), ("momentum", "0.1, PyTorch's default")):
        change = scaled(NORM_INIT, BATCH_NORM, by=f"scaled_attribute(it, {name!r}, {{!r}})")
        yield f"norm-{name}", "batchnorm", statement, change, normalisation


LOG1P, WHOLE = "efficientleaf.compression:Log1p.forward", partial(detectors.compression, "whole", SMALLEST_DRAW)
BY_CALL = "functional_call(self.bn, dict({0}={{!r}} * self.bn.{0}), (flat,))"
PARAMETERS: tuple[Row, ...] = (
    ("log1p.a", "output", "the exponents of the logarithm", scaled(LOG1P, "self.a", "self.a.unsqueeze(-1)"), WHOLE),
    ("TBN.bn.weight", "output", "the scales of the norm",
        scaled(NORM, NORMALISED, by=BY_CALL.format("weight")), WHOLE),
    ("TBN.bn.bias", "output", "the offsets of the norm", scaled(NORM, NORMALISED, by=BY_CALL.format("bias")), WHOLE),
)  # fmt: skip
