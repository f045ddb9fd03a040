"""``leaf-ladder features``: the file is the front end's output, whole or not there at all."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile
import torch
from typer.testing import CliRunner

from leaf import Leaf
from parity.bridges import convert
from parity.cli import app
from parity.features import build, extract
from parity.gates import OfMax

SAME = OfMax(2.0**-20, "the same sums of 400 products in another order, and a root")
RATE = 8000


@pytest.fixture
def recording(tmp_path):
    path = tmp_path / "in.flac"
    x = np.random.default_rng(0).uniform(-0.5, 0.5, 150_001)
    soundfile.write(path, x, RATE)
    return path


def command(*arguments):
    return CliRunner().invoke(app, ["features", *map(str, arguments)])


def audio(path):
    return torch.from_numpy(soundfile.read(path, dtype="float32")[0]).unsqueeze(0)


@pytest.mark.parametrize("arguments", [
    ("leaf",), ("leaf", "--padding", "same"), ("efficientleaf",)
], ids=" ".join)  # fmt: skip
def test_are_those_of_the_module(recording, tmp_path, arguments):
    out = tmp_path / "out.npy"
    done = command(recording, out, "--sample-rate", RATE, "--n-filters", 5, "--frontend", *arguments)
    assert done.exit_code == 0, done.output
    module = build(arguments[0], RATE, 5, padding="same" if len(arguments) > 1 else "centered")
    with torch.no_grad():
        expected = module(audio(recording))[0].numpy()
    got = np.load(out)
    assert (got.dtype, got.shape) == (np.float32, expected.shape)
    assert SAME(got, expected).passes
    assert "5 filters, 1876 frames" in done.output


@pytest.mark.parametrize("suffix", ["pt", "npz"])
def test_weights_are_taken_from_a_file(recording, tmp_path, suffix):
    module = Leaf(5, max_freq=RATE / 2, sample_rate=RATE)
    with torch.no_grad():
        module.filterbank.pooling_widths.mul_(0.75)
    weights, out = tmp_path / f"weights.{suffix}", tmp_path / "out.npy"
    if suffix == "pt":
        torch.save(module.state_dict(), weights)
    else:
        from parity.rungs import rung_of

        np.savez(weights, **rung_of(module).load_bridge().read(module))
    done = command(recording, out, "--sample-rate", RATE, "--n-filters", 5, "--weights", weights)
    assert done.exit_code == 0, done.output
    with torch.no_grad():
        expected = convert(module, to="leaf", padding="centered")(audio(recording))[0].numpy()
    assert SAME(np.load(out), expected).passes


def test_one_channel_of_several(tmp_path):
    both, one = tmp_path / "both.wav", tmp_path / "one.wav"
    x = np.random.default_rng(1).uniform(-0.5, 0.5, (4000, 2))
    soundfile.write(both, x, RATE, subtype="FLOAT")
    soundfile.write(one, x[:, 1], RATE, subtype="FLOAT")
    for path in (both, one):
        chosen = ("--channel", 1) if path == both else ()
        assert command(path, path.with_suffix(".npy"), "--sample-rate", RATE, *chosen).exit_code == 0
    assert np.array_equal(np.load(both.with_suffix(".npy")), np.load(one.with_suffix(".npy")))


@pytest.mark.parametrize(("arguments", "named"), [
    ((), ("has 8000 Hz", "16000", "--sample-rate 8000")),
    (("--sample-rate", 8000, "--channel", 1), ("channel=1", "0 to 0")),
    (("--sample-rate", 8000, "--frontend", "tf_leaf"), ("frontend='tf_leaf'", "leaf, efficientleaf")),
    (("--sample-rate", 8000, "--frontend", "efficientleaf", "--padding", "same"), ("padding='same'", "'centered'")),
    (("--sample-rate", 8000, "--padding", "valid"), ("padding='valid'", "'same'")),
    (("--sample-rate", 8000, "--n-filters", 0), ("n_filters=0",)),
    (("--sample-rate", 8000, "--weights", "none.pt"), ("weights='none.pt'", "no such file")),
    (("--sample-rate", 8000, "--weights", "none.npz"), ("none.npz", "no such file")),
])  # fmt: skip
def test_refusals_leave_what_was_there(recording, tmp_path, arguments, named):
    out = tmp_path / "out.npy"
    out.write_text("before")
    done = command(recording, out, *arguments)
    assert done.exit_code == 2
    assert all(text in done.output for text in named), done.output
    assert out.read_text() == "before"


@pytest.mark.parametrize("content", [b"", b"no audio"])
def test_what_is_no_audio(tmp_path, content):
    path = tmp_path / "in.wav"
    path.write_bytes(content)
    done = command(path, tmp_path / "out.npy")
    assert done.exit_code == 2
    assert "must be audio that soundfile reads" in done.output


def test_a_recording_that_breaks_off(tmp_path):
    path, out = tmp_path / "in.flac", tmp_path / "out.npy"
    soundfile.write(path, np.random.default_rng(2).uniform(-0.5, 0.5, 200_000), 16000)
    path.write_bytes(path.read_bytes()[:200_000])
    done = command(path, out)
    assert done.exit_code == 2
    assert not out.exists()


def test_no_folder_to_write_to(recording, tmp_path):
    done = command(recording, tmp_path / "none" / "out.npy", "--sample-rate", RATE)
    assert done.exit_code == 2
    assert "there is no such folder" in done.output


def test_an_empty_recording(tmp_path):
    path = tmp_path / "in.wav"
    soundfile.write(path, np.zeros(0), 16000)
    assert "has no samples" in command(path, tmp_path / "out.npy").output


def test_what_fails_on_the_way_leaves_nothing(recording, tmp_path):
    out = tmp_path / "out.npy"

    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        extract(recording, out, build("leaf", RATE, 2), progress=stop)
    assert list(tmp_path.iterdir()) == [recording]
