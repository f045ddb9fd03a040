"""A port certified from the installed wheel, in an empty folder, without TensorFlow."""

from __future__ import annotations

import json
import sys

import pytest

from parity_tests.house.empty import build_wheel, install
from parity_tests.ports.bench import CERTIFY, FOLDER

NEEDED = ("pytest", "rich", "jinja2")
EXAMPLES = 3
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the environment is made of symbolic links")


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    wheel = build_wheel(tmp_path_factory.mktemp("wheel"))
    environment = install(wheel, tmp_path_factory.mktemp("environment"), NEEDED)
    text = CERTIFY.read_text(encoding="utf-8").replace("certify(PORT)", f"certify(PORT, examples={EXAMPLES})")
    (environment.cwd / CERTIFY.name).write_text(text)
    (environment.cwd / "flawed.py").write_bytes((FOLDER / "flawed.py").read_bytes())
    return environment


def certify(environment, file, directory):
    """pytest's answer, and the certificate."""
    done = environment.run("-m", "pytest", "-p", "no:cacheprovider", file, "--certificate", directory)
    return done, json.loads((environment.cwd / directory / "certificate.json").read_text())


def test_environment_has_no_tensorflow(environment):
    code = (
        "from importlib.util import find_spec; print([find_spec(name) for name in ('tensorflow', 'keras', 'fixtures')])"
    )
    assert environment.prints(code).strip() == "[None, None, None]"


def test_flawed_port_is_refused_and_its_first_bug_named(environment):
    done, certificate = certify(environment, CERTIFY.name, "flawed")
    assert done.returncode == 1, done.stdout + done.stderr
    assert 'stage "windows": is centred on K / 2 and K / 2 wide' in done.stdout
    assert "flawed <- og_leaf" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert certificate["verdict"] == "failed"
    failed = {claim["stage"] for claim in certificate["claims"] if claim["verdict"] == "failed"}
    assert failed >= {"windows", "pool", "ema", "output"}
    assert not failed & {"conv", "modulus"}
    assert {claim["rung"] for claim in certificate["claims"]} == {"flawed"}
    assert certificate["environment"]["packages"]["tensorflow"] is None
    assert "flawed" in (environment.cwd / "flawed" / "index.html").read_text()

    assert f"python -m parity.ports {CERTIFY.name} flawed " in done.stdout


def test_repaired_port_is_certified(environment):
    text = (environment.cwd / CERTIFY.name).read_text()
    repaired = text.replace("config.pcen_floor)", "config.pcen_floor, bugs=())")
    assert repaired != text
    (environment.cwd / "certify_repaired.py").write_text(repaired)
    done, certificate = certify(environment, "certify_repaired.py", "repaired")
    assert done.returncode == 0, done.stdout + done.stderr
    assert certificate["verdict"] == "certified"
    assert certificate["tests"] == {"passed": 4, "total": 4}
    assert "flawed <- og_leaf" in done.stdout
