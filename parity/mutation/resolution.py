"""The resolution of the certificate: the smallest relative change of a constant or a parameter that it notices."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

import numpy as np

from parity.adapters import canonical
from parity.adapters.rungs import RUNGS
from parity.criteria import AtMost
from parity.mutation.constants import RungConstant, compression_parameters, constants
from parity.mutation.detectors import Detector, Scene, standing
from parity.mutation.planting import Change, planted
from parity.mutation.runner import CLEAN
from parity.report.cells import trained

DTYPES = ("float64", "float32")  # the finer first: most of what is noticed at all is noticed there
SINGLE = ("float32",)
COARSEST, A_DECADE = -1, 2  # of the changes that are tried: the decade of the largest, and how many there are in each
FINEST = {"float64": -15, "float32": -8}  # decades: under either, 1 + change is 1
OF_PARAMETERS = AtMost(1e-4, "any trained parameter, end to end")
OF_CONSTANTS = AtMost(1e-5, "any constant, at the stage where it acts first")

Noticed = Callable[[float], bool]  # of a relative change with its sign


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
    for own in compression_parameters(rung):
        yield Resolution(rung, own.name, "parameter", own.stage, resolution(own), resolution(own, SINGLE))
    for constant in constants(rung):
        yield Resolution(rung, constant.name, "constant", constant.stage, resolution(constant))


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
    """The smallest change of a constant that is noticed at its stage.

    Args:
        constant: changed where it stands in the rung's source.
        dtypes: of the measurements that are looked at.

    Raises:
        ValueError: its scene does not pass without a change, or nothing is measured at the stage.
    """
    if _unplanted(constant.detector).get(constant.stage) is not True:
        raise ValueError(
            f"{constant.rung} {constant.name}: {constant.stage} must be measured and pass without a change"
        )

    def noticed(change: float) -> bool:
        return _is_noticed(constant.change(1 + change), constant.detector, constant.stage, dtypes)

    return smallest(noticed, changes(dtypes))


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
        module = standing(scene, dtype)
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


def changes(dtypes: Sequence[str]) -> tuple[float, ...]:
    """The changes that are tried, from the smallest."""
    finest = min(FINEST[dtype] for dtype in dtypes)
    return tuple(10.0 ** (finest + i / A_DECADE) for i in range(A_DECADE * (COARSEST - finest) + 1))


def smallest(noticed: Noticed, tried: Sequence[float]) -> float:
    """The smallest change that is noticed with either sign: in growing steps from the first on, then by bisection.

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
    while seen - unseen > 1:
        middle = (seen + unseen) // 2
        if either(middle):
            seen = middle
        else:
            unseen = middle
    return tried[seen]


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
    return Scene(CLEAN.name if rung == "tf_leaf" else rung, case, literal=True)


def _is_noticed(change: Change, detector: Detector, stage: str, dtypes: Sequence[str]) -> bool:
    """Tell whether a measurement at the stage fails; what a rung refuses is no measurement, and raises."""
    with planted(change):
        return any(not m.holds for dtype in dtypes for m in detector(dtype) if m.stage == stage)


@cache
def _unplanted(detector: Detector) -> dict[str, bool]:
    """Which stages are measured, and whether they pass, without a change; computes what they are held against."""
    passes: dict[str, bool] = {}
    for dtype in DTYPES:
        for m in detector(dtype):
            passes[m.stage] = passes.get(m.stage, True) and m.holds
    return passes
