"""The public ports, where they are importable, and the page that is made of what was recorded of them."""

from __future__ import annotations

import json
from importlib.metadata import version
from importlib.util import find_spec

import pytest

from parity.ports.certifying import described, examine
from parity.report.session import in_ci
from parity_tests.ports.public.record import HERE, PAGE, RECORDED, REPOSITORIES, SPOKEN, page

MODULES = {
    "denfed": "leaf_audio_pytorch.frontend",
    "sarthak": "leaf_pytorch.frontend",
    "speechbrain": "speechbrain.lobes",
    "cpjku": "model.OG_leaf",
}

MORE = 8  # times the departure of a port that rounds otherwise: the bias, 1, rounds energies to its own last digit


def recorded():
    return json.loads(RECORDED.read_text(encoding="utf-8"))


def importable(name):
    try:
        return find_spec(name) is not None
    except ImportError:
        return False


# Where CI is set no test may be skipped; there, a port that is not importable is not collected.
PORTS = [file for file in REPOSITORIES if importable(MODULES[file]) or not in_ci()]


def test_page_is_made_of_what_was_recorded():
    assert PAGE.read_text(encoding="utf-8") == page(recorded(), json.loads(SPOKEN.read_text(encoding="utf-8")))


def test_wrapped_port_is_as_near_on_speech_as_one_that_departs_in_no_stage():
    spoken = json.loads(SPOKEN.read_text(encoding="utf-8"))
    departing = [row for row in spoken.values() if "wrapped" in row]
    faithful = max(row["as it is"]["largest"] for row in spoken.values() if "wrapped" not in row)
    assert departing
    for row in departing:
        assert row["wrapped"]["frames"][0] == row["wrapped"]["frames"][1]
        assert row["wrapped"]["largest"] <= MORE * faithful < row["as it is"]["largest"]


@pytest.mark.parametrize("file", REPOSITORIES)
def test_every_port_that_is_described_is_recorded(file):
    described_here = {port.name for port in described(HERE / f"certify_{file}.py")}
    assert described_here == {row["port"] for row in recorded() if row["repository"] == REPOSITORIES[file][0]}


if PORTS:

    @pytest.mark.filterwarnings("default")
    @pytest.mark.parametrize("file", PORTS)
    def test_port_departs_as_recorded(file):
        if not importable(MODULES[file]):
            pytest.skip(f"{REPOSITORIES[file][0]} is not importable as {MODULES[file]}")
        rows = {row["port"]: row for row in recorded()}
        for port in described(HERE / f"certify_{file}.py"):
            found = examine(port)
            kept = rows[port.name]
            assert [f.where for f in found.findings] == [f["where"] for f in kept["findings"]], str(found)
            if kept["versions"] == {name: version(name) for name in kept["versions"]}:  # others round otherwise
                assert [[*f.what] for f in found.findings] == [f["what"] for f in kept["findings"]], str(found)
