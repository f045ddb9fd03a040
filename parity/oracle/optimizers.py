"""Update rules of optimisers in float64, in the form in which Keras states them.

Every rule acts on each element by itself: from the parameter, its gradient and the rule's slots to their new values.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from parity.oracle.arrays import Array, clamp, exact
from parity.oracle.geometry import Box

PARAMETER = "parameter"
STEP = 1e-30  # of the complex step: its square vanishes beside any gradient that is not 0


@dataclass(frozen=True)
class Rule(ABC):
    """One optimiser.

    Attributes:
        learning_rate: a power of 2 wherever it shall be exact in every dtype.
        name: of the rule.
        slots: what it keeps for each parameter, by Keras' names; all start at 0.
    """

    learning_rate: float
    name: ClassVar[str] = ""
    slots: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def step(self, n: int, parameter: Array, gradient: Array, slots: Mapping[str, Array]) -> dict[str, Array]:
        """One step.

        Args:
            n: number of the step, from 1.
            parameter, gradient: of any one shape.
            slots: as they stand before the step, of that shape.

        Returns:
            ``parameter`` and every slot as they stand after it.
        """

    @abstractmethod
    def roundings(
        self, n: int, parameter: Array, gradient: Array, slots: Mapping[str, Array], dtype: str
    ) -> dict[str, Array]:
        """Bound the roundings of the rule's own operations in ``dtype``, for each result, given the gradient.

        Counted for Keras and for PyTorch, whichever rounds more often: one u for every constant, product, sum, root
        and quotient, carried to first order through what follows.
        """

    def propagated(
        self, n: int, parameter: Array, gradient: Array, slots: Mapping[str, Array], width: Array
    ) -> dict[str, Array]:
        """Bound each result's change where the gradient moves by up to ``width``: first order, slopes by complex step.

        The slope is the largest of those at the gradient and at either end, since Adam's changes fast where the
        gradient is small against what it divides by.
        """
        out = {key: np.zeros(np.shape(parameter)) for key in (PARAMETER, *self.slots)}
        for end in (-1, 0, 1):
            complex_step: Array = exact(exact(gradient) + end * width + 1j * STEP)
            for key, values in self.step(n, parameter, complex_step, slots).items():
                out[key] = np.maximum(out[key], np.abs(values.imag) / STEP * width)
        return out


@dataclass(frozen=True)
class Sgd(Rule):
    """``p - lr g``."""

    name: ClassVar[str] = "sgd"

    def step(self, n: int, parameter: Array, gradient: Array, slots: Mapping[str, Array]) -> dict[str, Array]:
        """See :meth:`Rule.step`."""
        return {PARAMETER: exact(parameter) - self.learning_rate * exact(gradient)}

    def roundings(
        self, n: int, parameter: Array, gradient: Array, slots: Mapping[str, Array], dtype: str
    ) -> dict[str, Array]:
        """See :meth:`Rule.roundings`: the rate, the product, the sum."""
        u = _unit(dtype)
        moved = self.step(n, parameter, gradient, slots)[PARAMETER]
        return {PARAMETER: u * (2 * np.abs(self.learning_rate * exact(gradient)) + np.abs(moved))}


@dataclass(frozen=True)
class Momentum(Rule):
    """``m <- k m - lr g``; ``p <- p + m``.

    PyTorch keeps ``b <- k b + g`` and takes ``p - lr b``: with a constant rate that is ``m = -lr b``.
    """

    momentum: float = 0.9
    name: ClassVar[str] = "momentum"
    slots: ClassVar[tuple[str, ...]] = ("momentum",)

    def step(self, n: int, parameter: Array, gradient: Array, slots: Mapping[str, Array]) -> dict[str, Array]:
        """See :meth:`Rule.step`."""
        m = self.momentum * exact(slots["momentum"]) - self.learning_rate * exact(gradient)
        return {PARAMETER: exact(parameter) + m, "momentum": m}

    def roundings(
        self, n: int, parameter: Array, gradient: Array, slots: Mapping[str, Array], dtype: str
    ) -> dict[str, Array]:
        """See :meth:`Rule.roundings`: 3 on ``k m`` (one for PyTorch's form), 2 on ``lr g``, the sum; 2 more on m."""
        u = _unit(dtype)
        moved = self.step(n, parameter, gradient, slots)
        decayed, new = np.abs(self.momentum * exact(slots["momentum"])), np.abs(moved["momentum"])
        of_m = u * (3 * decayed + 2 * np.abs(self.learning_rate * exact(gradient)) + new)
        return {PARAMETER: of_m + u * (2 * new + np.abs(moved[PARAMETER])), "momentum": of_m}


@dataclass(frozen=True)
class Adam(Rule):
    """``p - a m / (sqrt(v) + eps)`` with ``a = lr sqrt(1 - b2^n) / (1 - b1^n)``, as Keras has it.

    ``m`` (slot ``momentum``) and ``v`` (slot ``velocity``) are the running means of the gradient and of its square.
    PyTorch divides ``sqrt(v)`` by ``sqrt(1 - b2^n)`` *before* it adds its epsilon::

        lr / (1 - b1^n) m / (sqrt(v) / sqrt(1 - b2^n) + e)  =  a m / (sqrt(v) + e sqrt(1 - b2^n))

    so the two are one rule where PyTorch's epsilon is ``eps / sqrt(1 - b2^n)``, another at every step: 31.6 times
    Keras' at the first. Source: arXiv 1412.6980, section 2, whose closing remark is Keras' form.
    """

    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-7
    name: ClassVar[str] = "adam"
    slots: ClassVar[tuple[str, ...]] = ("momentum", "velocity")

    def coefficient(self, n: int) -> float:
        """The learning rate with both bias corrections, at step n."""
        return float(self.learning_rate * np.sqrt(1 - self.beta_2**n) / (1 - self.beta_1**n))

    def torch_epsilon(self, n: int) -> float:
        """PyTorch's epsilon at step n, from 1, for which its rule is this one."""
        return float(self.epsilon / np.sqrt(1 - self.beta_2**n))

    def step(self, n: int, parameter: Array, gradient: Array, slots: Mapping[str, Array]) -> dict[str, Array]:
        """See :meth:`Rule.step`."""
        g, m, v = exact(gradient), exact(slots["momentum"]), exact(slots["velocity"])
        m = self.beta_1 * m + (1 - self.beta_1) * g
        v = self.beta_2 * v + (1 - self.beta_2) * g**2
        moved = exact(parameter) - self.coefficient(n) * m / (np.sqrt(v) + self.epsilon)
        return {PARAMETER: moved, "momentum": m, "velocity": v}

    def coefficient_rounding(self, n: int, dtype: str) -> float:
        """Relative rounding of the coefficient where it is computed in ``dtype``, as Keras does.

        ``1 - b^n`` keeps the absolute error of ``b^n``: of b as it is stored, and one unit in the last place of the
        power. 0.999 as float32 has it makes every step 6.5e-6 smaller. PyTorch computes the coefficient in float64.
        """
        u = _unit(dtype)
        relative = []
        for beta in (self.beta_1, self.beta_2):
            stored = abs(float(np.asarray(beta, dtype=dtype)) - beta)
            power = n * beta ** (n - 1) * stored + 2 * u * beta**n
            relative.append(power / (1 - beta**n) + u)
        return relative[0] + relative[1] / 2 + 4 * u  # root, rate, product, quotient

    def roundings(
        self, n: int, parameter: Array, gradient: Array, slots: Mapping[str, Array], dtype: str
    ) -> dict[str, Array]:
        """See :meth:`Rule.roundings`: of m 3 on each term, of v 2 and 4, of the quotient 8; a sum ends each.

        The coefficient counts as one of the 8; where it is itself computed in ``dtype``, add
        :meth:`coefficient_rounding` times the update.
        """
        u = _unit(dtype)
        g, m, v = (np.abs(exact(a)) for a in (gradient, slots["momentum"], slots["velocity"]))
        moved = self.step(n, parameter, gradient, slots)
        new_m, new_v = np.abs(moved["momentum"]), moved["velocity"]
        of_m = u * (3 * (1 - self.beta_1) * (g + m) + new_m)
        of_v = u * (2 * self.beta_2 * v + 4 * (1 - self.beta_2) * g**2 + new_v)
        root = np.sqrt(new_v)
        divisor = root + self.epsilon
        update = self.coefficient(n) * new_m / divisor
        of_root = np.divide(of_v, 2 * root, out=np.zeros_like(of_v), where=root > 0)
        of_update = self.coefficient(n) * of_m / divisor + update * (of_root / divisor + 8 * u)
        return {PARAMETER: of_update + u * np.abs(moved[PARAMETER]), "momentum": of_m, "velocity": of_v}


def project(kernel: Array, box: Box) -> Array:
    """Gabor parameters [C, 2] put back into LEAF's box, as Keras does after every step.

    Source: ``GaborConstraint`` in ``leaf_audio/convolution.py``.
    """
    kernel = exact(kernel)
    mu, sigma = clamp(kernel[:, 0], 0.0, np.pi), clamp(kernel[:, 1], box.sigma_low, box.sigma_high)
    return np.stack([mu, sigma], axis=1)


def _unit(dtype: str) -> float:
    """Half the spacing at 1."""
    return float(np.finfo(dtype).eps) / 2
