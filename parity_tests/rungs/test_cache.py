"""Rungs 2 and 3 keep their filters soundly between calls, in every order of calls and after every change."""

from __future__ import annotations

import pytest
import torch

import efficientleaf
import leaf
from leaf._runtime.cache import ParameterCache, keepable, plain
from parity.checks.cache import WAYS
from parity.criteria import Exactly
from parity_tests.helpers import calls, history
from parity_tests.helpers.rungs import one

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")  # PyTorch's forward mode uses it
ONCE = Exactly("a value is made once for what it is made of")


def small():
    return leaf.Leaf(2, sample_rate=1000, max_freq=500.0).eval()


def grouped():
    return efficientleaf.EfficientLeaf(3, 2, sample_rate=1000, max_freq=500.0, compression="pcen").eval()


def frozen():
    return grouped().freeze()


UNFROZEN = [one("leaf", small), one("efficientleaf", grouped)]
EVERY = [*UNFROZEN, one("efficientleaf", frozen, id="efficientleaf-frozen")]
COUNTED = [name for name in history.CHANGES if name not in history.UNCOUNTED]


@pytest.mark.parametrize(("rung", "make"), EVERY)
@pytest.mark.parametrize("name", calls.CALLS)
def test_a_call_after_other_calls(name, rung, make):
    history.check_call_after_calls(make, name)


@pytest.mark.parametrize(("rung", "make"), EVERY)
@pytest.mark.parametrize(("way", "name"), [
    (way, name) for way in WAYS for name in (history.CHANGES if way == "by value" else COUNTED)
])  # fmt: skip
def test_calls_after_a_change(name, way, rung, make):
    history.check_calls_after_change(make, name, way)


@pytest.mark.parametrize(("rung", "make", "graph", "name"), [
    *(one("leaf", small, graph, "data written", id=f"leaf-{graph}") for graph in calls.GRAPHS),
    *(one("efficientleaf", grouped, "jit.trace", name, id=f"efficientleaf-jit.trace-{name}")
      for name in COUNTED if name != "parametrized"),
    *(one("efficientleaf", grouped, graph, name, id=f"efficientleaf-{graph}-{name}")
      for graph in ("compile", "export") for name in sorted(history.DEAR)),
])  # fmt: skip
def test_a_graph_after_a_change(rung, make, graph, name):
    history.check_graph_after_change(make, graph, name)


@pytest.mark.parametrize(("rung", "make"), UNFROZEN)
def test_tangents(rung, make):
    history.check_tangents(make)


@pytest.mark.parametrize("change", [history.write, history.load(True)])
@pytest.mark.parametrize(("rung", "make"), UNFROZEN)
def test_a_stream_is_of_the_parameters_when_it_began(rung, make, change):
    history.check_stream_after(make, change)


@pytest.mark.parametrize(("rung", "make"), UNFROZEN)
def test_a_gradient_to_one_parameter(rung, make):
    history.check_gradients_to_one(make)


@pytest.mark.leaf
def test_a_parameter_for_each_of_many():
    history.equal(calls.many_parameters(small()), calls.many_parameters(history.write_data(small()) and small()))


# the frozen plan of rung 3


@pytest.mark.parametrize("graph", calls.GRAPHS)
@pytest.mark.efficientleaf
def test_a_graph_without_a_frozen_plan_is_refused(graph):
    with pytest.raises(RuntimeError, match=r"freeze\(\)"):
        calls.GRAPHS[graph](grouped())


@pytest.mark.parametrize("graph", calls.GRAPHS)
@pytest.mark.efficientleaf
def test_a_call_with_other_parameters_leaves_the_frozen_plan(graph):
    module = frozen()
    others = {name: 0.5 * p.detach() for name, p in module.named_parameters()}
    with torch.no_grad():
        own, other = module(calls.AUDIO), torch.func.functional_call(module, others, (calls.AUDIO,))
    assert not torch.equal(own, other)
    history.equal(calls.GRAPHS[graph](module), calls.GRAPHS[graph](frozen()))


@pytest.mark.efficientleaf
def test_a_parameter_for_each_of_many_takes_a_frozen_plan():
    module = frozen()
    first = calls.many_parameters(module)[0]
    history.equal([calls.many_parameters(module)[0]], [first])
    assert history.CLOSE(first[0].numpy(), calls.forward(module)[0].numpy()).passes
    with pytest.raises(RuntimeError, match=r"freeze\(\)"):
        calls.many_parameters(grouped())


@pytest.mark.efficientleaf
def test_the_meta_device_takes_a_frozen_plan():
    with pytest.raises(RuntimeError, match=r"freeze\(\)"):
        grouped().to("meta")(calls.AUDIO.to("meta"))
    x = calls.AUDIO.to("meta")
    assert grouped().train().freeze().to("meta")(x).shape == grouped()(calls.AUDIO).shape


@pytest.mark.filterwarnings("ignore:The .grad attribute:UserWarning", "ignore:.*should not be inst:DeprecationWarning")
@pytest.mark.efficientleaf
def test_training_in_a_graph_keeps_the_frozen_plan():
    bank = grouped().filterbank.train().freeze()
    plan = bank.groups()
    graph = torch.compile(bank, backend="eager", fullgraph=True)
    optimizer = torch.optim.SGD(bank.parameters(), 1e-2)
    for n in (120, 110, 90):  # another length is another graph, of parameters that have moved
        optimizer.zero_grad()
        graph(calls.AUDIO[:, :n]).sum().backward()
        optimizer.step()
    assert bank._frozen.plan == plan
    bank.eval()
    with pytest.raises(RuntimeError, match=r"freeze\(\)"):
        graph(calls.AUDIO)


@pytest.mark.efficientleaf
def test_freezing_changes_no_state_dict():
    assert list(frozen().state_dict()) == list(grouped().state_dict())
    assert frozen().freeze(False).filterbank._frozen is None


# the cache itself, which is leaf's


TRANSFORMS = {
    "vmap": lambda f: torch.func.vmap(f)(torch.ones(2, 3)),
    "grad": lambda f: torch.func.grad(f)(torch.ones(3)),
    "vjp": lambda f: torch.func.vjp(f, torch.ones(3)),
    "jvp": lambda f: torch.func.jvp(f, (torch.ones(3),), (torch.ones(3),)),
    "vmap of grad": lambda f: torch.func.vmap(torch.func.grad(f))(torch.ones(2, 3)),
    "functionalize": lambda f: torch.func.functionalize(f)(torch.ones(3)),
}


@pytest.mark.leaf
def test_a_source_that_is_written_to_while_a_value_is_made():
    cache, p = ParameterCache(), torch.zeros(1)

    def disturbed():
        value = p.clone()
        p.add_(1)  # as another thread might
        return value

    assert cache.get("value", (), (p,), disturbed) == 0
    for then in (1, 0):
        assert cache.get("value", (), (p.fill_(then),), p.clone) == then


@pytest.mark.leaf
def test_settings_are_told_apart_and_values_made_once():
    cache, p, made = ParameterCache(), torch.zeros(1), []

    def get(settings):
        return cache.get("value", settings, (p,), lambda: made.append(settings) or settings)

    assert [get(s) for s in ("a", "a", "b", "b", "a")] == ["a", "a", "b", "b", "a"]
    assert ONCE(made == ["a", "b", "a"], True).passes


@pytest.mark.parametrize("name", TRANSFORMS)
@pytest.mark.leaf
def test_tensors_of_a_transform_are_not_plain(name):
    found = []

    def function(x):
        found.append((plain(x), keepable(x)))
        return x.square().sum()

    TRANSFORMS[name](function)
    assert found == [(False, False)]


@pytest.mark.parametrize("kind", ["Tensor", "Parameter", "empty", "meta", "inference"])
@pytest.mark.leaf
def test_tensors_with_values_are_plain(kind):
    with torch.inference_mode(kind == "inference"):
        x = torch.ones(0 if kind == "empty" else 3, device="meta" if kind == "meta" else "cpu")
    assert plain(torch.nn.Parameter(x) if kind == "Parameter" else x)
    assert not plain(x.as_subclass(type("Subclass", (torch.Tensor,), {})))
