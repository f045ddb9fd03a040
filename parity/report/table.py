"""The ladder as a table on a terminal: a row per step, property and domain."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table
from rich.text import Text

from parity.report.certificate import Certificate
from parity.report.claims import Claim, Measurement
from parity.report.instrument import line

STYLE = {"certified": "green", "divergence": "cyan", "slack": "yellow", "failed": "bold red"}
WIDEST = 400  # a terminal wraps long rows better than rich breaks cells


@dataclass(frozen=True)
class Row:
    """Claims of one step, property and domain; certified ones and declared divergences apart.

    Attributes:
        claims: of all stages, types, criteria and relations.
    """

    claims: Sequence[Claim]

    @property
    def worst(self) -> Claim:
        """The claim nearest to failing."""
        return max(self.claims, key=lambda c: (not c.worst.holds, c.worst.ratio))

    @property
    def n_cases(self) -> int:
        """Cases of the claim that was measured on most of them: the stages of a case are not more cases."""
        return max(c.n_cases for c in self.claims)

    @property
    def verdict(self) -> str:
        """The one of the worst claim, but ``slack`` only when every claim of the row is."""
        verdicts = {c.verdict for c in self.claims}
        for verdict in ("failed", "certified", "slack"):
            if verdict in verdicts:
                return verdict
        return "divergence"


def rows(claims: Sequence[Claim]) -> list[Row]:
    """Claims, gathered into the rows of the table, in the order given."""
    out: dict[tuple[str, ...], list[Claim]] = {}
    for claim in claims:
        m = claim.worst
        kind = "divergence" if m.criterion == "divergence" else ""
        out.setdefault((m.rung, m.reference, m.property, m.domain, kind), []).append(claim)
    return [Row(group) for group in out.values()]


def bound(claim: Claim) -> str:
    """What the observed value is held to; of a divergence, the declared range."""
    m = claim.worst
    return f"{brief(m.at_least)} .. {brief(m.bound)}" if m.criterion == "divergence" else brief(m.bound)


def observed(claim: Claim) -> str:
    """The worst value seen; of a divergence, the smallest and the largest."""
    if claim.worst.criterion == "divergence" and claim.lowest != claim.highest:
        return f"{brief(claim.lowest)} .. {brief(claim.highest)}"
    return brief(claim.worst.observed)


def brief(value: float) -> str:
    """Two digits; a whole small number as such."""
    return f"{value:.2g}"


def summary(certificate: Certificate) -> str:
    """One line: how many claims of each verdict, on how many tests, in which time."""
    counts = {
        v: sum(c.verdict == v for c in certificate.claims) for v in ("certified", "slack", "divergence", "failed")
    }
    names = {
        "certified": "certified",
        "slack": "certified with a loose bound",
        "divergence": "declared as divergent",
        "failed": "failed",
    }
    claims = ", ".join(f"{n} {names[v]}" for v, n in counts.items() if n) or "none"
    tests = ", ".join(f"{n} {outcome}" for outcome, n in certificate.tests.items() if n) or "none"
    return f"{certificate.verdict}: claims: {claims}; tests: {tests}; {certificate.duration_s:.0f} s"


def render(certificate: Certificate, colour: bool = False) -> str:
    """The table, the summary and, where the run is no certificate, why not.

    Args:
        certificate: what to show.
        colour: whether to write terminal colours.
    """
    table = Table(box=None, pad_edge=False, header_style="bold" if colour else "")
    for name in (
        "step",
        "property",
        "domain",
        "claims",
        "cases",
        "observed",
        "bound",
        "ratio",
        "worst at",
        "verdict",
    ):
        table.add_column(name, justify="right" if name in ("claims", "cases") else "left", no_wrap=True)
    step = ""
    for row in rows(certificate.claims):
        worst = row.worst
        m = worst.worst
        new = f"{m.rung} <- {m.reference}"
        table.add_row(
            "" if new == step else new,
            m.property,
            m.domain,
            str(len(row.claims)),
            str(row.n_cases),
            observed(worst),
            bound(worst),
            "" if m.criterion == "divergence" else brief(m.ratio),
            f"{m.stage}, {m.criterion}",
            Text(row.verdict, style=STYLE[row.verdict]),
        )
        step = new
    out = io.StringIO()
    console = _console(out, colour)
    if certificate.claims:
        console.print(table)
        console.print()
    for kind, lines in (("no certificate", certificate.failures), ("note", certificate.notes)):
        for text in lines:
            console.print(Text(f"{kind}: {text}", style="" if kind == "note" else STYLE["failed"]), soft_wrap=True)
    if certificate.evidence:
        console.print(Text(f"instrument: {line(certificate)}"), soft_wrap=True)
    console.print(Text(summary(certificate), style=STYLE[certificate.verdict]), soft_wrap=True)
    return _trimmed(out)


def render_measurements(measured: Sequence[Measurement], colour: bool = False) -> str:
    """Every measurement of a case as a table: what was compared, how, and whether it holds."""
    table = Table(box=None, pad_edge=False, header_style="bold" if colour else "")
    for name in ("property", "stage", "against", "type", "criterion", "observed", "bound", "verdict"):
        table.add_column(name, no_wrap=True)
    for m in measured:
        verdict = "holds" if m.holds else "failed"
        style = STYLE["certified" if m.holds else "failed"]
        numbers = brief(m.observed), brief(m.bound)
        table.add_row(m.property, m.stage, m.reference, m.dtype, m.criterion, *numbers, Text(verdict, style=style))
    out = io.StringIO()
    _console(out, colour).print(table)
    return _trimmed(out)


def _console(out: io.StringIO, colour: bool) -> Console:
    return Console(
        file=out,
        width=WIDEST,
        force_terminal=colour,
        color_system="standard" if colour else None,
        highlight=False,
        markup=False,
        emoji=False,
    )


def _trimmed(out: io.StringIO) -> str:
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"
