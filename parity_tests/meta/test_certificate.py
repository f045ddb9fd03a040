"""The certificate: its claims, its cells, its file and its page."""

from __future__ import annotations

import json
import math
import os
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch

from parity.adapters.rungs import RUNGS
from parity.cases.public_names import PUBLIC
from parity.report.cells import WHOLE, Cell, cells, states
from parity.report.certificate import Certificate
from parity.report.claims import Claim
from parity.report.environment import describe
from parity.report.instrument import parts
from parity.report.page import Picture, render
from parity.report.table import render as render_table
from parity_tests.helpers.certificates import FIELDS, HOLDS, certified, logged, measured, run
from parity_tests.helpers.refusals import refused

NAN, INFINITE = float("nan"), float("inf")
FAILED = ["claims failed: 1"]

# measurements and claims


@pytest.mark.parametrize("change", [
    {"criterion": "eye"}, {"relation": "close"}, {"property": "speed"}, {"bound": INFINITE}, {"bound": -1.0},
    {"bound": NAN}, {"at_least": 0.1}, {"at_least": 2.0, "criterion": "divergence"},
], ids=str)  # fmt: skip
def test_measurement_that_claims_nothing_is_refused(change):
    name, value = next(iter(change.items()))
    refused(lambda: measured(**change), ValueError, f"{name}={value!r}", "must")


def test_worst_case_is_kept_whatever_the_order():
    cases = [{"observed": observed, "case": str(observed)} for observed in (0.2, NAN, 0.9, 0.1)]
    for order, worst in ((cases, "nan"), (cases[::-1], "nan"), ([cases[i] for i in (0, 2, 3)], "0.9")):
        (claim,) = logged(*order).claims
        assert (claim.worst.case, claim.n_cases) == (worst, len(order))


@pytest.mark.parametrize("order", [(0.2, NAN, 0.1), (NAN, 0.2), (0.2, NAN)], ids=str)
def test_nan_stays_in_what_was_seen(order):
    (claim,) = logged(*({"observed": observed, "case": str(observed)} for observed in order)).claims
    assert math.isnan(claim.lowest)
    assert math.isnan(claim.highest)
    assert claim.worst.ratio == INFINITE


def test_measurements_of_another_process_are_merged():
    cases = [{"observed": observed, "case": str(i)} for i, observed in enumerate((0.2, 0.9, NAN, 0.4))]
    here, there = logged(*cases[::2]), logged(*cases[1::2])
    here.merge(json.loads(json.dumps(there.dump(), allow_nan=False)))
    assert repr(here.claims) == repr(logged(*cases).claims)


@pytest.mark.parametrize(("changes", "verdict"), [
    ({"observed": 0.049}, "slack"),
    ({"observed": 0.051}, "certified"),
    ({"observed": 1e-12, "bound": 2.0**-24}, "certified"),  # under a unit in the last place nothing is loose
])  # fmt: skip
def test_loose_bound_is_called_slack(changes, verdict):
    (claim,) = logged(changes).claims
    assert claim.verdict == verdict


# cells

OUTPUT = Cell("og_leaf", "forward", "output", "float32")
NAMES = {entry.name for entry in PUBLIC}
DIVERGES = {"criterion": "divergence", "relation": "divergent"}


def test_no_cell_comes_twice_and_every_property_has_some():
    assert len(set(cells())) == len(list(cells()))
    assert {cell.property for cell in cells()} == {
        "status", "forward", "input gradient", "parameter gradient", "training step", "trajectory", "bridge round trip",
    }  # fmt: skip


@pytest.mark.parametrize("rung", RUNGS)
def test_stages_have_cells_in_both_types_and_public_names_in_rungs_0_and_1(rung):
    own = [cell for cell in cells() if cell.rung == rung]
    for dtype in ("float32", "float64"):
        stages = {c.stage for c in own if (c.property, c.dtype) == ("forward", dtype)}
        assert stages - NAMES == set(RUNGS[rung].stages)
    n_public = sum(len(entry.properties) for entry in PUBLIC) if rung in WHOLE else 0
    assert len([c for c in own if c.stage in NAMES]) == n_public


@pytest.mark.parametrize(("changes", "expected"), [
    ([], "empty"), ([{}], "certified"), ([{"stage": "pool"}], "empty"), ([DIVERGES], "declared"),
    ([DIVERGES, {}], "certified"), ([{}, {"observed": 2.0}], "failed"),
    ([DIVERGES, {"observed": 2.0, "criterion": "accuracy"}], "failed"),
], ids=str)  # fmt: skip
def test_state_of_a_cell(changes, expected):
    assert states(logged(*changes).claims)[OUTPUT] == expected


def test_the_line_counts_every_cell():
    n = len(list(cells()))
    said = f"of {n} combinations of rung, stage, property and type 1 hold, {n - 1} were not compared"
    assert parts(certified({})) == [said]


# the file


@pytest.fixture(scope="module")
def scratch(tmp_path_factory):
    worse = "def test_worse(ledger): ledger.check(measurement(0.75, case='worse', reproduce='again'))\n"
    return run(tmp_path_factory.mktemp("scratch"), HOLDS + worse)


def test_claim_has_every_field(scratch):
    (claim,) = scratch.certificate["claims"]
    expected = {
        **FIELDS, "observed": 0.75, "case": "worse", "reproduce": "again", "n_cases": 2, "verdict": "certified",
        "lowest": 0.5, "highest": 0.75,
    }  # fmt: skip
    assert {name: claim[name] for name in expected} == expected


def test_environment_has_every_field(scratch):
    environment, here = scratch.certificate["environment"], describe(Path.cwd())
    assert {"python", "platform", "packages", "commit", "cpu", "threads", "onednn"} <= set(environment)
    assert {"numpy", "torch"} <= set(environment["packages"])
    assert environment["cpu"]["cores"] == os.cpu_count()
    assert isinstance(environment["cpu"]["features"], list)
    assert environment["commit"] is None  # outside of a checkout
    assert {"torch", "tensorflow"} <= set(environment["threads"])
    assert {"torch", "TF_ENABLE_ONEDNN_OPTS"} <= set(environment["onednn"])
    assert here["threads"]["torch"]["intra"] == torch.get_num_threads()
    assert here["onednn"]["torch"] == (torch.backends.mkldnn.is_available() and torch.backends.mkldnn.enabled)


@pytest.mark.parametrize("observed", [0.5, NAN, INFINITE])
def test_certificate_is_read_back(observed, tmp_path):
    sent = certified({"observed": observed}, tests={"passed": 1}, notes=["a note"], failures=["one"])
    sent.write(tmp_path / "certificate.json")
    for path in (tmp_path, tmp_path / "certificate.json"):
        assert repr(Certificate.read(path)) == repr(sent)


@pytest.mark.parametrize(("text", "named"), [
    ("", "must have content"), ("[]", "list"), ("{}", "schema=None"), ('{"schema": 99}', "schema=99"),
    ('{"schema": 4}', "schema=4: must be 5"), ('{"schema": 5}', "must have claims, environment"),
])  # fmt: skip
def test_what_is_no_certificate(text, named, tmp_path):
    path = tmp_path / "certificate.json"
    path.write_text(text)
    refused(lambda: Certificate.read(tmp_path), ValueError, str(path), named)


def test_claim_without_a_field_is_refused():
    row = Claim(measured(), 1, 0.5, 0.5).as_dict()
    del row["bound"]
    refused(lambda: Claim.from_dict(row), ValueError, "must have bound")


# the page, and the table on the terminal


class Page(HTMLParser):
    """Collects what a page would load, and whether its elements are closed in order."""

    VOID = frozenset({"meta", "img", "br", "link", "input", "hr", "source"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        if tag not in self.VOID:
            self.open.append(tag)
        if tag in ("script", "link", "iframe", "object", "embed", "base"):
            self.loaded.append(tag)
        self.loaded += [value for name, value in attrs if name in ("src", "srcset", "data", "poster", "background")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_page_is_whole_and_needs_nothing_beside_it(scratch):
    page = Page(scratch.page)
    assert page.open == []
    assert page.loaded == ["link", "script", "script"]  # an empty icon, the claims, and what shows them
    assert not re.search(r"(src|href)=.(?!#|data:)|@import|url\(", scratch.page)


def test_pictures_are_inside_the_page():
    pictures = [Picture("A title", "what to look for", "what it shows", data) for data in (b"\x89PNG", b"RIFF    WEBP")]
    page = Page(render(certified({}), pictures))
    shown = [value.partition(",")[0] for value in page.loaded if value.startswith("data:image")]
    assert shown == ["data:image/png;base64", "data:image/webp;base64"]


def test_page_escapes_what_it_is_given():
    bad = "</script><script>alert(1)</script>"
    text = render(certified({"observed": 2.0, "case": bad, "reproduce": bad}, failures=FAILED))
    assert "alert(1)" in text
    assert bad not in text
    assert Page(text).loaded.count("script") == 2


def test_page_and_table_show_the_claim(scratch):
    for text in (scratch.page, scratch.out):
        assert all(word in text for word in ("og_leaf", "tf_leaf", "scratch"))
    assert "75 %  og_leaf <- tf_leaf" in scratch.out
    assert '<td class="n">75</td>' in scratch.page


@pytest.mark.parametrize("observed", [NAN, INFINITE])
def test_table_shows_what_is_not_finite_as_failed(observed):
    assert "failed" in render_table(certified({"observed": observed}, failures=FAILED))
