"""The recorder: what it needs, what it refuses, and what it says about what it recorded."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fixtures import folders, record, store
from parity_tests.helpers.refusals import refused

ROOT = Path(record.__file__).parent.parent
BLOCKED = ("torch", "tensorflow", "keras", "scipy", "pytest", "jinja2", "matplotlib", "typer", "hypothesis")
OF_TF_LEAF = ("--source", "tf_leaf")
REPLACES = (*OF_TF_LEAF, "--replace")
NOT_OURS = ("text", "pipe", "text/below", "/proc/nothing", "x" * 300, "loop", "holds")


def recorder(*args: str, code: str = "pass") -> subprocess.CompletedProcess[str]:
    run = f"import sys; {code}; from fixtures import record; sys.exit(record.main({list(args)!r}))"
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run([sys.executable, "-c", run], capture_output=True, text=True, env=env, cwd=ROOT)


def hashes(directory: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(directory.iterdir())}


def test_imports_with_numpy_alone():
    done = recorder("--help", code=f"sys.modules.update(dict.fromkeys({BLOCKED!r}))")
    assert done.returncode == 0, done.stderr
    assert "--source" in done.stdout


def test_missing_source_is_said():
    done = recorder(*OF_TF_LEAF, "--only", "silence", code="sys.modules['tensorflow'] = None")
    assert done.returncode == 2
    assert "--source tf_leaf cannot be imported" in done.stderr
    assert "fixtures/README.md" in done.stderr


@pytest.mark.parametrize(("args", "named"), [
    (REPLACES, ("tf_leaf", "--out DIR")),
    ((*REPLACES, "--out", str(store.GOLDENS.parent)), ("tf_leaf", "--out DIR")),
    ((*REPLACES, "--kind", "training"), ("tf_leaf", "--out DIR")),
    ((*OF_TF_LEAF, "--kind", "weights"), ("'weights'", "frontends", "inventory", "training")),
    ((*REPLACES, "--only", "silence", "--out", "elsewhere"), ("--only", "--replace")),
    ((*OF_TF_LEAF, "--only", "no_such"), ("'no_such'", "silence")),
    (("--source", "torch"), ("torch", "original", "tf_leaf")),
    ((), ("--source",)),
    *(((*REPLACES, "--out", where), ("--out",)) for where in NOT_OURS),
    ((*REPLACES, "--out", "a", "--out", "b"), ("--out",)),
    ((*REPLACES, "--kind", "frontends", "--kind", "training"), ("--kind",)),
    ((*REPLACES, "--only", "a", "--only", "b"), ("--only",)),
], ids=[
    "replace", "replace by path", "replace a kind", "no kind", "replace one", "no case", "no source", "nothing",
    *NOT_OURS, "two folders", "two kinds", "two cases",
])  # fmt: skip
def test_refused_before_anything_is_imported(args, named, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(record, "Source", lambda name: pytest.fail("the source was imported"))
    monkeypatch.chdir(tmp_path)
    Path("text").write_text("just text\n")
    os.mkfifo("pipe")
    Path("loop").symlink_to("loop")
    thesis = Path("holds", "goldens", "thesis.txt")
    thesis.parent.mkdir(parents=True)
    thesis.write_text("mine")
    with pytest.raises(SystemExit) as caught:
        record.main(list(args))
    assert caught.value.code == 2
    message = capsys.readouterr().err
    assert all(text in message for text in named), message
    assert thesis.read_text() == "mine"


def test_modified_original_never_replaces_the_goldens(capsys, monkeypatch):
    class Modified:
        def __init__(self, name):
            pass

        def describe(self):
            return {"label": "leaf_audio, modified"}

    monkeypatch.setattr(record, "Source", Modified)
    with pytest.raises(SystemExit) as caught:
        record.main(["--source", "original", "--replace"])
    assert caught.value.code == 2
    assert "modified" in capsys.readouterr().err


@pytest.mark.usefixtures("tensorflow")
def test_tf_leaf_is_recorded_under_its_own_name(tmp_path):
    before = hashes(store.GOLDENS)
    done = recorder("--source", "tf_leaf", "--only", "impulse_first", "--out", str(tmp_path / "new"))
    assert done.returncode == 0, done.stderr
    assert "drift from the committed goldens" in done.stdout
    assert "arrays are equal to the bit" in done.stdout
    assert "cases gone: none" in done.stdout
    beside = tmp_path / "new" / "goldens.new"
    assert str(beside) in done.stdout
    assert [path.name for path in beside.parent.iterdir()] == ["goldens.new"]
    source = store.read_manifest(beside)["source"]
    assert source["label"] == "tf_leaf"
    assert "commit" not in source
    assert set(store.load("impulse_first", beside).arrays) == set(store.load("impulse_first").arrays)
    assert hashes(store.GOLDENS) == before


def test_drift_is_reported_array_by_array(tmp_path, capsys):
    golden = store.load("silence")
    arrays = {name: array.copy() for name, array in golden.arrays.items()}
    arrays["output"][0, 0, 0] += 2 * abs(arrays["output"]).max()
    del arrays["taps/pool"]
    arrays["taps/more"] = arrays["output"]
    about = {"case": str(golden.case), "speech": False, "seed": golden.case.seed}
    entry = store.write(tmp_path, "silence", about, arrays)
    store.write_manifest(tmp_path, {"cases": {"silence": entry}})
    record.compare(tmp_path, ["silence"], store.GOLDENS, store.names())
    said = capsys.readouterr().out.splitlines()
    assert any(line.split() == ["silence", "output", "2.0e+00"] for line in said), said
    assert any(line.split() == ["silence", "taps/pool", "gone"] for line in said)
    assert any(line.split() == ["silence", "taps/more", "new"] for line in said)
    n = len(golden.arrays)
    assert any(f"{n - 2} of {n - 1} arrays are equal to the bit" in line for line in said)


def made(folder, value):
    """A folder of goldens with one of these values."""
    folder.mkdir()
    entry = store.write(folder, "one", {"case": "one"}, {"output": np.full(3, value)})
    store.write_manifest(folder, {"cases": {"one": entry}})
    return store.read_manifest(folder)


@pytest.mark.parametrize("exchanges", [True, False])
def test_recording_is_moved_only_when_told(exchanges, tmp_path, monkeypatch):
    if not exchanges:
        monkeypatch.setattr("fixtures.folders._exchanged", lambda one, other: False)
    out, beside = tmp_path / "goldens", tmp_path / "beside"
    made(out, 0.0)
    record._finish(made(beside, 1.0), beside, out, replace=False)
    assert store.read("one", out)[1]["output"][0] == 0
    assert store.read("one", tmp_path / "goldens.new")[1]["output"][0] == 1
    record._finish(made(beside, 2.0), beside, out, replace=True)
    assert store.read("one", out)[1]["output"][0] == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["goldens", "goldens.new"]


def test_what_no_recording_made_is_not_replaced(tmp_path):
    place = tmp_path / "goldens"
    folders.require_ours(place, record._names)
    made(place, 0.0)
    folders.require_ours(place, record._names)
    (place / "notes.txt").write_text("mine")
    refused(lambda: folders.require_ours(place, record._names), ValueError, "goldens", "notes.txt", "move it away")
    (place / "notes.txt").unlink()
    (place / store.MANIFEST).write_text("{}")
    refused(lambda: folders.require_ours(place, record._names), ValueError, "goldens", "move it away")


def test_what_fails_on_the_way_leaves_no_folder(tmp_path):
    with pytest.raises(KeyboardInterrupt), folders.fresh(tmp_path / "goldens") as beside:  # noqa: PT012
        (beside / "one.npz").write_bytes(b"")
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []
