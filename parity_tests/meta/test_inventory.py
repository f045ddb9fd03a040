"""The inventory of the original's public names, the subjects drawn from it, and the comparison of their bits."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings

from parity.cases.fixed import FIXED
from parity.cases.public_names import KINDS, NAME_PROPERTIES, PUBLIC, SIGNATURES, PublicName, public
from parity.cases.strategies import subjects
from parity.cases.subjects import ARGUMENTS, SETTINGS, Subject, draw_variable
from parity.checks import original
from parity.criteria.outcome import Compared, Outcome, differing, real_parts, table
from parity_tests.helpers.refusals import refused

COMPUTING = [entry.name for entry in PUBLIC if entry.properties]


def test_every_name_has_properties_or_reasons():
    assert len({entry.name for entry in PUBLIC}) == len(PUBLIC) == len(SIGNATURES)
    for entry in PUBLIC:
        assert entry.kind in KINDS
        assert sorted([*entry.properties, *entry.reasons]) == sorted(NAME_PROPERTIES)
        assert public(entry.name) is entry
    assert set(SIGNATURES) == {entry.name for entry in PUBLIC}
    assert set(SETTINGS) == set(FIXED) == set(COMPUTING)


@pytest.mark.parametrize("name", COMPUTING)
def test_drawn_subjects_are_texts_and_arrays(name):
    @settings(max_examples=15)
    @given(subject=subjects(name))
    def check(subject):
        assert Subject.parse(str(subject)) == subject
        if subject.takes_input:
            assert subject.input().shape == subject.shape
            assert np.array_equal(subject.input(), subject.input())
        drawn = subject.values(subject.tensors)
        assert {k: v.shape for k, v in drawn.items()} == subject.tensors
        assert all(np.isfinite(v).all() for v in drawn.values())

    check()
    assert all(subject.name == name and Subject.parse(str(subject)) == subject for subject in FIXED[name])
    assert len(set(FIXED[name])) == len(FIXED[name])


def test_draws_reach_the_edges():
    seen = []

    @settings(max_examples=150)
    @given(subject=subjects("Leaf", mean_var_norm=False))
    def collect(subject):
        seen.append(subject)

    collect()
    lengths = [(s.shape[1], s.window, s.stride) for s in seen]
    edges = ((n == 1, n <= stride, n < window, stride > window, window % 2 == 0) for n, window, stride in lengths)
    assert [any(reached) for reached in zip(*edges, strict=True)] == [True] * 5
    assert any(s.arguments["n_filters"] == 1 for s in seen)
    assert not any(s.arguments["mean_var_norm"] for s in seen)
    for setting in ("conv1d_cls", "pooling_cls", "compression", "activation", "regularizer"):
        assert len({s.arguments[setting] for s in seen}) >= 4


@pytest.mark.parametrize(("make", "named"), [
    (lambda: Subject.of("Leaves"), "name='Leaves'"),
    (lambda: Subject.of("Leaf", n_filter=3), "setting 'n_filter' of Leaf"),
    (lambda: Subject.of("Leaf", weights="heavy"), "weights='heavy'"),
    (lambda: Subject.parse("Leaf"), "subject 'Leaf'"),
    (lambda: Subject.parse("Leaf(1)"), "subject 'Leaf(1)'"),
    (lambda: Subject.parse("Leaf(shape=open('x'))"), "malformed"),
    (lambda: Subject.of("window").input(), "window takes no input"),
    (lambda: drawn("gain", "trained"), "variable 'gain'"),
    (lambda: PublicName("x", "utils", "thing", ("forward",)), "kind='thing'"),
    (lambda: PublicName("x", "utils", "class", ("forward",)), "x: each of"),
], ids=range(10))  # fmt: skip
def test_wrong_subjects_and_names_are_refused(make, named):
    refused(make, ValueError, named)


def test_settings_that_are_the_default_leave_no_trace():
    assert Subject.of("Leaf", (1, 9), n_filters=4, signal="noise") == Subject.of("Leaf", (1, 9))
    assert Subject.of("Leaf", (1, 9), n_filters=5).arguments["n_filters"] == 5


def test_values_depend_on_their_own_name_alone():
    subject = Subject.of("Leaf", (1, 9), seed=3)
    both = subject.values({"kernel": (4, 2), "PCEN/alpha": (4,)})
    assert np.array_equal(both["PCEN/alpha"], subject.values({"PCEN/alpha": (4,)})["PCEN/alpha"])
    other = dataclasses.replace(subject, seed=4).values({"PCEN/alpha": (4,)})
    assert not np.array_equal(both["PCEN/alpha"], other["PCEN/alpha"])


def test_default_weights_keep_what_initialisers_give():
    subject = Subject.of("SincConv1D", (1, 9, 1), weights="default")
    assert set(subject.values({"kernel": (4, 2), "bias": (4,)})) == {"bias"}  # whose initialiser is random
    smoother = Subject.of("ExponentialMovingAverage", (1, 9, 2), weights="default")
    assert set(smoother.values({"smooth": (2,), **smoother.tensors})) == set(ARGUMENTS["ExponentialMovingAverage"](
        smoother.arguments, smoother.shape))  # fmt: skip


def drawn(variable, weights, *shape):
    return draw_variable(variable, (400, *shape), weights, "GaborConv1D", 101, np.random.default_rng(0))


def test_outside_weights_lie_beyond_limits():
    mu, smooth = drawn("kernel", "outside", 2)[:, 0], drawn("PCEN/EMA/smooth", "outside")
    assert mu.min() < 0 < np.pi < mu.max()
    assert smooth.min() < 0 < 1 < smooth.max()


SUBJECT = Subject.of("SquaredModulus", (1, 2, 2))
PENALISED = Outcome(
    output=np.float32([1.0, np.nan, 0.0]),
    gradients={"input": np.float32([2.0])},
    losses=np.float32(3.0),
    loss_gradients={"input": np.float32([4.0])},
    variables={"kernel": np.float32([5.0])},
)


def compared(ours, original, subject=SUBJECT):
    result = Compared("SquaredModulus")
    result.add(subject, ours, original)
    return result


def nudged(array):
    return np.nextafter(array, np.float32(np.inf), dtype=np.float32)


def test_equal_outcomes_are_equal():
    result = compared(PENALISED, PENALISED)
    assert (result.equal, result.arrays, result.values, result.where) == (True, 5, 7, [])
    assert compared(Outcome(refused="TypeError"), Outcome(refused="ValueError")).equal
    half = Outcome(output=PENALISED.output, gradient_refused="OpError")
    assert compared(half, half).half == 1


@pytest.mark.parametrize("changes", [
    {"output": nudged(PENALISED.output)},
    {"output": np.float32([1.0, np.nan, -0.0])},
    {"output": np.float32([1.0, 0.0, 0.0])},
    {"output": np.float64(PENALISED.output)},
    {"output": PENALISED.output[:2]},
    {"gradients": {"input": nudged(np.float32([2.0]))}},
    {"gradients": {}},
    {"losses": nudged(np.float32(3.0))},
    {"losses": None},
    {"loss_gradients": {"input": nudged(np.float32([4.0]))}},
    {"variables": {"kernel": nudged(np.float32([5.0]))}},
    {"gradient_refused": "OpError"},
    {"refused": "OpError"},
], ids=str)  # fmt: skip
def test_one_bit_is_seen(changes):
    other = dataclasses.replace(PENALISED, **changes)
    for pair in ((other, PENALISED), (PENALISED, other)):
        result = compared(*pair)
        assert not result.equal
        assert str(SUBJECT) in result.where[0]
        assert result.where[0] in table([result])
        assert table([result]).endswith("1 configurations, 0 of 1 names to the bit")


def test_penalties_are_left_out_where_nothing_is_trained_and_only_there():
    other = dataclasses.replace(PENALISED, losses=None, loss_gradients={})
    frozen = Subject.of("GaborConv1D", (1, 2, 1), trainable=False)
    assert compared(other, PENALISED, frozen).equal
    assert not compared(dataclasses.replace(other, output=nudged(other.output)), PENALISED, frozen).equal


@pytest.mark.parametrize(("ours", "original", "found"), [
    ([1, 2], [1, 4], (1, 2 / 4)), ([np.nan], [1], (1, np.inf)), ([], [], (0, 0)),
], ids=str)  # fmt: skip
def test_differing_counts_and_sizes(ours, original, found):
    assert differing(np.float32(ours), np.float32(original)) == found


def test_complex_values_come_in_two_parts():
    assert np.array_equal(real_parts(np.complex64([1 + 2j])), np.float32([[1, 2]]))


def test_where_the_original_is_missing_it_says_what_to_do(monkeypatch, capsys):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "leaf_audio" else object())
    assert "google-research/leaf-audio" in original.missing()
    assert original.main(["--examples", "1"]) == 2
    assert "PYTHONPATH" in capsys.readouterr().err
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "tf_keras" else object())
    assert "tf_keras" in original.missing()
