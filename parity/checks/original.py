"""The untouched original and rung 0 in one process, on the same subjects, held to the same bits.

``python -m parity.checks.original --examples 600`` draws that many configurations over all public names, prints
what came of each name, and fails where a bit differs. It needs ``leaf_audio`` on the path, and ``tf_keras`` of
TensorFlow's version, for the original runs on Keras 2 alone. Where lingvo, tensorflow-addons or gin-config are missing,
modules that compute nothing stand in for them; SpecAugment and ``mean_var_norm`` are left out. ``--record`` keeps the
table for the certificates of machines that have no original.
"""

from __future__ import annotations

import argparse
import enum
import hashlib
import importlib
import importlib.util
import inspect
import json
import os
import sys
import types
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from parity.cases.public_names import OBJECT, PUBLIC, REQUIRED, SIGNATURES, WINDOW_TYPES
from parity.cases.subjects import Subject
from parity.criteria.outcome import Compared, table

# More draws for what has more to draw.
WEIGHT = {"Leaf": 8, "TimeDomainFilterbanks": 3, "SincNet": 3, "SincNetPlus": 3, "GaborConv1D": 2, "SincConv1D": 2}
RECORD = "bitwise"
COLUMNS = ("name", "drawn", "refused", "arrays", "values", "differing", "divided", "worst")
LEFT_OUT = ("WindowType", "SpecAugment")


def missing() -> str | None:
    """Say why the original cannot be imported here and what to do about it; ``None`` if it can."""
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
    modules: dict[str, Any] = {name: types.ModuleType(name) for top in absent for name in _STAND_INS[top]}
    sys.modules.update(modules)
    if "lingvo" in absent:  # only SpecAugment's constructor asks for what is in it; of tensorflow-addons, mean_var_norm
        modules["lingvo.core"].spectrum_augmenter = modules["lingvo.core.spectrum_augmenter"]
    if "gin" in absent:  # decorators that give back what they are given
        gin = modules["gin"]
        gin.configurable = gin.constants_from_enum = lambda decorated: decorated
        gin.external_configurable = lambda *arguments, **named: None
    return absent


_STAND_INS = {
    "lingvo": ("lingvo", "lingvo.core", "lingvo.core.spectrum_augmenter"),
    "tensorflow_addons": ("tensorflow_addons",),
    "gin": ("gin",),
}


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

    from parity.adapters import subject_tensorflow
    from parity.cases.fixed import FIXED
    from parity.cases.strategies import subjects

    compared, seen = Compared(name), set[Subject]()

    def look(subject: Subject) -> None:
        if subject not in seen:
            seen.add(subject)
            compared.add(
                subject, subject_tensorflow.run(subject, "tf_leaf"), subject_tensorflow.run(subject, "leaf_audio")
            )

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


def files() -> dict[str, str]:
    """SHA-256 of each module of the original that was imported, by file."""
    loaded = [m for name, m in sys.modules.items() if name.partition(".")[0] == "leaf_audio"]
    paths = [Path(path) for m in loaded if (path := getattr(m, "__file__", None))]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(paths)}


def record(compared: Sequence[Compared], stand_ins: Sequence[str]) -> None:
    """Keep the table, for the certificates of machines that have no original."""
    from parity.report.recorded import keep

    root = Path(__file__).resolve().parents[2]
    ours = [path.relative_to(root).as_posix() for path in sorted((root / "tf_leaf").glob("*.py"))]
    together = hashlib.sha256("".join(files().values()).encode()).hexdigest()
    keep(
        RECORD,
        [{column: getattr(c, column) for column in COLUMNS} for c in compared],
        title="Rung 0 and the untouched original in one process, to the bit",
        note="Outputs, gradients, penalties and variables of drawn configurations, eagerly, on one thread. The "
        f"original ran on Keras 2 (SHA-256 of its modules' SHA-256s: {together[:12]}); empty stand-ins for what this "
        f"machine lacks: {', '.join(stand_ins) or 'none'}. SpecAugment and mean_var_norm are left out.",
        command="python -m parity.checks.original --record",
        sources=[*ours, "parity/criteria/outcome.py", "parity/adapters/subject_tensorflow.py"],
        root=root,
    )


def unlisted() -> list[str]:
    """List where ``PUBLIC`` and ``SIGNATURES`` depart from the original's modules."""
    wrong = []
    for module in sorted({entry.module for entry in PUBLIC}):
        held = vars(importlib.import_module(f"leaf_audio.{module}"))
        own = {
            name for name, value in held.items()
            if not name.startswith("_") and callable(value) and value.__module__ == f"leaf_audio.{module}"
        }  # fmt: skip
        listed = {entry.name for entry in PUBLIC if entry.module == module}
        wrong += [f"{module}.{name}: only in one" for name in sorted(own ^ listed)]
        wrong += [f"{module}.{name}: {difference}" for name in sorted(own & listed)
                  if (difference := _unlike(held[name], SIGNATURES[name]))]  # fmt: skip
    return wrong


def _unlike(value: Any, listed: dict[str, Any] | str) -> str:
    """Describe how a callable's arguments differ from those listed; empty if they do not."""
    if isinstance(listed, str):
        (keras,) = (base for base in value.__mro__[1:] if base.__name__ == "Conv1D")
        return "" if inspect.signature(value) == inspect.signature(keras) else "takes others than Keras' layer"
    if isinstance(value, type) and issubclass(value, enum.Enum):
        members = {member.name: member.value for member in value}
        return "" if members == WINDOW_TYPES else f"members {members}"
    named = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    found = {}
    for name, parameter in inspect.signature(value).parameters.items():
        if parameter.kind not in named:
            default = parameter.default
            plain = default is None or isinstance(default, (bool, int, float, str))
            found[name] = REQUIRED if default is parameter.empty else default if plain else OBJECT
    return "" if list(found.items()) == list(listed.items()) else f"takes {found}"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--examples", type=int, default=600, help="configurations to draw, over all names together")
    parser.add_argument("--name", action="append", help="public names, else all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print the table as JSON")
    parser.add_argument("--record", action="store_true", help="keep a table of all names, if all are equal")
    given = parser.parse_args(arguments)
    reason = missing()
    if reason:
        print(reason, file=sys.stderr)
        return 2
    stand_ins = prepare()
    known = [entry.name for entry in PUBLIC if entry.name not in LEFT_OUT]
    wrong = unlisted()
    compared = compare(given.examples, given.name or known, given.seed)
    equal = all(c.equal for c in compared) and not wrong
    if given.record and equal and not given.name:  # a table of less would be taken for one of everything
        record(compared, stand_ins)
    if given.json:
        rows = [asdict(c) for c in compared]
        print(json.dumps({"stand_ins": stand_ins, "files": files(), "unlisted": wrong, "compared": rows}))
    else:
        print(f"empty stand-ins: {', '.join(stand_ins) or 'none'}\n{table(compared)}", *wrong, sep="\n")
    return 0 if equal else 1


if __name__ == "__main__":
    sys.exit(main())
