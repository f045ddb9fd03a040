"""Checkpoints and Keras files that are torn or changed are refused, and nothing is changed; what they need is named."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest
import torch

from parity import load_weights
from parity.weights.checkpoints.bundle import Bundle
from parity_tests.helpers.refusals import refused
from parity_tests.meta import checkpoint_files as files
from parity_tests.meta.test_weight_files import Unpickled
from parity_tests.meta.weights import held, same_bits


def test_state_dict_that_would_run_code_is_refused(tmp_path):
    torch.save({"_complex_conv._kernel": Unpickled()}, tmp_path / "w.pt")
    Unpickled.seen = False
    refused(lambda: load_weights(files.torch_frontend("leaf"), tmp_path / "w.pt"), ValueError, "w.pt", "state dict")
    assert not Unpickled.seen


@pytest.mark.parametrize(("suffix", "reason"), [
    (".index", "index of a TensorFlow checkpoint"), (".data-00000-of-00001", "'_CHECKPOINTABLE_OBJECT_GRAPH'"),
])  # fmt: skip
def test_torn_checkpoint(suffix, reason, tmp_path):
    for path in (files.FOLDER / "leaf").glob("model.[id]*"):
        shutil.copy(path, tmp_path)
    path = tmp_path / f"model{suffix}"
    whole, module = path.read_bytes(), files.torch_frontend("leaf")
    before = held(module)
    for end in range(0, len(whole), 23):
        path.write_bytes(whole[:end])
        refused(lambda: load_weights(module, tmp_path / "model"), ValueError, "model")
    path.write_bytes(b"")
    refused(lambda: load_weights(module, tmp_path / "model"), ValueError, reason)
    path.unlink()
    refused(lambda: load_weights(module, tmp_path / "model"), ValueError, "model", "no such file" if suffix == ".index"
            else "cannot be read")  # fmt: skip
    assert same_bits(held(module), before)


def test_flipped_bits_in_a_checkpoint_are_refused_or_harmless(tmp_path):
    for path in (files.FOLDER / "leaf").glob("model.[id]*"):
        shutil.copy(path, tmp_path)
    intact, module = files.torch_frontend("leaf"), files.torch_frontend("leaf")
    load_weights(intact, files.FOLDER / "leaf" / "model")
    for path in sorted(tmp_path.iterdir()):
        whole, n_refused, positions = path.read_bytes(), 0, range(0, path.stat().st_size, 7)
        for at in positions:
            path.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << at % 8]) + whole[at + 1 :])
            try:
                load_weights(module, tmp_path / "model")
            except ValueError:
                n_refused += 1
            else:  # the padding of the footer, or a block of no entries
                assert same_bits(held(module), held(intact))
        path.write_bytes(whole)
        assert 4 * n_refused > 3 * len(positions)


def test_no_flipped_bit_of_an_index_is_believed(tmp_path):
    shutil.copy(files.FOLDER / "leaf" / "model.index", tmp_path)
    path = tmp_path / "model.index"
    whole, intact = path.read_bytes(), Bundle(tmp_path / "model").entries
    for bit in range(0, 8 * len(whole), 3):
        at = bit // 8
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << bit % 8]) + whole[at + 1 :])
        try:
            assert Bundle(tmp_path / "model").entries == intact
        except ValueError as error:
            assert "model.index" in str(error)  # noqa: PT017


@pytest.mark.parametrize("name", ["model.h5", "model.weights.h5"])
def test_torn_keras_file(name, tmp_path):
    whole, path = (files.FOLDER / "classifier" / name).read_bytes(), tmp_path / name
    module = files.torch_frontend("classifier")
    before = held(module)
    for end in range(0, len(whole), 1999):
        path.write_bytes(whole[:end])
        refused(lambda: load_weights(module, path), ValueError, name)
    assert same_bits(held(module), before)


@pytest.mark.parametrize(("package", "source"), [("h5py", "model.h5"), ("safetensors", "w.safetensors")])
def test_missing_reader_is_named(package, source, tmp_path, monkeypatch):
    shutil.copy(files.FOLDER / "leaf" / "model.h5", tmp_path / source)
    for name in [package, *(name for name in sys.modules if name.startswith(package + "."))]:
        monkeypatch.setitem(sys.modules, name, None)
    named = (f"python -m pip install {package}", source)
    refused(lambda: load_weights(files.torch_frontend("leaf"), tmp_path / source), ModuleNotFoundError, *named)


def test_needs_no_tensorflow():
    absent = ["tensorflow", "keras", "tf_keras", "pytest", "jinja2", "typer"]
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({absent!r}))\n"
        "import og_leaf, parity\n"
        "module = og_leaf.Leaf(n_filters=4, sample_rate=8000, window_len=4.0, window_stride=2.0)\n"
        f"for name in ('model', 'model.h5'): parity.load_weights(module, {str(files.FOLDER / 'leaf')!r} + '/' + name)\n"
        "print(sorted(n for n in sys.modules if n.startswith('tensorflow.')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr
