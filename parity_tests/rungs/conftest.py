"""Marks: a test of a rung's folder has the name of the rung, and one with ``tensorflow`` asks for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from parity_tests.helpers.rungs import RUNGS

HERE = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test in a rung's folder with the rung."""
    for item in items:
        if item.path.is_relative_to(HERE) and (folder := item.path.relative_to(HERE).parts[0]) in RUNGS:
            item.add_marker(folder)


@pytest.fixture(autouse=True)
def asked_for(request: pytest.FixtureRequest) -> None:
    """Skip where a mark asks for TensorFlow and it is not there, as the fixture does."""
    if request.node.get_closest_marker("tensorflow"):
        request.getfixturevalue("tensorflow")
