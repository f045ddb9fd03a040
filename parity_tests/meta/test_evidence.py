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
from parity_tests.meta.scratch import FIELDS

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


@dataclass
class Suite:
    """Two tests in a folder of their own, with a copy of ``leaf`` that they depend on."""

    folder: Path

    def run(self, *options: str) -> tuple[str, dict]:
        """Run the suite; return the names of the tests that ran, and the certificate."""
        ran = self.folder / "ran"
        ran.unlink(missing_ok=True)
        env = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "PYTHONPATH"))}
        env["PYTHONPATH"] = str(self.folder / "copies")
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", "--certificate", "report"]
        subprocess.run([*command, *options, "tests/test_kept.py"], cwd=self.folder, env=env, capture_output=True)
        certificate = json.loads((self.folder / "report" / "certificate.json").read_text())
        return ran.read_text().strip() if ran.exists() else "", certificate

    @property
    def kept(self) -> list[Path]:
        """The files of evidence."""
        return sorted((self.folder / "report" / "evidence").glob("*"))

    @property
    def source(self) -> Path:
        """A source of a rung."""
        return self.folder / "copies" / "leaf" / "filters.py"


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    folder = tmp_path_factory.mktemp("evidence")
    shutil.copytree(ROOT / "leaf", folder / "copies" / "leaf", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "tests").mkdir()
    (folder / "tests" / "test_kept.py").write_text(TESTS)
    suite = Suite(folder)
    assert suite.run("--certificate-reuse-evidence")[0] == "one two"  # nothing is kept yet
    return suite


@pytest.fixture
def suite(measured, tmp_path):
    shutil.copytree(measured.folder, tmp_path / "suite")
    return Suite(tmp_path / "suite")


REUSE = "--certificate-reuse-evidence"


def test_the_same_sources_are_not_measured_again(measured):
    first = json.loads((measured.folder / "report" / "certificate.json").read_text())["evidence"]
    ran, certificate = measured.run(REUSE)
    assert ran == ""
    assert certificate["evidence"]["benign"] == first["benign"]
    (row,), (before,) = certificate["evidence"]["evidence"], first["evidence"]
    assert row == {**before, "reused": "yes"}
    assert certificate["tests"] == {"passed": 2, "total": 2}
    page = (measured.folder / "report" / "index.html").read_text()
    assert f"of an earlier run with the same files, {row['measured']}" in page
    assert row["hash"] in page


def test_another_folder_of_the_same_sources_is_the_same(suite):
    assert suite.run(REUSE)[0] == ""


def test_without_the_option_everything_runs(suite):
    assert suite.run()[0] == "one two"


def test_a_byte_of_a_rung_measures_again(suite):
    suite.source.write_bytes(suite.source.read_bytes() + b"\n")
    assert suite.run(REUSE)[0] == "one two"
    assert suite.run(REUSE)[0] == ""
    suite.source.write_bytes(suite.source.read_bytes()[:-1] + b" ")
    assert suite.run(REUSE)[0] == "one two"


def test_a_change_of_the_tests_measures_again(suite):
    (suite.folder / "tests" / "test_kept.py").write_text(TESTS + "\n")
    assert suite.run(REUSE)[0] == "one two"


@pytest.mark.parametrize("damage", ["torn", "edited", "another's", "no JSON object"])
def test_a_file_that_is_not_what_was_written_is_not_believed(damage, suite):
    first, second = suite.kept
    text = first.read_text()
    damaged = {
        "torn": text[: len(text) // 2],
        "edited": text.replace('"passed"', '"killed"'),
        "another's": second.read_text(),
        "no JSON object": "[]",
    }[damage]
    assert damaged != text
    first.write_text(damaged)
    assert suite.run(REUSE)[0] in ("one", "two")


def test_a_failed_test_is_not_used_again(suite):
    (suite.folder / "broken").touch()
    assert suite.run()[0] == "one two"
    assert suite.kept == []
    assert suite.run(REUSE)[0] == "one two"
    (suite.folder / "broken").unlink()
    assert suite.run(REUSE)[0] == "one two"


def test_a_test_that_makes_claims_always_runs(suite):
    (suite.folder / "tests" / "test_kept.py").write_text(TESTS + CLAIM)
    for _ in range(2):
        ran, certificate = suite.run(REUSE)
        assert ran == "one two"
        assert certificate["verdict"] == "certified"


@pytest.mark.parametrize("change", ["torch", "cpu", "python", "setting"])
def test_versions_and_processor_count(change, tmp_path, monkeypatch):
    (tmp_path / "test.py").write_text("")
    before = evidence.state.__wrapped__(tmp_path)
    assert evidence.state.__wrapped__(tmp_path) == before
    if change == "torch":
        monkeypatch.setattr(evidence, "installed", lambda name: "0" if name == "torch" else None)
    elif change == "cpu":
        monkeypatch.setattr(evidence, "cpu", dict)
    elif change == "python":
        monkeypatch.setattr(evidence.platform, "python_version", lambda: "3.0")
    else:
        monkeypatch.setenv("OMP_NUM_THREADS", "64")
    assert evidence.state.__wrapped__(tmp_path) != before


def test_every_rung_and_the_instrument_count(tmp_path):
    found = {name.partition("/")[0] for name, _ in evidence.sources(tmp_path)}
    assert found == {*evidence.PACKAGES}
