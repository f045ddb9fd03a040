"""A filterbank of which only some parameters learn: what rungs 2 and 3 share.

Filters and windows are kept between calls where no gradient is asked for. Which of them a gradient reaches depends on
which parameters learn, and every subset of the three must give the gradients of the oracle, whatever was kept before.
"""

from __future__ import annotations

import copy
from functools import cache
from itertools import chain, combinations
from typing import Any

import numpy as np
import torch

from parity.adapters.canonical import KERNEL, POOLING
from parity.adapters.rungs import RUNGS
from parity.cases.case import Case
from parity.checks.grid import Expected
from parity.checks.steps import expected_alone
from parity.criteria import Exactly, norm, within_rounding

# by the oracle's name and the column of it
PARAMETERS = {"center_freqs": (KERNEL, 0), "bandwidths": (KERNEL, 1), "pooling_widths": (POOLING, ...)}
SUBSETS = tuple(chain.from_iterable(combinations(PARAMETERS, n) for n in range(len(PARAMETERS) + 1)))
SAME = Exactly("the same operations on the same parameters")
RATE = 1e-3


@cache
def _prepared(rung: str, text: str, **options: float) -> tuple[Any, Expected]:
    """A float64 module of a case, and what it is held against."""
    case, adapter = Case.parse(text), RUNGS[rung].load_adapter()
    module = adapter.filled(case.config, case.variables(), "float64", **options)
    return module, expected_alone(rung, module, case)


def check_subset(rung: str, case: str, learned: tuple[str, ...], training: bool, **options: float) -> None:
    """Gradients of a subset against the oracle in float64; then a step of it, after which nothing may be stale."""
    module, expected = _prepared(rung, case, **options)
    module = copy.deepcopy(module).train(training).requires_grad_(False)
    x, cotangent = (torch.from_numpy(a.astype(np.float64)) for a in (expected.x, expected.cotangent))
    with torch.no_grad():
        module(x)
    for name in learned:
        getattr(module.filterbank, name).requires_grad_()
    slopes = _gradients(module, x, cotangent)
    rounding = expected.rounding("float64")
    for name, slope in slopes.items():
        of, column = PARAMETERS.get(name, (name, ...))
        true, error = (a[of] if column is ... else a[of][:, column] for a in (expected.gradients, rounding))
        assert np.any(true)
        verdict = within_rounding(slope.numpy(), true.reshape(slope.shape), error.reshape(slope.shape), norm)
        assert verdict.passes, (name, verdict)
    with torch.no_grad():
        for name in learned:
            parameter = getattr(module.filterbank, name)
            parameter -= RATE * slopes[name] / slopes[name].abs().max()
    fresh = copy.deepcopy(module)  # which keeps nothing
    again = _gradients(module, x, cotangent)
    for name, slope in _gradients(fresh, x, cotangent).items():
        assert SAME(again[name].numpy(), slope.numpy()).passes, name
    with torch.no_grad():
        assert SAME(module(x).numpy(), fresh(x).numpy()).passes


def _gradients(module: Any, x: torch.Tensor, cotangent: torch.Tensor) -> dict[str, torch.Tensor]:
    """Of the audio, and of the filterbank's parameters that learn."""
    audio = x.clone().requires_grad_()
    learned = {name: p for name, p in module.filterbank.named_parameters() if p.requires_grad}
    slopes = torch.autograd.grad(module(audio), [audio, *learned.values()], cotangent)
    return dict(zip(("input", *learned), slopes, strict=True))
