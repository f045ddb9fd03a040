"""Compares a mutant with the original on drawn cases; every run is in a forked process, with one thread."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

from parity.mutation.mutants import forking, probe
from parity.mutation.mutants.operators import Mutant

N_CASES = 1000  # that reach the change
N_PILOT = 12  # of a family, to see whether it reaches the change
LONGEST_S = 600  # of wall time for a block of cases
MOST_MISSES = 4  # cases that do not, for each that does


class Compared(NamedTuple):
    """How many drawn cases ran the changed statement, and the first whose bits differ; empty where none does."""

    n_cases: int
    differs: str


class Originals:
    """Digests of the original by family and seed, kept while mutants of the rung are compared."""

    def __init__(self, rung: str) -> None:
        self.rung = rung
        self._digests: dict[tuple[str, int], str] = {}

    def get(self, cases: Sequence[tuple[str, int]]) -> list[str]:
        """The digests of cases."""
        if missing := [case for case in cases if case not in self._digests]:
            rung = self.rung

            def work() -> list[str]:
                families = probe.families(rung)
                return [families[name](seed) for name, seed in missing]

            found, _ = forking.forked(work, LONGEST_S)
            assert isinstance(found, list)
            self._digests.update(zip(missing, found, strict=True))
        return [self._digests[case] for case in cases]


def compare(mutant: Mutant, originals: Originals, root: Path, n_cases: int = N_CASES) -> Compared:
    """Run cases on a mutant until one differs or ``n_cases`` of them have run the changed statement."""
    rung = originals.rung

    def pilot() -> list[tuple[str, float]]:
        forking.install(mutant, root)
        return [
            (name, sum(_reaching(mutant, root, family, seed)[1] for seed in range(N_PILOT)) / N_PILOT)
            for name, family in probe.families(rung).items()
        ]

    shares, _ = forking.forked(pilot, LONGEST_S)
    if not isinstance(shares, list):
        return Compared(0, "drawn cases end the process")
    reaching = [name for name, share in shares if share > 0]
    if not reaching:
        return Compared(0, "")
    reached, seed = 0, 0
    block = max(1, n_cases // (4 * len(reaching)))
    while reached < n_cases and seed * len(reaching) < n_cases * MOST_MISSES:
        cases = [(name, seed + i) for name in reaching for i in range(block)]

        def work(cases: Sequence[tuple[str, int]] = cases) -> list[tuple[str, bool]]:
            forking.install(mutant, root)
            families = probe.families(rung)
            return [_reaching(mutant, root, families[name], i) for name, i in cases]

        found, _ = forking.forked(work, LONGEST_S)
        if not isinstance(found, list):
            return Compared(reached, "drawn cases end the process")
        for (name, i), (digest, hit), original in zip(cases, found, originals.get(cases), strict=True):
            if digest != original:
                return Compared(reached, f"{name} {i}")
            reached += hit
        seed += block
    return Compared(reached, "")


def _reaching(mutant: Mutant, root: Path, family: Callable[[int], str], seed: int) -> tuple[str, bool]:
    """A case's digest, and whether it ran the changed statement."""
    filename, (first, last) = str(root / mutant.path), mutant.lines
    hit = False

    def local(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal hit
        hit = hit or first <= frame.f_lineno <= last
        return None if hit else local

    def called(frame: FrameType, event: str, _: Any) -> Any:
        if hit or frame.f_code.co_filename != filename:
            return None
        return local(frame, event, None)

    sys.settrace(called)
    try:
        return family(seed), hit
    finally:
        sys.settrace(None)
