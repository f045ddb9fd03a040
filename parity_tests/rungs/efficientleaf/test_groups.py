"""Rung 3 in groups against the oracle's own plan, energies and gradients, and LogTBN by formula."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

import leaf
from efficientleaf import EfficientLeaf, GroupedGaborFilterbank, LogTBN
from parity.adapters import canonical
from parity.adapters.efficientleaf import EfficientLeafAdapter
from parity.checks.compressions import Normalised, filtered_terms
from parity.checks.grid import Context, Expected, compare
from parity.checks.plans import EDGES, PUBLISHED, SEEDS, Setting, certain, differing, plans, projection
from parity.checks.plans import expected as planned_for
from parity.criteria import Exactly, OfMax, RelativeL2, status
from parity.oracle import SIMPLIFIED, Box, Geometry, LeafOracle, compression, plan_groups
from parity.oracle.config import LeafConfig
from parity.oracle.geometry import clamped

DIFFERS = Exactly("one number differs")
EXACT = OfMax(2e-14, "the same function in float64: a hundred roundings of 2^-53, a phase counting by its envelope")
GRADIENT = RelativeL2(1e-12, "as the forward pass, and sums over stages, bands and frames that may cancel two digits")
SCALE_GRADIENT = RelativeL2(4 * 2.0**-53, "a few roundings of the terms that it adds up; observed: 0.8 of one")
BANK = ("center_freqs", "bandwidths", "pooling_widths")
PCEN = {"s": "PCEN/EMA/smooth", "alpha": "PCEN/alpha", "delta": "PCEN/delta", "r": "PCEN/root"}
BN_EPS, MOMENTUM = 1e-5, 0.1  # torch.nn.BatchNorm1d's, which the published implementation takes


def context(domain, case):
    reproduce = (
        f"pytest parity_tests/rungs/efficientleaf/test_groups.py -k {'groups' if 'groups' in domain else 'logtbn'}"
    )
    return Context("efficientleaf", "oracle", domain, case, reproduce, dtype="float64")


def check(ledger, where, stage, property, criterion, candidate, expected):
    candidate = candidate.detach().numpy()
    ledger.check(where.measurement(stage, property, status(candidate, expected), "algebraic"))
    ledger.check(where.measurement(stage, property, criterion(candidate, expected), "algebraic"))


@st.composite
def grouped(draw):
    """Arguments of a frontend, and a seed."""
    n_filters = draw(st.integers(1, 8))
    rate = draw(st.sampled_from([2000, 8000, 11025, 16000, 22050]))
    return {
        "n_filters": n_filters,
        "num_groups": draw(st.integers(1, n_filters)),
        "max_freq": 0.49 * rate,
        "sample_rate": rate,
        "window_len": draw(st.sampled_from([25.0, 25.0, 8.5])),
        "window_stride": draw(st.sampled_from([10.0, 10.0, 7.0])),
        "conv_win_factor": draw(st.floats(2, 8)),
        "stride_factor": draw(st.floats(0.5, 20)),
    }, draw(st.integers(0, 2**31 - 1))


def built(arguments, seed):
    """A float64 frontend with drawn weights of which some lie outside the limits, and the same by canonical names."""
    module = EfficientLeaf(**arguments, compression="pcen").double().eval()
    rng = np.random.default_rng(seed)
    n, box = arguments["n_filters"], Box.of_efficientleaf(module.filterbank.pool_size)
    values = {
        "center_freqs": rng.uniform(-0.2, 3.4, n),
        "bandwidths": np.exp(rng.uniform(np.log(0.8 * box.sigma_low), np.log(1.1 * box.sigma_high), n)),
        "pooling_widths": rng.uniform(0.8 * box.width_low, 0.6, n),
        "s": rng.uniform(0.01, 0.99, n), "alpha": rng.uniform(0.1, 1.2, n),
        "delta": np.exp(rng.uniform(-4, 2, n)), "r": rng.uniform(0.8, 4, n),
    }  # fmt: skip
    with torch.no_grad():
        for name, value in values.items():
            getattr(module.filterbank if name in BANK else module.compression, name).copy_(torch.from_numpy(value))
    variables = {known: values[name] for name, known in PCEN.items()}
    variables["kernel"] = np.stack([values["center_freqs"], values["bandwidths"]], axis=1)
    variables["learnable_pooling/kernel"] = values["pooling_widths"].reshape(1, 1, n, 1)
    return module, variables


def planned(module, variables, arguments):
    """The oracle's geometry for these weights, from the arguments alone."""
    config = LeafConfig(arguments["n_filters"], arguments["sample_rate"], arguments["window_len"],
                        arguments["window_stride"], padding="centered")  # fmt: skip
    box = Box.of_efficientleaf(config.window)
    mu, sigma, _ = clamped(variables["kernel"], variables["learnable_pooling/kernel"].reshape(-1), box)
    groups = plan_groups(mu, sigma, arguments["num_groups"], config.window, config.stride,
                         arguments["conv_win_factor"], arguments["stride_factor"])  # fmt: skip
    return config, Geometry(config.window, config.stride, "centered", box, groups)


@given(drawn=grouped(), n_samples=st.sampled_from([1, 50, 321, 1600]))
@example(drawn=({"n_filters": 1, "num_groups": 1, "max_freq": 980.0, "sample_rate": 2000, "window_len": 25.0,
                 "window_stride": 10.0, "conv_win_factor": 2.0, "stride_factor": 20.0}, 0), n_samples=321)  # fmt: skip
def test_groups_energies_and_gradients_are_the_oracles(ledger, drawn, n_samples):
    arguments, seed = drawn
    module, variables = built(arguments, seed)
    config, geometry = planned(module, variables, arguments)
    numbers = [(g.start, g.stop, g.kernel_size, g.conv_stride, g.window_size, g.pool_stride) for g in geometry.groups]
    assert [(g.start, g.stop, g.kernel_size, g.conv_stride, g.window_size, g.pool_stride)
            for g in module.filterbank.groups()] == numbers  # fmt: skip

    rng = np.random.default_rng([seed, 1])
    x = rng.uniform(-1, 1, (2, n_samples))
    oracle = LeafOracle(config, SIMPLIFIED, geometry)
    expected = oracle.stages(variables, x)
    where = context("drawn groups", f"seed={seed},n_samples={n_samples},{arguments}")
    audio = torch.from_numpy(x).requires_grad_()
    output = module(audio)
    check(ledger, where, "pool", "forward", EXACT, module.filterbank(audio), expected["pool"])
    check(ledger, where, "output", "forward", EXACT, output, expected["output"])

    cotangent = rng.standard_normal(expected["output"].shape)
    parameters = [audio, *module.parameters()]
    output.backward(torch.from_numpy(cotangent), inputs=parameters)
    for parameter in parameters[1:]:  # the smoother of a single frame takes no part
        parameter.grad = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
    mu, sigma, width = (getattr(module.filterbank, name).grad.numpy() for name in BANK)
    got = {"input": audio.grad.numpy(), "kernel": np.stack([mu, sigma], axis=1)}
    got["learnable_pooling/kernel"] = width.reshape(1, 1, -1, 1)
    got.update({known: getattr(module.compression, name).grad.numpy() for name, known in PCEN.items()})
    expected = Expected(config, variables, x, cotangent, subtracts=False, conventions=SIMPLIFIED, geometry=geometry)
    for measurement in compare(where, got, expected):
        ledger.check(measurement)


# the checks of plans, whose draws must reach what they are for


def test_plans_energies_and_projections_are_the_oracles(ledger):
    for measurement in plans():
        ledger.check(measurement)


@pytest.mark.parametrize("setting", PUBLISHED, ids=str)
def test_nothing_of_the_initial_weights_stands_within_rounding_of_a_threshold(setting):
    adapter = EfficientLeafAdapter()
    variables = adapter.read(adapter.build(setting.config, **setting.options))
    assert all(certain(setting, variables, setting.geometry(variables), "float32"))


@pytest.mark.parametrize("setting", [*PUBLISHED, *EDGES], ids=str)
def test_most_groups_are_decided(setting):
    drawn = [setting.draw(seed) for seed in SEEDS]
    decided = [c for variables in drawn for c in certain(setting, variables, setting.geometry(variables), "float32")]
    assert 2 * sum(decided) > len(decided)


def test_settings_reach_long_strides_several_kernels_and_single_groups():
    geometries = [planned_for(setting, seed).oracle.geometry for setting in EDGES for seed in SEEDS]
    groups = [g for geometry in geometries for g in geometry.groups]
    strides = {g.conv_stride for g in groups}
    assert {1, 2} < strides
    assert any(g.pool_stride == 1 for g in groups)
    assert any(len({g.kernel_size for g in geometry.groups}) > 1 for geometry in geometries)
    assert any(len(geometry.groups) == 1 and geometry.groups[0].conv_stride > 1 for geometry in geometries)


def test_weights_lie_on_both_sides_of_every_limit():
    drawn = [(setting.geometry(setting.draw(seed)).box, setting.draw(seed)) for setting in EDGES for seed in SEEDS]
    mu, sigma = (np.concatenate([v[canonical.KERNEL][:, i] for _, v in drawn]) for i in (0, 1))
    assert mu.min() < 0 < np.pi < mu.max()
    assert any((v[canonical.KERNEL][:, 1] < box.sigma_low).any() for box, v in drawn)
    assert any((v[canonical.KERNEL][:, 1] > box.sigma_high).any() for box, v in drawn)
    assert any((v[canonical.POOLING] < box.width_low).any() for box, v in drawn)
    assert sigma.min() > 0


def test_every_learned_variable_is_projected_or_left():
    measured = {m.stage for m in projection(Setting(5, 5))}
    learned = ("KERNEL", "POOLING", "ALPHA", "DELTA", "ROOT", "SMOOTH")
    assert measured == {getattr(canonical, name) for name in learned}


def test_a_group_on_a_threshold_is_decided_in_no_precision():
    setting = Setting(2, 2, 4.0, 1.0)
    variables = {name: value.astype(np.float64) for name, value in setting.draw(0).items()}
    variables[canonical.KERNEL] = np.array([[np.pi / 2, 8.3], [1.1, 8.0]])
    for dtype in ("float32", "float64"):
        assert certain(setting, variables, setting.geometry(variables), dtype) == [False, False]


def test_a_plan_that_differs_is_counted():
    setting = Setting(2, 2, 4.0, 1.0)
    groups = setting.geometry(setting.draw(0)).groups
    other = [(g.start, g.stop, g.kernel_size + 2, g.conv_stride, g.window_size, g.pool_stride) for g in groups]
    context = Context("efficientleaf", "oracle", "plans", "", "")
    measured = differing(context, [(other, groups, [True, False])])
    assert DIFFERS(measured.observed, 1).passes
    assert "1 groups decided, 1 within" in measured.reason
    assert not measured.holds


# LogTBN


def energies(seed, n_bands, n_frames):
    return 10 ** np.random.default_rng([seed, 2]).uniform(-6, 1, (3, n_bands, n_frames))


def logtbn(seed, n_bands):
    """The published default compression with drawn parameters: module, a [C], gamma and beta [2 C]."""
    rng = np.random.default_rng(seed)
    module = LogTBN(n_bands, a=5, trainable=True, per_band=True, median_filter=True, append_filtered=True).double()
    a, gamma, beta = rng.uniform(2, 6, n_bands), rng.uniform(0.5, 2, 2 * n_bands), rng.uniform(-1, 1, 2 * n_bands)
    for parameter, value in ((module.log1p.a, a), (module.TBN.bn.weight, gamma), (module.TBN.bn.bias, beta)):
        parameter.data.copy_(torch.from_numpy(value))
    return module, a, gamma, beta


def stacked(x, a):
    """Plain and median-filtered logarithms, as 2 C bands."""
    logs = compression.log1p(x, a)
    return np.concatenate([logs, compression.subtract_median(logs)], axis=1)


DRAWN = {"seed": st.integers(0, 2**31 - 1), "n_bands": st.integers(1, 5), "n_frames": st.integers(2, 40)}


@example(seed=11353455, n_bands=1, n_frames=2)  # the terms of the gradient to log1p.a cancel by five digits
@given(**DRAWN)
def test_logtbn_in_training(ledger, seed, n_bands, n_frames):
    module, a, gamma, beta = logtbn(seed, n_bands)
    x = energies(seed, n_bands, n_frames)
    inside = stacked(x, a)
    expected = compression.standardise(inside, gamma[:, None], beta[:, None], BN_EPS, (0, 2))
    where = context("LogTBN", f"seed={seed},n_bands={n_bands},n_frames={n_frames}")
    audio = torch.from_numpy(x).requires_grad_()
    output = module.train()(audio)
    check(ledger, where, "output", "forward", EXACT, output, expected.reshape(3, 2, n_bands, n_frames))

    cotangent = np.random.default_rng([seed, 3]).standard_normal(inside.shape)
    output.backward(torch.from_numpy(cotangent).reshape(output.shape))
    d, d_gamma, d_beta = compression.standardise_adjoint(inside, gamma[:, None], BN_EPS, (0, 2), cotangent)
    logs = compression.log1p(x, a)
    d = d[:, :n_bands] + compression.subtract_median_adjoint(logs, d[:, n_bands:])
    d_x, d_a = compression.log1p_adjoint(x, a, d)
    norm = module.TBN.bn
    check(ledger, where, "input", "input gradient", GRADIENT, audio.grad, d_x)
    # beside the sum of the magnitudes of its terms, which cancel: the error is relative to that
    sizes = Normalised(inside, {"weight": gamma, "bias": beta}, training=True).adjoint_sizes(cotangent)[0]
    terms = compression.log1p_adjoint(x, a, sizes[:, :n_bands] + filtered_terms(logs, sizes[:, n_bands:]))[1]
    scaled = torch.cat([module.log1p.a.grad, torch.from_numpy(terms)])
    check(ledger, where, "log1p.a", "parameter gradient", SCALE_GRADIENT, scaled, np.append(d_a, terms))
    for name, got, wanted in (("bn.weight", norm.weight, d_gamma), ("bn.bias", norm.bias, d_beta)):
        check(ledger, where, name, "parameter gradient", GRADIENT, got.grad, wanted)

    # one step of the running statistics from (0, 1), with the unbiased variance
    n = inside.shape[0] * n_frames
    mean, variance = inside.mean(axis=(0, 2)), inside.var(axis=(0, 2)) * n / (n - 1)
    check(ledger, where, "running_mean", "forward", EXACT, norm.running_mean, MOMENTUM * mean)
    check(ledger, where, "running_var", "forward", EXACT, norm.running_var, 1 - MOMENTUM + MOMENTUM * variance)


@given(**DRAWN)
def test_logtbn_in_evaluation(ledger, seed, n_bands, n_frames):
    module, a, gamma, beta = logtbn(seed, n_bands)
    rng = np.random.default_rng([seed, 4])
    mean, variance = rng.uniform(-3, 3, 2 * n_bands), rng.uniform(0.01, 4, 2 * n_bands)
    module.TBN.bn.running_mean.copy_(torch.from_numpy(mean))
    module.TBN.bn.running_var.copy_(torch.from_numpy(variance))
    x = energies(seed, n_bands, n_frames)
    scale = (gamma / np.sqrt(variance + BN_EPS))[:, None]
    expected = ((stacked(x, a) - mean[:, None]) * scale + beta[:, None]).reshape(3, 2, n_bands, n_frames)
    where = context("LogTBN", f"evaluation,seed={seed},n_bands={n_bands},n_frames={n_frames}")
    check(ledger, where, "output", "forward", EXACT, module.eval()(torch.from_numpy(x)), expected)


@pytest.mark.parametrize(("append", "shape"), [(True, (3, 2, 4, 9)), (False, (3, 4, 9))])
def test_logtbn_replaces_or_appends(append, shape):
    x = energies(0, 4, 9)
    module = LogTBN(4, affine=False, median_filter=True, append_filtered=append).double()
    filtered = compression.subtract_median(np.log1p(x))
    expected = compression.standardise(filtered, 1.0, 0.0, BN_EPS, (0, 2))
    got = module(torch.from_numpy(x))
    assert got.shape == shape
    assert EXACT((got[:, 1] if append else got).numpy(), expected).passes


def test_a_group_of_filters_at_zero_hertz_takes_the_largest_stride():
    bank = GroupedGaborFilterbank(2, 2, 60.0, 7800.0, 16000, 401, 160)
    bank.center_freqs.data[0] = -1.0
    assert bank.groups()[0].conv_stride == 160
    assert bank(torch.rand(1, 500)).isfinite().all()


def test_same_weights_as_leaf():
    # both start from the same analytic init, so what differs between them is the approximation alone
    ours, theirs = EfficientLeaf().filterbank.state_dict(), leaf.Leaf().filterbank.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
