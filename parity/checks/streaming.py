"""Streaming: the frames of audio in chunks, however it is cut, are those of the whole."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

import numpy as np

from parity.adapters.canonical import checked
from parity.adapters.rungs import RUNGS
from parity.cases.case import Case
from parity.checks.alone import geometry_of
from parity.checks.grid import Context
from parity.criteria import one_operation, peak, soundness, status
from parity.oracle import LeafBounds, LeafOracle, Precision
from parity.oracle.arrays import exact
from parity.report.claims import Measurement

DOMAIN = "in chunks"


def streamed(rung: str, case: Case, cuts: Sequence[int], dtype: str = "float32") -> Iterator[Measurement]:
    """The output of ``stream``, held against the oracle (G0, G2) and against the module on the whole (G3).

    Args:
        rung: ``leaf`` or ``efficientleaf``.
        case: what to run; the rung must be able to hold its configuration.
        cuts: where the audio is cut, in samples, ascending; two equal ones make an empty chunk.
        dtype: ``float32`` or ``float64``.
    """
    import torch

    adapter = RUNGS[rung].load_adapter()
    weights = checked(case.variables(), case.config)
    module = adapter.build(case.config, dtype=dtype)
    adapter.write(module, weights)
    x = case.input()
    held = {name: exact(values) for name, values in weights.items()}
    oracle = LeafOracle(case.config, geometry=geometry_of(adapter, module, case))
    pieces = [torch.from_numpy(piece.astype(dtype)) for piece in np.split(x, cuts, axis=-1)]
    candidate = torch.cat(list(module.stream(pieces, n_samples=x.shape[-1])), -1).numpy()
    whole = adapter.output(module, x)
    context = Context(
        rung=rung,
        reference=rung,
        domain=DOMAIN,
        case=f"{case}; cut at {', '.join(map(str, cuts)) or 'no sample'}",
        reproduce=f"pytest parity_tests/{rung}/test_streaming.py  # {shlex.quote(str(case))}",
        dtype=dtype,
    )
    verdict = status(candidate, whole)
    yield context.measurement("output", "status", verdict, "rounding")
    if not verdict.passes:
        return
    errors, rounding = (
        LeafBounds(oracle, held, exact(x), Precision.of(dtype, one), subtracts=False).errors()["output"]
        for one in (False, True)
    )
    verdict = one_operation(candidate, whole, rounding, peak)
    yield context.measurement("output", "forward", verdict, "rounding")
    if dtype == "float32":  # the oracle itself is a float64 implementation
        truth = oracle.stages(held, exact(x))["output"]
        yield context.measurement("output", "forward", soundness(candidate, truth, errors), "rounding")
