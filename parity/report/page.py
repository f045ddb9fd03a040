"""``index.html``: the certificate for a person, in one file that needs nothing beside it."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from parity.cases.public_names import PROPERTIES
from parity.divergences import DIVERGENCES, Divergence
from parity.report import answers, instrument, ladder, names, table, words
from parity.report.cells import WHOLE, verdicts
from parity.report.certificate import Certificate
from parity.report.claims import Claim, plain
from parity.report.picture import Picture

N_FAILURES = 5  # said in words at the top; the rest stand first in the table
# columns of the table of claims that repeat their words, in the order of the page's script
_SHARED = (
    "rung", "reference", "property", "stage", "domain", "dtype", "criterion", "verdict", "case", "reproduce", "reason",
)  # fmt: skip


def render(certificate: Certificate, pictures: Sequence[Picture] = ()) -> str:
    """The page.

    Args:
        certificate: what to show.
        pictures: what was drawn for it.
    """
    claims = certificate.claims
    of_ladder = instrument.of_the_ladder(claims)
    environment = Environment(
        loader=PackageLoader("parity.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "brief": table.brief, "percent": words.percent, "millionths": words.millionths, "words": words.property_of,
        "base64": lambda data: base64.b64encode(data).decode(), "thousands": lambda n: f"{n:,}",
    }  # fmt: skip
    failures, n_more = answers.failures_in_words(certificate, N_FAILURES)
    rows = table.worst_first(claims)
    html: str = environment.get_template("page.html").render(
        certificate=certificate,
        headline=answers.headline(certificate),
        answers=answers.answers(certificate),
        failures=failures,
        n_more=n_more,
        steps=ladder.steps(claims),
        unit=ladder.UNIT,
        bar=_bar,
        original=ladder.TITLES[ladder.ORIGINAL] if of_ladder or not claims else "",
        differences=_differences(claims),
        rows=rows,
        pictures=pictures,
        divergences=_by_pair(divergences(claims)) if of_ladder else [],
        observed=table.observed,
        names=names.rows(claims) if of_ladder else [],
        name_columns=[(rung, property) for rung in WHOLE for property in PROPERTIES],
        environment=_lines(certificate.environment),
        instrument=instrument.parts(certificate) if certificate.evidence else [],
        sections=[(s, certificate.evidence[n]) for n, s in instrument.SECTIONS.items() if certificate.evidence.get(n)],
        kills=instrument.kills(certificate.evidence.get("faults", [])),
        tightness=instrument.tightness(claims),
        cells=[v for v in verdicts(claims) if v.state != "certified"] if of_ladder and certificate.evidence else [],
        criteria=words.CRITERIA,
        data=_data(claims),
    )
    return html


def divergences(claims: Sequence[Claim]) -> list[tuple[Divergence, list[Claim]]]:
    """Each declared difference between the rungs, with the claims of criterion ``divergence`` that name it.

    A measurement names a divergence in its domain or as its case.
    """
    measured = [c for c in claims if c.worst.criterion == "divergence"]
    return [(d, [c for c in measured if d.name in (c.worst.domain, c.worst.case)]) for d in DIVERGENCES]


def _by_pair(
    found: Sequence[tuple[Divergence, list[Claim]]],
) -> list[tuple[tuple[str, str], list[tuple[Divergence, list[Claim]]]]]:
    out: dict[tuple[str, str], list[tuple[Divergence, list[Claim]]]] = {}
    for item in found:
        out.setdefault(item[0].between, []).append(item)
    return list(out.items())


def _differences(claims: Sequence[Claim]) -> list[tuple[str, str, str, dict[str, float | None]]]:
    """Step and domain with what was measured relative to the reference; the largest difference of an output first."""
    found = [
        (rung, reference, domain, ladder.differences(
            [c for c in claims if (c.worst.rung, c.worst.reference) == (rung, reference)], domain
        ))
        for rung, reference, domain in ladder.measured(claims)
    ]  # fmt: skip
    return sorted(found, key=lambda row: -(row[3]["output"] or 0.0))


def _bar(value: float) -> float:
    """The length of a bar in percent, on a logarithmic scale from a hundredth of a millionth to a thousandth."""
    return min(100.0, max(2.0, 20.0 * (math.log10(value / words.MILLIONTH) + 2.0))) if value > 0 else 0.0


def _data(claims: Sequence[Claim]) -> Markup:
    """Every claim as JSON for the page's script: each word once, and a claim as the numbers of its words.

    What could end the element that it stands in is escaped.
    """
    at: dict[str, int] = {}
    rows = []
    # the worst first, as the table of steps
    for claim in sorted(claims, key=lambda c: (c.worst.holds, c.worst.criterion == "divergence", -c.worst.ratio)):
        m = claim.worst
        said = {
            **{name: getattr(m, name) for name in _SHARED if name != "verdict"},
            "criterion": words.CRITERIA[m.criterion],
            "property": words.property_of(m.property),
            "verdict": words.VERDICTS[claim.verdict],
        }
        numbers = (m.observed, m.bound, m.at_least, m.ratio)
        rows.append([
            *(at.setdefault(said[name], len(at)) for name in _SHARED),
            claim.n_cases,
            *(plain(value if value in (0.0, 1.0) else float(f"{value:.3g}")) for value in numbers),
        ])  # fmt: skip
    text = json.dumps({"words": list(at), "rows": rows}, separators=(",", ":"), allow_nan=False)
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return Markup(text)


def _lines(value: Any) -> list[tuple[str, str]]:
    """Nested dictionaries as (dotted name, value) pairs."""
    out: list[tuple[str, str]] = []
    for name, item in value.items():
        if isinstance(item, dict):
            out += [(f"{name}.{inner}", text) for inner, text in _lines(item)]
        else:
            out.append((name, " ".join(map(str, item)) if isinstance(item, list) else str(item)))
    return out
