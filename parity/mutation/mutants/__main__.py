"""``python -m parity.mutation.mutants``: a seeded sample of mutants of every rung, from the repository's root.

Each goes through the rung's quick tests. One that survives runs a thousand drawn cases, and so does the original: equal
bits make it an equivalent. Where bits differ, the slower tests have their try; what is left must be in ``judged.json``
with a reason, or counts against the score. Results go to a journal as they come, and a later run continues.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from parity.mutation.mutants import forking
from parity.mutation.mutants.comparison import N_CASES, Digests, compare
from parity.mutation.mutants.operators import Mutant, mutants

JUDGED = Path(__file__).with_name("judged.json")
TESTS = "parity_tests/rungs"
# The marks of the tests that see a rung: efficientleaf is made of leaf's parts, some of which it alone uses.
MARKS = {"leaf": "leaf or efficientleaf", "efficientleaf": "efficientleaf", "og_leaf": "og_leaf", "tf_leaf": "tf_leaf"}
NO_NUMBERS = ("__init__.py", "checks.py")
APPROXIMATE = "tolerance"  # the folder of tolerance=, whose energies are held to a stated error and not to the bit
QUICK_S = 3.0  # CPU seconds of a test that comes before the drawn cases
VERDICTS = ("killed", "timeout", "equivalent: bits", "equivalent: reason", "survived")
COMMAND = "tox -e mutants"


class Judged(NamedTuple):
    """A mutant, its verdict of ``VERDICTS``, and the test that killed it, the number of equal cases, or the reason."""

    mutant: Mutant
    verdict: str
    by: str


def sources(rung: str, root: Path) -> list[str]:
    """Files of a rung's numerical functions, from the root."""
    found = sorted((root / rung).rglob("*.py"))
    exact = [path for path in found if path.name not in NO_NUMBERS and path.parent.name != APPROXIMATE]
    return [path.relative_to(root).as_posix() for path in exact]


def sample(everything: Iterable[Mutant], count: int, seed: int) -> list[Mutant]:
    """``count`` mutants, drawn by a hash of seed and change: an edit elsewhere leaves them as they are."""

    def draw(mutant: Mutant) -> bytes:
        text = json.dumps([seed, *mutant.key, mutant.operator, mutant.variant])
        return hashlib.blake2b(text.encode(), digest_size=8).digest()

    return sorted(everything, key=draw)[:count]


def reasons() -> dict[tuple[str, str, str, str], str]:
    """Why a survivor is equivalent, by the mutant's key, as reviewed."""
    rows = json.loads(JUDGED.read_text(encoding="utf-8"))
    return {(row["path"], row["name"], row["before"], row["after"]): row["reason"] for row in rows}


class Journal:
    """The verdict on each mutant, a line each; an entry holds while the mutated file is what it was."""

    def __init__(self, path: Path, root: Path) -> None:
        self._path, self._root = path, root
        lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
        self._entries = {tuple(key): (verdict, by) for key, verdict, by in map(json.loads, lines)}

    def get(self, mutant: Mutant) -> tuple[str, str] | None:
        """Verdict and by what, if it is known."""
        return self._entries.get(self._key(mutant))

    def add(self, mutant: Mutant, verdict: str, by: str) -> None:
        """Write a verdict down."""
        key = self._key(mutant)
        self._entries[key] = verdict, by
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps([key, verdict, by]) + "\n")

    def _key(self, mutant: Mutant) -> tuple[str, ...]:
        digest = hashlib.sha256((self._root / mutant.path).read_bytes()).hexdigest()[:16]
        return (*mutant.key, mutant.operator, str(mutant.node), str(mutant.variant), digest)


def judge(rung: str, chosen: Sequence[Mutant], journal: Journal, root: Path) -> Iterator[Judged]:
    """Verdicts of a rung's mutants; those that are not in the journal are run, and its survivors again."""
    known, originals = reasons(), Digests()
    seen: dict[str, forking.Seen] = {}
    for mutant in chosen:
        found = journal.get(mutant)
        if found is None or found[0] == "survived":
            seen = seen or forking.watch(_tests(rung), [file for other in MARKS for file in sources(other, root)])
            found = _judged(mutant, rung, forking.covering(mutant, seen), originals, root)
            journal.add(mutant, *found)
        if found[0] == "survived" and mutant.key in known:
            found = "equivalent: reason", known[mutant.key]
        yield Judged(mutant, *found)


def _judged(mutant: Mutant, rung: str, tests: dict[str, float], originals: Digests, root: Path) -> tuple[str, str]:
    """The quick tests, then drawn cases, then the other tests, then the slow ones."""
    quick = {name: seconds for name, seconds in tests.items() if seconds <= QUICK_S}
    verdict = forking.judge(mutant, quick, _tests(rung), root)
    if verdict.state != "survived":
        return verdict
    n_cases, differs = compare(mutant, rung, originals, root)
    if n_cases >= N_CASES and not differs:
        return "equivalent: bits", f"{n_cases} cases"
    for others in ({name: seconds for name, seconds in tests.items() if name not in quick}, None):
        verdict = forking.judge(mutant, others, _tests(rung), root)
        if verdict.state != "survived":
            return verdict
    return "survived", f"{n_cases} cases equal, " + (f"not {differs}" if differs else "no more run the statement")


def _tests(rung: str) -> tuple[str, ...]:
    """The arguments with which pytest runs the tests that see a rung."""
    return TESTS, "-m", MARKS[rung]


def summary(rung: str, n_all: int, judged: Sequence[Judged]) -> dict[str, Any]:
    """A rung's row: how many of which verdict, and the share killed of those that are not equivalent."""
    counts = Counter(j.verdict for j in judged)
    equivalent = counts["equivalent: bits"] + counts["equivalent: reason"]
    killed = counts["killed"] + counts["timeout"]
    return {
        "rung": rung,
        "mutants": n_all,
        "sampled": len(judged),
        **{verdict: counts[verdict] for verdict in VERDICTS},
        "score": f"{100 * killed / max(len(judged) - equivalent, 1):.1f} %",
    }


def keep(rows: Sequence[dict[str, Any]], judged: Sequence[Judged], seed: int, root: Path) -> None:
    """Write the records that the certificate shows."""
    from parity.report import recorded

    kept = partial(
        recorded.keep, command=COMMAND, sources=[path for rung in MARKS for path in sources(rung, root)], root=root
    )
    kept(
        "mutants", rows, title="Mutants",
        note=f"Seed {seed}. The score is the share killed, timeouts among them, of those that are not equivalent. "
        f"Equivalent by bits: outputs and gradients of {N_CASES} drawn cases that run the changed statement are equal.",
    )  # fmt: skip
    left = [
        {"file": m.path, "function": m.name, "statement": m.before, "mutant": m.after, "verdict": verdict, "why": by}
        for m, verdict, by in judged if verdict not in ("killed", "timeout")
    ]  # fmt: skip
    if left:
        kept("mutants_survived", left, title="Mutants that no test killed",
             note="Equivalent to the original, or not killed.")  # fmt: skip


def main(
    count: Annotated[int, typer.Option(min=1, help="mutants of each rung")] = 100,
    seed: Annotated[int, typer.Option(help="of the sample")] = 0,
    rung: Annotated[list[str] | None, typer.Option(help="one or more of the rungs; all by default")] = None,
    journal: Annotated[Path, typer.Option(help="of verdicts, for a later run to continue")] = Path(".mutants.jsonl"),
    record: Annotated[bool, typer.Option(help="keep the result for the certificate; needs all rungs")] = False,
) -> None:
    """Sample, judge, print; exit status 1 where a mutant is neither killed nor equivalent."""
    root, rungs = Path.cwd(), rung or list(MARKS)
    if odd := [name for name in rungs if name not in MARKS]:
        raise typer.BadParameter(f"rung={odd[0]!r}: must be one of {', '.join(MARKS)}")
    if record and set(rungs) != set(MARKS):
        raise typer.BadParameter("record=True: all rungs are needed")
    forking.preload(tensorflow=bool({"og_leaf", "tf_leaf"} & set(rungs)))
    rows, everything = [], list[Judged]()
    kept = Journal(journal, root)
    for name in rungs:
        population = [m for path in sources(name, root) for m in mutants(path, (root / path).read_text("utf-8"))]
        judged = []
        for one in judge(name, sample(population, count, seed), kept, root):
            judged.append(one)
            m = one.mutant
            print(f"{one.verdict} | {m.path} {m.name} | {m.before} -> {m.after} | {one.by}", flush=True)
        rows.append(summary(name, len(population), judged))
        everything += judged
    for row in rows:
        print(row)
    if record:
        keep(rows, everything, seed, root)
    if any(one.verdict == "survived" for one in everything):
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
