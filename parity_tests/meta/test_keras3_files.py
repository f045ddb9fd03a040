"""Keras 3's files of ``tf_leaf``: weights, archives, checkpoints and exports, alone and inside a trained model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from parity import load_weights
from parity.adapters.rungs import RUNGS
from parity.weights.load_weights import open_file
from parity_tests.meta import checkpoint_files as files
from parity_tests.meta.weights import refuses, same_bits

pytestmark = [
    pytest.mark.usefixtures("tensorflow"),
    # of Keras, which hands its variables to h5py
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]
# one of each filterbank, pooling and compression; two with a pre-emphasis, which is Keras' own class as Conv1D is
NAMES = ("leaf_everything", "leaf_fixed_pcen", "leaf_log", "leaf_conv", "leaf_normalized", "leaf_fft", "sincnet")
KINDS = (".weights.h5", ".keras", "checkpoint")


def written(name, frontends=1):
    """A ``tf_leaf`` frontend with the recorded weights."""
    found = [files.tensorflow_frontend(name) for _ in range(frontends)]
    for frontend in found:
        load_weights(frontend, files.variables(name))
    return found if frontends > 1 else found[0]


def save(model, path, kind):
    import tensorflow as tf

    if kind == "checkpoint":
        return tf.train.Checkpoint(model=model).save(path / "model")
    (model.save if kind == ".keras" else model.save_weights)(path / f"w{kind}")
    return path / f"w{kind}"


def trained(frontends, listed=False):
    """A model around frontends, after a step of Adam; Keras 3 keeps what is in a list from checkpoints."""
    import keras

    class Model(keras.Model):
        def __init__(self):
            super().__init__()
            if listed:
                self.listed = list(frontends)
            else:
                for i, frontend in enumerate(frontends):
                    setattr(self, f"frontend_{i}", frontend)
            self.head = keras.layers.Dense(2)

        def call(self, x):
            return self.head(sum(frontend(x) for frontend in frontends))

    model = Model()
    model(files.arrays("leaf")["input"])
    model.compile(keras.optimizers.Adam(1e-3))
    model.optimizer.apply([np.ones(v.shape, np.float32) for v in model.trainable_variables], model.trainable_variables)
    return model


def same(module, frontend):
    read = {rung: RUNGS[rung].load_adapter().read for rung in ("og_leaf", "tf_leaf")}
    return same_bits(read["og_leaf"](module), read["tf_leaf"](frontend))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", NAMES)
def test_alone(name, kind, tmp_path):
    frontend, module = written(name), files.torch_frontend(name)
    load_weights(module, save(frontend, tmp_path, kind))
    assert same(module, frontend)


@pytest.mark.parametrize("kind", KINDS)
def test_inside_a_trained_model(kind, tmp_path):
    frontend = written("leaf")
    path = save(trained([frontend]), tmp_path, kind)
    contents = open_file(Path(path))
    (scope,) = contents.scopes()
    for given in (None, scope):
        module = files.torch_frontend("leaf")
        load_weights(module, path, scope=given)
        assert same(module, frontend)  # as the step left it


@pytest.mark.parametrize("kind", KINDS)
def test_one_of_two(kind, tmp_path):
    frontends = written("leaf", 2)
    frontends[1]._complex_conv._kernel.assign(frontends[1]._complex_conv._kernel * 0.5)
    path = save(trained(frontends), tmp_path, kind)
    scopes = open_file(Path(path)).scopes()
    assert len(scopes) == 2
    module = files.torch_frontend("leaf")
    refuses(module, path, "scope=None", *scopes)
    for scope, frontend in zip(scopes, frontends, strict=True):
        load_weights(module, path, scope=scope)
        assert same(module, frontend)


def test_two_that_a_checkpoint_does_not_tell_apart(tmp_path):
    frontends, module = written("leaf", 2), files.torch_frontend("leaf")
    frontends[1]._complex_conv._kernel.assign(frontends[1]._complex_conv._kernel * 0.5)
    path = save(trained(frontends, listed=True), tmp_path, "checkpoint")
    refuses(module, path, "several variables are called 'leaf/")


def test_an_exported_model_by_names(tmp_path):
    import keras

    frontend, module = written("leaf"), files.torch_frontend("leaf")
    audio = keras.Input((300,))
    keras.Model(audio, frontend(audio)).export(tmp_path / "saved", verbose=False)
    load_weights(module, tmp_path / "saved")
    assert same(module, frontend)


def test_an_archive_of_a_model_around_a_subclass(tmp_path):
    import keras

    import tf_leaf

    @keras.saving.register_keras_serializable("parity_tests")
    class Frontend(tf_leaf.Leaf):
        def __init__(self, name="frontend"):
            super().__init__(n_filters=4, sample_rate=8000, window_len=4.0, window_stride=2.0, name=name)

        def get_config(self):
            return {"name": self.name}

    audio, frontend, module = keras.Input((300,)), Frontend(), files.torch_frontend("leaf")
    load_weights(frontend, files.variables("leaf"))
    pooled = keras.layers.GlobalAveragePooling1D()(frontend(audio))
    model = keras.Model(audio, keras.layers.Dense(2)(pooled))
    model.save(tmp_path / "w.keras")
    load_weights(module, tmp_path / "w.keras")
    assert same(module, frontend)
    again = keras.models.load_model(tmp_path / "w.keras")
    assert same(module, next(layer for layer in again.layers if isinstance(layer, Frontend)))
