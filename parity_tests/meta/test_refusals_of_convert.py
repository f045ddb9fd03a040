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
