"""Tests are collected where the library that they need is installed: the extra ``experiments`` has them all."""

from __future__ import annotations

from importlib.util import find_spec

NEEDED = {
    "test_published.py": "transformers",
    "test_statistics.py": "scipy",
    "test_equivalence.py": "scipy",
    "test_after_training_page.py": "scipy",
    "test_further.py": "scipy",
    "test_resampling.py": "soxr",
}
collect_ignore = [file for file, library in NEEDED.items() if find_spec(library) is None]
