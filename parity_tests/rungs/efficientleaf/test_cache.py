"""Rung 3 keeps and freezes its filters soundly, in every order of calls and after every change."""

from __future__ import annotations

import pytest
import torch

import efficientleaf
from parity.checks.cache import WAYS
from parity_tests.helpers import calls, history

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")  # PyTorch's forward mode uses it


def make():
    return efficientleaf.EfficientLeaf(3, 2, sample_rate=1000, max_freq=500.0, compression="pcen").eval()


def make_frozen():
    return make().freeze()


KINDS = {"not frozen": make, "frozen": make_frozen}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", calls.CALLS)
def test_a_call_after_other_calls(name, kind):
    history.check_call_after_calls(KINDS[kind], name)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", history.CHANGES)
def test_calls_after_a_change(name, way, kind):
    if way == "by value" or name not in history.UNCOUNTED:
        history.check_calls_after_change(KINDS[kind], name, way)


@pytest.mark.parametrize("name", [n for n in history.CHANGES if n not in history.UNCOUNTED | {"parametrized"}])
def test_a_traced_graph_after_a_change(name):
    history.check_graph_after_change(make, "jit.trace", name)


@pytest.mark.parametrize("graph", ["compile", "export"])
@pytest.mark.parametrize("name", sorted(history.DEAR))
def test_a_graph_after_a_change(graph, name):
    history.check_graph_after_change(make, graph, name)


@pytest.mark.parametrize("graph", calls.GRAPHS)
def test_a_graph_without_a_frozen_plan_is_refused(graph):
    with pytest.raises(RuntimeError, match=r"freeze\(\)"):
        calls.GRAPHS[graph](make())


def test_a_parameter_for_each_of_many_takes_a_frozen_plan():
    frozen = make_frozen()
    first = calls.many_parameters(frozen)[0]
    history.equal([calls.many_parameters(frozen)[0]], [first])
    assert history.CLOSE(first[0].numpy(), calls.forward(frozen)[0].numpy()).passes
    with pytest.raises(RuntimeError, match=r"freeze\(\)"):
        calls.many_parameters(make())


def test_the_meta_device_takes_a_frozen_plan():
    with pytest.raises(RuntimeError, match=r"freeze\(\)"):
        make().to("meta")(calls.AUDIO.to("meta"))
    x = calls.AUDIO.to("meta")
    assert make().train().freeze().to("meta")(x).shape == make()(calls.AUDIO).shape


def test_tangents():
    history.check_tangents(make)


@pytest.mark.filterwarnings("ignore:The .grad attribute:UserWarning", "ignore:.*should not be inst:DeprecationWarning")
def test_training_in_a_graph_keeps_the_frozen_plan():
    bank = make().filterbank.train().freeze()
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


def test_freezing_changes_no_state_dict():
    assert list(make_frozen().state_dict()) == list(make().state_dict())
    assert make_frozen().freeze(False).filterbank._frozen is None


@pytest.mark.parametrize("change", [history.write, history.load(True)])
def test_a_stream_is_of_the_parameters_when_it_began(change):
    history.check_stream_after(make, change)


def test_a_gradient_to_one_parameter():
    history.check_gradients_to_one(make)
