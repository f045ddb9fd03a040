"""``index.html``: the certificate for a person, in one file that needs nothing beside it."""

from __future__ import annotations

import base64
import json
import math
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from parity.cases.public_names import NAME_PROPERTIES, PUBLIC, PublicName
from parity.divergences import DIVERGENCES, Divergence
from parity.report import answers, instrument
from parity.report.cells import WHOLE, claimed, of_the_ladder, states
from parity.report.certificate import Certificate
from parity.report.claims import Claim, plain

N_FAILURES = 5  # said in words at the top; the rest stand first in the table
# columns of the table of claims: words, many of which repeat, and numbers
_WORDS = (
    "rung", "reference", "property", "stage", "domain", "dtype", "criterion", "verdict", "case", "reproduce", "reason",
    "relation",
)  # fmt: skip
_NUMBERS = ("observed", "bound", "at_least", "ratio")


class Picture(NamedTuple):
    """One figure of the page.

    Attributes:
        title: what is drawn.
        caption: what to look for.
        alt: what the picture shows, for who does not see it.
        data: a PNG or WebP file.
    """

    title: str
    caption: str
    alt: str
    data: bytes

    @property
    def source(self) -> str:
        """Put the file inside of an address."""
        kind = "webp" if self.data[8:12] == b"WEBP" else "png"
        return f"data:image/{kind};base64,{base64.b64encode(self.data).decode()}"


def render(certificate: Certificate, pictures: Sequence[Picture] = ()) -> str:
    """Render the page of a certificate, with the pictures that were drawn for it."""
    claims, evidence = certificate.claims, certificate.evidence
    of_ladder = of_the_ladder(claims)
    environment = Environment(
        loader=PackageLoader("parity.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "brief": answers.brief, "percent": answers.percent, "millionths": answers.millionths,
        "words": answers.in_words, "failure": answers.failure, "observed": _observed,
    }  # fmt: skip
    failed = answers.failed(claims)
    html: str = environment.get_template("page.html").render(
        certificate=certificate,
        headline=answers.headline(certificate),
        answers=answers.answers(certificate),
        failed=failed[:N_FAILURES],
        n_more=len(failed) - N_FAILURES,
        steps=answers.steps(claims),
        unit=answers.UNIT,
        bar=_bar,
        original=answers.ORIGINAL if of_ladder or not claims else "",
        # the largest difference of an output first
        differences=sorted(answers.differences(claims).items(), key=lambda row: -(row[1][0] or 0.0)),
        rows=answers.worst_first(claims),
        pictures=pictures,
        divergences=_divergences(claims) if of_ladder else {},
        names=[(name, _of_name(name, claims)) for name in PUBLIC] if of_ladder else [],
        name_columns=[(rung, property) for rung in WHOLE for property in NAME_PROPERTIES],
        environment=_lines(certificate.environment),
        instrument=instrument.parts(certificate) if evidence else [],
        sections=[(section, evidence[n]) for n, section in instrument.SECTIONS.items() if evidence.get(n)],
        kills=Counter((row["caught_at"], row["criterion"]) for row in evidence.get("faults", ()) if row["caught"]),
        # how near the running-error bound comes
        soundness=[c for c in claims if (c.worst.criterion, c.worst.dtype) == ("soundness", "float32")],
        cells={cell: state for cell, state in states(claims).items() if state != "certified"}
        if of_ladder and evidence else {},
        criteria=answers.CRITERIA,
        data=_data(claims),
    )  # fmt: skip
    return html


def _divergences(claims: Sequence[Claim]) -> dict[tuple[str, str], list[tuple[Divergence, list[Claim]]]]:
    """By pair of rungs, each declared difference with the claims that name it in their domain or as their case."""
    measured = [c for c in claims if c.worst.criterion == "divergence"]
    out: dict[tuple[str, str], list[tuple[Divergence, list[Claim]]]] = {}
    for d in DIVERGENCES:
        own = [c for c in measured if d.name in (c.worst.domain, c.worst.case)]
        out.setdefault(d.between, []).append((d, own))
    return out


def _observed(claim: Claim) -> str:
    """Show the smallest and the largest value seen of a divergence, else the worst."""
    if claim.lowest != claim.highest:
        return f"{answers.brief(claim.lowest)} .. {answers.brief(claim.highest)}"
    return answers.brief(claim.worst.observed)


def _of_name(name: PublicName, claims: Sequence[Claim]) -> list[tuple[str, str]]:
    """Class and text of each cell of a public name: percent of its limit that the worst claim uses, or why not."""
    own = [c for c in claims if c.worst.stage == name.name and c.worst.dtype == "float32"]
    return [_name_cell(name, property, [c for c in own if c.worst.rung == rung])
            for rung in WHOLE for property in NAME_PROPERTIES]  # fmt: skip


def _name_cell(name: PublicName, property: str, claims: Sequence[Claim]) -> tuple[str, str]:
    if property not in name.properties:
        return "soft", name.reasons[property]
    kinds = {claimed(name, property)}
    if property == "gradient":
        kinds |= {"input gradient", "parameter gradient"}
    own = [c for c in claims if c.worst.property in kinds]
    verdicts = {c.verdict for c in own}
    if "failed" in verdicts:
        return "failed", "failed"
    if verdicts == {"divergence"}:
        return "divergence", "declared difference"
    for reference in ("original", "tf_leaf", "oracle"):  # the nearest to the original that was at hand
        direct = [c for c in own if c.worst.reference == reference and c.worst.criterion != "divergence"]
        if direct:
            return "certified", f"{answers.percent(max(c.worst.ratio for c in direct))} ({reference})"
    return "soft", "not measured"


def _bar(value: float) -> float:
    """Find a bar's length in percent, on a logarithmic scale from a hundredth of a millionth to a thousandth."""
    return min(100.0, max(2.0, 20.0 * (math.log10(value / answers.MILLIONTH) + 2.0))) if value > 0 else 0.0


def _data(claims: Sequence[Claim]) -> Markup:
    """Write every claim as JSON for the page's script: each word once, and a claim as the numbers of its words.

    What could end the element that it stands in is escaped.
    """
    at: dict[str, int] = {}
    rows = []
    # the worst first, as the table of steps
    for claim in sorted(claims, key=lambda c: (c.worst.holds, c.worst.criterion == "divergence", -c.worst.ratio)):
        m = claim.worst
        said = {
            **vars(m),
            "criterion": answers.CRITERIA[m.criterion],
            "property": answers.in_words(m.property),
            "verdict": answers.VERDICTS[claim.verdict],
        }
        numbers = (getattr(m, name) for name in _NUMBERS)
        rows.append([
            *(at.setdefault(said[name], len(at)) for name in _WORDS),
            claim.n_cases,
            *(plain(value if value in (0.0, 1.0) else float(f"{value:.3g}")) for value in numbers),
        ])  # fmt: skip
    columns = [*_WORDS, "n_cases", *_NUMBERS]
    text = json.dumps({"words": list(at), "columns": columns, "rows": rows}, separators=(",", ":"), allow_nan=False)
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return Markup(text)


def _lines(value: Any) -> list[tuple[str, str]]:
    """List nested dictionaries as (dotted name, value) pairs."""
    out: list[tuple[str, str]] = []
    for name, item in value.items():
        if isinstance(item, dict):
            out += [(f"{name}.{inner}", text) for inner, text in _lines(item)]
        else:
            out.append((name, " ".join(map(str, item)) if isinstance(item, list) else str(item)))
    return out
