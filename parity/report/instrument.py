"""Say what the certificate knows of the instrument: the faults it found, its resolution, the cases it covered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

from parity.report.cells import of_the_ladder, states
from parity.report.certificate import Certificate
from parity.report.claims import Claim


class Section(NamedTuple):
    """A table of the evidence: its title, what its rows say, and name in a row to header with the unit."""

    title: str
    meaning: str
    columns: dict[str, str]


# Sections of the evidence, as tests note them.
SECTIONS: dict[str, Section] = {
    "faults": Section(
        "Bugs planted on purpose",
        "Bugs of the kinds that ports of LEAF have had are put into a rung one at a time, and everything that is "
        "measured looks at it. Each must break a limit, at the stage where it is.",
        {"name": "Bug", "statement": "What it does", "caught_at": "Caught at", "criterion": "By the criterion",
         "ratio": "Error, times the limit"},
    ),
    "benign": Section(
        "Harmless rewrites",
        "The same function, computed in another way. It must pass: a limit that refuses it would be too narrow.",
        {"name": "Rewrite", "statement": "What it does", "reason": "Why it is the same", "outcome": "Outcome"},
    ),
    "resolution": Section(
        "The smallest change that is noticed",
        "A parameter, or a constant of the code, is multiplied by 1 + change, smaller and smaller. Shown is the "
        "smallest change that a limit still notices, with the float64 runs and with float32 runs alone.",
        {"rung": "Rung", "name": "What is changed", "kind": "Kind", "at": "Seen at", "change": "Relative change",
         "single": "By float32 alone"},
    ),
    "k": Section(
        "How far the reference is from itself",
        "The reference runs again in ways that do not change its meaning: another number of threads, as a graph, with "
        "an input moved by its last bit. k is how many times its error grew: a candidate may err k times as much.",
        {"reference": "Reference", "property": "Property", "stage": "Stage", "k": "k, times",
         "set_by": "Widest between"},
    ),
    "search": Section(
        "Searched for the worst case",
        "Cases are drawn and steered towards the limit that follows from counting every rounding of a computation (its "
        "running-error bound). The worst found are run again in every certificate.",
        {"rung": "Rung", "n_examples": "Cases", "worst_ratio": "Worst, share of the limit", "worst_at": "At",
         "reproduce": "Again", "recorded": "When"},
    ),
    "bitwise": Section(
        "tf_leaf and the original, bit by bit",
        "Where the original is at hand, both run in one process on drawn configurations of every public name, and "
        "every bit of every output and gradient is compared.",
        {"name": "Name", "drawn": "Configurations", "arrays": "Arrays", "values": "Values",
         "differing": "Values that differ", "run": "Where"},
    ),
    "ports": Section(
        "Ports of others",
        "A port is held to the rung that it claims to be; the first stage where it departs is named.",
        {"port": "Port", "claims": "Claims to be", "first_departure": "Departs first at", "departs": "Departs",
         "holds": "Holds", "not_seen": "Not seen"},
    ),
    "killed": Section(
        "Commands killed at chosen moments",
        "What a command writes must be the old file or the new one, whole, whenever it is killed.",
        {"command": "Command", "moments": "Moments", "killed": "Killed", "old": "Old file whole",
         "new": "New file whole"},
    ),
    "damage": Section(
        "Damaged files of weights",
        "Files of weights with bytes changed or cut off: each must be refused, unless the damage is where nothing is "
        "read.",
        {"format": "Format", "files": "Files", "refused": "Refused", "unchanged": "Loaded unchanged",
         "changed": "Other numbers, no checksum"},
    ),
    "coverage": Section(
        "What was drawn",
        "How often each class of configuration, signal and weight came up in the drawn cases.",
        {"step": "Step", "what": "What", "classes": "Class and cases"},
    ),
    "evidence": Section(
        "When this evidence was measured",
        "Evidence is kept, and used again while sources, versions and processor are the same (their hash says so).",
        {"file": "Tests", "measured": "Date", "hash": "Hash", "reused": "Used again"},
    ),
}  # fmt: skip


def parts(certificate: Certificate) -> list[str]:
    """Say what the certificate knows of the instrument, a sentence without its end each."""
    evidence = certificate.evidence
    out = []
    if faults := evidence.get("faults"):
        out.append(f"{sum(row['caught'] for row in faults)} of {len(faults)} bugs planted on purpose were caught")
    if benign := evidence.get("benign"):
        refused = sum(row["outcome"] != "passed" for row in benign)
        out.append(f"{refused} of {len(benign)} harmless rewrites were refused")
    for kind, words in (("parameter", "any trained parameter"), ("constant", "any constant of the code")):
        if rows := [row for row in evidence.get("resolution", ()) if row["kind"] == kind]:
            worst = max(float(row["change"]) for row in rows)
            single = [float(row["single"]) for row in rows if row.get("single") is not None]
            alone = f", by the float32 runs alone one of {max(single):.1g}" if single else ""
            out.append(f"a relative change of {worst:.1g} in {words} is noticed{alone}")
    if measured := reused(evidence):
        out.append(f"this evidence is of an earlier run with the same files, {' and '.join(measured)}")
    if search := evidence.get("search"):
        worst = max(float(row["worst_ratio"]) for row in search)
        total = sum(row["n_examples"] for row in search)
        out.append(f"{total:,} cases were searched for the worst, which uses {100 * worst:.4g} % of its limit")
    if damage := evidence.get("damage"):
        refused, unchanged, changed = (sum(row[end] for row in damage) for end in ("refused", "unchanged", "changed"))
        other = f", {changed} loaded with other numbers where no checksum tells" if changed else ""
        out.append(f"of damaged weight files {refused} were refused, {unchanged} loaded unchanged{other}")
    for row in evidence.get("ports", ()):
        departs = f"departs from {row['claims']} first at {row['first_departure']}"
        out.append(f"{row['port']} {departs if row['departs'] else 'is ' + row['claims']}")
    if of_the_ladder(certificate.claims):
        out += [_mutants(record) for record in certificate.recorded if record["name"] == "mutants"]
        out.append(_grid(certificate.claims))
    return out


def reused(evidence: dict[str, list[dict[str, Any]]]) -> list[str]:
    """Dates of the evidence that was not measured in this run."""
    return sorted({row["measured"] for row in evidence.get("evidence", ()) if row["reused"] == "yes"})


def _mutants(record: dict[str, Any]) -> str:
    counts: Counter[str] = Counter()
    for row in record["rows"]:
        counts.update({column: n for column, n in row.items() if isinstance(n, int)})
    killed, equivalent = counts["killed"] + counts["timeout"], counts["equivalent: bits"] + counts["equivalent: reason"]
    stale = f" (recorded {record['date'][:10]}, for another version of these files)" if record["changed"] else ""
    return (
        f"of {counts['sampled']} random changes of the code {killed} failed a test, "
        f"{equivalent} change nothing that is computed{stale}"
    )


def _grid(claims: Sequence[Claim]) -> str:
    """Count the cells of the grid by their state."""
    counts = Counter(states(claims).values())
    said = {"declared": "are declared differences", "failed": "failed", "empty": "were not compared"}
    rest = "".join(f", {counts[state]} {words}" for state, words in said.items() if counts[state])
    total = sum(counts.values())
    return f"of {total} combinations of rung, stage, property and type {counts['certified']} hold{rest}"
