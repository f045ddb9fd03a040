"""The certificate on a terminal: one screen, and the rest when it is asked for; a line while it is made."""

from __future__ import annotations

import math
import os
import re
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from parity.criteria import AtMost
from parity.report import progress
from parity.report.answers import answers, percent
from parity.report.claims import Claim
from parity.report.session import _without_banners
from parity.report.table import render, render_all
from parity_tests.helpers.certificates import run
from parity_tests.page import made

WIDTH, LINES = 100, 40
NEAR = AtMost(math.log(1.5), "a time left of two thirds to three halves is still of use to who waits")
MADE = {"whole": made.certificate(), "failed": made.failing(), "large": made.large()}
UNREADABLE = (
    "coarsest resolution", "end to end", "mutants", "killed", "keep its meaning", "counted roundings", "G1", "G2",
    "running-error",
)  # fmt: skip
SLOW = """
import time
def test_first(ledger): ledger.check(measurement(stage="ema", property="training step"))
def test_second(): time.sleep(2.5)
"""


@pytest.mark.parametrize("certificate", MADE.values(), ids=MADE)
def test_one_screen(certificate):
    lines = render(certificate).splitlines()
    assert len(lines) <= LINES
    assert max(map(len, lines)) <= WIDTH


def test_as_many_failures_as_there_may_be_still_fit_a_screen():
    many = [f"an empty cell: leaf x stage {n} x forward x float32" for n in range(400)]
    lines = render(made.certificate(failures=many, notes=["n" * 90] * 50)).splitlines()
    assert len(lines) <= LINES
    assert "396 more reasons" in "\n".join(lines)


@pytest.mark.parametrize(("ratio", "shown"), [
    (0.0, "0"), (0.009, "<1"), (0.01, "1"), (0.9899, "99"), (0.9991, "99.9"), (0.99999, "99.9"), (1.0, "100"),
    (1.004, "100"), (12.5, "1,250"), (math.inf, "∞"),
])  # fmt: skip
def test_what_holds_is_never_shown_as_a_whole_limit(ratio, shown):
    assert percent(ratio) == shown


def test_same_answers_as_on_the_page():
    text = " ".join(render(MADE["whole"]).split())
    for answer in answers(MADE["whole"]):
        assert " ".join([answer.question, answer.short, *answer.lines]).replace("  ", " ") in text


def test_failed_claim_comes_first_and_in_words():
    first, second, *_ = render(MADE["failed"]).splitlines()
    n = len(MADE["failed"].claims)
    assert first == f"FAILED: 1 of {n} claims does not hold"
    assert second.startswith("failed: leaf is too far from its reference: output, at ema")


def test_run_that_compares_no_rungs_does_not_say_yes():
    text = render(made.certificate([c for c in made.claims() if c.worst.reference == "oracle"]))
    assert "Is it LEAF? Not asked by this run." in text
    assert text.count("not compared with the rung below in this run") == 4


def test_port_stands_on_what_it_claims_to_be():
    measured = replace(made.HOLDS, rung="my port", reference="og_leaf", domain="drawn")
    text = render(made.certificate([Claim(measured, 1, 5.3e-7, 5.3e-7)]))
    ladder = text[text.index("|-- ") : text.index("(in millionths")]
    assert re.fullmatch(r"\|-- my port: a port\n.*53 % of its limit\n\|-- og_leaf\n", ladder)
    assert "efficientleaf" not in text
    assert "SpecAugment" not in text


def test_no_term_of_our_own_on_the_screen():
    text = render(MADE["whole"])
    assert [word for word in UNREADABLE if word in text] == []


def test_all_has_every_domain():
    text = render_all(MADE["large"])
    assert all(claim.worst.domain in text for claim in MADE["large"].claims)
    assert len(text.splitlines()) > LINES


def test_command_prints_a_screen_or_all(tmp_path):
    MADE["failed"].write(tmp_path / "certificate.json")
    for options, expected in (((), render(MADE["failed"])), (("--all",), render_all(MADE["failed"]))):
        command = [sys.executable, "-m", "parity", "certificate", "show", *options, str(tmp_path)]
        done = subprocess.run(command, capture_output=True, text=True)
        assert (done.returncode, done.stdout) == (1, expected)


@pytest.mark.parametrize("workers", [(), ("-n", "1")], ids=["alone", "xdist"])
def test_progress_says_rung_property_and_time_left_during_a_long_test(workers, tmp_path):
    (tmp_path / "conftest.py").write_text("import parity.report.progress as p; p.EVERY = 0.5")
    done = run(tmp_path, SLOW, *workers)
    assert done.status == 0, done.out
    assert re.search(r"50 % \(1 of 2 tests, \d+ s left\): og_leaf, training step", done.out)


@pytest.fixture
def watched(pytestconfig, monkeypatch):
    """A progress of a clone where nothing has run yet; ``at`` sets its clock."""
    monkeypatch.setattr(progress, "USUAL", 1.0)
    monkeypatch.setattr(progress, "_stdout", lambda: None)
    made = progress.Progress(pytestconfig)
    made.known, made._began = {}, time.monotonic()
    made.at = lambda seconds: monkeypatch.setattr(progress.time, "monotonic", lambda: made._began + seconds)
    made.at(0)
    return made


def test_time_left_weighs_a_file_by_what_it_takes(watched):
    watched.expected = {"a.py": 90.0}
    watched.pytest_xdist_node_collection_finished(None, ["a.py::x", "a.py::y", *(f"b.py::{n}" for n in range(10))])
    watched.done = {"a.py::x": 45.0}
    watched.at(45)
    assert round(watched.left()) == 55  # of 90 for a.py and 10 for b.py


def test_a_long_test_is_no_share_of_its_file(watched):
    watched.expected = {"a.py": 90.0, "a.py::x": 80.0}
    watched.pytest_xdist_node_collection_finished(None, ["a.py::x", "a.py::y", "a.py::z"])
    assert watched.weights == {"a.py::x": 80, "a.py::y": 5, "a.py::z": 5}


@pytest.mark.parametrize("slowness", [0.7, 1.0, 2.0])
def test_time_left_is_near_from_the_first_minute_on(slowness, watched):
    """Two workers in a new clone, where the first test of each file takes twice what is expected, and more."""
    took = {f"{file}.py::{n}": slowness * (60.0 if n == 0 else 1.5) for file in "abcd" for n in range(160)}
    watched.expected = {f"{file}.py": 265.0 for file in "abcd"} | {f"{file}.py::0": 25.0 for file in "abcd"}
    for worker in ("gw0", "gw1"):
        watched.pytest_xdist_node_collection_finished(worker, list(took))
    over, clocks = [], {"ab": 0.0, "cd": 0.0}
    for files in clocks:
        for name in (name for name in took if name[0] in files):
            clocks[files] += took[name]
            over.append((clocks[files], name))
    end = max(clocks.values())
    for moment in range(61, int(0.8 * end), 15):
        watched.done = {name: took[name] for at, name in over if at <= moment}
        watched.at(moment)
        if watched.done:
            off = abs(math.log(watched.left() / (end - moment)))
            assert NEAR(off).passes, moment


def test_failure_is_said_at_once_and_passing_tests_make_no_dots(tmp_path):
    done = run(tmp_path, "def test_bad(): assert False\n\ndef test_good(): pass\n")
    before = done.out.partition("= FAILURES =")[0]
    assert "FAILED test_scratch.py::test_bad\n" in before
    assert not re.search(r"test_scratch\.py [.F]", before)


def test_what_a_library_writes_while_pictures_are_drawn_is_not_shown(capfd):
    with _without_banners():
        os.write(2, b"a banner\n")
    os.write(2, b"an error\n")
    assert capfd.readouterr().err == "an error\n"


def test_how_closely_counts_what_is_held_against_the_original():
    step = made.claims()[0]
    of_original = replace(step.worst, rung="og_leaf", reference="original", domain="goldens", observed=9.4e-7)
    certificate = made.certificate([*made.claims(), Claim(of_original, 1, 9.4e-7, 9.4e-7)])
    (said,) = [answer for answer in answers(certificate) if answer.question == "How closely?"]
    assert "outputs differ by at most 0.94 millionths" in said.lines[0]
