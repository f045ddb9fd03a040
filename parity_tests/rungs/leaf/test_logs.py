"""Logarithms and values of PCEN's parameters: one function on what they share, gradients related by the chain rule."""

from __future__ import annotations

import copy

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

import leaf
from parity.checks.grid import Context
from parity.criteria import PropagatedBound, judged
from parity.oracle import pcen as oracle
from parity.oracle import pointwise
from parity.oracle.running import EXP, Precision, Running
from parity.oracle.scan import average
from parity.weights.convert_module import PARAMETERS, relearned, to_logarithms, to_values

U = 2.0**-24
AGAIN = "pytest parity_tests/rungs/leaf/test_logs.py"
PROPAGATED = PropagatedBound(
    "a rounded logarithm is |log p| u off its parameter: carried to the result by the float64 oracle"
)
BANDS, FRAMES, BATCH = 3, 24, 2
OWN = 2.0**-40  # what float64 makes of a few thousand roundings, relative to the sum of the terms' magnitudes
SECOND = 1 + 2.0**-8  # errors of 42 u in an exponent: their squares, and products of two
ACCURATE = (
    9.0  # u that form="accurate" errs: what leaf-ladder formulations shows of gain and root, 3 and 5, and one more
)
KINDS = ("noise", "constant", "steps", "silence", "faint", "decay", "zero")


def energies(kind, level, seed):
    """float32 [BATCH, BANDS, FRAMES]."""
    rng = np.random.default_rng(seed)
    x, t = rng.uniform(0, 1, (BATCH, BANDS, FRAMES)), np.arange(FRAMES)
    if kind == "constant":
        x[:] = x[..., :1]
    elif kind == "steps":
        x *= np.where(t // 6 % 2, 1.0, 1e-12)  # 120 dB
    elif kind == "silence":
        x *= (t < 3) | (t == 17)
    elif kind == "faint":
        x *= 1e-12
    elif kind == "decay":
        x *= 0.3**t
    elif kind == "zero":
        x[:] = 0
    return np.float32(10.0**level * x)


def exponents(low, *corners):
    return st.one_of(st.sampled_from(corners), st.floats(low, corners[-1]))


DRAWN = {
    "s": exponents(-6, -6.0, 0.0), "alpha": exponents(-2, -2.0, -0.0088, 0.0), "delta": exponents(-12, -12.0, 3.0),
    "r": exponents(-2, -2.0, 0.0), "kind": st.sampled_from(KINDS), "level": st.floats(-12, 6),
    "eps": st.sampled_from([1e-12, 1e-6]), "seed": st.integers(0, 999),
}  # fmt: skip


def values(s, alpha, delta, r, seed):
    """Values of the linear parameters: each band a little beside the drawn value, within the domain."""
    spread = np.random.default_rng(seed).uniform(-0.3, 0, (4, BANDS)) * np.array([0, 1, 1])
    low = {"s": -6, "alpha": -2, "delta": -12, "r": -2}
    drawn = dict(zip(low, (s, alpha, delta, r), strict=True))
    powers = {n: np.maximum(drawn[n] + spread[i], low[n]) for i, n in enumerate(low)}
    held = {n: np.float32(10.0 ** (-p if n == "r" else p)) for n, p in powers.items()}
    return {**held, "s": np.minimum(held["s"], 1), "alpha": np.minimum(held["alpha"], 1), "r": np.maximum(held["r"], 1)}


def setting(drawn):
    """Energies, what the linear parameters hold, and eps."""
    held = values(**{name: drawn[name] for name in (*PARAMETERS, "seed")})
    return energies(drawn["kind"], drawn["level"], drawn["seed"]), held, drawn["eps"]


def module(held, eps, learn_logs=False):
    pcen = leaf.PCEN(BANDS, eps=eps, learn_logs=learn_logs)
    for name, value in held.items():
        getattr(pcen, name).data.copy_(torch.as_tensor(value))
    return pcen


def acting(held):
    """The parameters as they act, float64."""
    wide = {name: value.astype(np.float64) for name, value in held.items()}
    return {**wide, "r": 1 / wide["r"]}


def roundings(p, more=0.0):
    """Relative error of what a rounded logarithm stands for, its exponential ``more`` roundings off; exp(0) is 1."""
    return {name: (np.abs(np.log(value)) + more * (value != 1)) * U for name, value in p.items()}


def features(x, p, eps):
    m = oracle.smoother(x, p["s"], 1 - p["s"])
    return oracle.normalise(x, m, p["alpha"], p["delta"], p["r"], eps)


def slopes(x, p, eps, d):
    """Gradients of ``sum(d y)`` to the logarithms of the parameters: p times those to p."""
    x = x.astype(np.float64)
    m = oracle.smoother(x, p["s"], 1 - p["s"])
    _, d_m, *rest = oracle.normalise_adjoint(x, m, p["alpha"], p["delta"], p["r"], eps, d)
    _, d_in, d_back = oracle.smoother_adjoint(x, p["s"], 1 - p["s"], d_m)
    return {n: p[n] * g for n, g in zip(PARAMETERS, (d_in - d_back, *rest), strict=True)}


def magnitudes(x, p, eps, d):
    """Sums of the magnitudes of the terms of :func:`slopes`."""
    x, column = x.astype(np.float64), {n: np.broadcast_to(v[:, None], x.shape) for n, v in p.items()}
    m = oracle.smoother(x, p["s"], 1 - p["s"])
    gain = pointwise.gain(x, m, column["alpha"], eps)
    root = pointwise.root(np.maximum(gain["value"].value, 1e-300), column["delta"], column["r"])
    d_v = np.abs(d) * root["v"].size
    _, d_in, d_back = oracle.smoother_adjoint(x, p["s"], 1 - p["s"], d_v * gain["M"].size)
    terms = {"alpha": d_v * gain["alpha"].size} | {n: np.abs(d) * root[n].size for n in ("delta", "r")}
    return {"s": p["s"] * (d_in + d_back), **{n: p[n] * t.sum(axis=(0, 2)) for n, t in terms.items()}}


def moved(f, p, by):
    """Bound the movement of ``f`` where each parameter moves by a share of itself: the sum over the parameters.

    s stays below 1, as the exponential of what is not positive does: beyond, the smoother would swing.
    """
    at_rest, total = f(p), 0.0
    for name, share in by.items():
        limit = 1.0 if name == "s" else np.inf
        ends = [np.minimum(p[name] * (1 + way * share), limit) for way in (-1, 1)]
        total = total + np.maximum(*(np.abs(f({**p, name: end}) - at_rest) for end in ends))
    return SECOND * total


def run(pcen, x, d):
    y = pcen(torch.as_tensor(x).to(pcen.s.dtype))
    y.backward(torch.as_tensor(d).to(y.dtype))
    return y.detach().numpy(), {n: getattr(pcen, n).grad.numpy().astype(np.float64) for n in PARAMETERS}


def check(ledger, a, b, error, drawn, stage="pcen", property="forward", dtype="float64"):
    case = ",".join(f"{n}={v:.4g}" if isinstance(v, float) else f"{n}={v}" for n, v in drawn.items())
    context = Context("leaf", "leaf", "learn_logs=True against False", case, AGAIN, dtype)
    assert judged(error) == 1
    ledger.check(context.measurement(stage, property, PROPAGATED(a, b, error), "rounding"))


@given(**DRAWN)
def test_they_are_one_function(ledger, **drawn):
    x, held, eps = setting(drawn)
    linear = module(held, eps)
    logs = relearned(linear, True)
    p = acting(held)
    a, b = (copy.deepcopy(m).double()(torch.as_tensor(x).double()).detach().numpy() for m in (logs, linear))
    # evaluated in float64: nothing but the roundings of the logarithms is between them
    error = moved(lambda q: features(x, q, eps), p, roundings(p)) + OWN * np.abs(b)
    check(ledger, a, b, error, drawn)


@given(**DRAWN)
def test_they_are_one_function_in_float32(ledger, **drawn):
    x, held, eps = setting(drawn)
    linear = module(held, eps)
    p = acting(held)
    a, b = (m(torch.as_tensor(x)).detach().numpy() for m in (relearned(linear, True), linear))
    wide = x.astype(np.float64)
    m = average(
        Running.given(wide, Precision.of("float32")), p["s"], Running.given(wide[..., 0], Precision.of("float32"))
    )
    at_rest, rest = features(x, p, eps), (p["alpha"], p["delta"], p["r"], eps)
    smoothed = [oracle.normalise(wide, np.maximum(m.value + way * m.error, 0), *rest) for way in (-1, 1)]
    own = np.maximum(*(np.abs(y - at_rest) for y in smoothed)) + ACCURATE * U * at_rest + 2.0**-126
    by = roundings(p, EXP)
    by["r"] = by["r"] + U  # the linear one divides 1 by what it holds
    error = moved(lambda q: features(x, q, eps), p, by) + 2 * SECOND * own
    check(ledger, a, b, error, drawn, dtype="float32")


@given(**DRAWN)
def test_gradients_are_related_by_the_chain_rule(ledger, **drawn):
    x, held, eps = setting(drawn)
    d = np.random.default_rng(drawn["seed"] + 1).normal(size=x.shape)
    linear = module(held, eps)
    p = acting(held)
    (_, to_logs), (_, to_linear) = (run(copy.deepcopy(m).double(), x, d) for m in (relearned(linear, True), linear))
    size = magnitudes(x, p, eps, d)
    for name in PARAMETERS:
        # dL/dlog p = p dL/dp; of the root's inverse, -p dL/dp
        chained = held[name].astype(np.float64) * to_linear[name] * (-1 if name == "r" else 1)
        error = moved(lambda q, name=name: slopes(x, q, eps, d)[name], p, roundings(p))
        check(ledger, to_logs[name], chained, error + OWN * size[name], drawn, name, "parameter gradient")


@given(**{name: DRAWN[name] for name in (*PARAMETERS, "seed")})
def test_there_and_back_is_two_roundings(seed, **drawn):
    held = values(seed=seed, **drawn)
    logarithms = to_logarithms(held)
    back = to_values(logarithms)
    for name, value in held.items():
        wide, sign = value.astype(np.float64), -1 if name == "r" else 1
        log = np.abs(np.log(wide))
        assert PROPAGATED(logarithms[name], sign * np.log(wide), U * log).passes
        assert PROPAGATED(back[name], wide, SECOND * (log + 1) * U * wide).passes
