"""Rung 3's sources of error: each put back or left, alone or with others, it computes what the account says."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

import leaf
from benchmarks import error_budget, error_budget_page
from benchmarks.error_budget import ALL, PUBLISHED, Account, published
from efficientleaf import SOURCES, EfficientLeaf
from parity.checks.grid import Context
from parity.criteria import AtMost, Exactly, OfMax
from parity.oracle import Box, Geometry, approximation, plan_groups
from parity.oracle.approximation import Frontend, bands
from parity.oracle.chain import Chain
from parity.oracle.geometry import clamped
from parity.oracle.leaf import Filterbank

EXACT = OfMax(2e-14, "the same function in float64: a hundred roundings of 2^-53, a phase counting by its envelope")
PAGE = Path(__file__).parents[3] / "docs" / "the-error-of-efficientleaf.md"
BANK = ("center_freqs", "bandwidths", "pooling_widths")


def context(domain, case, test):
    reproduce = f"pytest parity_tests/rungs/efficientleaf/test_account.py -k {test}"
    return Context("efficientleaf", "leaf", domain, case, reproduce, dtype="float64")


def named(on):
    return " ".join(name for name in SOURCES if name in on) or "none"


@st.composite
def drawn(draw):
    """Arguments of a small frontend, weights in and out of the box, audio."""
    n = draw(st.integers(1, 4))
    rate = draw(st.sampled_from([1000, 2000, 4000, 11025]))
    arguments = {
        "n_filters": n, "num_groups": draw(st.integers(1, n)), "max_freq": 0.49 * rate, "sample_rate": rate,
        "window_len": draw(st.sampled_from([25.0, 25.0, 8.5])), "window_stride": draw(st.sampled_from([10.0, 7.0])),
        "conv_win_factor": draw(st.floats(2, 8)), "stride_factor": draw(st.floats(0.5, 20)),
    }  # fmt: skip
    z, window = Box.of_leaf(1).sigma_high, int(rate * arguments["window_len"] / 1000) | 1
    low, high = 0.5 * 2 * z, 1.1 * max(4, window) * z
    ends = st.sampled_from([0.0, np.pi])
    mu = draw(st.lists(ends | st.floats(-0.2, 3.4), min_size=n, max_size=n))
    limits = st.sampled_from([2 * z, 4 * z, window * z])
    sigma = draw(st.lists(limits | st.floats(low, high), min_size=n, max_size=n))
    width = draw(st.lists(st.sampled_from([2 / window, 0.5]) | st.floats(0.01, 0.6), min_size=n, max_size=n))
    return arguments, {"center_freqs": mu, "bandwidths": sigma, "pooling_widths": width}, draw(st.integers(0, 2**31))


def written(module, weights):
    """The module in float64 with these weights."""
    module = module.double().eval()
    with torch.no_grad():
        for name in BANK:
            getattr(module, name).copy_(torch.tensor(weights[name], dtype=torch.float64))
    return module


def rungs(case, exact):
    """Energies of efficientleaf with ``exact``, of leaf, and the account of the same."""
    arguments, weights, seed = case
    n_samples = int(np.random.default_rng([seed, 1]).choice([1, 50, 321, 700]))
    x = np.random.default_rng(seed).uniform(-1, 1, (1, n_samples))
    module = written(EfficientLeaf(**arguments, compression="pcen", exact=exact).filterbank, weights)
    plain = {k: v for k, v in arguments.items() if k in ("n_filters", "max_freq", "sample_rate", "window_len",
                                                         "window_stride")}  # fmt: skip
    other = written(leaf.Leaf(**plain).filterbank, weights)
    frontend = Frontend(module.pool_size, module.pool_stride, module.num_groups, module.conv_win_factor,
                        module.stride_factor)  # fmt: skip
    kernel = np.stack([weights["center_freqs"], weights["bandwidths"]], axis=1)
    audio = torch.from_numpy(x)
    with torch.no_grad():
        return (
            module(audio).numpy(),
            other(audio).numpy(),
            Account(kernel, np.array(weights["pooling_widths"]), frontend, x),
        )


@settings(max_examples=60)
@given(case=drawn())
def test_with_every_source_put_back_it_is_leaf(ledger, case):
    got, expected, _ = rungs(case, SOURCES)
    where = context("every source put back", str(case), "test_with_every_source")
    ledger.check(where.measurement("pool", "forward", EXACT(got, expected), "algebraic"))


@settings(max_examples=60)
@given(case=drawn(), on=st.sets(st.sampled_from(SOURCES)))
@example(case=({"n_filters": 1, "num_groups": 1, "max_freq": 490.0, "sample_rate": 1000, "window_len": 8.5,
                "window_stride": 10.0, "conv_win_factor": 2.0, "stride_factor": 20.0},
               {"center_freqs": [0.0], "bandwidths": [1.0], "pooling_widths": [0.4]}, 0),
         on={"rate", "width", "span"})  # fmt: skip
def test_with_any_sources_it_is_what_the_account_says(ledger, case, on):
    got, _, accounted = rungs(case, set(SOURCES) - on)
    if "rate" not in on:
        on = on & {"kernel", "sigma"}  # at stride 1 the others are nothing
    where = context("any sources put back", f"on={named(on)}, {case}", "test_with_any")
    ledger.check(where.measurement("pool", "forward", EXACT(got, accounted.energies(on)), "algebraic"))


@pytest.mark.parametrize("name", SOURCES)
@pytest.mark.parametrize("setting", PUBLISHED)
def test_each_put_back_in_turn_leaves_what_the_account_says(ledger, setting, name):
    accounted = first_half(setting)
    on = {"kernel", "sigma"} if name == "rate" else ALL - {name}
    got = modules(setting, ALL - on if name == "rate" else frozenset({name}))(torch.from_numpy(accounted.x))
    where = context("each source put back in turn", f"{setting}, {name}", "test_each_put_back")
    verdict = EXACT(got.detach().numpy(), accounted.energies(on))
    ledger.check(where.measurement("pool", "forward", verdict, "algebraic"))


def test_one_group_at_full_rate_with_leafs_kernels_is_leaf(ledger):
    # as the adapter does it, by arguments that the published code has
    module = (
        EfficientLeaf(40, 1, conv_win_factor=1.0, stride_factor=1e-9, compression="pcen").double().eval().filterbank
    )
    module.conv_win_factor = 401.5 / module.bandwidths.max().item()
    x = torch.from_numpy(published("default").x)
    other = leaf.Leaf().double().filterbank
    other.load_state_dict(module.state_dict())
    where = context("one group, full rate, kernels of 401", "noise of 16000 samples", "test_one_group")
    verdict = EXACT(module(x).detach().numpy(), other(x).detach().numpy())
    ledger.check(where.measurement("pool", "forward", verdict, "algebraic"))


@cache
def modules(setting, exact):
    """The filterbank of a published setting in float64, with the account's initial weights."""
    f, accounted = PUBLISHED[setting], published(setting)
    module = EfficientLeaf(40, f.num_groups, conv_win_factor=f.conv_win_factor, stride_factor=f.stride_factor,
                           compression="pcen", exact=exact).filterbank  # fmt: skip
    mu, sigma = accounted.kernel.T
    return written(module, dict(zip(BANK, (mu.tolist(), sigma.tolist(), accounted.width.tolist()), strict=True)))


@cache
def first_half(setting):
    whole = published(setting)
    return Account(whole.kernel, whole.width, whole.frontend, whole.x[:, :3999])


@pytest.mark.parametrize("setting", PUBLISHED)
def test_account_of_none_and_all_is_the_oracles_filterbank(setting):
    accounted = first_half(setting)
    f, box = accounted.frontend, Box.of_efficientleaf(accounted.frontend.window)
    mu, sigma, _ = clamped(accounted.kernel, accounted.width, box)
    groups = plan_groups(mu, sigma, f.num_groups, f.window, f.hop, f.conv_win_factor, f.stride_factor)
    geometries = {
        ALL: Geometry(f.window, f.hop, "centered", box, groups),
        frozenset(): Geometry.of_leaf(40, f.window, f.hop, "centered"),
    }
    for on, geometry in geometries.items():
        variables = {"kernel": accounted.kernel, "learnable_pooling/kernel": accounted.width.reshape(1, 1, -1, 1)}
        chain = Chain(accounted.x[:, np.newaxis], variables)
        Filterbank(geometry).apply(chain)
        assert EXACT(accounted.energies(on), chain.x).passes


@pytest.mark.parametrize(("arguments", "named"), [
    ({"on": "gain"}, "on='gain'"), ({"on": {"phase"}}, "on={'phase'}"),
    ({"frontend": Frontend(400, 160, 1, 3.0, 1.0)}, "window=400"),
], ids=str)  # fmt: skip
def test_account_refuses(arguments, named):
    given = {"frontend": PUBLISHED["8g"], "on": (), **arguments}
    with pytest.raises(ValueError, match=re.escape(named)):
        bands(np.ones((8, 2)), np.ones(8), **given)


def test_every_source_is_described():
    assert tuple(source.name for source in error_budget.ACCOUNT) == SOURCES == approximation.SOURCES


def test_page_is_what_the_code_writes():
    text = PAGE.read_text(encoding="utf-8")
    number = re.compile(r"-?\d+(?:\.\d+)?(?:e-?\d+)?")
    for name, table in error_budget_page.tables().items():
        kept = text.partition(f"<!-- {name} -->\n")[2].partition(f"\n<!-- /{name} -->")[0]
        assert Exactly("the words of a table")(number.split(kept) == number.split(table), True).passes
        for was, now in zip(number.findall(kept), number.findall(table), strict=True):
            criterion = AtMost(0.11, "two digits are printed: the last of 1.0 and 1.1 may go either way")
            assert criterion(abs(float(was) - float(now)) / max(abs(float(was)), abs(float(now)), 1e-300)).passes


def test_command_prints_every_band(capsys):
    error_budget.main(["--setting", "default"])
    assert len(capsys.readouterr().out.splitlines()) == 41
