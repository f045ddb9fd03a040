"""Run what the pages tell a reader to type, as it stands, in an empty folder, from the installed wheel."""

from __future__ import annotations

import json
import re
import sys

import pytest
from packaging.requirements import Requirement

from parity_tests.house import pages
from parity_tests.house.empty import ROOT, build_wheel, install, metadata_of

RUN = ("README.md", *(f"docs/{page}.md" for page in (
    "index", "choose-a-rung", "carry-a-model-over", "long-audio", "performance", "how-it-is-certified",
)))  # fmt: skip
LANGUAGES = {"python", "bash", "text"}  # what runs, and what is printed
TEXT = {page: (ROOT / page).read_text(encoding="utf-8") for page in RUN}
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the environment is made of symbolic links")


def extras() -> set[str]:
    """Those that the README's line installs for all that the page uses."""
    (line,) = [line for line in pages.INSTALLS.findall(TEXT["README.md"]) if "# all that this page uses" in line]
    return set(re.search(r"'\.\[([\w,]+)\]'", line)[1].split(","))


@pytest.fixture(scope="module")
def results(tensorflow, tmp_path_factory):
    """Run every page in one process: most of the time goes into importing TensorFlow."""
    wheel = build_wheel(tmp_path_factory.mktemp("wheel"))
    needed = [Requirement(line) for line in re.findall(r"^Requires-Dist: (.+)$", metadata_of(wheel), re.MULTILINE)]
    also = [r.name for r in needed if r.marker and any(r.marker.evaluate({"extra": extra}) for extra in extras())]
    environment = install(wheel, tmp_path_factory.mktemp("environment"), also)
    (tmp_path_factory.getbasetemp() / "pages.json").write_text(json.dumps(TEXT), encoding="utf-8")
    done = environment.run(pages.__file__, str(tmp_path_factory.getbasetemp() / "pages.json"))
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("page", RUN)
def test_blocks_run(page, results):
    assert results[page] == ""


@pytest.mark.parametrize("page", RUN)
def test_blocks_say_what_they_are(page):
    assert {block["language"] for block in pages.blocks(TEXT[page])} <= LANGUAGES


@pytest.mark.parametrize("page", RUN)
def test_what_is_installed_exists(page):
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8").partition("[project.optional-dependencies]")[2]
    offered = set(re.findall(r"^(\w+) = \[", project.partition("\n[")[0], re.MULTILINE))
    for line in pages.INSTALLS.findall(TEXT[page]):
        for named in re.findall(r"\.\[([\w,]+)\]", line):
            assert set(named.split(",")) <= offered


@pytest.mark.parametrize(("block", "said"), [
    ("x = 1\n", ""), ("x = 1 / 0\n", "README.md:4"), ("x = np.zeros((2, 3))  # [2, 3]\n", ""),
    ("x = np.zeros((2, 3))  # [3, 2]\n", "has the shape (2, 3)"),
])  # fmt: skip
def test_block_that_fails_is_found(block, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = pages.main({"README.md": f"```python\nimport numpy as np\n```\n```python\n{block}```\n"})["README.md"]
    assert said in found
    assert bool(said) == bool(found)


def test_command_that_fails_is_found(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "CalledProcessError" in pages.main({"a": "```bash\nfalse\n```\n"})["a"]
