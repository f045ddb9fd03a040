"""Outcomes of running public names, and the numbers in which two of them differ by any bit. NumPy alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from parity.cases.subjects import Subject

Array = NDArray[Any]


@dataclass(frozen=True)
class Outcome:
    """Arrays of a subject that was run, or its refusal.

    Attributes:
        output: the output in the original's layout (time before channels); complex ones as real and imaginary part in
            a last axis of 2. ``None`` where it was refused.
        variables: by canonical name, in the original's shapes, as they were: those of a layer, and the arguments
            of a function beside its input.
        gradients: of ``sum(cotangent * output)``, by ``"input"`` and the names of the trainable variables; where the
            output does not depend on one, zeros. Complex outputs as above, so gradients are real.
        losses: the sum of the regularisation losses; of ``fft_conv1d`` the L1 norm that it returns beside the output.
            ``None`` where there are none.
        loss_gradients: gradients of that sum, by the same names; what it does not depend on is left out.
        refused: name of the exception's class where the implementation refused the subject, else ``None``.
        gradient_refused: the same where it has an output, and only its gradient was refused; there are no gradients and
            losses then. TensorFlow's own refusals: of a transform that cuts its filters, of an output without frames.
    """

    output: Array | None = None
    variables: Mapping[str, Array] = field(default_factory=dict)
    gradients: Mapping[str, Array] = field(default_factory=dict)
    losses: Array | None = None
    loss_gradients: Mapping[str, Array] = field(default_factory=dict)
    refused: str | None = None
    gradient_refused: str | None = None

    def arrays(self) -> dict[str, Array]:
        """Everything by one set of names: ``output``, ``gradients/kernel``, ``losses``, ``loss_gradients/kernel``."""
        out: dict[str, Array] = {} if self.output is None else {"output": self.output}
        out.update({f"gradients/{name}": value for name, value in self.gradients.items()})
        if self.losses is not None:
            out["losses"] = self.losses
        out.update({f"loss_gradients/{name}": value for name, value in self.loss_gradients.items()})
        return out


def real_parts(values: Array) -> Array:
    """Complex values as real and imaginary parts in a last axis of 2; real values as they are."""
    if values.dtype.kind != "c":
        return values
    return np.stack([values.real, values.imag], axis=-1)


@dataclass
class Compared:
    """Counts over the subjects of one name.

    Attributes:
        name: the public name.
        drawn: different subjects.
        refused: those that both refused.
        half: those of which both refused the gradient alone.
        arrays: arrays compared.
        values: numbers in them.
        differing: numbers that are not the same bits (NaN is NaN).
        worst: the largest ``max|a - b| / max|b|`` of an array.
        where: the first array of each subject that differs, and the subject.
        divided: subjects that one refused and the other did not.
    """

    name: str
    drawn: int = 0
    refused: int = 0
    half: int = 0
    arrays: int = 0
    values: int = 0
    differing: int = 0
    worst: float = 0.0
    where: list[str] = field(default_factory=list)
    divided: int = 0

    def add(self, subject: Subject, ours: Outcome, original: Outcome) -> None:
        """Count one subject's outcomes."""
        self.drawn += 1
        if ours.refused or original.refused:
            both = bool(ours.refused and original.refused)
            self.refused += both
            self.divided += not both
            if not both:
                self.note(f"refused: {ours.refused} and {original.refused} of the original", subject)
            return
        if bool(ours.gradient_refused) != bool(original.gradient_refused):
            self.divided += 1
            who = f"{ours.gradient_refused} and {original.gradient_refused} of the original"
            self.note(f"gradient refused: {who}", subject)
        self.half += bool(ours.gradient_refused)
        left, right = _everything(ours, subject), _everything(original, subject)
        for key in sorted({*left, *right}):
            self.arrays += 1
            if key not in left or key not in right or left[key].shape != right[key].shape:
                self.divided += 1
                self.note(f"{key}: only one has it, or of that shape", subject)
                continue
            n, size = differing(left[key], right[key])
            self.values += left[key].size
            self.differing += n
            if n:
                self.worst = max(self.worst, size)
                self.note(f"{key}: {n} numbers, {size:.1e}", subject)

    def note(self, what: str, subject: Subject) -> None:
        """Keep where something differs, once for each subject."""
        if not any(str(subject) in line for line in self.where):
            self.where.append(f"{what}; {subject}")

    @property
    def equal(self) -> bool:
        """Tell whether the two agreed to the bit on every subject."""
        return not self.differing and not self.divided


def _everything(outcome: Outcome, subject: Subject) -> dict[str, Array]:
    """All arrays, without penalties of what is not trained: Keras 3 leaves them out, a declared divergence."""
    found = {**outcome.arrays(), **{f"variables/{name}": value for name, value in outcome.variables.items()}}
    frozen = subject.arguments.get("trainable") is False
    return {name: value for name, value in found.items() if not (frozen and name.startswith("loss"))}


def differing(a: Array, b: Array) -> tuple[int, float]:
    """Count the numbers that are not the same bits; ``max|a - b| / max|b|`` over those that both have finite."""
    if a.dtype != b.dtype:
        return a.size, float("inf")
    same = a.view(f"u{a.dtype.itemsize}") == b.view(f"u{b.dtype.itemsize}")
    if a.dtype.kind == "f":
        same |= np.isnan(a) & np.isnan(b)
    n = int(np.sum(~same))
    if not n:
        return 0, 0.0
    x, y = np.asarray(a, np.float64), np.asarray(b, np.float64)
    finite = np.isfinite(x) & np.isfinite(y)
    if not finite.any():
        return n, float("inf")
    largest = float(np.abs(y[finite]).max())
    return n, float(np.abs(x - y)[finite].max()) / (largest or 1.0)


def table(compared: Sequence[Compared]) -> str:
    """A line a name."""
    lines = [
        f"{'name':30} {'drawn':>6} {'refused':>8} {'half':>5} {'arrays':>7} {'numbers':>9} {'differ':>7} {'worst':>8}"
    ]
    for c in compared:
        lines.append(
            f"{c.name:30} {c.drawn:6} {c.refused:8} {c.half:5} {c.arrays:7} {c.values:9} {c.differing:7} {c.worst:8.1e}"
            + (f"  {c.divided} divided" if c.divided else "")
            + "".join(f"\n    {line}" for line in c.where[:5])
        )
    equal = sum(c.equal for c in compared)
    lines.append(f"{sum(c.drawn for c in compared)} configurations, {equal} of {len(compared)} names to the bit")
    return "\n".join(lines)
