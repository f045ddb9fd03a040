"""Run a subject on the float64 oracle, exactly or with a rounding at every stage. NumPy alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from parity.adapters import composed
from parity.cases.public_names import public
from parity.cases.subjects import Subject
from parity.criteria.outcome import Array, Outcome
from parity.oracle import measured_init, mel, sinc, spectral
from parity.oracle.arrays import clamp, clamp_adjoint, exact
from parity.oracle.chain import Chain
from parity.oracle.compression import Log
from parity.oracle.gabor import gabor, gabor_adjoint, wavelets_at, wavelets_at_adjoint
from parity.oracle.geometry import Box
from parity.oracle.pooling import gaussian_window, gaussian_window_adjoint
from parity.oracle.running import FLUSHED

Found = tuple[Array, dict[str, Array]]


def run(
    subject: Subject,
    variables: Mapping[str, Array] | None = None,
    rng: np.random.Generator | None = None,
    ulp: float = 0.0,
) -> Outcome:
    """Run a subject on the oracle.

    Gradients are those of every variable and argument, learned or not.

    Args:
        subject: what to run; its float32 input and variables are taken as they are.
        variables: values in place of the subject's own, by canonical name.
        rng, ulp: where given, the inputs of every stage are rounded, see :class:`parity.oracle.chain.Chain`.
    """
    try:
        held = _variables(subject, variables or {})
        c = Chain(exact(subject.input()) if subject.takes_input else np.zeros(()), held, rng, ulp)
        if subject.name in VALUES:
            return Outcome(VALUES[subject.name](subject))
        output, gradients = (
            _composed(c, subject) if subject.name not in _FUNCTIONS else _FUNCTIONS[subject.name](c, subject)
        )
    except ValueError as refusal:
        return Outcome(refused=type(refusal).__name__)
    if subject.name == "fft_conv1d":
        taps, n = held["filters"][:, 0].T, spectral.upper_power_of_2(subject.shape[1])
        losses = c.rounded(spectral.spectrum_l1(c.rounded(taps), n))
        slopes = c.rounded(spectral.spectrum_l1_adjoint(c.rounded(taps), n))
        of_losses = {"filters": (slopes + c.transform_noise(slopes)).T[:, np.newaxis]}
        return Outcome(output, held, gradients, losses, of_losses)
    moved = {name: c.rounded(value) for name, value in held.items()}
    total, of_losses = composed.penalties(subject, moved)
    # a sum of many terms of one sign, taken one after the other, errs by more than one rounding of it
    n_terms = 2 + subject.shape[1] if "FFTConv1D" in (subject.name, subject.arguments.get("conv1d_cls")) else 1
    of_losses = {name: slopes + np.sqrt(n_terms) * c.noise(slopes) for name, slopes in of_losses.items()}
    return Outcome(output, held, gradients, None if total is None else c.rounded(c.rounded(total)), of_losses)


def _variables(subject: Subject, given: Mapping[str, Array]) -> dict[str, Array]:
    """Return every variable and argument in float64: the given ones, the subject's, or the initialiser's."""
    shapes = {**(composed.shapes(subject) if public(subject.name).kind in ("layer", "frontend") else {})}
    drawn = subject.values({**shapes, **subject.tensors})
    start = composed.initial(subject) if set(shapes) - set(drawn) - set(given) else {}
    held = {**start, **drawn, **given}
    return {name: np.asarray(held[name], dtype=np.float64) for name in (*shapes, *subject.tensors)}


def _composed(c: Chain, subject: Subject) -> Found:
    """Run a layer or frontend."""
    shape = c.x.shape
    c.x = c.x[:, np.newaxis] if c.x.ndim == 2 else c.x.transpose(0, 2, 1)
    for stage in composed.stages(subject):
        stage.apply(c)
    output = c.x.transpose(0, 2, 1)
    d_x = c.back(subject.cotangent(output.shape).astype(np.float64).transpose(0, 2, 1))
    return output, {"input": d_x.transpose(0, 2, 1).reshape(shape), **c.gradients}


def _convolved(c: Chain, subject: Subject) -> Found:
    """``fft_conv1d`` and ``overlap_add_conv1d``."""
    filters = c.rounded(c.variables["filters"])[:, 0].T
    filters = filters + c.transform_noise(filters)
    x = c.rounded(c.x)[..., 0]
    x = x + c.transform_noise(x)
    n = subject.arguments.get("fft_length")
    output = (spectral.fft_conv(x, filters) if n is None else spectral.overlap_add(x, filters, n)).transpose(0, 2, 1)
    output = output + c.noise(output)
    d = c.rounded(subject.cotangent(output.shape)).transpose(0, 2, 1)
    d = d + c.transform_noise(d)
    if n is None:
        d_x, d_filters = spectral.fft_conv_adjoint(x, filters, d)
    else:
        d_x, d_filters = spectral.overlap_add_adjoint(x, filters, n, d)
    d_x, d_filters = c.product_rounded(d_x, d, filters), c.product_rounded(d_filters, x, d)
    return output, {"input": d_x[..., np.newaxis], "filters": d_filters.T[:, np.newaxis]}


def _limits(c: Chain, subject: Subject) -> Found:
    limits_of_sigma = Box.of_leaf(subject.arguments["kernel_size"])
    box = ((0.0, np.pi), (limits_of_sigma.sigma_low, limits_of_sigma.sigma_high))
    output = np.stack([clamp(c.x[:, i], *limits) for i, limits in enumerate(box)], axis=1)
    d = subject.cotangent(output.shape).astype(np.float64)
    d_x = np.stack([clamp_adjoint(c.x[:, i], d[:, i], *limits) for i, limits in enumerate(box)], axis=1)
    return c.rounded(output), {"input": c.rounded(d_x)}


def _log(c: Chain, subject: Subject) -> Found:
    Log(subject.arguments["log_offset"]).apply(c)
    output = c.rounded(c.x)
    return output, {"input": c.rounded(c.back(subject.cotangent(output.shape)))}


def _amplitude(c: Chain, subject: Subject) -> Found:
    i = subject.arguments["i"]
    x = c.rounded(c.x[:, i].T)
    x = x + c.transform_noise(x)
    n = x.shape[1]
    output = np.fft.fftshift(spectral.magnitudes(x[:1], x[1:])[0][0])
    d = np.fft.ifftshift(c.rounded(subject.cotangent((n,))))[np.newaxis]
    d_x = np.zeros(c.x.shape)
    d_x[:, i] = np.concatenate(spectral.magnitudes_adjoint(x[:1], x[1:], d + c.transform_noise(d))).T
    return c.rounded(output), {"input": c.rounded(d_x)}


def _wavelets_at(c: Chain, subject: Subject) -> Found:
    """Compute wavelets at times [W], of centres and deviations [C]: [C, W, 2]."""
    t, mu, sigma = c.rounded(c.x), c.variable("center"), c.variable("fwhm")
    values = wavelets_at(t, mu, sigma)
    output = c.rounded(values, FLUSHED).transpose(0, 2, 1)
    d = c.rounded(subject.cotangent(output.shape)).transpose(0, 2, 1)
    d_t, d_mu, d_sigma = wavelets_at_adjoint(t, mu, sigma, c.rounded(d), c.rounded)
    return output, {"input": c.rounded(d_t), "center": c.rounded(d_mu), "fwhm": c.rounded(d_sigma)}


def _wavelets(c: Chain, subject: Subject) -> Found:
    size = subject.arguments["size"]
    mu, sigma = c.rounded(c.x).T
    output = c.rounded(gabor(mu, sigma, size), FLUSHED).transpose(0, 2, 1)
    d = c.rounded(subject.cotangent(output.shape)).transpose(0, 2, 1)
    return output, {"input": c.rounded(np.stack(gabor_adjoint(mu, sigma, size, d), axis=1))}


def _sinc_at(c: Chain, subject: Subject) -> Found:
    t, frequency = c.rounded(c.x), c.variable("frequency")
    output = c.rounded(sinc.response(t, frequency))
    d_t, d_frequency = sinc.response_adjoint(t, frequency, c.rounded(subject.cotangent(output.shape)), c.rounded)
    return output, {"input": c.rounded(d_t), "frequency": c.rounded(d_frequency)}


def _sinc_filters(c: Chain, subject: Subject) -> Found:
    own = subject.arguments
    low, high = c.rounded(c.x[0]), c.variable("cutoff_freq_high")[0]
    output = c.rounded(sinc.band_pass(low, high, own["size"], own["sample_rate"], c.rounded)).T
    d = c.rounded(subject.cotangent(output.shape)).T
    found = sinc.band_pass_adjoint(low, high, own["size"], own["sample_rate"], d, c.rounded)
    d_low, d_high = (c.rounded(slope)[np.newaxis] for slope in found)
    return output, {"input": d_low, "cutoff_freq_high": d_high}


def _gaussian(c: Chain, subject: Subject) -> Found:
    size = subject.arguments["filter_size"]
    held = c.rounded(c.x.reshape(-1))
    width = c.rounded(clamp(held, 2.0 / size, 0.5))
    output = c.rounded(gaussian_window(width, size), FLUSHED).T.reshape(1, size, len(held), 1)
    d = c.rounded(subject.cotangent(output.shape)).reshape(size, len(held)).T
    d_width = clamp_adjoint(held, gaussian_window_adjoint(width, size, d), 2.0 / size, 0.5)
    return output, {"input": c.rounded(d_width.reshape(c.x.shape))}


def _preemp(subject: Subject) -> Array:
    if subject.shape != (2, 1, 1):
        raise ValueError(f"shape={subject.shape}: must be (2, 1, 1)")
    return np.reshape([-subject.arguments["alpha"], 1.0], (2, 1, 1))


def _gabor_of_mels(subject: Subject) -> Array:
    own = subject.arguments
    what, size = own.pop("property"), own.pop("window_len")
    normalize = own.pop("normalize_energy")
    band = own["sample_rate"], own["min_freq"], own["max_freq"]
    triangles = mel.triangles(own["n_filters"], own["n_fft"], *band, normalize)
    if what == "mel_filters":
        return triangles
    params = measured_init(own["n_filters"], *band, own["n_fft"])
    if what == "gabor_params_from_mels":
        return params
    return mel.wavelets(params, triangles, own["n_fft"], size).transpose(0, 2, 1)


def _sinc_init(subject: Subject) -> Array:
    own = subject.arguments
    return sinc.initial_cutoffs(subject.shape[0], own["sample_rate"], own["min_low_hz"], own["min_band_hz"])


def _lowpass_init(subject: Subject) -> Array:
    own, shape = subject.arguments, subject.shape
    size = int(own["sample_rate"] * own["window_len"] // 1000 + 1)
    if shape[-3 if len(shape) == 4 else 0] != size:
        raise ValueError(f"shape={shape}: must be of {size} samples")
    window = sinc.window(own["window_type"], size)
    return np.broadcast_to(window.reshape((size, 1, 1)), shape)


def _powers(subject: Subject) -> Array:
    return np.array([spectral.upper_power_of_2(int(n)) for n in subject.input()])


_FUNCTIONS: dict[str, Callable[[Chain, Subject], Found]] = {
    "fft_conv1d": _convolved, "overlap_add_conv1d": _convolved, "GaborConstraint": _limits, "log_compression": _log,
    "amplitude": _amplitude, "gabor_impulse_response": _wavelets_at, "gabor_filters": _wavelets,
    "sinc_impulse_response": _sinc_at, "sinc_filters": _sinc_filters, "gaussian_lowpass": _gaussian,
}  # fmt: skip
VALUES: dict[str, Callable[[Subject], Array]] = {
    "upper_power_of_2": _powers, "PreempInit": _preemp, "SincInit": _sinc_init, "LowpassInit": _lowpass_init,
    "GaborInit": lambda subject: composed.gabor_init(subject.shape, **subject.arguments), "Gabor": _gabor_of_mels,
    "hz2mel": lambda subject: sinc.hertz_to_mel(subject.input()),
    "mel2hz": lambda subject: sinc.mel_to_hertz(subject.input()),
    "window": lambda subject: sinc.window(subject.arguments["window_type"], subject.arguments["tmax"]),
}  # fmt: skip
