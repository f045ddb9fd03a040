"""Defects planted two at a time into a faithful port of a foreign style: each pair is named in one run."""

from __future__ import annotations

import types
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from parity.ports.alternatives import ROWS
from parity.ports.formulas import Pair, Row, Setting
from parity.ports.hypotheses import explain
from parity_tests.ports.bench import Bench, flawed
from parity_tests.ports.flawed import FlawedLeaf, same

STAGES = {**flawed(()).stages, "floor": "pcen:input", "pcen": "pcen"}


def conjugate(module):
    filters = module.gabor.filters
    sign = torch.tensor([1.0, -1.0])
    module.gabor.filters = lambda: filters() * sign.to(filters().dtype).repeat(len(filters()) // 2)[:, None]


def unlimited_sigma(module):
    def filters(self):
        sigma = self.sigma[:, None]
        t = torch.arange(self.size, dtype=sigma.dtype) - self.size // 2
        phase = self.mu.clamp(0, torch.pi)[:, None] * t
        envelope = torch.exp(-(t**2) / (2 * sigma**2)) / ((2 * torch.pi) ** 0.5 * sigma)
        return torch.stack([envelope * torch.cos(phase), envelope * torch.sin(phase)], dim=1).flatten(0, 1)

    module.gabor.filters = types.MethodType(filters, module.gabor)


def halved(module):
    energy = module.energy.forward
    module.energy.forward = lambda x: energy(x) / 2


def unit_windows(module):
    window = module.pooling.window
    module.pooling.window = lambda: window() / window().sum(dim=1, keepdim=True)


def centred(module):
    def forward(self, x):
        pads = (self.size // 2, self.size // 2)
        return F.conv1d(F.pad(x, pads), self.window()[:, None], stride=self.stride, groups=len(self.width))

    module.pooling.forward = types.MethodType(forward, module.pooling)


def late(module):
    def forward(self, x):
        padded = same(x, self.size, self.stride)
        y = F.conv1d(padded, self.window()[:, None], stride=self.stride, groups=len(self.width))
        return y.roll(1, dims=-1)

    module.pooling.forward = types.MethodType(forward, module.pooling)


def other_floor(module):
    module.forward = lambda x: module.pcen(module.pooling(module.energy(module.gabor(x))).clamp(min=1e-3))


def half_at_the_floor(module):
    def forward(x):
        energies = module.pooling(module.energy(module.gabor(x)))
        return module.pcen(torch.maximum(energies, torch.full_like(energies, 1e-5)))

    module.forward = forward


def exchanged(module):
    smooth = module.pcen.smoother

    def forward(self, x):
        s = 1 - self.s.clamp(0, 1)
        state, frames = x[..., 0], []
        for frame in x.unbind(-1):
            state = s * frame + (1 - s) * state
            frames.append(state)
        return torch.stack(frames, dim=-1)

    smooth.forward = types.MethodType(forward, smooth)


def not_subtracted(module):
    pcen = module.pcen.forward
    module.pcen.forward = lambda x: pcen(x) + (module.pcen.delta ** (1 / module.pcen.root.clamp(min=1)))[:, None]


def detached(module):
    smoother = module.pcen.smoother.forward

    def forward(x):
        kept = smoother(x)
        return kept.detach() + (x - x.detach()) * 0

    module.pcen.smoother.forward = forward


def noisy(module):
    smoother = module.pcen.smoother.forward

    def forward(x):
        y, size = smoother(x), 2.0**-14
        noise = torch.rand(y.shape, generator=torch.Generator().manual_seed(1), dtype=y.dtype) - 0.5
        return y + size * y.detach().abs().amax() * noise

    module.pcen.smoother.forward = forward


def other_hop(module):
    module.pooling.stride += 1


def without_mean(module):
    gabor = module.gabor.forward
    module.gabor.forward = lambda x: gabor(x - x.mean(-1, keepdim=True))


def roots(name, way):
    """PCEN with something else for the root."""

    def defect(module):
        smoother = module.pcen.smoother

        def forward(self, x):
            alpha, delta = self.alpha.clamp(max=1)[:, None], self.delta[:, None]
            r = 1 / way(self.root)[:, None]
            return (x / (self.eps + smoother(x)) ** alpha + delta) ** r - delta**r

        module.pcen.forward = types.MethodType(forward, module.pcen)

    defect.__name__ = name
    return defect


root_from_two = roots("root_from_two", lambda root: root.clamp(min=2))
root_and_half = roots("root_and_half", lambda root: root.clamp(min=1) + 0.5)


def late_by_three(module):
    gabor = module.gabor.forward
    module.gabor.forward = lambda x: gabor(F.pad(x, (3, 0)))[..., : x.shape[-1]]


def without_the_last(module):
    pooling = module.pooling.forward

    def forward(x):
        y = pooling(x)
        return y[..., :-1] if y.shape[-1] > 1 else y

    module.pooling.forward = forward


def short(module):
    energy = module.energy.forward
    module.energy.forward = lambda x: energy(x).bfloat16().to(x.dtype)


def no_sigma(module):
    module.gabor.sigma.register_hook(torch.zeros_like)


def double_gradient_inside(module):
    pooling = module.pooling.forward

    def forward(x):
        y = x * 1
        if y.requires_grad:
            y.register_hook(lambda d: 2 * d)
        return pooling(y)

    module.pooling.forward = forward


def double_gradient(module):
    module.pooling.width.register_hook(lambda d: 2 * d)


def takes(name, way):
    """The smoother with something else for s."""

    def defect(module):
        smooth = module.pcen.smoother

        def forward(self, x):
            s = way(self.s.clamp(0, 1))
            state, frames = x[..., 0], [x[..., 0]]
            for frame in x.unbind(-1)[1:]:
                state = s * frame + (1 - s) * state
                frames.append(state)
            return torch.stack(frames, dim=-1)

        smooth.forward = types.MethodType(forward, smooth)

    defect.__name__ = name
    return defect


mean_s, square_s = takes("mean_s", lambda s: s.mean().expand(s.shape)), takes("square_s", torch.square)


def by_the_stride(module):
    gabor = module.gabor.forward
    module.gabor.forward = lambda x: gabor(x) / module.pooling.stride


def rounded_audio(module):
    gabor = module.gabor.forward
    module.gabor.forward = lambda x: gabor(x.half().to(x.dtype))


def delta_half_detached(module):
    pcen = module.pcen.forward

    def forward(x):
        delta, r = module.pcen.delta, 1 / module.pcen.root.clamp(min=1)
        return pcen(x) + (delta**r - delta.detach() ** r)[:, None]

    module.pcen.forward = forward


def last_filter_doubled(module):
    filters = module.gabor.filters
    module.gabor.filters = lambda: filters() * (1 + (torch.arange(len(filters())) >= len(filters()) - 2))[:, None]


def first_frame_halved(module):
    smoother = module.pcen.smoother.forward
    module.pcen.smoother.forward = lambda x: torch.cat([smoother(x)[..., :1] / 2, smoother(x)[..., 1:]], -1)


NAMED = {
    last_filter_doubled: ("filters", "the last filter alone is 2 times what it should be"),
    first_frame_halved: ("ema", "frame 0 alone is 0.5 times what it should be"),
    conjugate: ("filters", "is conjugate: the imaginary parts are negated"),
    unlimited_sigma: ("filters", "does not limit sigma"),
    halved: ("modulus", "is 0.5 times what it should be"),
    unit_windows: ("windows", "sums to 1"),
    centred: ("pool", "pads K // 2 zeros on both sides"),
    late: ("pool", "is 1 frame late"),
    other_floor: ("floor", "has a lower limit of 1e-3, not of 1e-5"),
    half_at_the_floor: ("pool", "half of the gradient at an energy of 1e-5, the floor, where TensorFlow's is whole"),
    exchanged: ("ema", "exchanges s and 1 - s"),
    not_subtracted: ("pcen", "does not subtract delta^(1 / root)"),
    detached: ("PCEN/EMA/smooth", "is zero: nothing flows back"),
    other_hop: ("pool", "has a hop of one sample more"),
    without_mean: ("conv", "takes the audio without its mean"),
    root_from_two: ("pcen", "limits the root at 2"),
    root_and_half: ("pcen", "adds 0.5 to the root"),
    late_by_three: ("conv", "is 3 samples late"),
    without_the_last: ("pool", "lacks the last frame"),
    short: ("modulus", "has no more digits than bfloat16"),
    no_sigma: ("kernel", "is zero for sigma: nothing flows back to it"),
    double_gradient_inside: ("modulus", "is 2 times what it should be"),
    mean_s: ("ema", "takes the mean of s over all filters"),
    square_s: ("ema", "takes the square of s"),
    by_the_stride: ("conv", "is multiplied by 1 / the stride"),
    rounded_audio: ("conv", "takes the audio rounded to float16"),
    delta_half_detached: ("PCEN/delta", "lacks the part through the delta that is subtracted"),
    double_gradient: ("learnable_pooling/kernel", "is 2 times what it should be"),
}
PAIRS = [
    (conjugate, not_subtracted), (unlimited_sigma, exchanged), (halved, half_at_the_floor), (unit_windows, detached),
    (centred, other_floor), (late, conjugate), (halved, double_gradient), (double_gradient_inside, other_floor),
    (other_hop, without_mean), (root_from_two, without_the_last), (short, no_sigma),
    (mean_s, by_the_stride), (square_s, rounded_audio), (delta_half_detached, centred),
    (root_and_half, late_by_three), (last_filter_doubled, root_from_two), (first_frame_halved, without_mean),
]  # fmt: skip


@pytest.fixture(scope="module")
def bench():
    return Bench(flawed((), stages=STAGES))


def test_every_defect_is_planted_once():
    assert {defect for pair in PAIRS for defect in pair} == set(NAMED)


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: " and ".join(defect.__name__ for defect in pair))
def test_both_of_two_defects_are_named_in_one_run(pair, bench):
    found = bench.examine(flawed((), *pair, stages=STAGES))
    said = {(finding.stage, sentence.partition(", only")[0]) for finding in found.findings for sentence in finding.what}
    assert said >= {NAMED[defect] for defect in pair}, str(found)
    # and nothing besides, but for a number that goes with a name
    assert {finding.stage for finding in found.findings} == {NAMED[defect][0] for defect in pair}


def test_other_window_is_named_in_ms(bench):
    def build(config):
        return FlawedLeaf(
            config.n_filters,
            config.with_(window_len=config.window_len - 1).window,
            config.stride,
            config.pcen_floor,
            (),
        )

    found = bench.examine(replace(flawed((), stages=STAGES), build=build))
    assert {(f.stage, f.what) for f in found.findings if f.stage in ("filters", "windows")} == {
        (stage, ("is made for a window 1 ms shorter",)) for stage in ("filters", "windows")
    }


@pytest.mark.parametrize(("place", "stages"), [
    ("ema", {"ema": "pcen.smoother", "pcen": "pcen"}), ("pcen", {"pcen": "pcen"}), ("pool", {"pool": "pooling"}),
])  # fmt: skip
def test_other_number_of_frames_is_told_where_it_is_first_seen(place, stages):
    (finding,) = Bench(flawed((), stages=stages)).examine(flawed((), without_the_last, stages=stages)).findings
    assert (finding.stage, finding.what[0]) == (place, "lacks the last frame")


def scaled(name):
    """A parameter of the filters or of the pooling times 1.01."""

    def defect(module):
        part, made = (module.gabor, "filters") if name == "mu" else (module.pooling, "window")
        own = getattr(part, made)

        def made_of_more():
            kept = getattr(part, name)
            setattr(part, name, torch.nn.Parameter(kept * 1.01))
            values = own()
            setattr(part, name, kept)
            return values

        setattr(part, made, made_of_more)

    return defect


@pytest.mark.parametrize(("name", "stages", "what"), [
    ("mu", {"modulus": "energy"}, ("modulus", "takes 1.01 times mu (filters)")),
    ("width", {"pool": "pooling"}, ("pool", "takes 1.01 times the pooling width (windows)")),
])  # fmt: skip
def test_parameter_of_a_stage_that_is_not_shown_is_read_off_the_next_that_is(name, stages, what, monkeypatch):
    monkeypatch.setattr("parity.ports.detection.CONVOLUTIONS", ())  # by which filters and windows would be found
    found = Bench(flawed((), stages=stages)).examine(flawed((), scaled(name), stages=stages))
    assert what in {(f.stage, text) for f in found.findings for text in f.what}, str(found)


def test_two_hypotheses_that_explain_equally_well_are_both_told(bench, monkeypatch):
    zero, *others = ROWS["ema"]
    nearly = Row("starts from nearly 0", "ema", {"ema": lambda s, v: zero.formulas["ema"](s, v) * (1 + 2.0**-30)})
    held = [each for each in bench.held if each.case.signal != "silence"]
    settings = [(each, Setting(each.expected)) for each in held]
    pairs = [Pair(h.case, s, s.compute("ema", zero.formulas), h.expected.stages["ema"]) for h, s in settings]
    assert explain("ema", pairs, ("floor",)) == [zero.sentence]
    monkeypatch.setitem(ROWS, "ema", (zero, nearly, *others))
    assert explain("ema", pairs, ("floor",)) == [f"{zero.sentence} or {nearly.sentence}"]


def test_noise_is_given_no_name(bench):
    (finding,) = bench.examine(flawed((), noisy, stages=STAGES)).findings
    assert finding.stage == "ema"
    (sentence,) = finding.what
    assert "nothing tried explains it" in sentence


def test_without_a_defect_nothing_is_named(bench):
    assert bench.examine(flawed((), stages=STAGES)).findings == []
