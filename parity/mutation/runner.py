"""Run a rung with a change in it before everything that the suite holds a rung to.

Reference and oracle arrays of every scene are computed once, without any fault, and shared by all that is planted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from parity.adapters.rungs import RUNGS
from parity.cases.case import Case
from parity.checks.factors import measure
from parity.checks.grid import Expected, compare, gradients_of, pooled, stages_of
from parity.checks.steps import STEPS, Runner, Step
from parity.mutation.planting import Benign, Fault
from parity.report.claims import PROPERTIES, STAGES, Measurement

Check = Callable[[], Iterator[Measurement]]

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
_INSIDE = tuple(case for case in _ANY if "outside" not in case)
FEWEST = 8  # arrays in a pool: the scenes are always the same, so that a few do not flicker
# Rung 0 is held against its own arrays from before the fault; that they are the original's is for the goldens to say.
CLEAN = Step("tf_leaf-clean", "tf_leaf", "tf_leaf", "bench")
SCENES: dict[str, tuple[tuple[str, str], ...]] = {
    "tf_leaf": tuple((CLEAN.name, case) for case in _ANY + _ORIGINAL),
    "og_leaf": tuple(("og_leaf", case) for case in _ANY + _ORIGINAL),
    "leaf": (
        *(("leaf", case) for case in _ANY if "=outside," not in case),
        # one quiet band alone: behind louder ones, what a cancelling root loses in it would not show
        ("leaf", "weights=drawn,n_filters=1,sample_rate=4000,window_len=8.5,signal=silence,n_samples=400,seed=18"),
        ("leaf-centered", "weights=drawn,n_filters=4,sample_rate=8000,n_samples=1601,seed=21"),
        ("leaf-centered", "weights=trained,n_filters=3,n_samples=1121,seed=22,batch=2,amplitude=3.0"),
    ),
    "efficientleaf": (
        *(("efficientleaf", f"{case},padding=centered") for case in _INSIDE),
        ("efficientleaf", "weights=drawn,n_filters=4,sample_rate=8000,n_samples=1601,seed=31,padding=centered"),
        ("efficientleaf", "weights=trained,n_filters=3,n_samples=1300,seed=32,batch=2,padding=centered"),
    ),
}


@dataclass(frozen=True)
class Trial:
    """Measurements made under one change.

    Attributes:
        name: of the fault or the benign reformulation.
        failed: the measurements that did not hold, in the order of the computation.
        n_measured: how many there were.
        raised: the error that ended it, if one did.
    """

    name: str
    failed: tuple[Measurement, ...]
    n_measured: int
    raised: str = ""

    @property
    def killed(self) -> bool:
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
        where = (self.first.property, self.first.stage)
        criteria = {m.criterion for m in self.failed if (m.property, m.stage) == where}
        return where == (fault.property, fault.stage) and fault.criterion in criteria


def order(m: Measurement) -> tuple[int, int, str]:
    """The order of the computation: initial values, stages, gradients, steps."""
    early = 0 if m.stage in ("mel", "init") else 1
    place = STAGES.index(m.stage) if m.stage in STAGES else len(STAGES)
    kind = PROPERTIES.index("forward") if m.property == "forward" else len(PROPERTIES) + PROPERTIES.index(m.property)
    return (early, 100 * kind + place, m.stage)


@dataclass
class MutationRunner:
    """Hold a rung to everything again and again, with one change after another in it.

    Attributes:
        rung: the rung that faults are planted into.
        checks: what is measured beside the scenes, by name; run in this order.
        preparations: what the checks keep from before any change.
    """

    rung: str
    checks: dict[str, Check] = field(default_factory=dict)
    preparations: tuple[Callable[[], None], ...] = ()
    _ready: bool = False

    def prepare(self) -> None:
        """Compute what all plants share, while none is in place."""
        if self._ready:
            return
        self._ready = True
        for prepare in self.preparations:
            prepare()
        for step, text in SCENES.get(self.rung, ()):
            shared(step, text)
        for reference in {_step(step).reference for step, _ in SCENES.get(self.rung, ())}:
            measure(reference)

    def try_(self, planted: Fault | Benign, *, to_the_end: bool = False) -> Trial:
        """Plant, measure, take out again.

        Args:
            planted: a fault or a benign reformulation of this rung.
            to_the_end: go on behind the first group of measurements that notices something.
        """
        self.prepare()
        failed: list[Measurement] = []
        n_measured = 0
        raised = ""
        try:
            with planted.plant():
                for group in self.groups():
                    measured = list(group)
                    n_measured += len(measured)
                    failed += [m for m in measured if not m.holds]
                    if failed and not to_the_end:
                        break
        except Exception as error:  # a fault may break the rung outright: that is noticed, too
            raised = f"{type(error).__name__}: {error}"
        return Trial(planted.name, tuple(sorted(failed, key=order)), n_measured, raised)

    def untouched(self) -> Trial:
        """The same with nothing planted."""
        return self.try_(Benign(f"{self.rung}/nothing", "", "", ()), to_the_end=True)

    def groups(self) -> Iterator[Iterable[Measurement]]:
        """The measurements in groups: initial values, the scenes' stages and gradients, then the other checks."""
        others = dict(self.checks)
        if "initial" in others:
            yield others.pop("initial")()
        run = _Scenes(self.rung)
        yield run.stages()
        yield run.precise_stages()
        yield run.gradients()
        for check in others.values():
            yield check()


class _Scenes:
    """One run of every scene of a rung, stage by stage; modules are built once, under whatever is planted."""

    def __init__(self, rung: str) -> None:
        self.adapter = RUNGS[rung].load_adapter()
        self.runners: dict[str, Runner] = {}
        self.scenes: list[tuple[Runner, str, Expected, Any, Any]] = []
        for step, text in SCENES.get(rung, ()):
            runner = self.runners.setdefault(step, Runner(_step(step), domain="bench"))
            expected = shared(step, text)
            modules = (runner.climbed(expected, dtype) for dtype in ("float32", "float64"))
            self.scenes.append((runner, text, expected, *modules))

    def stages(self) -> Iterator[Measurement]:
        for runner, text, expected, module, _ in self.scenes:
            stages = self.adapter.stages(module, expected.x)
            yield from compare(runner.context(text), stages, expected, stages_of(expected.reference))
        yield from self.together()

    def precise_stages(self) -> Iterator[Measurement]:
        for runner, text, expected, _, module in self.scenes:
            stages = self.adapter.stages(module, expected.x)
            yield from compare(runner.context(text, "float64"), stages, expected)

    def gradients(self) -> Iterator[Measurement]:
        for runner, text, expected, module, precise in self.scenes:
            gradients = self.adapter.gradients(module, expected.x, expected.cotangent)
            yield from compare(runner.context(text), gradients, expected, gradients_of(expected.reference))
            gradients = self.adapter.gradients(precise, expected.x, expected.cotangent)
            yield from compare(runner.context(text, "float64"), gradients, expected)
        yield from self.together()

    def together(self) -> Iterator[Measurement]:
        """The accuracy over all scenes of what has been seen since the last time."""
        for runner in self.runners.values():
            yield from pooled(runner.context("all scenes"), fewest=FEWEST)
            runner.pools.clear()


def _step(name: str) -> Step:
    return CLEAN if name == CLEAN.name else STEPS[name]


@cache
def shared(step: str, text: str) -> Expected:
    """Compute what a scene is held against, once, on the first use, which must be without a fault."""
    case = Case.parse(text)
    expected = Runner(_step(step)).expected(case.config, case.variables(), case.input(), case.cotangent)
    for dtype in ("float32", "float64"):
        expected.errors(dtype)
        expected.rounding(dtype)
    return expected
