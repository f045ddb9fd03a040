"""Compute what a port is held against: the claimed rung's stages and gradients, and the oracle's."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np

from parity.adapters import canonical
from parity.adapters.canonical import checked
from parity.cases.case import Case
from parity.checks.grid import Arrays, Expected
from parity.oracle import ORIGINAL, SIMPLIFIED, Box, Geometry, plan_groups
from parity.oracle.arrays import exact
from parity.oracle.config import LeafConfig
from parity.oracle.geometry import clamped
from parity.ports.port import Port, reference

GROUPS = {"conv_win_factor": 4.77, "stride_factor": 1.0}  # efficientleaf's own, where a port says nothing


@dataclass(frozen=True)
class Held:
    """The reference of a port on a case.

    Attributes:
        case: the case.
        expected: with the stages that the port shows.
        stages: every stage of the reference, float32.
    """

    case: Case
    expected: Expected
    stages: Arrays


@dataclass(frozen=True)
class Limits:
    """The reference of the gradients on the limits.

    Attributes:
        on: the case with weights on their limits.
        inside: the same a little inside, or without the limit, where the bounds are taken: on a limit they allow the
            gradient of either side.
        moved: the weights a little inside.
    """

    on: Held
    inside: Expected
    moved: Mapping[str, np.ndarray]


class Against:
    """The claimed rung, and the oracle of its configuration.

    Args:
        port: the port.
    """

    def __init__(self, port: Port) -> None:
        self.port, self.reference = port, reference(port)
        self.conventions = SIMPLIFIED if port.claims == "efficientleaf" else ORIGINAL

    def expected(
        self, case: Case, shown: Collection[str], trained: Collection[str], variables: Mapping[str, np.ndarray] | None
    ) -> Held:
        """Compute what the port is held against.

        Args:
            case: the case.
            shown: stages of the port.
            trained: gradients that it has.
            variables: weights, if not the case's own.
        """
        weights = self._weights(case, variables)
        standing, x = self.reference.build(case.config, **self.port.groups), case.input()
        self.reference.write(standing, weights)
        stages = self.reference.stages(standing, x)
        cotangent = case.cotangent(stages["output"].shape)
        gradients = self.reference.gradients(standing, x, cotangent) if trained else {}
        expected = Expected(
            config=case.config,
            variables=weights,
            x=x,
            cotangent=cotangent,
            reference={name: values for name, values in {**stages, **gradients}.items() if name in {*shown, *trained}},
            conventions=self.conventions,
            geometry=self.geometry(case.config, weights),
        )
        return Held(case, expected, stages)

    def _weights(self, case: Case, variables: Mapping[str, np.ndarray] | None) -> dict[str, np.ndarray]:
        weights = checked(case.variables() if variables is None else variables, case.config)
        missing = [name for name, key in self.port.parameters.items() if key is None and name in weights]
        fresh = replace(case, weights="default").variables()
        return {**weights, **{name: fresh[name] for name in missing}}

    def geometry(self, config: LeafConfig, weights: Mapping[str, np.ndarray]) -> Geometry | None:
        """Plan the groups of ``efficientleaf`` for these weights; None for LEAF's own geometry."""
        if self.port.claims != "efficientleaf":
            return None
        box = Box.of_efficientleaf(config.window)
        mu, sigma, _ = clamped(exact(weights[canonical.KERNEL]), exact(weights[canonical.POOLING]).reshape(-1), box)
        given = {"num_groups": min(4, config.n_filters), **GROUPS, **self.port.groups}
        groups = plan_groups(mu, sigma, given["num_groups"], config.window, config.stride,
                             given["conv_win_factor"], given["stride_factor"])  # fmt: skip
        return Geometry(config.window, config.stride, "centered", box, groups)
