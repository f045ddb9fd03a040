"""A long search for the case that comes nearest to a bound: thousands of drawn cases a rung, steered by Hypothesis."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings, target
from hypothesis import seed as seeded

from parity.adapters.rungs import RUNGS
from parity.cases.case import Case
from parity.cases.strategies import cases
from parity.checks.coverage import Coverage
from parity.checks.steps import SUFFIX, against_oracle
from parity.report.claims import Measurement
from parity.weights.outputs import Output

# What each rung is searched on: the arguments of its strategy. Rungs 2 and 3 hold less than the original does.
DOMAINS: dict[str, dict[str, Any]] = {
    "tf_leaf": {},
    "og_leaf": {},
    "leaf": {"plain": True, "weights": ("drawn", "drawn", "trained", "outside_shared")},
    "efficientleaf": {"plain": True, "padding": "centered", "weights": ("drawn", "trained", "outside_shared")},
}


@dataclass
class Searched:
    """The worst cases that a search of one rung found.

    Attributes:
        rung: the rung.
        n_examples: how many cases were run.
        seed: of the search.
        recorded: when, ISO 8601, UTC.
        worst: the nearest to the running-error bound, by ``property, stage``: ratio and case.
        violations: the measurements that did not hold, as text.
    """

    rung: str
    n_examples: int = 0
    seed: int = 0
    recorded: str = ""
    worst: dict[str, tuple[float, str]] = field(default_factory=dict)
    violations: list[str] = field(default_factory=list)

    def add(self, m: Measurement) -> None:
        """Take a measurement into account."""
        if not m.holds:
            self.violations.append(str(m))
        if m.criterion == "soundness":
            name = f"{m.property}, {m.stage}"
            if m.ratio > self.worst.get(name, (-1.0, ""))[0]:
                self.worst[name] = (m.ratio, m.case)

    @property
    def nearest(self) -> tuple[str, float, str]:
        """Name, ratio and case of the nearest of all."""
        name, (ratio, case) = max(self.worst.items(), key=lambda item: item[1][0])
        return name, ratio, case

    def row(self) -> dict[str, Any]:
        """Return the row of the certificate."""
        name, ratio, case = self.nearest
        return {
            "rung": self.rung,
            "n_examples": self.n_examples,
            "worst_ratio": ratio,
            "worst_at": name,
            "reproduce": f"leaf-ladder replay {self.rung}{SUFFIX} '{case}'",
            "recorded": self.recorded,
        }


def search(
    rung: str, n_examples: int, seed: int = 0, progress: Callable[[Searched], None] | None = None
) -> tuple[Searched, Coverage]:
    """Run drawn cases of up to 4000 samples; every value is held to its status and its running-error bound.

    Args:
        rung: name of the rung.
        n_examples: how many cases.
        seed: of the search; another seed, another search.
        progress: called after every case.

    Raises:
        ValueError: no such rung.
    """
    if rung not in DOMAINS:
        raise ValueError(f"rung={rung!r}: must be one of {tuple(DOMAINS)}")
    drawn = {name: value for name, value in DOMAINS[rung].items() if name != "padding"}
    found, coverage = Searched(rung, seed=seed), Coverage.of(**drawn)
    found.recorded = datetime.now(timezone.utc).isoformat(timespec="seconds")

    @seeded(seed)
    @settings(
        max_examples=n_examples,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.target],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=cases(**DOMAINS[rung]))
    def run(case: Case) -> None:
        found.n_examples += 1
        coverage.add(case)
        nearest: dict[str, float] = {}
        for m in against_oracle(rung, case, domain="searched"):
            found.add(m)
            if m.criterion == "soundness" and m.ratio < float("inf"):
                label = f"{m.property}, {m.stage}"
                nearest[label] = max(nearest.get(label, 0.0), m.ratio)
        for label, ratio in nearest.items():
            target(ratio, label=label)
        if progress is not None:
            progress(found)

    run()
    return found, coverage


def output(path: Path) -> Output:
    """The record of all rungs: one may be replaced by another, any other file may not."""
    return Output("record", path, ours=_is_record)


def _is_record(path: Path) -> bool:
    try:
        return bool(list(read(path)))
    except (OSError, ValueError, TypeError, AttributeError, KeyError, RecursionError):
        return False


def write(path: Path, searched: Searched) -> None:
    """Put a rung's search into a record of all of them.

    Raises:
        ValueError: what is there is no such record, or it cannot be written.
    """
    to = output(path)
    to.check()
    record = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    record[searched.rung] = asdict(searched)
    ordered = {name: record[name] for name in RUNGS if name in record}
    to.write((json.dumps(ordered, indent=1) + "\n").encode())


def read(path: Path) -> Iterator[Searched]:
    """The searches of a record, rung by rung."""
    for row in json.loads(path.read_text(encoding="utf-8")).values():
        worst = {name: (float(ratio), str(case)) for name, (ratio, case) in row.pop("worst").items()}
        yield Searched(**row, worst=worst)
