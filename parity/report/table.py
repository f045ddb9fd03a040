"""The certificate on a terminal: the verdict, the ladder and the answers on a screen; all the rest when asked for."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from parity.report import answers
from parity.report.answers import CRITERIA, VERDICTS, brief, grouped, in_words, millionths, percent, worst_first
from parity.report.cells import of_the_ladder
from parity.report.certificate import Certificate
from parity.report.claims import Measurement
from parity.report.instrument import parts

STYLE = {"certified": "green", "divergence": "cyan", "slack": "yellow", "failed": "bold red"}
LINES, WIDTH = 40, 100  # of what is shown unless everything is asked for
N_FAILURES, N_WORST = 4, 5
WIDEST = 400  # a terminal wraps long rows better than rich breaks cells


def render(certificate: Certificate, colour: bool = False) -> str:
    """Show the verdict, the ladder and the five answers, in at most ``LINES`` lines of ``WIDTH`` columns."""
    end = _wrapped([_summary(certificate)])
    notes = [Text(f"note: {line}", style=STYLE["slack"]) for line in certificate.notes]
    lines = _wrapped([*_verdict(certificate), Text(), *_ladder(certificate), Text(), *_answers(certificate), *notes])
    worst = [Text("worst cases, % of the limit"), *_worst(certificate)]
    lines += [Text(), *worst][: max(0, LINES - len(lines) - len(end) - 1)]
    if len(lines) + len(end) > LINES:  # failures and notes may be long: certificate show --all has them whole
        lines = [*lines[: LINES - len(end) - 1], Text("... (leaf-ladder certificate show --all)")]
    return _printed([*lines, *end], colour)


def _verdict(certificate: Certificate) -> list[Text]:
    bad, reasons = answers.failed(certificate.claims), certificate.failures
    out = [f"failed: {answers.failure(claim)}" for claim in bad[:N_FAILURES]]
    if len(bad) > N_FAILURES:
        out.append(f"failed: {len(bad) - N_FAILURES} more (leaf-ladder certificate show --all)")
    out += [f"no certificate: {line}" for line in reasons[:N_FAILURES]]
    if len(reasons) > N_FAILURES:
        out.append(f"no certificate: {len(reasons) - N_FAILURES} more reasons")
    first = Text(f"{certificate.verdict.upper()}: {answers.headline(certificate)}", style=STYLE[certificate.verdict])
    return [first, *(Text(line, style=STYLE["failed"]) for line in out)]


def _ladder(certificate: Certificate) -> list[Text]:
    steps, out = answers.steps(certificate.claims), []
    for step in steps:
        out.append(Text(f"|-- {step.rung}: {step.title}"))
        bad = f"; {step.failed} failed" if step.failed else ""
        if step.output is not None or step.gradient is not None:
            found = f"output {millionths(step.output):>5}   gradient {millionths(step.gradient):>5}"
            out.append(Text(f"|     {found}{bad}", style="bold red" if bad else ""))
        elif step.used is None:
            out.append(Text(f"|     not compared with the rung below in this run{bad}"))
        else:
            out.append(Text(f"|     against {step.reference}: worst case at {percent(step.used)} % of its limit{bad}"))
    of_ladder = of_the_ladder(certificate.claims) or not certificate.claims
    lowest = f"the original: {answers.ORIGINAL}" if of_ladder else steps[-1].reference
    return [*out, Text(f"|-- {lowest}"), Text(answers.UNIT_BRIEF)]


def _answers(certificate: Certificate) -> list[Text]:
    return [
        Text.assemble((f"{question} ", "bold"), " ".join([short, *lines]).strip())
        for question, short, lines in answers.answers(certificate)
    ]


def _worst(certificate: Certificate) -> list[Text]:
    out = []
    for row in worst_first(certificate.claims)[:N_WORST]:
        m = row.worst.worst
        line = f"{percent(m.ratio):>6} %  {m.rung} <- {m.reference}, {in_words(m.property)} at {m.stage}, {m.domain}"
        line = line if len(line) <= WIDTH else f"{line[: WIDTH - 3]}..."
        out.append(Text(line, style=STYLE["failed"] if row.verdict == "failed" else ""))
    return out


def _summary(certificate: Certificate) -> Text:
    """Say in one line how many claims of each verdict, on how many tests, in which time."""
    said = {
        "certified": "certified",
        "slack": "certified with a wide limit",
        "divergence": "declared as divergent",
        "failed": "failed",
    }
    counts = {verdict: sum(c.verdict == verdict for c in certificate.claims) for verdict in said}
    claims = ", ".join(f"{n} {said[verdict]}" for verdict, n in counts.items() if n) or "none"
    tests = ", ".join(f"{n} {outcome}" for outcome, n in certificate.tests.items() if n) or "none"
    text = f"{certificate.verdict}: claims: {claims}; tests: {tests}; {certificate.duration_s:.0f} s"
    return Text(text, style=STYLE[certificate.verdict])


def render_all(certificate: Certificate, colour: bool = False) -> str:
    """Show a row per step, property and domain, every failed claim, the instrument, and the summary."""
    names = "step", "property", "on", "claims", "cases", "% of limit", "worst at", "criterion", "verdict"
    table = _table(names, colour, right=("claims", "cases", "% of limit"))
    declared = [row for row in grouped(certificate.claims) if row.verdict == "divergence"]
    for row in (*worst_first(certificate.claims), *declared):
        m = row.worst.worst
        table.add_row(
            f"{m.rung} <- {m.reference}",
            in_words(m.property),
            m.domain,
            str(row.n_claims),
            str(row.n_cases),
            "" if m.criterion == "divergence" else percent(m.ratio),
            m.stage,
            CRITERIA[m.criterion],
            Text(VERDICTS[row.verdict], style=STYLE[row.verdict]),
        )
    failures = [f"failed: {answers.failure(c)} Again: {c.worst.reproduce}" for c in answers.failed(certificate.claims)]
    failures += [f"no certificate: {line}" for line in certificate.failures]
    lines = [f"note: {line}" for line in certificate.notes] + [f"instrument: {part}" for part in parts(certificate)]
    rows: list[RenderableType] = [table, Text()] if certificate.claims else []
    rows += [*(Text(line, style=STYLE["failed"]) for line in failures), *map(Text, lines), _summary(certificate)]
    return _printed(rows, colour)


def render_measurements(measured: Sequence[Measurement], colour: bool = False) -> str:
    """Show every measurement of a case as a table: what was compared, how, and whether it holds."""
    names = "property", "stage", "against", "type", "criterion", "observed", "bound", "verdict"
    table = _table(names, colour)
    for m in measured:
        verdict = Text("holds", style=STYLE["certified"]) if m.holds else Text("failed", style=STYLE["failed"])
        numbers = brief(m.observed), brief(m.bound)
        table.add_row(m.property, m.stage, m.reference, m.dtype, m.criterion, *numbers, verdict)
    return _printed([table], colour)


def _table(names: Sequence[str], colour: bool, right: Sequence[str] = ()) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold" if colour else "")
    for name in names:
        table.add_column(name, justify="right" if name in right else "left", no_wrap=True)
    return table


def _wrapped(lines: Iterable[Text]) -> list[Text]:
    """Break the lines, broken at ``WIDTH`` columns, what goes on set in."""
    out: list[Text] = []
    for line in lines:
        first, *rest = line.wrap(Console(), WIDTH - 4) if len(line) > WIDTH else [line]
        out += [first, *(Text.assemble("    ", part) for part in rest)]
    return out


def _printed(lines: Iterable[RenderableType], colour: bool) -> str:
    out = io.StringIO()
    console = Console(
        file=out, width=WIDEST, force_terminal=colour, color_system="standard" if colour else None, highlight=False,
        markup=False, emoji=False,
    )  # fmt: skip
    for line in lines:
        console.print(line, soft_wrap=isinstance(line, Text))
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"
