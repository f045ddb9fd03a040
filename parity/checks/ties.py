"""Gradients on the limits of parameters and energies, one unit in the last place to either side, and outside.

TensorFlow's convention is the reference: on a limit the gradient is that of the function inside, whole; outside it is
exactly zero. Where a limit lies in floating point is up to the implementation: a parameter far outside is clamped, and
the number at which the same stage gives the same bits is the limit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from parity.adapters import canonical
from parity.adapters.canonical import Variables
from parity.adapters.rungs import RUNGS, Adapter, TorchAdapter
from parity.cases.case import Case
from parity.checks.grid import Arrays, Context
from parity.criteria import AtMost, Exactly, RelativeL2, norm, unit_roundoff, within_rounding
from parity.oracle import ORIGINAL, SIMPLIFIED, Box, Geometry, LeafOracle
from parity.oracle.arrays import Array, exact
from parity.oracle.config import FLOOR, LeafConfig
from parity.oracle.correlation import correlate_adjoint
from parity.oracle.gabor import gabor, gabor_adjoint
from parity.oracle.pcen import normalise_adjoint, smoother, smoother_adjoint
from parity.report.claims import Measurement

ORIGINALS, SIMPLIFIEDS = ("tf_leaf", "og_leaf"), ("leaf", "efficientleaf")
ALL = ORIGINALS + SIMPLIFIEDS


@dataclass(frozen=True)
class Tie:
    """One side of one clamp.

    Attributes:
        variable: canonical name.
        side: ``low`` or ``high``.
        limit: what the limit is in exact numbers, from LEAF's or EfficientLEAF's box.
        far: a value that is certainly outside, from the limit.
        stage: a stage in which the parameter acts and is not rounded away: it tells where the limit lies.
        rungs: which have the clamp.
        column: of the variable, where it has two.
    """

    variable: str
    side: str
    limit: Callable[[Box], float]
    far: Callable[[float], float]
    stage: str
    rungs: tuple[str, ...] = ALL
    column: int | None = None

    @property
    def name(self) -> str:
        """Name in the certificate, for example ``sigma low``."""
        own = self.variable if self.column is None else ("mu", "sigma")[self.column]
        return f"{own} {self.side}"

    def beside(self, limit: float, dtype: str, way: int) -> float:
        """The next number inside (1) or outside (-1); of zero the smallest normal one, for TensorFlow takes the rest
        for zero."""
        way = way if self.side == "low" else -way
        kind = np.dtype(dtype).type
        if limit == 0.0:
            return way * float(np.finfo(dtype).tiny)
        return float(np.nextafter(kind(limit), kind(way * np.inf)))

    def put(self, variables: Variables, values: list[float]) -> Variables:
        """The variables with these values for the clamped parameter of the first filters."""
        changed = np.array(variables[self.variable], dtype=np.float64)
        self.of(changed)[: len(values)] = values
        return {**variables, self.variable: changed}

    def of(self, array: Array) -> Array:
        """Pick the clamped parameter, [C], out of an array of the variable's shape."""
        return array.reshape(-1) if self.column is None else array[:, self.column]


TIES: tuple[Tie, ...] = (
    Tie(canonical.KERNEL, "low", lambda box: 0.0, lambda limit: -0.5, "filters", column=0),
    Tie(canonical.KERNEL, "high", lambda box: np.pi, lambda limit: 4.0, "filters", column=0),
    Tie(canonical.KERNEL, "low", lambda box: box.sigma_low, lambda limit: limit / 2, "filters", column=1),
    Tie(canonical.KERNEL, "high", lambda box: box.sigma_high, lambda limit: 2 * limit, "filters", column=1),
    Tie(canonical.POOLING, "low", lambda box: box.width_low, lambda limit: limit / 2, "windows"),
    Tie(canonical.POOLING, "high", lambda box: 0.5, lambda limit: 2 * limit, "windows"),
    Tie(canonical.ALPHA, "high", lambda box: 1.0, lambda limit: 1.5, "pcen"),
    Tie(canonical.ROOT, "low", lambda box: 1.0, lambda limit: 0.5, "pcen"),
    Tie(canonical.SMOOTH, "low", lambda box: 0.0, lambda limit: -0.5, "ema", ORIGINALS),
    Tie(canonical.SMOOTH, "high", lambda box: 1.0, lambda limit: 1.5, "ema", ORIGINALS),
)  # fmt: skip


def conv_gradient(adapter: Adapter, module: Any, x: np.ndarray, d: np.ndarray) -> np.ndarray:
    """Gradient of ``sum(d * conv)`` to the Gabor parameters, [C, 2]: x [B, T], d [B, C, 2, T]."""
    if isinstance(adapter, TorchAdapter):
        import torch

        entry = adapter.entries(module)[canonical.KERNEL]
        y = adapter.forward_stages(module, torch.as_tensor(x).to(entry.tensors[0].dtype))["conv"]
        return entry.gradient(torch.autograd.grad(y, entry.tensors, torch.as_tensor(d, dtype=y.dtype)))
    import tensorflow as tf

    conv = module._complex_conv
    with tf.GradientTape() as tape:
        y = conv(tf.convert_to_tensor(x[:, :, np.newaxis], dtype=module.compute_dtype))
    seeds = d.reshape(len(x), -1, x.shape[1]).transpose(0, 2, 1)
    slope = tape.gradient(y, conv._kernel.value, output_gradients=tf.convert_to_tensor(seeds, dtype=y.dtype))
    return np.asarray(slope)


def oracle_conv_gradient(kernel: Array, x: np.ndarray, geometry: Geometry, d: np.ndarray) -> Array:
    """Compute :func:`conv_gradient` by the oracle, with no limit on mu and sigma, for one group at full rate."""
    (group,) = geometry.groups
    mu, sigma = kernel.T
    filters = gabor(mu, sigma, group.kernel_size)
    pads = geometry.pads(x.shape[1], group.kernel_size, group.conv_stride)
    flat = filters.reshape(-1, group.kernel_size)
    seeds = exact(d).reshape(len(x), len(flat), -1)
    _, d_filters = correlate_adjoint(exact(x), flat, group.conv_stride, pads, seeds)
    return np.stack(gabor_adjoint(mu, sigma, group.kernel_size, d_filters.reshape(filters.shape)), axis=1)


def root_terms(config: LeafConfig, variables: Arrays, stages: Arrays, d: np.ndarray) -> Array:
    """Sum the magnitudes of the terms of the gradient to the root, where two powers are subtracted: [C]."""
    alpha, delta, root = (
        exact(variables[name])[:, np.newaxis] for name in (canonical.ALPHA, canonical.DELTA, canonical.ROOT)
    )
    inner = stages["floor"] * (config.pcen_floor + stages["ema"]) ** -alpha + delta
    grown, resting = (base ** (1 / root) * np.abs(np.log(base)) for base in (inner, delta))
    # the power and the logarithm, by two each
    return np.asarray(4 * np.sum(np.abs(exact(d)) * (grown + resting) / root**2, axis=(0, 2)))


def power_slopes(config: LeafConfig, variables: Arrays, stages: Arrays, d: np.ndarray) -> dict[str, Array]:
    """Gradients to alpha and the root, [C] each, of what PCEN is at delta = 0: a power of the gained energies."""
    alpha, root = (exact(variables[name])[:, np.newaxis] for name in (canonical.ALPHA, canonical.ROOT))
    smoothed = config.pcen_floor + stages["ema"]
    gained = stages["floor"] * smoothed**-alpha
    scale = exact(d) * gained ** (1 / root) / root
    return {
        canonical.ALPHA: -np.sum(scale * np.log(smoothed), axis=(0, 2)),
        canonical.ROOT: -np.sum(scale * np.log(gained) / root, axis=(0, 2)),
    }


def floor_edge(rung: str, dtype: str) -> Iterator[Measurement]:
    """The floor of the energies: the gradient to those on it is whole, to those under it exactly zero.

    The energies are handed to the frontend in the place of its pooling, so that they are the floor to the bit. In
    rungs 0 and 1 no compression follows; in rungs 2 and 3 the floor is PCEN's own.
    """
    kind = np.dtype(dtype).type
    floor = kind(FLOOR)
    inside, outside = np.nextafter(floor, kind(1)), np.nextafter(floor, kind(0))
    frames = np.array([0.3, floor, inside, outside, floor, 0.0, outside, 2e-3, inside, floor, 1e-7], dtype=dtype)
    energies = np.stack([frames, frames[::-1], np.roll(frames, 3)])[np.newaxis]
    d = np.random.default_rng(0).standard_normal(energies.shape).astype(np.float32)
    again = f"pytest parity_tests/rungs/test_ties.py -m {rung}"
    context = Context(rung, "oracle", "ties and clamp edges", "floor", again, dtype)
    acts, got = energies >= floor, _floor_gradient(rung, energies, d)
    if rung in ORIGINALS:
        verdict = Exactly("with no compression the gradient is the cotangent")(got[acts], exact(d)[acts])
    else:
        limit, reason = 12 * unit_roundoff(dtype), "PCEN's gradient: two powers of four roundings, a sum of frames"
        verdict = RelativeL2(limit, reason)(got[acts], _pcen_gradient(rung, energies, d)[acts])
    relation = "bitwise" if rung in ORIGINALS else "rounding"
    yield context.measurement("floor", "input gradient", verdict, relation)
    under = Exactly("under the floor the function is constant")
    yield context.measurement("floor", "input gradient", under(got[~acts], np.zeros(np.sum(~acts))), "bitwise")


def _floor_gradient(rung: str, energies: np.ndarray, d: np.ndarray) -> np.ndarray:
    """Gradient of ``sum(d * output)`` to energies [1, C, frames] in the place of the rung's pooling."""
    if rung == "tf_leaf":
        import tensorflow as tf

        import tf_leaf

        given = tf.constant(energies.transpose(0, 2, 1))
        model = tf_leaf.Leaf(
            n_filters=energies.shape[1], sample_rate=2000, compression_fn=None, dtype=str(energies.dtype),
            pooling_cls=lambda **_: lambda _: given,
        )  # fmt: skip
        with tf.GradientTape() as tape:
            tape.watch(given)
            y = model(np.zeros((1, 100), dtype=energies.dtype))
        seeds = tf.constant(d.transpose(0, 2, 1).astype(energies.dtype))
        return np.asarray(tape.gradient(y, given, output_gradients=seeds)).transpose(0, 2, 1)
    import torch

    held = torch.tensor(energies, requires_grad=True)
    if rung == "og_leaf":
        import og_leaf

        module: Any = og_leaf.Leaf(
            n_filters=energies.shape[1], sample_rate=2000, compression_fn=None, dtype=held.dtype,
            pooling_cls=lambda **_: lambda _: held,  # type: ignore[arg-type]
        )  # fmt: skip
    else:

        class Given(torch.nn.Module):
            def forward(self, _: torch.Tensor) -> torch.Tensor:
                return held

        module = _with_pcen(rung, energies)
        module.filterbank = Given()
    y = module(torch.zeros(1, 100, dtype=held.dtype))
    (slope,) = torch.autograd.grad(y, held, torch.as_tensor(d).to(held.dtype))
    return np.asarray(slope.numpy())


def _with_pcen(rung: str, energies: np.ndarray) -> Any:
    config = LeafConfig(n_filters=energies.shape[1], sample_rate=2000, padding="centered")
    return RUNGS[rung].load_adapter().build(config, str(energies.dtype))


def _pcen_gradient(rung: str, energies: np.ndarray, d: np.ndarray) -> Array:
    """The oracle's gradient of PCEN as rungs 2 and 3 start with it, to floored energies."""
    held = RUNGS[rung].load_adapter().read(_with_pcen(rung, energies))
    alpha, delta, root, s = (
        exact(held[name]) for name in (canonical.ALPHA, canonical.DELTA, canonical.ROOT, canonical.SMOOTH)
    )
    x = np.maximum(exact(energies), float(energies.dtype.type(FLOOR)))
    d_x, d_m, *_ = normalise_adjoint(
        x, smoother(x, s, 1 - s), alpha, delta, 1 / root, LeafConfig().pcen_floor, exact(d)
    )
    return np.asarray(d_x + smoother_adjoint(x, s, 1 - s, d_m)[0])


DOMAIN = "ties and clamp edges"
DTYPES = ("float32", "float64")
SEEDS = (0, 1)
OPEN = Box(sigma_low=0.0, sigma_high=float("inf"), width_low=0.0)
CONFIG = LeafConfig(n_filters=7, sample_rate=2000)
N_SAMPLES, BATCH = 120, 2
# Where the parameter of each filter is put; the last one's is left as drawn.
INSIDE, OUTSIDE = slice(0, 4), slice(4, 6)
MOST_ULPS = 4
CLAMPED = AtMost(2, "the limits are constants of up to four operations, each rounded by half a unit in the last place")
PHASE = 96.0, "a phase of up to 25 pi is rounded (79 u), and a dozen operations besides"
SLOPE = 32.0, "an energy is two convolutions and a square (about 16 u); a gradient passes them twice"
SIGMA = 64.0, "as the other slopes, and the two terms of that to sigma, t^2 / sigma^3 and 1 / sigma, cancel by half"
DELTA_INSIDE = 2.0**-20  # nearer to 0 the quotient of an energy and delta leaves float32
NO_GRADIENT = Exactly("beyond a limit the function is constant, and its gradient zero")


def ties(rung: str) -> Iterator[Measurement]:
    """Every clamp that the rung has, on both sides, in float32 and float64."""
    for dtype in DTYPES:
        limits: dict[str, float] = {}
        for seed in SEEDS:
            edges = _Edges(rung, dtype, seed, limits)
            for tie in TIES:
                if rung in tie.rungs:
                    yield from edges.measure(tie)
            if rung in SIMPLIFIEDS:
                yield from edges.at_zero_delta()
        yield from floor_edge(rung, dtype)


class _Edges:
    """One rung in one precision, with other audio and other parameters beside the clamped one for every seed.

    Args:
        rung, dtype, seed: what is run.
        limits: by name of a tie, where the rung was found to have it; filled in.
    """

    def __init__(self, rung: str, dtype: str, seed: int, limits: dict[str, float]) -> None:
        self.limits = limits
        padding = "same" if rung in ORIGINALS else "centered"
        self.rung, self.dtype = rung, dtype
        self.case = Case(CONFIG.with_(padding=padding), "drawn", "noise", N_SAMPLES, BATCH, 1.0, seed)
        self.x: NDArray[Any] = self.case.input()
        frames = -(-N_SAMPLES // self.case.config.stride)
        self.cotangent: NDArray[Any] = self.case.cotangent((BATCH, CONFIG.n_filters, frames))
        self.drawn: Variables = {name: exact(value) for name, value in self.case.variables().items()}
        self.adapter: Adapter = RUNGS[rung].load_adapter()
        # one group at full rate: its stages can then be read
        full_rate = {"num_groups": 1, "conv_win_factor": 2.6, "stride_factor": 1e-9}
        options: dict[str, Any] = full_rate if rung == "efficientleaf" else {}
        self.module = self.adapter.build(self.case.config, dtype, **options)
        self.context = Context(rung, "oracle", DOMAIN, "", f"pytest parity_tests/rungs/test_ties.py -m {rung}", dtype)

    def measure(self, tie: Tie) -> Iterator[Measurement]:
        """Measure where the limit lies, the gradient on it and beside it, and that there is none outside."""
        self.context.case = f"{tie.name}, seed {self.case.seed}"
        formula = self.formula(tie)
        if tie.name not in self.limits:
            self.limits[tie.name] = self.limit(tie)
            ulps = abs(self.limits[tie.name] - formula) / float(np.spacing(np.dtype(self.dtype).type(formula)))
            yield self.context.measurement(tie.stage, "status", CLAMPED(ulps), "rounding")
        limit = self.limits[tie.name]
        if not np.isfinite(limit):
            return
        inside, outside = (tie.beside(limit, self.dtype, way) for way in (1, -1))
        self.put(tie, [limit, limit, inside, inside, outside, tie.far(formula)])
        acting = tie.put(self.drawn, [limit, limit, inside, inside, limit, limit])
        got, expected, criterion, terms = self.gradients(tie, acting)
        pair = got[INSIDE], expected[INSIDE]
        verdict = criterion(*pair) if terms is None else within_rounding(*pair, terms[INSIDE], norm)
        yield self.context.measurement(tie.variable, "parameter gradient", verdict, "rounding")
        yield self.vanishes(tie.variable, got[OUTSIDE])

    def at_zero_delta(self) -> Iterator[Measurement]:
        """delta is limited to 0 from below in rungs 2 and 3, where its own slope is infinite; theirs is 0 there.

        On the limit the function is a power of the energies, and so are the slopes to alpha and the root.
        """
        self.context.case = f"delta low, seed {self.case.seed}"
        tie = Tie(canonical.DELTA, "low", lambda box: 0.0, lambda limit: -0.5, "pcen")
        yield self.context.measurement(tie.stage, "status", CLAMPED(self.limit(tie)), "rounding")
        outside = tie.beside(0.0, self.dtype, -1)
        self.put(tie, [0.0, 0.0, DELTA_INSIDE, DELTA_INSIDE, outside, -0.5])
        # the oracle's slopes want a positive delta; where it is 0 they are those of the power
        expected, got, _ = self.slopes(tie.put(self.drawn, [1.0, 1.0, DELTA_INSIDE, DELTA_INSIDE, 1.0, 1.0]))
        inside, on = [2, 3], [0, 1, 4, 5]
        powers = power_slopes(self.case.config, self.drawn, self.energies, self.cotangent)
        for name, slope in powers.items():
            expected[name][on] = slope[on]
        yield self.vanishes(canonical.DELTA, got[canonical.DELTA][on])
        for name, chosen in ((canonical.DELTA, inside), (canonical.ALPHA, inside + on), (canonical.ROOT, inside + on)):
            verdict = self.criterion(SLOPE)(got[name][chosen], expected[name][chosen])
            yield self.context.measurement(name, "parameter gradient", verdict, "rounding")

    def vanishes(self, variable: str, outside: Array) -> Measurement:
        """The gradient beyond a limit, which must be zero."""
        return self.context.measurement(
            variable, "parameter gradient", NO_GRADIENT(outside, np.zeros(outside.shape)), "bitwise"
        )

    def criterion(self, counted: tuple[float, str]) -> RelativeL2:
        """The criterion of so many roundings."""
        return RelativeL2(counted[0] * unit_roundoff(self.dtype), counted[1])

    def formula(self, tie: Tie) -> float:
        """The limit by its formula, in the rung's dtype."""
        box = (Box.of_efficientleaf if self.rung == "efficientleaf" else Box.of_leaf)(self.case.config.window)
        return float(np.dtype(self.dtype).type(tie.limit(box)))

    def limit(self, tie: Tie) -> float:
        """The innermost number at which the stage gives the bits that it gives far outside; infinite if none does."""
        formula = self.formula(tie)
        clamped = self.stage(tie, tie.far(formula))

        def acts(value: float) -> bool:
            return bool(np.array_equal(clamped, self.stage(tie, value)))

        if formula == 0.0:
            return 0.0 if acts(0.0) else np.inf
        value, found = formula, np.inf
        for _ in range(MOST_ULPS):  # outwards to where it acts, then inwards to where it no longer does
            if acts(value):
                found, value = value, tie.beside(value, self.dtype, 1)
            elif found < np.inf:
                break
            else:
                value = tie.beside(value, self.dtype, -1)
        return found

    def stage(self, tie: Tie, value: float) -> np.ndarray:
        """The stage in which the parameter acts, with the parameter of every filter but the last at this value."""
        self.put(tie, [value] * (CONFIG.n_filters - 1))
        return self.adapter.stage(self.module, self.x, tie.stage)

    def put(self, tie: Tie, values: list[float]) -> None:
        """Give the module these values."""
        variables = tie.put(self.drawn, values)
        self.adapter.write(self.module, {name: v.astype(self.dtype) for name, v in variables.items()})

    def gradients(self, tie: Tie, acting: Variables) -> tuple[Array, Array, RelativeL2, Array | None]:
        """The rung's and the oracle's gradient to the parameter, [C] each, and what they are compared by.

        The energies are even in mu about 0 and pi: their slope is 0 on either limit, whatever the clamp does. So that
        of mu is taken at the convolution, before the modulus.
        """
        if tie.column == 0:
            d = self.case.cotangent((BATCH, CONFIG.n_filters, 2, N_SAMPLES))
            expected = oracle_conv_gradient(acting[canonical.KERNEL], self.x, self.geometry(), d)
            got = conv_gradient(self.adapter, self.module, self.x, d)
            return tie.of(got), tie.of(expected), self.criterion(PHASE), None
        wanted, held, terms = self.slopes(acting)
        criterion = self.criterion(SIGMA if tie.column == 1 else SLOPE)
        return tie.of(held[tie.variable]), tie.of(wanted[tie.variable]), criterion, terms.get(tie.variable)

    def slopes(self, acting: Variables) -> tuple[Variables, Variables, Variables]:
        """The oracle's gradients, the module's, and what a rounding of the terms of those that cancel comes to."""
        config, d = self.case.config, self.cotangent
        oracle = LeafOracle(config, ORIGINAL if self.rung in ORIGINALS else SIMPLIFIED, self.geometry())
        run = oracle.run(acting, self.x)
        self.energies = run.stages
        terms: Variables = {}
        if RUNGS[self.rung].subtracts:
            u = unit_roundoff(self.dtype)
            terms[canonical.ROOT] = u * root_terms(config, acting, self.energies, d)
        return run.gradients(d), self.adapter.gradients(self.module, self.x, d), terms

    def geometry(self) -> Geometry:
        """The rung's, with limits on sigma and the widths that do not act."""
        c = self.case.config
        own = self.adapter.geometry(self.module, c)
        return replace(own or Geometry.of_leaf(c.n_filters, c.window, c.stride, c.padding), box=OPEN)
