"""EfficientLEAF in groups, as it is used: the plan of kernels and strides, and what the groups compute.

The steps of the ladder switch the approximation off. Here it is on: the settings of the paper and a few that stand near
the plan's edges, each on weights of which some lie outside the limits, against the oracle's own plan and geometry.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import astuple, dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from parity.adapters import canonical
from parity.adapters.efficientleaf import EfficientLeafAdapter
from parity.checks.grid import Context, Expected, compare
from parity.criteria import Verdict, unit_roundoff
from parity.oracle import SIMPLIFIED, Box, Geometry, Group, plan_groups
from parity.oracle.arrays import Array
from parity.oracle.config import LeafConfig
from parity.oracle.geometry import clamped
from parity.report.claims import Measurement

PLAN, GROUPS, STEP = "plans, published settings and their edges", "groups, approximation on", "groups, in training"
REASON = "integers of the plan (start, stop, kernel, stride, window, pooling stride) that differ"
ROUNDINGS = 4  # of a length (limit, product) and of a stride (limit, quotient, product), in units of u


@dataclass(frozen=True)
class Setting:
    """Arguments of EfficientLEAF.

    Attributes:
        n_filters, num_groups, conv_win_factor, stride_factor: of the rung.
        sample_rate, window_len, window_stride: Hz, ms, ms.
    """

    n_filters: int = 40
    num_groups: int = 4
    conv_win_factor: float = 4.77
    stride_factor: float = 1.0
    sample_rate: int = 16000
    window_len: float = 25.0
    window_stride: float = 10.0

    @property
    def config(self) -> LeafConfig:
        """The frontend without its groups."""
        return LeafConfig(self.n_filters, self.sample_rate, self.window_len, self.window_stride, padding="centered")

    @property
    def options(self) -> dict[str, Any]:
        """Return the options of the adapter's ``build``."""
        return {
            "num_groups": self.num_groups,
            "conv_win_factor": self.conv_win_factor,
            "stride_factor": self.stride_factor,
        }

    def geometry(self, variables: dict[str, Array]) -> Geometry:
        """The oracle's plan for these weights."""
        config = self.config
        box = Box.of_efficientleaf(config.window)
        mu, sigma, _ = clamped(variables[canonical.KERNEL], variables[canonical.POOLING].reshape(-1), box)
        groups = plan_groups(
            mu, sigma, self.num_groups, config.window, config.stride, self.conv_win_factor, self.stride_factor
        )
        return Geometry(config.window, config.stride, "centered", box, groups)

    def draw(self, seed: int) -> dict[str, Array]:
        """Weights by canonical names, float32, from low centres to high; some of each kind lie outside the limits."""
        rng = np.random.default_rng([seed, self.n_filters])
        n, box = self.n_filters, Box.of_efficientleaf(self.config.window)
        sigma = np.exp(rng.uniform(np.log(0.8 * box.sigma_low), np.log(1.1 * box.sigma_high), n))
        drawn = {
            canonical.KERNEL: np.stack([np.sort(rng.uniform(-0.2, 3.4, n)), sigma], axis=1),
            canonical.POOLING: rng.uniform(0.8 * box.width_low, 0.6, n).reshape(1, 1, n, 1),
            canonical.ALPHA: rng.uniform(0.1, 1.2, n),
            canonical.DELTA: np.exp(rng.uniform(-4, 2, n)),
            canonical.ROOT: rng.uniform(0.8, 4, n),
            canonical.SMOOTH: rng.uniform(0.01, 0.99, n),
        }
        return {name: value.astype(np.float32) for name, value in drawn.items()}


PUBLISHED = (Setting(), Setting(80, 8, 6.0, 16.0), Setting(num_groups=8), Setting(stride_factor=16.0))
EDGES = (
    Setting(5, 5, 3.0, 2.5, 8000), Setting(7, 3, 2.0, 20.0, 2000), Setting(3, 2, 8.0, 0.5, 11025, 8.5, 7.0),
    Setting(1, 1, 2.0, 20.0, 2000), Setting(6, 4, 4.77, 16.0, 22050), Setting(2, 1, 4.77, 1.0, 4000),
)  # fmt: skip
SEEDS, N_SAMPLES = range(4), 500


def plans() -> Iterator[Measurement]:
    """The plans, what the groups compute under them, and the projection of a step of training."""
    for setting in (*PUBLISHED, *EDGES):
        yield from grouping(setting)
    yield from ties()
    for setting in EDGES:
        for dtype in ("float64", "float32"):
            yield from energies(setting, dtype)
        yield from projection(setting)


Planned = tuple[list[tuple[int, ...]], tuple[Group, ...], list[bool]]  # a module's, the oracle's, which are certain


def differing(context: Context, plans: Iterable[Planned]) -> Measurement:
    """The integers that differ in the plans of modules, but for groups too near to a threshold; 0 is the bound."""
    n, decided, undecided = 0, 0, 0
    for got, wanted, known in plans:
        n += abs(len(got) - len(wanted))
        for mine, theirs, is_known in zip(got, wanted, known, strict=False):
            decided += is_known
            undecided += not is_known
            n += is_known and sum(a != b for a, b in zip(mine, astuple(theirs), strict=True))
    reason = f"{REASON}; {decided} groups decided, {undecided} within rounding of a threshold"
    return context.measurement("filters", "status", Verdict("status", n, 0.0, reason), "bitwise")


def grouping(setting: Setting) -> Iterator[Measurement]:
    """The plan for the initial weights and for drawn ones, all of them put into the same module one after the other."""
    adapter = EfficientLeafAdapter()
    for dtype in ("float32", "float64"):
        module, found = adapter.build(setting.config, dtype, **setting.options), list[Planned]()
        for variables in (adapter.read(module), *map(setting.draw, SEEDS)):
            adapter.write(module, variables)
            geometry = setting.geometry(variables)
            found.append((adapter.plan(module), geometry.groups, certain(setting, variables, geometry, dtype)))
        yield differing(_context(PLAN, str(setting), dtype), found)


def ties() -> Iterator[Measurement]:
    """Centres and lengths exactly on a threshold, in float64, where the quotient and the product are exact."""
    adapter = EfficientLeafAdapter()
    setting = Setting(8, 8, 4.0, 1.0)
    variables = {name: value.astype(np.float64) for name, value in setting.draw(0).items()}
    mu = math.pi / np.array([1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 2.0, 4.0])
    sigma = np.array([8.0, 8.25, 8.5, 7.75, 16.0, 2.5, 3.0, 100.0])
    variables[canonical.KERNEL] = np.stack([mu, sigma], axis=1)
    module = adapter.filled(setting.config, variables, "float64", **setting.options)
    plan = adapter.plan(module), setting.geometry(variables).groups, [True] * 8
    yield differing(_context(PLAN, "on the thresholds", "float64"), [plan])


@lru_cache
def expected(setting: Setting, seed: int) -> Expected:
    """The oracle's arrays and bounds of one setting: the same for every module that is held against them."""
    variables = setting.draw(seed)
    rng = np.random.default_rng([seed, 1])
    x = rng.uniform(-1, 1, (2, N_SAMPLES + 7 * seed)).astype(np.float32)
    n_frames = -(-x.shape[1] // setting.config.stride)
    cotangent = rng.standard_normal((2, setting.n_filters, n_frames)).astype(np.float32)
    geometry = setting.geometry(variables)
    return Expected(setting.config, variables, x, cotangent, subtracts=False, conventions=SIMPLIFIED, geometry=geometry)


def energies(setting: Setting, dtype: str) -> Iterator[Measurement]:
    """Values and gradients of the grouped frontend with PCEN, one module for all weights."""
    adapter = EfficientLeafAdapter()
    module = adapter.build(setting.config, dtype, **setting.options)
    for seed in SEEDS:
        right = expected(setting, seed)
        adapter.write(module, dict(right.variables))
        if [astuple(g) for g in right.oracle.geometry.groups] != adapter.plan(module):
            continue  # another geometry is another function; whether it may be another is the plan's own measurement
        context = _context(GROUPS, f"seed={seed},{setting}", dtype)
        yield from compare(context, adapter.arrays(module, right.x, right.cotangent), right)


def projection(setting: Setting) -> Iterator[Measurement]:
    """A forward pass in training projects mu, sigma and the widths onto their limits, in place; the rest stays."""
    adapter = EfficientLeafAdapter()
    variables = setting.draw(0)
    module = adapter.filled(setting.config, variables, **setting.options)
    module.train()(adapter._audio(module, np.zeros((1, 50), dtype=np.float32)))
    box = Box.of_efficientleaf(setting.config.window)
    mu, sigma, width = clamped(variables[canonical.KERNEL], variables[canonical.POOLING].reshape(-1), box)
    wanted = {
        **variables,
        canonical.KERNEL: np.stack([mu, sigma], axis=1),
        canonical.POOLING: width.reshape(1, 1, -1, 1),
    }
    context = _context(STEP, str(setting), "float32")
    for name, values in adapter.read(module).items():
        differing = float(np.sum(values != wanted[name].astype(np.float32)))
        verdict = Verdict("status", differing, 0.0, "numbers that are not the limits' own or the weights' as they were")
        yield context.measurement(name, "training step", verdict, "bitwise")


def certain(setting: Setting, variables: dict[str, Array], geometry: Geometry, dtype: str) -> list[bool]:
    """Tell of each group whether kernel length and stride stand farther from every threshold than rounding reaches."""
    mu, sigma, _ = clamped(variables[canonical.KERNEL], variables[canonical.POOLING].reshape(-1), geometry.box)
    out = []
    for group in geometry.groups:
        chosen = slice(group.start, group.stop)
        length, centre = float(sigma[chosen].max()) * setting.conv_win_factor, float(mu[chosen].max())
        reach = ROUNDINGS * unit_roundoff(dtype)
        known = abs(length - 2 * round(length / 2)) > reach * length  # an odd size changes at even lengths
        if centre > 0:
            wanted = math.pi / centre * setting.stride_factor
            known &= all(d == 1 or abs(wanted - d) > reach * d for d in range(1, geometry.stride + 1))
        out.append(known)
    return out


def _context(domain: str, case: str, dtype: str) -> Context:
    return Context(
        "efficientleaf", "oracle", domain, case, "pytest parity_tests/rungs/efficientleaf/test_groups.py", dtype
    )
