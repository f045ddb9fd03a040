"""Shared by the suite: Hypothesis profiles, the goldens, and what happens when TensorFlow is missing."""

from __future__ import annotations

import importlib.util
import json
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from parity.weights.outputs import missing

# On a CPU, TensorFlow has gradients of grouped convolutions (ChannelWiseLearnablePooling1D) in oneDNN alone, which it
# switches on by itself only where the CPU has AVX-512 VNNI.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

_RELAXED = [HealthCheck.too_slow, HealthCheck.data_too_large]
settings.register_profile(
    "ci", derandomize=True, print_blob=False, deadline=None, max_examples=100, suppress_health_check=_RELAXED
)
settings.register_profile("random", deadline=None, max_examples=100, suppress_health_check=_RELAXED)
settings.register_profile("search", deadline=None, max_examples=1000, suppress_health_check=_RELAXED)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


# Seconds of the files that take longest, which run first, so that none is left to one process at the end; and of the
# longest tests in them, for the time that is left.
LONGEST: dict[str, int] = json.loads(Path(__file__).with_name("seconds.json").read_text(encoding="utf-8"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first; the others stay in their order."""
    root = Path(__file__).parents[1]
    items.sort(key=lambda item: -LONGEST.get(_within(item.path, root), 0))


def _within(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else ""


@pytest.fixture(scope="session", autouse=True)
def measured_once(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Let the processes of one run share the k of accuracy, which takes each of them most of a minute to measure."""
    if hasattr(pytestconfig, "workerinput"):
        from parity.checks import factors

        factors.SHARED = tmp_path_factory.getbasetemp().parent  # of all workers


@pytest.fixture(scope="session")
def tensorflow() -> None:
    """Asks for TensorFlow: without it the test is skipped here, and fails where CI is set."""
    if importlib.util.find_spec("tensorflow") is not None:
        return
    if os.environ.get("CI"):
        pytest.fail(str(missing("this test", "tensorflow")))
    pytest.skip("TensorFlow is not installed")


@pytest.fixture(scope="session")
def onnx() -> None:
    """Asks for ONNX and its runtime, as :func:`tensorflow` does for TensorFlow."""
    absent = [name for name in ("onnx", "onnxscript", "onnxruntime") if importlib.util.find_spec(name) is None]
    if absent and os.environ.get("CI"):
        pytest.fail(str(missing("this test", *absent)))
    if absent:
        pytest.skip(f"{', '.join(absent)}: not installed")
