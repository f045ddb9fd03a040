"""Rung 2 as an exported graph: torch.export's program and ONNX Runtime, any batch and length."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from leaf import portable
from parity.gates import AtMost
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


@pytest.mark.parametrize(("name", "low", "roundings"), [("log1p", -0.9, 5), ("expm1", -20.0, 6)])
def test_what_onnx_lacks_keeps_its_digits(monkeypatch, name, low, roundings):
    x = np.concatenate([np.geomspace(1e-30, 50, 999), -np.geomspace(1e-30, -low, 999), [0.0]]).astype(np.float32)
    monkeypatch.setattr(portable, "exporting", lambda: True)
    with np.errstate(invalid="ignore"):
        got = getattr(portable, name)(torch.from_numpy(x)).double().numpy()
        right = getattr(np, name)(x.astype(np.float64))
        off = np.where(got == right, 0.0, np.abs(got - right) / np.abs(right)) * 2.0**24
    assert AtMost(roundings, "roundings of the operations, one each, and of the libraries' functions")(off.max()).passes
