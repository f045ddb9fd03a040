"""Rungs 2 and 3 as graphs, at any batch and length: torch.compile, torch.export's program and ONNX Runtime."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch

import efficientleaf
import leaf
from leaf._runtime import onnx_ops
from parity.checks.exports import ENGINE, Subject, graphs
from parity.checks.plans import Setting
from parity.criteria import AtMost
from parity_tests.helpers.rungs import one

BOTH = [one("leaf"), one("efficientleaf")]
DRAWN = [
    one("leaf", Subject("leaf", seed=1), id="leaf-centered"),
    one("leaf", Subject("leaf", Setting(3, 1, sample_rate=4000), padding="same", seed=2), id="leaf-same"),
    one("efficientleaf", Subject("efficientleaf", seed=1), id="efficientleaf-pcen"),
    one("efficientleaf", Subject("efficientleaf", Setting(3, 2, sample_rate=4000), "logtbn", seed=2),
        id="efficientleaf-logtbn"),
]  # fmt: skip


def check(ledger, subject, engine):
    for measurement in graphs(subject, engine):
        ledger.check(measurement)


@pytest.mark.parametrize("rung", BOTH)
def test_in_one_graph(rung, ledger):
    check(ledger, Subject(rung, seed=3), "aot_eager")


@pytest.mark.skipif(shutil.which("g++") is None, reason="inductor compiles C++")
@pytest.mark.parametrize("rung", BOTH)
def test_inductor(rung, ledger):
    check(ledger, Subject(rung, seed=3), "inductor")


@pytest.mark.parametrize(("rung", "subject"), DRAWN)
def test_exported(rung, subject, ledger):
    check(ledger, subject, "torch.export")


@pytest.mark.usefixtures("onnx")
@pytest.mark.parametrize(("rung", "subject"), DRAWN)
def test_onnx_runtime(rung, subject, ledger):
    check(ledger, subject, "ONNX Runtime")


@pytest.mark.parametrize("arguments", [
    {}, {"padding": "same", "window_len": 5.0}, {"compression": leaf.PCEN(2, form="published")},
], ids=["centered", "a hop longer than the window", "published"])  # fmt: skip
@pytest.mark.leaf
def test_exported_with_a_channel_axis(arguments):
    module = leaf.Leaf(2, **arguments).eval()
    samples = torch.export.Dim("samples")
    shapes = ({0: torch.export.Dim("batch"), 2: samples},)
    with torch.no_grad():
        program = torch.export.export(module, (torch.zeros(2, 1, 1600),), dynamic_shapes=shapes).module()
        for batch, n_samples in ((1, 1), (3, 160), (1, 161), (2, 1999)):
            audio = torch.rand(batch, 1, n_samples, generator=torch.Generator().manual_seed(n_samples)) - 0.5
            assert ENGINE(program(audio).numpy(), module(audio).numpy()).passes


@pytest.mark.parametrize(("name", "low", "roundings"), [("log1p", -0.9, 5), ("expm1", -20.0, 6)])
@pytest.mark.leaf
def test_what_onnx_lacks_keeps_its_digits(monkeypatch, name, low, roundings):
    x = np.concatenate([np.geomspace(1e-30, 50, 999), -np.geomspace(1e-30, -low, 999), [0.0]]).astype(np.float32)
    monkeypatch.setattr(onnx_ops, "exporting", lambda: True)
    with np.errstate(invalid="ignore"):
        got = getattr(onnx_ops, name)(torch.from_numpy(x)).double().numpy()
        right = getattr(np, name)(x.astype(np.float64))
        off = np.where(got == right, 0.0, np.abs(got - right) / np.abs(right)) * 2.0**24
    assert AtMost(roundings, "roundings of the operations, one each, and of the libraries' functions")(off.max()).passes


@pytest.mark.efficientleaf
def test_a_plan_that_follows_the_parameters_is_refused():
    module = efficientleaf.EfficientLeaf(2, 1).eval()
    with pytest.raises(RuntimeError, match=r"freeze\(\)"):
        torch.export.export(module, (torch.zeros(1, 800),))
