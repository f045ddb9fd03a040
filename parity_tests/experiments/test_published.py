"""Published checkpoints: their names map to ours one to one, and give the same logits."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torch import nn

from experiments.encoders import EfficientNetB0
from experiments.further import quick_b0
from experiments.network import AudioClassifier, Config, network, renamed
from parity.criteria import OfMax
from parity_tests.experiments.published import CASES, N_CLASSES, RECORDED, audio, state

ROUNDED = OfMax(1e-5, "sums in another order through 81 convolutions in float32")


@pytest.fixture(scope="module")
def recorded():
    return json.loads(RECORDED.read_text(encoding="utf-8"))


def loaded(case, recorded, folder) -> AudioClassifier:
    shapes = recorded["shared"] | recorded[case]["shapes"]
    new = network(Config(N_CLASSES, case))
    saved = state(shapes, {name: new.frontend.state_dict()[name] for name in recorded[case]["frontend"]})
    torch.save({"network": saved, "epoch": 3}, folder / "published.pth")
    return network(Config(N_CLASSES, case, weights=folder / "published.pth")).eval()


@pytest.mark.parametrize("case", CASES)
def test_logits_are_the_published_ones(case, recorded, tmp_path):
    with torch.no_grad():
        found = loaded(case, recorded, tmp_path)(audio())
    outcome = ROUNDED(found.double().numpy(), np.array(recorded[case]["logits"]))
    assert outcome.passes, outcome


@pytest.mark.parametrize("case", CASES)
def test_logits_tell_clips_and_classes_apart(case, recorded):
    logits = np.array(recorded[case]["logits"])
    room = 100 * ROUNDED.limit * np.abs(logits).max()
    assert (np.ptp(logits, axis=0) > room).all()
    assert (np.ptp(logits, axis=1) > room).all()


def test_names_map_one_to_one(recorded):
    names = {name: torch.zeros(()) for name in recorded["shared"]}
    assert len(renamed(names)) == len(names)


@pytest.mark.parametrize("name", ["_encoder._fc.weight", "_pool.weight", "encoder._bn0.weight"])
def test_other_names_are_refused(name):
    with pytest.raises(ValueError, match="weights: "):
        renamed({name: torch.zeros(1)})


def test_batch_statistics_are_kept_as_published(recorded):
    norms = [m for m in network(Config(2)).encoder.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    published = recorded["training"]
    assert len(norms) == published["norms"]
    assert {(round(m.momentum, 6), m.eps) for m in norms} == {(round(published["momentum"], 6), published["eps"])}


def test_blocks_are_dropped_as_often_as_published(recorded):
    dropped = [block.projection.dropout.rate for block in network(Config(2)).encoder.encoder.blocks]
    assert dropped == recorded["training"]["dropped"]


def test_batch_normalisation_starts_from_one():
    # transformers draws its scales around 0, with which the picture is gone after a few blocks
    norms = [m for m in network(Config(2)).encoder.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert all(bool((m.weight == 1).all() and (m.bias == 0).all()) for m in norms)


def test_short_trainings_have_statistics_that_follow_sooner():
    made, published = quick_b0(2), EfficientNetB0(2)
    momenta = [{module.momentum for module in m.modules() if hasattr(module, "momentum")} for m in (made, published)]
    assert momenta[0] == {nn.BatchNorm2d(1).momentum}
    assert max(momenta[1]) < min(momenta[0])
    assert list(made.state_dict()) == list(published.state_dict())
