"""``convert`` refuses by name what a rung cannot hold, and says what it would accept."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import leaf
from parity import convert
from parity.cases.case import Case
from parity_tests.helpers.refusals import refused
from parity_tests.meta.weights import SMALL, fresh, loaded

CASE = Case(config=SMALL, weights="trained", seed=4)
SIMPLIFIED = ("leaf", "efficientleaf")


def centred(rung="leaf"):
    return loaded(rung, CASE, padding="centered")


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
}  # fmt: skip


@pytest.mark.parametrize("name", CALLS)
def test_arguments(name):
    make, to, options, named = CALLS[name]
    error = TypeError if name == "module of no rung" else ValueError
    refused(lambda: convert(make(), to, **options), error, *named)


@pytest.mark.parametrize("to", SIMPLIFIED)
@pytest.mark.parametrize(("what", "named"), [
    ({"preemp": True}, "preemp=True"), ({"mean_var_norm": True}, "mean_var_norm=True"),
    ({"compression": "log"}, "compression='log'"), ({"compression": "none"}, "compression='none'"),
    ({"compression": "fixed_pcen"}, "compression='fixed_pcen'"),
])  # fmt: skip
def test_what_simplified_leaf_cannot_hold(what, named, to):
    module = fresh("og_leaf", SMALL.with_(**what))
    refused(lambda: convert(module, to, padding="centered"), ValueError, named, to, "wrap=True")


@pytest.mark.parametrize("to", SIMPLIFIED)
def test_fixed_smoother_cannot_be_wrapped(to):
    module = fresh("og_leaf", SMALL.with_(compression="fixed_pcen"))
    refused(lambda: convert(module, to, padding="centered", wrap=True), ValueError, "'fixed_pcen'", "'pcen'")


@pytest.mark.parametrize("wrap", [False, True])
@pytest.mark.parametrize("to", SIMPLIFIED)
def test_negative_delta(to, wrap):
    module = loaded("og_leaf", CASE)
    module._compress_fn.delta.data[1] = -0.25
    call = lambda: convert(module, to, padding="centered", wrap=wrap)  # noqa: E731
    refused(call, ValueError, "'PCEN/delta'", "-0.25", "at least 0", to)


def test_free_smoothing_does_not_go_down():
    module = loaded("leaf", CASE, padding="same")
    module.compression.s.data[1] = 1.25
    refused(lambda: convert(module, "og_leaf"), ValueError, "'PCEN/EMA/smooth'", "1.25", "[0, 1]", "og_leaf")


def test_sigma_below_leafs_box_is_not_exact():
    module = centred()
    module.filterbank.bandwidths.data[2] = 1.0
    refused(lambda: convert(module, "efficientleaf"), ValueError, "'kernel'", "sigma 1.0", "at least 1.49913")
    assert convert(module, "efficientleaf", num_groups=1).filterbank.bandwidths[2] == 1


def test_filters_at_zero_hertz_alone_are_not_exact():
    module = centred()
    module.filterbank.center_freqs.data.fill_(-0.5)
    refused(lambda: convert(module, "efficientleaf"), ValueError, "'kernel'", "mu -0.5", "above")


@pytest.mark.parametrize("clamp", [None, 1e-6, 0.0])
def test_another_floor(clamp):
    pcen = leaf.PCEN(3, learn_logs=False, clamp=clamp)
    module = leaf.Leaf(3, 60, 900, 2000, compression=pcen)
    refused(lambda: convert(module, "efficientleaf"), ValueError, f"compression.clamp={clamp!r}", "1e-05")


@pytest.mark.parametrize("name", ["alpha", "r"])
def test_learned_logarithms_beyond_the_linear_limits(name):
    module = leaf.Leaf(3, 60, 900, 2000, compression=leaf.PCEN(3, **{name: 1.5}, clamp=1e-5))
    refused(lambda: convert(module, "leaf"), ValueError, f"compression.{name}", "1.5", "at most 1")


def test_value_too_large_for_the_dtype():
    module = loaded("leaf", CASE, "float64", "centered")
    module.compression.delta.data[0] = 1e39
    refused(lambda: convert(module, "leaf", dtype="float32"), ValueError, "'PCEN/delta'", "1e+39", "float32")
