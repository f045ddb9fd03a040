"""Compare a frontend after other calls and changes with one that was never called: to the bit.

Three tables: a call after every other call, a call after every change, and graphs after every change. A kind of
frontend is a function without arguments that makes one, in evaluation mode.
"""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from parity.checks.cache import invalidation
from parity.criteria import Exactly, OfMax
from parity_tests.helpers.calls import (
    BEFORE,
    CALLS,
    FACTOR,
    GRAPHS,
    N_THREADS,
    NAMES,
    audio,
    backward,
    dual,
    energies,
    forward,
    own,
    partly,
    replica,
    tangent,
)

Change = Callable[[nn.Module], nn.Module]
Make = Callable[[], Any]
SAME = Exactly("the same operations on the same parameters")
CLOSE = OfMax(1e-4, "some 1000 float32 products, in another order")


def write(module: Any) -> Any:
    """In place, counted."""
    with torch.no_grad():
        for p in module.filterbank.parameters():
            p.mul_(FACTOR)
    return module


def write_data(module: Any) -> Any:
    for p in module.filterbank.parameters():
        p.data.mul_(FACTOR)
    return module


def write_one(name: str) -> Change:
    def change(module: Any) -> Any:
        getattr(module.filterbank, name).data.mul_(FACTOR)
        return module

    return change


def load(assign: bool) -> Change:
    def change(module: Any) -> Any:
        state = {name: v * FACTOR if "filterbank" in name else v.clone() for name, v in module.state_dict().items()}
        module.load_state_dict(state, assign=assign)
        return module

    return change


def to_meta_and_back(module: Any) -> Any:
    state = {name: v.clone() for name, v in module.state_dict().items()}
    module.to("meta").to_empty(device="cpu").load_state_dict(state)
    return module


def put_another(module: Any) -> Any:
    bank = module.filterbank
    bank.bandwidths = nn.Parameter(bank.bandwidths.detach() * FACTOR)
    return module


def pickled(module: Any) -> Any:
    return pickle.loads(pickle.dumps(module))


def step(module: Any) -> Any:
    module.train()
    module(audio(module)).square().sum().backward()
    torch.optim.SGD(module.parameters(), 1e-2).step()
    module.zero_grad()
    return module.eval()


def parametrized(module: Any) -> Any:
    """A parameter that is computed from another, which then changes."""

    class Scaled(nn.Module):
        def forward(self, p: Tensor) -> Tensor:
            return p * FACTOR

    parametrize.register_parametrization(module.filterbank, "bandwidths", Scaled(), unsafe=True)
    forward(module)
    module.filterbank.parametrizations.bandwidths.original.data.mul_(FACTOR)
    return module


CHANGES: dict[str, Change] = {
    "nothing": lambda module: module,
    "written": write,
    "data written": write_data,
    **{f"data of {name} written": write_one(name) for name in NAMES},
    "loaded": load(False),
    "loaded by assignment": load(True),
    "another parameter": put_another,
    "a step of training": step,
    "float64": lambda module: module.double(),
    "to the meta device and back": to_meta_and_back,
    "copied": copy.deepcopy,
    "copied, then written": lambda module: write_data(copy.deepcopy(module)),
    "written, then copied": lambda module: copy.deepcopy(write(module)),
    "pickled, then written": lambda module: write_data(pickled(module)),
    "written, then pickled": lambda module: pickled(write(module)),
    "pickled": pickled,
    "evaluated": lambda module: module.eval(),
    "train, eval": lambda module: module.train().eval(),
    "parametrized": parametrized,
}
# told by version, what PyTorch does not count is not seen
UNCOUNTED = {
    "data written",
    *(f"data of {name} written" for name in NAMES),
    "copied, then written",
    "pickled, then written",
}
DEAR = {"nothing", "written", "another parameter", "copied"}  # changes that are shown to graphs that take long to make
KEEP_FROZEN = {"nothing", "copied", "pickled", "evaluated"}  # all else must be refused


def fresh(make: Make, module: Any) -> Any:
    """One that was never called, with the parameters of another."""
    other = make().to(audio(module).dtype)
    state = {name: v for name, v in module.state_dict().items() if "parametrizations" not in name}
    other.load_state_dict({**state, **own(module)})
    return frozen(other)


def frozen(module: Any) -> Any:
    """Frozen, where that is needed for graphs."""
    return module.freeze() if hasattr(module, "freeze") else module


def equal(got: Sequence[Tensor], expected: Sequence[Tensor]) -> None:
    """To the bit."""
    assert len(got) == len(expected)
    for a, b in zip(got, expected, strict=True):
        assert a.dtype == b.dtype
        assert SAME(a.detach().numpy(), b.detach().numpy()).passes


def check_call_after_calls(make: Make, name: str) -> None:
    """A call answers after calls that may leave something behind as it does alone."""
    alone = CALLS[name](make())
    if name == "four threads":
        alone = (*forward(make()), *forward(replica(make()))) * (N_THREADS // 2)
    for before in BEFORE[:2] if "gradients to" in name else BEFORE:
        module = make()
        CALLS[before](module)
        equal(CALLS[name](module), alone)


def check_calls_after_change(make: Make, name: str, way: str) -> None:
    """After a call and a change, calls answer as those of a fresh frontend with the parameters that are there now."""
    with invalidation(way):
        module = make()
        forward(module)
        module = CHANGES[name](module)
        expected = fresh(make, module)
        for call in (forward, backward, forward):
            if call is forward or name != "parametrized":
                equal(call(module), call(expected))


def check_graph_after_change(make: Make, graph: str, name: str) -> None:
    """A graph is of the parameters that are there now, or refused by a message that names ``freeze()``."""
    call = GRAPHS[graph]
    module = frozen(make())
    forward(module)
    module = CHANGES[name](module)
    expected = call(fresh(make, module))
    if hasattr(module, "freeze") and name not in KEEP_FROZEN:
        with pytest.raises(RuntimeError, match=r"freeze\(\)"):
            call(module)
        module.freeze()
    equal(call(module), expected)


def check_tangents(make: Make) -> None:
    """Forward mode answers what backward mode does, whatever was kept before."""
    module = make().requires_grad_(False)
    forward(module)
    at = {name: value.requires_grad_() for name, value in own(module).items()}
    y = energies(module, at)
    cotangent = torch.rand(y.shape, generator=torch.Generator().manual_seed(1))
    back = torch.autograd.grad(y, list(at.values()), cotangent)
    expected = sum((a.detach() * d).sum() for a, d in zip(at.values(), back, strict=True))
    for call in (tangent, dual):
        assert CLOSE((call(module)[1] * cotangent).sum().detach().numpy(), expected.numpy()).passes


def check_stream_after(make: Make, change: Change) -> None:
    """A stream is of the parameters when it began: frozen or not, changed before or while it runs."""
    module = change(frozen(make()))
    expected = forward(fresh(make, module))[0]
    pieces = iter(audio(module).split(45, -1))
    frames = module.stream(pieces)
    found = [next(frames)]
    write_data(module)
    assert CLOSE(torch.cat([*found, *frames], -1).numpy(), expected.numpy()).passes


def check_gradients_to_one(make: Make) -> None:
    """A parameter's gradient does not depend on whether others are learned."""
    whole = backward(make())[2:]
    for name, expected in zip(NAMES, whole, strict=False):
        equal([partly(name)(make())[2]], [expected])
