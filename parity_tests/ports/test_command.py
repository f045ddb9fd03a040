"""``leaf-ladder port init`` and ``port check``: a first draft of a description, and a run without pytest."""

from __future__ import annotations

import re
import runpy

import pytest
from typer.testing import CliRunner

from parity.cli import app
from parity.ports.drafting import draft
from parity_tests.ports.bench import CERTIFY, FOLDER, ORIGINAL, SIMPLIFIED

SIX = ("kernel", "learnable_pooling/kernel", "PCEN/alpha", "PCEN/delta", "PCEN/root", "PCEN/EMA/smooth")


def run(*arguments):
    return CliRunner().invoke(app, ["port", *map(str, arguments)])


def drafted(source, tmp_path):
    file = tmp_path / "certify_drafted.py"
    done = run("init", source, "--into", file)
    assert done.exit_code == 0, done.output
    return file, runpy.run_path(str(file))["PORT"]


@pytest.mark.parametrize(("source", "known", "audio"), [
    ("og_leaf:Leaf", ORIGINAL, "bt"), ("leaf:Leaf", SIMPLIFIED, "bt"),
])  # fmt: skip
def test_draft_finds_parameters_and_axes(source, known, audio, tmp_path):
    _, port = drafted(source, tmp_path)
    assert port.parameters == {name: known[name] for name in SIX}
    assert port.audio == audio


def test_draft_of_the_original_runs_as_it_is(tmp_path):
    file, port = drafted("og_leaf:Leaf", tmp_path)
    assert {"conv", "modulus", "pool", "floor", "ema", "pcen"} <= set(port.stages)
    done = run("check", file, "--examples", 3)
    assert done.exit_code == 0, done.output
    assert "og_leaf is og_leaf (3 cases)" in done.output
    # what is there is not replaced
    assert run("init", "og_leaf:Leaf", "--into", file).exit_code == 2


@pytest.mark.parametrize(("source", "said"), [
    ("og_leaf", "must be MODULE:CLASS"), ("og_leaf:Nothing", "must be importable"),
    ("og_leaf:WindowType", "must be a torch.nn.Module class"), ("torch.nn:ReLU", "must take audio"),
    ("torch.nn:Linear", "raises TypeError"),
])  # fmt: skip
def test_what_cannot_be_drafted_is_refused(source, said):
    with pytest.raises(ValueError, match=said):
        draft(source)


NUMBER = re.compile(r"\d\.\d+(e[-+]\d+)?|\de[-+]\d+")  # their last digits are a machine's


def test_check_prints_what_the_page_shows_and_ends_with_1(monkeypatch):
    page = (FOLDER.parents[1] / "docs" / "certify-your-port.md").read_text(encoding="utf-8")
    command, shown = re.search(r"^\$ leaf-ladder port (check \S+)\n(.*?)^```", page, re.DOTALL | re.MULTILINE).groups()
    monkeypatch.chdir(FOLDER)
    done = run(*command.split())
    assert done.exit_code == 1
    for line, printed in zip(shown.splitlines(), done.output.splitlines(), strict=True):
        begins, cut, _ = line.partition("...")
        seen = printed[: len(begins)] if cut else printed
        assert NUMBER.sub("n", seen) == NUMBER.sub("n", begins)


def test_check_refuses_what_is_no_description(tmp_path):
    empty = tmp_path / "empty.py"
    empty.write_text("x = 1\n")
    assert run("check", empty).exit_code == 2
    assert run("check", tmp_path / "missing.py").exit_code == 2
    assert run("check", CERTIFY, "--name", "another").exit_code == 2
    assert run("check", CERTIFY, "--examples", 0).exit_code == 2
