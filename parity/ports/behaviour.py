"""Check how a port behaves: it is a function, and refuses what the rung refuses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from parity.checks import purity
from parity.checks.grid import Context
from parity.criteria import Verdict
from parity.oracle.config import LeafConfig
from parity.ports.detection import completed
from parity.ports.port import REFUSED, Port, reference
from parity.report.claims import Measurement

SMALL = LeafConfig(n_filters=3, sample_rate=4000)


def calls(port: Port, again: str) -> Iterator[Measurement]:
    """The port called again and again: see :mod:`parity.checks.purity`."""
    port = completed(port)
    yield from _caught(port, again, _Conduct(port, again).calls({"n_filters": _n_filters(port)}))


def is_a_function(port: Port, again: str) -> Iterator[Measurement]:
    """The port called again and again, and beside others of its own, of its own width where it has no other."""
    port = completed(port)
    yield from calls(port, again)
    widths = port.allowed("n_filters")
    if widths is None or purity.WIDER in widths:
        beside = _Conduct(port, again).side_by_side({"n_filters": _n_filters(port)})
        yield from _caught(port, again, beside)


def _n_filters(port: Port) -> int:
    widths = port.allowed("n_filters")
    return SMALL.n_filters if widths is None else int(widths[0])


def _caught(port: Port, again: str, measured: Iterator[Measurement]) -> Iterator[Measurement]:
    try:
        yield from measured
    except Exception as error:  # a backward through an input that was changed in place, for one
        context = Context(port.name, port.name, "purity", "a call", again)
        verdict = Verdict("status", float("inf"), 0.0, f"{type(error).__name__}: {error}")
        yield context.measurement("output", "status", verdict, "bitwise")


def refuses(port: Port, again: str) -> Iterator[Measurement]:
    """Every input that the claimed rung refuses, given to the port as well."""
    from parity.ports.adapter import PortAdapter

    port = completed(port)
    config = port.held(SMALL)
    rung, module = reference(port).build(config, **port.groups), PortAdapter(port).build(config).inner
    for what, (shape, dtype) in REFUSED.items():
        x = np.ones(shape, dtype=dtype)
        if port.audio == "bt1" and len(shape) == 3:
            x = x.swapaxes(1, 2)
        if port.audio == "bt" and what in ("no samples", "integers", "another float type"):
            x = x[:, 0]
        accepted, expected = _accepts(module, x), _accepts(rung, x)
        context = Context(port.name, port.claims, "refusals", what, again)
        if what in port.accepts:
            yield Measurement(
                **_fields(context), criterion="divergence", relation="divergent",
                observed=accepted, bound=1.0, at_least=1.0,
                reason="declared: the port takes what the rung refuses",
            )  # fmt: skip
            continue
        verdict = Verdict("status", float(accepted != expected), 0.0, "the same inputs are refused")
        yield context.measurement("output", "status", verdict, "bitwise")


def _accepts(module: Any, x: np.ndarray) -> bool:
    import torch

    try:
        module(torch.from_numpy(x))
    except Exception:  # an answer of any other kind is what is asked for
        return False
    return True


def _fields(context: Context) -> dict[str, Any]:
    return {
        "rung": context.rung, "reference": context.reference, "stage": "output", "property": "status",
        "domain": context.domain, "dtype": context.dtype, "case": context.case, "reproduce": context.reproduce,
    }  # fmt: skip


class _Conduct(purity.PurityProbe):
    """The rungs' probe, on a port."""

    def __init__(self, port: Port, again: str) -> None:
        super().__init__(port.claims, "held")
        self.port, self.again = port, again

    def build(self, arguments: Mapping[str, Any]) -> Any:
        from parity.ports.adapter import PortAdapter

        return PortAdapter(self.port).build(self.port.held(SMALL).with_(**arguments))

    def same(self, what: str, got: Sequence[np.ndarray], expected: Sequence[np.ndarray]) -> Measurement:
        m = super().same(what, got, expected)
        return Measurement(**{**vars(m), "rung": self.port.name, "reference": self.port.name, "reproduce": self.again})
