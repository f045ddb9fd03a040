"""The certificate can fail: every planted fault is caught where it should be, and nothing benign is refused."""

from __future__ import annotations

from collections import Counter

import pytest

from parity.mutation import benign, faults
from parity.mutation.runner import attempt, unplanted

pytestmark = [pytest.mark.usefixtures("tensorflow"), pytest.mark.certificate_evidence]
FEWEST_FAULTS, FEWEST_BENIGN = 80, 12
# What ports of LEAF have got wrong, or could.
KINDS = {
    "mel log base", "mel constants", "triangles linear in Hz", "> for >= in the width",
    "half of the filter, not of its root", "hard-coded rate or band edges", "another n_fft", "clamp dropped",
    "clamp widened by 2", "clamp of a wrong constant", "clamp through .data", "clamp not after the step",
    "sort without the sigmas", "time axis off by one at even size", "conjugate", "re/im order",
    "blocks fed to the pairwise modulus", "missing normalisation", "reduced precision", "mean for sum, abs for square",
    "centred padding", "extra pad on the other side", "K/2 for (K-1)/2", "window clip constants", "normalised window",
    "bias on energies", "channel permutation", "floor as addition", "floor of another value", "floor at another place",
    "zero start of the smoother", "ignored initial state", "lagged smoother", "s and 1-s exchanged", "s unclipped",
    "eps in another place", "eps of another value", "min for max", "r for 1/r", "subtraction dropped", "tie gradients",
    "delta clamped", "norm axis", "unbiased variance", "eps of the norm", "momentum of the norm", "another median",
    "base of the exponent", "stride search side", "even kernel kept", "missing gain", "shared default module",
    "tensor that is no buffer", "input changed in place", "state leaking between calls",
}  # fmt: skip


@pytest.mark.parametrize("rung", ["leaf", "efficientleaf", "og_leaf", "tf_leaf"])
def test_a_rung_passes_without_a_fault(rung):
    """First, as all others are held against what is computed here."""
    trial, _ = unplanted(rung)
    assert not trial.caught, f"{trial.raised}\n{trial.first}"
    assert trial.n_measured


@pytest.mark.parametrize("fault", faults(), ids=lambda fault: fault.name)
def test_is_caught_where_it_is(fault, ledger):
    trial = attempt(fault)
    first, as_declared = trial.first, trial.as_declared(fault)
    ledger.note(
        "faults",
        name=fault.name,
        kind=fault.kind,
        caught=trial.caught,
        caught_at=f"{first.property}, {first.stage}" if first else "status, output",
        criterion=fault.criterion if as_declared else (first.criterion if first else "status"),
        ratio=first.ratio if first else float("inf"),
        statement=fault.statement,
    )
    assert trial.caught, f"nothing noticed: {fault.statement}"
    assert as_declared, (
        f"declared at {fault.property}, {fault.stage}, {fault.criterion}; caught: {trial.raised}\n{first}"
    )


@pytest.mark.parametrize("change", benign(), ids=lambda change: change.name)
def test_is_let_pass(change, ledger):
    trial = attempt(change)
    outcome = "refused" if trial.caught else "passed"
    ledger.note("benign", name=change.name, outcome=outcome, statement=change.statement, reason=change.reason)
    assert not trial.caught, f"{trial.raised}\n{trial.first}"


def test_there_are_enough_of_every_kind_under_names_of_their_own():
    assert len(faults()) >= FEWEST_FAULTS
    assert len(benign()) >= FEWEST_BENIGN
    assert {fault.kind for fault in faults()} == KINDS
    names = Counter(planted.name for planted in (*faults(), *benign()))
    assert [name for name, n in names.items() if n > 1] == []
