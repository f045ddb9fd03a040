"""Evidence that is kept beside the certificate: it is used again while everything that it depends on is the same."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from parity.report import evidence
from parity_tests.helpers.certificates import FIELDS

ROOT = Path(__file__).parents[2]
TESTS = """
import pathlib, pytest

@pytest.mark.certificate_evidence
@pytest.mark.parametrize("name", ["one", "two"])
def test_kept(name, ledger):
    with open("ran", "a") as file:
        file.write(name + " ")
    assert not pathlib.Path("broken").exists()
    ledger.note("benign", name=name, outcome="passed", statement="nothing", reason="none")
"""
CLAIM = f"    from parity.report.claims import Measurement\n    ledger.check(Measurement(**{FIELDS!r}))\n"
REUSE, ALL = "--certificate-reuse-evidence", "one two"


@dataclass
class Suite:
    """Two tests in a folder of their own, with a copy of ``leaf`` that they depend on."""

    folder: Path

    def __post_init__(self) -> None:
        self.source = self.folder / "copies" / "leaf" / "filters.py"  # of a rung
        self.tests = self.folder / "tests" / "test_kept.py"

    def run(self, *options: str) -> str:
        """Run the suite; return the names of the tests that ran."""
        ran = self.folder / "ran"
        ran.unlink(missing_ok=True)
        env = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "PYTHONPATH"))}
        env["PYTHONPATH"] = str(self.folder / "copies")
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", "--certificate", "report"]
        subprocess.run([*command, *options, "tests/test_kept.py"], cwd=self.folder, env=env, capture_output=True)
        return ran.read_text().strip() if ran.exists() else ""

    @property
    def certificate(self) -> dict:
        """Of the last run."""
        return json.loads((self.folder / "report" / "certificate.json").read_text())

    @property
    def kept(self) -> list[Path]:
        """The files of evidence."""
        return sorted((self.folder / "report" / "evidence").glob("*"))


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    suite = Suite(tmp_path_factory.mktemp("evidence"))
    shutil.copytree(ROOT / "leaf", suite.source.parent, ignore=shutil.ignore_patterns("__pycache__"))
    suite.tests.parent.mkdir()
    suite.tests.write_text(TESTS)
    assert suite.run(REUSE) == ALL  # nothing is kept yet
    return suite


@pytest.fixture
def suite(measured, tmp_path):
    """The same sources in another folder."""
    shutil.copytree(measured.folder, tmp_path / "suite")
    return Suite(tmp_path / "suite")


def test_the_same_sources_are_not_measured_again(suite):
    first = suite.certificate["evidence"]
    assert suite.run(REUSE) == ""
    again = suite.certificate["evidence"]
    assert again["benign"] == first["benign"]
    (row,), (before,) = again["evidence"], first["evidence"]
    assert row == {**before, "reused": "yes"}
    assert suite.certificate["tests"] == {"passed": 2, "total": 2}
    page = (suite.folder / "report" / "index.html").read_text()
    assert f"of an earlier run with the same files, {row['measured']}" in page
    assert row["hash"] in page


def test_without_the_option_everything_runs(suite):
    assert suite.run() == ALL


def test_a_byte_of_a_rung_measures_again(suite):
    whole = suite.source.read_bytes()
    for more, ran in ((b"\n", ALL), (b"\n", ""), (b" ", ALL)):
        suite.source.write_bytes(whole + more)
        assert suite.run(REUSE) == ran


def test_a_change_of_the_tests_measures_again(suite):
    suite.tests.write_text(TESTS + "\n")
    assert suite.run(REUSE) == ALL


@pytest.mark.parametrize("damage", [
    lambda one, other: one[: len(one) // 2], lambda one, other: one.replace('"passed"', '"killed"'),
    lambda one, other: other, lambda one, other: "[]",
], ids=["torn", "edited", "another's", "no JSON object"])  # fmt: skip
def test_a_file_that_is_not_what_was_written_is_not_believed(damage, suite):
    first, second = suite.kept
    text = first.read_text()
    first.write_text(damage(text, second.read_text()))
    assert first.read_text() != text
    assert suite.run(REUSE) in ALL.split()


def test_a_failed_test_is_not_used_again(suite):
    (suite.folder / "broken").touch()
    assert suite.run() == ALL
    assert suite.kept == []
    (suite.folder / "broken").unlink()
    assert suite.run(REUSE) == ALL


def test_a_test_that_makes_claims_always_runs(suite):
    suite.tests.write_text(TESTS + CLAIM)
    for _ in range(2):
        assert suite.run(REUSE) == ALL
        assert suite.certificate["verdict"] == "certified"


@pytest.mark.parametrize("change", [
    lambda patch: patch.setattr(evidence, "installed", lambda name: "0" if name == "torch" else None),
    lambda patch: patch.setattr(evidence, "cpu", dict),
    lambda patch: patch.setattr(evidence.platform, "python_version", lambda: "3.0"),
    lambda patch: patch.setenv("OMP_NUM_THREADS", "64"),
], ids=["torch", "cpu", "python", "setting"])  # fmt: skip
def test_versions_and_processor_count(change, tmp_path, monkeypatch):
    (tmp_path / "test.py").write_text("")
    before = evidence.state.__wrapped__(tmp_path)
    assert evidence.state.__wrapped__(tmp_path) == before
    change(monkeypatch)
    assert evidence.state.__wrapped__(tmp_path) != before


def test_every_rung_and_the_instrument_count(tmp_path):
    found = {name.partition("/")[0] for name, _ in evidence.sources(tmp_path)}
    assert found == {*evidence.PACKAGES}
