"""Hold a rung to everything that the suite holds it to, with a change in it.

Reference and oracle arrays of every scene are computed once, without any fault, and shared by all that is planted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from itertools import chain

from parity.adapters.rungs import RUNGS
from parity.checks import training
from parity.checks.compressions import compressions
from parity.checks.factors import measure
from parity.checks.grid import compare, gradients_of, pooled, stages_of
from parity.checks.initial import initial
from parity.checks.nonfinite import nonfinite
from parity.checks.plans import plans
from parity.checks.purity import purity
from parity.checks.steps import STEPS, Runner, Step
from parity.checks.ties import ties
from parity.mutation.detectors import CLEAN, own, shared
from parity.mutation.planting import Benign, Fault, planted
from parity.report.claims import PROPERTIES, STAGES, Measurement

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
        where = (self.first.property, self.first.stage)
        criteria = {m.criterion for m in self.failed if (m.property, m.stage) == where}
        return where == (fault.property, fault.stage) and fault.criterion in criteria


def attempt(rung: str, change: Fault | Benign | None = None, *, to_the_end: bool = False) -> Trial:
    """Plant a change, measure the rung, take it out again.

    Args:
        rung: it is planted into.
        change: a fault or a benign reformulation of the rung; None plants nothing.
        to_the_end: go on behind the first group of measurements that notices something.

    Raises:
        ValueError: no such rung.
    """
    if rung not in SCENES:
        raise ValueError(f"rung={rung!r}: must be one of {', '.join(SCENES)}")
    prepare(rung)
    failed: list[Measurement] = []
    n_measured, raised = 0, ""
    try:
        with planted(change.changes if change else ()):
            for group in measurements(rung):
                measured = list(group)
                n_measured += len(measured)
                failed += [m for m in measured if not m.holds]
                if failed and not to_the_end:
                    break
    except Exception as error:  # a fault may break the rung outright: that is noticed, too
        raised = f"{type(error).__name__}: {error}"
    return Trial(tuple(sorted(failed, key=_order)), n_measured, raised)


def _order(m: Measurement) -> tuple[bool, int, str]:
    """The order of the computation: initial values, stages, gradients, steps."""
    place = STAGES.index(m.stage) if m.stage in STAGES else len(STAGES)
    kind = PROPERTIES.index("forward") if m.property == "forward" else len(PROPERTIES) + PROPERTIES.index(m.property)
    return m.stage not in ("mel", "init"), 100 * kind + place, m.stage


@cache
def prepare(rung: str) -> None:
    """Compute what all changes share, while none is in place."""
    training.prepare((rung,))
    for step, case in SCENES[rung]:
        shared(step, case)
        measure(step.reference)


def checks(rung: str) -> list[Callable[[], Iterator[Measurement]]]:
    """Every check that the suite holds the rung to, beside its initial values and its scenes."""
    found: list[Callable[[], Iterator[Measurement]]] = [partial(purity, rung)]
    if rung == "efficientleaf":
        found += [plans, compressions]
    found.append(partial(ties, rung))
    if rung in training.STEP_NAMES:
        found.append(partial(training.teacher_forced, rung))
    if rung in training.PROJECTING:
        found.append(partial(training.through_the_clamp, rung))
    return [*found, partial(nonfinite, rung), partial(own, rung)]


def measurements(rung: str) -> Iterator[Iterator[Measurement]]:
    """In groups: initial values, the scenes' stages and gradients, then the other checks.

    The scenes' modules are built once, under whatever is planted, and the accuracy over all scenes ends a group.
    """
    yield initial(rung)
    adapter = RUNGS[rung].load_adapter()
    runners = {step: Runner(step, domain="bench") for step, _ in SCENES[rung]}
    scenes = [
        (runners[step], case, shared(step, case), runners[step].climbed(shared(step, case), dtype), dtype)
        for dtype in ("float32", "float64")
        for step, case in SCENES[rung]
    ]

    def stages(wanted: str) -> Iterator[Measurement]:
        for runner, case, expected, module, dtype in scenes:
            if dtype == wanted:
                names = stages_of(expected.reference) if dtype == "float32" else None
                found = adapter.stages(module, expected.x)
                yield from compare(runner.context(case, dtype), found, expected, names)

    def gradients() -> Iterator[Measurement]:
        for runner, case, expected, module, dtype in scenes:
            names = gradients_of(expected.reference) if dtype == "float32" else None
            found = adapter.gradients(module, expected.x, expected.cotangent)
            yield from compare(runner.context(case, dtype), found, expected, names)

    def together() -> Iterator[Measurement]:
        for runner in runners.values():
            yield from pooled(runner.context("all scenes"), fewest=FEWEST)
            runner.pools.clear()

    yield chain(stages("float32"), together())
    yield stages("float64")
    yield chain(gradients(), together())
    for check in checks(rung):
        yield check()
