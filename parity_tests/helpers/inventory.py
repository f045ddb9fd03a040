"""Holding a rung to every public name of the original: shared by rungs 0 and 1, which claim to have them all.

Every subject is run on what was recorded of it, variables and input, so that nothing but the rung makes a difference.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any

import numpy as np

from fixtures import inventory, store
from parity.adapters import subject_oracle
from parity.cases.public_names import public
from parity.cases.subjects import Subject
from parity.checks.grid import FORWARD, FORWARD_NORM, GRADIENT, GRADIENT_NORM, Context, largest_distances
from parity.checks.subjects import SAME_REFUSAL
from parity.criteria import Envelope, OfMax, Size, Verdict, norm, peak, status, unit_roundoff
from parity.criteria.outcome import Array, Outcome
from parity.mutation.planting import Benign
from parity.report.cells import claimed
from parity.report.claims import MeasurementLog
from parity_tests.helpers.training_steps import NOT_MOVED, UPDATE

NAMES = store.names(store.INVENTORY)
TRAINED = [name for name in NAMES if "training" in public(name).properties]
DIFFERENTIABLE = [name for name in NAMES if "gradient" in public(name).properties]
FILTERED = (
    "GaborConv1D", "NormalizedConv1D", "SincConv1D", "SquaredModulus", "GaussianLowpass", "LearnablePooling1D",
    "ChannelWiseLearnablePooling1D", "gabor_impulse_response", "gabor_filters", "gaussian_lowpass",
)  # fmt: skip
SMOOTHED = ("PCENLayer",)
ROUNDING = unit_roundoff("float32")
ENVELOPE = Envelope(8, 2 * 600)  # some 600 arrays on either rung, each of which might leave it
APART = (
    f"the original's error, and {ENVELOPE.factor:.3g} times the largest of {ENVELOPE.n_draws} of the float64 oracle "
    "with a rounding at every stage, sums in their worst order"
)


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
    original: Outcome
    rung: Outcome
    rates: Mapping[str, float]
    after: Mapping[str, Array]  # the rung's variables after a step; empty where none are learned

    @property
    def trained(self) -> dict[str, Array]:
        """The original's variables after that step."""
        return store.below(self.subject.arrays, "after")

    @cached_property
    def truth(self) -> dict[str, Array]:
        """The float64 oracle's arrays, of the same float32 numbers."""
        return subject_oracle.run(self.subject).arrays()

    @cached_property
    def _scatter(self) -> dict[str, dict[Size, float]]:
        generators = (np.random.default_rng(seed) for seed in range(ENVELOPE.n_draws))
        draws = (subject_oracle.run(self.subject, None, rng, ROUNDING).arrays() for rng in generators)
        return largest_distances(draws, self.truth)

    def scatter(self, key: str, size: Size) -> float:
        """How far from the original a faithful implementation may be: what the original is off, and what it may be."""
        return size(self.original.arrays()[key] - self.truth[key]) + ENVELOPE.factor * self._scatter[key][size]

    @property
    def with_norm(self) -> bool:
        """Whether it ends with a normalisation, which divides by a standard deviation."""
        own = self.subject.arguments
        layer_norm = self.subject.name == "SincNet" or own.get("compression") == "layer_norm"
        return bool(layer_norm or own.get("mean_var_norm"))


@cache
def recorded(name: str) -> list[tuple[dict[str, Any], Recorded]]:
    """The subjects of a public name, as they were recorded, each with its entry of the manifest."""
    about, arrays = store.read(name, store.INVENTORY)
    out = []
    for i, entry in enumerate(about["subjects"]):
        plain = Subject.parse(entry["subject"])
        fields = (plain.name, plain.settings, plain.shape, plain.seed, plain.weights)
        out.append((entry, Recorded(*fields, store.below(arrays, str(i)))))
    return out


@cache
def ran(rung: str, name: str) -> list[Ran]:
    """Every subject of a public name on a rung."""
    out = []
    for entry, subject in recorded(name):
        if rung == "tf_leaf":
            outcome, after, _ = inventory.run(subject, rung, entry["rates"])
        else:
            outcome, after = run_torch(subject, entry["rates"])
        original = inventory.outcome_of(entry, subject.arrays)
        out.append(Ran(subject, original, outcome, entry["rates"], after))
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

    class Stepped(adapter._Run):
        built: Any = None

        def build(self) -> Any:
            call, self.built = super().build()
            return call, self.built

    run = Stepped(subject, torch.float32, {})
    try:
        outcome = run.outcome()
    except adapter.REFUSALS as refusal:
        return Outcome(refused=type(refusal).__name__), {}
    if run.built is None or "training" not in public(subject.name).properties:
        return outcome, {}
    held = adapter.canonical_names(run.built)
    learned = {name: tensor for name, tensor in held.items() if tensor.requires_grad}
    assert set(learned) == set(rates) or not rates, (sorted(learned), sorted(rates))
    if rates:
        optimizer = torch.optim.SGD([{"params": [tensor], "lr": rates[name]} for name, tensor in learned.items()])
        if projects and any(isinstance(part, Constraint) for part in run.built.modules()):
            og_leaf.project_after_step(optimizer, run.built)
        for name, tensor in learned.items():
            slope = adapter.from_original(inventory.slope(outcome, name))
            tensor.grad = torch.tensor(np.ascontiguousarray(slope))
        optimizer.step()
    return outcome, {name: np.array(adapter.to_original(tensor)) for name, tensor in held.items()}


def context(rung: str, one: Ran) -> Context:
    """What the measurements of one subject have in common."""
    file = f"parity_tests/rungs/{rung}/test_inventory_goldens.py"
    return Context(
        rung=rung, reference="original", domain="goldens", case=str(one.subject),
        reproduce=f"pytest {file} -k '[{one.subject.name}]'",
    )  # fmt: skip


def check_forward(rung: str, name: str, ledger: MeasurementLog) -> None:
    """Outputs and regularisation losses, and that the same is refused."""
    for one in ran(rung, name):
        where = context(rung, one)
        same = SAME_REFUSAL([one.rung.refused is not None], [one.original.refused is not None])
        ledger.check(where.measurement(name, "forward", same, "bitwise"))
        if one.original.refused:
            continue
        shapes = [
            sorted((key, value.shape) for key, value in outcome.variables.items())
            for outcome in (one.rung, one.original)
        ]
        assert shapes[0] == shapes[1], (str(one.subject), shapes)
        criterion = FORWARD_NORM if one.with_norm else FORWARD
        for key in ("output", "losses"):
            if key in one.original.arrays():
                judge(where, name, "forward", criterion, key, one, ledger)


def check_gradients(rung: str, name: str, ledger: MeasurementLog) -> None:
    """Gradients of the output and of the losses, to the input and to everything that is learned."""
    of_variables = claimed(public(name), "gradient")
    for one in ran(rung, name):
        where = context(rung, one)
        criterion = GRADIENT_NORM if one.with_norm else GRADIENT
        expected = [key for key in one.original.arrays() if "gradients/" in key]
        missing = set(expected) - set(one.rung.arrays())
        assert not missing, (str(one.subject), missing)
        for key in expected:
            property = "input gradient" if key.endswith("gradients/input") else of_variables
            judge(where, name, property, criterion, key, one, ledger)


def check_benign(change: Benign) -> None:
    """A change of og_leaf that means the same, in what was recorded of the layers and functions that it touches.

    Of the frontends only ``Leaf`` has all of the stages that are changed, and goldens of its own.
    """
    names = SMOOTHED if change.stage in ("ema", "pcen") else FILTERED
    with change.plant():
        own = [(name, subject, *run_torch(subject, {})) for name in names for _, subject in recorded(name)]
    for name, subject, outcome, after in own:
        (original,) = (one.original for one in ran("og_leaf", name) if one.subject is subject)
        if original.refused:
            continue
        one = Ran(subject, original, outcome, {}, after)
        for key in original.arrays():
            criteria = (GRADIENT, GRADIENT_NORM) if "gradients/" in key else (FORWARD, FORWARD_NORM)
            for verdict, _ in judged(criteria[one.with_norm], key, one):
                assert verdict.passes, (str(subject), key, verdict)


def judge(where: Context, name: str, property: str, criterion: Any, key: str, one: Ran, ledger: MeasurementLog) -> None:
    """One array against the original's."""
    for verdict, aside in judged(criterion, key, one):
        here = where.aside() if aside else where
        ledger.check(here.measurement(name, property, verdict, "rounding"))


def judged(criterion: Any, key: str, one: Ran) -> Iterator[tuple[Verdict, bool]]:
    """The verdicts on an array, each with whether it is in units of what rounding makes of it: where a sum cancels."""
    candidate, reference = one.rung.arrays()[key], one.original.arrays()[key]
    yield status(candidate, reference), False
    verdict = criterion(candidate, reference)
    if verdict.passes:
        yield verdict, False
        return
    size = peak if isinstance(criterion, OfMax) else norm
    difference = size(np.asarray(candidate, dtype=np.float64) - reference)
    yield Verdict("direct", difference / one.scatter(key, size), 1.0, APART), True


def check_training(rung: str, name: str, ledger: MeasurementLog) -> None:
    """Every variable after one step down the gradient of output and losses, constraints applied."""
    for one in ran(rung, name):
        where = context(rung, one)
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
    reason = f"the rounding of both new values, and the rate times {APART}"
    return Verdict("direct", norm(own - theirs) / leeway(one, variable), 1.0, reason), "rounding", True


def leeway(one: Ran, variable: str) -> float:
    """How far apart rounding may take two steps of a variable, L2."""
    keys = [key for key in (f"gradients/{variable}", f"loss_gradients/{variable}") if key in one.original.arrays()]
    of_gradient = one.rates[variable] * sum(one.scatter(key, norm) for key in keys)
    return of_gradient + 2 * ROUNDING * norm(one.trained[variable])


def noticed(one: Ran, after: Mapping[str, Array]) -> set[str]:
    """The variables that are not what the original's step made of them."""
    return {name for name in one.trained if not stepped(one, name, after[name])[0].passes}


def moved(one: Ran) -> set[str]:
    """The variables that the original's step moved by more than rounding can."""
    before = one.original.variables
    steps = {name: norm(value.astype(np.float64) - before[name]) for name, value in one.trained.items()}
    return {name for name, length in steps.items() if length and length > leeway(one, name)}


def all_of(rung: str, names: list[str]) -> Iterator[Ran]:
    """Every subject of these names."""
    for name in names:
        yield from ran(rung, name)
