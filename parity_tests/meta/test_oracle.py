"""The oracle against mathematics: complex steps for its adjoints, mpmath for its functions."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parity.cases.case import Case
from parity.criteria import OfMax
from parity.oracle import LeafOracle, measured_init, mel_matrix
from parity.oracle.config import LeafConfig
from parity.oracle.gabor import gabor
from parity.oracle.geometry import same_pads
from parity.oracle.pcen import normalise
from parity.oracle.pooling import gaussian_window
from parity_tests.meta import second_formulation
from parity_tests.meta.complex_steps import check_complex_steps

mpmath.mp.dps = 40
POINT = OfMax(1e-13, "phase mu t up to 300 rad times 2^-53, a few roundings beside it")
SECOND = OfMax(2e-11, "float64 in another order; the subtraction of two powers loses digits where energies are small")

CONFIGS = {
    "pcen": LeafConfig(n_filters=3, sample_rate=2000),
    "shared smoother": LeafConfig(n_filters=3, sample_rate=2000, per_channel_smooth=False),
    "fixed smoother": LeafConfig(n_filters=2, sample_rate=2000, compression="fixed_pcen"),
    "log": LeafConfig(n_filters=2, sample_rate=2000, compression="log"),
    "no compression": LeafConfig(n_filters=2, sample_rate=2000, compression="none"),
    "pre-emphasis and norm": LeafConfig(n_filters=2, sample_rate=2000, preemp=True, mean_var_norm=True),
    "centred": LeafConfig(n_filters=2, sample_rate=2000, padding="centered"),
    "even window": LeafConfig(n_filters=2, sample_rate=2200, window_len=25.0),
}


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
@pytest.mark.parametrize("n_samples", [1, 19, 333])
def test_adjoints_equal_complex_steps(config, n_samples):
    case = Case(config=config, weights="trained", n_samples=n_samples, batch=2, seed=3)
    oracle = LeafOracle(config)
    at = {"input": case.input(), **case.variables()}
    at = {name: values.astype(np.float64) for name, values in at.items()}

    def output(values):
        variables = {name: v for name, v in values.items() if name != "input"}
        return oracle.stages(variables, values["input"])["output"]

    cotangent = case.cotangent(output(at).shape).astype(np.float64)
    gradients = oracle.gradients({k: v for k, v in at.items() if k != "input"}, at["input"], cotangent)
    check_complex_steps(output, at, gradients, cotangent)


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
@pytest.mark.parametrize("n_samples", [1, 19, 333])
@pytest.mark.parametrize("weights", ["trained", "outside"])
def test_the_oracle_equals_a_second_formulation(config, n_samples, weights):
    case = Case(config=config, weights=weights, n_samples=n_samples, batch=2, seed=4)
    variables, x, oracle = case.variables(), case.input(), LeafOracle(config)
    output = oracle.stages(variables, x)["output"]
    cotangent = case.cotangent(output.shape)
    expected, slopes = second_formulation.run(
        variables, x, cotangent, config.window, config.stride, is_same=config.padding == "same",
        compression=config.compression, floor=config.pcen_floor,
    )  # fmt: skip
    assert SECOND(output, expected).passes
    gradients = oracle.gradients(variables, x, cotangent)
    assert set(slopes) - set(gradients) <= {name for name in slopes if "simple_rnn" in name}  # fixed
    for name, gradient in gradients.items():
        # a gradient that vanishes, of a clamped parameter or of a norm over one frame, is judged against 1
        verdict = SECOND(np.append(gradient, 1.0), np.append(slopes[name], 1.0))
        assert verdict.passes, f"{name}: {verdict}"


@given(mu=st.floats(0, np.pi), sigma=st.floats(1.5, 150), width=st.floats(0.01, 0.5))
def test_filters_and_windows_equal_mpmath(mu, sigma, width):
    t = [-200, -77, -1, 0, 3, 200]
    m, s = mpmath.mpf(mu), mpmath.mpf(sigma)
    envelope = [mpmath.exp(-(mpmath.mpf(k) ** 2) / (2 * s**2)) / (mpmath.sqrt(2 * mpmath.pi) * s) for k in t]
    expected = [[float(mpmath.cos(m * k) * e) for k, e in zip(t, envelope, strict=True)],
                [float(mpmath.sin(m * k) * e) for k, e in zip(t, envelope, strict=True)]]  # fmt: skip
    got = gabor(np.array([mu]), np.array([sigma]), 401)[0][:, [k + 200 for k in t]]
    assert POINT(got, np.array(expected)).passes
    z = [(mpmath.mpf(k) - 200) / (mpmath.mpf(width) * 200) for k in (100, 200, 399)]
    expected = [float(mpmath.exp(-(v**2) / 2)) for v in z]
    assert POINT(gaussian_window(np.array([width]), 401)[0][[100, 200, 399]], np.array(expected)).passes


@given(
    x=st.floats(1e-5, 1e6), m=st.floats(1e-5, 1e6), alpha=st.floats(0, 1), delta=st.floats(1e-6, 1e3),
    r=st.floats(0.01, 1), eps=st.sampled_from([1e-12, 1e-6]),
)  # fmt: skip
def test_pcen_equals_mpmath_without_cancellation(x, m, alpha, delta, r, eps):
    d, p = mpmath.mpf(delta), mpmath.mpf(r)
    expected = (mpmath.mpf(x) * (mpmath.mpf(eps) + mpmath.mpf(m)) ** -mpmath.mpf(alpha) + d) ** p - d**p
    arrays = [np.array([v]) for v in (alpha, delta, r)]
    got = normalise(np.full((1, 1, 1), x), np.full((1, 1, 1), m), *arrays, eps)
    assert POINT(got.ravel(), np.array([float(expected)])).passes


def test_pcen_at_delta_zero_is_a_power():
    one = np.ones((1, 1, 1))
    got = normalise(4 * one, one, np.array([0.0]), np.array([0.0]), np.array([0.5]), 1e-12)
    assert got.ravel().tolist() == [2]


@pytest.mark.parametrize(("n", "window", "stride", "pads"), [
    (16000, 401, 160, (120, 121)), (16001, 401, 160, (200, 200)), (1, 401, 160, (200, 200)), (5, 2, 1, (0, 1)),
    (22050, 552, 220, (251, 251)), (100, 3, 10, (0, 0)),
])  # fmt: skip
def test_same_padding_is_tensorflows(n, window, stride, pads):
    # the definition: ceil(n / stride) frames, total padding split with the odd sample on the right
    assert same_pads(n, window, stride) == pads


def test_mel_triangles_peak_at_one_and_add_up():
    matrix = mel_matrix(4, 20001, 16000, 60, 7800)
    inside = matrix.sum(axis=0)[3000:9000]
    assert np.all(matrix.max(axis=1) <= 1)
    assert OfMax(6e-4, "half a bin (0.2 Hz, 0.3 mel at 60 Hz) beside the peak of a triangle 565 mel wide")(
        matrix.max(axis=1), np.ones(4)
    ).passes
    assert POINT(inside, np.ones_like(inside)).passes


def test_default_init_counts_bins():
    # the lowest of 40 triangles peaks at bin 3 of 512 and is at least half high (root) at two bins
    init = measured_init(40)
    assert init.shape == (40, 2)
    by_hand = np.array([3 * 2 * np.pi / 512, np.sqrt(2 * np.log(2)) * 512 / (2 * np.pi)])
    assert POINT(init[0], by_hand).passes
    assert np.all(np.diff(init[:, 0]) > 0)
