"""``leaf-ladder convert`` and files: what is read or is somebody's stays, and settings in several options are one."""

from __future__ import annotations

import json

import pytest

from parity.weights.convert_file import SPEECH
from parity.weights.frontends import settings_of
from parity_tests.helpers.refusals import refused
from parity_tests.meta import checkpoint_files as files
from parity_tests.meta.test_convert_command import GEOMETRY, run, source


@pytest.mark.parametrize("neighbour", ["w.safetensors", "w.json"])
def test_a_file_of_somebody_else_wants_force(neighbour, tmp_path):
    (tmp_path / neighbour).write_text('{"sample_rate": 8000}')
    asked = (source("leaf"), tmp_path / "w.safetensors", "--config", GEOMETRY)
    done = run(*asked)
    assert done.exit_code == 2
    assert all(text in done.output for text in (neighbour, "--force")), done.output
    assert [path.name for path in tmp_path.iterdir()] == [neighbour]
    assert (tmp_path / neighbour).read_text() == '{"sample_rate": 8000}'
    assert run(*asked, "--force").exit_code == 0
    assert run(*asked).exit_code == 0  # it is ours now


def test_files_of_another_name_are_left_alone(tmp_path):
    for name in ("w.safetensors.new", "w.json.new", ".w.safetensors"):
        (tmp_path / name).write_text("mine")
    assert run(source("leaf"), tmp_path / "w.safetensors", "--config", GEOMETRY).exit_code == 0
    assert {path.read_text() for path in tmp_path.iterdir() if not path.name.startswith("w.") or
            path.suffix == ".new"} == {"mine"}  # fmt: skip


@pytest.mark.parametrize("read", ["source", "config", "clip"])
def test_what_is_read_is_never_written_over(read, tmp_path):
    run(source("leaf"), tmp_path / "w.safetensors", "--config", GEOMETRY)
    (tmp_path / "m.json").write_text(json.dumps(files.config("leaf").as_dict()))
    (tmp_path / "c.safetensors").write_bytes(SPEECH.read_bytes())
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    asked = {
        "source": (tmp_path / "w.safetensors", tmp_path / "w.safetensors"),
        "config": (source("leaf"), tmp_path / "m.safetensors", "--config", tmp_path / "m.json"),
        "clip": (source("leaf"), tmp_path / "c.safetensors", "--config", GEOMETRY, "--clip",
                 tmp_path / "c.safetensors"),
    }[read]  # fmt: skip
    done = run(*asked, "--force")
    assert done.exit_code == 2
    assert "which is read; name another" in done.output
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize(("texts", "found"), [
    (("sample_rate=8000", "n_filters=4"), {"sample_rate": "8000", "n_filters": "4"}),
    (("window_len=25,n_filters=4", "window_len=25.0"), {"window_len": "25.0", "n_filters": "4"}),
    (("preemp=true", "preemp=True"), {"preemp": "True"}),
    (("sample_rate=8000", "sample_rate=16000"), "sample_rate=8000 and sample_rate=16000"),
    (("sample_rate=8000,sample_rate=16000",), "sample_rate=8000 and sample_rate=16000"),
    (("n_filters=",), "config='n_filters='"), (("=4",), "config='=4'"), (("a,b",), "config='a,b'"),
])  # fmt: skip
def test_settings_in_several_options_are_one(texts, found):
    if isinstance(found, dict):
        assert settings_of(texts) == found
    else:
        refused(lambda: settings_of(texts), ValueError, found)


def test_settings_of_a_file_and_of_the_command_line_agree(tmp_path):
    path = tmp_path / "c.json"
    path.write_text('{"config": {"sample_rate": 8000, "window_len": 25.0}}')
    assert settings_of([str(path), "window_len=25,n_filters=2"]) == {
        "sample_rate": 8000, "window_len": "25", "n_filters": "2"
    }  # fmt: skip
    refused(lambda: settings_of([str(path), "sample_rate=16000"]), ValueError, "sample_rate=8000", "sample_rate=16000")


def test_an_option_that_is_given_twice_is_refused(tmp_path):
    done = run(source("leaf"), tmp_path / "w.safetensors", "--to", "leaf", "--to", "og_leaf")
    assert done.exit_code == 2
    assert done.output.strip() == "--to: is given 2 times, must be given once"


def test_clip_of_another_rate_is_refused_and_that_of_the_repository_said(tmp_path):
    asked = (source("leaf"), tmp_path / "w.safetensors", "--config", GEOMETRY)
    done = run(*asked, "--clip", SPEECH)
    assert done.exit_code == 2
    assert all(text in done.output for text in ("clip=", "16000 Hz", "8000"))
    assert "(16000 Hz, taken as 8000 Hz)" in run(*asked).output
