"""The untouched original and rung 0 in one process, on the same subjects, held to the same bits.

``python -m parity.inventory.original --examples 600`` draws that many configurations over all public names, prints
what came of each name, and fails where a bit differs. It needs ``leaf_audio`` on the path, and ``tf_keras`` of
TensorFlow's version, for the original runs on Keras 2 alone. Where lingvo, tensorflow-addons or gin-config are missing,
modules that compute nothing stand in for them; SpecAugment and ``mean_var_norm`` are left out.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import os
import sys
import types
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from parity.inventory.names import PUBLIC
from parity.inventory.outcome import Array, Outcome
from parity.inventory.subjects import Subject

# More draws for what has more to draw.
WEIGHT = {"Leaf": 8, "TimeDomainFilterbanks": 3, "SincNet": 3, "SincNetPlus": 3, "GaborConv1D": 2, "SincConv1D": 2}
LEFT_OUT = ("WindowType", "SpecAugment")


def missing() -> str | None:
    """Why the original cannot be imported here and what to do about it, or ``None`` if it can."""
    if importlib.util.find_spec("leaf_audio") is None:
        return "leaf_audio is not on the path: clone google-research/leaf-audio and put it in PYTHONPATH"
    if importlib.util.find_spec("tf_keras") is None:
        return "Keras 2 is not installed: install tf_keras of TensorFlow's own version"
    return None


def prepare() -> list[str]:
    """Make ``leaf_audio`` importable; before TensorFlow is imported.

    Returns:
        Names of the modules that something empty stands in for.

    Raises:
        RuntimeError: TensorFlow has been imported already, with Keras 3 for its ``tf.keras``.
    """
    if "tensorflow" in sys.modules and os.environ.get("TF_USE_LEGACY_KERAS") != "1":
        raise RuntimeError("TensorFlow is imported already: set TF_USE_LEGACY_KERAS=1 before it is")
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
    os.environ["KERAS_BACKEND"] = "tensorflow"
    tf = importlib.import_module("tensorflow")
    # one thread: how a reduction is split over threads would show in the last bits
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.get_logger().setLevel("ERROR")  # each gradient of a Gabor filter warns of a complex cast
    absent = [name for name in ("lingvo", "tensorflow_addons", "gin") if importlib.util.find_spec(name) is None]
    for name in absent:
        _STAND_INS[name]()
    return absent


def _lingvo() -> None:
    """Nothing: only SpecAugment's constructor asks for what is in it."""
    for name in ("lingvo", "lingvo.core", "lingvo.core.spectrum_augmenter"):
        sys.modules[name] = types.ModuleType(name)
    core: Any = sys.modules["lingvo.core"]
    core.spectrum_augmenter = sys.modules["lingvo.core.spectrum_augmenter"]


def _tensorflow_addons() -> None:
    """Nothing: only ``mean_var_norm`` asks for what is in it."""
    sys.modules["tensorflow_addons"] = types.ModuleType("tensorflow_addons")


def _gin() -> None:
    """Decorators that give back what they are given."""
    gin: Any = types.ModuleType("gin")
    gin.configurable = gin.constants_from_enum = lambda decorated: decorated
    gin.external_configurable = lambda *arguments, **named: None
    sys.modules["gin"] = gin


_STAND_INS = {"lingvo": _lingvo, "tensorflow_addons": _tensorflow_addons, "gin": _gin}


@dataclass
class Compared:
    """What came of the subjects of one name.

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
        """Whether every bit was."""
        return not self.differing and not self.divided


def _everything(outcome: Outcome, subject: Subject) -> dict[str, Array]:
    """All arrays, without penalties of what is not trained: Keras 3 leaves them out, a declared divergence."""
    found = {**outcome.arrays(), **{f"variables/{name}": value for name, value in outcome.variables.items()}}
    frozen = subject.arguments.get("trainable") is False
    return {name: value for name, value in found.items() if not (frozen and name.startswith("loss"))}


def differing(a: Array, b: Array) -> tuple[int, float]:
    """How many numbers are not the same bits, and ``max|a - b| / max|b|`` over those that both have finite."""
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


def compare(examples: int, names: Sequence[str], seed: int = 0) -> list[Compared]:
    """Draw subjects and run each on both.

    Args:
        examples: how many, over all names together; every name has its fixed subjects besides.
        names: which public names.
        seed: of the draws.
    """
    total = sum(WEIGHT.get(name, 1) for name in names)
    return [_compare(name, -(-examples * WEIGHT.get(name, 1) // total), seed) for name in names]


def _compare(name: str, examples: int, seed: int) -> Compared:
    import hypothesis

    from parity.inventory import tensorflow
    from parity.inventory.drawing import FIXED, subjects

    compared, seen = Compared(name), set[Subject]()

    def look(subject: Subject) -> None:
        if subject not in seen:
            seen.add(subject)
            compared.add(subject, tensorflow.run(subject, "tf_leaf"), tensorflow.run(subject, "leaf_audio"))

    for subject in FIXED[name]:
        if not subject.arguments.get("mean_var_norm"):
            look(subject)
    settings = hypothesis.settings(
        max_examples=examples,
        deadline=None,
        database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
        phases=[hypothesis.Phase.generate],
    )
    settings(hypothesis.seed(seed)(hypothesis.given(subjects(name, mean_var_norm=False))(look)))()
    return compared


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


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--examples", type=int, default=600, help="configurations to draw, over all names together")
    parser.add_argument("--name", action="append", help="public names, else all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print the table as JSON")
    given = parser.parse_args(arguments)
    reason = missing()
    if reason:
        print(reason, file=sys.stderr)
        return 2
    stand_ins = prepare()
    known = [entry.name for entry in PUBLIC if entry.name not in LEFT_OUT]
    compared = compare(given.examples, given.name or known, given.seed)
    if given.json:
        print(json.dumps({"stand_ins": stand_ins, "compared": [asdict(c) for c in compared]}))
    else:
        print(f"empty stand-ins: {', '.join(stand_ins) or 'none'}\n{table(compared)}")
    return 0 if all(c.equal for c in compared) else 1


if __name__ == "__main__":
    sys.exit(main())
