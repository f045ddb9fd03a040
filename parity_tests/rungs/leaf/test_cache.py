"""Rung 2 keeps its filters soundly between calls, in every order of calls and after every change."""

from __future__ import annotations

import pytest
import torch

import leaf
from leaf._runtime.cache import ParameterCache, keepable, plain
from parity.checks.cache import WAYS
from parity.criteria import Exactly
from parity_tests.helpers import calls, history

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")  # PyTorch's forward mode uses it
ONCE = Exactly("a value is made once for what it is made of")


TRANSFORMS = {
    "vmap": lambda f: torch.func.vmap(f)(torch.ones(2, 3)),
    "grad": lambda f: torch.func.grad(f)(torch.ones(3)),
    "vjp": lambda f: torch.func.vjp(f, torch.ones(3)),
    "jvp": lambda f: torch.func.jvp(f, (torch.ones(3),), (torch.ones(3),)),
    "vmap of grad": lambda f: torch.func.vmap(torch.func.grad(f))(torch.ones(2, 3)),
    "functionalize": lambda f: torch.func.functionalize(f)(torch.ones(3)),
}


def make():
    return leaf.Leaf(2, sample_rate=1000, max_freq=500.0).eval()


@pytest.mark.parametrize("name", calls.CALLS)
def test_a_call_after_other_calls(name):
    history.check_call_after_calls(make, name)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", history.CHANGES)
def test_calls_after_a_change(name, way):
    if way == "by value" or name not in history.UNCOUNTED:
        history.check_calls_after_change(make, name, way)


@pytest.mark.parametrize("graph", calls.GRAPHS)
def test_a_graph_after_a_change(graph):
    history.check_graph_after_change(make, graph, "data written")


def test_a_parameter_for_each_of_many():
    history.equal(calls.many_parameters(make()), calls.many_parameters(history.write_data(make()) and make()))


def test_tangents():
    history.check_tangents(make)


@pytest.mark.parametrize("change", [history.write, history.load(True)])
def test_a_stream_is_of_the_parameters_when_it_began(change):
    history.check_stream_after(make, change)


def test_a_source_that_is_written_to_while_a_value_is_made():
    cache, p = ParameterCache(), torch.zeros(1)

    def disturbed():
        value = p.clone()
        p.add_(1)  # as another thread might
        return value

    assert cache.get("value", (), (p,), disturbed) == 0
    for then in (1, 0):
        assert cache.get("value", (), (p.fill_(then),), p.clone) == then


def test_settings_are_told_apart_and_values_made_once():
    cache, p, made = ParameterCache(), torch.zeros(1), []

    def get(settings):
        return cache.get("value", settings, (p,), lambda: made.append(settings) or settings)

    assert [get(s) for s in ("a", "a", "b", "b", "a")] == ["a", "a", "b", "b", "a"]
    assert ONCE(made == ["a", "b", "a"], True).passes


def test_a_gradient_to_one_parameter():
    history.check_gradients_to_one(make)


@pytest.mark.parametrize("name", TRANSFORMS)
def test_tensors_of_a_transform_are_not_plain(name):
    found = []

    def function(x):
        found.append((plain(x), keepable(x)))
        return x.square().sum()

    TRANSFORMS[name](function)
    assert found == [(False, False)]


@pytest.mark.parametrize("kind", ["Tensor", "Parameter", "empty", "meta", "inference"])
def test_tensors_with_values_are_plain(kind):
    with torch.inference_mode(kind == "inference"):
        x = torch.ones(0 if kind == "empty" else 3, device="meta" if kind == "meta" else "cpu")
    assert plain(torch.nn.Parameter(x) if kind == "Parameter" else x)
    assert not plain(x.as_subclass(type("Subclass", (torch.Tensor,), {})))
