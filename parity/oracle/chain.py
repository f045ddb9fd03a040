"""Run a chain of stages in two ways.

A :class:`Stage` has its value and its adjoint in one method, ``apply``, on a :class:`Chain`: exact, or with random
roundings. A :class:`BoundedStage` also has its running error in ``bound``, on a :class:`RunningChain`: value and
adjoint again, in another form, with the largest error of each.
"""

from __future__ import annotations

import functools
import operator
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from parity.oracle.arrays import Array, exact
from parity.oracle.running import Running

SURVIVES = 0.5  # the probability that a number below the smallest normal one survives


class Chain:
    """A computation under way: its value, the way back, and the gradients found on it.

    Args:
        x: the input, [B, C, T] or of any shape that the stages take.
        variables: by the original's names.
        rng: where given, every stage's input, every variable as it is used and every cotangent are moved by
            ``ulp``, up or down at random.
        ulp: relative size of a rounding.

    Attributes:
        x: the value so far.
        notes: values that a stage computes on the way, by the name of the stage.
        gradients: by variable, once :meth:`back` has run.
        cotangents: of the notes, once :meth:`back` has run.
    """

    def __init__(
        self, x: Array, variables: Mapping[str, Array], rng: np.random.Generator | None = None, ulp: float = 0.0
    ) -> None:
        self.x = exact(x)
        self.variables = variables
        self.notes: dict[str, Array] = {}
        self.gradients: dict[str, Array] = {}
        self.cotangents: dict[str, Array] = {}
        self._rng, self._ulp = rng, ulp
        self._tiny = 2.0**-126 if ulp > 2.0**-40 else 2.0**-1022
        self._backs: list[Callable[[Array], Array]] = []

    @property
    def rounds(self) -> bool:
        """Tell whether the chain rounds at random."""
        return self._rng is not None

    def noise(self, values: Array) -> Array:
        """Draw a rounding error for each value; 0 in an exact chain."""
        if self._rng is None:
            return np.zeros(np.shape(values))
        return np.asarray(self._ulp * values * self._rng.choice((-1.0, 1.0), np.shape(values)))

    def transform_noise(self, values: Array) -> Array:
        """Draw a Fourier transform's rounding error, as large for a quiet sample as for a loud one; 0 if exact."""
        if self._rng is None:
            return np.zeros(())
        size = np.sqrt(np.mean(np.abs(values) ** 2, axis=-1, keepdims=True))
        return np.asarray(self._ulp * size * self._rng.standard_normal(np.shape(values)))

    def product_rounded(self, values: Array, a: Array, b: Array) -> Array:
        """Round the values of a product of two transforms, all by as much as the largest that it could give."""
        if self._rng is None:
            return values
        size = np.linalg.norm(a) * np.linalg.norm(b) / np.sqrt(a.shape[-1])
        return np.asarray(values + self._ulp * size * self._rng.standard_normal(values.shape))

    def sum_rounded(self, values: Array, squares: Array, n: int) -> Array:
        """Round sums of ``n`` products as any order of summation may.

        A node of the tree that an order stands for is rounded once, which moves the sum by u/sqrt(3) of the node in the
        root mean square. Over random places of the terms a node of k of them has a mean square of at most
        ``(k / n)^2 S^2 + (k / n) Q``, S their sum and Q that of their squares. That grows with k, so of all trees the
        one with the most nodes of every size, a term after the other, has the largest sum over its nodes: it is
        ``n (S^2 / 3 + Q / 2)``.

        Args:
            values: S.
            squares: Q; rounded below 0 counts as 0.
            n: terms of a sum.
        """
        if self._rng is None:
            return values
        size = np.sqrt(n * (values**2 / 9 + np.maximum(squares, 0.0) / 6))
        return np.asarray(values + self._ulp * size * self._rng.standard_normal(np.shape(values)))

    def sum_error(self, terms: Array, axes: tuple[int, ...]) -> Array:
        """Draw the error of a sum whose terms are rounded, and whose order is any; 0 in an exact chain."""
        if self._rng is None:
            return np.zeros(())
        total, n = terms.sum(axis=axes), int(np.prod([terms.shape[a] for a in axes]))
        return np.asarray(
            self.noise(terms).sum(axis=axes) + self.sum_rounded(total, (terms**2).sum(axis=axes), n) - total
        )

    def rounded(self, values: Array | float, flushed: float = 1.0) -> Array:
        """Round each value once; one below ``flushed`` least normal numbers survives with a probability of a half."""
        values = exact(values)
        if self._rng is None:
            return values
        survives = (np.abs(values) >= flushed * self._tiny) | (self._rng.random(np.shape(values)) < SURVIVES)
        return np.asarray(np.where(survives, values + self.noise(values), 0.0))

    def variable(self, name: str) -> Array:
        """A variable, rounded once."""
        return self.rounded(self.variables[name])

    def set_gradient(self, name: str, gradient: Array) -> None:
        """Keep the gradient of a variable, in its shape."""
        self.gradients[name] = np.reshape(gradient, np.shape(self.variables[name]))

    def note(self, name: str) -> None:
        """Keep the value so far, and on the way back its cotangent."""
        self.notes[name] = self.x

        def back(d: Array) -> Array:
            self.cotangents[name] = d
            return d

        self._backs.append(back)

    def then(self, forward: Callable[[Array], Array], adjoint: Callable[[Array, Array], Array]) -> None:
        """Apply a stage: ``forward`` to the value, and ``adjoint`` to (value, cotangent) on the way back."""
        x = self.rounded(self.x)
        self.x = forward(x)
        self._backs.append(lambda d: adjoint(x, self.rounded(d)))

    def branch(self, variables: Mapping[str, Array]) -> Chain:
        """A chain that starts from the value so far, with variables of its own and the same roundings."""
        return Chain(self.x, variables, self._rng, self._ulp)

    def join(self, branches: Sequence[Chain], axes: Mapping[str, int]) -> None:
        """Put the branches' channels together; ``axes`` says along which axis each variable was divided."""
        self.x = np.concatenate([branch.x for branch in branches], axis=1)
        ends = np.cumsum([branch.x.shape[1] for branch in branches])[:-1]

        def back(d: Array) -> Array:
            found = [b.back(part) for b, part in zip(branches, np.split(d, ends, axis=1), strict=True)]
            for name, axis in axes.items():
                self.set_gradient(name, np.concatenate([b.gradients[name] for b in branches], axis=axis))
            if len(branches) == 1:
                self.cotangents.update(branches[0].cotangents)
            return functools.reduce(operator.add, found)

        self._backs.append(back)

    def back(self, cotangent: Array) -> Array:
        """The cotangent of the input; fills :attr:`gradients`."""
        d = exact(cotangent)
        for back in reversed(self._backs):
            d = back(d)
        return d


class RunningChain:
    """A computation under way in running-error arithmetic.

    Args:
        x: the input, [B, C, T].
        variables: by the original's names, as the implementation holds them.
        subtracts: count the digits that the original's PCEN loses by subtracting ``delta^r``. Without, a form that
            does not cancel is asked for.

    Attributes:
        x: the value so far, with its error.
        notes: values that a stage computes on the way, by the name of the stage.
        gradients: by variable, once :meth:`back` has run.
    """

    def __init__(self, x: Running, variables: Mapping[str, Array], subtracts: bool = True) -> None:
        self.x, self.variables, self.subtracts, self.precision = x, variables, subtracts, x.precision
        self.notes: dict[str, Running] = {}
        self.gradients: dict[str, Running] = {}
        self._backs: list[Callable[[Running], Running]] = []

    def given(self, value: object, roundings: float = 0.0) -> Running:
        """A number that the implementation holds exactly, or after a few roundings."""
        return Running.given(value, self.precision, roundings)

    def variable(self, name: str) -> Running:
        """A variable, exact."""
        return self.given(self.variables[name])

    def column(self, name: str) -> Running:
        """A variable of each channel, [C, 1]."""
        return self.variable(name)[:, np.newaxis]

    def set_gradient(self, name: str, gradient: Running) -> None:
        """Keep the gradient of a variable, in its shape."""
        self.gradients[name] = gradient.reshape(*np.shape(self.variables[name]))

    def note(self, name: str) -> None:
        """Keep the value so far."""
        self.notes[name] = self.x

    def then(self, x: Running, adjoint: Callable[[Running], Running]) -> None:
        """Replace the value by what a stage makes of it, and keep the stage's adjoint for :meth:`back`."""
        self.x = x
        self._backs.append(adjoint)

    def branch(self, variables: Mapping[str, Array]) -> RunningChain:
        """A chain that starts from the value so far, with variables of its own."""
        return RunningChain(self.x, variables, self.subtracts)

    def join(self, branches: Sequence[RunningChain], axes: Mapping[str, int]) -> None:
        """See :meth:`Chain.join`."""
        ends = np.cumsum([0, *(branch.x.value.shape[1] for branch in branches)])

        def back(d: Running) -> Running:
            found = [b.back(d[:, low:high]) for b, low, high in zip(branches, ends, ends[1:], strict=False)]
            for name, axis in axes.items():
                self.set_gradient(name, Running.concatenate([b.gradients[name] for b in branches], axis))
            return functools.reduce(operator.add, found)

        self.then(Running.concatenate([branch.x for branch in branches], 1), back)

    def back(self, cotangent: Running) -> Running:
        """The cotangent of the input; fills :attr:`gradients`."""
        for back in reversed(self._backs):
            cotangent = back(cotangent)
        return cotangent


class Stage(ABC):
    """A step of the computation."""

    @abstractmethod
    def apply(self, c: Chain) -> None:
        """Value and adjoint, exact or rounded at random."""


class BoundedStage(Stage):
    """A step of LEAF, of which the running error is known."""

    @abstractmethod
    def bound(self, c: RunningChain) -> None:
        """Value and adjoint in running-error arithmetic."""
