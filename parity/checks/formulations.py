"""Measure the errors of several ways to compute PCEN's gain and root: float32 against float64, over the whole domain.

A formulation is a float32 function of tensors, its gradients autograd's or its own. Every point of a grid is its own
function value, so that errors are those of single values: nothing is summed.

Units are u = 2^-24 of the value, see :mod:`parity.oracle.pointwise`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from leaf.pcen import _Gain, _Root
from parity.oracle import pointwise
from parity.oracle.arrays import Array
from parity.oracle.pointwise import Exact

U = 2.0**-24
EPS = (1e-12, 1e-6)
ALPHA = (0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.96, 0.98, 1.0)
ROOT = (1e-6, 1e-3, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 0.99, 1.0)
TOGETHER = "x with M = x"
LEAF = "leaf"
PUBLISHED_GAIN = "x exp(-alpha (log eps + log1p(M / eps)))"
PUBLISHED_ROOT = "(v + delta)^r - delta^r"
TITLE = "Ways to compute PCEN's gain and root"
COLUMNS = ("value", "gradient to x; v", "to M; delta", "to alpha; r", f"to {TOGETHER}")
NOTE = (
    "Largest error, in brackets the root mean square, in u = 2^-24 of each value; float32 against float64 over x and M "
    "from 1e-12 to 1e6 (and M = 0), alpha to 1, delta from 1e-12 to 1e3 (and 0), r from 1e-6 to 1. Published are the "
    "gain by logarithms and the root by subtraction; leaf divides by the power, takes expm1 where the subtraction "
    "would cancel, and writes out the gradients."
)

Gain = Callable[[Tensor, Tensor, Tensor, float], Tensor]
Root = Callable[[Tensor, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Errors:
    """Errors of a formulation over a grid, in u: the largest, the root mean square, the share that is not finite."""

    largest: float
    rms: float
    not_finite: float


def root_by_expm1(v: Tensor, delta: Tensor, r: Tensor) -> Tensor:
    """Without a subtraction."""
    divisor = torch.where(delta > 0, delta, 1.0)
    return torch.where(delta > 0, divisor**r * torch.expm1(r * torch.log1p(v / divisor)), v**r)


class _Expm1(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, v: Tensor, delta: Tensor, r: Tensor) -> Tensor:
        ctx.save_for_backward(v, delta, r)
        return root_by_expm1(v, delta, r)

    @staticmethod
    def backward(ctx: Any, d: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        v, delta, r = ctx.saved_tensors
        positive = delta > 0
        divisor = torch.where(positive, delta, 1.0)
        log_ratio = torch.log1p(v / divisor)
        slope, grown = r * divisor ** (r - 1), torch.exp(r * log_ratio) * log_ratio
        d_v = torch.where(positive, slope * torch.exp((r - 1) * log_ratio), r * v ** (r - 1))
        d_delta = torch.where(positive, slope * torch.expm1((r - 1) * log_ratio), 0.0)
        d_r = divisor**r * (torch.expm1(r * log_ratio) * torch.log(divisor) + grown)
        return d * d_v, d * d_delta, d * torch.where(positive, d_r, torch.xlogy(v**r, v))


# of x, M, alpha and eps > 0, and of v, delta and r
GAINS: dict[str, Gain] = {
    "x (eps + M)^-alpha": lambda x, m, alpha, eps: x * (eps + m) ** -alpha,
    "x / (eps + M)^alpha": lambda x, m, alpha, eps: x / (eps + m) ** alpha,
    PUBLISHED_GAIN: lambda x, m, alpha, eps: x * torch.exp(-alpha * (math.log(eps) + torch.log1p(m / eps))),
    LEAF: lambda x, m, alpha, eps: _Gain.apply(x, eps + m, alpha),  # type: ignore[no-untyped-call]
}
ROOTS: dict[str, Root] = {
    PUBLISHED_ROOT: lambda v, delta, r: (v + delta) ** r - delta**r,
    "delta^r expm1(r log1p(v / delta))": root_by_expm1,
    "the same, gradients written": lambda *given: _Expm1.apply(*given),  # type: ignore[no-untyped-call]
    LEAF: lambda *given: _Root.apply(*given),  # type: ignore[no-untyped-call]
}


def gain_grid(n_x: int = 19, n_m: int = 145) -> tuple[Array, ...]:
    """x, M and alpha at every point, float32: x and M from 1e-12 to 1e6, and M = 0."""
    return _grid(np.logspace(-12, 6, n_x), np.r_[0.0, np.logspace(-12, 6, n_m)], np.array(ALPHA))


def root_grid(n_v: int = 145, n_delta: int = 31) -> tuple[Array, ...]:
    """v, delta and r at every point, float32: every v that the gain's grid makes, delta from 1e-12 to 1e3, and 0."""
    return _grid(np.logspace(-18, 18, n_v), np.r_[0.0, np.logspace(-12, 3, n_delta)], np.array(ROOT))


def _grid(*axes: Array) -> tuple[Array, ...]:
    return tuple(a.ravel().astype(np.float32) for a in np.meshgrid(*axes, indexing="ij"))


def run(f: Callable[..., Tensor], names: Sequence[str], points: Sequence[Array], *rest: Any) -> dict[str, Array]:
    """Values at the points and gradients of their sum, by name."""
    tensors = [torch.tensor(p, requires_grad=True) for p in points]
    y = f(*tensors, *rest)
    gradients = torch.autograd.grad(y.sum(), tensors)
    return {"value": y.detach().numpy(), **{n: g.numpy() for n, g in zip(names, gradients, strict=True)}}


def gains(form: Gain, points: Sequence[Array], eps: float) -> Iterator[tuple[str, Array, Exact]]:
    """Pair a form of the gain for x, M, alpha with the truth: value, gradients, and the gradient where M is x."""
    x, m, alpha = (p.astype(np.float64) for p in points)
    exact = pointwise.gain(x, m, alpha, eps)
    got = run(form, ("x", "M", "alpha"), points, eps)
    yield from ((name, got[name], exact[name]) for name in exact)
    m, alpha = (p[points[1] > 0] for p in points[1:])
    got = run(form, ("x", "M", "alpha"), (m, m, alpha), eps)
    exact_together = pointwise.together(m.astype(np.float64), alpha.astype(np.float64), eps)
    yield TOGETHER, got["x"] + got["M"], exact_together


def roots(form: Root, points: Sequence[Array]) -> Iterator[tuple[str, Array, Exact]]:
    """Pair a form of the root for v, delta, r with the truth: value and gradients."""
    exact = pointwise.root(*(p.astype(np.float64) for p in points))
    got = run(form, ("v", "delta", "r"), points)
    yield from ((name, got[name], exact[name]) for name in exact)


def errors(got: Array, exact: Exact) -> Errors:
    """Errors of the values in u; those that are not finite are counted and left out."""
    finite = np.isfinite(got)
    off = np.abs(got.astype(np.float64) - exact.value)[finite]
    with np.errstate(divide="ignore", invalid="ignore"):
        units = np.where(off == 0, 0.0, off / exact.size[finite]) / U
    return Errors(float(units.max()), float(np.sqrt(np.mean(units**2))), 1 - float(finite.mean()))


def measured() -> Iterator[tuple[str, str, dict[str, Errors]]]:
    """Stage, form and the errors by quantity, over the whole grid."""
    for eps in EPS:
        for name, gain in GAINS.items():
            found = {q: errors(got, exact) for q, got, exact in gains(gain, gain_grid(), eps)}
            yield f"gain, eps = {eps:g}", name, found
    for name, root in ROOTS.items():
        yield "root", name, {q: errors(got, exact) for q, got, exact in roots(root, root_grid())}


def table() -> list[dict[str, str]]:
    """A row for every stage and form: in each cell the largest error and, in brackets, its root mean square."""
    rows = []
    for stage, form, found in measured():
        cells = [f"{e.largest:.3g} ({e.rms:.2g})" for e in found.values()]
        # the gain's x, M, alpha stand above the root's v, delta, r
        row = {"stage": stage, "form": form, **dict(zip(COLUMNS, [*cells, ""], strict=False))}
        rows.append({**row, "NaN or infinite": f"{max(e.not_finite for e in found.values()):.1%}"})
    return rows


def record(rows: Sequence[Mapping[str, Any]], root: Path) -> Path:
    """Keep the table where the certificate shows it."""
    from parity.report.recorded import keep

    return keep(
        name="formulations",
        rows=rows,
        title=TITLE,
        note=NOTE,
        command="leaf-ladder formulations --record",
        sources=("leaf/pcen.py", "parity/checks/formulations.py", "parity/oracle/pointwise.py"),
        root=root,
    )
