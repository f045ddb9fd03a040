"""Rung 1 as a PyTorch module: dtypes, devices, clipping, padding, state dict."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

import leaf
import og_leaf
from og_leaf.impulse_responses import clip
from parity.criteria import judged, soundness
from parity.oracle import Precision, Running, scan


def small(**arguments):
    return og_leaf.Leaf(n_filters=3, sample_rate=2000, **arguments)


def fixed_pcen(**arguments):
    return og_leaf.PCENLayer(3, trainable=True, **arguments)


def test_float64_carries_no_float32_rounding():
    built, moved = small(dtype=torch.float64), small().double()
    moved.load_state_dict(built.state_dict())
    audio = torch.linspace(-1, 1, 333, dtype=torch.float64)[None]
    assert torch.equal(built(audio), moved(audio))


@pytest.mark.parametrize("arguments", [{}, {"preemp": True, "mean_var_norm": True}], ids=["plain", "everything"])
def test_is_built_on_a_device(arguments):
    built = small(device="meta", **arguments)
    assert {t.device.type for t in built.state_dict().values()} == {"meta"}
    assert fixed_pcen(device="meta").ema.recurrent_weights.is_meta


def test_rank_two_equals_rank_three():
    module, audio = small(), torch.rand(2, 333)
    assert torch.equal(module(audio), module(audio[:, None]))


def test_two_widths_share_nothing():
    first, second = og_leaf.Leaf(n_filters=2), og_leaf.Leaf(n_filters=5)
    audio = torch.rand(1, 800)
    assert (first(audio).shape[1], second(audio).shape[1]) == (2, 5)
    own = {p.data_ptr() for p in first.parameters()}
    assert own.isdisjoint(p.data_ptr() for p in second.parameters())


@pytest.mark.parametrize(("arguments", "keys"), [
    ({}, ["_complex_conv._kernel", "_pooling.kernel", "_compress_fn.alpha", "_compress_fn.delta",
          "_compress_fn.root", "_compress_fn.ema._weights"]),
    ({"preemp": True, "mean_var_norm": True, "compression_fn": "log"},
     ["_preemp_conv.weight", "_complex_conv._kernel", "_pooling.kernel", "_instance_norm.weight",
      "_instance_norm.bias"]),
])  # fmt: skip
def test_state_dict_keys_are_the_published_ports(arguments, keys):
    assert sorted(small(**arguments).state_dict()) == sorted(keys)


def test_fixed_smoother_is_in_the_state_dict_and_not_trained():
    pcen = fixed_pcen()
    assert {"ema.input_weights", "ema.recurrent_weights"} <= set(pcen.state_dict())
    assert [name for name, p in pcen.named_parameters() if p.requires_grad] == ["alpha", "delta", "root"]


@given(low=st.floats(-2, 2), width=st.floats(0.1, 3))
def test_clip_has_gradient_one_at_both_limits(low, width):
    values = torch.tensor([low, low + width, low + width / 2], dtype=torch.float64, requires_grad=True)
    clip(values, low, low + width).sum().backward()
    assert values.grad.tolist() == [1, 1, 1]


SIZES = {"n": st.integers(1, 400), "window": st.integers(1, 60), "stride": st.integers(1, 60)}


@given(**SIZES)
@example(n=16000, window=401, stride=160)
@example(n=22050, window=552, stride=220)
@example(n=1, window=401, stride=160)
def test_same_padding_is_the_definition(n, window, stride):
    left, right = og_leaf.same_padding(n, window, stride)
    n_outputs = math.ceil(n / stride)
    assert right - left in (0, 1)
    assert left + right == max((n_outputs - 1) * stride + window - n, 0)
    assert (n + left + right - window) // stride + 1 == n_outputs


@pytest.mark.usefixtures("tensorflow")
@given(**SIZES)
@example(n=400, window=11, stride=4)
def test_same_padding_is_tensorflows(n, window, stride):
    import tensorflow as tf

    # a ramp under a kernel of ones: each output names the samples that it saw
    ramp = np.arange(1, n + 1, dtype=np.float64)
    expected = tf.nn.conv1d(ramp[None, :, None], np.ones((window, 1, 1)), stride=stride, padding="SAME")
    padded = np.pad(ramp, og_leaf.same_padding(n, window, stride))
    got = np.lib.stride_tricks.sliding_window_view(padded, window)[::stride].sum(axis=1)
    assert got.tolist() == expected.numpy().ravel().tolist()


@pytest.mark.parametrize("per_channel", [False, True])
def test_the_smoother_takes_a_scan(per_channel):
    rng = np.random.default_rng(0)
    x, initial = rng.uniform(0.1, 1.0, (2, 3, 300)).astype(np.float32), np.float32([[0.5, 1.0, 2.0]] * 2)
    layer = og_leaf.ExponentialMovingAverage(3, 0.04, per_channel, scan=leaf.exponential_moving_average)
    got = layer(torch.from_numpy(x), torch.from_numpy(initial)).detach().numpy()
    single = Precision.of("float32")
    true = scan.average(Running.given(x, single), layer._weights.detach().numpy(), Running.given(initial, single))
    assert judged(true.error) == 1
    assert soundness(got, true.value, true.error).passes


def test_pcen_hands_its_scan_to_the_smoother():
    layer = og_leaf.PCENLayer(3, learn_smooth_coef=True, scan=leaf.exponential_moving_average)
    assert layer.ema.scan is leaf.exponential_moving_average


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_compiles_into_one_graph(dtype):
    frontend = og_leaf.Leaf(n_filters=3, dtype=dtype)
    audio = torch.linspace(-1, 1, 1600, dtype=dtype)[None].sin()
    compiled = torch.compile(frontend, fullgraph=True, backend="eager")
    assert torch.equal(compiled(audio), frontend(audio))
