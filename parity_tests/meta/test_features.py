"""``leaf-ladder features``: the file is the front end's output, whole or not there at all."""

from __future__ import annotations

import shutil
from functools import partial

import numpy as np
import pytest
import soundfile
import torch

import og_leaf
from leaf import Leaf
from parity import load, load_weights
from parity.criteria import OfMax
from parity.weights.convert_file import convert_file
from parity.weights.converting import convert
from parity.weights.features import build, extract
from parity_tests.helpers.command import run

SAME = OfMax(2.0**-20, "the same sums of 400 products in another order, and a root")
RATE = 8000


@pytest.fixture
def recording(tmp_path):
    path = tmp_path / "in.flac"
    x = np.random.default_rng(0).uniform(-0.5, 0.5, 70_001)
    soundfile.write(path, x, RATE)
    return path


command = partial(run, "features")


def audio(path):
    return torch.from_numpy(soundfile.read(path, dtype="float32")[0]).unsqueeze(0)


@pytest.mark.parametrize("arguments", [
    ("leaf",), ("leaf", "--padding", "same"), ("efficientleaf",)
], ids=" ".join)  # fmt: skip
def test_are_those_of_the_module(recording, tmp_path, arguments):
    out = tmp_path / "out.npy"
    said = command(recording, out, "--sample-rate", RATE, "--n-filters", 5, "--frontend", *arguments)
    module = build(arguments[0], RATE, 5, padding="same" if len(arguments) > 1 else "centered")
    with torch.no_grad():
        expected = module(audio(recording))[0].numpy()
    got = np.load(out)
    assert (got.dtype, got.shape) == (np.float32, expected.shape)
    assert SAME(got, expected).passes
    assert "5 filters, 876 frames" in said


@pytest.mark.filterwarnings("ignore:load_weights. the weights are set, but:UserWarning")  # of frames elsewhere
@pytest.mark.parametrize("suffix", ["pt", "npz"])
def test_weights_are_taken_from_a_file(recording, tmp_path, suffix):
    module = Leaf(5, max_freq=RATE / 2, sample_rate=RATE)
    with torch.no_grad():
        module.filterbank.pooling_widths.mul_(0.75)
    weights, out = tmp_path / f"weights.{suffix}", tmp_path / "out.npy"
    if suffix == "pt":
        torch.save(module.state_dict(), weights)
    else:
        from parity.adapters.rungs import rung_of

        np.savez(weights, **rung_of(module).load_adapter().read(module))
    command(recording, out, "--sample-rate", RATE, "--n-filters", 5, "--weights", weights)
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
        command(path, path.with_suffix(".npy"), "--sample-rate", RATE, *chosen)
    assert np.array_equal(np.load(both.with_suffix(".npy")), np.load(one.with_suffix(".npy")))


@pytest.mark.parametrize(("arguments", "named"), [
    ((), ("has 8000 Hz", "16000", "--sample-rate 8000")),
    (("--sample-rate", 8000, "--channel", 1), ("channel=1", "0 to 0")),
    (("--sample-rate", 8000, "--frontend", "tf_leaf"), ("frontend='tf_leaf'", "leaf, efficientleaf")),
    (("--sample-rate", 8000, "--frontend", "efficientleaf", "--padding", "same"), ("padding='same'", "'centered'")),
    (("--sample-rate", 8000, "--padding", "valid"), ("padding='valid'", "'same'")),
    (("--sample-rate", 8000, "--n-filters", 0), ("n_filters=0",)),
    (("--sample-rate", 0), ("sample_rate=0", "at least 1")),
    (("--sample-rate", 8000, "--sample-rate", 16000), ("--sample-rate", "2 times", "once")),
    (("--sample-rate", 8000, "--weights", "none.pt"), ("weights='none.pt'", "no such file")),
    (("--sample-rate", 8000, "--weights", "none.npz"), ("none.npz", "no such file")),
])  # fmt: skip
def test_refusals_leave_what_was_there(recording, tmp_path, arguments, named):
    out = tmp_path / "out.npy"
    out.write_text("before")
    command(recording, out, "--force", *arguments, refused=named)
    assert out.read_text() == "before"


def at(n_samples, **values):
    x = np.zeros(n_samples)
    for index, value in values.items():
        x[int(index.strip("_"))] = value
    return x


RECORDINGS = {
    "nothing": (b"", ("is empty",)),
    "text": (b"no audio", ("must be audio that soundfile reads",)),
    "no samples": (np.zeros(0), ("at least one sample",)),
    **{str(value): (at(100_000, _80000=value), ("in.wav", "sample 80000", "5.000 s", str(value)))
       for value in (np.nan, np.inf, -np.inf)},
    "features that are not finite": (np.full(1000, 1e30), ("frame 0 of filter 0",)),
}  # fmt: skip


@pytest.mark.parametrize(("content", "named"), RECORDINGS.values(), ids=RECORDINGS)
def test_recordings_that_are_refused_leave_nothing(tmp_path, content, named):
    path = tmp_path / "in.wav"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        soundfile.write(path, content, 16000, subtype="FLOAT")
    command(path, tmp_path / "out.npy", "--n-filters", 1, refused=named)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("frontend", ["leaf", "efficientleaf"])
@pytest.mark.parametrize("sample_rate", [100, 120, 121, 8000])
def test_fresh_front_ends_have_a_band_that_fits_the_rate(frontend, sample_rate):
    module = build(frontend, sample_rate, 4)
    with torch.no_grad():
        assert module(torch.ones(1, 2 * sample_rate)).isfinite().all()
    centres = module.filterbank.center_freqs.detach()
    assert (centres > 0).all()
    assert (centres.diff() > 0).all()


@pytest.fixture(scope="module")
def described(tmp_path_factory):
    folder = tmp_path_factory.mktemp("described")
    torch.manual_seed(0)
    below = og_leaf.Leaf(n_filters=3, sample_rate=RATE, window_len=10.0, window_stride=4.0)
    torch.save(below.state_dict(), folder / "og.pt")
    settings = {"sample_rate": RATE, "window_len": 10, "window_stride": 4, "pcen_floor": 1e-6}
    for to, options in (("og_leaf", {}), ("leaf", {}), ("efficientleaf", {"padding": "centered", "num_groups": 2})):
        convert_file(folder / "og.pt", folder / f"{to}.safetensors", to, settings, options=options)
    return folder


@pytest.mark.parametrize("rung", ["og_leaf", "leaf", "efficientleaf"])
def test_described_weights_bring_their_settings(described, recording, tmp_path, rung):
    weights, out = described / f"{rung}.safetensors", tmp_path / "out.npy"
    assert "assumed" not in command(recording, out, "--weights", weights)
    module = load(weights)
    with torch.no_grad():
        expected = module(audio(recording))[0].numpy()
    assert SAME(np.load(out), expected).passes


def test_description_is_read_from_the_weights_alone(described, recording, tmp_path):
    weights = tmp_path / "w.safetensors"
    weights.write_bytes((described / "leaf.safetensors").read_bytes())
    (tmp_path / "w.json").write_text("{}")
    command(recording, tmp_path / "out.npy", "--weights", weights)


@pytest.mark.parametrize(("arguments", "named"), [
    (("--padding", "centered"), ("padding='centered'", "'same'")),
    (("--sample-rate", 16000), ("sample_rate=16000", "8000")),
    (("--n-filters", 40), ("n_filters=40", "3")),
    (("--frontend", "efficientleaf"), ("frontend='efficientleaf'", "'leaf'")),
])  # fmt: skip
def test_what_contradicts_the_description_is_refused(described, recording, tmp_path, arguments, named):
    weights = described / "leaf.safetensors"
    command(recording, tmp_path / "out.npy", "--weights", weights, *arguments, refused=[*named, "leaf.safetensors"])


def test_what_no_file_says_is_said_once(described, recording, tmp_path):
    said = command(recording, tmp_path / "out.npy", "--weights", described / "og.pt", "--sample-rate", RATE)
    assert said.count("assumed, for the weights do not say it: frontend=leaf, window_len=25.0, ") == 1
    # of og_leaf it is known that frames are aligned as TensorFlow's
    assert "padding" not in said
    module = Leaf(3, max_freq=RATE / 2, sample_rate=RATE, padding="same")
    load_weights(module, described / "og.pt")
    with torch.no_grad():
        assert SAME(np.load(tmp_path / "out.npy"), module(audio(recording))[0].numpy()).passes


def test_what_cannot_stream_is_bounded(described, recording, tmp_path, monkeypatch):
    monkeypatch.setattr("parity.weights.features.WHOLE", 1000)
    weights = described / "og_leaf.safetensors"
    command(recording, tmp_path / "out.npy", "--weights", weights, refused=["og_leaf", "cannot stream", "--to leaf"])


@pytest.mark.parametrize("kind", ["path", "other path", "symbolic link", "hard link", "weights", "index"])
def test_nothing_that_is_read_is_written_over(described, recording, tmp_path, kind):
    weights = tmp_path / "ck"
    for suffix in (".index", ".data-00000-of-00001"):
        shutil.copy(recording, f"{weights}{suffix}")
    target = {
        "path": recording, "other path": recording.parent / "." / ".." / recording.parent.name / recording.name,
        "symbolic link": tmp_path / "link.npy", "hard link": tmp_path / "hard.npy", "weights": described / "og.pt",
        "index": tmp_path / "ck.index",
    }[kind]  # fmt: skip
    if kind == "symbolic link":
        target.symlink_to(recording)
    if kind == "hard link":
        target.hardlink_to(recording)
    before = target.read_bytes()
    given = weights if kind == "index" else described / "og.pt"
    asked = ("--force", "--sample-rate", RATE, "--weights", given)
    command(recording, target, *asked, refused=["which is read; name another"])
    assert target.read_bytes() == before


def test_a_file_that_is_there_wants_force(recording, tmp_path):
    out = tmp_path / "out.npy"
    out.write_text("before")
    asked = (recording, out, "--sample-rate", RATE, "--n-filters", 1)
    command(*asked, refused=["--force"])
    assert out.read_text() == "before"
    command(*asked, "--force")
    assert np.load(out).shape[0] == 1


def test_a_recording_that_breaks_off(tmp_path):
    path, out = tmp_path / "in.flac", tmp_path / "out.npy"
    soundfile.write(path, np.random.default_rng(2).uniform(-0.5, 0.5, 200_000), 16000)
    path.write_bytes(path.read_bytes()[:200_000])
    command(path, out, refused=["must be audio that can be read to its end"])
    assert not out.exists()


def test_no_folder_to_write_to(recording, tmp_path):
    command(recording, tmp_path / "none" / "out.npy", "--sample-rate", RATE, refused=["there is no such folder"])


def test_what_fails_on_the_way_leaves_nothing(recording, tmp_path):
    out = tmp_path / "out.npy"

    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        extract(recording, out, build("leaf", RATE, 2), progress=stop)
    assert list(tmp_path.iterdir()) == [recording]
