"""A port without PyTorch: a function of audio and parameters, in NumPy and in JAX."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from parity.ports import Port
from parity.ports.certifying import examine
from parity.report.session import in_ci
from parity_tests.ports.numerical import frontend

ROOT = Path(__file__).parents[2]
EXAMPLES = 5
CONFIGS = {"sample_rate": (2000, 4000)}

# two cases: every new shape is compiled anew, operation by operation
IN_JAX = """
import jax.numpy
from parity.ports.certifying import examine
from parity_tests.ports.test_functions import port
print(examine(port(jax.numpy), 2).findings)
"""


def port(xp, **options):
    def build(config):
        run = frontend(xp, config, **options)
        return lambda audio, held: {name: np.asarray(value) for name, value in run(audio, held).items()}

    return Port("a function", "og_leaf", build, configs=CONFIGS)


def test_function_in_numpy_is_certified():
    found = examine(port(np), EXAMPLES)
    assert found.findings == []
    assert {"filters", "conv", "pool", "floor", "ema", "output"} <= set(found.holding)
    assert "gradients" in found.not_covered
    assert "float64" in found.not_covered


def test_function_is_wrong_where_its_own_stages_do_not_follow():
    found = examine(port(np, from_zero=True), EXAMPLES)
    assert [(f.stage, f.what[0].partition(", only")[0]) for f in found.findings] == [
        ("ema", "starts from 0, not from the first frame")
    ]
    assert "output" in found.inherits


def test_function_that_gives_the_output_alone_is_certified():
    def build(config):
        run = frontend(np, config)
        return lambda audio, held: run(audio, held)["output"].swapaxes(1, 2)

    found = examine(replace(port(np), build=build), EXAMPLES)
    assert found.findings == []
    assert found.holding == ["output"]


def test_function_in_jax_is_certified():
    if not in_ci() and importlib.util.find_spec("jax") is None:
        pytest.skip("jax is not installed")
    # in a process of its own: where JAX has run, every later fork of the process warns
    done = subprocess.run([sys.executable, "-c", IN_JAX], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.splitlines() == ["[]"], done.stderr
