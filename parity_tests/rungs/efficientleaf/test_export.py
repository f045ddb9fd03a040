"""Rung 3 as an exported graph, its plan frozen: torch.export's program and ONNX Runtime, any batch and length."""

from __future__ import annotations

import pytest
import torch

import efficientleaf
from parity.checks.exports import Subject, graphs
from parity.checks.plans import Setting

DRAWN = Subject("efficientleaf", seed=1), Subject("efficientleaf", Setting(3, 2, sample_rate=4000), "logtbn", seed=2)


@pytest.mark.parametrize("subject", DRAWN, ids=lambda subject: subject.compression)
def test_exported(ledger, subject):
    for measurement in graphs(subject, "torch.export"):
        ledger.check(measurement)


@pytest.mark.usefixtures("onnx")
@pytest.mark.parametrize("subject", DRAWN, ids=lambda subject: subject.compression)
def test_onnx_runtime(ledger, subject):
    for measurement in graphs(subject, "ONNX Runtime"):
        ledger.check(measurement)


def test_a_plan_that_follows_the_parameters_is_refused():
    module = efficientleaf.EfficientLeaf(2, 1).eval()
    with pytest.raises(RuntimeError, match=r"freeze\(\)"):
        torch.export.export(module, (torch.zeros(1, 800),))
