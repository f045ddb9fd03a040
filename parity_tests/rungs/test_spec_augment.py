"""SpecAugment of rungs 0 and 1: what a record does, against the oracle and the rung below; how and when it is drawn."""

from __future__ import annotations

import copy
import importlib

import numpy as np
import pytest
import torch

import og_leaf
from og_leaf.spectrum_augmenter import SpectrumAugmenter, warp_matrix
from parity.criteria import AtMost, Exactly
from parity_tests.helpers.augmentation import chi_squared_tail, drawn, rounding
from parity_tests.helpers.refusals import refused
from parity_tests.helpers.rungs import one
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

BOTH = pytest.mark.parametrize("rung", [one("tf_leaf"), one("og_leaf")])
SHAPE = (3, 40, 12)
OFF = {"freq_mask_count": 0, "time_mask_max_frames": 0, "time_warp_max_ratio": 0.0}
SAME = Exactly("the same operations on the same numbers")
WITH_NO_WARP = Exactly("every number is multiplied by 0 or 1")
ELEMENTWISE = Exactly("sums, products and quotients of single numbers, in one order, each rounded once")


def augmenter(rung, name="SpectrumAugmenter"):
    return getattr(importlib.import_module(f"{rung}.spectrum_augmenter"), name)


def layer(rung, **arguments):
    return importlib.import_module(rung).SpecAugment(**arguments)


def tensor(rung, x):
    """Features [B, frames, C] as the rung takes them."""
    if rung == "og_leaf":
        return torch.from_numpy(np.ascontiguousarray(x.transpose(0, 2, 1)))
    import tensorflow as tf

    return tf.constant(x)


def values(rung, y):
    """Features of the rung, [B, frames, C]."""
    return y.detach().numpy().transpose(0, 2, 1) if rung == "og_leaf" else y.numpy()


def generator(rung, seed):
    if rung == "og_leaf":
        return torch.Generator().manual_seed(seed)
    import tensorflow as tf

    return tf.random.Generator.from_seed(seed)


def draw(rung, settings, shape, seed):
    return augmenter(rung)(**settings).draw(*shape, generator(rung, seed))


def run(rung, x, cotangent, record):
    """Augment features by a record, and pull a cotangent back."""
    inputs, augment = tensor(rung, x), augmenter(rung, "augment")
    if rung == "og_leaf":
        outputs = augment(inputs.requires_grad_(), record)
        (gradient,) = torch.autograd.grad(outputs, inputs, tensor(rung, cotangent))
        return values(rung, outputs), values(rung, gradient)
    import tensorflow as tf

    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs = augment(inputs, record)
    return outputs.numpy(), tape.gradient(outputs, inputs, output_gradients=tf.constant(cotangent)).numpy()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@BOTH
def test_a_record_does_what_the_oracle_says(rung, ledger, dtype):
    for measurement in against_the_oracle(rung, lambda *given: run(rung, *given), dtype):
        ledger.check(measurement)


@BOTH
def test_draws_have_the_chances_of_the_algorithm(rung, ledger):
    for measurement in against_the_chances(rung, lambda *given: draw(rung, *given)):
        ledger.check(measurement)


@pytest.mark.og_leaf
@pytest.mark.tensorflow
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_record_does_what_it_does_on_rung_0(ledger, dtype):
    for case, x, cotangent, record in cases(dtype):
        ours, theirs = (run(rung, x, cotangent, record) for rung in ("og_leaf", "tf_leaf"))
        here = context("og_leaf", "tf_leaf", "a record given", case, dtype)
        bound = rounding(x, cotangent, record, dtype)
        sums = (bound.output_sums, bound.gradient_sums)
        for property, a, b, rounded in zip(("forward", "input gradient"), ours, theirs, sums, strict=True):
            if "warp_origin" in record:
                ledger.check(here.measurement("SpecAugment", property, apart(a, b, rounded), "rounding"))
            else:
                ledger.check(here.measurement("SpecAugment", property, WITH_NO_WARP(a, b), "bitwise"))


@pytest.mark.og_leaf
@pytest.mark.tensorflow
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


@pytest.mark.og_leaf
@pytest.mark.tensorflow
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


@pytest.mark.og_leaf
@pytest.mark.tensorflow
def test_what_is_not_finite_goes_where_it_goes_on_rung_0():
    for changes in ({}, NO_WARP):
        record = drawn(SHAPE, {**DEFAULTS, **changes}, 0)
        x, cotangent = features(SHAPE, "float32", 0)
        x[0, 20, 3], x[1, 5, 4], x[2, 0, 0] = np.nan, np.inf, -np.inf
        ours, theirs = (run(rung, x, cotangent, record)[0] for rung in ("og_leaf", "tf_leaf"))
        assert SAME(np.isnan(ours), np.isnan(theirs)).passes
        assert SAME(np.isinf(ours), np.isinf(theirs)).passes


@BOTH
def test_one_state_gives_one_result_and_the_next_another(rung):
    array = features(SHAPE, "float32", 0)[0]
    x = tensor(rung, array)
    first, second = layer(rung, seed=5), layer(rung, seed=generator(rung, 5))
    got = values(rung, first(x))
    assert SAME(values(rung, second(x)), got).passes
    assert SAME(run(rung, array, array, draw(rung, DEFAULTS, SHAPE, 5))[0], got).passes
    assert not np.array_equal(values(rung, first(x)), got)
    assert not np.array_equal(values(rung, layer(rung, seed=6)(x)), got)


@BOTH
def test_without_a_generator_the_global_seed_rules(rung):
    x = tensor(rung, features(SHAPE, "float32", 0)[0])
    results = []
    for _ in range(2):
        if rung == "og_leaf":
            torch.manual_seed(3)
        else:
            importlib.import_module("tensorflow").random.set_seed(3)
        made = layer(rung)
        results.append((made(x).numpy(), made(x).numpy()))
    assert SAME(results[0][0], results[1][0]).passes
    assert SAME(results[0][1], results[1][1]).passes
    assert not np.array_equal(results[0][0], results[0][1])


@pytest.mark.tf_leaf
@pytest.mark.tensorflow
def test_without_a_generator_numbers_are_drawn_in_the_originals_order():
    import tensorflow as tf

    from tf_leaf.spectrum_augmenter import SpectrumAugmenter

    tf.random.set_seed(3)
    got = SpectrumAugmenter(**DEFAULTS).draw(*SHAPE)
    tf.random.set_seed(3)
    shift = tf.random.uniform((3,), minval=-8, maxval=9, dtype=tf.int32).numpy()
    origin, *pairs = (tf.random.uniform(shape).numpy() for shape in ((3,), *4 * [(3, 2)]))
    assert SAME(got["warp_origin"], 1 + np.floor(origin * np.float32(38))).passes
    assert SAME(got["warp_destination"], np.clip(got["warp_origin"] + shift, 1, 39)).passes
    for name, size, (length, start) in (("time", 40, pairs[:2]), ("freq", 12, pairs[2:])):
        lengths = np.floor(length * np.float32(10))
        assert SAME(got[f"{name}_length"], lengths).passes
        assert SAME(got[f"{name}_start"], np.floor(start * np.float32(size + 1 - lengths))).passes


@pytest.mark.tf_leaf
@pytest.mark.tensorflow
def test_a_graph_draws_as_eager_execution_does():
    import tensorflow as tf

    import tf_leaf

    x = tf.constant(features(SHAPE, "float32", 0)[0])
    layer, eager = tf_leaf.SpecAugment(seed=5), tf_leaf.SpecAugment(seed=5)
    graph = tf.function(layer, input_signature=[tf.TensorSpec((None, None, None), tf.float32)])
    for _ in range(2):
        assert SAME(graph(x).numpy(), eager(x).numpy()).passes


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@BOTH
def test_leaf_augments_last_and_in_training_alone(rung, dtype):
    audio = np.random.default_rng(0).uniform(-1, 1, (2, 4000)).astype(dtype)
    arguments = {"n_filters": 4, "sample_rate": 4000, "mean_var_norm": True}
    arguments["dtype"] = getattr(torch, dtype) if rung == "og_leaf" else dtype
    frontend = importlib.import_module(rung).Leaf

    def heard(training, **more):
        made = frontend(**arguments, **more)
        if rung == "og_leaf":
            return values(rung, made.train(training)(torch.from_numpy(audio)))
        return made(audio, training=training).numpy()

    features = heard(False)
    assert SAME(heard(True), features).passes
    assert SAME(heard(False, spec_augment=True), features).passes
    assert not np.array_equal(heard(True, spec_augment=True), features)
    own = {"dtype": dtype} if rung == "tf_leaf" else {}
    augmented = heard(True, spec_augment=layer(rung, seed=5, **own))
    assert augmented.dtype == dtype
    assert SAME(augmented, run(rung, features, features, draw(rung, DEFAULTS, features.shape, 5))[0]).passes


@BOTH
def test_nothing_to_draw_leaves_features_as_they_are(rung):
    off, x = layer(rung, **OFF, seed=1), np.float32([[[np.nan, np.inf, -0.0]]])
    assert SAME(values(rung, off(tensor(rung, x))), x).passes
    assert off.augmenter.draw(2, 1, 3) == {}


@pytest.mark.og_leaf
def test_in_evaluation_features_come_back_as_they_are():
    x = torch.tensor([[[float("nan"), float("inf"), -0.0]]])
    assert og_leaf.SpecAugment().eval()(x) is x
    assert not og_leaf.SpecAugment().state_dict()


@pytest.mark.og_leaf
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
    ({"seed": 0.5}, TypeError, "Generator or None"),
])  # fmt: skip
@BOTH
def test_refused_arguments(rung, arguments, error, allowed):
    ((name, value),) = arguments.items()
    refused(lambda: layer(rung, **arguments), error, f"{name}={value!r}", allowed)


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
@BOTH
def test_refused_records(rung, changes, error, named):
    x = features(SHAPE, "float32", 0)[0]
    record = {name: v for name, v in {**drawn(SHAPE, DEFAULTS, 0), **changes}.items() if v is not None}
    refused(lambda: run(rung, x, x, record), error, *named)


@BOTH
def test_refused_features(rung):
    rows, made = ("[batch, channels, frames]" if rung == "og_leaf" else "[batch, frames, channels]"), layer(rung)
    zeros = torch.zeros if rung == "og_leaf" else importlib.import_module("tensorflow").zeros
    refused(lambda: made(zeros((2, 5))), ValueError, "inputs", "(2, 5)", rows)
    refused(lambda: made(tensor(rung, np.zeros((2, 1, 5), np.float32))), ValueError, "n_frames=1", "at least 2")
    frontend, small = importlib.import_module(rung).Leaf, {"n_filters": 2, "sample_rate": 2000}
    named = "spec_augment='yes'", f"{rung}.SpecAug"
    refused(lambda: frontend(**small, spec_augment="yes"), TypeError, *named)
    if rung == "tf_leaf":
        refused(lambda: frontend(**small, spec_augment=made, dtype="float64"), ValueError, "float32", "'float64'")


def test_the_tail_of_chi_squared():
    import mpmath

    near = AtMost(1e-13, "up to 200 terms, each with a few roundings of its logarithm, which is below 1000")
    for degrees in (1, 2, 3, 50, 51, 400):
        for statistic in (0.1, float(degrees), 2.0 * degrees, 900.0):
            exact = mpmath.gammainc(mpmath.mpf(degrees) / 2, mpmath.mpf(statistic) / 2, regularized=True)
            assert near(abs(float(chi_squared_tail(statistic, degrees) / exact - 1))).passes
