"""Compares a survivor with the original on drawn cases, to the bit: outputs, gradients, refusals.

A family draws cases of one kind from a seed; what came of a case is a digest of every array's type, shape and bytes.
Families of ``leaf`` and ``efficientleaf`` are in :mod:`parity.mutation.mutants.drawn`, those of ``og_leaf`` and
``tf_leaf`` are the public names of :mod:`parity.cases`. Every run is in a forked process, with one thread.
"""

from __future__ import annotations

import hashlib
import importlib
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import numpy as np

from parity.mutation.mutants import forking
from parity.mutation.mutants.operators import Mutant

Family = Callable[[int], str]  # from a seed to the digest of its case
Digests = dict[tuple[str, int], str]  # of the original, by family and seed
N_CASES = 1000  # that reach the change
N_PILOT = 12  # of a family, to see whether it reaches the change
LONGEST_S = 600  # of wall time for a block of cases
MOST_MISSES = 4  # cases that do not, for each that does


class Compared(NamedTuple):
    """How many drawn cases ran the changed statement, and the first whose bits differ; empty where none does."""

    n_cases: int
    differs: str


def compare(mutant: Mutant, rung: str, originals: Digests, root: Path, n_cases: int = N_CASES) -> Compared:
    """Run cases on a mutant until one differs or ``n_cases`` of them have run the changed statement.

    Args:
        mutant: of a file of the rung.
        rung: whose families are drawn.
        originals: what is known already; what is missing is added.
        root: the repository.
        n_cases: enough of them.
    """

    def mutated(cases: Sequence[tuple[str, int]]) -> object:
        def work() -> list[tuple[str, bool]]:
            forking.install(mutant, root)
            of_rung = families(rung)
            return [_reaching(mutant, root, of_rung[name], seed) for name, seed in cases]

        return forking.forked(work, LONGEST_S)[0]

    def original(missing: Sequence[tuple[str, int]]) -> Digests:
        def work() -> Digests:
            of_rung = families(rung)
            return {(name, seed): of_rung[name](seed) for name, seed in missing}

        found, _ = forking.forked(work, LONGEST_S)
        assert isinstance(found, dict)
        return found

    names, _ = forking.forked(lambda: list(families(rung)), LONGEST_S)
    assert isinstance(names, list)
    pilot = [(name, seed) for name in names for seed in range(N_PILOT)]
    found = mutated(pilot)
    if not isinstance(found, list):
        return Compared(0, "drawn cases end the process")
    reaching = list(dict.fromkeys(name for (name, _), (_, hit) in zip(pilot, found, strict=True) if hit))
    reached, seed = 0, 0
    block = max(1, n_cases // (4 * max(len(reaching), 1)))
    while reaching and reached < n_cases and seed * len(reaching) < n_cases * MOST_MISSES:
        cases = [(name, seed + i) for name in reaching for i in range(block)]
        found = mutated(cases)
        if not isinstance(found, list):
            return Compared(reached, "drawn cases end the process")
        if missing := [case for case in cases if case not in originals]:
            originals.update(original(missing))
        for case, (digest, hit) in zip(cases, found, strict=True):
            if digest != originals[case]:
                return Compared(reached, f"{case[0]} {case[1]}")
            reached += hit
        seed += block
    return Compared(reached, "")


def _reaching(mutant: Mutant, root: Path, family: Family, seed: int) -> tuple[str, bool]:
    """A case's digest, and whether it ran the changed statement."""
    filename, (first, last) = str(root / mutant.path), mutant.lines
    hit = False

    def traced(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal hit
        if hit or frame.f_code.co_filename != filename:
            return None
        hit = first <= frame.f_lineno <= last
        return traced

    sys.settrace(traced)
    try:
        return family(seed), hit
    finally:
        sys.settrace(None)


def families(rung: str) -> dict[str, Family]:
    """The families of a rung by name."""
    if rung in ("og_leaf", "tf_leaf"):
        from parity.cases.public_names import PUBLIC

        return {public.name: _subject(rung, public.name) for public in PUBLIC if "forward" in public.properties}
    from parity.mutation.mutants import drawn

    return {family.__name__: _seeded(family) for family in drawn.FAMILIES[rung]}


def digest(arrays: Iterable[Any]) -> str:
    """Hash arrays or tensors in order; None counts."""
    found = hashlib.sha256()
    for a in arrays:
        dtype = str(getattr(a, "dtype", type(a).__name__))
        if hasattr(a, "detach"):
            a = a.detach().resolve_conj()
            a = a.float() if dtype in ("torch.bfloat16", "torch.float16") else a  # which NumPy lacks
        values = np.asarray(a)
        found.update(b"None" if a is None else f"{dtype} {values.shape} ".encode() + values.tobytes())
    return found.hexdigest()


def _seeded(family: Callable[[np.random.Generator], Iterator[Any]]) -> Family:
    def run(seed: int) -> str:
        import torch

        rng = np.random.default_rng([seed, *family.__name__.encode()])
        torch.manual_seed(seed)
        made: list[Any] = []
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                made.extend(family(rng))
            except Exception as refusal:
                return f"{digest(made)} {type(refusal).__name__}"
        return digest(made)

    return run


def _subject(rung: str, name: str) -> Family:
    """Subjects of a public name, drawn by the strategy of the drawn tests."""

    def run(seed: int) -> str:
        from hypothesis import HealthCheck, Phase, given, settings
        from hypothesis import seed as seeded

        from parity.adapters import subject_tensorflow
        from parity.adapters import subject_torch as torch
        from parity.cases import strategies

        made: list[str] = []
        if rung == "og_leaf":
            importlib.import_module("torch").manual_seed(seed)
        else:
            importlib.import_module("tensorflow").random.set_seed(seed)

        @seeded(seed)
        @settings(
            max_examples=1, database=None, deadline=None, phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @given(subject=strategies.subjects(name))
        def one(subject: Any) -> None:
            dtype = "float64" if seed % 4 == 0 and rung == "og_leaf" else "float32"
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                outcome = torch.run(subject, dtype) if rung == "og_leaf" else subject_tensorflow.run(subject, "tf_leaf")
            made.append(digest(outcome.arrays().values()) + f" {outcome.refused} {outcome.gradient_refused}")

        one()
        return made[-1]

    return run
