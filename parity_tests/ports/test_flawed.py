"""Four bugs that ports of LEAF have had, in a small port: each is found, located and named, in one run."""

from __future__ import annotations

import re
from functools import cache

import pytest

from parity.ports import Port, certify
from parity.ports.__main__ import main
from parity.report.claims import MeasurementLog
from parity_tests.ports.bench import CERTIFY, FOLDER, N_CASES, Bench, flawed
from parity_tests.ports.flawed import BUGS

GRADIENTS = {"kernel", "learnable_pooling/kernel", "PCEN/alpha", "PCEN/delta", "PCEN/root", "PCEN/EMA/smooth", "input"}
STAGES = {"windows", "conv", "modulus", "pool", "ema", "output"}
# Where each is to be found, and what is said of it.
NAMED = {
    "half of the window": ("windows", "is centred on K / 2 and K / 2 wide, where (K - 1) / 2 is meant"),
    "bias on the energies": ("pool", "is 1 too large everywhere"),
    "zero start": ("ema", "starts from 0, not from the first frame"),
    "half gradients": ("PCEN/alpha", "half of the gradient at alpha = 1, where TensorFlow's is whole"),
}


@pytest.fixture(scope="module")
def examined():
    """Find what is wrong with the port with these bugs; each set of them is examined once."""
    bench = Bench(flawed(()))
    return cache(lambda *bugs: bench.examine(flawed(bugs)))


def named(found):
    return [(finding.stage, finding.what) for finding in found.findings]


def test_every_bug_has_a_name():
    assert tuple(NAMED) == BUGS


@pytest.mark.parametrize("bug", BUGS)
def test_bug_is_found_and_named(bug, examined):
    stage, sentence = NAMED[bug]
    assert named(examined(bug)) == [(stage, (sentence,))]


def test_all_bugs_are_named_in_one_run(examined):
    found = examined(*BUGS)
    assert named(found) == [(stage, (sentence,)) for stage, sentence in NAMED.values()]
    assert set(found.inherits) <= {"output", *GRADIENTS}
    assert {"conv", "modulus"} <= set(found.holding)


def test_two_values_their_index_and_the_smallest_case_are_shown(examined):
    found = examined("bias on the energies").findings[0]
    number = r"([-+.e\d]+)"
    got, wanted = map(
        float, re.fullmatch(rf"pool\[\d, \d, \d+\] is {number}, must be {number}", found.example).groups()
    )
    assert round(got - wanted, 3) == 1
    assert "signal=silence" not in found.again
    assert int(found.on.split("/")[1]) == N_CASES


def test_ratio_stands_in_a_column_and_not_in_the_sentence(examined):
    text = str(examined("bias on the energies"))
    assert re.search(r'^  [\d.e+]+ +\d/\d +stage "pool": is 1 too large everywhere$', text, re.MULTILINE)
    assert "times its bound" not in text


def test_half_a_gradient_is_told_from_every_other(examined):
    assert set(examined("half gradients").holding) >= (STAGES | GRADIENTS) - {"PCEN/alpha"}


def test_stage_that_is_not_shown_is_named(examined):
    shown = examined("zero start")
    assert shown.unseen == ["floor", "pcen"]
    stages = {name: stage for name, stage in flawed(()).stages.items() if name in ("conv", "pool")}
    hiding = flawed(["zero start", "half of the window"], stages=stages)
    assert named(Bench(hiding).examine(hiding)) == [
        ("windows", ("is centred on K / 2 and K / 2 wide, where (K - 1) / 2 is meant",)),
        ("output", ("starts from 0, not from the first frame (ema)",)),
    ]


def test_repaired_port_holds(examined):
    repaired = examined()
    assert repaired.findings == []
    assert str(repaired).startswith(f"flawed is og_leaf ({N_CASES} cases)\n")
    measured = {(m.stage, m.dtype) for m in repaired.measured}
    assert measured >= {(stage, dtype) for stage in STAGES | GRADIENTS for dtype in ("float32", "float64")}
    assert {m.criterion for m in repaired.measured} == {"status", "direct", "soundness"}


def test_verdict_names_what_it_does_not_cover(examined):
    text = str(examined())
    for what in ("stages floor, pcen", "initial values", "training", "other compression", "CUDA"):
        assert what in text.partition("not covered:")[2]


def test_case_is_repeated_by_the_command_that_is_printed(examined, capsys):
    first = examined(*BUGS).findings[0]
    command, case = first.again.split(" FILE flawed ")
    assert command == "python -m parity.ports"
    assert main([str(CERTIFY), "flawed", case.strip("'")]) == 1
    printed = capsys.readouterr().out
    for stage, sentence in list(NAMED.values())[:2]:
        assert f'stage "{stage}": {sentence}' in printed


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
    assert row["not_seen"] == "floor, pcen"


def test_page_shows_the_files_as_they_are():
    page = (FOLDER.parents[1] / "docs" / "certify-your-port.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert CERTIFY.read_text(encoding="utf-8") in blocks
    for stage, sentence in NAMED.values():
        assert stage in page
        assert sentence in page


def test_port_is_described_in_a_few_lines():
    assert isinstance(flawed(()), Port)
    assert len(CERTIFY.read_text(encoding="utf-8").splitlines()) < 30
