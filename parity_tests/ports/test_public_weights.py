"""State dicts of the public ports load where a rung holds them, and wrapped they compute what the port did."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest
import torch
from torch import nn

import efficientleaf
import leaf
import og_leaf
import parity
from parity.adapters.layouts import PUBLIC
from parity.adapters.rungs import RUNGS
from parity.checks.grid import Expected
from parity.criteria import Accuracy
from parity.oracle.config import LeafConfig
from parity.ports.formulas import Setting, conv, pool
from parity.ports.port import Port
from parity.ports.references import Against
from parity.weights.convert_file import convert_file
from parity_tests.ports.public.weights import RECORDED, STATE, WEIGHTS

ABOUT = json.loads(RECORDED.read_text(encoding="utf-8"))
WRAPPED = [name for name, about in ABOUT.items() if about["repository"] in PUBLIC]
BIASED = [name for name in WRAPPED if PUBLIC[ABOUT[name]["repository"]].bias]
ACCURATE = Accuracy()
# Zeros before and after, of windows of so many taps, read off the ports' own code.
PADS = {
    "denfed/leaf-audio-pytorch": lambda n: (n // 2, n // 2),
    "SarthakYadav/leaf-pytorch": lambda n: (n // 2 + n % 2 - 1, n // 2),
    "speechbrain/speechbrain": lambda n: ((n - 1) // 2, n // 2),
}


class Recorded:
    """A file of a port's state dict, an input and the port's output, and what float64 makes of them."""

    def __init__(self, name: str) -> None:
        self.about = ABOUT[name]
        with np.load(WEIGHTS / f"{name}.npz", allow_pickle=False) as arrays:
            self.arrays = dict(arrays)
        self.state = {key.removeprefix(STATE): y for key, y in self.arrays.items() if key.startswith(STATE)}
        self.config = LeafConfig(**self.about["config"])
        self.settings = {key: self.about["config"][key] for key in ("sample_rate", "window_len", "window_stride")}
        self.path = WEIGHTS / f"{name}.npz"

    def rung(self) -> nn.Module:
        adapter = RUNGS[self.about["claims"]].load_adapter()
        module: nn.Module = adapter.build(self.config, **self.about["groups"])
        return module

    def exact(self) -> np.ndarray:
        """What the port's formulas make of its weights in float64: LEAF's, with its padding and its bias."""
        port = PUBLIC.get(self.about["repository"])
        claimed = Port("claimed", self.about["claims"], self.rung, {}, groups=self.about["groups"])
        if port is None:
            variables = RUNGS[claimed.claims].load_adapter().read(loaded(self))
        else:
            variables = port.variables(self.state)
        against = Against(claimed)
        expected = Expected(
            self.config, variables, self.arrays["input"], self.arrays["output"],
            conventions=against.conventions, geometry=against.geometry(self.config, variables),
        )  # fmt: skip
        if port is None:
            return expected.stages["output"]
        bias = self.state.get(port.bias, np.zeros(1))[:, None]
        pads = PADS[port.repository](self.config.window)
        padded = {"conv": lambda s, v: conv(s, v, pads), "pool": lambda s, v: pool(s, v, pads) + bias}
        return Setting(expected).compute("output", padded)

    def verdict(self, module: nn.Module):
        with torch.no_grad():
            got = module(torch.as_tensor(self.arrays["input"])).numpy()
        exact = self.exact()
        assert got.shape == exact.shape
        assert ACCURATE.applies(exact)
        return ACCURATE(got, self.arrays["output"], exact)


def loaded(recorded: Recorded) -> nn.Module:
    module = recorded.rung()
    parity.load_weights(module, recorded.path)
    return module


def quietly(path, **settings):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return parity.load(path, wrap=True, **settings)


@pytest.mark.parametrize("name", WRAPPED)
def test_wrapped_rung_computes_what_the_port_did(name):
    recorded = Recorded(name)
    assert recorded.verdict(parity.load(recorded.path, wrap=True, **recorded.settings)).passes


@pytest.mark.parametrize("name", sorted(set(ABOUT) - set(WRAPPED)))
def test_repository_that_a_rung_follows_loads_and_computes_the_same(name):
    recorded = Recorded(name)
    assert recorded.verdict(loaded(recorded)).passes


@pytest.mark.parametrize("name", WRAPPED)
def test_rung_that_is_not_wrapped_computes_something_else(name):
    recorded = Recorded(name)
    bias = PUBLIC[recorded.about["repository"]].bias
    plain = recorded.rung()
    with pytest.warns(UserWarning, match="padding='same' where .* has 'centered'"):
        parity.load_weights(plain, {key: y * (key != bias) for key, y in recorded.state.items()})
    with torch.no_grad():
        got = plain(torch.as_tensor(recorded.arrays["input"])).numpy()[..., : recorded.arrays["output"].shape[-1]]
    n = got.shape[-1]
    assert not ACCURATE(got, recorded.arrays["output"][..., :n], recorded.exact()[..., :n]).passes


def test_port_without_a_bias_is_held_by_simplified_leaf_exactly():
    recorded = Recorded("denfed-odd")
    module = leaf.Leaf(4, compression=leaf.PCEN(4, learn_logs=False, eps=1e-12, clamp=1e-5), **recorded.settings)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        parity.load_weights(module, recorded.path)
    assert recorded.verdict(module.eval()).passes


@pytest.mark.parametrize("name", BIASED)
@pytest.mark.parametrize("build", [
    lambda: og_leaf.Leaf(n_filters=4), lambda: leaf.Leaf(4), lambda: efficientleaf.EfficientLeaf(4, compression="pcen"),
])  # fmt: skip
def test_bias_on_the_energies_is_refused_by_name(name, build):
    recorded, module = Recorded(name), build()
    before = {key: tensor.clone() for key, tensor in module.state_dict().items()}
    with pytest.raises(ValueError, match=r"pooling\._bias'.*must be 0.*wrap=True"):
        parity.load_weights(module, recorded.path)
    assert all(torch.equal(tensor, before[key]) for key, tensor in module.state_dict().items())


def test_state_dict_inside_a_model_is_found_and_chosen():
    recorded = Recorded("speechbrain-even")
    key = PUBLIC["speechbrain/speechbrain"].bias
    state = {f"modules.leaf.{name}": y * (name != key) for name, y in recorded.state.items()}
    module = leaf.Leaf(4, **recorded.settings)
    with pytest.warns(UserWarning, match="n_taps=95 where speechbrain/speechbrain has 96"):
        parity.load_weights(module, {**state, "head.weight": np.zeros(3)})
    held = module.filterbank.center_freqs.detach().numpy()
    np.testing.assert_array_equal(held, recorded.state["complex_conv.kernel"][:, 0])
    again = {**state, **{name.replace("leaf", "second"): y for name, y in state.items()}}
    with pytest.raises(ValueError, match=r"modules\.leaf.*modules\.second"):
        parity.load_weights(module, again)


def test_wrapped_rung_is_trained_and_computes_in_float64():
    recorded = Recorded("sarthak-odd")
    module = parity.load(recorded.path, "float64", wrap=True, **recorded.settings)
    module(torch.as_tensor(recorded.arrays["input"], dtype=torch.float64)).sum().backward()
    assert all(p.grad is not None and p.dtype == torch.float64 for p in module.parameters())
    np.testing.assert_array_equal(module._pooling.bias.detach().numpy(), recorded.state["_pooling._bias"])


@pytest.mark.parametrize(("settings", "said"), [
    ({"compression": "log"}, "compression='log': must be 'pcen' or 'none'"),
    ({"sample_rate": 8000}, "must be those of a window of 97 samples"),
])  # fmt: skip
def test_settings_that_are_not_the_ports_are_refused(settings, said):
    recorded = Recorded("denfed-odd")
    with pytest.raises(ValueError, match=said):
        parity.load(recorded.path, wrap=True, **{**recorded.settings, **settings})


def test_load_says_what_reads_another_file(tmp_path):
    recorded = Recorded("denfed-odd")
    with pytest.raises(ValueError, match="wrap=True builds the frontend of a state dict"):
        parity.load(recorded.path)
    with pytest.raises(ValueError, match=r"settings=\['sample_rate'\]: must be left out, wrap=False"):
        parity.load(recorded.path, sample_rate=16000)
    target = tmp_path / "leaf.safetensors"
    convert_file(recorded.path, target, "leaf", dict(recorded.settings))
    with pytest.raises(ValueError, match="says all of them"):
        parity.load(target, wrap=True, sample_rate=16000)


def test_converted_file_of_a_port_without_a_bias_is_leaf_with_its_frames(tmp_path):
    recorded = Recorded("denfed-odd")
    converted = convert_file(recorded.path, tmp_path / "leaf.safetensors", "leaf", dict(recorded.settings))
    assert not {"rung", "padding"} & set(converted.assumed)
    assert recorded.verdict(parity.load(tmp_path / "leaf.safetensors")).passes


def test_file_that_rungs_wrote_needs_no_wrapping(tmp_path):
    module = og_leaf.Leaf(n_filters=3)
    torch.save(module.state_dict(), tmp_path / "og_leaf.pt")
    x = torch.randn(1, 900)
    assert torch.equal(quietly(tmp_path / "og_leaf.pt")(x), module.eval()(x))
