"""What is checked is what is used: numbers of any type give the geometry that Python's own give."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
import torch

import og_leaf
from efficientleaf import EfficientLeaf
from leaf import Leaf
from parity import convert
from parity.oracle.config import LeafConfig
from parity.weights.frontend_config import FrontendConfig
from parity_tests.helpers.refusals import refused

RATES = [
    np.int16(16000), np.uint16(44100), np.int32(22050), np.float32(11025.5), np.float16(8000), np.float64(16000.0),
    np.array(16000), np.array(16000, np.int16), torch.tensor(16000), torch.tensor(16000, dtype=torch.int16),
    torch.tensor(22050.0), Fraction(44100, 2), Decimal("22050"),
]  # fmt: skip
LENGTHS = [np.uint8(25), np.int8(25), np.float16(25.0), np.float32(12.5), torch.tensor(25.0), Fraction(25, 2)]


def windows(rate, length, stride):
    """By the original's rule, and by the published one of simplified LEAF, in Python's numbers."""
    rate, length, stride = float(rate), float(length), float(stride)
    original = int(rate * length // 1000 + 1), int(rate * stride // 1000)
    return original, (int(rate * length / 1000) | 1, int(rate * stride / 1000))


def geometry(frontend):
    bank = frontend.filterbank
    return bank.pool_size, bank.pool_stride


@pytest.mark.parametrize(
    ("rate", "length", "stride"), [(rate, 25.0, 10.0) for rate in RATES] + [(16000, n, n) for n in LENGTHS], ids=repr
)
def test_geometry_of_numbers_of_any_type(rate, length, stride):
    told = {"sample_rate": rate, "window_len": length, "window_stride": stride}
    original, centred = windows(rate, length, stride)
    top = min(7800.0, float(rate) / 2)
    made = og_leaf.Leaf(n_filters=2, **told)
    assert (made._pooling.kernel_size, made._pooling.strides) == original
    assert made._complex_conv._kernel_size == original[0]
    assert geometry(Leaf(2, max_freq=top, padding="same", **told)) == original
    assert geometry(Leaf(2, max_freq=top, **told)) == centred
    assert geometry(EfficientLeaf(2, 1, max_freq=top, **told)) == centred
    mel = og_leaf.MelFilterbanks(n_filters=2, max_freq=top, **told)
    assert (mel._window_size, mel._stride) == original


@pytest.mark.parametrize("rate", [np.int16(16000), torch.tensor(16000, dtype=torch.int16), np.float32(16000)], ids=repr)
def test_what_is_kept_is_pythons_own(rate):
    made = og_leaf.Leaf(n_filters=np.int8(2), sample_rate=rate, window_len=np.float16(25))
    for frontend in (made, Leaf(np.int8(2), sample_rate=rate), EfficientLeaf(np.uint8(2), 1, sample_rate=rate)):
        assert type(frontend.sample_rate) in (int, float)
        assert type(frontend.window_len) in (int, float)
    assert type(made.n_filters) is int
    assert convert(made, "leaf").filterbank.pool_size == 401


@pytest.mark.parametrize("kind", [LeafConfig, FrontendConfig])
def test_configurations_do_not_wrap(kind):
    assert kind(sample_rate=np.int16(16000)).window == 401


def test_rate_with_a_fraction_is_carried_whole():
    (rate,) = (Decimal("22050.5"),)
    given = Leaf(2, sample_rate=rate, window_len=20.001)
    assert convert(given, "leaf").sample_rate == given.sample_rate == float(rate)
    assert geometry(convert(given, "leaf")) == geometry(given)


@pytest.mark.parametrize(("name", "value"), [
    ("sample_rate", 10**12), ("sample_rate", 1e12), ("window_stride", 1e12), ("window_len", 1e12), ("n_filters", 10**9),
])  # fmt: skip
def test_sizes_that_no_use_meets_are_refused(name, value):
    for make in (og_leaf.Leaf, Leaf, EfficientLeaf):
        refused(lambda make=make: make(**{name: value}), ValueError, f"{name}={value!r}: must be")


@pytest.mark.parametrize("make", [Leaf, EfficientLeaf])
def test_default_band_at_a_low_rate_says_what_to_pass(make):
    refused(lambda: make(sample_rate=100, window_len=100.0, window_stride=50.0), ValueError, "max_freq=7800.0", "pass")


@pytest.mark.parametrize("rate", [1, 50, 100, 119, 120, 121])
def test_low_rates_are_carried(rate):
    band = {"sample_rate": rate, "min_freq": rate / 200, "max_freq": rate / 2.5}
    source = og_leaf.Leaf(
        n_filters=4, sample_rate=rate, window_len=100e3 / rate, window_stride=10e3 / rate,
        complex_conv_init=og_leaf.GaborInit(**band),
    )  # fmt: skip
    x = torch.randn(1, 90)
    for to, options in (("leaf", {}), ("efficientleaf", {"padding": "centered"})):
        made = convert(source, to, **options)
        assert made.sample_rate == rate
        assert torch.equal(made.filterbank.bandwidths, source._complex_conv._kernel[:, 1])
        assert bool(torch.isfinite(made(x)).all())
