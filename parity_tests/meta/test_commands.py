"""Every command with arguments that nobody means: one line that names what is wrong, exit status 2, no traceback."""

from __future__ import annotations

import json
import os
import sys

import numpy as np
import pytest
import soundfile
import torch
from typer.testing import CliRunner

import og_leaf
from parity import __version__
from parity.cli import app
from parity.ports.__main__ import main as ports
from parity.report.certificate import SCHEMA

# by name: what stands at a path
NEW = ("gone", "-", "gone-ü-\u202e-\U0001f600", "\udcff", "new\nline")  # where a file could be made
PATHS = ("no/such/folder", "folder", "pipe", "/dev/zero", "/dev/null", "/proc/self/status", "/proc/self/mem",
         "/proc/nothing", "empty", "text", "junk", "x" * 300, "loop", "text/below", "", "~nobody/x")  # fmt: skip
SUFFIXES = (".pt", ".npz", ".h5", ".keras", ".safetensors", ".index", ".tflite", "")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    where = tmp_path_factory.mktemp("hostile")
    (where / "text").write_text("just text\n" * 20)
    (where / "loop").symlink_to(where / "loop")
    soundfile.write(where / "in.wav", np.zeros(400), 16000)
    torch.save(og_leaf.Leaf(n_filters=1).state_dict(), where / "w.pt")
    for suffix in SUFFIXES:
        (where / f"junk{suffix}").write_bytes(np.random.default_rng(0).bytes(3000))
        (where / f"folder{suffix}").mkdir()
        os.mkfifo(where / f"pipe{suffix}")
        (where / f"empty{suffix}").write_text("")
    (where / "deep.json").write_text("[" * 100_000)
    (where / "list.json").write_text("[1, 2]")
    (where / "certificate.json").write_text(json.dumps({"schema": SCHEMA}))
    (where / "folder" / "certificate.json").write_text("{")
    return where


def refused(folder, *arguments):
    """The command is refused in a line, and changes nothing."""
    before = sorted(path.name for path in folder.rglob("*"))
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert done.exit_code == 2, (arguments, done.output, done.exception)
    assert isinstance(done.exception, SystemExit), (arguments, done.exception)
    lines = done.output.strip().splitlines()
    assert len(lines) == 1 or "Usage:" in done.output, lines
    assert lines[0], arguments
    assert sorted(path.name for path in folder.rglob("*")) == before
    return done.output


def at(folder, path):
    return folder / path if path and path[0] not in "-~" else path


READ = {  # a file that is read
    "features": lambda path, folder: ("features", "--", path, folder / "new.npy"),
    "features --weights": lambda path, f: ("features", f / "in.wav", f / "new.npy", f"--weights={path}"),
    "convert --clip": lambda path, f: ("convert", f / "w.pt", f / "new.safetensors", f"--clip={path}"),
    "certificate show": lambda path, folder: ("certificate", "show", "--", path),
    "certificate summary": lambda path, folder: ("certificate", "summary", "--", path),
    "certificate summary --into": lambda path, folder: ("certificate", "summary", folder, f"--into={path}"),
    "convert, to": lambda path, folder: ("convert", "--", folder / "w.pt", path),  # without a suffix
}
WRITTEN = {  # a file that is made
    "features, to": lambda path, folder: ("features", "--", folder / "in.wav", path),
    "search --record": lambda path, folder: ("search", "leaf", "--examples", 1, f"--record={path}"),
}


@pytest.mark.parametrize("path", [*PATHS, *NEW], ids=ascii)
@pytest.mark.parametrize("command", READ)
def test_what_is_no_file_of_the_kind(command, path, folder):
    refused(folder, *READ[command](at(folder, path), folder))


@pytest.mark.parametrize("path", PATHS, ids=ascii)
@pytest.mark.parametrize("command", WRITTEN)
def test_where_nothing_can_be_written(command, path, folder):
    refused(folder, *WRITTEN[command](at(folder, path), folder))


@pytest.mark.parametrize("path", ["folder.safetensors", "pipe.safetensors", "junk.safetensors", "no/x.safetensors",
                                  "/proc/x.safetensors", "text/x.safetensors", f"{'x' * 250}.safetensors"])  # fmt: skip
def test_where_weights_cannot_go_for_what_is_there(path, folder):
    refused(folder, "convert", folder / "w.pt", folder / path)


@pytest.mark.parametrize("path", [*PATHS, *NEW], ids=ascii)
def test_what_describes_no_port(path, folder, capsys):
    with pytest.raises(SystemExit) as ended:
        ports(["--", str(at(folder, path)), "name", "seed=1"])
    assert ended.value.code == 2
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("kind", ["junk", "folder", "pipe", "empty", "gone"])
def test_what_are_no_weights(kind, suffix, folder):
    refused(folder, "convert", folder / f"{kind}{suffix}", folder / "new.safetensors")
    refused(folder, "features", folder / "in.wav", folder / "new.npy", "--weights", folder / f"{kind}{suffix}")


@pytest.mark.parametrize("config", [
    "gone.json", "folder.json", "pipe.json", "deep.json", "list.json", "n_filters", "n_filters=0", "n_filters=-1",
    "n_filters=1e400", "n_filters=nan", "sample_rate=inf", "sample_rate=0", "window_len=nan", "window_len=-1",
    "window_len=0", "frontend=", "frontend=\u202e", "__class__=1", "n_filters=1,n_filters=2", ",", "=", "preemp=2",
    "compression=fixed_pcen", "conv1d_cls=Conv1D",
])  # fmt: skip
def test_what_is_no_setting(config, folder):
    text = folder / config if config.endswith(".json") else config
    refused(folder, "convert", folder / "w.pt", folder / "new.safetensors", "--config", text)


CONVERT = [
    ("--to", "torch"), ("--to", ""), ("--to", "tf_leaf"), ("--padding", "valid", "--to", "leaf"), ("--padding", "same"),
    ("--num-groups", 0, "--to", "efficientleaf"), ("--num-groups", 5), ("--num-groups", "x"), ("--wrap",),
    ("--conv-win-factor", "nan", "--to", "efficientleaf"), ("--stride-factor", "inf", "--to", "efficientleaf"),
    ("--conv-win-factor", -1, "--to", "efficientleaf"), ("--scope", "no/such"), ("--scope", "\u202e"), ("--no-such", 1),
    ("--to", "leaf", "--to", "leaf"), ("--clip", "a.wav", "--clip", "b.wav"),
    ("--to", "efficientleaf", "--padding", "centered", "--num-groups", 99),
]  # fmt: skip
FEATURES = [  # and those of test_features
    ("--frontend", ""), ("--frontend", "og_leaf"), ("--frontend", "og_leaf", "--padding", "centered"),
    ("--n-filters", -4), ("--n-filters", "4.5"), ("--sample-rate", -16000), ("--sample-rate", "nan"), ("--channel", -1),
    ("--channel", "left"), ("--n-filters", 4, "--n-filters", 5),
]  # fmt: skip
OTHERS = [
    ("search", "torch"), ("search", "leaf", "--examples", 0), ("search", "leaf", "--examples", -1),
    ("search", "leaf", "--seed", "x"), ("search", ""), ("replay", "torch", "seed=1"),
    ("replay", "leaf", "n_filters=0"), ("replay", "leaf", "n_filters=x"), ("replay", "leaf", "no_such=1"),
    ("replay", "leaf", "="), ("replay", "leaf", "padding=valid"), ("long", "--frames", 0), ("long", "--frames", -1),
    ("long", "--drawn", -1), ("long", "--frames", 10, "--drawn", 1, "--drawn", 2), ("formulations", "--records"),
    ("no-such",), ("certificate",), ("certificate", "no-such"),
]  # fmt: skip


@pytest.mark.parametrize("arguments", [
    *(("convert", "w.pt", "new.safetensors", *options) for options in CONVERT),
    *(("features", "in.wav", "new.npy", *options) for options in FEATURES), *OTHERS,
], ids=str)  # fmt: skip
def test_options(arguments, folder, monkeypatch):
    monkeypatch.chdir(folder)
    refused(folder, *arguments)


@pytest.mark.parametrize("command", ["long", "formulations"])
def test_records_beside_an_installed_package_are_refused(command, folder, monkeypatch):
    monkeypatch.setattr("parity.cli.ROOT", folder)
    assert "clone of the repository" in refused(folder, command, "--record")


@pytest.mark.parametrize(("arguments", "library"), [
    (("search",), "hypothesis"), (("features", "in.wav", "new.npy"), "soundfile"),
    (("convert", "junk.h5", "new.safetensors"), "h5py"), (("convert", "w.pt", "new.safetensors"), "safetensors"),
    (("features", "in.wav", "new.npy", "--weights", "junk.keras"), "h5py"),
    (("long", "--frames", "1", "--drawn", "0"), "rich"), (("formulations",), "rich"),
    (("certificate", "show", "certificate.json"), "rich"),
], ids=str)  # fmt: skip
def test_library_that_is_missing_is_named(arguments, library, folder, monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == library] + [library]:
        monkeypatch.setitem(sys.modules, name, None)
    for name in ("parity.checks.search", "parity.cases.strategies", "parity.report.table", "parity.checks.long"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.chdir(folder)
    said = refused(folder, *arguments)
    assert f"python -m pip install {library}" in said
    assert "leaf-ladder[" not in said


def test_version():
    done = CliRunner().invoke(app, ["--version"])
    assert (done.exit_code, done.output.strip()) == (0, f"leaf-ladder {__version__}")
