"""Every file of weights that a command or ``torch.save`` writes, read by every command: equal features, or why not."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from typer.testing import CliRunner

import efficientleaf
import leaf
import og_leaf
from parity import load, load_weights
from parity.checks.grid import FORWARD
from parity.cli import app
from parity.weights import stored

COMMANDS = ("load", "load_weights", "convert --to og_leaf", "convert --to leaf", "convert --to efficientleaf",
            "features")  # fmt: skip
NOT_OURS = "must be a file of leaf-ladder convert"  # what describes itself is alone what load can read
SAME = "padding='same': efficientleaf holds padding='centered' alone"
CENTRED = "padding='centered': og_leaf holds padding='same' alone"
WRAPPED = "must be a tf_leaf.Leaf, og_leaf.Leaf"  # what stands around a rung belongs to none
TBN = "compression."  # another compression than PCEN is no LEAF
SINC = "activation: must be given"  # no file of variables says it
PUBLISHED = ("--num-groups", 2, "--conv-win-factor", 4.77, "--stride-factor", 1)


@dataclass(frozen=True)
class Written:
    """A file of weights.

    Attributes:
        make: the module whose state dict it is, or of which ``convert`` makes it.
        cells: what each of ``COMMANDS`` answers; empty where the features are equal.
        options: of ``convert``, that make the file; None for ``torch.save``.
        said: by command, what the file does not say: options of the command.
    """

    make: Any
    cells: tuple[str, ...]
    options: tuple[Any, ...] | None = None
    said: dict[str, tuple[Any, ...]] = field(default_factory=dict)


def _og(**settings: Any) -> Any:
    return og_leaf.Leaf(n_filters=2, **settings)


def _logs(**settings: Any) -> Any:
    return leaf.Leaf(2, compression=leaf.PCEN(2, 0.04, 0.96, 2.0, 0.5, eps=1e-12, clamp=1e-5), **settings)


FILES = {
    "og_leaf, saved": Written(_og, (NOT_OURS, "", "", "", SAME, ""), said={"features": ("--frontend", "og_leaf")}),
    "og_leaf, saved, as leaf": Written(_og, (NOT_OURS, "", "", "", SAME, "")),
    "SincNet, saved": Written(
        lambda: og_leaf.SincNet(n_filters=2), (NOT_OURS, "", "", "SincConv1D", "SincConv1D", SINC),
        said={"convert": ("--config", "frontend=SincNet"), "features": ("--frontend", "og_leaf")},
    ),
    "leaf, saved": Written(lambda: leaf.Leaf(2), (NOT_OURS, "", CENTRED, "", "", "")),
    "leaf of logarithms, saved": Written(_logs, (NOT_OURS, "", CENTRED, "", "", "")),
    "leaf padded as TensorFlow, saved": Written(
        lambda: leaf.Leaf(2, padding="same"), (NOT_OURS, "", "", "", SAME, ""),
        said={"convert": ("--config", "padding=same"), "features": ("--padding", "same")},
    ),
    "efficientleaf with PCEN, saved": Written(
        lambda: efficientleaf.EfficientLeaf(2, 2, compression="pcen"), (NOT_OURS, "", CENTRED, None, "", ""),
        said={"convert --to efficientleaf": PUBLISHED, "features": ("--frontend", "efficientleaf")},
    ),
    "efficientleaf, saved": Written(
        lambda: efficientleaf.EfficientLeaf(2, 2), (NOT_OURS, "", TBN, TBN, TBN, TBN),
        said={"features": ("--frontend", "efficientleaf")},
    ),
    "og_leaf, converted": Written(_og, ("", "", "", "", SAME, ""), ()),
    "og_leaf with everything, converted": Written(
        lambda: _og(preemp=True, mean_var_norm=True), ("", "", "", "preemp=True", "preemp=True", ""), ()
    ),
    "leaf, converted": Written(_og, ("", "", "", "", SAME, ""), ("--to", "leaf")),
    "leaf of centred frames, converted": Written(
        _og, ("", "", CENTRED, "", "", ""), ("--to", "leaf", "--padding", "centered")
    ),
    "leaf in what it cannot hold, converted": Written(
        lambda: _og(preemp=True), ("", WRAPPED, WRAPPED, "", WRAPPED, ""), ("--to", "leaf", "--wrap")
    ),
    "efficientleaf, converted": Written(
        _og, ("", "", CENTRED, "", "", ""), ("--to", "efficientleaf", "--padding", "centered")
    ),
    "efficientleaf by groups, converted": Written(
        _og, ("", "", CENTRED, None, "", ""), ("--to", "efficientleaf", "--padding", "centered", *PUBLISHED)
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    where = tmp_path_factory.mktemp("formats")
    rng = np.random.default_rng(0)
    soundfile.write(where / "in.wav", rng.uniform(-0.5, 0.5, 2001), 16000, subtype="FLOAT")
    for number, written in enumerate(FILES.values()):
        torch.manual_seed(0)
        module = written.make().eval()
        with torch.no_grad():
            for tensor in module.state_dict(keep_vars=True).values():
                if tensor.is_floating_point():
                    tensor.mul_(torch.as_tensor(rng.uniform(1.3, 1.4, tuple(tensor.shape)), dtype=tensor.dtype))
        torch.save(module.state_dict(), where / f"{number}.pt")
        path = where / f"{number}.pt"
        if written.options is not None:
            path = where / f"{number}.safetensors"
            run("convert", where / f"{number}.pt", path, *written.options)
            module = load(path)
        torch.save((module, path), where / f"{number}.module")
    return where


def run(*arguments):
    """The command's text; raises it where the command refuses."""
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if done.exit_code:
        assert isinstance(done.exception, SystemExit), done.exception
        raise ValueError(done.output)
    return done.output


def features_of(module, folder):
    audio = torch.from_numpy(soundfile.read(folder / "in.wav", dtype="float32")[0])[None]
    with torch.no_grad():
        return module(audio)[0].numpy()


def answered(command, name, path, folder, tmp_path):
    """The features that a command gets out of a file."""
    written = FILES[name]
    if command == "load":
        return features_of(load(path), folder)
    if command == "load_weights":
        module = written.make() if written.options is None else stored.described(path).module()
        load_weights(module, path)
        return features_of(module.eval(), folder)
    said = written.said.get(command, written.said.get(command.split()[0], ()))
    if command == "features":
        run("features", folder / "in.wav", tmp_path / "out.npy", "--weights", path, *said)
        return np.load(tmp_path / "out.npy")
    run("convert", path, tmp_path / "w.safetensors", *command.split()[1:], *said)
    return features_of(load(tmp_path / "w.safetensors"), folder)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("name", FILES)
def test_cell(name, command, folder, tmp_path):
    reason = FILES[name].cells[COMMANDS.index(command)]
    number = list(FILES).index(name)
    module, path = torch.load(folder / f"{number}.module", weights_only=False)
    expected = features_of(module, folder)
    if reason:
        with pytest.raises((TypeError, ValueError)) as caught:
            answered(command, name, path, folder, tmp_path)
        assert reason in " ".join(str(caught.value).split())
        return
    got = answered(command, name, path, folder, tmp_path)
    if reason is None:  # leaf without the approximation: the same parameters, and the difference is printed
        module = leaf.Leaf(2, compression=module.compression).eval()
        load_weights(module, path)
        expected = features_of(module, folder)
    assert FORWARD(got, expected).passes, FORWARD(got, expected)
