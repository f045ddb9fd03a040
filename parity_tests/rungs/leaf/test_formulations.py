"""The form in which ``leaf.PCEN`` computes gain and root errs least, and the published one as much as it must."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
import torch

import leaf
from parity.checks import formulations
from parity.checks.grid import Context
from parity.criteria import AtMost, Exactly, judged, soundness
from parity.oracle import Precision, Running, pointwise
from parity.oracle.running import LOG

U = formulations.U
SINGLE = Precision.of("float32")
AGAIN = "pytest parity_tests/rungs/leaf/test_formulations.py"
FLOAT64 = AtMost(
    2.0**-44, "2^-53 times r log(v / delta), at most 69, of a power taken from its logarithm, and a few more"
)
OVERFLOWED = AtMost(2.0**-17, "100 of a logarithm, 4 roundings of it, behind an exponent that is near 0")
NONE = Exactly("what is not finite is counted")
SAME = Exactly("the same operations in the same order")
NAMES = {"gain": ("x", "M", "alpha"), "root": ("v", "delta", "r")}
DRAWN = np.random.default_rng(0)


def drawn(low, high, n):
    return np.float32(10 ** DRAWN.uniform(low, high, n))


N = 3000
X, M, DELTA = drawn(-12, 6, N), drawn(-12, 6, N), drawn(-12, 3, N)
ALPHA, R = np.float32(DRAWN.uniform(0.01, 1, N)), drawn(-2, 0, N)


def module(form, eps, r=R, delta=DELTA):
    """PCEN whose every band is a point, and whose smoother stays at its state."""
    pcen = leaf.PCEN(N, eps=eps, learn_logs=False, form=form)
    for parameter, value in ((pcen.s, 0), (pcen.alpha, ALPHA), (pcen.delta, delta), (pcen.r, 1 / r)):
        parameter.data.copy_(torch.as_tensor(value))
    return pcen


def called(pcen):
    """Values, the gradients by name, and the root as it acts."""
    x, state = (torch.tensor(a[None], requires_grad=True) for a in (X, M))
    y = pcen.step(x[..., None], state)[0][..., 0]
    y.sum().backward()
    found = {"x": x, "M": state, "alpha": pcen.alpha, "delta": pcen.delta, "r": pcen.r}
    return y.detach().numpy()[0], {name: t.grad.numpy().ravel() for name, t in found.items()}


def acting(r=R):
    """The root: the inverse of a float32 parameter, rounded."""
    return 1 / np.float32(1 / r)


@pytest.fixture(scope="module")
def measured():
    return {(stage, form): found for stage, form, found in formulations.measured()}


def stages():
    return [*(f"gain, eps = {eps:g}" for eps in formulations.EPS), "root"]


@pytest.mark.parametrize("stage", stages())
def test_no_form_errs_less_at_its_worst(measured, stage):
    criterion = "a rounding more than the best of all forms, quantity by quantity"
    forms = {form: found for (of, form), found in measured.items() if of == stage}
    for quantity, own in forms[formulations.LEAF].items():
        least = min(found[quantity].largest for found in forms.values())
        verdict = AtMost(least + 1, criterion)(own.largest)
        assert verdict.passes, (quantity, verdict)


@pytest.mark.parametrize("stage", stages())
def test_values_and_gradients_are_finite_on_the_whole_domain(measured, stage):
    for quantity, own in measured[stage, formulations.LEAF].items():
        assert NONE(own.not_finite, 0).passes, quantity


@pytest.mark.parametrize("form", ["published", "accurate"])
@pytest.mark.parametrize("eps", formulations.EPS)
def test_module_computes_the_form_that_was_measured(form, eps):
    gain = formulations.GAINS[formulations.LEAF if form == "accurate" else formulations.PUBLISHED_GAIN]
    root = formulations.ROOTS[formulations.LEAF if form == "accurate" else formulations.PUBLISHED_ROOT]
    x, m, alpha, delta, r = (torch.tensor(a) for a in (X, M, ALPHA, DELTA, acting()))
    expected = root(gain(x, m, alpha, eps), delta, r).numpy()
    assert SAME(called(module(form, eps))[0], expected).passes


@pytest.mark.parametrize("eps", formulations.EPS)
@pytest.mark.parametrize("silent", ["x", "M", "x and M"])
def test_silence_has_finite_gradients(monkeypatch, eps, silent):
    for name in silent.split(" and "):
        monkeypatch.setitem(globals(), name.upper(), np.zeros(N, np.float32))
    y, gradients = called(module("accurate", eps))
    assert NONE(sum(np.sum(~np.isfinite(a)) for a in (y, *gradients.values())), 0).passes


def test_gradient_to_delta_at_zero_is_zero_by_convention():
    _, gradients = called(module("accurate", 1e-12, delta=np.zeros(N, np.float32)))
    assert Exactly("the convention")(gradients["delta"], np.zeros(N)).passes
    assert NONE(sum(np.sum(~np.isfinite(g)) for g in gradients.values()), 0).passes


def rooted(v, delta, r):
    given = [np.float32(np.broadcast_to(a, np.broadcast(v, delta, r).shape)) for a in (v, delta, r)]
    return formulations.run(formulations.ROOTS[formulations.LEAF], NAMES["root"], given), [
        a.astype(float) for a in given
    ]


def test_root_tends_to_a_logarithm_with_r():
    got, (v, delta, r) = rooted(X, DELTA, 1e-9)
    limit = np.log1p(v / delta)
    # delta^r expm1(r L) / (r L) = 1 + r log delta + r L / 2 + ...
    beyond = (r * (np.abs(np.log(delta)) + limit)).max() / U
    criterion = AtMost(
        6 + beyond, "a division, log1p, a product, expm1 and a product of two powers; r times the next term"
    )
    for slope in (got["value"] / r, got["r"]):
        verdict = criterion((np.abs(slope - limit) / limit).max() / U)
        assert verdict.passes, verdict


@pytest.mark.parametrize("delta", [1e-12, 1e-20, 1e-30, 1e-38])
def test_root_tends_to_a_power_with_delta(delta):
    # at 1e-38, v / delta overflows; below, the derivative to delta itself, about 1 / delta, does
    got, (v, small, r) = rooted(X, delta, np.where(np.arange(N) % 3, R, 1))
    power, rest = v**r, small**r
    criterion = AtMost(
        8, "two powers of 2 u each, with v + delta another, and a difference that leaves half of the larger"
    )
    error = np.maximum(np.abs(got["value"] - power) - rest, 0) / (power + rest) / U
    assert criterion(error.max()).passes
    assert NONE(sum(np.sum(~np.isfinite(a)) for a in got.values()), 0).passes


def published(eps):
    """Gain and whole of the published form in running-error arithmetic."""
    x, m, alpha, delta, r = (Running.given(a, SINGLE) for a in (X, M, ALPHA, DELTA, acting()))
    log_eps = Running.given(np.log(eps), SINGLE, 1)
    divided = m / Running.given(eps, SINGLE, 2)  # rounded, and so may its reciprocal be, by which to multiply
    gained = x * (-(alpha * (log_eps + divided.monotone(np.log1p, LOG)))).exp()
    return gained, (gained + delta).power(r) - delta.power(r)


def oracle(eps):
    x, m, alpha, delta, r = (a.astype(np.float64) for a in (X, M, ALPHA, DELTA, acting()))
    return pointwise.root(pointwise.gain(x, m, alpha, eps)["value"].value, delta, r)["value"].value


@pytest.mark.parametrize("eps", formulations.EPS)
def test_published_form_is_within_its_own_bound(ledger, eps):
    context = Context("leaf", "oracle", "form='published'", f"eps={eps:g}, {N} points of the domain", AGAIN)
    _, bound = published(eps)
    verdict = soundness(called(module("published", eps))[0], oracle(eps), bound.error)
    ledger.check(context.measurement("pcen", "forward", verdict, "rounding"))
    assert judged(bound.error) == 1


@pytest.mark.parametrize("eps", formulations.EPS)
def test_published_gain_is_within_its_own_bound_and_needs_it(eps):
    got = formulations.GAINS[formulations.PUBLISHED_GAIN](*(torch.tensor(a) for a in (X, M, ALPHA)), eps).numpy()
    exact = pointwise.gain(*(a.astype(np.float64) for a in (X, M, ALPHA)), eps)["value"].value
    bound, _ = published(eps)
    verdict = soundness(got, exact, bound.error)
    assert verdict.passes, verdict
    assert AtMost(20, "LOG roundings of log1p are assumed where a library makes one").limit > 1 / verdict.observed


@pytest.mark.parametrize("eps", formulations.EPS)
def test_accurate_form_errs_as_its_two_parts(ledger, measured, eps):
    exact = oracle(eps)
    off = {form: np.abs(called(module(form, eps))[0] - exact) / exact / U for form in ("accurate", "published")}
    parts = [measured[stage, formulations.LEAF]["value"].largest for stage in (f"gain, eps = {eps:g}", "root")]
    reason = "u: the largest of gain and root alone, as the root's relative slope is at most 1, and a rounding"
    criterion = AtMost(sum(parts) + 1, f"{reason}; form='published' at the same points: {off['published'].max():.3g} u")
    context = Context("leaf", "oracle", "form='accurate'", f"eps={eps:g}, {N} points of the domain", AGAIN)
    ledger.check(context.measurement("pcen", "forward", criterion(off["accurate"].max()), "rounding"))


def precise(x, m, alpha, eps, v, delta, r):
    """Gain and root at one point, to 60 digits, by differentiation of the definition."""
    mp = mpmath.mp.clone()
    mp.dps = 60
    x, m, alpha, eps, v, delta, r = (mp.mpf(float(a)) for a in (x, m, alpha, eps, v, delta, r))
    base, w = eps + m, v + delta
    gain = {
        "value": x / base**alpha,
        "x": 1 / base**alpha,
        "M": -alpha * x / base ** (alpha + 1),
        "alpha": -x / base**alpha * mp.log(base),
    }
    rest = delta**r if delta else mp.mpf(0)
    root = {
        "value": w**r - rest,
        "v": r * w ** (r - 1),
        "delta": r * (w ** (r - 1) - delta ** (r - 1)) if delta else mp.mpf(0),
        "r": w**r * mp.log(w) - (rest * mp.log(delta) if delta else 0),
    }
    return gain, root, base**-alpha - alpha * m / base ** (alpha + 1)


def test_oracle_of_single_values_is_right():
    eps, n = 1e-12, 200
    gains = [np.float64(a[:n]) for a in (X, M, ALPHA)]
    delta, r = np.float64(DELTA[:n]), np.float64(R[:n])
    delta[::10], r[1::10], r[2::10], gains[1][3::10] = 0, 1, 1e-6, 0
    v = 10 ** np.random.default_rng(1).uniform(-18, 18, n)
    found = pointwise.gain(*gains, eps), pointwise.root(v, delta, r)
    moving = np.where(gains[1] > 0, gains[1], 1)
    difference = pointwise.together(moving, gains[2], eps)
    for i in range(n):
        gain, root, _ = precise(gains[0][i], gains[1][i], gains[2][i], eps, v[i], delta[i], r[i])
        *_, apart = precise(1, moving[i], gains[2][i], eps, 1, 1, 1)
        pairs = [(f[q], q, i, e[q]) for f, e in zip(found, (gain, root), strict=True) for q in e]
        for exact, quantity, at, expected in [*pairs, (difference, "together", i, apart)]:
            off = float(abs(expected - float(exact.value[at])))
            verdict = FLOAT64(off / exact.size[at] if off else 0.0)
            assert verdict.passes, (quantity, at, verdict)


def test_silence_at_delta_0_has_gradients_of_0_by_convention():
    pcen = leaf.PCEN(1, delta=0.0, r=0.5, learn_logs=False)
    x = torch.tensor([[[1.0, 0.0, 1.0]]], requires_grad=True)
    gradients = torch.autograd.grad(pcen(x).sum(), (x, *pcen.parameters()))
    assert all(torch.isfinite(g).all() for g in gradients)


def test_a_ratio_beyond_float32_is_taken_apart():
    given = tuple(torch.full((1,), value, requires_grad=True) for value in (1e6, 2e-38, 1e-3))
    y = leaf.pcen._Root.apply(*given)
    got = [y, *torch.autograd.grad(y, given)]
    with mpmath.workdps(50):
        v, delta, r = (mpmath.mpf(t.item()) for t in given)
        w = v + delta
        true = (
            w**r - delta**r,
            r * w ** (r - 1),
            r * (w ** (r - 1) - delta ** (r - 1)),
            w**r * mpmath.log(w) - delta**r * mpmath.log(delta),
        )
        worst = max(abs(mpmath.mpf(g.item()) / t - 1) for g, t in zip(got, true, strict=True))
    assert OVERFLOWED(float(worst)).passes
