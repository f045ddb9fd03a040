"""Weights whose source computes something else with them: said once, and only where it is so."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import nn

import efficientleaf
import leaf
import og_leaf
from parity import load_weights
from parity.adapters.rungs import RUNGS
from parity.weights import stored
from parity.weights.frontend_config import FrontendConfig
from parity_tests.meta import checkpoint_files as files

GEOMETRY = {"sample_rate": 8000, "window_len": 4.0, "window_stride": 2.0}
RECORDED = files.FOLDER / "leaf"


def simplified(padding="same", eps=1e-12, clamp=1e-5, **changes):
    pcen = leaf.PCEN(4, 0.04, 0.96, 2.0, 0.5, eps, learn_logs=False, clamp=clamp)
    return leaf.Leaf(4, 60, 1000, compression=pcen, padding=padding, **{**GEOMETRY, **changes})


def original(**changes):
    return og_leaf.Leaf(n_filters=4, **{**GEOMETRY, **changes})


def efficient():
    return efficientleaf.EfficientLeaf(4, max_freq=1000, compression=simplified().compression, **GEOMETRY)


def said(module, source):
    """The one warning's text, or nothing."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        load_weights(module, source)
    texts = [str(one.message) for one in caught if one.category is UserWarning]
    assert len(texts) <= 1
    assert all(one.filename == __file__ for one in caught)
    return "".join(texts)


def mapping():
    return RUNGS["og_leaf"].load_adapter().read(original())


SOURCES = {
    "a checkpoint": lambda: RECORDED / "model",
    "a Keras file": lambda: RECORDED / "model.h5",
    "a mapping": mapping,
    "a state dict of og_leaf": lambda: original().state_dict(),
    "a module": original,
}


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
@pytest.mark.parametrize("module", [lambda: simplified("centered"), efficient], ids=["leaf", "efficientleaf"])
def test_frames_that_stand_elsewhere(module, source):
    text = said(module(), source())
    assert "padding='centered' where" in text
    assert "has 'same'" in text


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
@pytest.mark.parametrize("module", [simplified, original], ids=["leaf", "og_leaf"])
def test_nothing_is_said_where_nothing_differs(module, source):
    assert said(module(), source()) == ""


DIFFERENT = {
    "rate": (lambda: original(sample_rate=16000), original, "sample_rate=16000.0 where the source has 8000.0"),
    "window": (lambda: original(window_len=8.0), original, "window_len=8.0 where the source has 4.0"),
    "stride": (lambda: simplified(window_stride=4.0), original, "window_stride=4.0 where the source has 2.0"),
    "padding": (lambda: original(), lambda: simplified("centered"), "padding='same' where the source has 'centered'"),
    "own class": (lambda: simplified("centered"), simplified, "padding='centered' where the source has 'same'"),
    "eps": (lambda: simplified(eps=1e-6), original, "eps=1e-06 where the source has 1e-12"),
    "clamp": (lambda: simplified(clamp=None), mapping, "clamp=None where TensorFlow's LEAF has 1e-05"),
}


@pytest.mark.parametrize(("module", "source", "named"), DIFFERENT.values(), ids=DIFFERENT)
def test_what_differs_is_named(module, source, named):
    assert named in said(module(), source())


def test_own_state_dict_says_what_load_state_dict_does():
    assert said(simplified("centered"), simplified("same").state_dict()) == ""


@pytest.mark.parametrize(("changes", "options", "named"), [
    ({}, {}, ""), ({"sample_rate": 16000}, {}, "sample_rate=8000.0 where the source has 16000.0"),
    ({"pcen_floor": 1e-6}, {}, "eps=1e-12 where the source has 1e-06"),
    ({}, {"padding": "centered"}, "padding='same' where the source has 'centered'"),
    ({"preemp": True}, {"wrap": True}, "wrap=False where the source has True"),
])  # fmt: skip
def test_description_inside_a_file(changes, options, named, tmp_path):
    about = stored.Description("leaf", "float32", FrontendConfig.of(n_filters=4, **{**GEOMETRY, **changes}), options)
    (tmp_path / "w.safetensors").write_bytes(stored.encode(about.module(), about))
    text = said(simplified(), tmp_path / "w.safetensors")
    assert named in text
    assert bool(text) == bool(named)


def test_frontend_without_variables():
    assert said(og_leaf.MelFilterbanks(n_filters=4), og_leaf.MelFilterbanks(n_filters=4, sample_rate=22050)) == ""


def test_other_compressions_have_no_limits_of_pcen():
    plain = leaf.Leaf(4, 60, 1000, compression=nn.Identity(), **GEOMETRY)
    assert said(plain, leaf.Leaf(4, 60, 1000, compression=torch.nn.Identity(), **GEOMETRY)) == ""
