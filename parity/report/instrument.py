"""Say what the certificate knows of the instrument: the faults it found, its resolution, the cases it covered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from parity.adapters.rungs import RUNGS
from parity.report.cells import Verdict, verdicts
from parity.report.certificate import Certificate
from parity.report.claims import Claim

# Sections of the evidence, as tests note them, and the columns of their tables.
SECTIONS: dict[str, tuple[str, tuple[str, ...]]] = {
    "k": ("Measured k of criterion G1", ("reference", "property", "stage", "k", "set_by")),
    "faults": ("Planted faults", ("name", "kind", "caught_at", "criterion", "ratio", "statement")),
    "benign": ("Benign reformulations", ("name", "verdict", "statement", "reason")),
    "resolution": ("The smallest relative change noticed", ("rung", "name", "kind", "at", "change", "single")),
    "evidence": ("When this evidence was measured", ("file", "measured", "hash", "reused")),
    "search": ("Searched", ("rung", "n_examples", "worst_ratio", "worst_at", "reproduce", "recorded")),
    "bitwise": ("Rung 0 and the original, to the bit", ("name", "drawn", "arrays", "values", "differing", "run")),
    "ports": ("Ports", ("port", "claims", "first_departure", "departs", "holds", "not_seen")),
    "killed": ("Commands killed at seeded moments", ("command", "moments", "killed", "old", "new")),
    "damage": ("Damaged files of weights", ("format", "files", "refused", "unchanged", "changed")),
    "coverage": ("What the strategies drew", ("step", "what", "classes")),
}


def line(certificate: Certificate) -> str:
    """One line on the instrument; empty where the run said nothing of it."""
    evidence = certificate.evidence
    parts = []
    if faults := evidence.get("faults"):
        parts.append(f"{sum(row['killed'] for row in faults)} of {len(faults)} planted faults killed")
    if benign := evidence.get("benign"):
        parts.append(f"{sum(row['verdict'] != 'passed' for row in benign)} of {len(benign)} benign changes refused")
    for kind, words in (("parameter", "of a trained parameter end to end"), ("constant", "of a constant at its stage")):
        rows = [row for row in evidence.get("resolution", ()) if row["kind"] == kind]
        if rows:
            worst = max(rows, key=lambda row: float(row["change"]))
            single = max(float(row["single"]) for row in rows) if kind == "parameter" else None
            alone = "" if single is None else f", {single:.1g} by float32 alone"
            where = f"{worst['rung']} {worst['name']}"
            parts.append(f"coarsest resolution {float(worst['change']):.1g} {words} ({where}{alone})")
    for row in evidence.get("evidence", ()):
        if row["reused"] == "yes":
            same = f"sources, versions and processor of hash {row['hash']}"
            parts.append(f"evidence of {row['file']} reused, measured {row['measured']} with the same {same}")
    if search := evidence.get("search"):
        worst = max(search, key=lambda row: float(row["worst_ratio"]))
        total = sum(row["n_examples"] for row in search)
        parts.append(f"{total} searched examples, worst {worst['worst_ratio']:.4g} of the running-error bound")
    if damage := evidence.get("damage"):
        refused, unchanged, changed = (sum(row[end] for row in damage) for end in ("refused", "unchanged", "changed"))
        other = f", {changed} with other numbers where no checksum tells" if changed else ""
        parts.append(f"damaged weight files: {refused} refused, {unchanged} loaded unchanged{other}")
    for row in evidence.get("ports", ()):
        departs = f"departs from {row['claims']} first at {row['first_departure']}"
        parts.append(f"{row['port']} {departs if row['departs'] else 'is ' + row['claims']}")
    if of_the_ladder(certificate.claims):
        parts += [_mutants(record) for record in certificate.recorded if record["name"] == "mutants"]
        parts.append(cells_line(verdicts(certificate.claims)))
    return "; ".join(parts)


def _mutants(record: dict[str, Any]) -> str:
    counts: Counter[str] = Counter()
    for row in record["rows"]:
        counts.update({column: n for column, n in row.items() if isinstance(n, int)})
    killed, equivalent = counts["killed"] + counts["timeout"], counts["equivalent: bits"] + counts["equivalent: reason"]
    stale = ", of other sources than these" if record["changed"] else ""
    return f"{killed} of {counts['sampled']} sampled mutants killed, {equivalent} equivalent{stale}"


def of_the_ladder(claims: Sequence[Claim]) -> bool:
    """Tell whether a rung is among the candidates: a certificate of a port alone has no cell of the grid to fill."""
    return any(claim.worst.rung in RUNGS for claim in claims)


def cells_line(found: Sequence[Verdict]) -> str:
    """Count the cells of the grid by their state."""
    counts = Counter(v.state for v in found)
    states = ", ".join(f"{counts[state]} {state}" for state in ("certified", "declared", "failed", "empty"))
    return f"{len(found)} cells: {states}"


def tightness(claims: Sequence[Claim]) -> list[tuple[str, str, str, float]]:
    """List how near the running-error bound comes: (rung, property, stage, bound over the worst error seen)."""
    return [
        (c.worst.rung, c.worst.property, c.worst.stage, c.slack)
        for c in claims
        if c.worst.criterion == "soundness" and c.worst.dtype == "float32"
    ]


def kills(faults: Sequence[dict[str, Any]]) -> tuple[list[str], list[str], dict[tuple[str, str], int]]:
    """Kills by stage and criterion: the stages, the criteria and the counts."""
    counts = Counter((row["caught_at"], row["criterion"]) for row in faults if row["killed"])
    stages = list(dict.fromkeys(stage for stage, _ in sorted(counts)))
    criteria = sorted({criterion for _, criterion in counts})
    return stages, criteria, dict(counts)
