"""Every numeric bound of the suite sits in a criterion, with its derivation."""

from __future__ import annotations

from pathlib import Path

import pytest

from parity_tests.house.literals import unreasoned

SUITE = Path(__file__).parents[1]


def test_no_bound_without_a_reason():
    offences = [
        f"{path.relative_to(SUITE.parent)}:{line}: {kind}"
        for path in sorted(SUITE.rglob("*.py"))
        for line, kind in unreasoned(path.read_text(encoding="utf-8"))
    ]
    assert offences == []


@pytest.mark.parametrize(("source", "kind"), [
    ("assert error < 1e-6", "comparison"),
    ("assert 0 <= error <= 2.0**-22", "comparison"),
    ("assert -0.5 > error", "comparison"),
    ("ok = [value for value in values if value != 0.1]", "comparison"),
    ("assert got == {'alpha': [0.96]}", "comparison"),
    ("assert gradient(0.3) == 0", "comparison"),
    ("while error > float(1e3): pass", "comparison"),
    ("assert error.lt(1e-6).all()", "comparison"),
    ("np.testing.assert_array_less(error, 1e-6)", "comparison"),
    ("LIMIT = 1e-6\nassert error < LIMIT", "comparison"),
    ("LIMIT: float = 4 * 2.0**-24\nassert error < 3 * LIMIT", "comparison"),
    ("assert error < (limit := -1e-6)", "comparison"),
    ("check(a, b, rtol=1e-6)", "tolerance"),
    ("check(a, b, atol=4 * 2.0**-24)", "tolerance"),
    ("U = 2.0**-24\ncheck(a, b, tolerance=U)", "tolerance"),
    ("assert a == pytest.approx(b)", "approximate"),
    ("assert np.allclose(a, b)", "approximate"),
    ("assert math.isclose(a, b, rel_tol=limit)", "approximate"),
    ("torch.testing.assert_close(a, b)", "approximate"),
    ("criterion = OfMax(1e-6, '')", "criterion without a reason"),
    ("criterion = criteria.RelativeL2(limit=1e-6)", "criterion without a reason"),
])  # fmt: skip
def test_finds_a_planted_offence(source, kind):
    found = unreasoned(f"import numpy as np\n\n\ndef test():\n    x = 1\n\n\n{source}\n")
    assert kind in {offence for _, offence in found}
    assert {line for line, _ in found} <= {8, 9}


@pytest.mark.parametrize("source", [
    "assert OfMax(1e-6, 'twice the reference').limit > criterion.limit",
    "criterion = RelativeL2(limit=1e-6, reason='twice the reference')\nassert criterion(a, b).passes",
    "criterion = OfMax(4 * 2.0**-24, f'{n} roundings')\nassert criterion(0.5 * a, b).passes",
    "assert n_frames == 3",
    "assert error < criterion.limit",
    "x = 0.5\nassert criterion(f(x), g(x)).passes",
    "assert status(a, b).passes",
    "from parity.report.claims import SLACK_LIMIT\nassert slack > SLACK_LIMIT",
])  # fmt: skip
def test_leaves_alone_what_has_a_reason(source):
    assert unreasoned(source) == []


def test_names_the_line():
    assert unreasoned("a = 1\n\nassert a < 0.5\nassert allclose(a, 1)\n") == [(3, "comparison"), (4, "approximate")]
