"""A tolerance is held: for every band and clip, on drawn banks and hostile signals, forward and backward.

``python -m benchmarks.tolerance`` is the long form, 2000 banks a tolerance.
"""

from __future__ import annotations

import copy
import pickle
import wave
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import efficientleaf.tolerance.blocks as blocks
import efficientleaf.tolerance.plan as planning
from efficientleaf import EfficientLeaf, ToleranceFilterbank
from leaf import Leaf
from parity.checks.tolerance import (
    KINDS,
    TOLERANCES,
    BandDraw,
    banks,
    clips,
    draw,
    errors,
)
from parity.criteria import AtMost, Exactly, OfMax, RelativeL2

MIDDLE = TOLERANCES[1]
SEEDS = range(6)
SPEECH = Path(__file__).parents[3] / "fixtures" / "speech" / "arctic_a0009.wav"
SAME = Exactly("the same operations on the same numbers")
ROUNDED = OfMax(1e-5, "float32; an FFT of 2048 in place of sums of 401, and the square of what a loud clip leaves")


def held(tolerance):
    return AtMost(tolerance, "what the tolerance promises")


def mel(seed=0, n_samples=8000, n_filters=40):
    bank = ToleranceFilterbank(n_filters, 60.0, 7800.0, 16000, 401, 160, tolerance=MIDDLE)
    values = (p.detach().double().numpy() for p in bank.parameters())
    return BandDraw(seed, 16000, 401, 160, *values, n_samples)


def worst(drawn, tolerance, dtype=torch.float64):
    reference, ours = banks(drawn, tolerance, dtype)
    return errors(ours, reference, clips(drawn)).band


@pytest.mark.parametrize("tolerance", TOLERANCES)
@pytest.mark.parametrize("seed", SEEDS)
def test_no_band_of_a_clip_is_further_off_than_promised(seed, tolerance):
    assert held(tolerance)(worst(draw(seed, n_filters=4), tolerance).max()).passes


@pytest.mark.parametrize("tolerance", TOLERANCES)
def test_default_bank_holds_in_float32(tolerance):
    assert held(tolerance)(worst(mel(), tolerance, torch.float32).max()).passes


@pytest.mark.parametrize("tolerance", TOLERANCES)
def test_speech_through_a_converted_leaf(tolerance):
    with wave.open(str(SPEECH)) as file:
        audio = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2") / 2**15
    x = torch.from_numpy(audio)[None]
    leaf = Leaf().double().eval()
    with torch.no_grad():
        leaf.filterbank.bandwidths.mul_(1.1)
        ours = EfficientLeaf.from_leaf(leaf, tolerance=tolerance)
        error = errors(ours.filterbank, leaf.filterbank, x).band.max()
        assert held(tolerance)(error).passes
        after = OfMax(tolerance, "PCEN's slope in the logarithm of an energy is under 1")
        assert after(ours(x).numpy(), leaf(x).numpy()).passes


@pytest.mark.parametrize("tolerance", TOLERANCES)
def test_gradients_are_leafs(tolerance):
    criterion = RelativeL2(tolerance, "the derivative of energies within it; observed: 1e-4 of it")
    for seed in SEEDS[:4]:
        drawn = draw(seed, n_filters=4)
        reference, ours = banks(drawn, tolerance)
        kinds = [list(KINDS).index(kind) for kind in ("noise", "chirp", "loud tone, weak noise")]
        x = clips(drawn)[kinds].requires_grad_()
        rng = np.random.default_rng(seed)
        found = []
        cotangent = torch.from_numpy(rng.standard_normal((3, 4, -(-drawn.n_samples // drawn.hop))))
        for bank in (ours, reference):
            found.append(torch.autograd.grad((bank(x) * cotangent).sum(), [x, *bank.parameters()]))
        for candidate, expected in zip(*found, strict=True):
            if expected.any():
                assert criterion(candidate.numpy(), expected.numpy()).passes


@pytest.mark.parametrize("kept", [0, blocks.KEPT])
def test_gradients_are_the_same_a_second_time(monkeypatch, kept):
    monkeypatch.setattr(blocks, "KEPT", kept)
    drawn = mel(n_samples=2000)
    bank, x = banks(drawn, MIDDLE)[1], clips(drawn).requires_grad_()
    sources, loss = [x, *bank.parameters()], bank(x).square().sum()
    for first, second in zip(*(torch.autograd.grad(loss, sources, retain_graph=True) for _ in range(2)), strict=True):
        assert SAME(second.numpy(), first.numpy()).passes


def test_gradients_do_not_depend_on_what_is_kept(monkeypatch):
    drawn = mel(n_samples=2000)
    bank, x = banks(drawn, MIDDLE)[1], clips(drawn).requires_grad_()
    found = []
    for kept in (0, blocks.KEPT):
        monkeypatch.setattr(blocks, "KEPT", kept)
        found.append(torch.autograd.grad(bank(x).square().sum(), [x, *bank.parameters()]))
    for again, kept in zip(*found, strict=True):
        assert SAME(kept.numpy(), again.numpy()).passes


def few(patch):
    """Fewer points, and bins, than a band needs."""
    quietest = planning.quietest
    patch.setattr(planning, "quietest", lambda t, a: 1e6 * quietest(t, a))


def aliased(patch):
    """As many bins in a quarter of the points."""
    groups = planning.Plan.groups

    def fewer(*args):
        return tuple(g if g.full_rate else replace(g, n_points=g.n_points // 4) for g in groups(*args))

    patch.setattr(planning.Plan, "groups", fewer)


def shifted(patch):
    """Every band hears a bin above its own."""
    pooled = blocks.pooled
    patch.setattr(
        blocks,
        "pooled",
        lambda spectra, gains, weights, starts, *rest: pooled(
            spectra, gains, weights, tuple(2 + first if any(starts) else 0 for first in starts), *rest
        ),
    )


def whole(patch):
    """The last frames' windows are not cut."""

    def uncut(found, tail, geometry):
        first = -(-tail // geometry.hop) - 1
        return tuple(torch.cat((p, p[:, first : first + geometry.before + 1]), 1) for p in found.pooling)

    patch.setattr(blocks, "with_tail", uncut)


def late(patch):
    """Every block's weights are a sample late."""
    pooling = blocks._pooling
    patch.setattr(blocks, "_pooling", lambda weights, *rest: pooling(weights.roll(1, -1), *rest))


def forgotten(patch):
    """Frames that reach into the next block lose what they have there."""
    columns = planning.Geometry.columns
    patch.setattr(planning.Geometry, "columns", lambda self, block: columns(self, block) - 2)


PLANTED = {
    "points": few,
    "aliasing": aliased,
    "bins": shifted,
    "windows that are not cut": whole,
    "weights": late,
    "overlap": forgotten,
}


@pytest.mark.parametrize("fault", PLANTED)
def test_a_planted_error_is_seen(monkeypatch, fault):
    PLANTED[fault](monkeypatch)
    drawn = mel(n_samples=2000)
    reference, ours = banks(drawn, MIDDLE)
    assert not held(MIDDLE)(errors(ours, reference, clips(drawn)).band.max()).passes


def test_state_dict_is_the_published_ones_and_leafs():
    keys = list(EfficientLeaf(compression="pcen").state_dict())
    assert list(EfficientLeaf(compression="pcen", tolerance=MIDDLE).state_dict()) == keys
    assert list(EfficientLeaf.from_leaf(Leaf()).state_dict()) == list(Leaf().state_dict())


def test_no_tolerance_keeps_the_published_computation():
    x = torch.from_numpy(np.random.default_rng(0).uniform(-1, 1, (2, 4000)).astype(np.float32))
    a, b = EfficientLeaf(8).eval(), EfficientLeaf(8, tolerance=None).eval()
    assert SAME(a(x).detach().numpy(), b(x).detach().numpy()).passes


@pytest.mark.parametrize(("value", "error"), [
    (0.0, ValueError), (9e-7, ValueError), (0.11, ValueError), (float("nan"), ValueError), ("1e-3", TypeError),
])  # fmt: skip
def test_a_tolerance_out_of_range_is_named(value, error):
    with pytest.raises(error, match="tolerance="):
        EfficientLeaf(tolerance=value)


@pytest.mark.parametrize(
    ("name", "value"), [("num_groups", 8), ("conv_win_factor", 6.0), ("stride_factor", 16.0), ("exact", ("gain",))]
)
def test_what_a_tolerance_chooses_is_not_given_as_well(name, value):
    with pytest.raises(ValueError, match=f"{name}="):
        EfficientLeaf(tolerance=MIDDLE, **{name: value})


def test_leaf_that_cannot_be_converted_is_named():
    with pytest.raises(ValueError, match="same"):
        EfficientLeaf.from_leaf(Leaf(padding="same"))
    with pytest.raises(ValueError, match="compression="):
        EfficientLeaf.from_leaf(Leaf(compression=torch.log))
    with pytest.raises(TypeError, match="Identity"):
        EfficientLeaf.from_leaf(torch.nn.Identity())


def test_a_plan_without_a_tolerance_is_refused_by_name():
    with pytest.raises(ValueError, match="tolerance=None"):
        EfficientLeaf(8).plan()


@pytest.mark.parametrize(("value", "error"), [(10.0, ValueError), (130.0, ValueError), ("70", TypeError)])
def test_a_dynamic_range_out_of_range_is_named(value, error):
    with pytest.raises(error, match="dynamic_range="):
        EfficientLeaf(tolerance=MIDDLE, dynamic_range=value)


def test_a_dynamic_range_without_a_tolerance_is_named():
    with pytest.raises(ValueError, match="dynamic_range="):
        EfficientLeaf(dynamic_range=70.0)


@pytest.mark.parametrize("sizes", [[1] * 1500, [159, 160, 161, 1020], [1500]])
def test_stream_gives_the_frames_of_the_whole(sizes):
    frontend = EfficientLeaf(8, compression="pcen", tolerance=MIDDLE).double().eval()
    x = torch.from_numpy(np.random.default_rng(0).uniform(-1, 1, (2, 1500)))
    found = torch.cat(list(frontend.stream(x.split(sizes, 1))), -1)
    criterion = OfMax(1e-11, "float64, and PCEN's smoother from step to step")
    assert criterion(found.numpy(), frontend(x).detach().numpy()).passes


@pytest.mark.parametrize("frozen", [False, True])
def test_an_empty_batch(frozen):
    frontend = EfficientLeaf(8, compression="pcen", tolerance=MIDDLE).eval().requires_grad_(not frozen)
    assert frontend(torch.zeros(0, 8000)).shape == (0, 8, 50)


@pytest.mark.parametrize("learned", [False, True])
@pytest.mark.parametrize("name", ["center_freqs", "bandwidths", "pooling_widths"])
def test_a_weight_that_is_nan_makes_its_own_band_nan(name, learned):
    bank = ToleranceFilterbank(8, 60.0, 7800.0, 16000, 401, 160, tolerance=MIDDLE).requires_grad_(learned)
    with torch.no_grad():
        getattr(bank, name)[3] = float("nan")
    nan = bank(torch.ones(1, 2000)).isnan()
    assert nan[:, 3].all()
    assert int(nan.sum()) == nan.shape[-1]


def test_the_same_weights_give_the_same_bits_however_they_were_reached():
    x = torch.from_numpy(np.random.default_rng(0).uniform(-1, 1, (1, 3000)).astype(np.float32))
    moved, fresh = (ToleranceFilterbank(8, 60.0, 7800.0, 16000, 401, 160, tolerance=TOLERANCES[0]) for _ in range(2))
    optimizer = torch.optim.Adam(moved.parameters(), lr=0.01)
    for _ in range(5):
        moved(x).sum().backward()
        optimizer.step()
    fresh.load_state_dict(moved.state_dict())
    assert SAME(moved(x).detach().numpy(), fresh(x).detach().numpy()).passes
    with torch.no_grad():
        assert SAME(moved.eval()(x).numpy(), fresh.eval()(x).numpy()).passes


def test_frozen_copied_and_pickled_give_the_same():
    x = torch.from_numpy(np.random.default_rng(0).uniform(-1, 1, (2, 4000)).astype(np.float32))
    frontend = EfficientLeaf.from_leaf(Leaf(8).eval())
    with torch.no_grad():
        expected = frontend(x).numpy()
        for other in (copy.deepcopy(frontend), pickle.loads(pickle.dumps(frontend)), frontend.freeze()):
            assert SAME(other(x).numpy(), expected).passes
        frontend.filterbank.freeze(use_fft=False)
        assert ROUNDED(frontend(x).numpy(), expected).passes


def test_autocast_changes_nothing():
    x = torch.from_numpy(np.random.default_rng(0).uniform(-1, 1, (2, 4000)).astype(np.float32))
    bank = ToleranceFilterbank(8, 60.0, 7800.0, 16000, 401, 160, tolerance=MIDDLE).eval()
    with torch.no_grad():
        expected = bank(x).numpy()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert SAME(bank(x).numpy(), expected).passes
