"""Expect of a public name of the original what the oracle computes, within the scatter of its rounded runs.

The oracle is run again with the inputs of every stage, every variable and every cotangent moved by one unit in the last
place, up or down at random: rounding errors of an implementation are made where these are, are as large but for a small
factor, and are carried on in the same way, through the same cancellations. What a candidate is off is one more such
draw, held to the largest of them by :class:`parity.criteria.Envelope`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

import numpy as np

from parity.adapters import subject_oracle
from parity.cases.public_names import public
from parity.cases.subjects import Subject
from parity.checks.grid import Context, ExpectedArrays, largest_distances
from parity.criteria import Envelope, Exactly, OfMax, Size, Verdict, norm, status
from parity.criteria.outcome import Array, Outcome
from parity.report.cells import claimed
from parity.report.claims import Measurement

N_QUANTITIES = 5000  # arrays that are judged in one suite: the fixed subjects' and the drawn ones'
ENVELOPE = Envelope(8, N_QUANTITIES)
ULP = {"float32": 2.0**-23, "float64": 2.0**-52}
# Of constants, which no stage makes: differences of mels up to 2840 over triangles of 60 mel and more, and phases up to
# 630 rad, each a hundred roundings' worth.
CONSTANTS = {
    "float32": OfMax(2e-5, "150 units in the last place: differences of mels, and phases of hundreds of rad"),
    "float64": OfMax(4e-14, "150 units in the last place: differences of mels, and phases of hundreds of rad"),
}
WHOLE = Exactly("whole numbers")
SAME_REFUSAL = Exactly("both compute it, or both refuse it")


@dataclass
class ExpectedOfName(ExpectedArrays):
    """Hold what a public name is compared with.

    Attributes:
        subject: what is run.
        variables: values in place of the subject's own, by canonical name.
        beside: another implementation's outcome, which the candidate's is held against in place of the oracle's.
        direct: the direct limits hold between the two: of what is recorded, rather than of whatever is drawn.
    """

    envelope: ClassVar[Envelope] = Envelope(8, 2 * 600)  # some 600 recorded arrays on either rung
    seeds: ClassVar[tuple[int, ...]] = ()

    subject: Subject
    variables: Mapping[str, Array] = field(default_factory=dict)
    beside: Outcome | None = None
    direct: bool = False

    @cached_property
    def reference(self) -> dict[str, Array]:  # type: ignore[override]
        """The arrays of the other implementation."""
        return {} if self.beside is None else self.beside.arrays()

    @cached_property
    def truth(self) -> Outcome:
        """The oracle's outcome."""
        return subject_oracle.run(self.subject, self.variables)

    @cached_property
    def values(self) -> dict[str, Array]:
        """The oracle's arrays."""
        return self.truth.arrays()

    @property
    def with_norm(self) -> bool:
        own = self.subject.arguments
        layer_norm = self.subject.name == "SincNet" or own.get("compression") == "layer_norm"
        return bool(layer_norm or own.get("mean_var_norm"))

    def claimed(self, name: str) -> tuple[str, str]:
        entry = public(self.subject.name)
        if "gradients/" not in name:
            return entry.name, "forward"
        return entry.name, "input gradient" if name.endswith("gradients/input") else claimed(entry, "gradient")

    def rounded(self, rng: np.random.Generator, u: float) -> dict[str, Array]:
        with np.errstate(all="ignore"):
            return subject_oracle.run(self.subject, self.variables, rng, u).arrays()

    def refusal(self, context: Context, candidate: Outcome) -> Measurement:
        """Both compute it, or both refuse it."""
        refused = [[outcome.refused is not None] for outcome in (candidate, self.beside or self.truth)]
        return context.measurement(self.subject.name, "forward", SAME_REFUSAL(*refused), "bitwise")

    def alone(self, context: Context, name: str, candidate: Array) -> Iterator[Measurement]:
        """By the scatter of rounded runs: no running error of every public name is known."""
        relation = "algebraic" if context.dtype == "float64" else "rounding"
        for verdict in self.judge(name, candidate):
            yield context.measurement(*self.claimed(name), verdict, relation)

    def judge(self, name: str, candidate: Array) -> Iterator[Verdict]:
        """The status of an array, then its distance from the oracle's or from the other implementation's.

        That is of the same dtype and one more draw, so two draws are held to twice as much.
        """
        other = self.reference.get(name)
        expected = self.values[name] if other is None else other
        if self.subject.name in subject_oracle.VALUES:
            yield from _constants(candidate, expected)
            return
        state = status(candidate, expected.astype(candidate.dtype) if other is None else other)
        yield state
        if state.passes:
            yield self._judged(name, candidate, expected, 1 if other is None else 2)

    def _judged(self, name: str, candidate: Array, expected: Array, n: int) -> Verdict:
        dtype = str(candidate.dtype)
        off = np.array([norm(np.nan_to_num(candidate.astype(np.float64) - expected))])
        # a value that is stored is rounded once, whatever it is
        least = ULP[dtype] / 2 * norm(np.nan_to_num(expected))
        if dtype == "float64":
            # roundings are in proportion, but where a sign or a maximum hangs on them: then in earnest
            scaled = ULP["float64"] / ULP["float32"] * self.spread(name, "float32")
            verdict = ENVELOPE(off, np.array([n * scaled]), least)
            if verdict.passes:
                return verdict
        return ENVELOPE(off, np.array([n * self.spread(name, dtype)]), least)

    def spread(self, name: str, dtype: str) -> float:
        """The largest distance of a draw from the oracle, in the L2 norm of the array; NaN counts as nothing."""
        if dtype not in self._by_dtype:
            generators = (np.random.default_rng([7, seed]) for seed in range(ENVELOPE.n_draws))
            draws = (self.rounded(rng, ULP[dtype]) for rng in generators)
            self._by_dtype[dtype] = largest_distances(draws, self.values)
        return self._by_dtype[dtype][name][norm]

    @cached_property
    def _by_dtype(self) -> dict[str, dict[str, dict[Size, float]]]:
        return {}


def _constants(candidate: Array, true: Array) -> Iterator[Verdict]:
    """Judge the values of an initialiser, or of a function that NumPy computes."""
    if candidate.dtype.kind == "i":
        yield WHOLE(candidate, true)
        return
    state = status(candidate, true.astype(candidate.dtype))
    yield state
    if state.passes:
        criterion = CONSTANTS[str(candidate.dtype)]
        # next to nothing, of which no digit can be right, is judged against 1
        if norm(np.nan_to_num(true)) <= ULP["float64"]:
            candidate, true = np.append(candidate, 1.0), np.append(true, 1.0)
        yield criterion(candidate, true)
