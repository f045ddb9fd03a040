"""Detectors: each measures the stages of one scene, and notices a change of a rung there.

A detector builds what it needs under whatever is planted, runs it in one dtype, and gives its measurements. What these
are held against is computed once, on the first use, which must be without a change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from parity.adapters.base import Adapter
from parity.adapters.rungs import RUNGS
from parity.checks.grid import Context, Expected, compare_algebraic, compare_forward
from parity.checks.steps import STEPS, Runner, Step
from parity.mutation.runner import CLEAN, shared
from parity.report.claims import Measurement
from parity.weights.converting import convert

Detector = Callable[[str], Iterator[Measurement]]  # from a dtype


@dataclass(frozen=True)
class Scene:
    """The stages of a case on a step of the ladder.

    Attributes:
        step: its name.
        case: as text.
        literal: hold the output to its limit as it stands, as the suite does on the goldens; see
            :class:`parity.checks.grid.Context`.
        rebuilt: build the candidate again for each change, of what acts while it is built.
    """

    step: str
    case: str
    literal: bool = False
    rebuilt: bool = False

    def __call__(self, dtype: str) -> Iterator[Measurement]:
        """Every stage of the candidate, under whatever is planted."""
        module = self.built(dtype) if self.rebuilt else standing(self, dtype)
        yield from self.compared(dtype, self.adapter.stages(module, self.expected.x))

    @property
    def of(self) -> Step:
        """The step."""
        return CLEAN if self.step == CLEAN.name else STEPS[self.step]

    @property
    def adapter(self) -> Adapter:
        """The candidate's adapter."""
        return RUNGS[self.of.candidate].load_adapter()

    @property
    def expected(self) -> Expected:
        """What the candidate is held against."""
        return shared(self.step, self.case)

    def built(self, dtype: str) -> Any:
        """A candidate with the weights of the case."""
        below = _reference(self.step, self.case)
        return convert(below, self.of.candidate, padding=self.of.padding, dtype=dtype)

    def compared(self, dtype: str, stages: Mapping[str, np.ndarray]) -> Iterator[Measurement]:
        """Stages of the candidate against the reference and the oracle."""
        context = Runner(self.of, domain="resolution", literal=self.literal).context(self.case, dtype)
        context.with_norm = self.expected.config.mean_var_norm
        context.singly = False  # one small array says little about G1
        if dtype == "float64":
            yield from compare_algebraic(context, stages, self.expected)
        else:
            whole = {**self.expected.reference, **stages}
            yield from (m for m in compare_forward(context, whole, self.expected) if m.stage in stages)


@cache
def standing(scene: Scene, dtype: str) -> Any:
    """A scene's candidate, to be used again; made without a change, as is all that a look is held against."""
    return scene.built(dtype)


@cache
def _reference(step: str, case: str) -> Any:
    """The reference with the weights of a case."""
    scene = Scene(step, case)
    below = RUNGS[scene.of.reference].load_adapter()
    module = below.build(scene.expected.config)
    below.write(module, dict(scene.expected.variables))
    return module


def grouped(setting: Any, seed: int) -> Detector:
    """The stages of EfficientLEAF in groups, on weights outside of its limits; from a ``plans.Setting``."""

    def detect(dtype: str) -> Iterator[Measurement]:
        from parity.adapters.efficientleaf import EfficientLeafAdapter
        from parity.checks import plans
        from parity.checks.grid import compare_sound

        adapter, right = EfficientLeafAdapter(), plans.expected(setting, seed)
        module = adapter.build(setting.config, dtype, **setting.options)
        adapter.write(module, dict(right.variables))
        context, stages = of_efficientleaf(str(setting), dtype), adapter.stages(module, right.x)
        if dtype == "float64":
            yield from compare_algebraic(context, stages, right)
        else:
            yield from compare_sound(context, stages, right.stages, right.errors(dtype), lambda _: "forward")

    return detect


def compression(stage: str, which: int) -> Detector:
    """A stage of EfficientLEAF's compression on one of the drawn energies of its probe.

    Args:
        stage: ``logarithm``, ``normalisation`` or ``whole``.
        which: of the draws.
    """

    def detect(dtype: str) -> Iterator[Measurement]:
        from parity.checks import compressions

        probe = compressions.CompressionProbe(compressions.DRAWS[which], dtype)
        if stage == "logarithm":
            yield from probe.logarithm()
        elif stage == "normalisation":
            yield from probe.normalisation(per_channel=True)
        else:
            yield from (m for m in probe.whole(training=True) if m.property == "forward")

    return detect


def of_efficientleaf(case: str, dtype: str) -> Context:
    """What the measurements of rung 3 against the oracle have in common."""
    return Context("efficientleaf", "oracle", "resolution", case, "leaf-ladder certify", dtype)
