"""Rung 1's layers have TensorFlow's gradient at ties and limits, and its way of rounding up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch

import og_leaf
from parity.adapters import subject_oracle
from parity.adapters import subject_torch as adapter
from parity.cases.subjects import Subject
from parity.criteria import Exactly, OfMax, RelativeL2, status
from parity.oracle import spectral

FORWARD = OfMax(1e-6, "float32: sums of a few tens of terms, a unit in the last place for each factor")
SLOPE = RelativeL2(2e-6, "float32: sums of a few tens of products, twice a unit in the last place for each factor")
POWERS = Exactly("powers of two")
LONG = OfMax(3e-6, "float32 transforms of 8192 samples: 13 stages, two units in the last place each")


@dataclass(frozen=True)
class Given(Subject):
    """A subject on an input, or variables, of its own."""

    x: np.ndarray | None = field(default=None, compare=False)
    held: Mapping[str, float | list[float]] = field(default_factory=dict, compare=False)

    def input(self):
        return super().input() if self.x is None else np.float32(self.x).reshape(self.shape)

    def values(self, shapes):
        drawn = super().values(shapes)
        given = {name: np.float32(value) for name, value in self.held.items() if name in shapes}
        return {**drawn, **{name: np.broadcast_to(value, shapes[name]).copy() for name, value in given.items()}}


def at(name, shape, x=None, held=None, **settings):
    plain = Subject.of(name, shape, **settings)
    return Given(plain.name, plain.settings, plain.shape, plain.seed, plain.weights, x=x, held=held or {})


STEPS = [1.0, 1.0, 0.0, 1.0, 1.0, 1.0, -2.0, -2.0, -3.0, -2.0, -5.0, -4.0]
SILENCE = np.zeros(40)
L1 = (("l1", 0.5),)
AUDIO = (1, 40, 1)
TIES = {
    "equal maxima": at("MaxPooling1D", (1, 12, 1), STEPS, kernel_size=3, strides=1),
    "equal maxima, apart": at("MaxPooling1D", (1, 12, 1), STEPS, kernel_size=3, strides=3, padding="valid"),
    "negative maxima at the edges": at("MaxPooling1D", (1, 6, 1), -np.arange(1.0, 7.0), kernel_size=5, strides=2),
    "sinc cutoffs of 0": at("SincConv1D", AUDIO, held={"kernel": 0.0}),
    "negative sinc cutoffs": at("SincConv1D", AUDIO, held={"kernel": [-500.0, -300.0]}),
    "upper sinc cutoff on its limit": at("SincConv1D", AUDIO, held={"kernel": 3950.0}),
    "upper sinc cutoff beyond it": at("SincConv1D", AUDIO, held={"kernel": [100.0, 7900.0]}),
    "sinc penalised at 0": at("SincConv1D", AUDIO, held={"kernel": 0.0}, regularizer=L1),
    "kernel of zeros, normalised": at("NormalizedConv1D", AUDIO, held={"kernel": 0.0}),
    "kernel of zeros, penalised with its spectrum": at("FFTConv1D", AUDIO, held={"kernel": 0.0}, regularizer=L1),
    "rectified silence": at("FFTConv1D", AUDIO, SILENCE, padding="same", activation="relu"),
    "silence into a modulus": at("SquaredModulus", (1, 20, 2), SILENCE),
    "silence through leaky LEAF": at(
        "Leaf", (1, 40), SILENCE, n_filters=2, sample_rate=2000, activation="leaky_relu", compression="log"),
    "silence through SincNet": at("SincNet", (1, 40), SILENCE, n_filters=2, sample_rate=2000),
    "silence through SincNet+": at("SincNetPlus", (1, 40), SILENCE, n_filters=2, sample_rate=2000),
    "silent mel filterbanks": at("MelFilterbanks", (1, 40), SILENCE),
    "filters of zeros": at("fft_conv1d", AUDIO, held={"filters": 0.0}),
    "amplitude of nothing": at("amplitude", (20, 1, 2), SILENCE),
    "pooling width on its upper limit": at("GaussianLowpass", (1, 40, 1), held={"kernel": 0.5}),
    "alpha, root and smoothing on theirs": at(
        "PCENLayer", (1, 20, 2), held={"alpha": 1.0, "root": 1.0, "EMA/smooth": 1.0}),
    "smoothing on its lower limit": at("ExponentialMovingAverage", (1, 20, 2), held={"smooth": 0.0}),
}  # fmt: skip
# all that is left of these sums is rounding: the output is 1 whatever the input
CANCELLED = {"gradients/input", "gradients/delta", "gradients/EMA/smooth"}


def arrays_of(case, outcome):
    """Pick the arrays to compare: all but those that are rounding alone."""
    dropped = CANCELLED if case.startswith("alpha") else set()
    return {name: value for name, value in outcome.arrays().items() if name not in dropped}


def agrees(name, candidate, expected):
    criterion = SLOPE if "gradients/" in name else FORWARD
    verdict = criterion(candidate, expected)
    assert status(candidate, expected.astype(candidate.dtype)).passes, name
    assert verdict.passes, (name, verdict, candidate.ravel()[:9], expected.ravel()[:9])


@pytest.mark.parametrize("case", TIES)
def test_gradient_is_the_oracles(case):
    ours, truth = adapter.run(TIES[case]), subject_oracle.run(TIES[case])
    assert ours.refused is None
    for name, value in arrays_of(case, ours).items():
        agrees(name, value, truth.arrays()[name])


@pytest.mark.usefixtures("tensorflow")
@pytest.mark.parametrize("case", TIES)
def test_gradient_is_rung_0s(case):
    from parity.adapters import subject_tensorflow

    ours, theirs = adapter.run(TIES[case]), subject_tensorflow.run(TIES[case], "tf_leaf")
    assert theirs.refused is None
    assert theirs.gradient_refused is None
    for name, value in arrays_of(case, theirs).items():
        agrees(name, ours.arrays()[name], value)


def test_of_equal_maxima_the_first_takes_the_gradient():
    x = torch.tensor([[[1.0, 1.0, 0.0, 1.0, 1.0, 1.0]]], requires_grad=True)
    pooled = og_leaf.MaxPooling1D(1, 3)(x)
    (slope,) = torch.autograd.grad(pooled, x, torch.arange(1.0, 7.0).reshape(1, 1, 6))
    assert slope.tolist() == [[[3, 3, 0, 9, 6, 0]]]


def test_a_rectifier_has_its_slope_at_0():
    x = torch.tensor([0.0, -0.0, -1.0, 1.0], requires_grad=True)
    (slope,) = torch.autograd.grad(og_leaf.LeakyReLU(0.25)(x).sum(), x)
    assert POWERS(slope.numpy(), [0.25, 0.25, 0.25, 1.0]).passes


LENGTHS = [n for k in range(24) for n in (2**k - 1, 2**k, 2**k + 1) if n > 0]


@pytest.mark.usefixtures("tensorflow")
def test_lengths_are_rounded_up_as_tensorflow_rounds_them():
    import tf_leaf

    theirs = [int(tf_leaf.upper_power_of_2(n)) for n in LENGTHS]
    assert POWERS([og_leaf.upper_power_of_2(n) for n in LENGTHS], theirs).passes


def test_lengths_are_rounded_up_exactly_to_two_million_samples():
    off = {n for n in LENGTHS if og_leaf.upper_power_of_2(n) != spectral.upper_power_of_2(n)}
    assert off == {2**21 + 1, 2**22 + 1, 2**23 + 1}
    with pytest.raises(ValueError, match="and no more than 2097152"):
        og_leaf.fft_conv1d(torch.zeros(1, 1, 2**21 + 1), torch.zeros(1, 1, 3))


def test_a_power_of_two_of_samples_wraps_around():
    subject = Subject.of("fft_conv1d", (1, 8192, 1), kernel_size=9, n_filters=2)
    ours, truth = adapter.run(subject), subject_oracle.run(subject)
    for name in ("output", "losses", "gradients/input", "gradients/filters"):
        assert LONG(ours.arrays()[name], truth.arrays()[name]).passes, name


@pytest.mark.parametrize(("sample_rate", "window_len"), [(15680, 25.0), (16000, 10.0), (16040, 25.0)])
def test_time_domain_filterbanks_have_the_window_of_16_khz_alone(sample_rate, window_len):
    og_leaf.TimeDomainFilterbanks(sample_rate=16039, n_filters=2)
    with pytest.raises(ValueError, match=r"must have 401 samples in 25 ms|must be"):
        og_leaf.TimeDomainFilterbanks(sample_rate=sample_rate, window_len=window_len, n_filters=2)


def test_causal_convolution_sees_no_future():
    layer = og_leaf.Conv1D(2, 5, padding="causal")
    x = torch.zeros(1, 1, 20)
    x[..., 9] = 1.0
    out = layer(x)
    assert out.shape == (1, 2, 20)
    assert torch.equal(out[..., :9], torch.zeros(1, 2, 9))
    assert torch.equal(out[0, :, 9:14], layer.weight.detach()[:, 0].flip(-1))


def test_other_activations_say_how_many_channels_they_give():
    audio = torch.rand(1, 200)
    wide = og_leaf.Leaf(n_filters=3, sample_rate=2000, activation=og_leaf.LeakyReLU(0.2), num_channels=6)
    assert wide(audio).shape[1] == 6
    assert og_leaf.SincNet(n_filters=3, sample_rate=2000)(audio).shape[1] == 3
