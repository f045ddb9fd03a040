"""Every public name of rung 1 computes what the oracle and rung 0 compute."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings

import og_leaf
from parity.adapters import composed
from parity.adapters import subject_torch as adapter
from parity.cases.fixed import FIXED
from parity.cases.public_names import PUBLIC
from parity.cases.strategies import subjects as drawn
from parity.checks.grid import Context, compare
from parity.checks.subjects import ExpectedOfName
from parity.criteria import Exactly
from parity_tests.helpers import sort_filters

# SpecAugment draws, and has a file of its own
NAMES = [entry.name for entry in PUBLIC if entry.properties and entry.name != "SpecAugment"]
LEARNED = [entry.name for entry in PUBLIC if "weights" in entry.properties]
SAME_BITS = Exactly("a variable is copied there and back")
N_DRAWN = 4  # a name: tens of arrays in both precisions, each with eight roundings of the oracle
N_LIVE = 2


def context(subject, reference, domain, test, dtype="float32"):
    where = f"pytest parity_tests/rungs/og_leaf/test_names.py -k '{test} and {subject.name}'"
    return Context("og_leaf", reference, domain, str(subject), where, dtype)


def check_exact(subject, domain, test, ledger):
    """Both precisions against the oracle, every array and every refusal."""
    single = adapter.run(subject)
    expected = ExpectedOfName(subject, single.variables)
    double = adapter.run(subject, "float64", single.variables)
    for outcome, dtype in ((single, "float32"), (double, "float64")):
        here = context(subject, "oracle", domain, test, dtype)
        ledger.check(expected.refusal(here, outcome))
        for measurement in compare(here, outcome.arrays(), expected):
            ledger.check(measurement)
        assert set(outcome.arrays()) <= set(expected.values)


@pytest.mark.parametrize("name", NAMES)
def test_fixed_subjects_are_the_oracles(name, ledger):
    for subject in FIXED[name]:
        check_exact(subject, "subjects", "fixed", ledger)


@pytest.mark.parametrize("name", NAMES)
def test_drawn_subjects_are_the_oracles(name, ledger):
    @settings(max_examples=N_DRAWN)
    @given(subject=drawn(name))
    @example(subject=FIXED[name][0])  # few draws may all be refused
    def check(subject):
        check_exact(subject, "drawn subjects", "drawn", ledger)

    check()


@pytest.mark.usefixtures("tensorflow")
@pytest.mark.parametrize("name", NAMES)
def test_drawn_subjects_are_rung_0s(name, ledger):
    from parity.adapters import subject_tensorflow

    @settings(max_examples=N_LIVE)
    @given(subject=drawn(name))
    @example(subject=FIXED[name][0])  # few draws may all be refused, or learn nothing
    def check(subject):
        theirs = subject_tensorflow.run(subject, "tf_leaf")
        ours = adapter.run(subject, "float32", theirs.variables)
        here = context(subject, "tf_leaf", "drawn subjects", "rung_0s")
        held = [sorted((n, value.shape) for n, value in outcome.variables.items()) for outcome in (ours, theirs)]
        assert held[0] == held[1] or theirs.refused
        # Keras 3 leaves the penalty of a frozen kernel out: the divergence "frozen-penalty"
        penalised = subject.arguments.get("trainable", True)
        wanted = {array for array in ours.arrays() if penalised or not array.startswith("loss")}
        assert wanted == set(theirs.arrays()) or theirs.gradient_refused
        expected = ExpectedOfName(subject, theirs.variables, beside=theirs)
        ledger.check(expected.refusal(here, ours))
        for measurement in compare(here, ours.arrays(), expected):
            ledger.check(measurement)

    check()


@pytest.mark.parametrize("name", LEARNED)
def test_variables_come_back_as_they_were_given(name, ledger):
    for subject in FIXED[name]:
        outcome = adapter.run(subject)
        if outcome.refused or subject.weights == "default":
            continue
        shapes = {**composed.shapes(subject), **subject.tensors}
        assert {n: value.shape for n, value in outcome.variables.items()} == shapes
        for variable, value in subject.values(shapes).items():
            here = context(subject, "oracle", "subjects", "come_back")
            verdict = SAME_BITS(outcome.variables[variable], value)
            ledger.check(here.measurement(name, "bridge round trip", verdict, "bitwise"))


PUBLISHED = {  # parameters of the published port (EfficientLEAF, ``model/OG_leaf.py``): Leaf(preemp, mean_var_norm)
    "_preemp_conv.weight": (1, 1, 2),
    "_complex_conv._kernel": (40, 2),
    "_pooling.kernel": (40, 1, 1, 1),
    "_instance_norm.weight": (40,),
    "_instance_norm.bias": (40,),
    "_compress_fn.alpha": (40,),
    "_compress_fn.delta": (40,),
    "_compress_fn.root": (40,),
    "_compress_fn.ema._weights": (40,),
}


def test_the_published_ports_state_dict_loads():
    weights = {name: torch.rand(shape) for name, shape in PUBLISHED.items()}
    model = og_leaf.Leaf(preemp=True, mean_var_norm=True)
    model.load_state_dict(weights)
    assert all(torch.equal(tensor, weights[name]) for name, tensor in model.state_dict().items())


MODULES = [subject for name in LEARNED for subject in FIXED[name] if adapter.run(subject).refused is None]


@pytest.fixture(scope="module", params=MODULES, ids=str)
def built(request):
    torch.manual_seed(0)
    return request.param, adapter.build(request.param)


def called(subject, module, x):
    """The module's output on its input, [B, T] or [B, C, T]."""
    state = {"initial_state": x[:, :, 0]} if subject.name == "ExponentialMovingAverage" else {}
    return module(x, **state)


def audio(subject, dtype=torch.float32, device="cpu"):
    x = torch.tensor(subject.input(), dtype=dtype, device=device)
    return x.transpose(1, 2) if x.dim() == 3 else x


def test_forward_changes_nothing(built):
    subject, module = built
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    x = audio(subject)
    kept = x.clone()
    module.train()
    called(subject, module, x)
    module.eval()
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())
    assert torch.equal(x, kept)


def test_state_dict_goes_through_a_file(built):
    subject, module = built
    file = io.BytesIO()
    torch.save(module.state_dict(), file)
    file.seek(0)
    other = adapter.build(subject)
    other.load_state_dict(torch.load(file, weights_only=True))
    other.eval()
    called(subject, module, audio(subject))
    assert torch.equal(called(subject, other, audio(subject)), called(subject, module, audio(subject)))


def test_double_and_devices_reach_everything(built):
    subject, _ = built
    moved = adapter.build(subject).double()
    assert {tensor.dtype for tensor in moved.state_dict().values()} <= {torch.float64}
    assert called(subject, moved, audio(subject, torch.float64)).dtype == torch.float64
    # "meta" stands for any other device: a tensor left behind on the CPU fails there
    assert called(subject, adapter.build(subject).to("meta"), audio(subject, device="meta")).device.type == "meta"


def test_learns_what_it_is_told_to(built):
    subject, module = built
    own = subject.arguments
    learned = {name for name, tensor in adapter.canonical_names(module).items() if tensor.requires_grad}
    if not own.get("trainable", True):
        assert learned <= {"bias"}
    frozen = {name for name in composed.shapes(subject) if "PCEN/simple_rnn" in name or name.startswith("simple_rnn")}
    assert not learned & frozen
    for name in learned:
        pooled = name.startswith("learnable_pooling/")
        assert own.get("learn_pooling", True) or not pooled
        assert own.get("learn_filters", True) or "kernel" not in name or pooled


def test_float64_carries_no_float32_rounding_of_the_mel_matrix():
    x = torch.linspace(-1, 1, 900, dtype=torch.float64)[None]
    moved = og_leaf.MelFilterbanks(n_filters=3).double()
    assert torch.equal(moved(x), og_leaf.MelFilterbanks(n_filters=3, dtype=torch.float64)(x))
    assert not np.array_equal(moved.mel_filters.numpy(), moved.mel_filters.float().numpy())
    assert moved.state_dict() == {}


def test_equal_centres_are_sorted_as_the_original_sorts_them():
    def convolved(kernel, **settings):
        layer = og_leaf.GaborConv1D(2 * sort_filters.N_FILTERS, 25, 1, "same", False, **settings)
        with torch.no_grad():
            layer._kernel.copy_(torch.from_numpy(kernel))
            return layer(torch.from_numpy(sort_filters.audio())[:, np.newaxis])

    found = convolved(sort_filters.tied_kernel(), sort_filters=True)
    assert torch.equal(found, convolved(sort_filters.sorted_kernel()))
