"""Compare a public name of the original with the oracle, by the scatter of the oracle's rounded runs. NumPy alone.

The oracle is run again with the inputs of every stage, every variable and every cotangent moved by one unit in the last
place, up or down at random: rounding errors of an implementation are made where these are, are as large but for a small
factor, and are carried on in the same way, through the same cancellations. What a candidate is off is one more such
draw, held to the largest of them by :class:`parity.criteria.Envelope`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from parity.adapters import subject_oracle
from parity.cases.public_names import public
from parity.cases.subjects import Subject
from parity.checks.grid import Context, largest_distances
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


@dataclass(frozen=True)
class Rounded:
    """The oracle's outcome of a subject, and its rounded runs.

    Attributes:
        subject: what is run.
        variables: values in place of the subject's own, by canonical name.
    """

    subject: Subject
    variables: Mapping[str, Array]

    @cached_property
    def truth(self) -> Outcome:
        """The oracle's outcome."""
        return subject_oracle.run(self.subject, self.variables)

    def spread(self, name: str, dtype: str) -> float:
        """The largest distance of a draw from the oracle, in the L2 norm of the array; NaN counts as nothing."""
        if dtype not in self._by_dtype:
            with np.errstate(all="ignore"):
                self._by_dtype[dtype] = largest_distances(self._draws(ULP[dtype]), self.truth.arrays())
        return self._by_dtype[dtype][name][norm]

    def judge(self, name: str, candidate: Array, other: Array | None = None) -> Iterator[Verdict]:
        """The status of an array against the oracle, then its distance from the oracle, or from another's array.

        Args:
            name: one of :meth:`Outcome.arrays`.
            candidate: the array, whose dtype says what a rounding is.
            other: what another implementation of the same dtype made: two draws, so held to twice as much.
        """
        true = self.truth.arrays()[name]
        if self.subject.name in subject_oracle.VALUES:
            yield from _constants(candidate, true if other is None else other)
            return
        state = status(candidate, true.astype(candidate.dtype) if other is None else other)
        yield state
        if state.passes:
            yield self._judged(name, candidate, true if other is None else other, 1 if other is None else 2)

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

    def _draws(self, ulp: float) -> Iterator[dict[str, Array]]:
        for seed in range(ENVELOPE.n_draws):
            yield subject_oracle.run(self.subject, self.variables, np.random.default_rng([7, seed]), ulp).arrays()

    @cached_property
    def _by_dtype(self) -> dict[str, dict[str, dict[Size, float]]]:
        return {}


def compare_subject(
    context: Context, candidate: Outcome, rounded: Rounded, reference: Outcome | None = None, relation: str = "rounding"
) -> Iterator[Measurement]:
    """Everything that one run of a public name is held to: its refusal, then every array.

    Args:
        context: of the measurements.
        candidate: what is judged.
        rounded: the oracle's runs of the same subject, with the same variables.
        reference: another implementation's outcome, in place of the oracle's; gives the arrays that are compared.
        relation: of the arrays.
    """
    name, beside = rounded.subject.name, reference or rounded.truth
    refusals = [candidate.refused is not None], [beside.refused is not None]
    yield context.measurement(name, "forward", SAME_REFUSAL(*refusals), "bitwise")
    ours, theirs = candidate.arrays(), reference.arrays() if reference else {}
    for array in theirs if reference else ours:
        for verdict in rounded.judge(array, ours[array], theirs.get(array)):
            yield context.measurement(name, _property_of(name, array), verdict, relation)


def _property_of(name: str, array: str) -> str:
    if "gradients/" not in array:
        return "forward"
    return "input gradient" if array.endswith("gradients/input") else claimed(public(name), "gradient")


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
