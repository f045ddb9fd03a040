"""Check the caches of rungs 2 and 3: never stale, and no filter built twice from the same parameters.

After every way of changing a parameter the module must compute what a module that never ran before computes from the
same state, bit for bit. Both ways of telling a change are run: by value, as on the CPU, and by version, as on a GPU.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

import leaf._runtime.cache
from parity.checks.grid import Context
from parity.checks.purity import FORMS, PurityProbe
from parity.criteria import Exactly
from parity.report.claims import Measurement

DOMAIN = "what is kept between calls"
SAME = Exactly("the same operations on the same parameters")
NONE = Exactly("unchanged parameters have the filters that they had")
CONSTRUCTING = {"exp", "cos", "sin"}
WAYS = ("by value", "by version")
Change = Callable[[nn.Module], nn.Module]


def invalidations(rung: str) -> Iterator[Measurement]:
    """Every form of the rung, every way of changing it, both ways of telling."""
    for form, arguments in FORMS[rung].items():
        for way in WAYS:
            for name, change in changes(way).items():
                probe = PurityProbe(rung, form)
                again = f"pytest parity_tests/rungs/test_frozen.py -m {rung}"
                context = Context(rung, rung, DOMAIN, f"{form}, {way}: {name}", again)
                with invalidation(way):
                    yield from _after(probe, context, probe.build(arguments), change)


def _after(probe: PurityProbe, context: Context, module: Any, change: Change) -> Iterator[Measurement]:
    x = torch.from_numpy(probe.x)
    with torch.no_grad():
        module(x), module(x)
        yield context.measurement("filters", "status", NONE(constructed(module.filterbank, x), 0), "bitwise")
    module = change(module)
    x = x.to(module.filterbank.center_freqs.dtype)
    uncached = copy.deepcopy(module)  # a copy has no cache
    with torch.no_grad():
        for _ in range(2):
            verdict = SAME(module(x).numpy(), uncached(x).numpy())
            yield context.measurement("output", "forward", verdict, "bitwise")


def changes(way: str) -> dict[str, Change]:
    """Ways to change parameters; without a count of the write only where values are compared."""

    def each(write: Callable[[nn.Parameter], object]) -> Change:
        def change(module: nn.Module) -> nn.Module:
            with torch.no_grad():
                for parameter in module.filterbank.parameters():  # type: ignore[union-attr]
                    write(parameter)
            return module

        return change

    def loaded(assign: bool) -> Change:
        def change(module: nn.Module) -> nn.Module:
            state = {name: 1.1 * v if v.is_floating_point() else v for name, v in module.state_dict().items()}
            module.load_state_dict(state, assign=assign)
            return module

        return change

    def stepped(module: nn.Module) -> nn.Module:
        module(torch.ones(1, 900)).square().sum().backward()
        torch.optim.SGD(module.parameters(), 1e-3).step()
        return module

    def copied(module: nn.Module) -> nn.Module:
        return each(lambda p: p.mul_(1.1))(copy.deepcopy(module))

    def inferred(module: nn.Module) -> nn.Module:
        with torch.inference_mode():
            module(torch.ones(1, 900))
        return each(lambda p: p.mul_(1.1))(module)

    def twice(parameter: nn.Parameter) -> None:  # the second may lie where the first one was
        parameter.data = parameter.data * 1.2
        parameter.data = parameter.data * 1.1

    found = {
        "nothing": lambda module: module,
        "written in place": each(lambda p: p.mul_(1.1)),
        "loaded": loaded(False),
        "loaded by assignment": loaded(True),
        "a step of training": stepped,
        "copied, then written": copied,
        "float64": lambda module: module.double(),
        "after inference mode": inferred,
        "data replaced, twice": each(twice),
    }
    if way == "by value":
        found["data written"] = each(lambda p: p.data.mul_(1.1))
    return found


def constructed(module: nn.Module, x: Tensor) -> int:
    """Exponentials, sines and cosines of a forward pass: what builds filters, and nothing else in a filterbank does."""
    with _Counted() as counted:
        module(x)
    return int(counted.n)


class _Counted(TorchDispatchMode):  # type: ignore[no-untyped-call]
    n: int

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.n = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.n += func.overloadpacket.__name__ in CONSTRUCTING
        return func(*args, **(kwargs or {}))


@contextmanager
def invalidation(way: str) -> Iterator[None]:
    """Choose how the cache notices a change of a parameter on the CPU: by comparing values, or by its version."""
    own = leaf._runtime.cache.at_hand
    if way == "by version":
        leaf._runtime.cache.at_hand = lambda t: False
    try:
        yield
    finally:
        leaf._runtime.cache.at_hand = own
