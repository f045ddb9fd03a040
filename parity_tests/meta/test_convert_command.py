"""``leaf-ladder convert``: the original's files to each PyTorch rung, read back without TensorFlow; or why not.

What is read, or is somebody's, stays; and settings in several options are one.
"""

from __future__ import annotations

import json
import subprocess
import sys
from functools import partial

import numpy as np
import pytest
import torch

import efficientleaf
import leaf
import og_leaf
from parity import convert, load, load_weights
from parity.checks.grid import FORWARD
from parity.criteria import AtMost, Exactly
from parity.weights import stored
from parity.weights.clip import SPEECH, audio_of
from parity.weights.convert_file import convert_file
from parity.weights.frontend_config import FrontendConfig, settings_of
from parity.weights.infer_config import infer
from parity_tests.helpers.command import run
from parity_tests.helpers.refusals import refused
from parity_tests.meta import checkpoint_files as files
from parity_tests.meta.weights import held, same_bits

GEOMETRY = "sample_rate=8000,window_len=4,window_stride=2"
# what no file says: the classes that store the same variables, and the compressions that store none
SAID = {
    "leaf_log": {"compression": "log"},
    "leaf_conv": {"compression": "none", "conv1d_cls": "Conv1D"},
    "leaf_normalized": {"compression": "log", "conv1d_cls": "NormalizedConv1D"},
    "leaf_fft": {"compression": "none", "conv1d_cls": "FFTConv1D"},
    "time_domain_filterbanks": {},
    "mel_filterbanks": {"frontend": "MelFilterbanks", "n_filters": 4, "n_fft": 64, "max_freq": 4000},
}
READ_BACK = AtMost(0.0, "the same tensors in the same modules")


command = partial(run, "convert")


def said(name):
    given = {} if name == "time_domain_filterbanks" else dict(pair.split("=") for pair in GEOMETRY.split(","))
    return {**given, **SAID.get(name, {})}


def source(name):
    return files.sources(name)[-1]


@pytest.mark.parametrize("name", files.SUBJECTS)
def test_every_frontend_goes_to_og_leaf_and_comes_back(name, tmp_path):
    target = tmp_path / "w.safetensors"
    converted = convert_file(source(name), target, "og_leaf", said(name))
    assert converted.config == files.config(name)
    assert READ_BACK(converted.difference).passes
    module = load(target)
    assert isinstance(module, getattr(og_leaf, files.config(name).frontend))
    assert not module.training
    files.gives_the_output(module, name)


@pytest.mark.parametrize(("name", "to", "options"), [
    ("leaf", "leaf", ()),
    ("leaf_shared_smooth", "leaf", ()),
    ("leaf_everything", "leaf", ("--wrap",)),
    ("leaf_log", "leaf", ("--wrap",)),
    ("leaf", "efficientleaf", ("--padding", "centered")),
    ("leaf_everything", "efficientleaf", ("--padding", "centered", "--wrap")),
    ("leaf", "efficientleaf", ("--padding", "centered", "--num-groups", 2, "--conv-win-factor", 4.5)),
])  # fmt: skip
def test_up_the_ladder(name, to, options, tmp_path):
    target, below = tmp_path / "w.safetensors", files.torch_frontend(name)
    config = ",".join(f"{key}={value}" for key, value in said(name).items())
    assert "arctic_a0009.wav" in command(source(name), target, "--to", to, "--config", config, *options)
    module = load(target)
    load_weights(below, source(name))
    keywords = {"wrap": "--wrap" in options, "padding": "centered" if "--padding" in options else None,
                "num_groups": 2 if "--num-groups" in options else None,
                "conv_win_factor": 4.5 if "--conv-win-factor" in options else None}  # fmt: skip
    expected = convert(below, to, **{key: value for key, value in keywords.items() if value})
    assert same_bits(held(module), held(expected))
    audio = torch.from_numpy(files.arrays(name)["input"])
    with torch.no_grad():
        assert torch.equal(module(audio), expected(audio))


def test_difference_is_that_of_the_features(tmp_path):
    converted = convert_file(source("leaf"), tmp_path / "w.safetensors", "leaf", said("leaf"))
    assert converted.shape[0] == 4
    assert FORWARD.limit >= converted.difference > 0
    centred = convert_file(
        source("leaf"), tmp_path / "c.safetensors", "leaf", said("leaf"), options={"padding": "centered"}
    )
    assert READ_BACK(centred.aligned).passes
    assert centred.difference > FORWARD.limit
    assert "aligned otherwise" in "\n".join(centred.lines())


def test_files_are_whole_and_say_what_they_are(tmp_path):
    target = tmp_path / "w.safetensors"
    said = command(source("leaf"), target, "--config", GEOMETRY)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["w.json", "w.safetensors"]
    about = json.loads((tmp_path / "w.json").read_text())
    assert about["rung"] == "og_leaf"
    assert FrontendConfig.of(**about["config"]) == files.config("leaf")
    assert "assumed, for no file says it: pcen_floor=1e-12" in said
    command(target, tmp_path / "leaf.safetensors", "--to", "leaf")
    assert isinstance(load(tmp_path / "leaf.safetensors"), leaf.Leaf)


def test_description_is_inside(tmp_path):
    from safetensors import safe_open

    target = tmp_path / "w.safetensors"
    command(source("leaf"), target, "--config", GEOMETRY, "--to", "efficientleaf", "--padding", "centered")
    (tmp_path / "w.json").unlink()
    with safe_open(target, "pt") as file:
        said = file.metadata()
    assert (said["rung"], said["dtype"], said["format"]) == ("efficientleaf", "float32", "pt")
    assert FrontendConfig.of(**json.loads(said["config"])) == files.config("leaf")
    assert json.loads(said["options"])["num_groups"] == 1
    assert isinstance(load(target), efficientleaf.EfficientLeaf)


def test_configuration_from_a_file(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(files.config("leaf").as_dict()))
    assert "assumed" not in command(source("leaf"), tmp_path / "w.safetensors", "--config", tmp_path / "config.json")


def test_dtype_of_what_is_loaded(tmp_path):
    asked = ("--to", "efficientleaf", "--padding", "centered", "--config", GEOMETRY)
    command(source("leaf"), tmp_path / "w.safetensors", *asked)
    module = load(tmp_path / "w.safetensors", dtype="float64")
    assert isinstance(module, efficientleaf.EfficientLeaf)
    assert {parameter.dtype for parameter in module.parameters()} == {torch.float64}
    refused(lambda: load(tmp_path / "w.safetensors", dtype="int8"), ValueError, "dtype='int8'", "float64")


@pytest.mark.parametrize(("name", "to", "config", "named"), [
    ("leaf_conv", "og_leaf", "compression=none", ("conv1d_cls", "'Conv1D'", "'FFTConv1D'")),
    ("leaf_conv", "og_leaf", "conv1d_cls=Conv1D", ("compression", "'log' or 'none'")),
    ("leaf_conv", "og_leaf", "conv1d_cls=Conv1D,compression=none,window_len=5", ("33 taps", "41", "window_len=5")),
    ("leaf", "og_leaf", "n_filters=5", ("'kernel'", "(4, 2)", "(5, 2)")),
    ("leaf", "og_leaf", "n_filters=four", ("n_filters='four'", "int")),
    ("leaf", "og_leaf", "preemp=maybe", ("preemp='maybe'", "bool")),
    ("leaf", "og_leaf", "filters=5", ("['filters']", "n_filters")),
    ("leaf", "og_leaf", "n_filters", ("config='n_filters", "name=value")),
    ("leaf", "og_leaf", "frontend=Leef", ("frontend='Leef'", "SincNet")),
    ("leaf", "og_leaf", "frontend=SincNet,activation=relu", ("activation='relu'", "SincNet has 'leaky_relu'")),
    ("leaf", "tf_leaf", "n_filters=4", ("to='tf_leaf'", "og_leaf")),
    ("leaf", "efficientleaf", "n_filters=4", ("padding='same'", "padding='centered'")),
    ("leaf_everything", "leaf", "n_filters=4", ("preemp=True", "mean_var_norm=True", "wrap=True")),
    ("sincnet", "leaf", "n_filters=4", ("SincNet", "SincConv1D", "GaborConv1D")),
    ("mel_filterbanks", "og_leaf", "sample_rate=8000", ("no variables", "MelFilterbanks")),
])  # fmt: skip
def test_refused_and_nothing_written(name, to, config, named, tmp_path):
    given = f"sample_rate=8000,{config}" if "window_len" in config or name != "leaf" else config
    command(source(name), tmp_path / "w.safetensors", "--to", to, "--config", given, refused=named)
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_there_is_refused(tmp_path):
    target = tmp_path / "w.safetensors"
    command(tmp_path / "model", target, refused=["no such file"])
    command(source("leaf"), tmp_path / "w.npz", "--config", GEOMETRY, refused=[".safetensors"])
    command(files.FOLDER / "classifier" / "model-1", target, "--scope", "leaf", refused=["'model/_frontend'"])
    command(source("leaf"), target, "--config", GEOMETRY, "--clip", tmp_path / "gone.wav", refused=["clip"])


def test_byte_after_the_last_is_refused(tmp_path):
    target = tmp_path / "w.safetensors"
    command(source("leaf"), target, "--config", GEOMETRY)
    target.write_bytes(target.read_bytes() + b"0")
    refused(lambda: load(target), ValueError, "w.safetensors")


@pytest.mark.parametrize(("name", "value"), [
    ("n_filters", 10**9), ("n_fft", 10**9), ("rung", "tf_leaf"), ("options", '{"padding": 3}'), ("version", "1"),
    ("dtype", "int8"), ("config", "[1]"), ("config", '{"n_filters": 1e400}'), ("options", "["),
])  # fmt: skip
def test_description_that_means_nothing_is_refused(name, value, tmp_path):
    from safetensors.torch import save_file

    target = tmp_path / "w.safetensors"
    convert_file(source("leaf"), target, "og_leaf", said("leaf"))
    about = stored.described(target).as_dict()
    if name in about["config"]:
        name, value = "config", json.dumps({**about["config"], name: value, "frontend": "MelFilterbanks"
                                            if name == "n_fft" else "Leaf"})  # fmt: skip
    metadata = {key: val if isinstance(val, str) else json.dumps(val) for key, val in about.items()}
    save_file(load(target).state_dict(), target, {**metadata, "producer": stored.FORMAT, name: value})
    refused(lambda: load(target), ValueError, "w.safetensors")


def test_weights_that_are_not_finite_are_refused_by_name(tmp_path):
    module = og_leaf.Leaf(n_filters=2)
    with torch.no_grad():
        module._pooling.kernel[0, 0, 0] = torch.nan
    torch.save(module.state_dict(), tmp_path / "w.pt")
    command(tmp_path / "w.pt", tmp_path / "w.safetensors", refused=["nan", "_pooling.kernel"])
    target = tmp_path / "d.safetensors"
    target.write_bytes(stored.encode(module, stored.Description("og_leaf", "float32", FrontendConfig(n_filters=2), {})))
    refused(lambda: load(target), ValueError, "d.safetensors", "_pooling.kernel", "finite")


def test_what_was_there_stays_until_the_new_is_whole(tmp_path, monkeypatch):
    target = tmp_path / "w.safetensors"
    command(source("leaf"), target, "--config", GEOMETRY)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full(*_):
        raise OSError("no space left")

    monkeypatch.setattr("parity.weights.outputs.os.replace", full)
    command(source("leaf_everything"), target, "--config", GEOMETRY, refused=["no space left"])
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_sinc_filters_are_told_by_their_hertz():
    found = {"kernel": np.float32([[200, 100], [400, 100]]), "layer_normalization/gamma": np.ones(2)}
    found["layer_normalization/beta"] = np.zeros(2)
    config = infer(found, {}, {"activation": "leaky_relu"})
    assert (config.conv1d_cls, config.pooling_cls, config.n_filters) == ("SincConv1D", "MaxPooling1D", 2)
    refused(lambda: infer(found, {}, {}), ValueError, "activation", "'leaky_relu'")
    gabor = {"kernel": np.float32([[1, 9]])}
    assert infer(gabor, {}, {"compression": "log"}).conv1d_cls == "GaborConv1D"


def test_clip_without_the_repository(monkeypatch, tmp_path):
    monkeypatch.setattr("parity.weights.clip.SPEECH", tmp_path / "gone.wav")
    (name, audio), (_, again) = audio_of(None, 8000), audio_of(None, 8000)
    assert "synthesised" in name
    assert audio.shape == (1, 24000)
    assert Exactly("drawn from one seed")(audio, again).passes
    assert np.isfinite(audio).all()


def test_loading_needs_no_tensorflow(tmp_path):
    command(source("leaf"), tmp_path / "w.safetensors", "--config", GEOMETRY)
    code = (
        "import sys; sys.modules.update(dict.fromkeys(['tensorflow', 'keras', 'h5py', 'typer', 'pytest', 'jinja2']))\n"
        f"import parity; print(type(parity.load({str(tmp_path / 'w.safetensors')!r})).__module__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "og_leaf.frontend", done.stderr


@pytest.mark.parametrize("neighbour", ["w.safetensors", "w.json"])
def test_a_file_of_somebody_else_wants_force(neighbour, tmp_path):
    (tmp_path / neighbour).write_text('{"sample_rate": 8000}')
    asked = (source("leaf"), tmp_path / "w.safetensors", "--config", GEOMETRY)
    command(*asked, refused=[neighbour, "--force"])
    assert [path.name for path in tmp_path.iterdir()] == [neighbour]
    assert (tmp_path / neighbour).read_text() == '{"sample_rate": 8000}'
    command(*asked, "--force")
    command(*asked)  # it is ours now


def test_files_of_another_name_are_left_alone(tmp_path):
    for name in ("w.safetensors.new", "w.json.new", ".w.safetensors"):
        (tmp_path / name).write_text("mine")
    command(source("leaf"), tmp_path / "w.safetensors", "--config", GEOMETRY)
    assert {path.read_text() for path in tmp_path.iterdir() if not path.name.startswith("w.") or
            path.suffix == ".new"} == {"mine"}  # fmt: skip


@pytest.mark.parametrize("read", ["source", "config", "clip"])
def test_what_is_read_is_never_written_over(read, tmp_path):
    command(source("leaf"), tmp_path / "w.safetensors", "--config", GEOMETRY)
    (tmp_path / "m.json").write_text(json.dumps(files.config("leaf").as_dict()))
    (tmp_path / "c.safetensors").write_bytes(SPEECH.read_bytes())
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    asked = {
        "source": (tmp_path / "w.safetensors", tmp_path / "w.safetensors"),
        "config": (source("leaf"), tmp_path / "m.safetensors", "--config", tmp_path / "m.json"),
        "clip": (source("leaf"), tmp_path / "c.safetensors", "--config", GEOMETRY, "--clip",
                 tmp_path / "c.safetensors"),
    }[read]  # fmt: skip
    command(*asked, "--force", refused=["which is read; name another"])
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
    asked = (source("leaf"), tmp_path / "w.safetensors", "--to", "leaf", "--to", "og_leaf")
    command(*asked, refused=["--to: is given 2 times, must be given once"])


def test_clip_of_another_rate_is_refused_and_that_of_the_repository_said(tmp_path):
    asked = (source("leaf"), tmp_path / "w.safetensors", "--config", GEOMETRY)
    command(*asked, "--clip", SPEECH, refused=["clip=", "16000 Hz", "8000"])
    assert "(16000 Hz, taken as 8000 Hz)" in command(*asked)
