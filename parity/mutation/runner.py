"""Hold a rung to everything that the suite holds it to, with a change in it.

A fault is looked for where it is declared to be caught, on the smallest case first, until it is refused there; a
reformulation goes through every check. Reference, oracle and G1's k are computed once, without a change.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any

import numpy as np

from parity.adapters.rungs import RUNGS, Adapter
from parity.cases.case import Case
from parity.checks import training
from parity.checks.compressions import compressions
from parity.checks.factors import measure
from parity.checks.grid import Expected, compare, gradients_of, pooled, stages_of
from parity.checks.initial import initial
from parity.checks.nonfinite import nonfinite
from parity.checks.plans import plans
from parity.checks.purity import purity
from parity.checks.steps import STEPS, Runner, Step
from parity.checks.ties import ties
from parity.mutation.detectors import own
from parity.mutation.planting import Benign, Fault
from parity.report.claims import PROPERTIES, STAGES, Measurement
from parity.weights.convert_module import convert

# Rung 0 is held against its own arrays from before the fault; that they are the original's is for the goldens to say.
CLEAN = Step("tf_leaf-clean", "tf_leaf", "tf_leaf", "bench")
# What is drawn by the hundred in the suite, in as many cases as it takes to reach every limit, form and geometry.
_ANY = (
    "weights=default,n_samples=481",
    "weights=drawn,n_filters=5,sample_rate=8000,n_samples=1601,batch=2,seed=1",
    "weights=outside,n_filters=5,sample_rate=22050,window_stride=5.0,n_samples=1103,seed=2",
    "weights=trained,n_filters=4,signal=loud_and_weak,n_samples=1601,seed=3,amplitude=2.0",
    "weights=trained,n_filters=3,sample_rate=11025,signal=chirp,n_samples=1500,seed=4,pcen_floor=1e-06,amplitude=0.001",
    "weights=drawn,n_filters=3,sample_rate=4000,signal=impulse_first,n_samples=400,seed=5,amplitude=10.0",
    "weights=trained,n_filters=3,sample_rate=8000,n_samples=161,seed=6,amplitude=0.02,pcen_floor=1e-06",
    "weights=outside_shared,n_filters=4,sample_rate=8000,signal=tone,n_samples=2000,seed=7",
)
_ORIGINAL = (
    "weights=trained,n_filters=4,sample_rate=8000,n_samples=1999,seed=11,preemp=True,mean_var_norm=True,batch=2",
    "weights=trained,n_filters=3,sample_rate=8000,n_samples=1200,seed=12,compression=log,amplitude=0.01",
    "weights=trained,n_filters=3,sample_rate=8000,n_samples=1200,seed=13,compression=fixed_pcen,signal=chirp",
    "weights=drawn,n_filters=4,sample_rate=8000,n_samples=1600,seed=14,per_channel_smooth=False,pcen_floor=1e-06",
    "weights=drawn,n_filters=3,sample_rate=8000,n_samples=900,seed=15,compression=none,preemp=True",
)
FEWEST = 8  # arrays in a pool: the scenes are always the same, so that a few do not flicker
SCENES: dict[str, tuple[tuple[Step, str], ...]] = {
    "tf_leaf": tuple((CLEAN, case) for case in _ANY + _ORIGINAL),
    "og_leaf": tuple((STEPS["og_leaf"], case) for case in _ANY + _ORIGINAL),
    "leaf": (
        *((STEPS["leaf"], case) for case in _ANY if "=outside," not in case),
        # one quiet band alone: behind louder ones, what a cancelling root loses in it would not show
        (STEPS["leaf"],
         "weights=drawn,n_filters=1,sample_rate=4000,window_len=8.5,signal=silence,n_samples=400,seed=18"),
        (STEPS["leaf-centered"], "weights=drawn,n_filters=4,sample_rate=8000,n_samples=1601,seed=21"),
        (STEPS["leaf-centered"], "weights=trained,n_filters=3,n_samples=1121,seed=22,batch=2,amplitude=3.0"),
    ),
    "efficientleaf": tuple((STEPS["efficientleaf"], f"{case},padding=centered") for case in (
        *(case for case in _ANY if "outside" not in case),
        "weights=drawn,n_filters=4,sample_rate=8000,n_samples=1601,seed=31",
        "weights=trained,n_filters=3,n_samples=1300,seed=32,batch=2",
    )),
}  # fmt: skip
DTYPES = ("float32", "float64")
Place = tuple[str, str, str]  # property, stage, criterion
Check = Callable[[], Iterator[Measurement]]


@cache
def shared(step: Step, text: str) -> Expected:
    """Compute what a case is held against on a step of the ladder."""
    case = Case.parse(text)
    expected = Runner(step).expected(case.config, case.variables(), case.input(), case.cotangent)
    for dtype in DTYPES:
        expected.errors(dtype)
        expected.rounding(dtype)
    return expected


@dataclass(frozen=True)
class Scene:
    """A case on a step of the ladder.

    Attributes:
        step: whose candidate is measured.
        case: as text.
        literal: hold the output to its limit as it stands, as the suite does on the goldens; see
            :class:`parity.checks.grid.Context`.
        rebuilt: build the candidate again for each change, of what acts while it is built.
        only: the stage that is computed and measured; all by default.
    """

    step: Step
    case: str
    literal: bool = False
    rebuilt: bool = False
    only: str = ""

    def __call__(self, dtype: str) -> Iterator[Measurement]:
        """The stages of the candidate, under whatever is planted."""
        module, x = self.built(dtype) if self.rebuilt else standing(replace(self, only=""), dtype), self.expected.x
        one = {self.only: self.adapter.stage(module, x, self.only)} if self.only else None
        yield from self.compared(dtype, one or self.adapter.stages(module, x))

    @property
    def adapter(self) -> Adapter:
        """The candidate's adapter."""
        return RUNGS[self.step.candidate].load_adapter()

    @property
    def expected(self) -> Expected:
        """Return what the candidate is held against."""
        return shared(self.step, self.case)

    def built(self, dtype: str) -> Any:
        """A candidate with the weights of the case."""
        return convert(self.expected.standing, self.step.candidate, padding=self.step.padding, dtype=dtype)

    def compared(self, dtype: str, arrays: Mapping[str, np.ndarray]) -> Iterator[Measurement]:
        """Arrays of the candidate against the reference and the oracle."""
        context = Runner(self.step, domain="resolution", literal=self.literal).context(self.case, dtype)
        context.singly = False  # one small array says little about G1
        yield from compare(context, arrays, self.expected, [n for n in arrays if n in self.expected.reference])


@cache
def standing(scene: Scene, dtype: str) -> Any:
    """A scene's candidate, to be used again; made without a change."""
    return scene.built(dtype)


@dataclass(frozen=True)
class Trial:
    """Measurements made under one change.

    Attributes:
        failed: the measurements that did not hold, in the order of the computation.
        n_measured: how many there were.
        raised: the error that ended it, if one did.
    """

    failed: tuple[Measurement, ...]
    n_measured: int
    raised: str = ""

    @property
    def caught(self) -> bool:
        """Tell whether anything was noticed."""
        return bool(self.failed) or bool(self.raised)

    @property
    def first(self) -> Measurement | None:
        """Return the first measurement that failed, in the order of the computation."""
        return self.failed[0] if self.failed else None

    def as_declared(self, fault: Fault) -> bool:
        """Tell whether it was caught at the declared stage, by the declared criterion."""
        if self.first is None:
            return bool(self.raised) and fault.criterion == "status"
        return place(self.first)[:2] == place(fault)[:2] and place(fault) in map(place, self.failed)


def place(found: Measurement | Fault) -> Place:
    """Name the place at which something is measured, or must be caught."""
    return found.property, found.stage, found.criterion


def attempt(change: Fault | Benign) -> Trial:
    """Plant a change, measure its rung, take it out again.

    A fault is taken through the checks that measure where it is declared, up to the first refusal there; where none
    refuses it, through the others, up to one that does. A reformulation is taken through all.
    """
    _, places = unplanted(change.rung)
    failed, n_measured, raised = list[Measurement](), 0, ""
    try:
        with change.plant():
            for m in _sought(change, places) if isinstance(change, Fault) else _run(checks(change.rung)):
                n_measured += 1
                failed += [] if m.holds else [m]
    except Exception as error:  # a fault may break the rung outright: that is noticed, too
        raised = f"{type(error).__name__}: {error}"
    return Trial(tuple(sorted(failed, key=_order)), n_measured, raised)


def _sought(fault: Fault, places: Sequence[Collection[Place]]) -> Iterator[Measurement]:
    every = list(zip(checks(fault.rung, fault.property), places, strict=True))
    noticed = False
    for m in _run(check for check, measured in every if place(fault) in measured):
        yield m
        noticed |= not m.holds
        if not m.holds and place(m) == place(fault):
            return
    for check in (check for check, measured in every if place(fault) not in measured):
        if noticed:
            return
        for m in check():
            yield m
            noticed |= not m.holds


def _run(some: Iterable[Check]) -> Iterator[Measurement]:
    for check in some:
        yield from check()


@cache
def unplanted(rung: str) -> tuple[Trial, tuple[Collection[Place], ...]]:
    """Every check of a rung without a change, and where each of them measures; computes what all changes share."""
    for step, _ in SCENES[rung]:
        measure(step.reference)
    training.prepare((rung,))
    found = [list(check()) for check in checks(rung)]
    failed = tuple(m for of_check in found for m in of_check if not m.holds)
    return Trial(failed, sum(map(len, found))), tuple(set(map(place, of_check)) for of_check in found)


def _order(m: Measurement) -> tuple[bool, int, str]:
    """The order of the computation: initial values, stages, gradients, steps."""
    at = STAGES.index(m.stage) if m.stage in STAGES else len(STAGES)
    kind = PROPERTIES.index("forward") if m.property == "forward" else len(PROPERTIES) + PROPERTIES.index(m.property)
    return m.stage not in ("mel", "init"), 100 * kind + at, m.stage


def checks(rung: str, property: str = "") -> list[Check]:
    """Every check that the suite holds a rung to; the accuracy over all scenes follows these.

    Args:
        rung: which.
        property: that is looked for: of a scene neither the stages nor the gradients are computed for nothing.
    """
    runners = {step: Runner(step, domain="bench") for step, _ in SCENES[rung]}
    scenes = sorted(SCENES[rung], key=lambda scene: _size(Case.parse(scene[1])))
    found: list[Check] = [partial(initial, rung)]
    found += [partial(_scene, runners[step], case, dtype, property) for dtype in DTYPES for step, case in scenes]
    found += [partial(_together, runners.values()), partial(purity, rung)]
    if rung == "efficientleaf":
        found += [plans, compressions]
    found.append(partial(ties, rung))
    if rung in training.STEP_NAMES:
        found.append(partial(training.teacher_forced, rung))
    if rung in training.PROJECTING:
        found.append(partial(training.through_the_clamp, rung))
    return [*found, partial(nonfinite, rung), partial(own, rung)]


def _size(case: Case) -> int:
    return case.n_samples * case.batch * case.config.n_filters


def _scene(runner: Runner, case: str, dtype: str, property: str) -> Iterator[Measurement]:
    expected = shared(runner.step, case)
    adapter, module = RUNGS[runner.step.candidate].load_adapter(), runner.climbed(expected, dtype)
    names = expected.reference
    if property == "forward":
        found, names = adapter.stages(module, expected.x), stages_of(names)
    elif "gradient" in property:
        found, names = adapter.gradients(module, expected.x, expected.cotangent), gradients_of(names)
    else:
        found = adapter.arrays(module, expected.x, expected.cotangent)
    yield from compare(runner.context(case, dtype), found, expected, names if dtype == "float32" else None)


def _together(runners: Iterable[Runner]) -> Iterator[Measurement]:
    for runner in runners:
        yield from pooled(runner.context("all scenes"), fewest=FEWEST)
