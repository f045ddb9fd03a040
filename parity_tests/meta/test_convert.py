"""``convert``: the same function on another rung, held to the float64 oracle of the configuration it came from.

Then what it refuses, by name and with what it would accept; last, PCEN's parameters as logarithms and as values.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import efficientleaf
import leaf
from parity import convert
from parity.adapters.canonical import SIMPLIFIED, checked
from parity.adapters.rungs import RUNGS
from parity.cases.case import Case
from parity.criteria import Exactly, OfMax
from parity.oracle import Box, LeafOracle
from parity.oracle.config import FLOOR, LeafConfig
from parity.weights.convert_module import PARAMETERS, Wrapped, relearned, to_logarithms, to_values
from parity_tests.helpers.refusals import refused
from parity_tests.meta.weights import SMALL, fresh, held, loaded, same_bits

EXACT = OfMax(1e-11, "the same function in float64; instance norm and logarithm enlarge 1e-13 by up to a hundred")
CASE = Case(config=SMALL, weights="trained", n_samples=333, batch=2, seed=4)
CENTERED = {"padding": "centered"}


def run(module, case=CASE) -> np.ndarray:
    with torch.no_grad():
        return module(torch.from_numpy(case.input()).to(next(module.parameters()).dtype)).numpy()


def oracle_of(config: LeafConfig, case=CASE) -> np.ndarray:
    return LeafOracle(config).stages(case.variables(), case.input())["output"]


def expect(got: np.ndarray, wanted: np.ndarray) -> None:
    verdict = EXACT(got, wanted)
    assert got.shape == wanted.shape
    assert verdict.passes, verdict


@pytest.mark.parametrize(("path", "padding"), [
    (("og_leaf", "leaf"), "same"),
    (("og_leaf", "leaf", "og_leaf"), "same"),
    (("leaf", "leaf"), "centered"),
    (("leaf", "efficientleaf"), "centered"),
    (("leaf", "efficientleaf", "leaf"), "centered"),
    (("efficientleaf", "leaf", "efficientleaf"), "centered"),
], ids=lambda value: value if isinstance(value, str) else "-".join(value))  # fmt: skip
def test_function_is_kept(path, padding):
    module = loaded(path[0], CASE, "float64", padding)
    if path[0] == "efficientleaf":
        module = convert(convert(module, "leaf"), "efficientleaf")
    for rung in path[1:]:
        module = convert(module, rung)
        assert RUNGS[rung].load_adapter().owns(module)
    expect(run(module), oracle_of(SMALL.with_(padding=padding)))


@pytest.mark.usefixtures("tensorflow")
@pytest.mark.parametrize("path", [("og_leaf", "tf_leaf", "og_leaf"), ("leaf", "tf_leaf", "leaf")], ids="-".join)
def test_function_is_kept_through_tensorflow(path):
    module = loaded(path[0], CASE, "float64", "same")
    for rung in path[1:]:
        module = convert(module, rung)
    expect(run(module), oracle_of(SMALL))


@pytest.mark.usefixtures("tensorflow")
def test_tensorflow_becomes_efficientleaf_only_when_told_that_frames_move():
    below = loaded("tf_leaf", CASE, "float64")
    with pytest.raises(ValueError, match=r"padding='same'.*padding='centered'"):
        convert(below, "efficientleaf")
    expect(run(convert(below, "efficientleaf", padding="centered")), oracle_of(SMALL.with_(**CENTERED)))


@pytest.mark.parametrize(("to", "weights"), [
    ("leaf", "trained"), ("leaf", "outside_shared"), ("efficientleaf", "trained"),
])  # fmt: skip
def test_parameters_come_back_to_the_bit(to, weights):
    case = Case(config=SMALL, weights=weights, seed=5)
    sent = checked(case.variables(), SMALL)
    above = convert(loaded("og_leaf", case), to, **(CENTERED if to == "efficientleaf" else {}))
    returned = convert(above, "og_leaf", padding="same")
    assert same_bits(RUNGS["og_leaf"].load_adapter().read(returned), sent)


@pytest.mark.parametrize("source", ["og_leaf", "leaf", "efficientleaf"])
def test_given_module_is_left_as_it_is(source):
    module = loaded(source, CASE)
    module.train()
    before = held(module)
    converted = convert(module, "leaf")
    with torch.no_grad():
        for parameter in converted.parameters():
            parameter.add_(1.0)
    assert same_bits(held(module), before)
    assert module.training


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("given", ["float32", "float64"])
@pytest.mark.parametrize("to", ["og_leaf", "leaf", "efficientleaf"])
def test_dtype(given, dtype, to):
    module = loaded("leaf", CASE, given, "centered")
    options = {"padding": "same"} if to == "og_leaf" else {}
    assert {str(p.dtype) for p in convert(module, to, **options).parameters()} == {f"torch.{given}"}
    asked = convert(module, to, dtype=dtype, **options)
    assert {str(p.dtype) for p in asked.parameters()} == {f"torch.{dtype}"}


def test_efficientleaf_is_exact_by_default():
    above = convert(loaded("leaf", CASE, padding="centered"), "efficientleaf")
    (group,) = above.filterbank.groups()
    assert (group.kernel_size, group.conv_stride) == (SMALL.with_(**CENTERED).window, 1)


def test_approximation_is_chosen_by_its_options():
    source = loaded("leaf", CASE, padding="centered")
    above = convert(source, "efficientleaf", num_groups=2, conv_win_factor=5.0, stride_factor=2.0)
    assert above.filterbank.num_groups == 2
    assert above.filterbank.conv_win_factor == 5
    assert above.filterbank.stride_factor == 2


@pytest.mark.parametrize("sigma", ["sigma_low", "sigma_high"])
def test_sigma_at_the_limit_is_exact(sigma):
    # Keras projects sigma onto exactly these values, rounded to float32
    source = loaded("leaf", CASE, padding="centered")
    with torch.no_grad():
        source.filterbank.bandwidths.fill_(getattr(Box.of_leaf(51), sigma))
    (group,) = convert(source, "efficientleaf").filterbank.groups()
    assert group.kernel_size == 51


OUTSIDE = {
    "pre-emphasis": {"preemp": True},
    "instance norm": {"mean_var_norm": True},
    "log": {"compression": "log"},
    "none": {"compression": "none"},
    "pre-emphasis, log": {"preemp": True, "compression": "log"},
    "norm of log": {"mean_var_norm": True, "compression": "log"},
    "norm of none": {"mean_var_norm": True, "compression": "none"},
    "all": {"preemp": True, "mean_var_norm": True, "per_channel_smooth": False},
    "plain": {},
}


@pytest.mark.parametrize("to", ["leaf", "efficientleaf"])
@pytest.mark.parametrize("what", OUTSIDE.values(), ids=OUTSIDE)
def test_wrapped_function_is_kept(what, to):
    case = Case(config=SMALL.with_(**what), weights="trained", n_samples=333, batch=2, seed=6)
    options = CENTERED if to == "efficientleaf" else {}
    module = convert(loaded("og_leaf", case, "float64"), to, wrap=True, **options)
    assert isinstance(module, Wrapped)
    assert isinstance(module.frontend, leaf.Leaf if to == "leaf" else efficientleaf.EfficientLeaf)
    expect(run(module, case), oracle_of(case.config.with_(**options), case))


@pytest.mark.parametrize("compression", ["log", "none", "pcen"])
def test_wrapped_floor_is_kept(compression):
    case = Case(SMALL.with_(preemp=True, compression=compression), "trained", "noise", 333, 2, amplitude=0.01, seed=6)
    floored = LeafOracle(case.config).stages(case.variables(), case.input())["pool"] < FLOOR
    assert floored.any()
    assert not floored.all()
    expect(run(convert(loaded("og_leaf", case, "float64"), "leaf", wrap=True), case), oracle_of(case.config, case))


def test_wrapped_parameters_learn():
    case = Case(config=SMALL.with_(preemp=True, mean_var_norm=True), weights="trained", n_samples=333)
    module = convert(loaded("og_leaf", case), "leaf", wrap=True)
    (module(torch.from_numpy(case.input())) ** 3).sum().backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in module.parameters())


@pytest.mark.parametrize("smooth", [[-0.5, 0.3, 1.5], [1.5, 1.5, 1.5], [-2.0, -1.0, 0.0]])
def test_smoothing_is_clipped_and_the_output_kept(smooth):
    below = loaded("og_leaf", CASE, "float64")
    with torch.no_grad():
        below._compress_fn.ema._weights.copy_(torch.tensor(smooth))
    above = convert(below, "leaf")
    np.testing.assert_array_equal(above.compression.s.detach().numpy(), np.clip(np.float32(smooth), 0, 1))
    variables = {**CASE.variables(), "PCEN/EMA/smooth": np.float32(smooth)}
    expect(run(above), LeafOracle(SMALL).stages(variables, CASE.input())["output"])


def test_shared_smoothing_is_repeated():
    case = Case(config=SMALL.with_(per_channel_smooth=False), weights="trained", n_samples=333, seed=8)
    above = convert(loaded("og_leaf", case, "float64"), "leaf")
    assert above.compression.s.tolist() == case.variables()["PCEN/EMA/smooth"].tolist() * 3
    expect(run(above, case), oracle_of(case.config, case))
    back = convert(above, "og_leaf")
    expect(run(back, case), oracle_of(case.config, case))


def test_learned_logarithms_become_their_values():
    torch.manual_seed(0)
    pcen = leaf.PCEN(3, s=0.1, alpha=0.9, delta=1.5, r=0.4, eps=1e-6, learn_logs=True, clamp=1e-5)
    source = leaf.Leaf(3, 60, 900, 2000, compression=pcen, padding="same").double()
    for to in ("leaf", "og_leaf"):
        expect(run(convert(source, to)), run(source))


def test_negative_delta_of_simplified_leaf_acts_as_zero_below():
    source = loaded("leaf", CASE, "float64", "same")
    with torch.no_grad():
        source.compression.delta[0] = -0.5
    below = convert(source, "og_leaf")
    assert below._compress_fn.delta[0] == 0
    expect(run(below), run(source))


def test_free_smoothing_stays_free_between_rungs_2_and_3():
    source = loaded("leaf", CASE, "float64", "centered")
    with torch.no_grad():
        source.compression.s[0] = 1.2
    expect(run(convert(source, "efficientleaf")), run(source))


def centred(rung="leaf"):
    return loaded(rung, CASE, padding="centered")


def changed(rung, padding=None, dtype="float32", **values):
    module = loaded(rung, CASE, dtype, padding or ("same" if rung == "og_leaf" else "centered"))
    for name, value in values.items():
        module.get_parameter(name.replace("__", ".")).data.copy_(torch.tensor(value, dtype=getattr(torch, dtype)))
    return module


def with_pcen(**options):
    return leaf.Leaf(3, 60, 900, 2000, compression=leaf.PCEN(3, **options))


# module, to, options, and what the message holds
CALLS = {
    "module of no rung": (lambda: nn.Linear(2, 2), "leaf", {}, ("Linear", "og_leaf.Leaf")),
    **{f"to={to!r}": (lambda: fresh("leaf"), to, {}, (f"to={to!r}", "og_leaf", "efficientleaf"))
       for to in ("Leaf", "original", "oracle", "", None)},
    **{f"dtype={dtype!r}": (lambda: fresh("leaf"), "leaf", {"dtype": dtype}, (f"dtype={dtype!r}", "float64"))
       for dtype in ("float16", "int8", "double", torch.float32)},
    **{f"unknown option of {to}": (centred, to, {"padding": "centered", "n_groups": 3}, ("n_groups", f"{to} allows"))
       for to in ("og_leaf", *SIMPLIFIED)},
    **{f"another rung's option of {to}": (lambda: loaded("og_leaf", CASE), to, {"num_groups": 3},
                                          ("num_groups", f"{to} allows none")) for to in ("og_leaf", "leaf")},
    "padding": (lambda: fresh("leaf"), "leaf", {"padding": "valid"}, ("'valid'", "centered")),
    "internal option": (lambda: fresh("efficientleaf"), "efficientleaf", {"exact_for": {}},
                        ("exact_for", "num_groups")),
    **{f"frames of {rung} below": (lambda rung=rung: centred(rung), "og_leaf", {},
                                   ("padding='centered'", "og_leaf", "padding='same'")) for rung in SIMPLIFIED},
    "frames of og_leaf above": (lambda: loaded("og_leaf", CASE), "efficientleaf", {},
                                ("padding='same'", "efficientleaf", "padding='centered'")),
    "too many groups": (centred, "efficientleaf", {"num_groups": 4}, ("num_groups=4", "1 to 3")),
    **{f"negative delta into {to}, wrap={wrap}": (lambda: changed("og_leaf", _compress_fn__delta=[0, -0.25, 1]), to,
                                                  {"padding": "centered", "wrap": wrap},
                                                  ("'PCEN/delta'", "-0.25", "at least 0", to))
       for to in SIMPLIFIED for wrap in (False, True)},
    "free smoothing below": (lambda: changed("leaf", "same", compression__s=[0, 1.25, 1]), "og_leaf", {},
                             ("'PCEN/EMA/smooth'", "1.25", "[0, 1]", "og_leaf")),
    "sigma below LEAF's box": (lambda: changed("leaf", filterbank__bandwidths=[2, 2, 1]), "efficientleaf", {},
                               ("'kernel'", "sigma 1.0", "at least 1.49913")),
    "filters at zero hertz alone": (lambda: changed("leaf", filterbank__center_freqs=[-0.5] * 3), "efficientleaf", {},
                                    ("'kernel'", "mu -0.5", "above")),
    **{f"clamp={clamp}": (lambda clamp=clamp: with_pcen(learn_logs=False, clamp=clamp), "efficientleaf", {},
                          (f"compression.clamp={clamp!r}", "1e-05")) for clamp in (None, 1e-6, 0.0)},
    **{f"logarithm of {name} beyond the linear limit": (lambda name=name: with_pcen(**{name: 1.5}, clamp=1e-5), "leaf",
                                                        {}, (f"compression.{name}", "1.5", "at most 1"))
       for name in ("alpha", "r")},
    "value too large for the dtype": (lambda: changed("leaf", "centered", "float64", compression__delta=[1, 1e39, 1]),
                                      "leaf", {"dtype": "float32"}, ("'PCEN/delta'", "1e+39", "float32")),
    **{f"{named} into {to}": (lambda what=what: fresh("og_leaf", SMALL.with_(**what)), to, {"padding": "centered"},
                              (named, to, "wrap=True"))
       for to in SIMPLIFIED for what, named in (
           ({"preemp": True}, "preemp=True"), ({"mean_var_norm": True}, "mean_var_norm=True"),
           *(({"compression": name}, f"compression={name!r}") for name in ("log", "none", "fixed_pcen")))},
    **{f"fixed smoother wrapped in {to}": (lambda: fresh("og_leaf", SMALL.with_(compression="fixed_pcen")), to,
                                           {"padding": "centered", "wrap": True}, ("'fixed_pcen'", "'pcen'"))
       for to in SIMPLIFIED},
}  # fmt: skip


@pytest.mark.parametrize("name", CALLS)
def test_refused(name):
    make, to, options, named = CALLS[name]
    error = TypeError if name == "module of no rung" else ValueError
    refused(lambda: convert(make(), to, **options), error, *named)


def test_sigma_below_leafs_box_is_approximated():
    module = changed("leaf", filterbank__bandwidths=[2, 2, 1])
    assert convert(module, "efficientleaf", num_groups=1).filterbank.bandwidths[2] == 1


HELD = {"s": 0.04, "alpha": 0.96, "delta": 2.0, "r": 2.0}
LOGS = {"s": -3.0, "alpha": -0.1, "delta": 1.0, "r": -0.7}


@pytest.mark.parametrize(("into", "name", "value", "allowed"), [
    *((to_logarithms, *row) for row in (
        ("s", 0.0, "(0, 1]"), ("s", -0.1, "(0, 1]"), ("s", 1.2, "(0, 1]"), ("s", np.nan, "(0, 1]"),
        ("alpha", 0.0, "(0, 1]"), ("alpha", 1.01, "(0, 1]"), ("delta", 0.0, "above 0"), ("delta", -1.0, "above 0"),
        ("delta", np.inf, "finite"), ("r", 0.5, "at least 1"), ("r", np.inf, "finite"),
    )),
    *((to_values, *row) for row in (
        ("s", 0.1, "at most 0"), ("alpha", 0.1, "at most 0"), ("r", 0.1, "at most 0"), ("r", np.nan, "at most 0"),
        ("delta", -100.0, "normal number of float32"), ("delta", 100.0, "normal number"),
        ("r", -100.0, "normal number"), ("s", -200.0, "normal number"), ("delta", np.nan, "normal number"),
    )),
])  # fmt: skip
def test_outside_of_the_shared_domain(into, name, value, allowed):
    inside = HELD if into is to_logarithms else LOGS
    given = {key: np.float32([number, number]) for key, number in {**inside, name: value}.items()}
    refused(lambda: into(given), ValueError, f"compression.{name}", allowed)


def test_a_missing_parameter_is_named():
    refused(lambda: to_values({"s": np.zeros(1)}), ValueError, "alpha", "delta", "r")


@pytest.mark.parametrize("to", ["leaf", "efficientleaf"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_convert_takes_learn_logs(to, dtype):
    source = leaf.Leaf(4)
    bits = Exactly("a copy, or a logarithm in float64 that is rounded once")
    logs = convert(source, to, learn_logs=True, dtype=dtype)
    assert logs.compression.learn_logs
    for name in PARAMETERS:
        value = getattr(source.compression, name).detach().numpy().astype(np.float64)
        expected = (-np.log(value) if name == "r" else np.log(value)).astype(dtype)
        assert bits(getattr(logs.compression, name).detach().numpy(), expected).passes
    again = convert(logs, to, learn_logs=True)
    assert all(
        torch.equal(a, b) for a, b in zip(again.compression.parameters(), logs.compression.parameters(), strict=True)
    )
    assert not convert(logs, "leaf", learn_logs=False).compression.learn_logs


def test_convert_refuses_by_name():
    source = leaf.Leaf(2)
    refused(lambda: convert(source, "og_leaf", padding="same", learn_logs=True), ValueError, "learn_logs", "og_leaf")
    refused(lambda: convert(source, "leaf", learn_logs=1), ValueError, "learn_logs=1", "True or False")
    with torch.no_grad():
        source.compression.delta[1] = -0.5
    refused(lambda: convert(source, "leaf", learn_logs=True), ValueError, "compression.delta", "-0.5", "above 0")


@pytest.mark.parametrize("learn_logs", [True, False])
def test_everything_else_is_kept(learn_logs):
    pcen = leaf.PCEN(2, eps=1e-7, learn_logs=not learn_logs, clamp=1e-5, form="published").double().eval()
    got = relearned(pcen, learn_logs)
    for name in ("eps", "clamp", "form", "training"):
        assert getattr(got, name) == getattr(pcen, name)
    assert got.s.dtype == pcen.s.dtype
    assert (got.learn_logs, pcen.learn_logs) == (learn_logs, not learn_logs)
