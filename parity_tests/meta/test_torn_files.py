"""Files of weights that are torn, changed, pickled or of another kind are refused by name, and nothing is changed."""

from __future__ import annotations

import pickle
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch

from parity.cases.case import Case
from parity.weights.tensorflow_checkpoint import Bundle
from parity_tests.helpers.refusals import refused
from parity_tests.meta import checkpoint_files as files
from parity_tests.meta.crafted import refuses
from parity_tests.meta.damage import CHECKED, fresh, originals, read
from parity_tests.meta.weights import SMALL, held, same_bits

WEIGHTS = Case(config=SMALL, seed=1).variables()
UNCHECKED = (".safetensors", ".h5", ".weights.h5")


class Unpickled:
    """Says so when it is unpickled."""

    seen = False

    def __reduce__(self):
        return setattr, (Unpickled, "seen", True)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return {original.kind: original for original in originals(tmp_path_factory.mktemp("originals"))}


def write(folder, contents):
    for name, data in contents.items():
        (folder / name).write_bytes(data)


def test_formats_are_all_here(made):
    assert set(made) == {*CHECKED, *UNCHECKED}


@pytest.mark.parametrize("kind", sorted({*CHECKED, *UNCHECKED}))
def test_torn_anywhere(kind, made, tmp_path):
    original, module = made[kind], fresh(kind)
    before = held(module)
    for name, whole in original.files.items():
        for end in (*range(0, len(whole), max(23, len(whole) // 40)), len(whole) - 1):
            write(tmp_path, {**original.files, name: whole[:end]})
            refused(lambda: read(original, tmp_path / original.path, module), ValueError, original.path.split(".")[0])
        write(tmp_path, original.files)
    assert same_bits(held(module), before)


@pytest.mark.parametrize("kind", sorted(CHECKED))
def test_flipped_bits_are_refused_or_harmless(kind, made, tmp_path):
    original, n_refused, n_flips = made[kind], 0, 0
    write(tmp_path, original.files)
    intact = held(read(original, tmp_path / original.path, fresh(kind)))
    for name, whole in original.files.items():
        positions = {*range(8), *range(0, len(whole), max(7, len(whole) // 150))}
        for at in sorted(positions):
            write(tmp_path, {name: whole[:at] + bytes([whole[at] ^ 1 << at % 8]) + whole[at + 1 :]})
            try:
                found = held(read(original, tmp_path / original.path, fresh(kind)))
            except ValueError as error:
                assert original.path.split(".")[0] in str(error)  # noqa: PT017
                n_refused += 1
            else:  # a date, the padding of a footer or the like
                assert same_bits(found, intact)
        n_flips += len(positions)
        write(tmp_path, original.files)
    assert 3 * n_refused > n_flips


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


@pytest.mark.parametrize(("suffix", "empty", "gone"), [
    ("index", "index of a TensorFlow checkpoint", "no such file"),
    ("data-00000-of-00001", "'_CHECKPOINTABLE_OBJECT_GRAPH'", "cannot be read"),
])  # fmt: skip
def test_part_of_a_checkpoint_that_is_empty_or_gone(suffix, empty, gone, tmp_path):
    for path in (files.FOLDER / "leaf").glob("model.[id]*"):
        shutil.copy(path, tmp_path)
    path = tmp_path / f"model.{suffix}"
    path.write_bytes(b"")
    refuses(tmp_path / "model", empty)
    path.unlink()
    refuses(tmp_path / "model", gone)


def pickled(path):
    path.write_bytes(pickle.dumps(WEIGHTS))


def pickled_array(path):
    np.savez(path, **{**WEIGHTS, "PCEN/alpha": np.array([Unpickled()] * 3, dtype=object)})


def pickled_tensor(path):
    torch.save({"_complex_conv._kernel": Unpickled()}, path)


def bare_array(path):
    with path.open("wb") as file:
        np.save(file, np.ones(3))


def arrays(path):
    with path.open("wb") as file:
        np.savez(file, **WEIGHTS)


@pytest.mark.parametrize(("make", "name", "named"), [
    (pickled_array, "w.npz", "pickled"), (pickled_tensor, "w.pt", "state dict"), (pickled, "w.npz", ".npz"),
    (bare_array, "w.npz", ".npz"), (arrays, "w.pt", "state dict"), (arrays, "w.pkl", ".npz"), (arrays, "w.npy", ".npz"),
    (arrays, "w", ".npz"), (arrays, "model.ckpt", ".npz"), (lambda path: None, "gone.npz", "no such file"),
    (lambda path: path.mkdir(), "w.npz", ".npz"),
])  # fmt: skip
def test_another_kind_of_file(make, name, named, tmp_path):
    make(tmp_path / name)
    Unpickled.seen = False
    refuses(tmp_path / name, named, name="small")
    assert not Unpickled.seen


@pytest.mark.parametrize(("package", "source"), [("h5py", "model.h5"), ("safetensors", "w.safetensors")])
def test_missing_reader_is_named(package, source, tmp_path, monkeypatch):
    shutil.copy(files.FOLDER / "leaf" / "model.h5", tmp_path / source)
    for name in [package, *(name for name in sys.modules if name.startswith(package + "."))]:
        monkeypatch.setitem(sys.modules, name, None)
    refuses(tmp_path / source, f"python -m pip install {package}", error=ModuleNotFoundError)


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
