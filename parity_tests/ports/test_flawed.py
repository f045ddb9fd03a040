"""Four bugs that ports of LEAF have had, in a small port: each is found, and found where it is."""

from __future__ import annotations

import re
from functools import cache

import pytest

from parity.ports import Port, certify
from parity.ports.__main__ import main
from parity.report.measurements import MeasurementLog
from parity_tests.ports.bench import CERTIFY, FOLDER, Bench, flawed
from parity_tests.ports.flawed import BUGS

GRADIENTS = {"kernel", "learnable_pooling/kernel", "PCEN/alpha", "PCEN/delta", "PCEN/root", "PCEN/EMA/smooth", "input"}
TAPS = {"windows", "conv", "modulus", "pool", "ema", "output"}
# Where each is to be found, and what departs with it for certain; of the taps, nothing else does.
LOCATED = {
    "half of the window": ("windows", {"windows", "pool", "ema", "output"}),
    "bias on the energies": ("pool", {"pool", "ema", "output"}),
    "zero start": ("ema", {"ema", "output"}),
    "half gradients": ("PCEN/alpha", {"PCEN/alpha"}),
}


@pytest.fixture(scope="module")
def examined():
    """What is found of the port with these bugs; each set of them is examined once."""
    bench = Bench(flawed(()))
    return cache(lambda *bugs: bench.examine(flawed(bugs)))


def test_every_bug_has_a_place():
    assert tuple(LOCATED) == BUGS


@pytest.mark.parametrize("bug", BUGS)
def test_bug_is_found_and_located(bug, examined):
    found = examined(bug)
    stage, departing = LOCATED[bug]
    assert found.departures[0].stage == stage
    assert found.departures[0].worst.dtype == "float32"
    departed = {d.stage for d in found.departures}
    assert departed & TAPS == departing & TAPS
    assert departing <= departed
    assert f"flawed departs from og_leaf first at {found.departures[0].where} (" in str(found)


def test_half_a_gradient_is_told_from_every_other(examined):
    found = examined("half gradients")
    assert [d.where for d in found.departures] == ["the gradient to PCEN/alpha, on the limits"]
    assert set(found.holding) == (TAPS | GRADIENTS) - {"PCEN/alpha"}


def test_bias_that_no_variable_is_mapped_to_is_named(examined):
    assert examined("bias on the energies").not_carried == ("pooling.bias",)


def test_stage_that_is_not_shown_is_suspected(examined):
    shown = examined("zero start")
    assert shown.suspects == ["floor"]  # between the pooling, which holds, and the smoother
    assert shown.unseen == ["filters", "floor", "pcen"]
    taps = {name: stage for name, stage in flawed(()).taps.items() if name in ("conv", "pool")}
    hiding = flawed(["zero start"], taps=taps)
    hidden = Bench(hiding).examine(hiding)
    assert hidden.departures[0].stage == "output"
    assert hidden.suspects == ["floor", "ema", "pcen"]


def test_repairing_what_is_named_first_ends_at_a_port_that_passes(examined):
    for n, bug in enumerate(BUGS):
        assert examined(*BUGS[n:]).departures[0].stage == LOCATED[bug][0]
    repaired = examined()
    assert repaired.departures == []
    assert str(repaired).startswith("flawed is og_leaf\n")
    measured = {(m.stage, m.dtype) for m in repaired.measured}
    assert measured == {(stage, dtype) for stage in TAPS | GRADIENTS for dtype in ("float32", "float64")}
    assert {m.criterion for m in repaired.measured} == {"status", "direct", "soundness"}


def test_case_is_repeated_by_the_command_that_is_printed(examined, capsys):
    first = examined(*BUGS).departures[0].worst
    command, case = first.reproduce.split(" FILE flawed ")
    assert command == "python -m parity.ports"
    assert main([str(CERTIFY), "flawed", case.strip("'")]) == 1
    printed = capsys.readouterr().out
    assert 'flawed departs from og_leaf first at stage "windows" (direct, ' in printed
    assert f"case:           {first.case}" in printed


def test_suite_is_four_tests_that_end_in_the_ledger(monkeypatch):
    monkeypatch.delenv("PYTEST_CURRENT_TEST")
    tests, ledger = certify(flawed(()), examples=2)(), MeasurementLog()
    names = [name for name in dir(tests) if name.startswith("test_")]
    assert len(names) == 4
    for name in names:
        getattr(tests, name)(ledger)
    assert {c.worst.property for c in ledger.claims} == {
        "status", "forward", "input gradient", "parameter gradient", "bridge round trip"
    }  # fmt: skip
    assert {c.worst.rung for c in ledger.claims} == {"flawed"}
    (row,) = ledger.evidence["ports"]
    assert row["first_departure"] == "none"
    assert row["not_seen"] == "filters, floor, pcen"


def test_page_shows_the_files_as_they_are():
    page = (FOLDER.parents[1] / "docs" / "certify-your-port.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert CERTIFY.read_text(encoding="utf-8") in blocks
    assert 'flawed departs from og_leaf first at stage "windows" (direct, ' in page


def test_port_is_described_in_a_few_lines():
    assert isinstance(flawed(()), Port)
    assert len(CERTIFY.read_text(encoding="utf-8").splitlines()) < 30
