"""Differences of rung 0 from the original: each exists, with its declared size."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from parity.checks import breaking
from parity_tests.helpers.divergent import diverges, noise
from parity_tests.helpers.refusals import refused

pytestmark = pytest.mark.usefixtures("tensorflow")


def test_shared_default_compression(ledger):
    import tf_leaf

    widths = [tf_leaf.Leaf(n_filters=n)(noise(800)).shape[-1] for n in (2, 5)]
    assert widths == [2, 5]
    diverges(
        ledger, "shared-default-compression", len(widths), stage="output", case="widths 2 and 5", property="status"
    )


def test_sub_sample_window(ledger):
    import tensorflow as tf

    import tf_leaf

    refused(lambda: tf_leaf.Leaf(window_len=0.01), ValueError, "window_len=0.01", "0.0625")
    # what the original makes of it: int(16000 * 0.01 // 1000 + 1) = 1 sample, whose middle and half width are 0
    n = tf.range(1, dtype=tf.float32)
    window = tf.exp(-0.5 * ((n - 0.5 * (1 - 1)) / (0.4 * 0.5 * (1 - 1))) ** 2)
    share = np.isnan(window).mean()
    diverges(ledger, "sub-sample-window", share, stage="windows", case="window_len=0.01", property="status")


def test_two_channels(ledger):
    import tensorflow as tf

    import tf_leaf

    stereo = np.stack([noise(300)[0], np.zeros(300, np.float32)], axis=1)[None]
    refused(lambda: tf_leaf.Leaf(n_filters=4)(stereo), ValueError, "2 channels")
    # what the original makes of it: a kernel of one input channel under two is a convolution in two groups
    kernel = np.random.default_rng(0).standard_normal((9, 1, 8)).astype(np.float32)
    heard = tf.nn.conv1d(tf.constant(stereo), kernel, 1, "SAME").numpy()
    share = np.mean(np.abs(heard).max(axis=(0, 1)) == 0)
    diverges(ledger, "two-channels", share, stage="conv", case="noise beside silence, 4 filters", property="status")


def test_frozen_penalty(ledger):
    import keras

    import tf_leaf

    penalty = keras.regularizers.L2(0.1)
    made = [tf_leaf.GaborConv1D(4, 9, kernel_regularizer=penalty, trainable=trainable) for trainable in (True, False)]
    n = [len(layer.losses) for layer in made]
    diverges(ledger, "frozen-penalty", n[0] - n[1], stage="output", case="4 channels, 9 taps", property="status")


def test_unwritten_output(ledger):
    import tensorflow as tf

    import tf_leaf

    audio = tf.zeros((1, 24, 1))
    passed = [tf.nn.conv1d(audio, tf.zeros((25, 1, 1)), 10, "VALID")]
    refused(lambda: tf_leaf.LearnablePooling1D(25, 10)(audio), ValueError, "24 samples", "25")
    case = "24 samples, window 25, hop 10"
    diverges(ledger, "unwritten-output", len(passed), stage="pool", case=case, property="status")


def test_no_channels(ledger):
    import tensorflow as tf

    import tf_leaf

    passed = [tf.nn.avg_pool(tf.zeros((1, 1, 1, 24)), (2, 1), (2, 1), "VALID", data_format="NHWC")]
    refused(lambda: tf_leaf.Leaf(n_filters=1, conv1d_cls=tf_leaf.SincConv1D), ValueError, "n_filters=1", "at least 2")
    diverges(ledger, "no-channels", len(passed), stage="conv", case="one filter of SincConv1D", property="status")


def test_one_sample_transform(ledger):
    import tensorflow as tf

    import tf_leaf

    program = "import tensorflow as tf; tf.signal.irfft(tf.zeros((1, 1), tf.complex64))"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True)
    refused(lambda: tf_leaf.fft_conv1d(tf.zeros((1, 1, 1)), tf.zeros((3, 1, 1))), ValueError, "at least 2")
    diverges(ledger, "one-sample-transform", -ended.returncode, stage="conv", case="one sample", property="status")


def test_spec_augment_one_frame(ledger):
    import tensorflow as tf

    import tf_leaf
    from tf_leaf.spectrum_augmenter import warp_matrix

    refused(lambda: tf_leaf.SpecAugment()(tf.zeros((1, 1, 4))), ValueError, "frame")
    # what the original makes of it: one frame, warped to where it is
    matrix = warp_matrix(tf.constant([1]), tf.constant([0]), 1, tf.float32)
    share = np.isnan(matrix).mean()
    diverges(ledger, "spec-augment-one-frame", share, stage="output", case="one frame", property="status")


def test_spec_augment_ratio(ledger):
    import tf_leaf

    ratios = (1.5, -0.5)
    for ratio in ratios:
        refused(lambda ratio=ratio: tf_leaf.SpecAugment(time_mask_max_ratio=ratio), ValueError, str(ratio))
    case = "time_mask_max_ratio of 1.5 and -0.5"
    diverges(ledger, "spec-augment-ratio", len(ratios), stage="output", case=case, property="status")


def test_pcen_start(ledger):
    import og_leaf
    import tf_leaf

    starts = ({"delta": -1.0}, {"smooth_coef": -0.1}, {"smooth_coef": 1.1})
    for start in starts:
        (name,) = start
        refused(lambda start=start: tf_leaf.PCENLayer(**start), ValueError, name)
        refused(lambda start=start: og_leaf.PCENLayer(num_channels=2, **start), ValueError, name)
    diverges(ledger, "pcen-start", len(starts), stage="pcen", case=str(starts), property="status")


def test_tf_delta_through_zero(ledger):
    delta, outcome = breaking.through_zero(breaking.layer("tf_leaf"))
    assert delta < 0  # the last that was a number
    assert set(outcome.broken) == {"output", "input", "alpha", "delta", "root", "smooth"}
    diverges(ledger, "tf-delta-through-zero", outcome.nan, stage="pcen", case="one band, 16 frames", property="status")


def test_tf_delta_gradient(ledger):
    gradient = breaking.at_delta("tf_leaf", 1e-12)
    assert np.isneginf(breaking.at_delta("tf_leaf", 0.0))
    diverges(ledger, "tf-delta-gradient", -gradient, stage="pcen", case="one frame of 1", property="parameter gradient")


def test_tf_silence_without_floor(ledger):
    outcome = breaking.over_silence("tf_leaf", floor=0.0)
    assert not breaking.over_silence("tf_leaf", floor=1e-12).broken
    assert set(outcome.broken) == {"output", "input", "alpha", "delta", "root", "smooth"}
    diverges(ledger, "tf-silence-without-floor", outcome.nan, stage="pcen", case="8 frames of 0", property="status")
