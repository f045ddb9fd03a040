"""``pytest --certificate``: what fails a run, and what the plugin costs those who do not ask for one."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from parity_tests.helpers.certificates import HOLDS, run

TOO_FAR = "def test(ledger): ledger.check(measurement(2.0))"
SKIPPED = "\n@pytest.mark.skip(reason='not today')\ndef test_skipped(): pass\n"
OTHER = "def test_other(): pass"
EMPTY = "an empty cell: {} x forward x {}".format
COMPLETE = "--certificate-complete"


@pytest.mark.parametrize(("tests", "options", "tests_ended", "note"), [
    (HOLDS, (), {"passed": 1, "total": 1}, []),
    (HOLDS + SKIPPED, (), {"passed": 1, "skipped": 1, "total": 2}, []),
    (HOLDS + OTHER, ("-k", "holds"), {"passed": 1, "total": 1}, ["tests deselected: 1"]),
], ids=["passes", "skipped outside of CI", "deselected"])  # fmt: skip
def test_passing_run_is_a_certificate(tests, options, tests_ended, note, tmp_path):
    done = run(tmp_path, tests, *options)
    assert done.status == 0, done.out
    found = done.certificate
    assert (found["verdict"], found["failures"], found["tests"]) == ("certified", [], tests_ended)
    assert set(note) <= set(found["notes"])
    assert "og_leaf <- tf_leaf" in done.out
    assert done.out.count(f"CERTIFIED: the one claim holds, in {tests_ended['total']} test") == 1
    assert "1 certified" in done.out


CLAIM, TEST = "claims failed: 1", "tests failed: 1"
FAILING = {  # tests, options, reason
    "above its bound": (TOO_FAR, (), CLAIM),
    "NaN": (TOO_FAR.replace("2.0", "float('nan')"), (), CLAIM),
    "infinite": (TOO_FAR.replace("2.0", "float('inf')"), (), CLAIM),
    "recorded but not asserted": (TOO_FAR.replace("check", "record"), (), CLAIM),
    "caught": (TOO_FAR.replace(": led", ":\n    with pytest.raises(AssertionError): led"), (), CLAIM),
    "failed, then held": (
        "def test(ledger):\n    ledger.record(measurement(2.0))\n    ledger.check(measurement())", (), CLAIM),
    "a divergence that has gone": (
        TOO_FAR.replace("2.0", "0.0, criterion='divergence', relation='divergent', at_least=0.1"), (), CLAIM),
    "no claim": (OTHER, (), "no claim was recorded"),
    "a test without a measurement": (HOLDS + "def test(): assert False", (), TEST),
    "an error in a fixture": (HOLDS + "@pytest.fixture\ndef broken(): 1 / 0\n\ndef test(broken): pass", (), TEST),
    "an error in collection": (HOLDS + "import no_such_module_here", (), TEST),
    "an empty cell": (HOLDS, (COMPLETE,), EMPTY("leaf x conv", "float64")),
}  # fmt: skip


@pytest.mark.parametrize(("tests", "options", "reason"), FAILING.values(), ids=FAILING)
def test_what_fails_a_run(tests, options, reason, tmp_path):
    done = run(tmp_path, tests, *options)
    assert done.status == (2 if "no_such_module" in tests else 1), done.out
    assert done.certificate["verdict"] == "failed"
    assert reason in done.certificate["failures"]
    assert EMPTY("og_leaf x output", "float32") not in done.certificate["failures"]
    assert options or reason in done.out
    assert 'class="failed"' in done.page


@pytest.mark.parametrize("tests", [HOLDS + SKIPPED, HOLDS + "def test(): pytest.skip('not today')"])
def test_skipped_test_fails_where_ci_is_set(tests, tmp_path):
    done = run(tmp_path, tests, ci=True)
    assert done.status == 1, done.out
    assert done.certificate["failures"] == ["tests skipped although CI is set: 1"]
    assert done.certificate["skipped"][0]["reason"] == "not today"


def test_failed_measurement_is_told_with_the_command_that_repeats_it(tmp_path):
    done = run(tmp_path, TOO_FAR, certificate=False)
    assert done.status == 1
    for text in ("og_leaf against tf_leaf", "observed 2", "<= 1", "a case", "leaf-ladder replay og_leaf", "by hand"):
        assert text in done.out
    assert not done.folder.exists()


@pytest.mark.parametrize("option", [COMPLETE, "--certificate-reuse-evidence"])
def test_option_of_a_certificate_is_refused_without_one(option, tmp_path):
    done = run(tmp_path, HOLDS, option, certificate=False)
    assert done.status == pytest.ExitCode.USAGE_ERROR
    assert f"{option}: must be given with --certificate" in done.out


@pytest.mark.parametrize("name", ["index.html", "certificate.json"])
def test_folder_of_somebody_else_is_refused_before_any_test_runs(name, tmp_path):
    theirs = tmp_path / "report" / name
    theirs.parent.mkdir()
    theirs.write_text("<title>My thesis</title>")
    done = run(tmp_path, "def test(): open('ran', 'w')")
    assert done.status == pytest.ExitCode.USAGE_ERROR
    assert name in done.out
    assert "--force" not in done.out
    assert theirs.read_text() == "<title>My thesis</title>"
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(("options", "reached", "ours"), [
    ((), "parity.plugin", {"parity", "parity.plugin"}),
    (("--certificate", "report"), "parity.report.session", None),
], ids=["not asked", "asked"])  # fmt: skip
def test_what_the_plugin_imports(options, reached, ours, tmp_path):
    (tmp_path / "test_empty.py").write_text("def test(): pass\n")
    code = (
        "import sys, pytest; status = pytest.main(['-q', '-p', 'no:cacheprovider', *sys.argv[1:]]); "
        "print('\\nLOADED', *sorted(sys.modules)); sys.exit(status)"
    )
    env = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # other plugins load what they like
    command = [sys.executable, "-c", code, "-p", "parity.plugin", "test_empty.py", *options]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
    loaded = set(next(line for line in done.stdout.splitlines() if line.startswith("LOADED ")).split()[1:])
    assert reached in loaded
    assert not loaded & {"torch", "tensorflow", "keras"}
    if ours:
        assert {name for name in loaded if name.split(".")[0] == "parity"} == ours
        assert not loaded & {"numpy", "jinja2", "rich", "matplotlib", "typer", "hypothesis"}
