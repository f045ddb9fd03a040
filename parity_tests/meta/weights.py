"""Frontends and weights that the tests of the adapters share."""

from __future__ import annotations

import os

import numpy as np
import pytest

from parity import load_weights
from parity.adapters.rungs import RUNGS
from parity.cases.case import Case
from parity.oracle.config import LeafConfig

SMALL = LeafConfig(n_filters=3, sample_rate=2000)
PADDINGS = {"og_leaf": "same", "tf_leaf": "same", "leaf": "same", "efficientleaf": "centered"}


def fresh(rung: str, config: LeafConfig = SMALL, dtype: str = "float32"):
    """A module of the rung, padded as the rung can."""
    return RUNGS[rung].load_adapter().build(config.with_(padding=PADDINGS[rung]), dtype=dtype)


def loaded(rung: str, case: Case, dtype: str = "float32", padding: str | None = None):
    """A module of the rung that holds a case's weights, written by the rung's adapter."""
    adapter = RUNGS[rung].load_adapter()
    module = adapter.build(case.config.with_(padding=padding or PADDINGS[rung]), dtype=dtype)
    adapter.write(module, dict(case.variables()))
    return module


def held(module) -> dict[str, np.ndarray]:
    """Every tensor of a PyTorch module."""
    return {name: tensor.detach().numpy().copy() for name, tensor in module.state_dict().items()}


def same_bits(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> bool:
    """The same names, shapes, types and bits."""
    return {k: (v.shape, v.dtype, v.tobytes()) for k, v in a.items()} == {
        k: (v.shape, v.dtype, v.tobytes()) for k, v in b.items()
    }


def refuses(module, source, *named: str, error: type[Exception] = ValueError, **options) -> None:
    """``load_weights`` refuses a source with this error, whose message holds everything named, and changes nothing.

    What is wrong with a file begins with its path, once.
    """
    before = held(module)
    with pytest.raises(error) as caught:
        load_weights(module, source, **options)
    message = str(caught.value)
    for text in named:
        assert text in message, f"{text!r} is not in {message!r}"
    if error is ValueError and isinstance(source, (str, os.PathLike)):
        assert message.startswith(f"source={os.fspath(source)!r}: "), message
        assert message.count("source=") == 1, message
    assert same_bits(held(module), before)
