"""A certificate in words: the ladder's steps in one unit, and the five questions that a reader comes with."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from parity.adapters.rungs import RUNGS
from parity.report.cells import of_the_ladder
from parity.report.certificate import Certificate
from parity.report.claims import Claim
from parity.report.instrument import reused

MILLIONTH = 1e-6
# what each criterion asks of the candidate, and what is said where it does not hold
CRITERIA = {
    "status": "status: same shape, type and places of NaN and infinity",
    "accuracy": "accuracy: no less accurate than the reference",
    "soundness": "soundness: no farther from float64 than its own rounding",
    "direct": "direct: close to the reference",
    "divergence": "divergence: a declared difference of its declared size",
}
_BROKEN = {
    "status": "differs in shape, type, refusals or places of NaN and infinity",
    "accuracy": "is less accurate than its reference",
    "soundness": "is farther from the float64 computation than rounding explains",
    "direct": "is too far from its reference",
    "divergence": "has a declared difference of another size than declared",
}
VERDICTS = {
    "certified": "holds",
    "slack": "holds, with a wide limit",
    "divergence": "declared difference",
    "failed": "failed",
}
_PROPERTIES = {"forward": "output", "bridge round trip": "weights, there and back"}
# where a difference is measured against the reference's own size, and not against a bound
DOMAINS = ("goldens", "speech")
ORIGINAL = "google-research/leaf-audio, 2021"
UNIT = (
    "Both figures are in millionths of the reference. Output: the largest difference over the largest value. Gradient: "
    "the length of the difference over that of the gradient, worst tensor. One float32 rounding is 0.06."
)
UNIT_BRIEF = (
    "(in millionths of the reference: an output's of its largest value, a gradient's of its length; one float32 "
    "rounding is 0.06)"
)
# what a domain's claims are measured on, by how its name begins; {n} counts the goldens, or the cases of the claim that
# has most of them
MEASURED_ON = {
    ("goldens", "lessons"): "{n} recordings of the untouched original",
    ("speech",): "a spoken sentence of 3 seconds",
    ("drawn", "compressions, drawn"): "configurations, weights and signals drawn at random (up to {n} draws a claim)",
    ("subjects",): "every public name of the original by itself",
    ("ties", "beyond", "the worst of the searched"): "values on the edge of every limit, and the worst cases found",
    ("interior weights", "through the clamp", "100 free"): "single training steps, and 100 steps in a row",
    ("ten minutes", "in chunks"): "long and streamed audio, up to 10 minutes",
}
# of the ladder as a whole, whatever a run has measured
NOT_COVERED = (
    "SpecAugment against the original, whose code needs lingvo: ours is written after it",
    "GPUs, float16, and bfloat16 beyond the forward pass",
    "whole front ends on more than 4000 samples of drawn audio or 3 seconds of speech; what follows the "
    "pooling is tested on 10 minutes",
    "bit equality of tf_leaf and the original across versions of TensorFlow, where they agree to rounding",
)


def in_words(name: str) -> str:
    """Name in words what is compared: ``forward`` is an output."""
    return _PROPERTIES.get(name, name)


def millionths(value: float | None) -> str:
    """Show a fraction as millionths, two digits; a dash for what was not measured."""
    if value is None:
        return "-"
    scaled = value / MILLIONTH
    return f"{scaled:,.0f}" if scaled >= 100 else f"{scaled:.2g}"


def brief(value: float) -> str:
    """Show two digits; a whole small number as such."""
    return f"{value:.2g}"


def percent(ratio: float) -> str:
    """Show a share of a limit in percent."""
    scaled = 100 * ratio
    if scaled == 0:
        return "0"
    if scaled < 1:
        return "<1"
    if 99 <= scaled < 100:  # what holds is never shown as if it had reached its limit
        return f"{math.floor(10 * scaled) / 10:.1f}"
    return f"{min(scaled, 1e15):,.0f}" if scaled < float("inf") else "∞"


def failure(claim: Claim) -> str:
    """Say as a sentence what does not hold."""
    m = claim.worst
    allowed = f"at most {m.bound:.3g} is allowed"
    if m.criterion == "divergence":
        allowed = f"{m.at_least:.3g} to {m.bound:.3g} is declared"
    against = "the float64 computation" if m.reference == "oracle" else m.reference
    return (
        f"{m.rung} {_BROKEN[m.criterion]}: {in_words(m.property)}, at {m.stage}, {m.domain}, against {against}. "
        f"Measured {m.observed:.3g}; {allowed}."
    )


class Row(NamedTuple):
    """Claims of one step, property and domain; certified ones and declared divergences apart.

    Attributes:
        worst: the claim nearest to failing.
        n_claims: of all stages, types, criteria and relations.
        n_cases: of the claim that was measured on most of them: the stages of a case are not more cases.
        verdict: the one of the worst claim, but ``slack`` only when every claim of the row is.
    """

    worst: Claim
    n_claims: int
    n_cases: int
    verdict: str


def worst_first(claims: Sequence[Claim]) -> list[Row]:
    """List the rows that are held to a limit, those that fail first, then by the share that the worst case uses."""
    held = [row for row in grouped(claims) if row.worst.worst.criterion != "divergence" or row.verdict == "failed"]
    return sorted(held, key=lambda row: (row.worst.worst.holds, -row.worst.worst.ratio))


def grouped(claims: Sequence[Claim]) -> list[Row]:
    """Put all claims in rows."""
    groups: dict[tuple[object, ...], list[Claim]] = {}
    for claim in claims:
        m = claim.worst
        kind = m.rung, m.reference, m.property, m.domain, m.criterion == "divergence"
        groups.setdefault(kind, []).append(claim)
    return [_row(group) for group in groups.values()]


def _row(claims: Sequence[Claim]) -> Row:
    worst = max(claims, key=lambda c: (not c.worst.holds, c.worst.ratio))
    verdict = min((c.verdict for c in claims), key=("failed", "certified", "slack", "divergence").index)
    return Row(worst, len(claims), max(c.n_cases for c in claims), verdict)


class LadderStep(NamedTuple):
    """A candidate held against a reference.

    Attributes:
        rung: the candidate.
        title: what it is, in a few words.
        reference: what it is held against.
        output: the worst relative difference of an output; None where none was measured.
        gradient: the worst of a gradient, in L2.
        used: how much of its limit the worst claim of the step uses; None without claims.
        failed: claims that do not hold.
    """

    rung: str
    title: str
    reference: str
    output: float | None
    gradient: float | None
    used: float | None
    failed: int


def steps(claims: Sequence[Claim]) -> list[LadderStep]:
    """List the steps from the top down; of a certificate of ports alone, each port and what it is held against."""
    if of_the_ladder(claims) or not claims:
        titles = {rung.name: rung.title for rung in RUNGS.values()}
        titles["efficientleaf"] += ", its approximation off"
        return [_step(claims, rung.name, titles[rung.name], rung.reference) for rung in reversed(RUNGS.values())]
    found = dict.fromkeys((c.worst.rung, c.worst.reference) for c in claims)
    pairs = [pair for pair in found if pair[1] != "oracle"] or list(found)
    return [_step(claims, rung, "a port", reference) for rung, reference in pairs]


def _step(claims: Sequence[Claim], rung: str, title: str, reference: str) -> LadderStep:
    own = [c for c in claims if (c.worst.rung, c.worst.reference) == (rung, reference)]
    output, *gradients = _largest([c for c in own if _is_relative(c)])
    held = [c.worst.ratio for c in own if c.worst.criterion != "divergence"]
    failures = sum(not c.worst.holds for c in own)
    return LadderStep(rung, title, reference, output, _most(gradients), max(held, default=None), failures)


def differences(claims: Sequence[Claim]) -> dict[tuple[str, str, str], list[float | None]]:
    """Find the worst output, input gradient and parameter gradient of every (candidate, reference, domain).

    Only differences that are measured against the reference's own size count: where terms cancel, a gradient is judged
    against float64 instead and has no such figure.
    """
    groups: dict[tuple[str, str, str], list[Claim]] = {}
    for claim in filter(_is_relative, claims):
        groups.setdefault((claim.worst.rung, claim.worst.reference, claim.worst.domain), []).append(claim)
    return {group: _largest(own) for group, own in groups.items()}


def _is_relative(claim: Claim) -> bool:
    """Tell whether the claim's figures are fractions of the reference's own size.

    In the domains of :meth:`parity.checks.grid.Context.aside` they are fractions of a bound.
    """
    m = claim.worst
    return m.criterion == "direct" and m.dtype == "float32" and m.domain in DOMAINS


def _largest(claims: Sequence[Claim]) -> list[float | None]:
    """Find the largest difference of an output, an input gradient and a parameter gradient, or None."""
    output = [c.highest for c in claims if c.worst.property == "forward" and c.worst.stage == "output"]
    gradients = [[c.highest for c in claims if c.worst.property == f"{of} gradient"] for of in ("input", "parameter")]
    return [max(values, default=None) for values in (output, *gradients)]


def _most(values: Sequence[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)


def failed(claims: Sequence[Claim]) -> list[Claim]:
    """List the claims that do not hold, the farthest beyond its limit first."""
    return sorted((c for c in claims if not c.worst.holds), key=lambda c: -c.worst.ratio)


def headline(certificate: Certificate) -> str:
    """Say the verdict in one sentence."""
    n, bad = len(certificate.claims), len(failed(certificate.claims))
    every = {0: "no claim", 1: "the one claim"}.get(n, f"all {n:,} claims")
    holds = "holds" if n == 1 else "hold"
    if bad:
        return f"{bad:,} of {_counted(n, 'claim')} {'does' if bad == 1 else 'do'} not hold"
    if certificate.failures:
        return f"{certificate.failures[0]}; {every} that {'was' if n == 1 else 'were'} measured {holds}"
    return f"{every} {holds}, in {_counted(sum(certificate.tests.values()), 'test')}"


class Answer(NamedTuple):
    """A question as a reader asks it, its answer in a few words (or none), and sentences."""

    question: str
    short: str
    lines: tuple[str, ...]


def answers(certificate: Certificate) -> list[Answer]:
    """Is it LEAF, how closely, on what, how was it shown, what is not covered."""
    return [answer(certificate) for answer in (_is_it, _how_closely, _on_what, _how_shown, _rest)]


def _is_it(certificate: Certificate) -> Answer:
    question = "Is it LEAF?"
    if certificate.failures:
        return Answer(question, "Not shown by this run.", (f"{headline(certificate)}.",))
    if not of_the_ladder(certificate.claims):
        rungs = ", ".join(dict.fromkeys(c.worst.rung for c in certificate.claims))
        lines = (f"{rungs}: {headline(certificate)}.",)
        return Answer("Is it what it claims to be?", "Yes, where it was measured.", lines)
    found = steps(certificate.claims)
    if missing := [step.rung for step in found if step.used is None]:
        short = "Not asked by this run." if len(missing) == len(found) else "Yes, where it was measured."
        return Answer(question, short, (f"Not compared with the rung below: {', '.join(missing)}.",))
    return Answer(
        question,
        "Yes, to rounding.",
        (
            "With the same weights tf_leaf and og_leaf compute what the original computes; so do leaf with "
            'padding="same" and efficientleaf with its approximation off. Other defaults differ on purpose.',
        ),
    )


def _how_closely(certificate: Certificate) -> Answer:
    output, *gradients = _largest([c for c in certificate.claims if _is_relative(c)])
    gradient = _most(gradients)
    parts, lines = [], []
    if output is not None:
        parts.append(f"outputs differ by at most {millionths(output)} millionths of the largest value")
    if gradient is not None:
        parts.append(f"gradients by at most {millionths(gradient)} millionths of their L2 norm")
    if parts:
        lines.append(f"From rung to rung and from the original, {', '.join(parts)}.")
    elif any(step.used is not None for step in steps(certificate.claims)):
        lines.append("Neither the original's recorded numbers nor speech were measured in this run.")
    held = [c.worst.ratio for c in certificate.claims if c.worst.criterion != "divergence"]
    if held and output is None:
        lines.append(f"The worst claim uses {percent(max(held))} % of its limit.")
    return Answer("How closely?", "", tuple(lines) or ("Nothing was measured.",))


def _on_what(certificate: Certificate) -> Answer:
    out = []
    for starts, words in MEASURED_ON.items():
        # by each beginning, the cases of the claim that was measured on most of them
        cases = [
            max((c.n_cases for c in certificate.claims if c.worst.domain.startswith(start)
                 and c.worst.criterion != "divergence"), default=0)
            for start in starts
        ]  # fmt: skip
        if any(cases):
            out.append(words.format(n=sum(cases) if starts[0] == "goldens" else max(cases)))
    if not out:
        domains = list(dict.fromkeys(c.worst.domain for c in certificate.claims))
        out = [f"{', '.join(domains[:4])}{' and more' * (len(domains) > 4)}"] if domains else ["nothing"]
    return Answer("On what?", "", (_sentence("; ".join(out)),))


def _how_shown(certificate: Certificate) -> Answer:
    compared = (
        "Each rung is compared, stage by stage, with the one below and with LEAF in float64, written apart from all."
    )
    faults, benign = certificate.evidence.get("faults"), certificate.evidence.get("benign")
    if not faults:
        return Answer("How was it shown?", "", (compared, "No bug was planted in this run: tox -e faults does."))
    caught = sum(row["caught"] for row in faults)
    text = f"{caught} of {_counted(len(faults), 'bug')} planted on purpose {'was' if caught == 1 else 'were'} caught"
    if benign:
        refused = sum(row["outcome"] != "passed" for row in benign)
        text += f", {refused} of {_counted(len(benign), 'harmless rewrite')} refused"
    if dates := reused(certificate.evidence):
        text += f" (measured {dates[0]}, with the same files)"
    return Answer("How was it shown?", "", (compared, f"{text}."))


def _rest(certificate: Certificate) -> Answer:
    lines = list(NOT_COVERED) if of_the_ladder(certificate.claims) else []
    if n := len(certificate.skipped):
        lines.append(f"{_counted(n, 'test')} that {'was' if n == 1 else 'were'} skipped or expected to fail")
    if of_the_ladder(certificate.claims) and certificate.evidence and not certificate.evidence.get("faults"):
        lines.append("whether bugs would have been caught")
    return Answer("What is not covered?", "", tuple(map(_sentence, lines)) or ("Whatever the claims do not name.",))


def _counted(n: int, one: str) -> str:
    """``1 claim``, ``2,906 claims``."""
    return f"{n:,} {one if n == 1 else one + 's'}"


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
