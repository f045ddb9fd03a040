"""The canonical names: the original's variables, whatever TensorFlow puts around them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given

from fixtures import store
from parity.adapters.canonical import canonical, canonical_name, checked, expected_shapes
from parity.cases.strategies import cases

RNN = "PCEN/simple_rnn/simple_rnn_cell/"


@pytest.mark.parametrize(("given_name", "name"), [
    ("kernel", "kernel"),
    ("kernel:0", "kernel"),
    ("leaf/kernel:0", "kernel"),
    ("tfbanks_complex_conv/kernel", "kernel"),
    ("leaf/tfbanks_complex_conv/kernel", "kernel"),
    ("model/leaf/tfbanks_complex_conv/kernel:0", "kernel"),
    ("leaf/learnable_pooling/kernel:0", "learnable_pooling/kernel"),
    ("learnable_pooling/kernel", "learnable_pooling/kernel"),
    ("leaf_1/PCEN/alpha:0", "PCEN/alpha"),
    ("PCEN/EMA/smooth:0", "PCEN/EMA/smooth"),
    ("leaf/tfbanks_preemp/kernel:0", "tfbanks_preemp/kernel"),
    ("leaf/tfbanks_instancenorm/gamma:0", "tfbanks_instancenorm/gamma"),
    ("tfbanks_instancenorm/beta", "tfbanks_instancenorm/beta"),
    ("leaf/PCEN/simple_rnn/simple_rnn_cell/kernel:0", RNN + "kernel"),
    ("leaf/PCEN/simple_rnn_1/simple_rnn_cell_1/recurrent_kernel:0", RNN + "recurrent_kernel"),
    # of something else: left as they are, to be refused by name
    ("dense/bias:0", "dense/bias"),
    ("leaf/dense/kernel:0", "leaf/dense/kernel"),
    ("kernels", "kernels"),
    ("recurrent_kernel", "recurrent_kernel"),
    ("alpha", "alpha"),
    ("notPCEN/alpha", "notPCEN/alpha"),
    ("PCEN/alpha/Adam", "PCEN/alpha/Adam"),
])  # fmt: skip
def test_canonical_name(given_name, name):
    assert canonical_name(given_name) == name


@given(case=cases())
def test_names_are_their_own_canonical_names(case):
    names = set(expected_shapes(case.config))
    assert {canonical_name(name) for name in names} == names
    assert {canonical_name(f"leaf/{name}:0") for name in names} == names


@pytest.mark.parametrize("name", store.names())
def test_original_has_exactly_these_variables(name):
    golden = store.load(name)
    shapes = {key: value.shape for key, value in golden.group("variables").items()}
    assert expected_shapes(golden.config) == shapes


def test_arrays_are_not_copied_into_another_precision():
    source = {"a": np.ones(2, np.float32), "b": np.ones(2), "c": np.ones(2, np.int64)}
    assert [array.dtype for array in canonical(source).values()] == [np.float32, np.float64, np.float64]


@given(case=cases())
def test_checked_gives_the_values_back(case):
    variables = case.variables()
    found = checked({f"leaf/{name}:0": value for name, value in variables.items()}, case.config)
    assert set(found) == set(variables)
    assert all(found[name].tobytes() == variables[name].tobytes() for name in variables)
    assert not any(np.shares_memory(found[name], variables[name]) for name in variables)
