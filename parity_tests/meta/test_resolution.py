"""Resolution of the certificate: a constant can be changed where it stands, and a few small changes are noticed."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch

from leaf import filterbank, filters
from parity.criteria import Exactly, OfMax
from parity.mutation import benign, faults
from parity.mutation.constants import constants, scaled, shifted
from parity.mutation.detectors import own
from parity.mutation.planting import Edit, NotPlantedError, Patch, planted, replacing
from parity.mutation.resolution import (
    OF_CONSTANTS,
    OF_PARAMETERS,
    changes,
    resolution,
    resolution_of_parameter,
    smallest,
)

WINDOWS = "leaf.filters:gauss_windows"
SAME = Exactly("nothing was changed")
KNOWN = Exactly("one of the values that are tried")
ROUNDED = OfMax(1e-14, "a few roundings of float64")
SIZE, WIDTH = 9, torch.tensor([0.3], dtype=torch.float64)


@pytest.fixture(params=["tf_leaf", "og_leaf", "leaf", "efficientleaf"])
def rung(request):
    if request.param == "tf_leaf":
        request.getfixturevalue("tensorflow")
    return request.param


def listed(rung: str, *names: str):
    return [c for c in constants(rung) if c.name in names]


def ids(constant) -> str:
    return f"{constant.rung}-{constant.name}"


def test_an_expression_is_multiplied_where_it_stands():
    z = (np.arange(SIZE) - (SIZE - 1) / 2) / ((SIZE - 1) / 2) / 0.3
    with planted(scaled(WINDOWS, "0.5")(3.0)):
        # by the name under which another module has imported it
        got = filterbank.gauss_windows(SIZE, WIDTH)
    assert ROUNDED(got[0].numpy(), np.exp(-1.5 * z**2)).passes


def test_an_expression_that_stands_twice_is_told_by_what_is_around_it():
    half = (SIZE - 1) / 2
    with planted(scaled(WINDOWS, "middle", "middle or 1.0")(2.0)):
        got = filters.gauss_windows(SIZE, WIDTH)
    assert ROUNDED(got[0].numpy(), np.exp(-0.5 * ((np.arange(SIZE) - half) / (2 * half) / 0.3) ** 2)).passes


def test_a_limit_at_zero_is_shifted():
    bank = filterbank.GaborFilterbank(1, 60.0, 1900.0, 4000, SIZE, SIZE, 4)
    with torch.no_grad():
        bank.center_freqs.fill_(-1.0)
    with planted(shifted("leaf.filterbank:GaborFilterbank.filters", "0.0")(1.25)):
        got = bank.filters()[:, 0].detach()
    with torch.no_grad():
        bank.center_freqs.fill_(0.25)
    assert SAME(got.numpy(), bank.filters()[:, 0].detach().numpy()).passes


def test_what_was_planted_is_taken_out():
    code, before = filters.gauss_windows.__code__, filters.gauss_windows(SIZE, WIDTH)

    def interrupted() -> None:
        with planted(scaled(WINDOWS, "0.5")(3.0)):
            assert filters.gauss_windows.__code__ is not code
            raise KeyError

    with pytest.raises(KeyError):
        interrupted()
    assert filters.gauss_windows.__code__ is code
    assert SAME(filters.gauss_windows(SIZE, WIDTH).numpy(), before.numpy()).passes


MISSING = {
    "gone": ("0.25", "", "0 times"),
    "twice, and not said which": ("middle", "", "2 times"),
    "gone from what is around it": ("0.25", "middle or 1.0", "0 times"),
    "what is around it gone": ("middle", "middle or 2.0", "0 times"),
    "an argument without that default": ("9", "size: int = 9", "must be an argument"),
}


@pytest.mark.parametrize(("expression", "inside", "why"), MISSING.values(), ids=MISSING)
def test_an_expression_that_is_not_there_once_is_named(expression, inside, why):
    code = filters.gauss_windows.__code__
    with pytest.raises(NotPlantedError, match=f"^{WINDOWS}.*{why}"), planted(Edit(WINDOWS, expression, "1", inside)):
        pass
    assert filters.gauss_windows.__code__ is code


def test_of_two_in_one_expression_the_hole_says_which():
    def product(a: float, b: float = 2.0, *, c: float = 2.0) -> float:
        return a * 2.0 - 2.0

    globals()["product"] = product  # a function of this module, as those of a rung's are
    here = f"{__name__}:product"
    one = Exactly("one of four is 3")
    for inside, expected in (("a * 2.0 - _", 5.0), ("a * _", 10.0)):
        with planted(Edit(here, "2.0", "3.0", inside)):
            assert one(product(4.0), expected).passes
    for inside, argument in (("b: float = 2.0", 0), ("c: float = 2.0", "c")):
        with planted(Edit(here, "2.0", "it + 1", inside)):
            found = product.__kwdefaults__ if argument == "c" else product.__defaults__
            assert one(found[argument], 3.0).passes


def test_edits_of_one_function_are_planted_together():
    z = (np.arange(SIZE) - (SIZE - 1) / 2) / ((SIZE - 1) / 4) / 0.3
    edits = (Edit(WINDOWS, "0.5", "it * 3"), Edit(WINDOWS, "middle or 1.0", "middle / 2"))
    with planted(edits):
        assert ROUNDED(filters.gauss_windows(SIZE, WIDTH)[0].numpy(), np.exp(-1.5 * z**2)).passes


def test_edits_inside_of_each_other_are_refused():
    edits = (Edit(WINDOWS, "middle or 1.0", "1.0"), Edit(WINDOWS, "middle", "1.0", inside="middle or 1.0"))
    with pytest.raises(NotPlantedError, match="0 times"), planted(edits):
        pass


def test_a_constant_that_has_gone_is_no_resolution():
    gone = replace(listed("leaf", "window-exponent")[0], change=scaled(WINDOWS, "0.25"))
    with pytest.raises(NotPlantedError):
        resolution(gone)


@pytest.mark.parametrize("threshold", [3e-7, 1e-2, 2e-15])
def test_the_smallest_that_is_noticed_is_found(threshold):
    tried = changes(("float64",))
    found = smallest(lambda change: abs(change) > threshold, tried)
    assert KNOWN(found, min(change for change in tried if change > threshold)).passes


@pytest.mark.parametrize(("up", "down"), [(1e-9, 3e-6), (3e-6, 1e-9)])
def test_the_coarser_of_the_two_signs_counts(up, down):
    tried = changes(("float64",))
    found = smallest(lambda change: not -down <= change <= up, tried)
    assert KNOWN(found, min(change for change in tried if change > max(up, down))).passes


def test_the_ends_of_what_is_tried():
    tried = changes(("float64", "float32"))
    assert KNOWN(smallest(lambda change: True, tried), tried[0]).passes
    assert KNOWN(smallest(lambda change: False, tried), math.inf).passes
    assert KNOWN(smallest(lambda change: abs(change) == tried[-1], tried), tried[-1]).passes


def test_every_constant_can_be_planted(rung):
    listed_ones = constants(rung)
    for constant in listed_ones:
        with planted(constant.change(1.0)):
            pass
    repeated = {name: n for name, n in Counter(c.name for c in listed_ones).items() if n > 1}
    assert not repeated


def test_every_fault_and_every_benign_change_can_be_planted(rung):
    own_ones = [change for change in (*faults(), *benign()) if change.rung == rung]
    assert own_ones
    for change in own_ones:
        with change.plant():
            pass


def test_what_a_frontend_decides_for_itself(rung, ledger):
    for measurement in own(rung):
        ledger.check(measurement)


A_FEW = [
    *listed("leaf", "mel-break", "mu-most", "mu-least", "window-middle", "eps"),
    *listed("efficientleaf", "width-ratio", "sigma-least", "kernel-factor", "norm-eps", "norm-momentum"),
]
PARAMETERS = [("leaf", "PCEN/alpha"), ("leaf", "kernel"), ("efficientleaf", "learnable_pooling/kernel")]


@pytest.mark.parametrize("constant", A_FEW, ids=ids)
def test_a_constant_is_seen_at_its_stage(constant):
    assert OF_CONSTANTS(resolution(constant)).passes


@pytest.mark.parametrize("dtypes", [("float64", "float32"), ("float32",)], ids="-".join)
@pytest.mark.parametrize(("rung", "variable"), PARAMETERS)
def test_a_parameter_is_seen_end_to_end(rung, variable, dtypes):
    assert OF_PARAMETERS(resolution_of_parameter(rung, variable, dtypes)).passes


@pytest.mark.parametrize("parameter", listed("efficientleaf", "log1p.a", "TBN.bn.bias"), ids=ids)
def test_a_parameter_of_the_compression_is_seen_end_to_end(parameter):
    assert OF_PARAMETERS(resolution(parameter, ("float32",))).passes


@pytest.mark.usefixtures("tensorflow")
@pytest.mark.parametrize("constant", listed("og_leaf", "mel-lowest", "half-peak", "norm-eps"), ids=ids)
def test_a_constant_of_the_original_is_seen_at_its_stage(constant):
    assert OF_CONSTANTS(resolution(constant)).passes


def test_no_other_stage_is_looked_at():
    elsewhere = replace(listed("leaf", "window-exponent")[0], stage="filters")
    assert KNOWN(resolution(elsewhere), math.inf).passes


def test_a_stage_that_is_not_measured_is_no_resolution():
    nowhere = replace(listed("leaf", "window-exponent")[0], stage="norm")
    with pytest.raises(ValueError, match="norm must be measured"):
        resolution(nowhere)


def test_a_refusal_is_no_resolution():
    """Else a number that only a check of arguments reads would be noticed at the smallest of changes."""

    def refuse(size: int, widths: torch.Tensor) -> torch.Tensor:
        raise ValueError("refused")

    plant = Patch(replacing("leaf.filterbank:gauss_windows", lambda own: refuse), "a function of this test")
    refused = replace(listed("leaf", "window-exponent")[0], change=lambda factor: plant)
    with pytest.raises(ValueError, match="refused"):
        resolution(refused)
