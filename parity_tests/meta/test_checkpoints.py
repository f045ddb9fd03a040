"""Checkpoints that the original wrote, for each of its frontends: read whole, loaded, and its output again."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import leaf
import og_leaf
from fixtures.checkpoints import SUBJECTS as RECORDED
from fixtures.sources import COMMIT
from parity import load_weights
from parity.adapters.canonical import checked
from parity.adapters.rungs import RUNGS
from parity.criteria import Exactly
from parity.weights.array_files import stored_arrays
from parity.weights.keras_names import KerasNames
from parity.weights.load_weights import open_file
from parity.weights.tensorflow_checkpoint import Bundle
from parity_tests.helpers.refusals import refused
from parity_tests.meta import checkpoint_files as files
from parity_tests.meta.weights import refuses, same_bits

SAME = Exactly("the variables that Keras saved, carried in float32")
READ = Exactly("TensorFlow's own reader gives the bytes that ours does")
PREFIXES = [(name, source) for name, source in files.FILES if not source.endswith(".h5")]


def load_into(module, name, source, **options):
    load_weights(module, files.FOLDER / name / source, **options)
    return module


def expected_variables(rung, module, name):
    return checked(files.variables(name), RUNGS[rung].load_adapter().shapes(module))


def test_files_are_those_that_were_recorded():
    assert files.digests() == files.manifest()["files"]
    assert set(files.SUBJECTS) == set(RECORDED)


def test_the_original_wrote_them():
    source = files.manifest()["source"]
    assert (source["label"], source["commit"]) == ("original", COMMIT)
    assert files.manifest()["versions"]["tensorflow"] == "2.15.1"


def test_every_frontend_of_the_original_is_there():
    frontends = {entry["frontend"] for entry in files.manifest()["subjects"].values()}
    assert frontends == {"Leaf", "TimeDomainFilterbanks", "SincNet", "SincNetPlus", "MelFilterbanks"}
    configs = [files.config(name) for name in files.SUBJECTS]
    assert {c.conv1d_cls for c in configs} == {"GaborConv1D", "Conv1D", "NormalizedConv1D", "SincConv1D", "FFTConv1D"}
    assert len({c.pooling_cls for c in configs}) == 4
    assert len({c.compression for c in configs}) == 6


@pytest.mark.parametrize(("name", "source"), files.FILES)
def test_pytorch_gives_the_originals_output(name, source):
    module = load_into(files.torch_frontend(name), name, source)
    found = RUNGS["og_leaf"].load_adapter().read(module)
    for variable, value in expected_variables("og_leaf", module, name).items():
        assert SAME(found[variable], value).passes, variable
    files.gives_the_output(module, name)


@pytest.mark.usefixtures("tensorflow")
@pytest.mark.parametrize("name", files.SUBJECTS)
def test_tensorflow_gives_the_originals_output(name):
    source = files.sources(name)[-1].name
    module = load_into(files.tensorflow_frontend(name), name, source)
    found = RUNGS["tf_leaf"].load_adapter().read(module)
    for variable, value in expected_variables("tf_leaf", module, name).items():
        assert SAME(found[variable], value).passes, variable
    recorded = files.arrays(name)
    verdict = files.criterion(name)(np.asarray(module(recorded["input"])), recorded["output"])
    assert verdict.passes, verdict


@pytest.mark.usefixtures("tensorflow")
@pytest.mark.parametrize("name", ["leaf_conv", "leaf_normalized", "sincnet", "leaf_fixed_pcen"])
def test_from_one_rung_into_another(name):
    source = load_into(files.tensorflow_frontend(name), name, files.sources(name)[0].name)
    module, back = files.torch_frontend(name), files.tensorflow_frontend(name)
    load_weights(module, source)
    load_weights(back, module)
    for rung, found in (("og_leaf", module), ("tf_leaf", back)):
        assert same_bits(RUNGS[rung].load_adapter().read(found), expected_variables(rung, found, name))


@pytest.mark.usefixtures("tensorflow")
@pytest.mark.parametrize(("name", "source"), PREFIXES)
def test_reader_agrees_with_tensorflows(name, source):
    import tensorflow as tf

    prefix = files.FOLDER / name / source
    theirs, ours = tf.train.load_checkpoint(str(prefix)), Bundle(prefix)
    shapes = theirs.get_variable_to_shape_map()
    assert {key: list(entry.shape) for key, entry in ours.entries.items()} == shapes
    for key in shapes:
        if ours.entries[key].dtype == 7:
            assert ours.read_text(key) == theirs.get_tensor(key)
        else:
            assert READ(ours.read(key), theirs.get_tensor(key)).passes, key


@pytest.mark.filterwarnings("ignore:load_weights. the weights are set, but:UserWarning")  # of frames elsewhere
@pytest.mark.parametrize("rung", ["leaf", "efficientleaf"])
def test_simplified_rungs_hold_what_they_can(rung):
    adapter = RUNGS[rung].load_adapter()
    module = load_into(adapter.build(leaf_config(rung)), "classifier", "model.h5")
    assert same_bits(adapter.read(module), expected_variables(rung, module, "classifier"))


def leaf_config(rung):
    from parity.oracle.config import LeafConfig

    padding = "same" if rung == "leaf" else "centered"
    return LeafConfig(n_filters=4, sample_rate=8000, window_len=4.0, window_stride=2.0, padding=padding)


SCOPES = {
    "model-1": "model/_frontend",
    "model.h5": "leaf",
    "model.weights.h5": "leaf",
    "named": "audio_classifier/leaf",
}


@pytest.mark.parametrize(("source", "scope"), SCOPES.items())
def test_what_stands_around_a_frontend_is_left_alone(source, scope):
    contents = open_file(files.FOLDER / "classifier" / source)
    assert contents.scopes() == (scope,)
    for given in (scope, scope + "/", None):
        module = load_into(files.torch_frontend("classifier"), "classifier", source, scope=given)
        assert same_bits(
            RUNGS["og_leaf"].load_adapter().read(module), expected_variables("og_leaf", module, "classifier")
        )


def test_optimiser_slots_and_counters_were_there():
    keys = set(Bundle(files.FOLDER / "classifier" / "model-1").entries)
    assert any("OPTIMIZER_SLOT" in key for key in keys)
    assert any(key.startswith("save_counter") for key in keys)
    assert any("_head" in key for key in keys)
    assert any(
        key.endswith("/Adam/m") or "Adam" in key for key in Bundle(files.FOLDER / "classifier" / "named").entries
    )


SLOTS = ("Adam/m/{}", "{}/Adam", "{}/Adam_1", "{}/momentum", "training/Adam/{}/v")


def test_slots_are_told_by_their_names():
    frontend = {f"model/leaf/{name}" if "/" in name else name: value for name, value in files.variables("leaf").items()}
    frontend = {name.replace("leaf/leaf", "leaf"): value for name, value in frontend.items()}
    slots = {slot.format(name): -value for name, value in frontend.items() for slot in SLOTS}
    counters = dict.fromkeys(
        ("beta1_power", "global_step", "learning_rate", "iteration", "Adam/iteration"), np.ones(())
    )
    arrays = {**slots, **counters, **frontend}
    named = KerasNames(stored_arrays(arrays), ((name, name) for name in arrays))
    assert named.scopes() == ("model/leaf",)
    assert set(named.keys) == set(frontend)
    module = files.torch_frontend("leaf")
    load_weights(module, named.read("model/leaf"))
    assert same_bits(RUNGS["og_leaf"].load_adapter().read(module), expected_variables("og_leaf", module, "leaf"))


def test_kernels_without_a_prefix_are_of_no_frontend():
    arrays = {"leaf/PCEN/alpha": np.ones(4), "kernel": np.ones((4, 2)), "kernel_1": np.ones((4, 2))}
    named = KerasNames(stored_arrays(arrays), ((name, name) for name in arrays))
    refused(lambda: named.names("leaf"), ValueError, "['kernel', 'kernel_1'] name no frontend")


@pytest.mark.parametrize(("source", "scope"), SCOPES.items())
def test_another_scope_is_refused_with_those_that_there_are(source, scope):
    module, path = files.torch_frontend("classifier"), files.FOLDER / "classifier" / source
    refuses(module, path, "scope='my_model/leaf'", source, scope, scope="my_model/leaf")


def test_any_path_of_attributes_is_a_scope():
    contents = open_file(files.FOLDER / "classifier" / "model-1")
    names = [set(contents.names(f"model/_encoder/{layer}").values()) for layer in ("layer-0", "layer_with_weights-0")]
    assert names[0] == names[1]
    assert len(names[0]) == 2


@pytest.mark.parametrize(("name", "into", "named"), [
    ("leaf", "leaf_log", ("missing ['tfbanks_preemp/kernel']", "not expected ['PCEN/EMA/smooth', 'PCEN/alpha'")),
    ("leaf_log", "leaf", ("missing ['PCEN/EMA/smooth', 'PCEN/alpha'", "not expected ['tfbanks_preemp/kernel']")),
    ("leaf_shared_smooth", "leaf", ("'PCEN/EMA/smooth'", "(1,)", "(4,)")),
    ("leaf_normalized", "leaf_conv", ("missing ['learnable_pooling/conv2d/kernel']", "['learnable_pooling/kernel']")),
    ("time_domain_filterbanks", "leaf_conv", ("'tfbanks_complex_conv/kernel'", "(401, 1, 8)", "(33, 1, 8)")),
    ("sincnet", "mel_filterbanks", ("missing none", "not expected ['kernel', 'layer_normalization/beta'")),
    ("classifier", "mel_filterbanks", ("missing none", "not expected ['PCEN/EMA/smooth'")),
    ("mel_filterbanks", "leaf", ("missing ['PCEN/EMA/smooth'", "'kernel'", "not expected none")),
])  # fmt: skip
def test_another_frontend_is_refused_by_name(name, into, named):
    for source in files.sources(name):
        refuses(files.torch_frontend(into), source, *named)


def test_published_state_dict():
    # names and shapes of the port's model/OG_leaf.py: its fixed smoother is in no state dict
    rng = np.random.default_rng(1)
    shapes = {"_complex_conv._kernel": (4, 2), "_pooling.kernel": (4, 1, 1, 1), "_preemp_conv.weight": (1, 1, 2),
              "_compress_fn.alpha": (4,), "_compress_fn.delta": (4,), "_compress_fn.root": (4,),
              "_instance_norm.weight": (4,), "_instance_norm.bias": (4,)}  # fmt: skip
    state = {name: torch.from_numpy(rng.uniform(0.5, 1.0, shape).astype("f4")) for name, shape in shapes.items()}
    pcen = og_leaf.PCENLayer(4, smooth_coef=0.25)
    module = og_leaf.Leaf(n_filters=4, preemp=True, mean_var_norm=True, compression_fn=pcen)
    load_weights(module, {f"frontend.{name}": value for name, value in state.items()}, scope="frontend")
    after = module.state_dict()
    for name, value in state.items():
        assert torch.equal(after[name], value), name
    assert torch.equal(after["_compress_fn.ema.input_weights"], 0.25 * torch.eye(4))


def test_leaf_refuses_what_it_cannot_hold():
    source = files.FOLDER / "leaf_everything" / "model"
    named = ("not expected", "tfbanks_instancenorm/beta", "tfbanks_preemp/kernel")
    refuses(leaf.Leaf(4, sample_rate=8000, max_freq=4000), source, *named)


def test_list_of_checkpoints_is_not_taken_for_one(tmp_path):
    (tmp_path / "checkpoint").write_text('model_checkpoint_path: "ckpt-3"\n')
    named = "lists checkpoints and holds none; give the prefix of one, or its folder"
    refuses(files.torch_frontend("leaf"), tmp_path / "checkpoint", named)
