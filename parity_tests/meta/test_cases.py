"""Cases are reproducible from their text, and the strategies reach the edges."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given

from parity.adapters.canonical import expected_shapes
from parity.cases.case import SIGNALS, WEIGHTS, Case
from parity.cases.strategies import aligned, cases
from parity.oracle.config import LeafConfig


@given(case=cases(weights=WEIGHTS))
def test_text_gives_the_case_back(case):
    assert Case.parse(str(case)) == case


@given(case=cases(weights=WEIGHTS))
def test_weights_have_the_original_shapes(case):
    assert {k: v.shape for k, v in case.variables().items()} == expected_shapes(case.config)


@given(case=cases(plain=True))
def test_aligned_cases_pad_alike(case):
    case = aligned(case)
    centred = case.config.with_(padding="centered")
    assert case.config.window == centred.window
    assert case.config.stride == centred.stride
    assert case.n_samples % centred.stride == 1 % centred.stride


@pytest.mark.parametrize("kind", SIGNALS)
def test_signals_are_finite_float32_and_differ_by_seed(kind):
    x = Case(signal=kind, n_samples=100, seed=1).input()
    assert x.shape == (1, 100)
    assert x.dtype == np.float32
    assert np.isfinite(x).all()
    other = Case(signal=kind, n_samples=100, seed=2).input()
    drawn = kind in ("noise", "tone", "chirp", "loud_and_weak")
    assert drawn == (not np.array_equal(x, other))


def test_cotangent_is_not_constant():
    assert np.unique(Case().cotangent((1, 2, 50))).size == 100


@pytest.mark.parametrize(("text", "named"), [
    ("windw=3", "windw"), ("n_samples=0", "n_samples"), ("signal=music", "music"), ("n_filters=0", "n_filters"),
    ("padding=valid", "valid"), ("compression=mp3", "mp3"), ("weights=heavy", "heavy"), ("batch=0", "batch"),
])  # fmt: skip
def test_refuses(text, named):
    with pytest.raises(ValueError, match=named):
        Case.parse(text)


@pytest.mark.parametrize("text", ["preemp='true': must be True or False", "batch='two': must be a whole number",
                                  "amplitude='': must be a number"])  # fmt: skip
def test_a_value_that_cannot_be_read_is_named_with_what_is_allowed(text):
    name, value = text.split(":")[0].split("=")
    with pytest.raises(ValueError, match=f"^{text}$"):
        Case.parse(f"seed=1,{name}={value[1:-1]}")


@pytest.mark.parametrize(("rate", "same", "centred"), [(16000, 401, 401), (22050, 552, 551), (11025, 276, 275)])
def test_windows_of_both_geometries(rate, same, centred):
    config = LeafConfig(sample_rate=rate)
    assert config.window == same
    assert config.with_(padding="centered").window == centred
