"""Every command with arguments that nobody means: one line that names what is wrong, exit status 2, no traceback."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest
import soundfile
import torch
from typer.testing import CliRunner

import og_leaf
from fixtures import record
from parity.cli import app
from parity.ports.__main__ import main as ports
from parity.report.certificate import SCHEMA

# by name: what stands at a path
PATHS = ("gone", "no/such/folder", "folder", "pipe", "/dev/zero", "/dev/null", "/proc/self/status", "/proc/self/mem",
         "/proc/nothing", "empty", "text", "junk", "gone-ü-\u202e-\U0001f600", "\udcff", "new\nline", "x" * 300, "loop",
         "text/below", "", "-", "~nobody/x")  # fmt: skip
SUFFIXES = (".pt", ".npz", ".h5", ".keras", ".safetensors", ".index", ".tflite", "")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    where = tmp_path_factory.mktemp("hostile")
    (where / "folder").mkdir()
    os.mkfifo(where / "pipe")
    (where / "empty").write_text("")
    (where / "text").write_text("just text\n" * 20)
    (where / "junk").write_bytes(np.random.default_rng(0).bytes(5000))
    (where / "loop").symlink_to(where / "loop")
    soundfile.write(where / "in.wav", np.zeros(400), 16000)
    torch.save(og_leaf.Leaf(n_filters=1).state_dict(), where / "w.pt")
    for suffix in filter(None, SUFFIXES):
        (where / f"junk{suffix}").write_bytes(np.random.default_rng(1).bytes(3000))
        (where / f"folder{suffix}").mkdir()
        os.mkfifo(where / f"pipe{suffix}")
        (where / f"empty{suffix}").write_text("")
    (where / "deep.json").write_text("[" * 100_000)
    (where / "list.json").write_text("[1, 2]")
    (where / "certificate.json").write_text(json.dumps({"schema": SCHEMA}))
    (where / "folder" / "certificate.json").write_text("{")
    return where


def refused(folder, *arguments, inside=True):
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


@pytest.mark.parametrize("path", PATHS, ids=ascii)
def test_what_is_no_recording(path, folder):
    refused(folder, "features", "--", at(folder, path), folder / "new.npy")


@pytest.mark.parametrize("path", [p for p in PATHS if p.isascii() and p not in ("gone", "-", "new\nline")], ids=ascii)
def test_where_features_cannot_go(path, folder):
    refused(folder, "features", "--", folder / "in.wav", at(folder, path))


@pytest.mark.parametrize("path", PATHS, ids=ascii)
def test_what_are_no_weights_of_features(path, folder):
    refused(folder, "features", folder / "in.wav", folder / "new.npy", f"--weights={at(folder, path)}")


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("kind", ["junk", "folder", "pipe", "empty", "gone"])
def test_what_are_no_weights(kind, suffix, folder):
    refused(folder, "convert", folder / f"{kind}{suffix}", folder / "new.safetensors")
    refused(folder, "features", folder / "in.wav", folder / "new.npy", "--weights", folder / f"{kind}{suffix}")


@pytest.mark.parametrize("path", PATHS, ids=ascii)
def test_where_weights_cannot_go(path, folder):
    refused(folder, "convert", "--", folder / "w.pt", at(folder, path))


@pytest.mark.parametrize("path", ["folder.safetensors", "pipe.safetensors", "junk.safetensors", "no/x.safetensors",
                                  "/proc/x.safetensors", "text/x.safetensors", f"{'x' * 250}.safetensors"])  # fmt: skip
def test_where_weights_cannot_go_for_what_is_there(path, folder):
    refused(folder, "convert", folder / "w.pt", folder / path)


@pytest.mark.parametrize("clip", PATHS, ids=ascii)
def test_what_is_no_clip(clip, folder):
    refused(folder, "convert", folder / "w.pt", folder / "new.safetensors", f"--clip={at(folder, clip)}")


@pytest.mark.parametrize("config", [
    "gone.json", "folder.json", "pipe.json", "deep.json", "list.json", "n_filters", "n_filters=0", "n_filters=-1",
    "n_filters=1e400", "n_filters=nan", "sample_rate=inf", "sample_rate=0", "window_len=nan", "window_len=-1",
    "window_len=0", "frontend=", "frontend=\u202e", "__class__=1", "n_filters=1,n_filters=2", ",", "=", "preemp=2",
    "compression=fixed_pcen", "conv1d_cls=Conv1D",
])  # fmt: skip
def test_what_is_no_setting(config, folder):
    text = folder / config if config.endswith(".json") else config
    refused(folder, "convert", folder / "w.pt", folder / "new.safetensors", "--config", text)


@pytest.mark.parametrize("options", [
    ("--to", "torch"), ("--to", ""), ("--to", "tf_leaf"), ("--padding", "valid", "--to", "leaf"), ("--padding", "same"),
    ("--num-groups", 0, "--to", "efficientleaf"), ("--num-groups", 5), ("--num-groups", "x"), ("--wrap",),
    ("--conv-win-factor", "nan", "--to", "efficientleaf"), ("--stride-factor", "inf", "--to", "efficientleaf"),
    ("--conv-win-factor", -1, "--to", "efficientleaf"), ("--scope", "no/such"), ("--scope", "\u202e"), ("--no-such", 1),
    ("--to", "leaf", "--to", "leaf"), ("--clip", "a.wav", "--clip", "b.wav"),
    ("--to", "efficientleaf", "--padding", "centered", "--num-groups", 99),
], ids=str)  # fmt: skip
def test_options_of_convert(options, folder):
    refused(folder, "convert", folder / "w.pt", folder / "new.safetensors", *options)


@pytest.mark.parametrize("options", [
    ("--frontend", "tf_leaf"), ("--frontend", ""), ("--frontend", "og_leaf"), ("--padding", "valid"),
    ("--frontend", "og_leaf", "--padding", "centered"), ("--n-filters", 0), ("--n-filters", -4), ("--n-filters", "4.5"),
    ("--sample-rate", 0), ("--sample-rate", -16000), ("--sample-rate", "nan"), ("--sample-rate", 8000),
    ("--channel", -1), ("--channel", 1), ("--channel", "left"), ("--n-filters", 4, "--n-filters", 5),
], ids=str)  # fmt: skip
def test_options_of_features(options, folder):
    refused(folder, "features", folder / "in.wav", folder / "new.npy", *options)


@pytest.mark.parametrize("path", PATHS, ids=ascii)
def test_what_is_no_certificate(path, folder):
    refused(folder, "certificate", "show", "--", at(folder, path))
    refused(folder, "certificate", "summary", "--", at(folder, path))


@pytest.mark.parametrize("path", PATHS, ids=ascii)
def test_where_no_summary_can_go(path, folder):
    refused(folder, "certificate", "summary", folder, f"--into={at(folder, path)}")


@pytest.mark.parametrize("path", [path for path in PATHS if path not in ("gone", "-") and path.isascii()], ids=ascii)
def test_where_no_search_is_kept(path, folder):
    if path != "new\nline":
        refused(folder, "search", "leaf", "--examples", 1, f"--record={at(folder, path)}")


@pytest.mark.parametrize("arguments", [
    ("search", "torch"), ("search", "leaf", "--examples", 0), ("search", "leaf", "--examples", -1),
    ("search", "leaf", "--seed", "x"), ("search", ""), ("replay", "torch", "seed=1"),
    ("replay", "leaf", "n_filters=0"), ("replay", "leaf", "n_filters=x"), ("replay", "leaf", "no_such=1"),
    ("replay", "leaf", "="), ("replay", "leaf", "padding=valid"), ("long", "--frames", 0), ("long", "--frames", -1),
    ("long", "--drawn", -1), ("long", "--frames", 10, "--drawn", 1, "--drawn", 2), ("formulations", "--records"),
    ("no-such",), ("certificate",), ("certificate", "no-such"),
], ids=str)  # fmt: skip
def test_other_commands(arguments, folder):
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
    import sys

    for name in [name for name in sys.modules if name.split(".")[0] == library] + [library]:
        monkeypatch.setitem(sys.modules, name, None)
    for name in ("parity.checks.search", "parity.cases.strategies", "parity.report.table", "parity.checks.long"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.chdir(folder)
    said = refused(folder, *arguments)
    assert f"python -m pip install {library}" in said
    assert "leaf-ladder[" not in said


@pytest.mark.parametrize("path", PATHS, ids=ascii)
def test_what_describes_no_port(path, folder, capsys):
    with pytest.raises(SystemExit) as ended:
        ports(["--", str(at(folder, path)), "name", "seed=1"])
    assert ended.value.code == 2
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [
    *(("--out", path) for path in ("text", "pipe", "text/below", "/proc/nothing", "x" * 300, "loop", "holds")),
    ("--out", "a", "--out", "b"), ("--kind", "frontends", "--kind", "training"), ("--only", "a", "--only", "b"),
], ids=str)  # fmt: skip
def test_what_the_recorder_refuses_before_it_records(arguments, folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(record, "Source", lambda name: pytest.fail("the source was imported"))
    (tmp_path / "holds" / "goldens").mkdir(parents=True)
    (tmp_path / "holds" / "goldens" / "thesis.txt").write_text("mine")
    given = [(tmp_path if a == "holds" else folder) / a if i == 1 and arguments[0] == "--out" else a
             for i, a in enumerate(arguments)]  # fmt: skip
    with pytest.raises(SystemExit) as ended:
        record.main(["--source", "tf_leaf", "--replace", *map(str, given)])
    assert ended.value.code == 2
    assert (tmp_path / "holds" / "goldens" / "thesis.txt").read_text() == "mine"
    assert arguments[0] in capsys.readouterr().err


def test_version():
    from parity import __version__

    done = CliRunner().invoke(app, ["--version"])
    assert (done.exit_code, done.output.strip()) == (0, f"leaf-ladder {__version__}")
