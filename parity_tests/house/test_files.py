"""The repository's files: small, and true on any machine."""

from __future__ import annotations

import configparser
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MOST_LINES = 450  # a file holds one whole idea; beyond this it holds two
SOURCES = ("tf_leaf", "og_leaf", "leaf", "efficientleaf", "parity", "parity_tests", "fixtures", "benchmarks")
LEFT_OUT = {".git", ".tox", ".venv", "venv", "build", "certificate", "site", "__pycache__"}
DOCS = {path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md")}
MACHINE = re.compile(r"(?<![\w.~-])/(?:work|tmp|root|home|Users|mnt|opt)/")
HOSTS = {"arxiv.org", "doi.org", "github.com", "pytorch.org", "www.festvox.org", "opensource.org", "www.apache.org"}
# an index other than the public one is a matter of the machine, never of the repository
INDEX = re.compile(r"--(?:extra-)?index-url|index-url\s*=|trusted-host|--find-links|(?<!torch )@ file:")
# the project is on no index: it is installed from a clone, and a hint names the libraries that are missing
ITSELF = re.compile(r"pip install [^\n`]*leaf[-_]ladder|(?<!\")leaf-ladder\[")


def repository_files() -> list[Path]:
    """What is, or would be, committed; without git (an archive of the source), everything but what tools leave."""
    try:
        listed = subprocess.run(
            ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout
        found = [ROOT / name for name in listed.split("\0") if name]
    except (OSError, subprocess.CalledProcessError):
        hidden = {"." + name for name in ("hypothesis", "mypy_cache", "pytest_cache", "ruff_cache")}
        found = [path for path in ROOT.rglob("*") if not (LEFT_OUT | hidden) & set(path.relative_to(ROOT).parts)]
        found = [path for path in found if not any(part.endswith(".egg-info") for part in path.parts)]
    return sorted(path for path in found if path.is_file())


def texts() -> dict[str, str]:
    """Path and content of every text file."""
    out = {}
    for path in repository_files():
        data = path.read_bytes()
        if b"\0" not in data:
            out[path.relative_to(ROOT).as_posix()] = data.decode("utf-8")
    return out


@pytest.fixture(scope="module")
def text():
    return texts()


def test_listing_has_the_rooms(text):
    assert {"README.md", "pyproject.toml", "leaf/filterbank.py", "fixtures/goldens/manifest.json"} <= set(text)


def test_no_leftover_of_a_patch_or_an_editor_is_committed(text):
    assert [name for name in text if name.endswith((".orig", ".rej", ".bak", "~"))] == []


def test_source_files_hold_one_idea(text):
    sizes = {name: len(content.splitlines()) for name, content in text.items() if name.endswith(".py")}
    assert {name: size for name, size in sizes.items() if size > MOST_LINES} == {}


@pytest.mark.parametrize("unwanted", [MACHINE, INDEX, ITSELF], ids=["machine", "index", "itself"])
def test_no_file_names_a_machine_or_an_index(unwanted, text):
    assert {name for name, content in text.items() if unwanted.search(content)} <= {"parity_tests/house/test_files.py"}


@pytest.mark.parametrize("said", [
    "python -m pip install leaf-ladder", "pip install 'leaf-ladder[report]'", "needs leaf-ladder[report]",
])  # fmt: skip
def test_asking_an_index_for_the_project_is_seen(said):
    assert ITSELF.search(said)


def test_links_go_to_public_pages(text):
    found = {
        (name, host)
        for name, content in text.items()
        for host in re.findall(r"https?://([^/\s\"'<>)\]`]+)", content)
        if host not in HOSTS
    }
    assert found == set()


def test_hints_at_what_to_install_are_made_in_one_place(text):
    packages = ("tf_leaf/", "og_leaf/", "leaf/", "efficientleaf/", "parity/")
    found = {n for n, content in text.items() if n.startswith(packages) and "python -m pip install" in content}
    assert found == {"parity/weights/outputs.py"}


def test_commands_name_tests_that_exist(text):
    made = "parity_tests/page/made.py"  # a certificate that is made up
    missing = {
        (name, path)
        for name, content in text.items()
        for path in re.findall(r"\bparity_tests/[\w/{}.]+\.py\b", content)
        if name not in (made, "parity_tests/house/test_files.py") and not any(ROOT.glob(re.sub(r"{[^}]*}", "*", path)))
    }
    assert missing == set()


TOX = configparser.ConfigParser(interpolation=None)
TOX.read(ROOT / "tox.ini")
LISTED = re.split(r"[,\s]+", TOX["tox"]["env_list"].strip())
ENVIRONMENTS = {*LISTED, *(name.partition(":")[2] for name in TOX.sections() if name.startswith("testenv:"))}
WORKFLOW = ".github/workflows/ci.yml"


@pytest.mark.parametrize("name", [
    "README.md", "CONTRIBUTING.md", "CHANGELOG.md", ".ci/run", "fixtures/README.md", WORKFLOW, *sorted(DOCS),
])  # fmt: skip
def test_tox_environments_that_are_named_exist(name, text):
    assert set(re.findall(r"tox -e ([\w-]+)", text[name])) <= ENVIRONMENTS


def test_readme_and_ci_name_the_commands(text):
    for command in ("tox -e certify", "tox -e tests"):
        assert f"python -m pip install tox && {command}" in text["README.md"]
    assert "pip install tox" in text[".ci/run"]
    assert text[".ci/run"].rstrip().endswith("-m tox -e tests")
    assert (ROOT / ".ci/run").stat().st_mode & 0o111


def test_the_oldest_versions_are_those_that_the_project_allows(text):
    pinned = dict(re.findall(r"^([\w-]+)==([\d.]+)$", text["constraints-oldest.txt"], re.MULTILINE))
    allowed = dict(re.findall(r'"([\w-]+)>=([\d.]+)"', text["pyproject.toml"]))
    assert set(pinned) >= {"torch", "numpy", "h5py", "hypothesis", "pytest"}
    for name, version in pinned.items():
        least = allowed[name].split(".")
        assert version.split(".")[: len(least)] == least, name
        assert set(version.split(".")[len(least) :]) <= {"0", "1"}, name


def test_the_workflow_runs_toxs_commands_on_every_python(text):
    workflow = text[WORKFLOW]
    assert {"lint", "docs", "torch", "oldest", "coverage"} <= set(re.findall(r"tox -e (\w+)", workflow))
    assert ".ci/run" in workflow
    pythons = {f"{name[2]}.{name[3:]}" for name in LISTED if name.startswith("py")}
    assert pythons == set(re.findall(r'"(3\.\d+)"', re.search(r"python: (\[.*\])", workflow)[1]))


def test_the_citation_is_of_this_version(text):
    version = re.search(r'^version = "(.+)"', text["pyproject.toml"], re.MULTILINE)[1]
    assert f"version: {version}\n" in text["CITATION.cff"]


def test_files_that_documents_link_to_exist(text):
    for name, content in text.items():
        if name.endswith(".md"):
            for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", content):
                assert (ROOT / name).parent.joinpath(target).exists(), f"{name} links to {target}"


def test_every_package_is_typed_and_listed(text):
    listed = set(re.findall(r'^  "([\w.]+)",$', text["pyproject.toml"], re.MULTILINE))
    for room in ("tf_leaf", "og_leaf", "leaf", "efficientleaf", "parity"):
        assert (ROOT / room / "py.typed").is_file()
        for init in (ROOT / room).rglob("__init__.py"):
            assert init.parent.relative_to(ROOT).as_posix().replace("/", ".") in listed


def test_what_tools_leave_makes_no_commit_dirty():
    tools = [".venv", ".tox", "venv", "build", "certificate", "site", ".hypothesis", ".mypy_cache"]
    left = [*tools, "prompts", "trained", "runs", "runs-spelling", "nan"]  # and what the pages' commands write
    # tox leaves a file .venv that tells editors where its environment is, and a folder may be a link
    names = [name for folder in left for name in (folder, f"{folder}/inside")]
    command = ["git", "check-ignore", "--no-index", *names]
    assert subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout.split() == names
