"""The classifier and its parts."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from experiments.encoders import DropConnect, SmallEncoder
from experiments.frontends import FRONTENDS, TWO_CHANNELS, Bands, frontend, is_projected
from experiments.network import AudioClassifier, Config, load, network
from parity.criteria import Exactly, OfMax

BANDS = Bands.at(8000, 8)
SAME = OfMax(1e-5, "one function in float32, its sums in another order")


def small(name: str, seed: int = 0) -> AudioClassifier:
    return network(Config(3, name, "small", BANDS, seed))


def clips() -> torch.Tensor:
    return 0.1 * torch.randn(2, 2000, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", FRONTENDS)
def test_every_front_end_gives_scores_and_learns(name):
    made = small(name)
    scores = made(clips())
    assert scores.shape == (2, 3)
    scores.square().sum().backward()
    learned = [p for p in made.parameters() if p.requires_grad]
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in learned)


@pytest.mark.parametrize("name", FRONTENDS)
def test_pairs_start_alike_but_for_the_front_end(name):
    one, other = small("leaf").state_dict(), small(name).state_dict()
    same = [key for key in one if not key.startswith("frontend") and one[key].shape == other[key].shape]
    assert len([key for key in one if not key.startswith("frontend")]) - len(same) == (name in TWO_CHANNELS)
    assert all(Exactly("one seed")(other[key].numpy(), one[key].numpy()).passes for key in same)


def test_another_seed_starts_elsewhere():
    one, other = small("leaf", 0), small("leaf", 1)
    assert not bool((one.head.weight == other.head.weight).any())


def test_building_a_network_leaves_the_global_generator_alone():
    torch.manual_seed(3)
    before = torch.get_rng_state()
    small("mel")
    assert bool((torch.get_rng_state() == before).all())


@pytest.mark.parametrize("name", ["og_leaf, two blocks", "og_leaf, PCEN in one module", "og_leaf, learned logs"])
def test_a_change_of_form_starts_from_the_same_function(name):
    found, expected = (frontend(n, BANDS)(clips()).detach().double().numpy() for n in (name, "og_leaf"))
    assert SAME(found, expected).passes


def test_the_analytic_start_is_that_of_leaf():
    ours = frontend("og_leaf, analytic start", BANDS)(clips()).detach().double().numpy()
    theirs = frontend("leaf, original's alignment", BANDS)(clips()).detach().double().numpy()
    assert SAME(ours, theirs).passes


def test_the_planted_fault_has_one_frequency_and_does_not_learn_it():
    bank = frontend("frozen centres", BANDS).filterbank
    assert len(bank.center_freqs.unique()) == 1
    assert [name for name, p in bank.named_parameters() if not p.requires_grad] == ["center_freqs"]


@pytest.mark.parametrize("name", FRONTENDS)
def test_rung_1_alone_is_projected(name):
    assert is_projected(frontend(name, BANDS)) == (name.startswith("og_leaf") and name != "og_leaf, two blocks")


def test_whole_samples_are_dropped_and_the_mean_is_kept():
    torch.manual_seed(0)
    rate = 0.25
    y = DropConnect(rate)(torch.ones(4000, 3, 2, 2))
    per_clip = y.flatten(1)
    assert bool((per_clip == per_clip[:, :1]).all())
    scaled = torch.tensor([0.0, 1.0]) / (1 - rate)
    assert bool((per_clip.unique() == scaled).all())
    kept = int((y[:, 0, 0, 0] > 0).sum())
    assert (kept - 3000) ** 2 * 16 < 36 * 4000 * 3  # six standard deviations of a binomial count


def test_nothing_is_dropped_in_evaluation():
    x = torch.ones(8, 1)
    assert bool((DropConnect(1 / 2).eval()(x) == x).all())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: AudioClassifier(nn.Identity(), SmallEncoder(), 1), "n_classes=1"),
        (lambda: AudioClassifier(nn.Identity(), nn.Identity(), 2), "n_features"),
        (lambda: AudioClassifier(abs, SmallEncoder(), 2), "frontend="),
        (lambda: SmallEncoder(0), "in_channels=0"),
        (lambda: network(Config(2, "lief", "small")), "frontend='lief'"),
        (lambda: network(Config(2, "leaf", "large")), "encoder='large'"),
    ],
)
def test_refusals_name_the_argument(make, message):
    with pytest.raises((TypeError, ValueError), match=message):
        make()


def test_a_trained_network_comes_back(tmp_path):
    made = small("leaf", 1)
    torch.save({"network": made.state_dict(), "epoch": 1}, tmp_path / "best.pt")
    again = network(Config(3, "leaf", "small", BANDS, weights=tmp_path / "best.pt"))
    x = clips()
    assert Exactly("one network")(again(x).detach().numpy(), made(x).detach().numpy()).passes


def test_weights_of_another_network_are_refused():
    with pytest.raises(ValueError, match="weights: "):
        load(small("leaf"), small("efficientleaf").state_dict())
