"""``leaf-ladder features``: the file is the front end's output, whole or not there at all."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import soundfile
import torch
from typer.testing import CliRunner

import og_leaf
from leaf import Leaf
from parity import load, load_weights
from parity.adapters.rungs import rung_of
from parity.cli import app
from parity.criteria import OfMax
from parity.weights.convert_file import convert_file
from parity.weights.convert_module import convert
from parity.weights.features import build, extract

SAME = OfMax(2.0**-20, "the same sums of 400 products in another order, and a root")
RATE = 8000
AT_RATE = ("--sample-rate", RATE)


def noise(*shape, seed=0):
    return np.random.default_rng(seed).uniform(-0.5, 0.5, shape)


@pytest.fixture
def recording(tmp_path):
    path = tmp_path / "in.flac"
    soundfile.write(path, noise(70_001), RATE)
    return path


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out.npy"


def command(*arguments):
    return CliRunner().invoke(app, ["features", *map(str, arguments)])


def made(recording, out, *arguments):
    """The features that the command writes, and what it says."""
    done = command(recording, out, *arguments)
    assert done.exit_code == 0, done.output
    return np.load(out), done


def refused(recording, out, *arguments, named):
    """The command ends with 2 and a line that holds everything named, and the file stays what it was."""
    before = out.read_bytes() if out.is_file() else None
    done = command(recording, out, *arguments)
    assert done.exit_code == 2
    assert all(text in done.output.splitlines()[-1] for text in named), done.output
    assert (out.read_bytes() if out.is_file() else None) == before


def of(module, recording):
    """The features of a whole recording at once."""
    audio = torch.from_numpy(soundfile.read(recording, dtype="float32")[0]).unsqueeze(0)
    with torch.no_grad():
        return module(audio)[0].numpy()


@pytest.mark.parametrize("arguments", [
    ("leaf",), ("leaf", "--padding", "same"), ("efficientleaf",)
], ids=" ".join)  # fmt: skip
def test_are_those_of_the_module(recording, out, arguments):
    got, done = made(recording, out, *AT_RATE, "--n-filters", 5, "--frontend", *arguments)
    expected = of(build(arguments[0], RATE, 5, padding="same" if len(arguments) > 1 else "centered"), recording)
    assert (got.dtype, got.shape) == (np.float32, expected.shape)
    assert SAME(got, expected).passes
    assert "5 filters, 876 frames" in done.output


@pytest.mark.filterwarnings("ignore:load_weights. the weights are set, but:UserWarning")  # of frames elsewhere
@pytest.mark.parametrize("suffix", ["pt", "npz"])
def test_weights_are_taken_from_a_file(recording, out, tmp_path, suffix):
    module, weights = Leaf(5, max_freq=RATE / 2, sample_rate=RATE), tmp_path / f"weights.{suffix}"
    with torch.no_grad():
        module.filterbank.pooling_widths.mul_(0.75)
    if suffix == "pt":
        torch.save(module.state_dict(), weights)
    else:
        np.savez(weights, **rung_of(module).load_adapter().read(module))
    got, _ = made(recording, out, *AT_RATE, "--n-filters", 5, "--weights", weights)
    assert SAME(got, of(convert(module, to="leaf", padding="centered"), recording)).passes


def test_one_channel_of_several(out, tmp_path):
    x, found = noise(4000, 2, seed=1), []
    for name, audio, chosen in (("both.wav", x, ("--channel", 1)), ("one.wav", x[:, 1], ())):
        soundfile.write(tmp_path / name, audio, RATE, subtype="FLOAT")
        found.append(made(tmp_path / name, out, "--force", *AT_RATE, *chosen)[0])
    assert np.array_equal(*found)


@pytest.mark.parametrize("frontend", ["leaf", "efficientleaf"])
@pytest.mark.parametrize("sample_rate", [100, 120, 121, 8000])
def test_fresh_front_ends_have_a_band_that_fits_the_rate(frontend, sample_rate):
    module = build(frontend, sample_rate, 4)
    with torch.no_grad():
        assert module(torch.ones(1, 2 * sample_rate)).isfinite().all()
    centres = module.filterbank.center_freqs.detach()
    assert (centres > 0).all()
    assert (centres.diff() > 0).all()


# what is refused


@pytest.mark.parametrize(("arguments", "named"), [
    ((), ("has 8000 Hz", "16000", "--sample-rate 8000")),
    ((*AT_RATE, "--channel", 1), ("channel=1", "0 to 0")),
    ((*AT_RATE, "--frontend", "tf_leaf"), ("frontend='tf_leaf'", "leaf, efficientleaf")),
    ((*AT_RATE, "--frontend", "efficientleaf", "--padding", "same"), ("padding='same'", "'centered'")),
    ((*AT_RATE, "--padding", "valid"), ("padding='valid'", "'same'")),
    ((*AT_RATE, "--n-filters", 0), ("n_filters=0",)),
    (("--sample-rate", 0), ("sample_rate=0", "at least 1")),
    ((*AT_RATE, "--sample-rate", 16000), ("--sample-rate", "2 times", "once")),
    ((*AT_RATE, "--weights", "none.pt"), ("weights='none.pt'", "no such file")),
    ((*AT_RATE, "--weights", "none.npz"), ("none.npz", "no such file")),
])  # fmt: skip
def test_refusals_leave_what_was_there(recording, out, arguments, named):
    out.write_text("before")
    refused(recording, out, "--force", *arguments, named=named)


def broken_off(path):
    soundfile.write(path, noise(200_000), 16000, format="FLAC")
    path.write_bytes(path.read_bytes()[:200_000])


def with_one(value):
    x = np.zeros(100_000)
    x[80_000] = value
    return lambda path: soundfile.write(path, x, 16000, subtype="FLOAT")


NO_AUDIO = {
    "nothing": (lambda path: path.write_bytes(b""), "is empty"),
    "text": (lambda path: path.write_bytes(b"no audio"), "must be audio that soundfile reads"),
    "no samples": (lambda path: soundfile.write(path, np.zeros(0), 16000), "at least one sample"),
    "broken off": (broken_off, "source="),
    **{str(value): (with_one(value), "in.wav", "sample 80000", "5.000 s", str(value))
       for value in (np.nan, np.inf, -np.inf)},
}  # fmt: skip


@pytest.mark.parametrize("kind", NO_AUDIO)
def test_audio_that_has_no_features_leaves_nothing(kind, out, tmp_path):
    make, *named = NO_AUDIO[kind]
    make(tmp_path / "in.wav")
    refused(tmp_path / "in.wav", out, "--n-filters", 1, named=named)
    assert [path.name for path in tmp_path.iterdir()] == ["in.wav"]


def test_first_feature_that_is_not_finite_is_named(out, tmp_path):
    path, x = tmp_path / "in.wav", np.zeros(4000)
    x[2000:] = 1e30
    soundfile.write(path, x, 16000, subtype="FLOAT")
    frame = np.flatnonzero(~np.isfinite(of(build("leaf", 16000, 1), path)[0]))[0]
    assert frame > 0
    refused(path, out, "--n-filters", 1, named=[f"frame {frame} of filter 0"])
    assert [path.name for path in tmp_path.iterdir()] == ["in.wav"]


def test_what_fails_on_the_way_leaves_nothing(recording, out, tmp_path):
    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        extract(recording, out, build("leaf", RATE, 2), progress=stop)
    assert list(tmp_path.iterdir()) == [recording]


def test_no_folder_to_write_to(recording, tmp_path):
    refused(recording, tmp_path / "none" / "out.npy", *AT_RATE, named=["there is no such folder"])


def test_a_file_that_is_there_wants_force(recording, out):
    out.write_text("before")
    refused(recording, out, *AT_RATE, "--n-filters", 1, named=["--force"])
    assert made(recording, out, *AT_RATE, "--n-filters", 1, "--force")[0].shape[0] == 1


# weights that say their settings, and those that do not


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
def test_described_weights_bring_their_settings(described, recording, out, tmp_path, rung):
    weights = tmp_path / "w.safetensors"
    shutil.copy(described / f"{rung}.safetensors", weights)
    (tmp_path / "w.json").write_text("{}")  # the description is read from the weights alone
    got, done = made(recording, out, "--weights", weights)
    assert "assumed" not in done.output
    assert SAME(got, of(load(weights), recording)).passes


@pytest.mark.parametrize(("arguments", "named"), [
    (("--padding", "centered"), ("padding='centered'", "'same'")),
    (("--sample-rate", 16000), ("sample_rate=16000", "8000")),
    (("--n-filters", 40), ("n_filters=40", "3")),
    (("--frontend", "efficientleaf"), ("frontend='efficientleaf'", "'leaf'")),
])  # fmt: skip
def test_what_contradicts_the_description_is_refused(described, recording, out, arguments, named):
    weights = ("--weights", described / "leaf.safetensors")
    refused(recording, out, *weights, *arguments, named=(*named, "leaf.safetensors"))


def test_what_no_file_says_is_said_once(described, recording, out):
    got, done = made(recording, out, "--weights", described / "og.pt", *AT_RATE)
    assert done.stderr.count("assumed, for the weights do not say it: frontend=leaf, window_len=25.0, ") == 1
    # of og_leaf it is known that frames are aligned as TensorFlow's
    assert "padding" not in done.stderr
    module = Leaf(3, max_freq=RATE / 2, sample_rate=RATE, padding="same")
    load_weights(module, described / "og.pt")
    assert SAME(got, of(module, recording)).passes


def test_what_cannot_stream_is_bounded(described, recording, out, monkeypatch):
    monkeypatch.setattr("parity.weights.features.WHOLE", 1000)
    weights = ("--weights", described / "og_leaf.safetensors")
    refused(recording, out, *weights, named=("og_leaf", "cannot stream", "--to leaf"))


@pytest.mark.parametrize("kind", ["path", "other path", "symbolic link", "hard link", "weights", "index"])
def test_nothing_that_is_read_is_written_over(described, recording, tmp_path, kind):
    weights, link = tmp_path / "ck", tmp_path / "link.npy"
    for suffix in (".index", ".data-00000-of-00001"):
        shutil.copy(recording, f"{weights}{suffix}")
    if kind == "symbolic link":
        link.symlink_to(recording)
    if kind == "hard link":
        link.hardlink_to(recording)
    target = {
        "path": recording, "other path": recording.parent / "." / ".." / recording.parent.name / recording.name,
        "weights": described / "og.pt", "index": tmp_path / "ck.index",
    }.get(kind, link)  # fmt: skip
    given = weights if kind == "index" else described / "og.pt"
    named = ["which is read; name another"]
    refused(recording, target, "--force", *AT_RATE, "--weights", given, named=named)
