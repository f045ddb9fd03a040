"""How fine the certificate sees: the smallest relative change of every parameter and constant that it notices."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from parity.mutation.resolution import OF_CONSTANTS, OF_PARAMETERS, resolutions

pytestmark = [pytest.mark.usefixtures("tensorflow"), pytest.mark.certificate_evidence]


@pytest.mark.parametrize("rung", ["tf_leaf", "og_leaf", "leaf", "efficientleaf"])
def test_everything_is_seen_finely(rung, ledger):
    found = list(resolutions(rung))
    for row in found:
        ledger.note("resolution", **asdict(row))
    criteria = {"parameter": OF_PARAMETERS, "constant": OF_CONSTANTS}
    coarse = [f"{row.name} at {row.at}: {row.change:.2g}" for row in found if not criteria[row.kind](row.change).passes]
    assert coarse == []
    assert {row.kind for row in found} == set(criteria)
