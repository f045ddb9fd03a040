"""The plan of a tolerance: complete, counted, cheap enough, and a function of the weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

import efficientleaf.tolerance.module as module
from efficientleaf import EfficientLeaf, ToleranceFilterbank
from efficientleaf.tolerance.needs import Geometry, Promise
from efficientleaf.tolerance.plan import leaf_cost, make_plan
from leaf import GaborFilterbank
from parity.checks.tolerance import TOLERANCES, draw
from parity.criteria import AtMost, OfMax

TOLERANCE = TOLERANCES[1]
COUNTED = OfMax(0.25, "columns are planned for by a formula, and frames at the ends and FFTs are not products")
LEAFS = OfMax(0.01, "the modulus is counted by the plan alone: 2 operations beside a kernel of 100 or more taps")


def bank(n_filters=40, tolerance=TOLERANCE, **rest):
    return ToleranceFilterbank(n_filters, 60.0, 7800.0, 16000, 401, 160, tolerance=tolerance, **rest)


@pytest.fixture
def made(monkeypatch):
    """How often plans and tables are made."""
    counts = {"plans": 0, "responses": 0}

    def counting(name, function):
        def counted(*args, **kwargs):
            counts[name] += 1
            return function(*args, **kwargs)

        return counted

    monkeypatch.setattr(module, "make_plan", counting("plans", module.make_plan))
    monkeypatch.setattr(module, "responses", counting("responses", module.responses))
    return counts


def noise(n=1000, dtype=np.float32):
    return torch.from_numpy(np.random.default_rng(0).uniform(-1, 1, (1, n)).astype(dtype))


@pytest.mark.parametrize("dynamic_range", [None, 70.0])
@pytest.mark.parametrize("seed", range(6))
def test_every_band_is_in_one_group_and_proven(seed, dynamic_range):
    drawn = draw(seed)
    geometry, promise = Geometry(drawn.size, drawn.hop), Promise(TOLERANCE, dynamic_range)
    plan = make_plan(drawn.centers.tolist(), drawn.sigmas.tolist(), drawn.widths.tolist(), geometry, promise)
    assert sorted(band for group in plan.groups for band in group.bands) == list(range(len(drawn.sigmas)))
    for group in plan.groups:
        assert group.full_rate or (group.span[0] >= 0 and group.span[1] <= geometry.n_bins)
    for band in range(len(drawn.sigmas)):
        bound, allowed = plan.bound(band), promise.allows(geometry, plan.loudest(band))
        assert AtMost(allowed.t, "what of the tolerance a plan may spend on t")(bound.t).passes
        assert AtMost(allowed.a, "what of the tolerance a plan may spend on a")(bound.a).passes


@pytest.mark.parametrize("tolerance", [1e-1, 1e-3, 1e-6])
def test_the_claim_follows_from_the_bounds(tolerance):
    plan = bank(tolerance=tolerance).plan()
    gate = AtMost(tolerance, "t, and a of the energy of a frame of full scale over the floor")
    assert gate(max(plan.bound(band).claim(plan.geometry.frame) for band in range(40))).passes


def test_table_names_every_band():
    plan = EfficientLeaf(tolerance=TOLERANCE).plan()
    lines = str(plan).splitlines()
    assert [int(line.split()[0]) for line in lines[2:-1]] == list(range(40))
    assert [i for i, line in enumerate(lines[2:-1]) if "full rate" in line] == sorted(plan.full_rate_bands)


def test_default_costs_less_with_a_dynamic_range():
    plan, less = (EfficientLeaf(tolerance=TOLERANCE, dynamic_range=r).plan() for r in (None, 70.0))
    assert 0 < len(less.full_rate_bands) < len(plan.full_rate_bands) < 20
    assert 10 * less.cost(16000) < leaf_cost(40, plan.geometry, 16000)
    assert less.cost(16000) < plan.cost(16000)


def counted_flops(module, x):
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        module(x)
    return counter.get_total_flops()


def test_cost_is_about_what_a_counter_counts():
    high = ToleranceFilterbank(10, 3000.0, 7000.0, 16000, 401, 160, tolerance=TOLERANCE).eval()
    plan = high.plan()
    assert plan.full_rate_bands == ()
    with torch.no_grad():
        high(noise())  # keeps its factors
    middle = counted_flops(high, noise(160 * 300)) - counted_flops(high, noise(160 * 100))
    planned = sum(group.multiplications(plan.geometry) for group in plan.groups) * 200
    assert COUNTED(np.array([middle / 2]), np.array([planned])).passes


def test_leafs_cost_is_what_a_counter_counts():
    leaf = GaborFilterbank(10, 60.0, 7800.0, 16000, 401, 401, 160)
    counted = counted_flops(leaf, noise(16000)) / 2
    assert LEAFS(np.array([counted]), np.array([leaf_cost(10, Geometry(401, 160), 16000)])).passes


def test_kept_while_nothing_changes(made):
    quiet = bank(4).eval()
    with torch.no_grad():
        for _ in range(3):
            quiet(noise())
    assert made == {"plans": 1, "responses": 1}
    quiet(noise())
    assert made == {"plans": 1, "responses": 2}  # a gradient may be asked for


def test_a_write_to_the_data_is_seen():
    written, fresh = bank(4).eval(), bank(4).eval()
    with torch.no_grad():
        written(noise())
        for module in (written, fresh):
            module.bandwidths.data.mul_(1.5)
        assert torch.equal(written(noise()), fresh(noise()))


def test_a_plan_is_one_of_the_weights_alone():
    moved, fresh = bank(8), bank(8)
    plans = set()
    for _ in range(30):
        with torch.no_grad():
            moved.bandwidths.mul_(1.003)
            moved.center_freqs.add_(0.002)
        plans.add(moved.plan().groups)
        fresh.load_state_dict(moved.state_dict())
        assert ToleranceFilterbank.plan(fresh) == moved.plan()
    assert len(plans) > 1


def test_tolerance_is_held_while_training():
    trained = bank(4).double()
    reference = GaborFilterbank(4, 60.0, 7800.0, 16000, 401, 401, 160).double()
    optimizer = torch.optim.Adam(trained.parameters(), lr=0.02)
    rng = np.random.default_rng(0)
    gate = AtMost(TOLERANCE, "what the tolerance promises, in every step")
    for _ in range(25):
        x = torch.from_numpy(rng.uniform(-1, 1, (1, 2000)))
        found = trained(x)
        reference.load_state_dict(trained.state_dict())
        with torch.no_grad():
            a, b = found.clamp(min=1e-5), reference(x).clamp(min=1e-5)
            assert gate(float(((a - b).norm(dim=-1) / b.norm(dim=-1)).max())).passes
        optimizer.zero_grad()
        (found * torch.from_numpy(rng.standard_normal(found.shape))).sum().backward()
        optimizer.step()


@pytest.mark.parametrize("n_samples", [1, 2, 159, 160, 161, 401, 700, 1000, 1121])
@pytest.mark.parametrize("dynamic_range", [None, 70.0])
def test_clips_of_any_length(n_samples, dynamic_range):
    ours = bank(12, dynamic_range=dynamic_range).double().eval()
    reference = GaborFilterbank(12, 60.0, 7800.0, 16000, 401, 401, 160).double()
    x = noise(n_samples, np.float64)
    with torch.no_grad():
        a, b = ours(x).clamp(min=1e-5), reference(x).clamp(min=1e-5)
    gate = AtMost(TOLERANCE, "what the tolerance promises; noise has nothing beyond the range")
    assert gate(float(((a - b).norm(dim=-1) / b.norm(dim=-1)).max())).passes


def test_a_frozen_bank_keeps_to_what_it_was_in_a_graph():
    frozen = bank(4).freeze()
    assert frozen.train()._frozen is None


@pytest.mark.parametrize("dynamic_range", [None, 70.0])
def test_a_frozen_bank_is_one_graph_for_any_length(dynamic_range):
    frozen = bank(6, dynamic_range=dynamic_range).eval().freeze()
    length = torch.export.Dim("length", min=1000, max=100_000)
    exported = torch.export.export(frozen, (noise(4000),), dynamic_shapes=((None, length),), strict=False)
    gate = OfMax(1e-5, "float32: FFTs against sums of products, and the square of what they leave")
    with torch.no_grad():
        for n in (1000, 4001):
            assert gate(exported.module()(noise(n)).numpy(), frozen(noise(n)).numpy()).passes


def test_a_plan_that_is_not_frozen_is_refused_in_a_graph():
    with pytest.raises(RuntimeError, match=r"freeze\(\)"):
        torch.export.export(bank(2).eval(), (noise(),), strict=False)


@pytest.mark.usefixtures("onnx")
@pytest.mark.filterwarnings("ignore")  # of the exporter, about itself
def test_onnx_runtime(tmp_path):
    import onnxruntime

    frozen = bank(6).eval().freeze()
    shapes = ({0: torch.export.Dim("batch"), 1: torch.export.Dim("length", min=1000)},)
    path = tmp_path / "bank.onnx"
    torch.onnx.export(frozen, (torch.cat([noise(4000)] * 2),), path, dynamo=True, dynamic_shapes=shapes, verbose=False)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    gate = OfMax(1e-5, "float32: FFTs against sums of products, and the square of what they leave")
    with torch.no_grad():
        for n in (1000, 4001):
            x = torch.cat([noise(n)] * 3)
            (found,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
            assert gate(found, frozen(x).numpy()).passes
