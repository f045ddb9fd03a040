"""The certificate: its fields, its page, and that neither is ever half written."""

from __future__ import annotations

import json
import os
import re
from html.parser import HTMLParser

import pytest

from parity.report import certificate
from parity.report.certificate import Certificate
from parity.report.claims import Claim, Measurement, MeasurementLog
from parity.report.environment import describe
from parity.report.page import Picture, render
from parity.report.table import render as render_table
from parity_tests.helpers.refusals import refused
from parity_tests.meta.scratch import FIELDS, HOLDS, run


def made(*measurements: Measurement, **fields) -> Certificate:
    ledger = MeasurementLog()
    for measurement in measurements:
        ledger.record(measurement)
    return Certificate(ledger.claims, {"python": "3"}, "2000-01-01T00:00:00+00:00", 1.0, **fields)


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
    environment = scratch.certificate["environment"]
    assert {"python", "platform", "packages", "commit", "cpu", "threads", "onednn"} <= set(environment)
    assert {"numpy", "torch"} <= set(environment["packages"])
    assert environment["cpu"]["cores"] == os.cpu_count()
    assert isinstance(environment["cpu"]["features"], list)
    assert {"torch", "tensorflow"} <= set(environment["threads"])
    assert {"torch", "TF_ENABLE_ONEDNN_OPTS"} <= set(environment["onednn"])


def test_threads_and_onednn_of_an_imported_library_are_said():
    import torch

    environment = describe(certificate.Path.cwd())
    assert environment["threads"]["torch"]["intra"] == torch.get_num_threads()
    assert environment["onednn"]["torch"] == (torch.backends.mkldnn.is_available() and torch.backends.mkldnn.enabled)


def test_commit_is_none_outside_of_a_checkout(scratch):
    assert scratch.certificate["environment"]["commit"] is None


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
    assert not re.search(r"(src|href)=.(?!#|data:)", scratch.page)
    assert "@import" not in scratch.page
    assert "url(" not in scratch.page


def test_pictures_are_inside_the_page():
    pictures = [Picture("A title", "what to look for", "what it shows", data) for data in (b"\x89PNG", b"RIFF    WEBP")]
    page = Page(render(made(Measurement(**FIELDS)), pictures))
    shown = [value.partition(",")[0] for value in page.loaded if value.startswith("data:image")]
    assert shown == ["data:image/png;base64", "data:image/webp;base64"]


def test_page_escapes_what_it_is_given():
    bad = "</script><script>alert(1)</script>"
    failing = Measurement(**{**FIELDS, "observed": 2.0, "case": bad, "reproduce": bad})
    text = render(made(failing, failures=["claims failed: 1"]))
    assert "alert(1)" in text
    assert bad not in text
    assert Page(text).loaded.count("script") == 2


def test_page_and_table_show_the_claim(scratch):
    for text in ("og_leaf", "tf_leaf", "scratch"):
        assert text in scratch.page
        assert text in scratch.out
    assert "75 %  og_leaf <- tf_leaf" in scratch.out
    assert '<td class="n">75</td>' in scratch.page


def test_certificate_is_read_back(tmp_path):
    sent = made(Measurement(**FIELDS), tests={"passed": 1}, notes=["a note"], failures=["one"])
    sent.write(tmp_path / "certificate.json")
    for path in (tmp_path, tmp_path / "certificate.json"):
        assert Certificate.read(path) == sent


@pytest.mark.parametrize("observed", [float("nan"), float("inf")])
def test_numbers_that_json_lacks_survive(observed, tmp_path):
    sent = made(Measurement(**{**FIELDS, "observed": observed}))
    sent.write(tmp_path / "certificate.json")
    (claim,) = Certificate.read(tmp_path).claims
    assert repr(claim.worst.observed) == repr(observed)
    assert claim.verdict == "failed"
    assert "failed" in render_table(
        made(Measurement(**{**FIELDS, "observed": observed}), failures=["claims failed: 1"])
    )


@pytest.mark.parametrize(("text", "named"), [
    ("", "must have content"), ("[]", "list"), ("{}", "schema=None"), ('{"schema": 99}', "schema=99"),
    ('{"schema": 4}', "schema=4: must be 5"), ('{"schema": 5}', "must have claims, environment"),
])  # fmt: skip
def test_what_is_no_certificate(text, named, tmp_path):
    path = tmp_path / "certificate.json"
    path.write_text(text)
    refused(lambda: Certificate.read(tmp_path), ValueError, str(path), named)


def test_claim_without_a_field_is_refused():
    row = {**Claim(Measurement(**FIELDS), 1, 0.5, 0.5).as_dict()}
    del row["bound"]
    refused(lambda: Claim.from_dict(row), ValueError, "must have bound")


CHANGES = [
    {"criterion": "eye"}, {"relation": "close"}, {"property": "speed"}, {"bound": float("inf")}, {"bound": -1.0},
    {"bound": float("nan")}, {"at_least": 0.1}, {"criterion": "divergence", "at_least": 2.0},
]  # fmt: skip


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_measurement_that_claims_nothing_is_refused(change):
    name = "at_least" if "at_least" in change else next(iter(change))
    refused(lambda: Measurement(**{**FIELDS, **change}), ValueError, f"{name}={change[name]!r}", "must")


def test_worst_case_is_kept_whatever_the_order():
    cases = [Measurement(**{**FIELDS, "observed": o, "case": str(o)}) for o in (0.2, float("nan"), 0.9, 0.1)]
    for order in (cases, cases[::-1]):
        (claim,) = made(*order).claims
        assert claim.worst.case == "nan"
        assert claim.n_cases == 4
    (claim,) = made(*(m for m in cases if m.case != "nan")).claims
    assert claim.worst.case == "0.9"


def test_measurements_of_another_process_are_merged():
    whole, here, there = MeasurementLog(), MeasurementLog(), MeasurementLog()
    for i, observed in enumerate((0.2, 0.9, float("nan"), 0.4)):
        for ledger in (whole, (here, there)[i % 2]):
            ledger.record(Measurement(**{**FIELDS, "observed": observed, "case": str(i)}))
    here.merge(json.loads(json.dumps(there.dump(), allow_nan=False)))
    assert repr(here.claims) == repr(whole.claims)


@pytest.mark.parametrize(("measured", "verdict"), [
    ({"observed": 0.049}, "slack"),
    ({"observed": 0.051}, "certified"),
    ({"observed": 1e-12, "bound": 2.0**-24}, "certified"),  # under a unit in the last place nothing is loose
])  # fmt: skip
def test_loose_bound_is_called_slack(measured, verdict):
    (claim,) = made(Measurement(**{**FIELDS, **measured})).claims
    assert claim.verdict == verdict
