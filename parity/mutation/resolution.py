"""The resolution of the certificate: the smallest relative change of a constant or a parameter that it notices."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from parity.adapters import canonical
from parity.adapters.rungs import RUNGS
from parity.checks.steps import STEPS
from parity.criteria import AtMost
from parity.mutation.constants import RungConstant, constants
from parity.mutation.detectors import Detector
from parity.mutation.planting import planted
from parity.mutation.scenes import CLEAN, Scene, candidate
from parity.report.cells import trained

DTYPES = ("float64", "float32")  # the finer first: most of what is noticed at all is noticed there
SINGLE = ("float32",)
COARSEST, A_DECADE = -1, 2  # of the changes that are tried: the decade of the largest, and how many there are in each
FINEST = {"float64": -15, "float32": -8}  # decades: under either, 1 + change is 1
OF_PARAMETERS = AtMost(1e-4, "any trained parameter, end to end")
OF_CONSTANTS = AtMost(1e-5, "any constant, at the stage where it acts first")


@dataclass(frozen=True)
class Resolution:
    """How fine the certificate sees one number.

    Attributes:
        rung: whose number.
        name: of the parameter, or of the constant.
        kind: ``parameter`` or ``constant``.
        at: the stage whose measurements were looked at, and no other.
        change: the smallest of the changes that are tried that is noticed whichever its sign; relative, of a limit
            at 0 absolute; infinite where none up to 0.1 is.
        single: the same by the measurements in float32 alone; of parameters, which are carried in either dtype. A
            constant is one number in the source.
    """

    rung: str
    name: str
    kind: str
    at: str
    change: float
    single: float | None = None


def resolutions(rung: str) -> Iterator[Resolution]:
    """Every trained parameter of a rung end to end, then every constant at its stage."""
    for variable in trained(RUNGS[rung]):
        change, single = (resolution_of_parameter(rung, variable, dtypes) for dtypes in (DTYPES, SINGLE))
        yield Resolution(rung, variable, "parameter", "output", change, single)
    for own in constants(rung):
        alone = resolution(own, SINGLE) if own.kind == "parameter" else None
        yield Resolution(rung, own.name, own.kind, own.stage, resolution(own), alone)


@contextmanager
def _one_thread() -> Iterator[None]:
    """For the many small arrays of a search, on which PyTorch's threads wait for each other more than they compute."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@_one_thread()
def resolution(constant: RungConstant, dtypes: Sequence[str] = DTYPES) -> float:
    """The smallest change of a constant, where it stands in the source, that is noticed at its stage.

    What the rung refuses is no measurement, and raises.

    Args:
        constant: of a rung.
        dtypes: of the measurements that are looked at.

    Raises:
        ValueError: its scene does not pass without a change, or nothing is measured at the stage.
    """
    if _unplanted(constant.detector).get(constant.stage) is not True:
        raise ValueError(
            f"{constant.rung} {constant.name}: {constant.stage} must be measured and pass without a change"
        )
    detector = constant.detector
    if isinstance(detector, Scene):
        detector = replace(detector, only=constant.stage)

    def noticed(change: float) -> bool:
        with planted(constant.change(1 + change)):
            return any(not m.holds for d in dtypes for m in detector(d) if m.stage == constant.stage)

    return smallest(noticed, changes(dtypes))


@cache
def _unplanted(detector: Detector) -> dict[str, bool]:
    """Which stages are measured, and whether they pass, without a change; computes what they are held against."""
    passes: dict[str, bool] = {}
    for dtype in DTYPES:
        for m in detector(dtype):
            passes[m.stage] = passes.get(m.stage, True) and m.holds
    return passes


@_one_thread()
def resolution_of_parameter(rung: str, variable: str, dtypes: Sequence[str] = DTYPES) -> float:
    """The smallest change of all elements of a parameter, of random signs, that is noticed end to end.

    The candidate's parameter is changed after it was carried over, and nothing but its output is looked at.

    Args:
        rung: the candidate.
        variable: by canonical name.
        dtypes: of the measurements that are looked at.

    Raises:
        ValueError: the scene does not pass without a change.
    """
    scene = scene_of(rung, variable)

    def output(dtype: str, change: float) -> np.ndarray:
        module = candidate(scene, dtype)
        weights = scene.adapter.read(module)
        old = weights[variable]
        signs = np.random.default_rng(0).choice([-1.0, 1.0], old.shape)
        changed = (old.astype(np.float64) * (1 + change * signs)).astype(old.dtype)
        scene.adapter.write(module, {**weights, variable: changed})
        try:
            return scene.adapter.output(module, scene.expected.x)
        finally:
            scene.adapter.write(module, weights)

    def noticed(change: float) -> bool:
        return any(not m.holds for dtype in dtypes for m in scene.compared(dtype, {"output": output(dtype, change)}))

    if noticed(0.0):
        raise ValueError(f"{scene}: must pass without a change")
    return smallest(noticed, changes(dtypes))


def scene_of(rung: str, variable: str) -> Scene:
    """A scene in whose output the parameter shows: inside of all limits, with energies that move."""
    case = "weights=trained,n_filters=4,sample_rate=8000,n_samples=1601,seed=3,signal=chirp,amplitude=1.0"
    if variable == canonical.PREEMP:
        case = "weights=trained,n_filters=3,sample_rate=8000,n_samples=900,seed=15,compression=none,preemp=True"
    if variable in (canonical.GAMMA, canonical.BETA):
        case = "weights=trained,n_filters=4,sample_rate=8000,n_samples=999,seed=12,compression=none"
        case += ",mean_var_norm=True,signal=chirp"
    if rung == "efficientleaf":
        case += ",padding=centered"
    return Scene(CLEAN if rung == "tf_leaf" else STEPS[rung], case, fixed_limits=True)


def changes(dtypes: Sequence[str]) -> tuple[float, ...]:
    """The changes that are tried, from the smallest."""
    finest = min(FINEST[dtype] for dtype in dtypes)
    return tuple(10.0 ** (finest + i / A_DECADE) for i in range(A_DECADE * (COARSEST - finest) + 1))


def smallest(noticed: Callable[[float], bool], tried: Sequence[float]) -> float:
    """The smallest change that is noticed with either sign.

    In steps that double from the first on, because most constants are seen early and a large change costs as much as a
    small one; then by bisection.

    Args:
        noticed: whether a change is; what notices one notices all that are larger.
        tried: from the smallest.

    Returns:
        One of them, or infinity if the last is not noticed.
    """

    def either(i: int) -> bool:
        return noticed(tried[i]) and noticed(-tried[i])

    unseen, seen, step = -1, 0, 1
    while not either(seen):
        if seen == len(tried) - 1:
            return math.inf
        unseen, seen, step = seen, min(seen + step, len(tried) - 1), 2 * step
    return tried[bisect_left(range(len(tried)), True, unseen + 1, seen, key=either)]
