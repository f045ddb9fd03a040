"""Files that commands write and read: what is refused before any work, and that a failure leaves nothing."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys

import pytest

from parity.weights import outputs
from parity.weights.outputs import Output, replace_file
from parity_tests.helpers.refusals import refused


@pytest.fixture
def output(tmp_path):
    return Output("target", tmp_path / "new")


def test_nothing_is_there_until_it_is_written(output, tmp_path):
    output.check()
    assert list(tmp_path.iterdir()) == []
    output.write(b"whole")
    assert output.path.read_bytes() == b"whole"


def test_permissions_are_those_that_the_user_gives_new_files(output):
    before = os.umask(0o027)
    try:
        output.write(b"")
    finally:
        os.umask(before)
    assert output.path.stat().st_mode & 0o777 == 0o640


def test_symbolic_link_stays_one(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "file")
    replace_file(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_bytes() == b"new"


def written(path):
    return Output("name", path, force=True).check()


def read(path):
    return outputs.require_file("name", path)


@pytest.mark.parametrize(("use", "where", "named"), [
    *((written, *row) for row in (
        ("folder", "is a folder"), ("pipe", "is a pipe"), ("no/new", "no such folder"), ("x" * 300, "must be a path"),
        ("file/below", "must be a path"), ("loop", "must be a path"), ("a\0b", "must be a path"), (".", "is a folder"),
        ("/dev/null", "device"), ("/proc/new", "cannot be"))),
    *((read, *row) for row in (
        ("gone", "no such file"), ("folder", "is a folder"), ("pipe", "is a pipe"), ("file", "is empty"),
        ("/proc/self/status", "is empty"), ("/dev/zero", "device"), ("x" * 300, "must be a path"))),
])  # fmt: skip
def test_what_cannot_be_used(use, where, named, tmp_path):
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").write_text("")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    before = sorted(tmp_path.rglob("*"))
    refused(lambda: use(tmp_path / where), ValueError, "name=", named)
    assert sorted(tmp_path.rglob("*")) == before


def test_folder_that_may_not_be_written_to(output, monkeypatch):
    def denied(**_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("parity.weights.outputs.tempfile.TemporaryFile", denied)
    refused(output.check, ValueError, "target=", "Permission denied")


def test_file_that_appears_meanwhile_is_not_replaced(output, tmp_path):
    def write():
        with output.replacing() as file:
            file.write(b"ours")
            output.path.write_bytes(b"theirs")

    output.check()
    refused(write, ValueError, "target=", "--force")
    assert output.path.read_bytes() == b"theirs"
    assert list(tmp_path.iterdir()) == [output.path]


def test_ours_is_replaced_and_another_is_not(tmp_path):
    path = tmp_path / "f"
    path.write_bytes(b"ours, old")
    output = Output("target", path, ours=lambda path: path.read_bytes().startswith(b"ours"))
    output.write(b"theirs")
    refused(output.check, ValueError, "target=", "--force")


def test_two_outputs_are_two_files(tmp_path):
    one, other = Output("a", tmp_path / "one"), Output("b", tmp_path / "other")
    other.path.symlink_to(one.path)
    refused(lambda: outputs.check_all(one, other), ValueError, "b=", "file of a")


def test_full_disk(output, tmp_path):
    output.write(b"old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, hard))  # "File too large", as a full disk would say
    try:
        refused(lambda: replace_file(output.path, bytes(1 << 21)), ValueError, "path=", "cannot be written")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert output.path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [output.path]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signal_leaves_nothing(number, tmp_path):
    # where the tests run in the background, their children are born deaf to some signals
    usual = "default_int_handler" if number == signal.SIGINT else "SIG_DFL"
    code = (
        f"import signal; signal.signal({int(number)}, signal.{usual})\n"
        "import os, sys; from pathlib import Path; from parity.weights.outputs import Output\n"
        f"with Output('target', Path({str(tmp_path / 'new')!r})).replacing() as file:\n"
        f"    file.write(bytes(100000)); os.kill(os.getpid(), {int(number)}); print('went on')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode != 0
    assert "went on" not in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_handlers_of_signals_are_put_back(output):
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)]
    output.write(b"")
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)] == before


def test_what_a_killed_run_left_is_not_taken_up(tmp_path):
    names = set()
    for _ in range(3):
        with Output("target", tmp_path / "new", force=True).replacing() as file:
            names.add(file.name)
    assert len(names) == 3


def test_records_are_kept_in_a_clone_alone(tmp_path):
    for content in (None, 'name = "another"'):
        if content:
            (tmp_path / "pyproject.toml").write_text(content)
        refused(lambda: outputs.require_checkout("record", tmp_path), ValueError, "record", "clone")


def test_hint_names_packages_not_modules():
    said = str(outputs.missing("this", "h5py", "keras", "tensorflow"))
    assert said == "this needs h5py and keras and tensorflow: python -m pip install h5py tensorflow"
    named = "python -m pip install no_such_l"
    refused(lambda: outputs.require_library("no_such_library", "this"), ModuleNotFoundError, named)
