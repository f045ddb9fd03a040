"""Rung 2 as an exported graph: torch.export's program and ONNX Runtime, any batch and length."""

from __future__ import annotations

import pytest

from parity.probes.exports import Subject, graphs
from parity.probes.plans import Setting

DRAWN = Subject("leaf", seed=1), Subject("leaf", Setting(3, 1, sample_rate=4000), padding="same", seed=2)


def test_exported(ledger):
    for measurement in graphs(DRAWN[1], "torch.export"):
        ledger.check(measurement)


@pytest.mark.usefixtures("onnx")
@pytest.mark.parametrize("subject", DRAWN, ids=lambda subject: subject.padding)
def test_onnx_runtime(ledger, subject):
    for measurement in graphs(subject, "ONNX Runtime"):
        ledger.check(measurement)
