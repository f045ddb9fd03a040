"""LEAF end to end: its stages in a row, in float64 and in running-error arithmetic.

The oracle is fed the float32 inputs and parameters of the run that it judges, exactly. It follows the mathematics
of LEAF, not the operations of a rung; where rungs mean different functions, the difference is an argument.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from parity.oracle.arrays import Array, exact
from parity.oracle.chain import BoundedStage, Chain, RunningChain
from parity.oracle.compression import Floor, InstanceNorm, Log
from parity.oracle.config import FLOOR, LOG_OFFSET, NORM_EPS, ORIGINAL, Conventions, LeafConfig
from parity.oracle.filters import Preemphasis
from parity.oracle.gabor import GaborConv
from parity.oracle.geometry import Geometry, Group
from parity.oracle.pcen import Pcen
from parity.oracle.pooling import GaussianPool, SquaredModulus
from parity.oracle.running import Precision, Running

PREEMP, KERNEL, POOLING = "tfbanks_preemp/kernel", "kernel", "learnable_pooling/kernel"
NORM = "tfbanks_instancenorm/gamma", "tfbanks_instancenorm/beta"
# those of :meth:`LeafOracle.rounded`: what a sum of many products makes, or what comes of it
ROUNDED = ("conv", "modulus", "pool", "floor", "pcen", "output")
STAGES = ("filters", "windows", "conv", "modulus", "pool", "floor", "ema", "pcen", "norm")
Errors = dict[str, Array]
Way = TypeVar("Way", Chain, RunningChain)
Numbers = TypeVar("Numbers", Array, Running)


@dataclass(frozen=True)
class Filterbank(BoundedStage):
    """Pooled energies, by groups of filters: LEAF is the case of one group at full rate, EfficientLEAF the general one.

    With one group it notes ``filters`` [C, 2, W], ``windows`` [C, W], ``conv`` [B, 2 C, T] and ``modulus`` [B, C, T].
    """

    geometry: Geometry

    def apply(self, c: Chain) -> None:
        self._run(c, lambda stage, branch: stage.apply(branch))

    def bound(self, c: RunningChain) -> None:
        self._run(c, lambda stage, branch: stage.bound(branch))

    def _run(self, c: Way, run: Callable[[BoundedStage, Way], None]) -> None:
        branches = []
        for group in self.geometry.groups:
            branch = c.branch(self._divided(c.variables, group))
            convolution, modulus, pooling = self._of(group)
            run(convolution, branch)
            branch.note("conv")
            run(modulus, branch)
            branch.note("modulus")
            run(pooling, branch)
            branches.append(branch)
        if len(branches) == 1:
            c.notes.update(branches[0].notes)
        c.join(branches, {KERNEL: 0, POOLING: 2})

    @staticmethod
    def _divided(variables: Mapping[str, Array], group: Group) -> dict[str, Array]:
        """The variables of a group's filters."""
        chosen = slice(group.start, group.stop)
        return {KERNEL: variables[KERNEL][chosen], POOLING: variables[POOLING][:, :, chosen]}

    def _of(self, group: Group) -> tuple[BoundedStage, BoundedStage, BoundedStage]:
        g, box = self.geometry, self.geometry.box
        pooling = group.window_size, group.pool_stride, g.padding, box.width_low, g.pooling_scale(group)
        return (
            GaborConv(KERNEL, group.kernel_size, group.conv_stride, g.padding, box),
            SquaredModulus(),
            GaussianPool(POOLING, *pooling),
        )


class LeafOracle:
    """One configuration of LEAF, in float64.

    Args:
        config: what to compute.
        conventions: whose limits on the PCEN parameters.
        geometry: kernel lengths, rates and limits; the default is LEAF's own at full rate.
    """

    def __init__(
        self, config: LeafConfig, conventions: Conventions = ORIGINAL, geometry: Geometry | None = None
    ) -> None:
        self.config = config
        self.geometry = geometry or Geometry.of_leaf(
            config.n_filters, config.window, config.stride, config.padding, conventions.upper_wins
        )
        steps: list[tuple[str, BoundedStage]] = [("preemp", Preemphasis(PREEMP))] if config.preemp else []
        steps += [("pool", Filterbank(self.geometry)), ("floor", Floor(FLOOR))]
        if config.compression == "log":
            steps.append(("log", Log(LOG_OFFSET)))
        elif config.compression != "none":
            limits = conventions.clip_smooth, conventions.delta_low
            steps.append(("pcen", Pcen("PCEN/", config.pcen_floor, config.compression == "pcen", *limits)))
        if config.mean_var_norm:
            steps.append(("norm", InstanceNorm(*NORM, NORM_EPS)))
        self.steps = tuple(steps)

    def stages(self, variables: Mapping[str, Array], x: Array) -> dict[str, Array]:
        """Every stage of the forward pass.

        Args:
            variables: by the original's names and shapes (see :mod:`parity.adapters.canonical`).
            x: audio, [B, T].

        Returns:
            filters [C, 2, W], windows [C, W], conv [B, C, 2, T], modulus [B, C, T] (these four only where there is
            one group), pool, floor, ema, pcen, norm and output [B, C, F] (ema, pcen and norm where configured).
        """
        return self.run(variables, x).stages

    def gradients(self, variables: Mapping[str, Array], x: Array, cotangent: Array) -> dict[str, Array]:
        """Gradient of ``sum(cotangent * output)`` by hand-written adjoints.

        Args:
            variables: as for :meth:`stages`.
            x: audio, [B, T].
            cotangent: [B, C, F].

        Returns:
            ``input`` [B, T] and one array for every trainable variable, of its shape.
        """
        return self.run(variables, x).gradients(cotangent)

    def run(self, variables: Mapping[str, Array], x: Array) -> LeafRun:
        """The forward pass, once for :meth:`stages` and :meth:`gradients`; arguments as there."""
        return LeafRun(self, Chain(exact(x)[:, np.newaxis], variables))

    def rounded(
        self, variables: Mapping[str, Array], x: Array, cotangent: Array, rng: np.random.Generator, ulp: float
    ) -> dict[str, Array]:
        """Stages and gradients with a rounding at every operation: how far off a faithful implementation comes to lie.

        A running-error bound is a worst case: along the adjoint of a normalisation it exceeds what happens ten thousand
        times. Here roundings are drawn as large as an implementation's, whatever its order of summation, and carried
        on through the same cancellations.

        Args:
            variables, x, cotangent: as for :meth:`gradients`.
            rng, ulp: of the roundings.

        Returns:
            :meth:`gradients`, and of :meth:`stages` those of :data:`ROUNDED`.
        """
        run = LeafRun(self, Chain(exact(x)[:, np.newaxis], variables, rng, ulp))
        drawn = {name: run.stages[name] for name in ROUNDED if name in run.stages}
        return {**drawn, **run.gradients(cotangent)}


class LeafRun:
    """One forward pass of the oracle, with its way back.

    Args:
        oracle: the configuration and its conventions.
        chain: with the audio and the variables.

    Attributes:
        stages: see :meth:`LeafOracle.stages`.
        cotangents: of the stages, in their shapes, once :meth:`gradients` has run.
    """

    cotangents: dict[str, Array]

    def __init__(self, oracle: LeafOracle, chain: Chain) -> None:
        self._chain = chain
        for name, step in oracle.steps:
            step.apply(chain)
            chain.note(name)
        self.stages = _stages(chain.notes, chain.x)

    def gradients(self, cotangent: Array) -> dict[str, Array]:
        """See :meth:`LeafOracle.gradients`."""
        d = self._chain.back(cotangent)
        self.cotangents = _stages(self._chain.cotangents, exact(cotangent))
        return {"input": d[:, 0], **self._chain.gradients}


class LeafBounds:
    """The running errors of one run: how far a faithful implementation may be from the oracle, stage by stage.

    Where faithful forms differ (a lerp or two products, a subtraction or ``expm1``), the roundings of either are
    counted, so that one bound serves all.

    Args:
        oracle: the configuration and its conventions.
        variables: weights, by canonical names, as the implementation holds them.
        x: audio, [B, T].
        precision: of the implementation.
        subtracts: see :class:`parity.oracle.chain.RunningChain`.
    """

    def __init__(
        self,
        oracle: LeafOracle,
        variables: Mapping[str, Array],
        x: Array,
        precision: Precision,
        subtracts: bool = True,
    ) -> None:
        roundings = 1.0 if precision.u > precision.accumulate else 0.0
        audio = Running.given(exact(x)[:, np.newaxis], precision, roundings)
        self._chain = RunningChain(audio, {name: exact(value) for name, value in variables.items()}, subtracts)
        with np.errstate(all="ignore"):  # values without a bound (infinite errors) times 0 are NaN: no bound either
            for name, step in oracle.steps:
                step.bound(self._chain)
                self._chain.note(name)

    def stages(self) -> dict[str, Running]:
        """Every stage with its error, under the names and in the shapes of :meth:`LeafOracle.stages`."""
        return _stages(self._chain.notes, self._chain.x)

    def gradients(self, cotangent: Array) -> dict[str, Running]:
        """Every gradient with its error, under the names and in the shapes of :meth:`LeafOracle.gradients`."""
        with np.errstate(all="ignore"):
            d = self._chain.back(Running.given(exact(cotangent), self._chain.precision))
        return {"input": d[:, 0], **self._chain.gradients}

    def errors(self) -> Errors:
        """The largest error at every stage."""
        return {name: _promised(stage.error) for name, stage in self.stages().items()}

    def gradient_errors(self, cotangent: Array) -> Errors:
        """The largest error of every gradient."""
        return {name: _promised(gradient.error) for name, gradient in self.gradients(cotangent).items()}


def _stages(notes: Mapping[str, Numbers], output: Numbers) -> dict[str, Numbers]:
    """Pick the stages out of a chain's notes, in the order of the computation: ``conv`` as [B, C, 2, T]."""
    found = {name: notes[name] for name in STAGES if name in notes}
    if "conv" in found:
        conv = found["conv"]
        n_clips, n_parts, n = (conv.value if isinstance(conv, Running) else conv).shape
        found["conv"] = conv.reshape(n_clips, n_parts // 2, 2, n)
    return {**found, "output": output}


def _promised(error: Array) -> Array:
    return np.where(np.isnan(error), np.inf, error)
