"""The constants of rungs 0 and 1, whose files are each other's mirror image."""

from __future__ import annotations

from parity.adapters import canonical
from parity.mutation.constants import RungConstant, Sized
from parity.mutation.detectors import Detector, Scene, half_peaks, own_eps, own_mel, start
from parity.mutation.planting import Patch, replacing, scaled, shifted

# As small as they can be and still have what is asked for in them.
OUTSIDE = "weights=outside,n_filters=8,sample_rate=4000,n_samples=200,seed=1"  # every limit, from either side
INSIDE = "weights=drawn,n_filters=3,sample_rate=4000,signal=impulse_first,n_samples=400,seed=5,amplitude=10.0"
QUIET = "weights=trained,n_filters=3,sample_rate=4000,n_samples=400,amplitude=0.001,pcen_floor=1e-06"
FLOORED = "weights=trained,n_filters=3,sample_rate=4000,n_samples=200,amplitude=0.001,compression=none"
LOGARITHM = "weights=trained,n_filters=3,sample_rate=4000,n_samples=200,amplitude=0.001,compression=log"
STEADY = "weights=trained,n_filters=3,sample_rate=4000,n_samples=400,amplitude=0.05,compression=none,mean_var_norm=True"
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
    ),
}


def of(rung: str) -> tuple[RungConstant, ...]:
    """The constants of ``tf_leaf`` or ``og_leaf``."""
    method = {"tf_leaf": "call", "og_leaf": "forward"}[rung]
    features = {"tf_leaf": "_features", "og_leaf": "forward"}[rung]
    step = {"tf_leaf": "tf_leaf-clean", "og_leaf": "og_leaf"}[rung]
    outside, inside, quiet = (Scene(step, case) for case in (OUTSIDE, INSIDE, QUIET))
    mel, fresh = own_mel(rung), start(rung, lambda probe: probe.constants())
    measured = start(rung, lambda probe: probe.measured(23, 16000))

    def at(path: str, expression: str, inside: str = "") -> Sized:
        return scaled(f"{rung}.{path}", expression, inside)

    def one(name: str, stage: str, statement: str, change: Sized, detector: Detector) -> RungConstant:
        return RungConstant(rung, name, stage, statement, change, detector)

    init, params = "frontend:Leaf.__init__", "melfilters:Gabor.gabor_params_from_mels"
    limits = f"convolution:GaborConstraint.{'__call__' if rung == 'tf_leaf' else 'forward'}"
    wavelet, window = (f"impulse_responses:{f}" for f in ("gabor_impulse_response", "gaussian_lowpass"))
    smoother, pcen = (f"postprocessing:{c}.{method}" for c in ("ExponentialMovingAverage", "PCENLayer"))
    layer, default = "postprocessing:PCENLayer.__init__", "frontend:_compression"
    double = {"tf_leaf": "2 * tf.squeeze(means, axis=2)", "og_leaf": "2 * means"}[rung]
    norm = {"tf_leaf": "postprocessing:InstanceNormalization.__init__", "og_leaf": init}[rung]
    # where a number stands more than once: what is around it
    gabor = "GaborInit(sample_rate=16000, min_freq=60.0, max_freq=7800.0)"
    log_2, half, clipped, limited, middle, around, exponent, clip, alpha, root = AROUND[rung]
    fixed = {"tf_leaf": "PCENLayer._fixed_smoother", "og_leaf": "SimpleRNN.__init__"}[rung]
    return (
        one("mel-break", "mel", "700 Hz, where the mel scale bends", _mel_break(rung), mel),
        one("mel-rate", "mel", "16000 Hz, whatever the rate", at(init, "16000", gabor), mel),
        one("mel-lowest", "mel", "60 Hz, the lowest corner", at(init, "60.0"), mel),
        one("mel-highest", "mel", "7800 Hz, the highest corner", at(init, "7800.0"), mel),
        one("bins-to-radians", "init", "2 of the 2 pi that a turn has", at(params, "2"), measured),
        one("bins-to-radians-pi", "init", "pi of that", at(params, "math.pi", "centers * 2 * math.pi"), measured),
        one("width-2", "init", "2 of sqrt(2 log 2)", at(params, "2.0", f"_ * {log_2}"), measured),
        one("width-log-2", "init", "the other 2 of it", at(params, "2.0", log_2), measured),
        one("width-pi", "init", "pi under it", at(params, "math.pi", "math.pi * n_wide"), measured),
        one("half-peak", "init", "half of the peak, where bins are counted", at(params, "2.0", half), half_peaks(rung)),
        one("preemp-earlier", canonical.PREEMP, "0.97", at("initializers:PreempInit.__init__", "0.97"), fresh),
        one("preemp-later", canonical.PREEMP, "1", at("initializers:PreempInit.__call__", "1.0"), fresh),
        one("pooling-start", canonical.POOLING, "0.4", at(init, "0.4"), fresh),
        one("alpha-start", canonical.ALPHA, "0.96", at(default, "0.96"), fresh),
        one("smooth-start", canonical.SMOOTH, "0.04", at(default, "0.04"), fresh),
        one("delta-start", canonical.DELTA, "2", at(default, "2.0"), fresh),
        one("root-start", canonical.ROOT, "2", at(layer, "2.0", "root: float = 2.0"), fresh),
        one("eps-start", "pcen", "1e-12", at(default, "1e-12"), fresh),
        one("alpha-of-the-layer", canonical.ALPHA, "0.96", at(layer, "0.96"), fresh),
        one("smooth-of-the-layer", canonical.RNN_KERNEL, "0.04", at(layer, "0.04"), fresh),
        one("delta-of-the-layer", canonical.DELTA, "2", at(layer, "2.0", "delta: float = 2.0"), fresh),
        one("eps-of-the-layer", "pcen", "1e-6", at(layer, "1e-6"), own_eps(rung)),
        one("recurrence", canonical.RNN_RECURRENT, "1 of 1 - s", at(f"postprocessing:{fixed}", "1.0"), fresh),
        one("mu-least", "filters", "0", shifted(f"{rung}.{limits}", "0.0"), outside),
        one("mu-most", "filters", "pi", at(limits, "math.pi", clipped), outside),
        one("sigma-least", "filters", "4 bins", at(limits, "4"), outside),
        one("sigma-per-sample", "filters", "2 of sqrt(2 log 2) / pi", at(limits, "2", "_ * math.log(2)"), outside),
        one("sigma-per-sample-log-2", "filters", "the other 2 of it", at(limits, "2", "math.log(2)"), outside),
        one("sigma-per-sample-pi", "filters", "pi of it", at(limits, "math.pi", "math.sqrt(2 * math.log(2)) / _"),
            outside),
        one("height-2", "filters", "2 of sqrt(2 pi) sigma", at(wavelet, "2.0", "2.0 * math.pi"), inside),
        one("height-pi", "filters", "pi of it", at(wavelet, "math.pi"), inside),
        one("exponent-2", "filters", "2 of 2 sigma^2", at(wavelet, "2.0", "2.0 * fwhm**2"), inside),
        one("width-least", "windows", "2 samples", at(window, "2.0"), outside),
        one("width-most", "windows", "0.5", at(window, "0.5", limited), outside),
        one("window-middle", "windows", "half of W - 1, where it stands", at(window, "0.5", middle), inside),
        one("window-half", "windows", "half of W - 1, what its width is relative to", at(window, "0.5", around),
            inside),
        one("window-exponent", "windows", "0.5 of the exponent", at(window, "0.5", exponent), inside),
        one("modulus-2", "modulus", "2 of twice the mean of two squares",
            at(f"frontend:SquaredModulus.{method}", double), inside),
        one("floor", "output", "1e-5, the least energy", at(f"frontend:Leaf.{features}", "1e-05"),
            Scene(step, FLOORED)),
        one("log-offset", "output", "1e-5, added before the logarithm", at("frontend:log_compression", "1e-05"),
            Scene(step, LOGARITHM)),
        one("smooth-least", "ema", "0", shifted(f"{rung}.{smoother}", "0.0"), outside),
        one("smooth-most", "ema", "1", at(smoother, "1.0", clip), outside),
        one("smooth-rest", "ema", "1 of 1 - s", at(smoother, "1.0", "1.0 - w"), inside),
        one("alpha-most", "pcen", "1", at(pcen, "1.0", alpha), outside),
        one("root-least", "pcen", "1", at(pcen, "1.0", root), outside),
        one("root-inverse", "pcen", "1 of 1 / root", at(pcen, "1.0", "1.0 / root"), inside),
        one("eps", "pcen", "the floor of the smoother as it is added", at(pcen, "self._floor"), quiet),
        one("norm-eps", "norm", "1e-6, added to the variance", at(norm, "1e-06"), Scene(step, STEADY, rebuilt=True)),
    )  # fmt: skip


def _mel_break(rung: str) -> Sized:
    if rung == "og_leaf":
        return scaled("og_leaf.melfilters:_hertz_to_mel", "700.0")
    hertz = "tensorflow.python.ops.signal.mel_ops:_MEL_BREAK_FREQUENCY_HERTZ"
    return lambda factor: Patch(replacing(hertz, lambda own: factor * own), "the number is TensorFlow's own")
