"""Measure a rung on one case, under whatever is planted: what resolutions are found with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np

from parity.adapters.rungs import RUNGS, Adapter
from parity.cases.case import Case
from parity.checks.grid import Expected, compare
from parity.checks.steps import Runner, Step
from parity.report.claims import Measurement

# Rung 0 is held against its own arrays from before the fault; that they are the original's is for the goldens to say.
CLEAN = Step("tf_leaf-clean", "tf_leaf", "tf_leaf", "bench")
DTYPES = ("float32", "float64")


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
        fixed_limits: hold the output to its limit as it stands, as the suite does on the goldens; see
            :class:`parity.checks.grid.Context`.
        rebuilt: build the candidate again for each change, of what acts while it is built.
        only: the stage that is computed and measured; all by default.
    """

    step: Step
    case: str
    fixed_limits: bool = False
    rebuilt: bool = False
    only: str = ""

    def __call__(self, dtype: str) -> Iterator[Measurement]:
        """The stages of the candidate, under whatever is planted."""
        module, x = self.built(dtype) if self.rebuilt else candidate(replace(self, only=""), dtype), self.expected.x
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
        return Runner(self.step).candidate(self.expected, dtype)

    def compared(self, dtype: str, arrays: Mapping[str, np.ndarray]) -> Iterator[Measurement]:
        """Arrays of the candidate against the reference and the oracle."""
        context = Runner(self.step, domain="resolution", fixed_limits=self.fixed_limits).context(self.case, dtype)
        context.each_alone = False  # one small array says little about accuracy
        yield from compare(context, arrays, self.expected, [n for n in arrays if n in self.expected.reference])


@cache
def candidate(scene: Scene, dtype: str) -> Any:
    """A scene's candidate, to be used again; made without a change."""
    return scene.built(dtype)
