"""SpecAugment of rung 1: what a record does, against the oracle and rung 0; how records are drawn, and when."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

import og_leaf
from og_leaf.spectrum_augmenter import SpectrumAugmenter, augment, warp_matrix
from parity.criteria import Exactly
from parity_tests.helpers.augmentation import drawn, rounding
from parity_tests.helpers.refusals import refused
from parity_tests.helpers.spec_augment import (
    DEFAULTS,
    NO_WARP,
    against_the_chances,
    against_the_oracle,
    apart,
    cases,
    context,
    features,
)

SHAPE = (3, 40, 12)
SAME = Exactly("the same operations on the same numbers")
WITH_NO_WARP = Exactly("every number is multiplied by 0 or 1")
ELEMENTWISE = Exactly("sums, products and quotients of single numbers, in one order, each rounded once")


def run(x, cotangent, record):
    inputs = torch.from_numpy(np.ascontiguousarray(x.transpose(0, 2, 1))).requires_grad_()
    outputs = augment(inputs, record)
    (gradient,) = torch.autograd.grad(outputs, inputs, torch.from_numpy(cotangent.transpose(0, 2, 1)))
    return outputs.detach().numpy().transpose(0, 2, 1), gradient.numpy().transpose(0, 2, 1)


def draw(settings, shape, seed):
    return SpectrumAugmenter(**settings).draw(*shape, torch.Generator().manual_seed(seed))


def run_tensorflow(x, cotangent, record):
    import tensorflow as tf

    from tf_leaf.spectrum_augmenter import augment as augment_tensorflow

    inputs = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs = augment_tensorflow(inputs, record)
    return outputs.numpy(), tape.gradient(outputs, inputs, output_gradients=tf.constant(cotangent)).numpy()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_record_does_what_the_oracle_says(ledger, dtype):
    for measurement in against_the_oracle("og_leaf", run, dtype):
        ledger.check(measurement)


def test_draws_have_the_chances_of_the_algorithm(ledger):
    for measurement in against_the_chances("og_leaf", draw):
        ledger.check(measurement)


@pytest.mark.usefixtures("tensorflow")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_record_does_what_it_does_on_rung_0(ledger, dtype):
    for case, x, cotangent, record in cases(dtype):
        ours, theirs = run(x, cotangent, record), run_tensorflow(x, cotangent, record)
        here = context("og_leaf", "tf_leaf", "a record given", case, dtype)
        bound = rounding(x, cotangent, record, dtype)
        sums = (bound.output_sums, bound.gradient_sums)
        for property, a, b, rounded in zip(("forward", "input gradient"), ours, theirs, sums, strict=True):
            if "warp_origin" in record:
                ledger.check(here.measurement("SpecAugment", property, apart(a, b, rounded), "rounding"))
            else:
                ledger.check(here.measurement("SpecAugment", property, WITH_NO_WARP(a, b), "bitwise"))


@pytest.mark.usefixtures("tensorflow")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_matrix_of_a_warp_is_that_of_rung_0(ledger, dtype):
    import tensorflow as tf

    from tf_leaf.spectrum_augmenter import warp_matrix as warp_matrix_tensorflow

    for case, x, _, record in cases(dtype):
        if "warp_origin" in record:
            origin, destination = record["warp_origin"], record["warp_destination"]
            ours = warp_matrix(
                torch.from_numpy(origin), torch.from_numpy(destination), x.shape[1], getattr(torch, dtype)
            )
            theirs = warp_matrix_tensorflow(
                tf.constant(origin), tf.constant(destination), x.shape[1], tf.as_dtype(dtype)
            )
            verdict = ELEMENTWISE(ours.numpy(), theirs.numpy())
            here = context("og_leaf", "tf_leaf", "a warp's matrix", case, dtype)
            ledger.check(here.measurement("SpecAugment", "forward", verdict, "bitwise"))


class Given:
    """A generator that gives the numbers that it was made with, in turn."""

    def __init__(self, shifts, numbers):
        self.shifts, self.numbers = shifts, iter(numbers)

    def uniform(self, shape, minval=0, maxval=1.0, dtype=None):
        import tensorflow as tf

        return tf.constant(self.shifts if maxval > 1 else next(self.numbers))

    def rand(self, shape, dtype, **_):
        return torch.from_numpy(next(self.numbers)).to(dtype)

    def randint(self, low, high, shape, **_):
        return torch.from_numpy(self.shifts)


@pytest.mark.usefixtures("tensorflow")
@pytest.mark.parametrize("n_frames", [2, 3, 7, 100, 4099])
def test_equal_numbers_make_equal_records(ledger, monkeypatch, n_frames):
    from tf_leaf.spectrum_augmenter import SpectrumAugmenter as SpectrumAugmenterTensorflow

    # around each multiple of 1 / n, where a rounding decides, and both ends; the grids are those of the generators
    edges = np.float32([0, 2.0**-23, 1 - 2.0**-23, 1 - 2.0**-24])
    inner = np.arange(1, 40, dtype=np.float32) / np.float32(min(n_frames, 40))
    near = np.concatenate([edges, *(np.nextafter(inner, np.float32(side)) for side in (0, 1)), inner])
    near = near[near < np.float32(1)]
    n = len(near)
    rng = np.random.default_rng(n_frames)
    pairs = [np.stack([rng.permutation(near), rng.permutation(near)], axis=1) for _ in range(4)]
    numbers = [rng.permutation(near), *pairs]
    # 0.29 * 100 is below 29 in double precision, and 29 in single
    far = {"time_mask_max_ratio": 0.29, "time_warp_max_ratio": 0.29}
    for changes in ({}, {**far, "time_mask_max_frames": 50, "time_warp_max_frames": 50}):
        settings = {**DEFAULTS, **changes}
        farthest = settings["time_warp_max_frames"]
        shifts = rng.integers(-farthest, farthest, n, endpoint=True).astype(np.int32)
        theirs = SpectrumAugmenterTensorflow(**settings).draw(n, n_frames, 12, Given(shifts, numbers))
        given = Given(shifts, numbers)
        with monkeypatch.context() as patched:
            patched.setattr(torch, "rand", given.rand)
            patched.setattr(torch, "randint", given.randint)
            ours = SpectrumAugmenter(**settings).draw(n, n_frames, 12)
        assert sorted(ours) == sorted(theirs)
        for name, values in ours.items():
            assert values.dtype == theirs[name].dtype
            here = context("og_leaf", "tf_leaf", "equal numbers drawn", f"{name}, {n_frames} frames, {changes}")
            ledger.check(here.measurement("SpecAugment", "status", ELEMENTWISE(values, theirs[name]), "bitwise"))


@pytest.mark.usefixtures("tensorflow")
def test_what_is_not_finite_goes_where_it_goes_on_rung_0():
    for changes in ({}, NO_WARP):
        record = drawn(SHAPE, {**DEFAULTS, **changes}, 0)
        x, cotangent = features(SHAPE, "float32", 0)
        x[0, 20, 3], x[1, 5, 4], x[2, 0, 0] = np.nan, np.inf, -np.inf
        ours, theirs = run(x, cotangent, record)[0], run_tensorflow(x, cotangent, record)[0]
        assert SAME(np.isnan(ours), np.isnan(theirs)).passes
        assert SAME(np.isinf(ours), np.isinf(theirs)).passes


def test_one_state_gives_one_result_and_the_next_another():
    x = torch.from_numpy(features(SHAPE, "float32", 0)[0].transpose(0, 2, 1).copy())
    first, second = og_leaf.SpecAugment(seed=5), og_leaf.SpecAugment(seed=torch.Generator().manual_seed(5))
    got = first(x).numpy()
    assert SAME(second(x).numpy(), got).passes
    assert SAME(augment(x, draw(DEFAULTS, SHAPE, 5)).numpy(), got).passes
    assert not np.array_equal(first(x).numpy(), got)
    assert not np.array_equal(og_leaf.SpecAugment(seed=6)(x).numpy(), got)


def test_without_a_generator_the_global_seed_rules():
    x = torch.from_numpy(features(SHAPE, "float32", 0)[0].transpose(0, 2, 1).copy())
    results = []
    for _ in range(2):
        torch.manual_seed(3)
        layer = og_leaf.SpecAugment()
        results.append((layer(x).numpy(), layer(x).numpy()))
    assert SAME(results[0][0], results[1][0]).passes
    assert SAME(results[0][1], results[1][1]).passes
    assert not np.array_equal(results[0][0], results[0][1])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_leaf_augments_last_and_in_training_alone(dtype):
    audio = torch.rand((2, 4000), generator=torch.Generator().manual_seed(0), dtype=dtype) - 1 / 2
    arguments = {"n_filters": 4, "sample_rate": 4000, "mean_var_norm": True, "dtype": dtype}
    plain, augmenting = og_leaf.Leaf(**arguments), og_leaf.Leaf(**arguments, spec_augment=True)
    with torch.no_grad():
        features = plain.eval()(audio)
        assert SAME(plain.train()(audio).numpy(), features.numpy()).passes
        assert SAME(augmenting.eval()(audio).numpy(), features.numpy()).passes
        layer = og_leaf.SpecAugment(seed=5)
        augmented = og_leaf.Leaf(**arguments, spec_augment=layer)(audio)
        assert not np.array_equal(augmenting.train()(audio).numpy(), features.numpy())
    assert augmented.dtype == dtype
    batch_size, n_bins, n_frames = features.shape
    expected = augment(features, draw(DEFAULTS, (batch_size, n_frames, n_bins), 5))
    assert SAME(augmented.numpy(), expected.numpy()).passes
    assert set(augmenting.state_dict()) == set(plain.state_dict())


def test_in_evaluation_features_come_back_as_they_are():
    x = torch.tensor([[[float("nan"), float("inf"), -0.0]]])
    assert og_leaf.SpecAugment().eval()(x) is x
    off = og_leaf.SpecAugment(freq_mask_count=0, time_mask_max_frames=0, time_warp_max_ratio=0.0)
    assert SAME(off(x).numpy(), x.numpy()).passes
    assert off.augmenter.draw(2, 1, 3) == {}


def test_a_copy_draws_on_from_the_same_state():
    x = torch.ones(SHAPE).transpose(1, 2)
    layer = og_leaf.SpecAugment(seed=5)
    layer(x)
    assert SAME(copy.deepcopy(layer)(x).numpy(), layer(x).numpy()).passes


@pytest.mark.parametrize(("arguments", "error", "allowed"), [
    ({"freq_mask_max_bins": -1}, ValueError, "from 0 to"),
    ({"freq_mask_count": 1.5}, TypeError, "an integer"),
    ({"time_mask_max_frames": True}, TypeError, "an integer"),
    ({"time_mask_count": -2}, ValueError, "from 0 to"),
    ({"time_mask_max_ratio": 1.01}, ValueError, "from 0 to 1"),
    ({"time_warp_max_ratio": float("nan")}, ValueError, "from 0 to 1"),
    ({"time_warp_max_ratio": "1"}, TypeError, "a finite number"),
    ({"time_warp_max_frames": None}, TypeError, "an integer"),
    ({"seed": 0.5}, TypeError, "an integer, a torch.Generator or None"),
])  # fmt: skip
def test_refused_arguments(arguments, error, allowed):
    ((name, value),) = arguments.items()
    refused(lambda: og_leaf.SpecAugment(**arguments), error, f"{name}={value!r}", allowed)


@pytest.mark.parametrize(("changes", "error", "named"), [
    ({"mask": [[1]]}, ValueError, ("'mask'", "time_start")),
    ({"time_length": None}, ValueError, ("'time_length'", "both or neither")),
    ({"time_start": np.ones((3, 2), np.float32)}, TypeError, ("time_start", "float32", "integers")),
    ({"freq_start": np.ones((3, 1), np.int32)}, ValueError, ("freq_start", "(3, 1)", "(3, 2)")),
    ({"warp_origin": np.ones((2,), np.int32), "warp_destination": np.ones((2,), np.int32)}, ValueError, ("(3,)",)),
    ({"warp_origin": np.zeros(3, np.int32)}, ValueError, ("warp_origin", "from 1 to 39")),
    ({"warp_destination": np.full(3, 40, np.int32)}, ValueError, ("warp_destination", "from 1 to 39")),
    ({"time_start": np.full((3, 2), 40, np.int32)}, ValueError, ("time_start", "within 40")),
    ({"freq_length": np.full((3, 2), 13, np.int32)}, ValueError, ("freq_length", "within 12")),
])  # fmt: skip
def test_refused_records(changes, error, named):
    x = features(SHAPE, "float32", 0)[0]
    record = {name: v for name, v in {**drawn(SHAPE, DEFAULTS, 0), **changes}.items() if v is not None}
    refused(lambda: run(x, x, record), error, *named)


def test_refused_features():
    layer = og_leaf.SpecAugment()
    refused(lambda: layer(torch.zeros(2, 5)), ValueError, "inputs", "(2, 5)", "[batch, channels, frames]")
    refused(lambda: layer(torch.zeros(2, 5, 1)), ValueError, "n_frames=1", "at least 2")
    refused(lambda: og_leaf.Leaf(n_filters=2, spec_augment="yes"), TypeError, "spec_augment='yes'", "og_leaf.SpecAug")
