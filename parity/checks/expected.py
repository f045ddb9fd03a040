"""What one case is held against: the reference's arrays, the oracle's, and the rounding between them.

All of it is computed once and can be shared by many candidates; nothing here runs a candidate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from parity.criteria.criterion import unit_roundoff
from parity.criteria.direct import Size, norm, peak
from parity.criteria.envelope import Envelope
from parity.oracle import ORIGINAL, Conventions, Geometry, LeafBounds, LeafOracle, Precision
from parity.oracle.config import LeafConfig

Arrays = Mapping[str, np.ndarray]
# some 800 arrays of the goldens on either rung that are held to the original, and of a few reformulations
SCATTER = Envelope(16, 10_000)


@dataclass
class Expected:
    """One case's inputs, and what should come out.

    Attributes:
        config: of the oracle.
        variables: weights, by canonical names, float32.
        x: audio, float32 [B, T].
        cotangent: of the output, float32 [B, C, F].
        reference: the reference's float32 stages; empty where there is none.
        reference_gradients: the same of its gradients.
        reference_again: stages and gradients of further executions of the reference, its input moved by an ulp.
        subtracts: the candidate's PCEN subtracts ``delta^r``, see :class:`parity.adapters.rungs.Rung`.
        conventions: whose limits on the PCEN parameters the oracle follows.
        geometry: of the oracle, if not LEAF's own.
    """

    config: LeafConfig
    variables: Arrays
    x: np.ndarray
    cotangent: np.ndarray
    reference: Arrays = field(default_factory=dict)
    reference_gradients: Arrays = field(default_factory=dict)
    reference_again: list[tuple[Arrays, Arrays]] = field(default_factory=list)
    subtracts: bool = True
    conventions: Conventions = ORIGINAL
    geometry: Geometry | None = None

    @cached_property
    def oracle(self) -> LeafOracle:
        """The oracle of the configuration."""
        return LeafOracle(self.config, self.conventions, self.geometry)

    @cached_property
    def stages(self) -> Arrays:
        """The oracle's stages."""
        return self.oracle.stages(self.variables, self.x)

    @cached_property
    def gradients(self) -> Arrays:
        """The oracle's gradients."""
        return self.oracle.gradients(self.variables, self.x, self.cotangent)

    def errors(self, dtype: str) -> Arrays:
        """The running error of every stage: G2's bound."""
        return self._bounds(dtype, False)[0]

    def gradient_errors(self, dtype: str) -> Arrays:
        """The running error of every gradient."""
        return self._bounds(dtype, False)[1]

    def rounding(self, dtype: str) -> Arrays:
        """The one-operation bound of every stage: what G3 never goes below."""
        return self._bounds(dtype, True)[0]

    def gradient_rounding(self, dtype: str) -> Arrays:
        """The one-operation bound of every gradient."""
        return self._bounds(dtype, True)[1]

    def scatter(self, name: str, size: Size) -> float | None:
        """How far rounding may take a float32 implementation from the oracle, at a stage or in a gradient.

        A bound that holds with the probability of :class:`parity.criteria.envelope.Envelope`, over draws of roundings
        that no order of summation exceeds, see :meth:`parity.oracle.chain.Chain.summed`. None where no sum is drawn.
        """
        largest = self._scatter.get(name)
        return None if largest is None else SCATTER.factor * largest[size]

    @cached_property
    def _scatter(self) -> dict[str, dict[Size, float]]:
        u, true = unit_roundoff("float32"), {**self.stages, **self.gradients}
        largest: dict[str, dict[Size, float]] = {}
        for seed in range(SCATTER.n_draws):
            rng = np.random.default_rng([11, seed])
            for name, values in self.oracle.rounded(self.variables, self.x, self.cotangent, rng, u).items():
                sizes = largest.setdefault(name, {norm: 0.0, peak: 0.0})
                for size in sizes:
                    sizes[size] = max(sizes[size], size(values - true[name]))
        return largest

    def _bounds(self, dtype: str, one_operation: bool) -> tuple[Arrays, Arrays]:
        key = (dtype, one_operation)
        if key not in self._kept:
            # of two float32 implementations one always subtracts; in float64 the candidate stands alone
            subtracts = self.subtracts or dtype != "float64"
            precision = Precision.of(dtype, one_operation)
            bounds = LeafBounds(self.oracle, self.variables, self.x, precision, subtracts)
            self._kept[key] = bounds.errors(), bounds.gradient_errors(self.cotangent)
        return self._kept[key]

    @cached_property
    def _kept(self) -> dict[tuple[str, bool], tuple[Arrays, Arrays]]:
        return {}


@dataclass(frozen=True)
class Produced:
    """What a candidate made of a case.

    Attributes:
        stages: float32.
        gradients: float32, by canonical names and ``input``.
        precise_stages: the same module in float64.
        precise_gradients: float64.
    """

    stages: Arrays = field(default_factory=dict)
    gradients: Arrays = field(default_factory=dict)
    precise_stages: Arrays = field(default_factory=dict)
    precise_gradients: Arrays = field(default_factory=dict)
