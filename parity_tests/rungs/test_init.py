"""Initial values of every rung's frontend: mel filters, Gabor parameters, constants."""

from __future__ import annotations

import pytest

from parity.checks.initial import initial
from parity_tests.helpers.rungs import one

OF_LEAF = {"init", "learnable_pooling/kernel", "PCEN/alpha", "PCEN/delta", "PCEN/root", "PCEN/EMA/smooth"}
OF_THE_ORIGINAL = {*OF_LEAF, "mel", "tfbanks_preemp/kernel", "tfbanks_instancenorm/gamma", "tfbanks_instancenorm/beta"}


@pytest.mark.parametrize(("rung", "starts"), [
    one("tf_leaf", OF_THE_ORIGINAL),
    one("og_leaf", OF_THE_ORIGINAL),
    one("leaf", OF_LEAF),
    one("efficientleaf", {*OF_LEAF, "log1p.a", "TBN.bn.weight", "TBN.bn.running_var"}),
])  # fmt: skip
def test_starts_from_the_published_values(rung, starts, ledger):
    measured = list(initial(rung))
    assert {m.stage for m in measured} >= starts
    for measurement in measured:
        ledger.check(measurement)
