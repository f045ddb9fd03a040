"""The quirks of the original that rung 0 keeps."""

from __future__ import annotations

import numpy as np
import pytest

from parity_tests.helpers.divergent import noise
from parity_tests.helpers.quirks import PREEMPHASIS, ROUNDED, SAME, early_hann, looked_ahead, periodic_hamming, wrapped

pytestmark = pytest.mark.usefixtures("tensorflow")


def test_fixed_rate_initialiser():
    import tf_leaf

    default, low = (tf_leaf.Leaf(n_filters=8, sample_rate=rate)._complex_conv._kernel for rate in (16000, 8000))
    assert SAME(low.numpy(), default.numpy()).passes


def test_preemphasis_looks_ahead():
    import tf_leaf

    x = noise(50)
    heard = tf_leaf.Leaf(n_filters=2, preemp=True)._preemp_conv(x[:, :, None])
    assert ROUNDED(heard.numpy()[0, :, 0], looked_ahead(x[0])).passes
    assert tf_leaf.PreempInit().get_config() == {"alpha": PREEMPHASIS}


def test_hann_starts_early():
    import tf_leaf

    assert ROUNDED(tf_leaf.window(tf_leaf.WindowType.HANNING, 25), early_hann(25)).passes
    assert ROUNDED(tf_leaf.window(tf_leaf.WindowType.HAMMING, 25), periodic_hamming(25)).passes


def test_sinc_filters_of_even_size():
    import tf_leaf

    edges = np.array([[100.0]], np.float32), np.array([[900.0]], np.float32)
    assert tf_leaf.sinc_filters(*edges, size=24).shape[0] == 25
    with pytest.raises(Exception, match="24"):
        tf_leaf.SincConv1D(filters=4, kernel_size=24)(noise(100)[:, :, None])


def test_sincnet_knows_one_rate():
    import tf_leaf

    at = [tf_leaf.SincNet(n_filters=4, sample_rate=rate, window_len=25.0 * 16000 / rate) for rate in (16000, 8000)]
    for one, other in zip(at[0].weights, at[1].weights, strict=True):
        assert SAME(other.numpy(), one.numpy()).passes
    filtered = [module._complex_conv(noise(500)[:, :, None]).numpy() for module in at]
    assert SAME(*filtered).passes


def test_tdfbanks_keeps_its_rate():
    import tf_leaf

    with pytest.raises(ValueError, match="401"):
        tf_leaf.TimeDomainFilterbanks(sample_rate=22050)


def test_learnable_pooling_is_valid():
    import tf_leaf

    pooling = tf_leaf.LearnablePooling1D(kernel_size=25, strides=10, padding="same")
    x = noise(120).reshape(1, 60, 2)
    assert pooling(x).shape[1] == (60 - 25) // 10 + 1
    with pytest.raises(ValueError, match="25"):
        pooling(x[:, :24])


@pytest.mark.parametrize("name", ["LearnablePooling1D", "ChannelWiseLearnablePooling1D", "GaussianLowpass"])
def test_poolings_have_no_bias(name):
    import tf_leaf

    pooling = getattr(tf_leaf, name)(kernel_size=25, use_bias=True)
    pooling.build((None, None, 2))
    assert [weight.name for weight in pooling.weights] == ["kernel"]


def test_fft_convolution_wraps():
    import tf_leaf

    x, taps = noise(50)[0], noise(9)[0][::-1].copy()
    found, _ = tf_leaf.fft_conv1d(x[None, :, None], taps[:, None, None])
    assert ROUNDED(found.numpy()[0, :, 0], wrapped(x.astype(float), taps.astype(float))).passes


def test_limits_have_a_gradient():
    import tensorflow as tf

    import tf_leaf

    pcen = tf_leaf.PCENLayer(
        alpha=1.0, root=1.0, delta=2.0, floor=1.0, smooth_coef=0.0, learn_smooth_coef=True, trainable=True
    )
    x = np.array([[[1.0], [4.0]]], np.float32)
    pcen.build(x.shape)
    # a smoother that stays at 1, and a floor of 1: y = (x / 2^alpha + 2)^(1 / root) - 2^(1 / root), at x = 4
    with tf.GradientTape() as tape:
        y = pcen(x)[0, 1, 0]
    alpha, root = tape.gradient(y, [pcen.alpha.value, pcen.root.value])
    assert ROUNDED(alpha.numpy(), np.array([-2.0 * np.log(2.0)])).passes
    assert ROUNDED(root.numpy(), np.array([-(4 * np.log(4.0) - 2 * np.log(2.0))])).passes


def test_untrained_pcen_freezes_its_smoother():
    import tf_leaf

    pcen = tf_leaf.PCENLayer(trainable=False, learn_smooth_coef=True)
    pcen.build((None, None, 3))
    assert pcen.trainable_weights == []


def test_spec_augment_never_draws_its_maximum():
    import tensorflow as tf

    from tf_leaf.spectrum_augmenter import SpectrumAugmenter

    generator = tf.random.Generator.from_seed(0)
    augmenter = SpectrumAugmenter(freq_mask_max_bins=5, time_mask_max_frames=7)
    record = augmenter.draw(2000, 100, 40, generator)
    assert set(np.unique(record["freq_length"])) == set(range(5))
    assert set(np.unique(record["time_length"])) == set(range(7))
    # a clip of 3 frames: lengths of 3 to 6 are all cut to 3, so that 4 in 7 clips are masked whole
    short = augmenter.draw(2000, 3, 40, generator)["time_length"]
    assert set(np.unique(short)) == set(range(4))
    assert np.mean(short == 3) > np.mean(short == 2)
