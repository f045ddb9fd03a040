"""The quirks of the original that a one-to-one port keeps."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import og_leaf
from parity_tests.helpers.divergent import noise
from parity_tests.helpers.quirks import PREEMPHASIS, ROUNDED, SAME, early_hann, looked_ahead, periodic_hamming, wrapped


def test_fixed_rate_initialiser():
    default, low = (og_leaf.Leaf(n_filters=8, sample_rate=rate)._complex_conv._kernel for rate in (16000, 8000))
    assert SAME(low.detach().numpy(), default.detach().numpy()).passes


def test_preemphasis_looks_ahead():
    x = noise(50)
    heard = []

    def listen(**arguments):
        convolution = og_leaf.GaborConv1D(**arguments)
        convolution.register_forward_pre_hook(lambda _, inputs: heard.append(inputs[0]))
        return convolution

    og_leaf.Leaf(n_filters=2, preemp=True, conv1d_cls=listen)(torch.tensor(x))
    assert ROUNDED(heard[0].detach().numpy()[0, 0], looked_ahead(x[0])).passes
    assert og_leaf.PreempInit().alpha == PREEMPHASIS


def test_hann_starts_early():
    assert ROUNDED(og_leaf.window(og_leaf.WindowType.HANNING, 25), early_hann(25)).passes
    assert ROUNDED(og_leaf.window(og_leaf.WindowType.HAMMING, 25), periodic_hamming(25)).passes


def test_sinc_filters_of_even_size():
    edges = torch.tensor([[100.0]]), torch.tensor([[900.0]])
    assert og_leaf.sinc_filters(*edges, size=24).shape[-1] == 25
    with pytest.raises(ValueError, match="24"):
        og_leaf.SincConv1D(filters=4, kernel_size=24)(torch.tensor(noise(100))[:, None])


def test_sincnet_knows_one_rate():
    at = [og_leaf.SincNet(n_filters=4, sample_rate=rate, window_len=25.0 * 16000 / rate) for rate in (16000, 8000)]
    for one, other in zip(at[0].state_dict().values(), at[1].state_dict().values(), strict=True):
        assert SAME(other.numpy(), one.numpy()).passes
    x = torch.tensor(noise(500))
    filtered = [module._complex_conv(x[:, None]).detach().numpy() for module in at]
    assert SAME(*filtered).passes


def test_tdfbanks_keeps_its_rate():
    with pytest.raises(ValueError, match="401"):
        og_leaf.TimeDomainFilterbanks(sample_rate=22050)


def test_learnable_pooling_is_valid():
    pooling = og_leaf.LearnablePooling1D(2, kernel_size=25, strides=10, padding="same")
    x = torch.tensor(noise(120)).reshape(1, 2, 60)
    assert pooling(x).shape[-1] == (60 - 25) // 10 + 1
    with pytest.raises(ValueError, match="25"):
        pooling(x[..., :24])


@pytest.mark.parametrize("name", ["LearnablePooling1D", "ChannelWiseLearnablePooling1D", "GaussianLowpass"])
def test_poolings_have_no_bias(name):
    pooling = getattr(og_leaf, name)(2, kernel_size=25, use_bias=True)
    assert list(pooling.state_dict()) == ["kernel"]


def test_fft_convolution_wraps():
    x, taps = noise(50)[0], noise(9)[0][::-1].copy()
    found, _ = og_leaf.fft_conv1d(torch.tensor(x)[None, None], torch.tensor(taps)[None, None])
    assert ROUNDED(found.numpy()[0, 0], wrapped(x.astype(float), taps.astype(float))).passes


def test_limits_have_a_gradient():
    x = torch.tensor([[[1.0, 4.0]]])
    # a smoother that stays at 1, and a floor of 1: y = (x / 2^alpha + 2)^(1 / root) - 2^(1 / root), at x = 4
    pcen = og_leaf.PCENLayer(1, alpha=1.0, root=1.0, floor=1.0, smooth_coef=0.0, learn_smooth_coef=True, trainable=True)
    (alpha, root) = torch.autograd.grad(pcen(x)[0, 0, 1], [pcen.alpha, pcen.root])
    assert ROUNDED(alpha.numpy(), np.array([-2.0 * np.log(2.0)])).passes
    # y = (2 + 2)^(1 / root) - 2^(1 / root): its slope at root 1 is -(4 log 4 - 2 log 2)
    assert ROUNDED(root.numpy(), np.array([-(4 * np.log(4.0) - 2 * np.log(2.0))])).passes


def test_untrained_pcen_freezes_its_smoother():
    pcen = og_leaf.PCENLayer(3, trainable=False, learn_smooth_coef=True)
    assert not any(p.requires_grad for p in pcen.parameters())


def test_spec_augment_never_draws_its_maximum():
    from og_leaf.spectrum_augmenter import SpectrumAugmenter

    generator = torch.Generator().manual_seed(0)
    augmenter = SpectrumAugmenter(freq_mask_max_bins=5, time_mask_max_frames=7)
    record = augmenter.draw(2000, 100, 40, generator)
    assert set(np.unique(record["freq_length"])) == set(range(5))
    assert set(np.unique(record["time_length"])) == set(range(7))
    # a clip of 3 frames: lengths of 3 to 6 are all cut to 3, so that 4 in 7 clips are masked whole
    short = augmenter.draw(2000, 3, 40, generator)["time_length"]
    assert set(np.unique(short)) == set(range(4))
    assert np.mean(short == 3) > np.mean(short == 2)
