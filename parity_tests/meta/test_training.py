"""The rules of optimisers are the frameworks' own, the envelopes hold what they say, and training's claims can fail."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import leaf
import og_leaf
from parity.adapters.optimizers import State, TorchTrainer
from parity.adapters.rungs import RUNGS, Entry, TorchAdapter
from parity.checks import training
from parity.checks.training_steps import CASES, interior, out_and_back, require_interior
from parity.criteria import FALSE_ALARM, Envelope, OfMax, PropagatedBound
from parity.oracle.optimizers import Adam, Momentum, Sgd
from parity_tests.helpers.refusals import refused

SAME = OfMax(1e-14, "the same rule in float64: a few dozen roundings of 1.1e-16")
SECOND_ORDER = OfMax(2.0**-13, "a width of 2^-22 times a curvature of a few hundred, where Adam divides by little")
HELD = (Sgd(0.25), Momentum(0.25, 0.875), Adam(0.25, 0.875, 1 - 2.0**-10, 0.125))  # by float32, as Keras takes them
RULES = (Sgd(0.25), Momentum(0.25, 0.9), Adam(0.25), Adam(0.25, 0.8, 0.99, 0.125))
RNG = np.random.default_rng(0)
P, G = RNG.standard_normal(20), RNG.standard_normal((6, 20))
ZERO = {"momentum": np.zeros(20), "velocity": np.zeros(20)}


def walked(rule):
    """Parameters and slots after each step of the oracle."""
    state = {"parameter": P, **ZERO}
    out = []
    for n, g in enumerate(G, start=1):
        state = rule.step(n, state.pop("parameter"), g, state)
        out.append(dict(state))
    return out


@pytest.mark.parametrize("rule", HELD, ids=repr)
def test_rules_are_kerass(rule, tensorflow):
    import keras
    import tensorflow as tf

    if rule.name == "adam":
        made = keras.optimizers.Adam(0.25, rule.beta_1, rule.beta_2, rule.epsilon)
    else:
        made = keras.optimizers.SGD(0.25, momentum=getattr(rule, "momentum", 0.0))
    variable = keras.Variable(P, dtype="float64")
    names = {"momentum": ("_momentums", "momentums"), "velocity": ("_velocities",)}
    for g, expected in zip(G, walked(rule), strict=True):
        made.apply([tf.constant(g)], [variable])
        assert SAME(variable.numpy(), expected["parameter"]).passes
        for slot in rule.slots:
            held = next(getattr(made, name) for name in names[slot] if hasattr(made, name))
            assert SAME(held[0].numpy(), expected[slot]).passes


class One(torch.nn.Module):
    """A parameter whose gradient is its cotangent."""

    def __init__(self):
        super().__init__()
        self.p = torch.nn.Parameter(torch.zeros(20, dtype=torch.float64))

    def forward(self, x):
        return x * self.p


@pytest.mark.parametrize("rule", RULES, ids=repr)
def test_rules_are_torchs(rule):
    class Adapter(TorchAdapter):
        rung = "one"
        owns = build = config = forward_stages = None

        def entries(self, module):
            return {"p": Entry((module.p,), (20,))}

    trained = TorchTrainer(Adapter(), One(), rule)
    trained.module.p.data.copy_(torch.from_numpy(P))
    for g, expected in zip(G, walked(rule), strict=True):
        trained.step(np.ones(20), g)
        state = trained.state()
        assert SAME(state.variables["p"], expected["parameter"]).passes
        for slot in rule.slots:
            assert SAME(state.slots[slot]["p"], expected[slot]).passes
        trained.load(state)  # carried out and in, it goes on as before


def test_torchs_state_survives_loading():
    # as above, but through the rungs' own modules, whose kernel is two tensors in leaf
    variables = interior(CASES[0])
    slots = {slot: {k: RNG.uniform(size=v.shape).astype(np.float32) for k, v in variables.items()}
             for slot in Adam.slots}  # fmt: skip
    for rung in ("og_leaf", "leaf"):
        adapter = RUNGS[rung].load_adapter()
        trained = TorchTrainer(adapter, adapter.build(CASES[0].config), Adam(0.25))
        trained.load(State(variables, slots, 3))
        state = trained.state()
        assert state.n_steps == 3
        for slot, held in slots.items():
            assert all(np.array_equal(state.slots[slot][name], values) for name, values in held.items())


def test_a_learned_logarithm_is_refused():
    module = leaf.Leaf(n_filters=2, compression=leaf.PCEN(2, learn_logs=True))
    adapter = RUNGS["leaf"].load_adapter()
    refused(lambda: TorchTrainer(adapter, module, Sgd(1.0)), ValueError, "the module learns their logarithms")


@pytest.mark.parametrize("rule", RULES, ids=repr)
def test_carried_is_the_change_to_first_order(rule):
    slots = {"momentum": G[1], "velocity": G[2] ** 2}
    width = np.full(20, 2.0**-22)
    carried = rule.propagated(3, P, G[0], slots, width)
    ends = [rule.step(3, P, G[0] + side * width, slots) for side in (-1, 1)]
    for key, bound in carried.items():
        assert SECOND_ORDER(np.abs(ends[1][key] - ends[0][key]) / 2, bound).passes


def test_roundings_hold_single_precision():
    # the oracle's formula in float32, operation by operation, is a third implementation
    for rule in RULES:
        slots = {"momentum": np.float32(G[1]), "velocity": np.float32(G[2] ** 2)}
        p, g = np.float32(P), np.float32(G[0])
        exact, roundings = rule.step(3, p, g, slots), rule.roundings(3, p, g, slots, "float32")
        for key, values in in_float32(rule, p, g, slots).items():
            assert values.dtype == np.float32
            assert PropagatedBound("one rounding an operation")(values, exact[key], roundings[key]).passes


def in_float32(rule, p, g, slots):
    f = np.float32
    if rule.name == "sgd":
        return {"parameter": p - f(rule.learning_rate) * g}
    if rule.name == "momentum":
        m = f(rule.momentum) * slots["momentum"] - f(rule.learning_rate) * g
        return {"parameter": p + m, "momentum": m}
    m = f(rule.beta_1) * slots["momentum"] + f(1 - rule.beta_1) * g
    v = f(rule.beta_2) * slots["velocity"] + f(1 - rule.beta_2) * g * g
    moved = p - f(rule.coefficient(3)) * m / (np.sqrt(v) + f(rule.epsilon))
    return {"parameter": moved, "momentum": m, "velocity": v}


@pytest.mark.parametrize("rule", RULES[2:], ids=repr)
def test_keras_coefficient_is_within_its_rounding(rule):
    for n in (1, 2, 3, 10, 100, 1000):
        f = np.float32
        powers = [f(1) - np.power(f(beta), f(n)) for beta in (rule.beta_1, rule.beta_2)]
        single = f(0.25) * np.sqrt(powers[1]) / powers[0]
        bound = np.array(rule.coefficient_rounding(n, "float32") * rule.coefficient(n))
        assert PropagatedBound("")(single, np.array(rule.coefficient(n)), bound).passes


@pytest.mark.parametrize("n_quantities", [1, 100])
def test_one_draw_in_an_envelope_of_one_is_a_ratio_of_gaussians(n_quantities):
    # P(|Z0| > f |Z1|) = (2 / pi) arctan(1 / f)
    alarm = n_quantities * 2 / math.pi * math.atan(1 / Envelope(1, n_quantities).factor)
    near = OfMax(FALSE_ALARM**2, "arctan x is x (1 - x^2 / 3 ...)")
    assert near(np.array([alarm]), np.array([FALSE_ALARM])).passes


def test_envelope_of_several_holds_what_it_says():
    n, envelope = 10**6, Envelope(4, 1)
    z = np.abs(np.random.default_rng(0).standard_normal((n, 5)))
    outside = z[:, 0] > envelope.factor * z[:, 1:].max(axis=1)
    assert np.mean(outside) <= FALSE_ALARM
    assert np.any(outside)


def test_envelope_sees_what_the_reference_cannot_show_of_itself():
    envelope = Envelope(8, 100)
    distance, largest = np.array([envelope.factor + 1]), np.array([1.0])
    assert not envelope(distance, largest).passes
    assert envelope(distance, largest, np.array([1.0])).passes
    assert not envelope(np.array([np.nan]), largest).passes


def test_carried_accepts_nothing_where_nothing_may_differ():
    one, none = np.ones(2), np.array([1.0, 0.0])
    assert PropagatedBound("")(one, one, np.zeros(2)).passes
    assert not PropagatedBound("")(one + np.array([0.0, 1e-12]), one, none).passes
    assert not PropagatedBound("")(np.array([1.0, np.nan]), one, one).passes


@pytest.fixture
def lessons():
    """The reference's part, computed before anything is broken."""
    training.prepare(["leaf"])


def failed(measurements):
    """Stages at which a claim does not hold."""
    return {m.stage for m in measurements if not m.holds}


def test_torchs_own_epsilon_is_seen(lessons, monkeypatch):
    monkeypatch.setattr(Adam, "torch_epsilon", lambda rule, n: rule.epsilon)
    stages = failed(training.teacher_forced("leaf", ["adam"]))
    assert stages == set(interior(CASES[0]))  # every parameter, and no slot


def test_dampened_momentum_is_seen(lessons, monkeypatch):
    sgd = torch.optim.SGD
    monkeypatch.setattr(torch.optim, "SGD", lambda p, lr, momentum=0.0: sgd(p, lr, momentum, dampening=momentum / 1e3))
    assert not failed(training.teacher_forced("leaf", ["sgd"]))
    assert failed(training.teacher_forced("leaf", ["momentum"])) >= {f"{name}/momentum" for name in interior(CASES[0])}


def slanted(slope):
    """leaf.PCEN whose alpha has its value, and a gradient that is relatively off by this much."""
    original = leaf.PCEN.parameters_linear

    def parameters(pcen):
        s, alpha, delta, r = original(pcen)
        return s, alpha + slope * (alpha - alpha.detach()), delta, r

    return parameters


def test_a_gradient_that_is_slightly_off_is_seen_in_a_step_and_in_a_run(lessons, monkeypatch):
    monkeypatch.setattr(leaf.PCEN, "parameters_linear", slanted(1e-5))
    assert "PCEN/alpha/momentum" in failed(training.teacher_forced("leaf", ["momentum"]))
    monkeypatch.setattr(leaf.PCEN, "parameters_linear", slanted(1e-3))
    assert "PCEN/alpha" in failed(training.free_run("leaf", ["sgd"]))


def test_a_widened_limit_is_seen(tensorflow, monkeypatch):
    out_and_back()  # the reference's part, before the limit is widened
    clip = og_leaf.impulse_responses.clip
    monkeypatch.setattr(og_leaf.impulse_responses, "clip", lambda v, low, high: clip(v, low, high * (1 + 2.0**-20)))
    assert "kernel" in failed(m for m in training.through_the_clamp() if "; out;" in m.case)


def test_training_leaves_the_interior_only_with_an_error():
    variables = interior(CASES[0])
    require_interior(variables, CASES[0].config)
    for name, value in (("kernel", 0.0), ("PCEN/alpha", 1.0), ("PCEN/EMA/smooth", 0.0), ("PCEN/delta", -1.0)):
        moved = {**variables, name: np.full_like(variables[name], value)}
        refused(lambda moved=moved: require_interior(moved, CASES[0].config), ValueError, "must lie inside")
