"""The plan of a tolerance: complete, counted, cheap enough, and it follows the parameters."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

import efficientleaf.tolerance as module
from efficientleaf import EfficientLeaf, ToleranceFilterbank
from efficientleaf.plan import Geometry, leaf_cost
from leaf import GaborFilterbank
from parity.gates import AtMost, OfMax
from parity.probes.tolerance import TOLERANCES, draw

TOLERANCE = TOLERANCES[1]
TENTH = AtMost(1 / 10, "the cost that was asked for at 1e-3, with the ends of a clip of one second")
COUNTED = OfMax(0.01, "the modulus is counted by the plan alone: 2 operations beside a kernel of 100 or more taps")


def bank(n_filters=40, tolerance=TOLERANCE):
    return ToleranceFilterbank(n_filters, 60.0, 7800.0, 16000, 401, 160, tolerance=tolerance)


@pytest.fixture
def made(monkeypatch):
    """How often plans and filters are made."""
    counts = {"plans": 0, "tables": 0}

    def counting(name, function):
        def counted(*args, **kwargs):
            counts[name] += 1
            return function(*args, **kwargs)

        return counted

    monkeypatch.setattr(module, "make_plan", counting("plans", module.make_plan))
    monkeypatch.setattr(module, "tables", counting("tables", module.tables))
    return counts


def noise(n=1000, dtype=np.float32):
    return torch.from_numpy(np.random.default_rng(0).uniform(-1, 1, (1, n)).astype(dtype))


@pytest.mark.parametrize("seed", range(6))
def test_every_band_has_one_row_and_strides_divide_the_hop(seed):
    drawn = draw(seed)
    plan = module.make_plan(drawn.sigmas.tolist(), drawn.widths.tolist(), Geometry(drawn.size, drawn.hop), TOLERANCE)
    assert sorted(band for row in plan.rows for band in row.bands) == list(range(len(drawn.sigmas)))
    assert all(drawn.hop % row.stride == 0 and drawn.hop % row.edge_stride == 0 for row in plan.rows)
    assert AtMost(TOLERANCE, "a plan predicts no more than what was asked")(plan.predicted).passes


def test_table_names_every_band_at_full_rate():
    plan = EfficientLeaf(tolerance=TOLERANCE).plan()
    text = str(plan)
    last = plan.full_rate_bands[-1]
    assert plan.full_rate_bands == tuple(range(last + 1))
    assert f"full rate: 0-{last} ({last + 1} of 40 bands)" in text
    assert len(text.splitlines()) == len(plan.rows) + 4


def test_default_costs_a_tenth_of_leaf():
    plan = EfficientLeaf(tolerance=TOLERANCE).plan()
    assert TENTH(1 / plan.ratio(16000)).passes
    assert 0 < len(plan.full_rate_bands) < 20


def counted_flops(module, x):
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        module(x)
    return counter.get_total_flops()


@pytest.mark.parametrize("n", [500, 16000, 16001])
def test_cost_is_what_a_counter_counts(n):
    x = noise(n)
    high = ToleranceFilterbank(10, 3000.0, 7800.0, 16000, 401, 160, tolerance=TOLERANCE).eval()
    assert high.plan().full_rate_bands == ()
    with torch.no_grad():
        high(x)  # keeps what depends on the length alone
    ends = 2 if n > 640 else 1  # where pooling multiplies and sums, in which the counter sees no product
    frames = 2 if n > 640 else -(-n // 160)
    pooled_by_sums = sum(len(row.bands) * ends * frames * row.edge_window_taps for row in high.plan().rows)
    counted = counted_flops(high, x) / 2 + pooled_by_sums
    assert COUNTED(np.array([counted]), np.array([high.plan().cost(n)])).passes


def test_leafs_cost_is_what_a_counter_counts():
    leaf = GaborFilterbank(10, 60.0, 7800.0, 16000, 401, 401, 160)
    counted = counted_flops(leaf, noise(16000)) / 2
    assert COUNTED(np.array([counted]), np.array([leaf_cost(10, Geometry(401, 160), 16000)])).passes


def test_kept_while_nothing_changes(made):
    quiet = bank(4).eval()
    with torch.no_grad():
        for _ in range(3):
            quiet(noise())
    assert made == {"plans": 1, "tables": 1}
    quiet(noise())
    assert made == {"plans": 1, "tables": 2}  # a gradient may be asked for


def test_filters_follow_a_changed_parameter(made):
    quiet = bank(4).eval()
    with torch.no_grad():
        quiet(noise())
        quiet.center_freqs.mul_(1.2)
        a = quiet(noise())
        quiet.refresh()
        assert torch.equal(quiet(noise()), a)
    assert made["tables"] == 3


def test_a_write_to_the_data_is_seen():
    written, fresh = bank(4).eval(), bank(4).eval()
    with torch.no_grad():
        written(noise())
        for module in (written, fresh):
            module.bandwidths.data.mul_(1.5)
        assert torch.equal(written(noise()), fresh(noise()))


@pytest.mark.parametrize("training", [True, False])
def test_plan_follows_what_moves_and_stays_for_what_does_not(made, training):
    moving = bank(4).train(training)
    x = noise()
    moving(x)
    with torch.no_grad():
        moving.bandwidths.mul_(1.01)
    moving(x)
    assert made["plans"] == 1
    with torch.no_grad():
        moving.bandwidths.mul_(1.01)
    moving(x)
    assert made["plans"] == 2
    with torch.no_grad():
        moving.center_freqs.add_(0.5)
    moving(x)
    assert made["plans"] == 2


def test_tolerance_is_held_while_training():
    trained = bank(4).double()
    reference = GaborFilterbank(4, 60.0, 7800.0, 16000, 401, 401, 160).double()
    optimizer = torch.optim.Adam(trained.parameters(), lr=0.02)
    rng = np.random.default_rng(0)
    gate = AtMost(TOLERANCE, "what the tolerance promises, in every step")
    plans = set()
    for _ in range(25):
        x = torch.from_numpy(rng.uniform(-1, 1, (1, 2000)))
        found = trained(x)
        plans.add(id(trained._plan))
        reference.load_state_dict(trained.state_dict())
        with torch.no_grad():
            a, b = found.clamp(min=1e-5), reference(x).clamp(min=1e-5)
            assert gate(float(((a - b).norm(dim=-1) / b.norm(dim=-1)).max())).passes
        optimizer.zero_grad()
        (found * torch.from_numpy(rng.standard_normal(found.shape))).sum().backward()
        optimizer.step()
    assert len(plans) > 1


def test_another_length_cuts_the_ends_anew():
    quiet = bank(4).eval()
    fresh = bank(4).eval()
    with torch.no_grad():
        for n in (1000, 1001, 500, 1000):
            assert torch.equal(quiet(noise(n)), fresh.refresh() or fresh(noise(n)))


def test_a_loaded_checkpoint_is_planned_for():
    a, b = bank(4).eval(), bank(4).eval()
    with torch.no_grad():
        b.bandwidths.mul_(1.5)
        b(noise())
        a(noise())
        a.load_state_dict(b.state_dict())
        assert torch.equal(a(noise()), b(noise()))


def test_a_frozen_bank_reads_no_parameter(made, monkeypatch):
    frozen = bank(4).freeze()
    before = dict(made)
    monkeypatch.setattr(frozen, "clamped", lambda: pytest.fail("read"))
    with torch.no_grad():
        frozen(noise())
    assert made == before
    assert frozen.train()._fixed is None


def test_a_frozen_bank_is_one_graph_for_any_length():
    frozen = bank(4).freeze()
    length = torch.export.Dim("length", min=1000, max=100_000)
    exported = torch.export.export(frozen, (noise(4000),), dynamic_shapes=((None, length),), strict=False)
    gate = OfMax(1e-5, "float32: an FFT of 2048 against sums of 401, and the square of what they leave")
    with torch.no_grad():
        for n in (1000, 4001):
            assert gate(exported.module()(noise(n)).numpy(), frozen(noise(n)).numpy()).passes
