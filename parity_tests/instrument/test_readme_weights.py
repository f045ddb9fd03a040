"""The README's Python on carrying weights over runs as it stands, on a checkpoint that TensorFlow wrote."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from parity import load_weights
from parity.adapters.rungs import RUNGS
from parity.cases.case import Case
from parity.oracle.config import LeafConfig
from parity.weights.convert_file import carry
from parity_tests.instrument.weights import same_bits

README = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
BLOCKS = [
    block for block in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if re.search(r"load_weights|load\(", block)
]


class Keras2:
    """The weights of a model as Keras 2 names them."""

    def __init__(self, variables):
        self.weights = [
            SimpleNamespace(name=f"{name}:0" if name == "kernel" else f"leaf/{name}:0", numpy=lambda v=value: v)
            for name, value in variables.items()
        ]


@pytest.mark.usefixtures("tensorflow")
def test_blocks_run(tmp_path, monkeypatch):
    import tensorflow as tf

    import tf_leaf

    trained, adapter = tf_leaf.Leaf(n_filters=40), RUNGS["og_leaf"].load_adapter()
    variables = Case(config=LeafConfig(), seed=2).variables()
    load_weights(trained, variables)
    tf.train.Checkpoint(trained).write(tmp_path / "checkpoint")
    carry(tmp_path / "checkpoint", tmp_path / "leaf.safetensors", "og_leaf", {})
    monkeypatch.chdir(tmp_path)
    assert BLOCKS
    for block in BLOCKS:
        names = {"tensorflow_leaf": Keras2(variables)}
        exec(compile(block, "README.md", "exec"), names)
        assert same_bits(adapter.read(names["frontend"]), variables)
