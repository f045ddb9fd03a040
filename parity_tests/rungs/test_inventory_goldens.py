"""``tf_leaf`` and ``og_leaf`` against what the unmodified original made of every public name.

Every subject is run on what was recorded of it, variables and input, so that nothing but the rung makes a difference.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import pytest

from fixtures import inventory, store
from parity.cases.public_names import public
from parity.cases.subjects import Subject
from parity.checks.grid import Context, compare
from parity.checks.subjects import ExpectedOfName
from parity.criteria import Verdict, norm, status, unit_roundoff
from parity.criteria.outcome import Array, Outcome
from parity.mutation import benign
from parity_tests.helpers.rungs import one as step
from parity_tests.helpers.training_steps import NOT_MOVED, UPDATE

BOTH = [step("tf_leaf"), step("og_leaf")]
NAMES = store.names(store.INVENTORY)
TRAINED = [name for name in NAMES if "training" in public(name).properties]
DIFFERENTIABLE = [name for name in NAMES if "gradient" in public(name).properties]
FILTERED = (
    "GaborConv1D", "NormalizedConv1D", "SincConv1D", "SquaredModulus", "GaussianLowpass", "LearnablePooling1D",
    "ChannelWiseLearnablePooling1D", "gabor_impulse_response", "gabor_filters", "gaussian_lowpass",
)  # fmt: skip
SMOOTHED = ("PCENLayer",)


@dataclass(frozen=True)
class Recorded(Subject):
    """A subject whose input and variables are those that were recorded, whatever would be drawn today."""

    arrays: Mapping[str, Array] = field(default_factory=dict, compare=False)

    def input(self) -> Array:
        return self.arrays["input"]

    def values(self, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Array]:
        return {name: self.arrays[f"variables/{name}"] for name in shapes if f"variables/{name}" in self.arrays}


@dataclass(frozen=True)
class Ran:
    """A subject on a rung, beside what the original made of it."""

    subject: Recorded
    expected: ExpectedOfName
    original: Outcome
    rung: Outcome
    rates: Mapping[str, float]
    after: Mapping[str, Array]  # the rung's variables after a step; empty where none are learned

    @property
    def trained(self) -> dict[str, Array]:
        """The original's variables after that step."""
        return store.below(self.subject.arrays, "after")


@cache
def recorded(name: str) -> list[tuple[dict[str, Any], Recorded, ExpectedOfName]]:
    """The subjects of a public name, as they were recorded, each with its entry of the manifest."""
    about, arrays = store.read(name, store.INVENTORY)
    out = []
    for i, entry in enumerate(about["subjects"]):
        plain = Subject.parse(entry["subject"])
        fields = (plain.name, plain.settings, plain.shape, plain.seed, plain.weights)
        subject = Recorded(*fields, store.below(arrays, str(i)))
        original = inventory.outcome_of(entry, subject.arrays)
        out.append((entry, subject, ExpectedOfName(subject, beside=original, direct=True)))
    return out


@cache
def ran(rung: str, name: str) -> list[Ran]:
    """Every subject of a public name on a rung."""
    out = []
    for entry, subject, expected in recorded(name):
        if rung == "tf_leaf":
            outcome, after, _ = inventory.run(subject, rung, entry["rates"])
        else:
            outcome, after = run_torch(subject, entry["rates"])
        assert expected.beside is not None
        out.append(Ran(subject, expected, expected.beside, outcome, entry["rates"], after))
    return out


def run_torch(subject: Subject, rates: Mapping[str, float], projects: bool = True) -> tuple[Outcome, dict[str, Array]]:
    """A subject on og_leaf, and its variables after a step of ``torch.optim.SGD``, each at its own rate.

    Args:
        subject: what to run.
        rates: of the variables that the original learns.
        projects: whether kernels are put back by ``og_leaf.project_after_step``.
    """
    import torch

    import og_leaf
    from og_leaf.constraints import Constraint
    from parity.adapters import subject_torch as adapter

    run = adapter._Run(subject, torch.float32, {})
    try:
        outcome = run.outcome()
    except adapter.REFUSALS as refusal:
        return Outcome(refused=type(refusal).__name__), {}
    if run.module is None or "training" not in public(subject.name).properties:
        return outcome, {}
    held = adapter.canonical_names(run.module)
    learned = {name: tensor for name, tensor in held.items() if tensor.requires_grad}
    assert set(learned) == set(rates) or not rates, (sorted(learned), sorted(rates))
    if rates:
        optimizer = torch.optim.SGD([{"params": [tensor], "lr": rates[name]} for name, tensor in learned.items()])
        if projects and any(isinstance(part, Constraint) for part in run.module.modules()):
            og_leaf.project_after_step(optimizer, run.module)
        for name, tensor in learned.items():
            slope = adapter.from_original(inventory.slope(outcome, name))
            tensor.grad = torch.tensor(np.ascontiguousarray(slope))
        optimizer.step()
    return outcome, {name: np.array(adapter.to_original(tensor)) for name, tensor in held.items()}


def context(rung: str, subject: Subject) -> Context:
    again = f"pytest parity_tests/rungs/test_inventory_goldens.py -k '{rung}-{subject.name}]'"
    return Context(rung, "original", "goldens", str(subject), again)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("rung", BOTH)
def test_forward(rung, name, ledger):
    """Outputs and regularisation losses, and that the same is refused."""
    for one in ran(rung, name):
        where = context(rung, one.subject)
        ledger.check(one.expected.refusal(where, one.rung))
        shapes = [{key: value.shape for key, value in made.variables.items()} for made in (one.rung, one.original)]
        assert one.original.refused or shapes[0] == shapes[1], (str(one.subject), shapes)
        values = [key for key in one.expected.reference if "gradients/" not in key]
        for measurement in compare(where, one.rung.arrays(), one.expected, values):
            ledger.check(measurement)


@pytest.mark.parametrize("name", DIFFERENTIABLE)
@pytest.mark.parametrize("rung", BOTH)
def test_gradients(rung, name, ledger):
    """Gradients of the output and of the losses, to the input and to everything that is learned."""
    for one in ran(rung, name):
        gradients = [key for key in one.expected.reference if "gradients/" in key]
        for measurement in compare(context(rung, one.subject), one.rung.arrays(), one.expected, gradients):
            ledger.check(measurement)


@pytest.mark.parametrize("change", [
    pytest.param(c, id=c.name) for c in benign() if c.rung == "og_leaf" and c.stage not in ("mel", "norm")
])  # fmt: skip
@pytest.mark.og_leaf
def test_a_benign_change_passes(change):
    """In the layers and functions that it touches; ``Leaf``, which has every stage, has goldens of its own."""
    names = SMOOTHED if change.stage in ("ema", "pcen") else FILTERED
    with change.plant():
        own = [(subject, expected, run_torch(subject, {})[0]) for n in names for _, subject, expected in recorded(n)]
    for subject, expected, outcome in own:
        measured = list(compare(context("og_leaf", subject), outcome.arrays(), expected))
        assert [str(m) for m in measured if not m.holds] == []


@pytest.mark.parametrize("name", TRAINED)
@pytest.mark.parametrize("rung", BOTH)
def test_a_step(rung, name, ledger):
    """Every variable after one step down the gradient of output and losses, constraints applied."""
    for one in ran(rung, name):
        where = context(rung, one.subject)
        assert set(one.after) >= set(one.trained), str(one.subject)
        for variable in one.trained:
            verdict, relation, aside = stepped(one, variable, one.after[variable])
            here = where.aside() if aside else where
            ledger.check(here.measurement(name, "training step", verdict, relation))


def stepped(one: Ran, variable: str, after: Array) -> tuple[Verdict, str, bool]:
    """The verdict on one variable after a step, its relation, and whether its gradient is one that cancels."""
    before, trained = one.original.variables[variable], one.trained[variable]
    same = status(after, trained)
    if not same.passes:
        return same, "rounding", False
    if np.array_equal(trained, before):
        return NOT_MOVED(after, trained), "bitwise", False
    own, theirs = after.astype(np.float64) - before, trained.astype(np.float64) - before
    verdict = UPDATE(own, theirs)
    if verdict.passes:
        return verdict, "rounding", False
    reason = f"the rounding of both new values, and the rate times the reference's error and {one.expected.faithful}"
    return Verdict("direct", norm(own - theirs) / leeway(one, variable), 1.0, reason), "rounding", True


def leeway(one: Ran, variable: str) -> float:
    """How far apart rounding may take two steps of a variable, L2."""
    keys = [key for key in (f"gradients/{variable}", f"loss_gradients/{variable}") if key in one.expected.reference]
    of_gradient = one.rates[variable] * sum(one.expected.apart(key, norm) or 0.0 for key in keys)
    return of_gradient + 2 * unit_roundoff("float32") * norm(one.trained[variable])


def noticed(one: Ran, after: Mapping[str, Array]) -> set[str]:
    """The variables that are not what the original's step made of them."""
    return {name for name in one.trained if not stepped(one, name, after[name])[0].passes}


def moved(one: Ran) -> set[str]:
    """The variables that the original's step moved by more than rounding can."""
    before = one.original.variables
    steps = {name: norm(value.astype(np.float64) - before[name]) for name, value in one.trained.items()}
    return {name for name, length in steps.items() if length and length > leeway(one, name)}


@pytest.mark.parametrize("name", TRAINED)
@pytest.mark.og_leaf
def test_an_optimizer_that_does_nothing_is_noticed_at_every_variable(name):
    learned, seen = set(), set()
    for one in ran("og_leaf", name):
        assert noticed(one, one.original.variables) == moved(one)
        learned |= set(one.rates)
        seen |= moved(one)
    assert seen == learned


@pytest.mark.parametrize("name", ["GaborConv1D", "NormalizedConv1D", "Leaf"])
@pytest.mark.og_leaf
def test_a_missing_projection_is_noticed(name):
    found = [
        noticed(one, run_torch(one.subject, one.rates, projects=False)[1])
        for one in ran("og_leaf", name)
        if not one.original.refused
    ]
    assert {"kernel"} in found
    assert all(variables <= {"kernel"} for variables in found)
