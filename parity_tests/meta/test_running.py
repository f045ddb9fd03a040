"""The running-error arithmetic: its bounds hold, are not vacuous, and its formulas are LEAF's."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
import torch

from parity.cases.case import Case
from parity.criteria import AtMost, OfMax, judged, soundness
from parity.oracle import LeafBounds, LeafOracle, Precision, Running
from parity.oracle.correlation import Correlation
from parity.oracle.running import EXP, LOG, POWER, TRIGONOMETRIC, bilinear

SINGLE = Precision.of("float32")
SECOND = OfMax(1e-12, "two formulations in float64: transforms against sums, a subtraction against expm1")
FEW = AtMost(100.0, "no operation here takes more than a few roundings: a bound of hundreds would be no bound")

RNG = np.random.default_rng(0)
A, B = (np.exp(RNG.uniform(-3, 3, 4000)) for _ in range(2))
OPERATIONS = {  # on running errors, and on numbers
    "exp": (lambda x: x.exp(), np.exp),
    "log": (lambda x: x.log(), np.log),
    "log1p": (lambda x: x.monotone(np.log1p, LOG), np.log1p),
    "expm1": (lambda x: x.monotone(np.expm1, EXP), np.expm1),
    "clamped": (lambda x: x.clamped(0.7, 2.1), lambda x: np.clip(x, np.float32(0.7), np.float32(2.1))),
    "cos": (lambda x: x.cos_sin()[0], np.cos),
    "sin": (lambda x: x.cos_sin()[1], np.sin),
    "+": (lambda a, b: a + b, np.add),
    "-": (lambda a, b: a - b, np.subtract),
    "*": (lambda a, b: a * b, np.multiply),
    "/": (lambda a, b: a / b, np.divide),
    "power": (lambda a, b: a.power(b), np.power),
}


def disturbed(x: np.ndarray, seed: int) -> tuple[Running, np.ndarray]:
    """Numbers that are known to three digits, and what an implementation may hold of them."""
    error = 1e-3 * x
    held = x + np.random.default_rng(seed).choice([-1, 1], x.shape) * error
    return Running(x, 1.01 * error, SINGLE), held.astype(np.float32)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_bound_holds_and_is_near(operation):
    running, computed = OPERATIONS[operation]
    n_arguments = running.__code__.co_argcount
    rounded = [(Running.given(x.astype(np.float32), SINGLE), x.astype(np.float32)) for x in (A, B)]
    for arguments in (rounded, [disturbed(A, 1), disturbed(B, 2)]):
        known, held = zip(*arguments[:n_arguments], strict=True)
        bound = running(*known)
        verdict = soundness(computed(*held), bound.value, bound.error)
        assert verdict.passes, verdict
        assert FEW(1 / verdict.observed).passes


def test_what_may_be_zero_is_promised_nothing_in_a_division():
    near = Running(np.array([1.0, 1.0]), np.array([0.5, 1.5]), SINGLE)
    assert judged((near / near).error) == np.mean([True, False])
    assert judged(near.log().error) == np.mean([True, False])
    assert judged(near.power(near).error) == np.mean([True, False])


def test_one_operation_counts_a_sum_once():
    x = Running.given(np.ones((1, 400)), Precision.of("float32", one_operation=True))
    once, worst = x.sum(1).error, Running.given(np.ones((1, 400)), SINGLE).sum(1).error
    assert OfMax(1e-4, "n u / (1 - n u) is not quite n u")(worst, 400 * once).passes


@pytest.mark.parametrize(
    ("n", "window", "stride", "pads"), [(50, 9, 1, (4, 4)), (97, 12, 7, (3, 9)), (1, 5, 2, (2, 2))]
)
def test_transforms_are_sums(n, window, stride, pads):
    x, w = RNG.uniform(0, 1, (2, n)), RNG.uniform(0, 1, (1, window))
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(x, [(0, 0), pads]), window, axis=-1)[:, ::stride]
    d = RNG.uniform(0, 1, frames.shape[:-1])
    correlation = Correlation(n, window, stride, pads)
    back = np.zeros((2, n + sum(pads)))
    for f in range(frames.shape[1]):
        back[:, f * stride : f * stride + window] += d[:, f : f + 1] * w
    pairs = [
        (correlation.forward(x, w), frames @ w[0]),
        (correlation.to_window(d, x), np.einsum("bf,bfw->bw", d, frames)),
        (correlation.to_signal(d, w), back[:, pads[0] : pads[0] + n]),
    ]
    for got, expected in pairs:
        assert SECOND(got, expected).passes
    above = correlation.above()
    assert (above.forward(x, w) >= frames @ w[0]).all()


def test_sum_of_products_holds_in_any_order():
    a, b = (RNG.standard_normal((1, 300)).astype(np.float32) for _ in range(2))
    runs = [Running.given(x, SINGLE) for x in (a, b)]
    exact = (a.astype(np.float64) * b).sum(keepdims=True)
    bound = bilinear(lambda x, y: (x * y).sum(keepdims=True), *runs, exact, 300)
    for order in (np.arange(300), np.arange(300)[::-1], RNG.permutation(300)):
        total = np.float32(0)
        for i in order:
            total = np.float32(total + np.float32(a[0, i] * b[0, i]))
        assert soundness(np.array([[total]]), bound.value, bound.error).passes


CASES = (
    "weights=drawn,n_filters=3,sample_rate=8000,n_samples=801,seed=1",
    "weights=outside,n_filters=4,sample_rate=22050,n_samples=1000,seed=2,batch=2",
    "weights=trained,n_filters=3,sample_rate=4000,n_samples=500,seed=3,preemp=True,mean_var_norm=True",
    "weights=trained,n_filters=3,sample_rate=4000,n_samples=500,seed=4,compression=log,signal=impulse_last",
    "weights=trained,n_filters=3,sample_rate=4000,n_samples=500,seed=5,compression=fixed_pcen,padding=centered",
    "weights=drawn,n_filters=2,sample_rate=4000,n_samples=500,seed=6,compression=none,signal=dc",
    "weights=drawn,n_filters=2,sample_rate=4000,n_samples=1,seed=7,signal=silence,per_channel_smooth=False",
)


@pytest.mark.parametrize("text", CASES)
@pytest.mark.parametrize("subtracts", [True, False])
def test_the_arithmetic_computes_leaf(text, subtracts):
    # a second formulation of the oracle: transforms, powers and subtractions, another order of everything
    case = Case.parse(text)
    variables, x, oracle = case.variables(), case.input(), LeafOracle(case.config)
    stages = oracle.stages(variables, x)
    bounds = LeafBounds(oracle, variables, x, SINGLE, subtracts)
    for name, stage in bounds.stages().items():
        assert SECOND(stage.value, stages[name]).passes, name
    cotangent = case.cotangent(stages["output"].shape)
    gradients = oracle.gradients(variables, x, cotangent)
    found = LeafBounds(oracle, variables, x, Precision.of("float64"), subtracts).gradients(cotangent)
    assert set(found) == set(gradients)
    for name, gradient in found.items():
        # where a gradient's terms cancel, so do the digits of either formulation
        error = gradient.error + SECOND.limit * np.abs(gradients[name]).max()
        assert gradient.value.shape == gradients[name].shape
        assert soundness(gradient.value, gradients[name], error).passes, name


@pytest.mark.parametrize("text", CASES[:2])
def test_one_operation_is_within_all_of_them(text):
    case = Case.parse(text)
    variables, x, oracle = case.variables(), case.input(), LeafOracle(case.config)
    errors = LeafBounds(oracle, variables, x, SINGLE).errors()
    once = LeafBounds(oracle, variables, x, Precision.of("float32", one_operation=True)).errors()
    for name, error in errors.items():
        assert (once[name] <= error).all()


def _dense(low: float, high: float) -> np.ndarray:
    return np.exp(RNG.uniform(np.log(low), np.log(high), 20000)).astype(np.float32)


POWERS = -RNG.uniform(0, 1, 20000).astype(np.float32)


@pytest.mark.parametrize(("function", "low", "high", "assumed"), [
    ("exp", 1e-6, 80.0, EXP), ("expm1", 1e-6, 20.0, EXP), ("log", 1e-12, 1e6, LOG), ("log1p", 1e-9, 1e6, LOG),
    ("cos", 1e-3, 900.0, TRIGONOMETRIC), ("sin", 1e-3, 900.0, TRIGONOMETRIC), ("power", 1e-12, 1e4, POWER),
])  # fmt: skip
def test_assumed_errors(function, low, high, assumed):
    given = (_dense(low, high), *((POWERS,) if function == "power" else ()))
    exact = getattr(np, function)(*(x.astype(np.float64) for x in given))
    few = slice(0, None, 2000)
    in_mpmath = getattr(mpmath, function)
    points = [
        float(in_mpmath(*(mpmath.mpf(float(v)) for v in at))) for at in zip(*(x[few] for x in given), strict=True)
    ]
    assert SECOND(exact[few], np.array(points)).passes
    size = 1.0 if function in ("cos", "sin") else np.abs(exact)  # whose error is absolute
    torch_function = getattr(torch, {"power": "pow"}.get(function, function))
    for found in (getattr(np, function)(*given), torch_function(*map(torch.from_numpy, given)).numpy()):
        worst = np.max(np.abs(found - exact) / size) / SINGLE.u
        assert AtMost(assumed, "the assumption")(worst).passes, worst
