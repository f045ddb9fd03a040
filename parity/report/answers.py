"""The five questions that a reader comes with, answered from a certificate in words, for the page and the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from parity.report import ladder
from parity.report.certificate import Certificate
from parity.report.claims import Claim
from parity.report.instrument import of_the_ladder
from parity.report.words import counted, failure, millionths, percent

# what a domain's claims are measured on, by how its name begins; {n} is the largest number of cases of a claim
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


@dataclass(frozen=True)
class Answer:
    """One question.

    Attributes:
        question: as a reader asks it.
        short: the answer in a few words; empty where the lines say it.
        lines: sentences, or items of a list.
    """

    question: str
    short: str
    lines: tuple[str, ...]


def answers(certificate: Certificate) -> list[Answer]:
    """Is it LEAF, how closely, on what, how was it shown, what is not covered."""
    return [answer(certificate) for answer in (_is_it, _how_closely, _on_what, _how_shown, _rest)]


def failed(claims: Sequence[Claim]) -> list[Claim]:
    """The claims that do not hold, the farthest beyond its limit first."""
    return sorted((c for c in claims if not c.worst.holds), key=lambda c: -c.worst.ratio)


def headline(certificate: Certificate) -> str:
    """The verdict in one sentence."""
    n, bad = len(certificate.claims), len(failed(certificate.claims))
    if bad:
        return f"{bad:,} of {counted(n, 'claim')} {'does' if bad == 1 else 'do'} not hold"
    if certificate.failures:
        return (
            f"{certificate.failures[0]}; {_all_of(n)} that {'was' if n == 1 else 'were'} measured hold{'s' * (n == 1)}"
        )
    tests = sum(certificate.tests.values())
    return f"{_all_of(n)} hold{'s' * (n == 1)}, in {counted(tests, 'test')}"


def failures_in_words(certificate: Certificate, most: int) -> tuple[list[tuple[Claim, str]], int]:
    """The worst failed claims with a sentence each, and how many more there are."""
    bad = failed(certificate.claims)
    return [(claim, failure(claim)) for claim in bad[:most]], max(0, len(bad) - most)


def _all_of(n: int) -> str:
    return {0: "no claim", 1: "the one claim"}.get(n, f"all {n:,} claims")


def _is_it(certificate: Certificate) -> Answer:
    question = "Is it LEAF?"
    if certificate.failures:
        return Answer(question, "Not shown by this run.", (f"{headline(certificate)}.",))
    if not of_the_ladder(certificate.claims):
        rungs = dict.fromkeys(c.worst.rung for c in certificate.claims)
        lines = (f"{', '.join(rungs)}: {headline(certificate)}.",)
        return Answer("Is it what it claims to be?", "Yes, where it was measured.", lines)
    steps = ladder.steps(certificate.claims)
    if missing := [step.rung for step in steps if step.used is None]:
        short = "Not asked by this run." if len(missing) == len(steps) else "Yes, where it was measured."
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
    found = [s for s in ladder.steps(certificate.claims) if s.used is not None]
    differences = ladder.differences(certificate.claims)
    output = differences.pop("output")
    gradients = [v for v in differences.values() if v is not None]
    lines = []
    parts = (
        [] if output is None else [f"outputs differ by at most {millionths(output)} millionths of the largest value"]
    )
    if gradients:
        parts.append(f"gradients by at most {millionths(max(gradients))} millionths of their L2 norm")
    if parts:
        lines.append(f"From rung to rung and from the original, {', '.join(parts)}.")
    elif found:
        lines.append("Neither the original's recorded numbers nor speech were measured in this run.")
    held = [c.worst.ratio for c in certificate.claims if c.worst.criterion != "divergence"]
    if held and output is None:
        lines.append(f"The worst claim uses {percent(max(held))} % of its limit.")
    return Answer("How closely?", "", tuple(lines) or ("Nothing was measured.",))


def _on_what(certificate: Certificate) -> Answer:
    out = []
    for starts, words in MEASURED_ON.items():
        own = [c for c in certificate.claims if c.worst.domain.startswith(starts) and c.worst.criterion != "divergence"]
        if own:
            largest = {
                start: max((c.n_cases for c in own if c.worst.domain.startswith(start)), default=0) for start in starts
            }
            n = sum(largest.values()) if starts[0] == "goldens" else max(largest.values())
            out.append(words.format(n=n))
    if not out:
        domains = list(dict.fromkeys(c.worst.domain for c in certificate.claims))
        out = [f"{', '.join(domains[:4])}{' and more' * (len(domains) > 4)}"] if domains else ["nothing"]
    return Answer("On what?", "", (_sentence("; ".join(out)),))


def _how_shown(certificate: Certificate) -> Answer:
    lines = [
        "Each rung is compared, stage by stage, with the one below and with LEAF in float64, written apart from all."
    ]
    evidence = certificate.evidence
    if faults := evidence.get("faults"):
        killed = sum(row["killed"] for row in faults)
        text = f"{killed} of {counted(len(faults), 'bug')} planted on purpose {'was' if killed == 1 else 'were'} caught"
        if benign := evidence.get("benign"):
            refused = sum(row["verdict"] != "passed" for row in benign)
            text += f", {refused} of {counted(len(benign), 'harmless rewrite')} refused"
        dates = sorted({row["measured"] for row in evidence.get("evidence", ()) if row["reused"] == "yes"})
        lines.append(f"{text}{f' (measured {dates[0]}, with the same files)' if dates else ''}.")
    else:
        lines.append("No bug was planted in this run: tox -e faults does.")
    return Answer("How was it shown?", "", tuple(lines))


def _rest(certificate: Certificate) -> Answer:
    lines = list(NOT_COVERED) if of_the_ladder(certificate.claims) else []
    if n := len(certificate.skipped):
        lines.append(f"{counted(n, 'test')} that {'was' if n == 1 else 'were'} skipped or expected to fail")
    if of_the_ladder(certificate.claims) and certificate.evidence and not certificate.evidence.get("faults"):
        lines.append("whether bugs would have been caught")
    return Answer("What is not covered?", "", tuple(map(_sentence, lines)) or ("Whatever the claims do not name.",))


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
