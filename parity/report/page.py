"""``index.html``: the certificate for a person, in one file that needs nothing beside it."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from parity.cases.public_names import PROPERTIES
from parity.divergences import DIVERGENCES, Divergence
from parity.report import instrument, names, table
from parity.report.cells import WHOLE, verdicts
from parity.report.certificate import Certificate
from parity.report.claims import Claim


def render(certificate: Certificate, pictures: Mapping[str, bytes] | None = None) -> str:
    """The page.

    Args:
        certificate: what to show.
        pictures: caption to PNG file.
    """
    ladder = instrument.of_the_ladder(certificate.claims)
    environment = Environment(
        loader=PackageLoader("parity.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["brief"] = table.brief
    html: str = environment.get_template("page.html").render(
        certificate=certificate,
        summary=table.summary(certificate),
        rows=table.rows(certificate.claims),
        observed=table.observed,
        bound=table.bound,
        steps=_steps(certificate),
        divergences=divergences(certificate.claims) if ladder else [],
        names=names.rows(certificate.claims) if ladder else [],
        name_columns=[(rung, property) for rung in WHOLE for property in PROPERTIES],
        pictures={name: base64.b64encode(png).decode() for name, png in (pictures or {}).items()},
        environment=_lines(certificate.environment),
        instrument=instrument.line(certificate) if certificate.evidence else "",
        sections=[
            (title, columns, certificate.evidence[name])
            for name, (title, columns) in instrument.SECTIONS.items()
            if certificate.evidence.get(name)
        ],
        kills=instrument.kills(certificate.evidence.get("faults", [])),
        tightness=instrument.tightness(certificate.claims),
        cells=[v for v in verdicts(certificate.claims) if v.state != "certified"] if ladder else [],
    )
    return html


def divergences(claims: Sequence[Claim]) -> list[tuple[Divergence, list[Claim]]]:
    """Each declared difference between the rungs, with the claims of criterion ``divergence`` that name it.

    A measurement names a divergence in its domain or as its case.
    """
    measured = [c for c in claims if c.worst.criterion == "divergence"]
    return [(d, [c for c in measured if d.name in (c.worst.domain, c.worst.case)]) for d in DIVERGENCES]


def _steps(certificate: Certificate) -> dict[tuple[str, str], list[Claim]]:
    out: dict[tuple[str, str], list[Claim]] = {}
    for claim in certificate.claims:
        out.setdefault((claim.worst.rung, claim.worst.reference), []).append(claim)
    return out


def _lines(value: Any) -> list[tuple[str, str]]:
    """Nested dictionaries as (dotted name, value) pairs."""
    out: list[tuple[str, str]] = []
    for name, item in value.items():
        if isinstance(item, dict):
            out += [(f"{name}.{inner}", text) for inner, text in _lines(item)]
        else:
            out.append((name, " ".join(map(str, item)) if isinstance(item, list) else str(item)))
    return out
