"""Certificates made by hand, with every kind of content that the page and the terminal can show."""

from __future__ import annotations

from dataclasses import replace

from parity.divergences import DIVERGENCES
from parity.report.certificate import Certificate
from parity.report.claims import Claim
from parity.report.page import Picture
from parity_tests.helpers.certificates import measured

HOLDS = measured(
    rung="leaf", reference="og_leaf", domain="speech", observed=5.3e-7, bound=1e-6, case="the sentence",
    reproduce="leaf-ladder replay leaf 'seed=3'", reason="twice the difference of the original from itself",
)  # fmt: skip
STEPS = {"tf_leaf": "original", "og_leaf": "tf_leaf", "leaf": "og_leaf", "efficientleaf": "leaf"}
ERRORS = {"tf_leaf": 1.3e-7, "og_leaf": 2.1e-7, "leaf": 5.3e-7, "efficientleaf": 2.8e-7}
# a white dot
DOT = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
    "1f15c4890000000d49444154789c63f8ffffff7f0009fb03fd05"
    "43459a0000000049454e44ae426082"
)
PICTURES = [Picture(f"Picture {n}", "Look for a dot.", f"A white dot, number {n}.", DOT) for n in range(6)]
RECORD = {
    "name": "long", "title": "PCEN over length", "note": "To ten million frames.", "command": "leaf-ladder long",
    "commit": "abc123456", "date": "2026-11-25T00:00:00+00:00", "machine": {"cpu": {"model": "a processor"}},
    "sources": {"leaf/pcen.py": "0"}, "rows": [{"frames": 1000, "error": 1e-7}], "changed": ["leaf/pcen.py"],
}  # fmt: skip
EVIDENCE = {
    "faults": [
        {"name": f"leaf/bug-{n}", "kind": "bug", "caught": True, "caught_at": "forward, ema", "criterion": "direct",
         "ratio": 10.0**n, "statement": "the smoother starts from zero"} for n in range(1, 4)
    ],
    "benign": [{"name": "leaf/rewrite", "outcome": "passed", "statement": "in blocks", "reason": "a sum is a sum"}],
    "resolution": [{"rung": "leaf", "name": "PCEN/alpha", "kind": "parameter", "at": "output", "change": 1e-12,
                    "single": 1e-5}],
    "k": [{"reference": "og_leaf", "property": "forward", "stage": "ema", "k": 1.06, "set_by": "threads"}],
    "search": [{"rung": "leaf", "n_examples": 10000, "worst_ratio": 0.98, "worst_at": "forward, ema",
                "reproduce": "leaf-ladder replay leaf-alone 'seed=1'", "recorded": "2026-11-25"}],
    "evidence": [{"file": "test_faults.py", "measured": "2026-11-20", "hash": "0123456789abcdef", "reused": "yes"}],
}  # fmt: skip


def claims() -> list[Claim]:
    """Each step on speech, forward and gradients; every declared difference."""
    out = []
    for rung, reference in STEPS.items():
        base = replace(HOLDS, rung=rung, reference=reference, observed=ERRORS[rung], case=f"sentence of {rung}")
        out += [base, replace(base, stage="input", property="input gradient", bound=5e-6)]
        out.append(replace(base, stage="PCEN/delta", property="parameter gradient", bound=5e-6))
        out.append(replace(base, reference="oracle", criterion="soundness", bound=1e-6, domain="drawn cases"))
    out += [
        replace(HOLDS, rung=d.between[1], reference=d.between[0], domain=d.name, criterion="divergence",
                relation="divergent", observed=d.at_least, at_least=d.at_least, bound=max(d.at_least, d.at_most))
        for d in DIVERGENCES
    ]  # fmt: skip
    return [Claim(m, 1, m.observed, m.observed) for m in out]


def certificate(own: list[Claim] | None = None, **changes) -> Certificate:
    """A certificate of these claims, with all sections filled."""
    filled = {
        "environment": {"python": "3.11.7", "cpu": {"model": "a processor", "cores": 2}},
        "date": "2026-11-28T18:26:37+00:00", "duration_s": 913.0, "command": "pytest parity_tests",
        "tests": {"passed": 2906}, "evidence": EVIDENCE, "recorded": [RECORD],
        "skipped": [{"test": "parity_tests/test_x.py::test_y", "reason": "not today", "outcome": "skipped"}],
    }  # fmt: skip
    return Certificate(claims=claims() if own is None else own, **{**filled, **changes})


def failing() -> Certificate:
    """One claim of many does not hold."""
    bad = replace(HOLDS, observed=2e-6, stage="ema", case="the sentence that fails")
    own = [*claims(), Claim(bad, 1, 2e-6, 2e-6)]
    return certificate(own, failures=["claims failed: 1"])


def large(n: int = 3700) -> Certificate:
    """As many claims, steps, planted bugs and rows as the whole ladder has, no two alike."""
    rungs = list(STEPS.items())
    own = []
    for i in range(n):
        rung, reference = rungs[i % 4]
        case = f"weights=drawn,signal=chirp,n_samples={i},batch=2,amplitude={i / 7:.4g},seed={i * 7919}"
        m = replace(
            HOLDS, rung=rung, reference=reference, stage=f"stage {i % 37}", domain=f"drawn, domain {i % 57}",
            observed=1e-6 * (i % 999) / 1000, case=case, reproduce=f"leaf-ladder replay {rung} '{case}'",
        )  # fmt: skip
        own.append(Claim(m, i % 100 + 1, m.observed, m.observed))
    faults = [{**EVIDENCE["faults"][0], "name": f"leaf/bug-{i}"} for i in range(175)]
    coverage = [{"step": "leaf", "what": f"dimension {i}", "classes": "one 50, two 50"} for i in range(80)]
    return certificate([*claims(), *own], evidence={**EVIDENCE, "faults": faults, "coverage": coverage})
