"""The certificate on a terminal: the verdict, the ladder and the answers on a screen; all the rest when asked for."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table
from rich.text import Text

from parity.report import answers, ladder
from parity.report.certificate import Certificate
from parity.report.claims import Claim, Measurement
from parity.report.instrument import of_the_ladder, parts
from parity.report.words import CRITERIA, VERDICTS, failure, millionths, percent, property_of

STYLE = {"certified": "green", "divergence": "cyan", "slack": "yellow", "failed": "bold red"}
LINES, WIDTH = 40, 100  # of what is shown unless everything is asked for
N_FAILURES, N_WORST = 4, 5
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


def observed(claim: Claim) -> str:
    """The worst value seen; of a divergence, the smallest and the largest."""
    if claim.worst.criterion == "divergence" and claim.lowest != claim.highest:
        return f"{brief(claim.lowest)} .. {brief(claim.highest)}"
    return brief(claim.worst.observed)


def brief(value: float) -> str:
    """Two digits; a whole small number as such."""
    return f"{value:.2g}"


def worst_first(claims: Sequence[Claim]) -> list[Row]:
    """The rows that are held to a limit, those that fail first, then the one whose worst case uses most of its own."""
    held = [row for row in rows(claims) if row.worst.worst.criterion != "divergence" or row.verdict == "failed"]
    return sorted(held, key=lambda row: (row.worst.worst.holds, -row.worst.worst.ratio))


def summary(certificate: Certificate) -> str:
    """One line: how many claims of each verdict, on how many tests, in which time."""
    counts = {
        v: sum(c.verdict == v for c in certificate.claims) for v in ("certified", "slack", "divergence", "failed")
    }
    names = {
        "certified": "certified",
        "slack": "certified with a wide limit",
        "divergence": "declared as divergent",
        "failed": "failed",
    }
    claims = ", ".join(f"{n} {names[v]}" for v, n in counts.items() if n) or "none"
    tests = ", ".join(f"{n} {outcome}" for outcome, n in certificate.tests.items() if n) or "none"
    return f"{certificate.verdict}: claims: {claims}; tests: {tests}; {certificate.duration_s:.0f} s"


def render(certificate: Certificate, colour: bool = False) -> str:
    """The verdict, the ladder and the five answers, in at most ``LINES`` lines of ``WIDTH`` columns.

    Args:
        certificate: what to show.
        colour: whether to write terminal colours.
    """
    head, end = _verdict(certificate), [Text(summary(certificate), style=STYLE[certificate.verdict])]
    body = [*_ladder(certificate), Text(), *_answers(certificate)]
    notes = [Text(f"note: {line}", style=STYLE["slack"]) for line in certificate.notes]
    lines = _wrapped([*head, Text(), *body, *notes])
    worst = _wrapped([Text("worst cases, % of the limit"), *_worst(certificate)])
    lines += [Text(), *worst][: max(0, LINES - len(lines) - len(_wrapped(end)) - 1)]
    last = _wrapped(end)
    if len(lines) + len(last) > LINES:  # failures and notes may be long: certificate show --all has them whole
        lines = [*lines[: LINES - len(last) - 1], Text("... (leaf-ladder certificate show --all)")]
    return _printed([*lines, *last], colour)


def _verdict(certificate: Certificate) -> list[Text]:
    style = STYLE[certificate.verdict]
    out = [Text(f"{certificate.verdict.upper()}: {answers.headline(certificate)}", style=style)]
    failures, n_more = answers.failures_in_words(certificate, N_FAILURES)
    out += [Text(f"failed: {sentence}", style=STYLE["failed"]) for _, sentence in failures]
    if n_more:
        out.append(Text(f"failed: {n_more} more (leaf-ladder certificate show --all)", style=STYLE["failed"]))
    shown, rest = certificate.failures[:N_FAILURES], len(certificate.failures) - N_FAILURES
    out += [Text(f"no certificate: {line}", style=STYLE["failed"]) for line in shown]
    return [*out, Text(f"no certificate: {rest} more reasons", style=STYLE["failed"])] if rest > 0 else out


def _ladder(certificate: Certificate) -> list[Text]:
    steps, out = ladder.steps(certificate.claims), []
    for step in steps:
        out.append(Text(f"|-- {step.rung}: {step.title}"))
        bad = f"; {step.failed} failed" if step.failed else ""
        if step.output is None and step.gradient is None:
            used = "not compared with the rung below in this run"
            if step.used is not None:
                used = f"against {step.reference}: worst case at {percent(step.used)} % of its limit"
            out.append(Text(f"|     {used}{bad}"))
        else:
            found = f"output {millionths(step.output):>5}   gradient {millionths(step.gradient):>5}"
            out.append(Text(f"|     {found}{bad}", style="bold red" if bad else ""))
    lowest = "the original: " + ladder.TITLES[ladder.ORIGINAL]
    if steps and not (of_the_ladder(certificate.claims) or not certificate.claims):
        lowest = steps[-1].reference
    return [*out, Text(f"|-- {lowest}"), Text(ladder.UNIT_BRIEF)]


def _answers(certificate: Certificate) -> list[Text]:
    out = []
    for answer in answers.answers(certificate):
        text = Text(f"{answer.question} ", style="bold")
        text.append(" ".join([answer.short, *answer.lines]).strip(), style="not bold")
        out.append(text)
    return out


def _worst(certificate: Certificate) -> list[Text]:
    out = []
    for row in worst_first(certificate.claims)[:N_WORST]:
        m = row.worst.worst
        step = f"{m.rung} <- {m.reference}"
        line = f"{percent(m.ratio):>6} %  {step}, {property_of(m.property)} at {m.stage}, {m.domain}"
        line = line if len(line) <= WIDTH else f"{line[: WIDTH - 3]}..."
        out.append(Text(line, style=STYLE["failed"] if row.verdict == "failed" else ""))
    return out


def _wrapped(lines: Sequence[Text]) -> list[Text]:
    """The lines, broken at ``WIDTH`` columns, what goes on set in."""
    console = _console(io.StringIO(), False)
    out: list[Text] = []
    for line in lines:
        first, *rest = line.wrap(console, WIDTH - 4) if len(line) > WIDTH else [line]
        out += [first, *(Text.assemble("    ", part) for part in rest)]
    return out


def _printed(lines: Sequence[Text], colour: bool) -> str:
    out = io.StringIO()
    console = _console(out, colour)
    for line in lines:
        console.print(line, soft_wrap=True)
    return _trimmed(out)


def render_all(certificate: Certificate, colour: bool = False) -> str:
    """Everything: a row per step, property and domain, every failed claim, the instrument, the summary.

    Args:
        certificate: what to show.
        colour: whether to write terminal colours.
    """
    table = Table(box=None, pad_edge=False, header_style="bold" if colour else "")
    columns = ("step", "property", "on", "claims", "cases", "% of limit", "worst at", "criterion", "verdict")
    for name in columns:
        table.add_column(name, justify="right" if name in ("claims", "cases", "% of limit") else "left", no_wrap=True)
    for row in (*worst_first(certificate.claims), *declared(certificate.claims)):
        m = row.worst.worst
        table.add_row(
            f"{m.rung} <- {m.reference}",
            property_of(m.property),
            m.domain,
            str(len(row.claims)),
            str(row.n_cases),
            "" if m.criterion == "divergence" else percent(m.ratio),
            m.stage,
            CRITERIA[m.criterion],
            Text(VERDICTS[row.verdict], style=STYLE[row.verdict]),
        )
    out = io.StringIO()
    console = _console(out, colour)
    if certificate.claims:
        console.print(table)
        console.print()
    for claim in answers.failed(certificate.claims):
        console.print(
            Text(f"failed: {failure(claim)} Again: {claim.worst.reproduce}", style=STYLE["failed"]), soft_wrap=True
        )
    for kind, lines in (("no certificate", certificate.failures), ("note", certificate.notes)):
        for text in lines:
            console.print(Text(f"{kind}: {text}", style="" if kind == "note" else STYLE["failed"]), soft_wrap=True)
    for part in parts(certificate):
        console.print(Text(f"instrument: {part}"), soft_wrap=True)
    console.print(Text(summary(certificate), style=STYLE[certificate.verdict]), soft_wrap=True)
    return _trimmed(out)


def declared(claims: Sequence[Claim]) -> list[Row]:
    """The rows of declared differences that hold."""
    return [row for row in rows(claims) if row.verdict == "divergence"]


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
