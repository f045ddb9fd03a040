"""The smoother as a scan: every frame and gradient under its bound, whatever the length, s and the signal."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

import leaf
from leaf._runtime.scan import exponential_moving_average
from parity.checks.grid import Context
from parity.checks.long import KINDS
from parity.criteria import Exactly, OfMax, Verdict, judged, soundness
from parity.oracle import scan
from parity.oracle.pcen import smoother, smoother_adjoint
from parity.oracle.scan import PcenBounds
from parity_tests.helpers.drawn import this_test

N_BANDS = 3
SAME_BITS = Exactly("the same operations on the same numbers")
SECOND = OfMax(1e-12, "the recurrence frame by frame in float64, 3000 frames of three roundings each")
# Dynamo itself makes an instance of a function's class
own_warning = pytest.mark.filterwarnings("default:.*should not be instantiated:DeprecationWarning")
STAGES = {"m": "ema", "x": "input", "s": "PCEN/EMA/smooth", "initial": "input"}

# every block boundary: an odd frame is left over at one level or another
lengths = st.one_of(
    st.integers(1, 3000), st.tuples(st.integers(1, 11), st.integers(-1, 1)).map(lambda pair: 2 ** pair[0] + pair[1])
)
coefficients = st.one_of(
    st.sampled_from([0.0, 1.0]), st.floats(0, 1, width=32), st.floats(-7, 0).map(lambda e: float(np.float32(10.0**e)))
)
several = st.lists(coefficients, min_size=N_BANDS, max_size=N_BANDS)
kinds = st.sampled_from([*KINDS, "of both signs"])
starts = st.sampled_from(["first frame", "zero", "loud"])
VMAPPED = OfMax(2.0**-20, "the same sums of 40 terms, in whichever order")


def signal(kind: str, start: str, n: int, seed: int, dtype: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values [2, N_BANDS, n], the state before them [2, N_BANDS] and a cotangent."""
    rng = np.random.default_rng(seed)
    noise = rng.chisquare(2, (2, N_BANDS, n))
    x = rng.standard_normal(noise.shape) if kind == "of both signs" else KINDS[kind](noise, np.arange(n))
    first = {"first frame": x[..., 0], "zero": np.zeros((2, N_BANDS)), "loud": 1e4 * noise[..., 0]}[start]
    return x.astype(dtype), first.astype(dtype), rng.standard_normal(x.shape).astype(dtype)


def ran(function, x, s, first, d) -> dict[str, np.ndarray]:
    """The value, and the gradients for a cotangent."""
    given_ = [torch.from_numpy(a.copy()).requires_grad_() for a in (x, s, first)]
    m = function(*given_)
    m.backward(torch.from_numpy(d))
    return {"m": m.detach().numpy(), **{n: t.grad.numpy() for n, t in zip(("x", "s", "initial"), given_, strict=True)}}


def expected(x, s, first, d, dtype) -> dict[str, scan.Running]:
    """The oracle's average and gradients, with their running errors."""
    x_, first_ = scan.given(x, dtype), scan.given(first, dtype)
    m = scan.average(x_, s, first_)
    gradients = scan.average_adjoint(x_, s, first_, m, scan.given(d, dtype))
    return {"m": m, **dict(zip(("x", "s", "initial"), gradients, strict=True))}


def held(got: np.ndarray, true: scan.Running) -> Verdict:
    """The verdict on values that must all be finite, and all be judged."""
    assert np.isfinite(got).all()
    assert judged(true.error) == 1
    return soundness(got, true.value, true.error)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_frame_and_gradient_is_under_its_bound(ledger, dtype):
    @settings(max_examples=150)
    @given(n=lengths, s=several, kind=kinds, start=starts, seed=st.integers(0, 2**16))
    def check(n, s, kind, start, seed):
        x, first, d = signal(kind, start, n, seed, dtype)
        s = np.array(s, dtype=dtype)
        case = f"{kind}; {n} frames from {start}; s={', '.join(map(repr, s.tolist()))}; seed={seed}"
        context = Context("leaf", "oracle", "scan, drawn", case, this_test(), dtype)
        true = expected(x, s, first, d, dtype)
        for name, got in ran(exponential_moving_average, x, s, first, d).items():
            verdict = held(got, true[name])
            kind_of = {"m": "forward", "s": "parameter gradient"}.get(name, "input gradient")
            ledger.check(context.measurement(STAGES[name], kind_of, verdict, "rounding"))

    check()


@settings(max_examples=30)
@given(n=lengths, s=several, start=starts, seed=st.integers(0, 2**16))
def test_the_oracle_is_the_recurrence(n, s, start, seed):
    x, first, d = signal("of both signs", start, n, seed, "float64")
    s = np.array(s)
    true = expected(x, s, first, d, "float64")
    # a first frame equal to the state keeps it, so the oracle of the original computes it too
    whole, back = np.concatenate([first[..., None], x], -1), np.concatenate([0 * first[..., None], d], -1)
    d_x, d_in, d_back = smoother_adjoint(whole, s, 1 - s, back)
    assert SECOND(true["m"].value, smoother(whole, s, 1 - s)[..., 1:]).passes
    assert SECOND(true["x"].value, d_x[..., 1:]).passes
    assert soundness(d_in - d_back, true["s"].value, true["s"].error + SECOND.limit * np.abs(d_in)).passes


@settings(max_examples=60)
@given(n=lengths, s=several, at=st.floats(0, 1, exclude_max=True), bad=st.sampled_from([np.nan, np.inf, -np.inf]))
def test_what_is_not_finite_shows_from_its_frame_on(n, s, at, bad):
    t, s = int(at * n), np.array(s, dtype=np.float32)
    x, first, d = signal("noise", "first frame", n, 0, "float32")
    clean = ran(exponential_moving_average, x, s, first, d)
    spoilt_x, spoilt_d = x.copy(), d.copy()
    spoilt_x[..., t], spoilt_d[..., t] = bad, bad
    m = ran(exponential_moving_average, spoilt_x, s, first, d)["m"]
    d_x = ran(exponential_moving_average, x, s, first, spoilt_d)["x"]
    assert SAME_BITS(m[..., :t], clean["m"][..., :t]).passes
    assert SAME_BITS(d_x[..., t + 1 :], clean["x"][..., t + 1 :]).passes
    through = s > 0
    assert not np.isfinite(m[:, through, t]).any()
    assert not np.isfinite(d_x[:, through, t]).any()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(dtype):
    x, first, d = (torch.from_numpy(a).to(dtype) for a in signal("noise", "loud", 700, 1, "float32"))
    s = torch.tensor([0.0, 0.02, 1.0])
    halves, singles = ([a.detach().to(t).requires_grad_() for a in (x, s, first)] for t in (dtype, torch.float32))
    singles[1] = halves[1].detach().float().requires_grad_()
    got, true = exponential_moving_average(*halves), exponential_moving_average(*singles)
    assert torch.equal(got, true.to(dtype))
    got.backward(d)
    true.backward(d.float())
    for a, b in zip(halves, singles, strict=True):
        assert torch.equal(a.grad, b.grad.to(dtype))


@settings(max_examples=40)
@given(n=lengths, s=coefficients, kind=kinds, seed=st.integers(0, 2**16))
def test_a_shared_coefficient_is_the_same_repeated(n, s, kind, seed):
    x, first, d = signal(kind, "loud", n, seed, "float32")
    one, many = (
        ran(exponential_moving_average, x, np.full(size, s, dtype=np.float32), first, d) for size in (1, N_BANDS)
    )
    for name in ("m", "x", "initial"):
        assert SAME_BITS(one[name], many[name]).passes, name
    true = expected(x, np.full(1, np.float32(s)), first, d, "float32")["s"]
    assert held(one["s"], true).passes


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n", [1, 2, 63, 64, 65, 200])
def test_beyond_its_range_the_recurrence_is_the_same(n, dtype):
    x, first, d = signal("of both signs", "loud", n, n, dtype)
    s = np.array([1.5, -0.1, 1.0], dtype=dtype)
    true = expected(x, s, first, d, dtype)
    for name, got in ran(exponential_moving_average, x, s, first, d).items():
        verdict = held(got, true[name])
        assert verdict.passes, (name, verdict)


def test_is_differentiable_twice():
    rng = np.random.default_rng(0)
    x, first = (torch.from_numpy(rng.standard_normal(shape)).requires_grad_() for shape in ((2, 3, 7), (2, 3)))
    s = torch.tensor([0.0, 0.3, 1.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(exponential_moving_average, (x, s, first))
    assert torch.autograd.gradgradcheck(exponential_moving_average, (x, s, first))


@own_warning
def test_compiles_whole():
    torch.compiler.reset()
    compiled = torch.compile(exponential_moving_average, fullgraph=True, backend="aot_eager")
    x, first, d = signal("noise", "loud", 150, 2, "float32")
    s = np.array([0.0, 0.02, 1.0], dtype=np.float32)
    true = expected(x, s, first, d, "float32")
    for name, got in ran(compiled, x, s, first, d).items():
        assert held(got, true[name]).passes, name


@own_warning
def test_pcen_compiles_whole():
    torch.compiler.reset()
    pcen = leaf.PCEN(N_BANDS, s=0.04, alpha=0.96, delta=2.0, r=0.5, learn_logs=False)
    x, _, d = signal("noise", "loud", 150, 3, "float32")
    energies = torch.from_numpy(x).requires_grad_()
    out = torch.compile(pcen, fullgraph=True, backend="aot_eager")(energies)
    out.backward(torch.from_numpy(d))
    s, alpha, delta, r = (p.detach().numpy() for p in pcen.parameters_linear())
    bounds = PcenBounds(x, s, alpha, delta, r, pcen.eps, "float32")
    true = bounds.gradients(d)
    pairs = [(out, bounds.out), (energies.grad, true["x"])]
    pairs += [(getattr(pcen, name).grad, true[name]) for name in ("s", "alpha", "delta")]
    for got, running in pairs:
        assert held(got.detach().numpy(), running).passes


class Counted(TorchDispatchMode):
    """Counts the operations that run while it is on."""

    n = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.n += 1
        return function(*args, **(kwargs or {}))


def operations(n: int) -> int:
    x, first, d = (torch.from_numpy(a) for a in signal("noise", "loud", n, 0, "float32"))
    s = torch.full((N_BANDS,), 0.1, requires_grad=True)
    with Counted() as counted:
        exponential_moving_average(x.requires_grad_(), s, first.requires_grad_()).backward(d)
    return counted.n


def test_does_not_walk_over_the_frames():
    a_level = operations(128) - operations(64)
    assert operations(4096) - operations(64) == 6 * a_level
    assert operations(4096) < 4096


def test_a_gradient_a_clip_by_vmap():
    x = torch.rand(3, 2, 40, generator=torch.Generator().manual_seed(3))
    pcen = leaf.PCEN(2, delta=2.0, r=0.5)
    held = dict(pcen.named_parameters())

    def loss(parameters, clip):
        return torch.func.functional_call(pcen, parameters, (clip.unsqueeze(0),)).square().sum()

    each = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0))(held, x)
    for i, clip in enumerate(x):
        alone = torch.autograd.grad(loss(held, clip), list(held.values()))
        for name, got in zip(held, alone, strict=True):
            assert VMAPPED(each[name][i].detach().numpy(), got.numpy()).passes, name
