"""``pytest --certificate``: what fails a run, and what the plugin costs those who do not ask for one."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from parity_tests.meta.scratch import HOLDS, run

SKIPPED = "\n@pytest.mark.skip(reason='not today')\ndef test_skipped(): pass\n"


def test_passing_run_is_a_certificate(tmp_path):
    done = run(tmp_path, HOLDS)
    assert done.status == 0, done.out
    assert done.certificate["verdict"] == "certified"
    assert done.certificate["failures"] == []
    assert "og_leaf <- tf_leaf" in done.out
    assert done.out.count("CERTIFIED: the one claim holds, in 1 test") == 1
    assert "1 certified" in done.out


FAILING = {
    "above its bound": ("def test(ledger): ledger.check(measurement(2.0))", "claims failed: 1"),
    "NaN": ("def test(ledger): ledger.check(measurement(float('nan')))", "claims failed: 1"),
    "infinite": ("def test(ledger): ledger.check(measurement(float('inf')))", "claims failed: 1"),
    "recorded but not asserted": ("def test(ledger): ledger.record(measurement(2.0))", "claims failed: 1"),
    "caught": (
        "def test(ledger):\n    with pytest.raises(AssertionError): ledger.check(measurement(2.0))", "claims failed: 1"
    ),
    "failed, then held": (
        "def test(ledger):\n    ledger.record(measurement(2.0))\n    ledger.check(measurement())", "claims failed: 1"
    ),
    "a divergence that has gone": (
        "def test(ledger): ledger.check(measurement(0.0, criterion='divergence', relation='divergent', at_least=0.1))",
        "claims failed: 1",
    ),
    "no claim": ("def test(): pass", "no claim was recorded"),
    "a test without a measurement": (HOLDS + "def test(): assert False", "tests failed: 1"),
    "an error in a fixture": (
        HOLDS + "@pytest.fixture\ndef broken(): 1 / 0\n\ndef test(broken): pass", "tests failed: 1"
    ),
    "an error in collection": (HOLDS + "import no_such_module_here", "tests failed: 1"),
}  # fmt: skip


@pytest.mark.parametrize(("tests", "reason"), FAILING.values(), ids=FAILING)
def test_what_fails_a_run(tests, reason, tmp_path):
    done = run(tmp_path, tests)
    assert done.status in (1, 2), done.out
    assert done.status == (2 if "no_such_module" in tests else 1)
    assert done.certificate["verdict"] == "failed"
    assert reason in done.certificate["failures"]
    assert reason in done.out
    assert 'class="failed"' in done.page


@pytest.mark.parametrize("tests", [HOLDS + SKIPPED, HOLDS + "def test(): pytest.skip('not today')"])
def test_skipped_test_fails_where_ci_is_set(tests, tmp_path):
    done = run(tmp_path, tests, ci=True)
    assert done.status == 1, done.out
    assert done.certificate["failures"] == ["tests skipped although CI is set: 1"]
    assert done.certificate["skipped"][0]["reason"] == "not today"


def test_skipped_test_is_only_noted_elsewhere(tmp_path):
    done = run(tmp_path, HOLDS + SKIPPED)
    assert done.status == 0, done.out
    assert done.certificate["tests"] == {"passed": 1, "skipped": 1, "total": 2}


def test_deselected_tests_are_noted(tmp_path):
    done = run(tmp_path, HOLDS + "def test_other(): pass", "-k", "holds")
    assert done.status == 0, done.out
    assert "tests deselected: 1" in done.certificate["notes"]


def test_failed_measurement_is_told_with_the_command_that_repeats_it(tmp_path):
    done = run(tmp_path, "def test(ledger): ledger.check(measurement(2.0))", certificate=False)
    assert done.status == 1
    for text in ("og_leaf against tf_leaf", "observed 2", "<= 1", "a case", "leaf-ladder replay og_leaf", "by hand"):
        assert text in done.out
    assert not done.folder.exists()


@pytest.mark.parametrize("option", ["--certificate-complete", "--certificate-reuse-evidence"])
def test_option_of_a_certificate_is_refused_without_one(option, tmp_path):
    done = run(tmp_path, HOLDS, option, certificate=False)
    assert done.status == pytest.ExitCode.USAGE_ERROR
    assert f"{option}: must be given with --certificate" in done.out


def test_progress_is_written_while_it_runs(tmp_path):
    assert "100 % (1 of 1 tests" in run(tmp_path, HOLDS).out


def loaded_after(tmp_path, *args: str) -> set[str]:
    """The modules that a run of an empty suite has loaded."""
    (tmp_path / "test_empty.py").write_text("def test(): pass\n")
    code = (
        "import sys, pytest; status = pytest.main(['-q', '-p', 'no:cacheprovider', *sys.argv[1:]]); "
        "print('\\nLOADED', *sorted(sys.modules)); sys.exit(status)"
    )
    env = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # other plugins load what they like
    command = [sys.executable, "-c", code, "-p", "parity.plugin", "test_empty.py", *args]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
    line = next(line for line in done.stdout.splitlines() if line.startswith("LOADED "))
    return set(line.split()[1:])


def test_plugin_imports_pytest_alone(tmp_path):
    loaded = loaded_after(tmp_path)
    assert "parity.plugin" in loaded
    assert {name for name in loaded if name.split(".")[0] == "parity"} == {"parity", "parity.plugin"}
    heavy = {"numpy", "torch", "tensorflow", "keras", "jinja2", "rich", "matplotlib", "typer", "hypothesis"}
    assert not loaded & heavy


def test_certificate_imports_no_framework(tmp_path):
    loaded = loaded_after(tmp_path, "--certificate", "report")
    assert "parity.report.session" in loaded
    assert not loaded & {"torch", "tensorflow", "keras"}


@pytest.mark.parametrize("name", ["index.html", "certificate.json"])
def test_folder_of_somebody_else_is_refused_before_any_test_runs(name, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).write_text("<title>My thesis</title>")
    (tmp_path / "test_scratch.py").write_text("def test(): open('ran', 'w')")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--certificate", "out", "test_scratch.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert name in done.stderr
    assert "--force" not in done.stderr
    assert (tmp_path / "out" / name).read_text() == "<title>My thesis</title>"
    assert not (tmp_path / "ran").exists()
