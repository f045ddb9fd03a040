"""The certificate can fail: every planted fault is caught where it should be, and nothing benign is refused."""

from __future__ import annotations

from collections import Counter

import pytest

from parity.criteria import AtMost
from parity.mutation import benign, faults, mutation_runner
from parity.mutation.kinds import KINDS

pytestmark = [pytest.mark.usefixtures("tensorflow"), pytest.mark.certificate_evidence]
FEWEST_FAULTS = AtMost(-80, "minus the number of faults: at least 80 are planted")
FEWEST_BENIGN = AtMost(-12, "minus the number of reformulations: at least 12 are tried")


@pytest.mark.parametrize("fault", faults(), ids=lambda fault: fault.name)
def test_is_caught_where_it_is(fault, ledger):
    outcome = mutation_runner(fault.rung).try_(fault)
    first = outcome.first
    as_declared = outcome.as_declared(fault)
    ledger.note(
        "faults",
        name=fault.name,
        kind=fault.kind,
        killed=outcome.killed,
        caught_at=f"{first.property}, {first.stage}" if first else "status, output",
        criterion=fault.criterion if as_declared else (first.criterion if first else "status"),
        ratio=first.ratio if first else float("inf"),
        statement=fault.statement,
    )
    assert outcome.killed, f"nothing noticed: {fault.statement}"
    assert as_declared, (
        f"declared at {fault.property}, {fault.stage}, {fault.criterion}; caught: {outcome.raised}\n{first}"
    )


@pytest.mark.parametrize("change", benign(), ids=lambda change: change.name)
def test_is_let_pass(change, ledger):
    outcome = mutation_runner(change.rung).try_(change, to_the_end=True)
    verdict = "refused" if outcome.killed else "passed"
    ledger.note("benign", name=change.name, verdict=verdict, statement=change.statement, reason=change.reason)
    assert not outcome.killed, f"{outcome.raised}\n{outcome.first}"


@pytest.mark.parametrize("rung", ["tf_leaf", "og_leaf", "leaf", "efficientleaf"])
def test_a_rung_passes_without_a_fault(rung):
    outcome = mutation_runner(rung).untouched()
    assert not outcome.killed, f"{outcome.raised}\n{outcome.first}"
    assert outcome.n_measured


def test_there_are_enough_of_either():
    assert FEWEST_FAULTS(-len(faults())).passes
    assert FEWEST_BENIGN(-len(benign())).passes


def test_every_kind_is_planted():
    planted = {fault.kind for fault in faults()}
    assert planted == set(KINDS)


def test_names_are_unique():
    names = Counter(planted.name for planted in (*faults(), *benign()))
    assert [name for name, n in names.items() if n > 1] == []
