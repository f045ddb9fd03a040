"""The oracle of the original's other layers against mathematics: complex steps, and second formulations."""

from __future__ import annotations

import numpy as np
import pytest

from parity.adapters import composed, subject_oracle
from parity.cases.fixed import FIXED
from parity.cases.public_names import public
from parity.checks.subjects import ENVELOPE, ExpectedOfName
from parity.criteria import Exactly, OfMax
from parity.criteria.outcome import Outcome
from parity.oracle import compression, filters, gabor, geometry, mel, pooling, sinc, spectral
from parity.oracle.chain import Chain
from parity.oracle.pcen import MovingAverage
from parity_tests.meta.complex_steps import check_complex_steps

SAME = OfMax(1e-12, "the same function in another formulation: float64 sums and transforms of a thousand samples")
KNOWN = Exactly("by hand, without a rounding")
RNG = np.random.default_rng(0)


def normal(*shape):
    return RNG.standard_normal(shape)


def uniform(low, high, *shape):
    return RNG.uniform(low, high, shape)


HERTZ = (uniform(50, 2000, 3), uniform(2500, 7000, 3))
EXPONENTS, SCALES = np.array([5.0, 0.0, -1.0]), np.array([[0.5], [1.0], [2.0]])
TIMES = uniform(0.5, 9, 7) / 16000


def pair(forward, adjoint, *settings):
    """A function of its arguments alone, and its adjoint of arguments and cotangent: the gradient to each argument."""

    def back(*given):
        *arguments, d = given
        found = adjoint(*arguments, *settings, d)
        return (found if isinstance(found, tuple) else (found,))[: len(arguments)]

    return lambda *arguments: forward(*arguments, *settings), back


MEL = (spectral.mel_energies, spectral.mel_energies_adjoint)
ENERGIES = uniform(0.1, 2, 2, 3, 9)
FUNCTIONS = {  # forward and adjoint, arguments
    "sinc response": (pair(sinc.response, sinc.response_adjoint), TIMES[:, None], HERTZ[0][None]),
    "band-pass": (pair(sinc.band_pass, sinc.band_pass_adjoint, 25, 16000.0), *HERTZ),
    "cutoffs": (
        (lambda kernel: np.stack(sinc.cutoffs(kernel, 50, 50, 8000), axis=1),
         lambda kernel, d: (sinc.cutoffs_adjoint(kernel, 50, 50, 8000, *d.T),)),
        np.array([[90.0, 200.0], [-90.0, 400.0], [3000.0, -200.0], [2000.0, 3000.0]])),
    "fft convolution": (pair(spectral.fft_conv, spectral.fft_conv_adjoint), normal(2, 40), normal(3, 9)),
    "fft convolution, filters cut": (pair(spectral.fft_conv, spectral.fft_conv_adjoint), normal(1, 12), normal(2, 25)),
    "overlap-add": (pair(spectral.overlap_add, spectral.overlap_add_adjoint, 32), normal(2, 75), normal(3, 8)),
    "magnitudes": (
        pair(lambda *parts: spectral.magnitudes(*parts)[0], spectral.magnitudes_adjoint), normal(2, 16), normal(2, 16)),
    "spectrum's L1": (pair(spectral.spectrum_l1, spectral.spectrum_l1_adjoint, 32), normal(2, 9)),
    "mel energies": (pair(*MEL, np.ones((2, 17)), spectral.hann(25), 10, 32), normal(2, 77)),
    "mel energies, window cut": (pair(*MEL, np.ones((1, 9)), spectral.hann(25), 40, 16), normal(1, 77)),
    "maximum": (pair(pooling.max_pool, pooling.max_pool_adjoint, 5, 3, (1, 2)), normal(2, 3, 20)),
    "rectifier": (pair(pooling.rectified, pooling.rectified_adjoint, 0.2), normal(2, 3, 9)),
    "squared modulus": (pair(pooling.squared_modulus, pooling.squared_modulus_adjoint), normal(2, 5, 9)),
    "unit norm": (pair(filters.unit_norm, filters.unit_norm_adjoint), normal(3, 9)),
    "penalty": (
        (lambda w: filters.penalty(w, 0.3, 0.7), lambda w, d: (d * filters.penalty_adjoint(w, 0.3, 0.7),)),
        normal(3, 9)),
    "wavelets": (pair(gabor.wavelets_at, gabor.wavelets_at_adjoint), normal(9), uniform(0, 3, 3), uniform(2, 9, 3)),
    "log1p": (pair(compression.log1p, compression.log1p_adjoint, EXPONENTS), ENERGIES),
    "standardise": (
        (lambda x: compression.standardise(x, SCALES, 0.0, 1e-5, (0, 2)),
         lambda x, d: (compression.standardise_adjoint(x, SCALES, 1e-5, (0, 2), d)[0],)), ENERGIES),
    "median": (pair(compression.subtract_median, compression.subtract_median_adjoint), ENERGIES),
}  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
def test_adjoint_equals_complex_steps(name):
    (forward, adjoint), *arguments = FUNCTIONS[name]
    at = {str(i): argument for i, argument in enumerate(arguments)}
    d = normal(*np.shape(forward(*arguments)))
    gradients = dict(zip(at, adjoint(*arguments, d), strict=True))
    check_complex_steps(lambda moved: forward(*moved.values()), at, gradients, d)


COMPOSED = [s for name in FIXED if public(name).kind in ("layer", "frontend") for s in FIXED[name]
            if name != "SpecAugment" and s.weights != "default" and subject_oracle.run(s).refused is None]  # fmt: skip


@pytest.mark.parametrize("subject", COMPOSED, ids=str)
def test_chain_equals_complex_steps(subject):
    held = {**composed.shapes(subject), **subject.tensors}
    variables = {name: value.astype(np.float64) for name, value in subject.values(held).items()}
    audio = subject.input().astype(np.float64)
    x = audio[:, np.newaxis] if audio.ndim == 2 else audio.transpose(0, 2, 1)
    steps = composed.stages(subject)

    def run(values):
        chain = Chain(values["input"], {name: v for name, v in values.items() if name != "input"})
        for step in steps:
            step.apply(chain)
        return chain

    at = {"input": x, **variables}
    chain = run(at)
    d = normal(*chain.x.shape)
    gradients = {"input": chain.back(d), **chain.gradients}
    gradients = {name: gradient for name, gradient in gradients.items() if "simple_rnn" not in name}
    # what cancels to nothing is judged against a change of the whole output, too
    check_complex_steps(lambda moved: run(moved).x, at, gradients, d, np.abs(chain.x * d).sum())


@pytest.mark.parametrize(("n_samples", "n_taps"), [(40, 9), (64, 24), (33, 1), (12, 25)])
def test_fft_convolution_is_numpys(n_samples, n_taps):
    x, h = normal(2, n_samples), normal(3, n_taps)
    n = spectral.upper_power_of_2(n_samples)
    product = np.fft.rfft(x, n)[:, None] * np.fft.rfft(h, n).conj()
    expected = np.roll(np.fft.irfft(product, n), n_taps // 2 - 1, axis=-1)[..., :n_samples]
    assert SAME(spectral.fft_conv(x, h), expected).passes
    assert SAME(spectral.spectrum_l1(h, n), np.abs(np.fft.rfft(h, n)).sum()).passes


@pytest.mark.parametrize(("n_samples", "n_taps"), [(75, 8), (200, 9), (20, 1), (64, 32)])
def test_overlap_add_is_numpys(n_samples, n_taps):
    x, h, n = normal(2, n_samples), normal(3, n_taps), 32
    step, half = n - n_taps + 1, (n_taps - 1) // 2
    expected = np.zeros((2, 3, n_samples + 2 * n))
    for start in range(0, n_samples, step):
        block = np.pad(np.pad(x[:, start : start + step], ((0, 0), (half, 0))), ((0, 0), (0, n)))[:, :n]
        product = np.fft.rfft(block)[:, None] * np.fft.rfft(h, n).conj()
        expected[..., start : start + n] += np.roll(np.fft.irfft(product), n_taps // 2 - 1, axis=-1)
    expected = np.roll(expected[..., :n_samples], 1 - n_taps // 2, axis=-1)
    assert SAME(spectral.overlap_add(x, h, n), expected).passes


def test_inside_a_block_overlap_add_is_the_plain_correlation():
    x, h = normal(1, 100), normal(2, 9)
    plain = np.stack([np.correlate(np.pad(x[0], 4), taps, mode="valid") for taps in h])[None]
    assert SAME(spectral.overlap_add(x, h, 4096)[..., 8:-8], plain[..., 8:-8]).passes
    # and the circular one comes a sample earlier
    assert SAME(spectral.fft_conv(x, h)[..., 8:-9], plain[..., 9:-8]).passes


@pytest.mark.parametrize(("window", "stride", "n_fft"), [(25, 10, 32), (24, 30, 64), (40, 7, 16), (1, 3, 8)])
def test_mel_energies_are_numpys(window, stride, n_fft):
    x, matrix = normal(2, 100), uniform(0, 1, 3, n_fft // 2 + 1)
    n_frames = -(-100 // stride)
    padded = np.pad(x, ((0, 0), (0, window + stride * n_frames)))
    frames = np.stack([padded[:, i * stride : i * stride + window] for i in range(n_frames)], axis=1)
    periodic = window if window % 2 == 0 else window - 1
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / periodic) if window > 1 else np.ones(1)
    expected = (np.abs(np.fft.rfft(frames * hann, n_fft)) ** 2 @ matrix.T).transpose(0, 2, 1)
    assert SAME(spectral.mel_energies(x, matrix, spectral.hann(window), stride, n_fft), expected).passes


def test_magnitudes_are_numpys():
    re, im = normal(2, 25), normal(2, 25)
    assert SAME(spectral.magnitudes(re, im)[0], np.abs(np.fft.fft(re + 1j * im))).passes


def test_band_pass_is_the_difference_of_two_sincs():
    (low, high), t = HERTZ, np.arange(-12, 13) / 16000
    band = 2 * high[:, None] * np.sinc(2 * high[:, None] * t) - 2 * low[:, None] * np.sinc(2 * low[:, None] * t)
    assert SAME(sinc.band_pass(low, high, 25, 16000.0), band / band.max(axis=1, keepdims=True)).passes
    assert sinc.band_pass(low, high, 24, 16000).shape == (3, 25)


def test_windows_are_their_formulas():
    for size in (2, 24, 25):
        n = np.arange(size)
        hann = 0.5 * (1 - np.cos(2 * np.pi * (n - 1) / (size - 1)))
        assert SAME(1 + sinc.window("HANNING", size), 1 + hann).passes
        assert SAME(1 + sinc.window("SQUARED_HANNING", size), 1 + hann**2).passes
    assert KNOWN(sinc.window("HAMMING", 1).round(2), [0.08]).passes
    with pytest.raises(ValueError, match="size=1: must be at least 2"):
        sinc.window("HANNING", 1)


def test_mel_scale_there_and_back():
    hertz = np.array([0.0, 1.0, 700.0, 8000.0])
    assert SAME(sinc.mel_to_hertz(sinc.hertz_to_mel(hertz)), hertz).passes
    assert SAME(sinc.hertz_to_mel(6300.0), np.array(2595.0)).passes
    edges = sinc.initial_cutoffs(4, 16000, 50, 50)
    assert SAME(edges[:-1].sum(axis=1), edges[1:, 0]).passes
    assert SAME(edges[-1].sum(), np.array(7900.0)).passes


def test_powers_of_two():
    lengths = [1, 2, 3, 4, 5, 64, 65, 8191, 8192, 8193]
    expected = [1, 2, 4, 4, 8, 64, 128, 8192, 8192, 16384]
    assert KNOWN([spectral.upper_power_of_2(n) for n in lengths], expected).passes


def test_values_at_ties_are_tensorflows():
    tied = np.array([[[1.0, 1.0, 0.0, 1.0, 1.0, 1.0]]])
    d = np.arange(1.0, 7.0).reshape(1, 1, 6)
    assert KNOWN(pooling.max_pool_adjoint(tied, 3, 1, (1, 1), d), [[[3, 3, 0, 9, 6, 0]]]).passes
    assert KNOWN(pooling.rectified_adjoint(np.array([0.0, -1.0, 1.0]), 0.2, np.ones(3)), [0.2, 0.2, 1.0]).passes
    assert KNOWN(filters.penalty_adjoint(np.array([0.0, 2.0, -2.0]), 1.0, 0.5), [0, 3, -3]).passes
    assert KNOWN(filters.unit_norm_adjoint(np.zeros((1, 2)), np.ones((1, 2))), [[1 / 1e-7] * 2]).passes
    assert KNOWN(spectral.spectrum_l1_adjoint(np.zeros((1, 3)), 4), [[0, 0, 0]]).passes
    silent = np.zeros((1, 4)), np.zeros((1, 4))
    assert KNOWN(spectral.magnitudes_adjoint(*silent, np.ones((1, 4))), [np.zeros((1, 4))] * 2).passes


def test_moving_average_starts_from_the_state_that_it_is_given():
    chain = Chain(np.array([[[1.0, 1.0]]]), {"w": np.array([0.5]), "state": np.array([[3.0]])})
    MovingAverage("w", "state").apply(chain)
    assert KNOWN(chain.x, [[[2.0, 1.5]]]).passes


def test_wavelets_have_the_triangles_energy():
    triangles = mel.triangles(4, 512, 16000, 60, 7800, False)
    params = composed.gabor_init((4, 2), min_freq=60.0, max_freq=7800.0)
    taps = mel.wavelets(params, triangles, 512, 4001)
    energy = np.sum(taps**2, axis=(1, 2))
    assert OfMax(1e-9, "Gaussians cut at 20 deviations and more")(energy, mel.areas(triangles, 512)).passes
    unit = mel.triangles(4, 512, 16000, 60, 7800, True)
    assert SAME(mel.areas(unit, 512), np.ones(4)).passes


def test_too_few_samples_are_refused():
    with pytest.raises(ValueError, match="n=3: must be at least the window's 4 samples"):
        geometry.pads(3, 4, 1, "valid")
    assert geometry.pads(4, 4, 1, "VALID") == (0, 0)


def test_a_change_of_a_thousand_roundings_is_noticed():
    subject = FIXED["SincNet"][1]
    rounded = ExpectedOfName(subject)
    arrays = rounded.values
    off = {name: value.astype(np.float32) * np.float32(1 + 2**-13) for name, value in arrays.items()}
    for name, value in arrays.items():
        assert all(v.passes for v in rounded.judge(name, value.astype(np.float32))), name
    assert not all(v.passes for v in rounded.judge("output", off["output"]))
    assert not all(v.passes for v in rounded.judge("losses", off["losses"]))


@pytest.mark.parametrize(("value", "passes"), [(2.0**-60, True), (0.5, False)])
def test_a_constant_that_should_be_next_to_nothing_is_judged_against_1(value, passes):
    subject = next(s for s in FIXED["window"] if subject_oracle.run(s).output.size > 1)
    nothing = np.zeros_like(ExpectedOfName(subject).values["output"])
    verdicts = list(ExpectedOfName(subject, beside=Outcome(nothing)).judge("output", nothing + value))
    assert all(v.passes for v in verdicts) == passes


def test_the_envelope_is_that_of_its_draws(monkeypatch):
    drawn, run = [], subject_oracle.run
    monkeypatch.setattr(subject_oracle, "run", lambda *given: drawn.append(given) or run(*given))
    rounded = ExpectedOfName(FIXED["fft_conv1d"][0])
    rounded.spread("output", "float32")
    rounded.spread("output", "float32")
    assert sum(len(given) == 4 for given in drawn) == ENVELOPE.n_draws
