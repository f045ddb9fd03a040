"""The plan of a tolerance: complete, counted, cheap enough, and a function of the weights."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

import efficientleaf.tolerance.module as module
from efficientleaf import EfficientLeaf, ToleranceFilterbank
from efficientleaf.tolerance.plan import Geometry, Promise, leaf_cost, make_plan
from leaf import GaborFilterbank
from parity.checks.tolerance import TOLERANCES, draw
from parity.criteria import AtMost, OfMax

TOLERANCE = TOLERANCES[1]
COUNTED = OfMax(0.05, "the audio's own FFT and overlapping frames are not counted band by band")
LEAFS = OfMax(0.01, "the modulus is counted by the plan alone: 2 operations beside a kernel of 100 or more taps")


def bank(n_filters=40, tolerance=TOLERANCE, **rest):
    return ToleranceFilterbank(n_filters, 60.0, 7800.0, 16000, 401, 160, tolerance=tolerance, **rest)


@pytest.fixture
def made(monkeypatch):
    """Count the plans and tables that are made."""
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


@pytest.mark.parametrize("dynamic_range", [None, 70.0])
@pytest.mark.parametrize("seed", range(6))
def test_every_band_is_in_one_group_and_proven(seed, dynamic_range):
    drawn = draw(seed)
    geometry, promise = Geometry(drawn.size, drawn.hop), Promise(TOLERANCE, dynamic_range)
    plan = make_plan(drawn.centers.tolist(), drawn.sigmas.tolist(), drawn.widths.tolist(), geometry, promise)
    for block in {geometry.block(n) for n in (1, 2, 5, 17, 1000)}:
        groups = plan.groups(block)
        assert sorted(band for group in groups for band in group.bands) == list(range(len(drawn.sigmas)))
        for group in groups:
            assert group.full_rate == (group.n_points == block.length)
            assert group.full_rate or group.n_points >= 2 * group.n_bins
        for band in range(len(drawn.sigmas)):
            bound, allowed = plan.bound(band, block), promise.allows(geometry, plan.loudest(band))
            assert AtMost(allowed.t, "what of the tolerance a plan may spend on t")(bound.t).passes
            assert AtMost(allowed.a, "what of the tolerance a plan may spend on a")(bound.a).passes


@pytest.mark.parametrize("size", [1, 3, 49, 401, 1103])
@pytest.mark.parametrize("hop", [1, 7, 160, 3000])
def test_blocks_hold_what_the_bound_assumes(size, hop):
    geometry = Geometry(size, hop)
    for n_hops in (1, 2, 3, 9, 10, 11, 95, 100, 1000, 100_000):
        block = geometry.block(n_hops)
        assert block.length >= 2 * geometry.half + block.hops * hop
        assert block.length <= geometry.longest.length
        if n_hops > block.hops:  # a window touches two blocks at most, and a sample lies in two at most
            assert block.hops * hop >= size
            assert 2 * block.hops * hop >= block.length


@pytest.mark.parametrize("tolerance", [1e-1, 1e-3, 1e-6])
def test_the_claim_follows_from_the_bounds(tolerance):
    plan = bank(tolerance=tolerance).plan()
    criterion = AtMost(tolerance, "t, and a of the energy of two blocks of full scale over the floor")
    assert criterion(max(plan.bound(band).claim(plan.geometry.stretch) for band in range(40))).passes


def test_table_names_every_band():
    plan = EfficientLeaf(tolerance=TOLERANCE).plan()
    lines = str(plan).splitlines()
    assert [int(line.split()[0]) for line in lines[3:-1]] == list(range(40))
    assert [i for i, line in enumerate(lines[3:-1]) if "full rate" in line] == sorted(plan.full_rate_bands)


def test_default_costs_less_with_a_dynamic_range():
    plan, less = (EfficientLeaf(tolerance=TOLERANCE, dynamic_range=r).plan() for r in (None, 70.0))
    assert 0 < len(less.full_rate_bands) < len(plan.full_rate_bands) < 20
    assert 10 * less.cost(16000) < leaf_cost(40, plan.geometry, 16000)
    assert less.cost(16000) < plan.cost(16000)


def counted_flops(module, x):
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        module(x)
    return counter.get_total_flops()


class Counted(TorchDispatchMode):
    """Multiply-adds of products and FFTs: 2.5 n log2 n for n complex numbers, half for n real ones."""

    def __init__(self):
        super().__init__()
        self.total = 0.0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        found = function(*args, **(kwargs or {}))
        name = str(function)
        if "fft" in name:
            n = max(args[0].shape[-1], found.shape[-1])
            self.total += (2.5 if "c2c" in name else 1.25) * max(args[0].numel(), found.numel()) * math.log2(n)
        elif "bmm" in name:
            self.total += args[0].numel() * args[1].shape[-1]
        elif "mul" in name or "pow" in name:
            self.total += found.numel()
        return found


def test_cost_is_what_a_counter_counts():
    ours = bank().eval()
    plan, x = ours.plan(), noise(16000)
    with torch.no_grad():
        ours(x)  # keeps its tables
        with Counted() as counted:
            ours(x)
    assert COUNTED(np.array([counted.total]), np.array([plan.cost(16000)])).passes


def test_leafs_cost_is_what_a_counter_counts():
    leaf = GaborFilterbank(10, 60.0, 7800.0, 16000, 401, 401, 160)
    counted = counted_flops(leaf, noise(16000)) / 2
    assert LEAFS(np.array([counted]), np.array([leaf_cost(10, Geometry(401, 160), 16000)])).passes


def test_kept_while_nothing_changes(made):
    quiet = bank(4).eval()
    with torch.no_grad():
        for _ in range(3):
            quiet(noise())
    assert made == {"plans": 1, "tables": 1}
    quiet(noise())
    assert made == {"plans": 1, "tables": 2}  # a gradient may be asked for


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
        plans.add(moved.plan().longest)
        fresh.load_state_dict(moved.state_dict())
        assert ToleranceFilterbank.plan(fresh) == moved.plan()
    assert len(plans) > 1


def test_tolerance_is_held_while_training():
    trained = bank(4).double()
    reference = GaborFilterbank(4, 60.0, 7800.0, 16000, 401, 401, 160).double()
    optimizer = torch.optim.Adam(trained.parameters(), lr=0.02)
    rng = np.random.default_rng(0)
    criterion = AtMost(TOLERANCE, "what the tolerance promises, in every step")
    for _ in range(25):
        x = torch.from_numpy(rng.uniform(-1, 1, (1, 2000)))
        found = trained(x)
        reference.load_state_dict(trained.state_dict())
        with torch.no_grad():
            a, b = found.clamp(min=1e-5), reference(x).clamp(min=1e-5)
            assert criterion(float(((a - b).norm(dim=-1) / b.norm(dim=-1)).max())).passes
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
    criterion = AtMost(TOLERANCE, "what the tolerance promises; noise has nothing beyond the range")
    assert criterion(float(((a - b).norm(dim=-1) / b.norm(dim=-1)).max())).passes


def test_a_frozen_bank_keeps_to_what_it_was_in_a_graph():
    frozen = bank(4).freeze()
    assert frozen.train()._frozen is None


@pytest.mark.parametrize("dynamic_range", [None, 70.0])
def test_a_frozen_bank_is_one_graph_for_any_length(dynamic_range):
    frozen = bank(6, dynamic_range=dynamic_range).eval().freeze()
    length = torch.export.Dim("length", min=1000, max=100_000)
    exported = torch.export.export(frozen, (noise(4000),), dynamic_shapes=((None, length),), strict=False)
    criterion = OfMax(1e-5, "float32: FFTs against sums of products, and the square of what they leave")
    with torch.no_grad():
        for n in (1000, 4001):
            assert criterion(exported.module()(noise(n)).numpy(), frozen(noise(n)).numpy()).passes


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
    criterion = OfMax(1e-5, "float32: FFTs against sums of products, and the square of what they leave")
    with torch.no_grad():
        for n in (1000, 4001):
            x = torch.cat([noise(n)] * 3)
            (found,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
            assert criterion(found, frozen(x).numpy()).passes
