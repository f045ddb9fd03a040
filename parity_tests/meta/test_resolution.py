"""Resolution of the certificate: a constant can be changed where it stands, and a few small changes are noticed."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch

from leaf import filterbank, filters
from parity.adapters.rungs import RUNGS
from parity.criteria import Exactly, OfMax
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


def listed(rung: str, *names: str):
    return [c for c in constants(rung) if c.name in names]


HALF = (SIZE - 1) / 2
T = (np.arange(SIZE) - HALF) / HALF / 0.3
CHANGED = {
    "multiplied": (scaled(WINDOWS, "0.5")(3.0), -1.5 * T**2),
    "told by what is around it": (scaled(WINDOWS, "middle", "middle or 1.0")(2.0), -0.125 * T**2),
    "two together": ((Edit(WINDOWS, "0.5", "it * 3"), Edit(WINDOWS, "middle or 1.0", "middle / 2")), -6 * T**2),
}


@pytest.mark.parametrize(("changes_made", "exponent"), CHANGED.values(), ids=CHANGED)
def test_an_expression_is_changed_where_it_stands(changes_made, exponent):
    with planted(changes_made):
        # by the name under which another module has imported it, too
        for module in (filters, filterbank):
            assert ROUNDED(module.gauss_windows(SIZE, WIDTH)[0].numpy(), np.exp(exponent)).passes


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


WHOLE = "middle or 1.0"
MISSING = {  # why, and the edits
    "gone": ("0 times", ("0.25", "1")),
    "twice, and not said which": ("2 times", ("middle", "1")),
    "gone from what is around it": ("0 times", ("0.25", "1", WHOLE)),
    "what is around it gone": ("0 times", ("middle", "1", "middle or 2.0")),
    "an argument without that default": ("must be an argument", ("9", "1", "size: int = 9")),
    "inside of another edit": ("0 times", (WHOLE, "1.0"), ("middle", "1.0", WHOLE)),
}


@pytest.mark.parametrize("kind", MISSING)
def test_an_expression_that_is_not_there_once_is_named(kind):
    (why, *edits), code = MISSING[kind], filters.gauss_windows.__code__
    with (
        pytest.raises(NotPlantedError, match=f"^{WINDOWS}.*{why}"),
        planted(tuple(Edit(WINDOWS, *edit) for edit in edits)),
    ):
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


TRIED = changes(("float64", "float32"))
NOTICED = {  # above the first, below minus the second
    "a few tried": (2e-15, 2e-15, 10**-14.5),
    "half of them": (3e-7, 3e-7, 10**-6.5),
    "most of them": (1e-2, 1e-2, 10**-1.5),
    "coarser upwards": (3e-6, 1e-9, 10**-5.5),
    "coarser downwards": (1e-9, 3e-6, 10**-5.5),
    "all": (0.0, 0.0, TRIED[0]),
    "the largest": (0.05, 0.05, TRIED[-1]),
    "none": (1.0, 1.0, math.inf),
}


@pytest.mark.parametrize(("up", "down", "expected"), NOTICED.values(), ids=NOTICED)
def test_the_smallest_that_is_noticed_with_either_sign_is_found(up, down, expected):
    assert KNOWN(smallest(lambda change: not -down <= change <= up, TRIED), expected).passes


def test_no_constant_of_a_rung_has_the_name_of_another():
    names = Counter((constant.rung, constant.name) for rung in RUNGS for constant in constants(rung))
    assert [name for name, n in names.items() if n > 1] == []


@pytest.mark.parametrize("rung", RUNGS)
def test_what_a_frontend_decides_for_itself(rung, ledger, request):
    if rung == "tf_leaf":
        request.getfixturevalue("tensorflow")
    for measurement in own(rung):
        ledger.check(measurement)


# one of each; all of them are looked at where the certificate's resolution is measured
def test_a_constant_is_seen_at_its_stage():
    (most,) = listed("leaf", "mu-most")
    assert OF_CONSTANTS(resolution(most)).passes


@pytest.mark.parametrize("dtypes", [("float64", "float32"), ("float32",)], ids="-".join)
def test_a_parameter_is_seen_end_to_end(dtypes):
    assert OF_PARAMETERS(resolution_of_parameter("leaf", "PCEN/alpha", dtypes)).passes


def refused(size: int, widths: torch.Tensor) -> torch.Tensor:
    raise ValueError("refused")


PLANT = Patch(replacing("leaf.filterbank:gauss_windows", lambda own: refused), "a function of this test")
NO_RESOLUTION = {
    "an expression that has gone": ({"change": scaled(WINDOWS, "0.25")}, "0 times"),
    "a stage that is not measured": ({"stage": "norm"}, "norm must be measured"),
    # else a number that only a check of arguments reads would be noticed at the smallest of changes
    "a refusal": ({"change": lambda factor: PLANT}, "refused"),
}


(EXPONENT,) = listed("leaf", "window-exponent")


@pytest.mark.parametrize(("different", "why"), NO_RESOLUTION.values(), ids=NO_RESOLUTION)
def test_what_is_no_resolution(different, why):
    with pytest.raises((NotPlantedError, ValueError), match=why):
        resolution(replace(EXPONENT, **different))


def test_no_other_stage_is_looked_at():
    assert KNOWN(resolution(replace(EXPONENT, stage="filters")), math.inf).passes
