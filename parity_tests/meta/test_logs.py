"""The adapter between logarithms and values of PCEN's parameters: what it refuses, and what it leaves as it is."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import leaf
from parity import convert
from parity.criteria import Exactly
from parity.weights.convert_module import PARAMETERS, relearned, to_logarithms, to_values
from parity_tests.helpers.refusals import refused

HELD = {"s": 0.04, "alpha": 0.96, "delta": 2.0, "r": 2.0}
LOGS = {"s": -3.0, "alpha": -0.1, "delta": 1.0, "r": -0.7}


@pytest.mark.parametrize(("into", "name", "value", "allowed"), [
    *((to_logarithms, *row) for row in (
        ("s", 0.0, "(0, 1]"), ("s", -0.1, "(0, 1]"), ("s", 1.2, "(0, 1]"), ("s", np.nan, "(0, 1]"),
        ("alpha", 0.0, "(0, 1]"), ("alpha", 1.01, "(0, 1]"), ("delta", 0.0, "above 0"), ("delta", -1.0, "above 0"),
        ("delta", np.inf, "finite"), ("r", 0.5, "at least 1"), ("r", np.inf, "finite"),
    )),
    *((to_values, *row) for row in (
        ("s", 0.1, "at most 0"), ("alpha", 0.1, "at most 0"), ("r", 0.1, "at most 0"), ("r", np.nan, "at most 0"),
        ("delta", -100.0, "normal number of float32"), ("delta", 100.0, "normal number"),
        ("r", -100.0, "normal number"), ("s", -200.0, "normal number"), ("delta", np.nan, "normal number"),
    )),
])  # fmt: skip
def test_outside_of_the_shared_domain(into, name, value, allowed):
    inside = HELD if into is to_logarithms else LOGS
    given = {key: np.float32([number, number]) for key, number in {**inside, name: value}.items()}
    refused(lambda: into(given), ValueError, f"compression.{name}", allowed)


def test_a_missing_parameter_is_named():
    refused(lambda: to_values({"s": np.zeros(1)}), ValueError, "alpha", "delta", "r")


@pytest.mark.parametrize("to", ["leaf", "efficientleaf"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_convert_takes_learn_logs(to, dtype):
    source = leaf.Leaf(4)
    bits = Exactly("a copy, or a logarithm in float64 that is rounded once")
    logs = convert(source, to, learn_logs=True, dtype=dtype)
    assert logs.compression.learn_logs
    for name in PARAMETERS:
        value = getattr(source.compression, name).detach().numpy().astype(np.float64)
        expected = (-np.log(value) if name == "r" else np.log(value)).astype(dtype)
        assert bits(getattr(logs.compression, name).detach().numpy(), expected).passes
    again = convert(logs, to, learn_logs=True)
    assert all(
        torch.equal(a, b) for a, b in zip(again.compression.parameters(), logs.compression.parameters(), strict=True)
    )
    assert not convert(logs, "leaf", learn_logs=False).compression.learn_logs


def test_convert_refuses_by_name():
    source = leaf.Leaf(2)
    refused(lambda: convert(source, "og_leaf", padding="same", learn_logs=True), ValueError, "learn_logs", "og_leaf")
    refused(lambda: convert(source, "leaf", learn_logs=1), ValueError, "learn_logs=1", "True or False")
    with torch.no_grad():
        source.compression.delta[1] = -0.5
    refused(lambda: convert(source, "leaf", learn_logs=True), ValueError, "compression.delta", "-0.5", "above 0")


@pytest.mark.parametrize("learn_logs", [True, False])
def test_everything_else_is_kept(learn_logs):
    pcen = leaf.PCEN(2, eps=1e-7, learn_logs=not learn_logs, clamp=1e-5, form="published").double().eval()
    got = relearned(pcen, learn_logs)
    for name in ("eps", "clamp", "form", "training"):
        assert getattr(got, name) == getattr(pcen, name)
    assert got.s.dtype == pcen.s.dtype
    assert (got.learn_logs, pcen.learn_logs) == (learn_logs, not learn_logs)
