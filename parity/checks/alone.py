"""A rung by itself: its status and its running errors against the oracle, with no reference to lean on (G0 and G2)."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from parity.adapters.base import Adapter, TorchAdapter
from parity.adapters.canonical import checked
from parity.adapters.rungs import RUNGS
from parity.cases.case import Case
from parity.checks.expected import Expected
from parity.checks.grid import Context, compare_algebraic, compare_algebraic_gradients, compare_sound, kind_of
from parity.oracle import Box, Geometry, Group
from parity.report.claims import Measurement

SUFFIX = "-alone"  # of the name under which `leaf-ladder replay` runs a rung by itself
DOMAIN = "drawn, against the oracle alone"
DTYPES = ("float32", "float64", "bfloat16")


def alone(
    rung: str, case: Case, dtype: str = "float32", domain: str = "drawn, against the oracle alone"
) -> Iterator[Measurement]:
    """Every stage and gradient of one case, value by value under the running-error bound.

    Args:
        rung: name of the rung.
        case: what to run; the rung must be able to hold its configuration.
        dtype: ``float32``; ``float64``, held to the algebraic limits instead; or ``bfloat16``:
            torch's autocast of the float32 module, forward only.
        domain: where the relation is claimed.

    Raises:
        ValueError: the rung cannot hold the configuration, or another dtype.
    """
    if dtype not in DTYPES:
        raise ValueError(f"dtype={dtype!r}: must be one of {DTYPES}")
    adapter = RUNGS[rung].load_adapter()
    weights = checked(case.variables(), case.config)
    module = adapter.build(case.config, dtype="float64" if dtype == "float64" else "float32")
    adapter.write(module, weights)
    x = case.input()
    expected = Expected(
        config=case.config,
        variables=weights,
        x=x,
        cotangent=x,  # replaced below, once the output's shape is known
        subtracts=RUNGS[rung].subtracts or dtype != "float64",
        geometry=geometry_of(adapter, module, case),
    )
    expected.cotangent = case.cotangent(expected.stages["output"].shape)
    context = Context(
        rung=rung,
        reference="oracle",
        domain=domain,
        case=str(case),
        reproduce=f"leaf-ladder replay {rung}{SUFFIX} {shlex.quote(str(case))}",
        dtype=dtype,
    )
    if dtype == "bfloat16":
        if not isinstance(adapter, TorchAdapter):
            raise ValueError(f"dtype='bfloat16': must be float32 or float64, as {rung} has no autocast")
        stages = adapter.autocast_stages(module, x)
        yield from compare_sound(context, stages, expected.stages, expected.errors(dtype), lambda stage: "forward")
        return
    stages, gradients = adapter.stages(module, x), adapter.gradients(module, x, expected.cotangent)
    if dtype == "float64":  # as far from the truth as the oracle itself
        yield from compare_algebraic(context, stages, expected)
        yield from compare_algebraic_gradients(context, gradients, expected)
        return
    yield from compare_sound(context, stages, expected.stages, expected.errors(dtype), lambda stage: "forward")
    yield from compare_sound(context, gradients, expected.gradients, expected.gradient_errors(dtype), kind_of)


def geometry_of(adapter: Adapter, module: object, case: Case) -> Geometry | None:
    """EfficientLEAF's groups as the module chose them; None for LEAF's own geometry."""
    plan = getattr(adapter, "plan", None)
    if plan is None:
        return None
    config = case.config
    groups = tuple(Group(*numbers) for numbers in plan(module))
    return Geometry(config.window, config.stride, "centered", Box.of_efficientleaf(config.window), groups)
