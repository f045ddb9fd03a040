"""Keep the instrument's own evidence, and use it again while nothing that it depends on has changed.

A test marked ``certificate_evidence`` gives rows of evidence through ``ledger.note`` and nothing else. What it gave is
kept beside the certificate, a file a test, once it has passed; with ``--certificate-reuse-evidence`` the rows are taken
from there and the test is not run. They hold for one hash of every source of the rungs and of ``parity``, of the tests'
own folder, of the versions, the processor and the settings; another hash, a file that is torn or edited, or a test that
has failed since, and the test runs.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Iterable, Iterator
from datetime import datetime, timezone
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from parity.report.claims import MeasurementLog
from parity.report.environment import cpu, installed
from parity.weights.outputs import replace_file

PACKAGES = ("parity", "tf_leaf", "og_leaf", "leaf", "efficientleaf")
LIBRARIES = ("numpy", "torch", "tensorflow", "keras")
SETTINGS = ("OMP_NUM_THREADS", "KERAS_BACKEND", "TF_ENABLE_ONEDNN_OPTS", "HYPOTHESIS_PROFILE")


class EvidenceCache:
    """Hooks of a run that keep evidence; registered in every process that runs tests.

    Args:
        folder: where the files are kept, beside the certificate.
        ledger: that the tests write to.
        reuse: use what is kept.
    """

    def __init__(self, folder: Path, ledger: MeasurementLog, reuse: bool) -> None:
        self.folder, self.ledger, self.reuse = folder, ledger, reuse
        self._reused = ""  # the test whose evidence was taken last

    @pytest.hookimpl(tryfirst=True)
    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> bool | None:
        """Take a marked test's evidence in place of the test while it holds; else have the test run."""
        if not (self.reuse and _is_marked(pyfuncitem)):
            return None
        kept = _read(self._file(pyfuncitem), pyfuncitem.nodeid, state(pyfuncitem.path.parent))
        if kept is None:
            return None
        for section, rows in kept["rows"].items():
            for row in rows:
                self.ledger.note(section, **row)
        self._note(pyfuncitem, kept["measured"], kept["hash"], "yes")
        self._reused = pyfuncitem.nodeid
        return True

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Iterator[None]:
        """Keep what a marked test noted, if it passed."""
        if not _is_marked(item):
            return (yield)
        before = {section: len(rows) for section, rows in self.ledger.evidence.items()}
        n_recorded, found = self.ledger.n_recorded, state(item.path.parent)  # of the sources as they are imported
        try:
            result = yield
        except BaseException:
            self._file(item).unlink(missing_ok=True)  # what has failed is not used again
            raise
        if self._reused == item.nodeid:
            return result
        new = {section: rows[before.get(section, 0) :] for section, rows in self.ledger.evidence.items()}
        today = datetime.now(timezone.utc).date().isoformat()
        self._note(item, today, found, "no")
        if self.ledger.n_recorded == n_recorded:  # claims are not kept: a test that makes some always runs
            rows = {section: rows for section, rows in new.items() if rows}
            entry = {"test": item.nodeid, "hash": found, "measured": today, "rows": rows}
            self.folder.mkdir(parents=True, exist_ok=True)
            sealed = json.dumps({**entry, "sha256": _digest(entry)}, allow_nan=False)
            replace_file(self._file(item), sealed.encode())
        return result

    def _file(self, item: pytest.Item) -> Path:
        return self.folder / f"{hashlib.sha256(item.nodeid.encode()).hexdigest()[:20]}.json"

    def _note(self, item: pytest.Item, measured: str, found: str, reused: str) -> None:
        """Say which file's rows were measured when, under which hash."""
        row = {"file": item.path.name, "measured": measured, "hash": found[:16], "reused": reused}
        if row not in self.ledger.evidence.get("evidence", ()):
            self.ledger.note("evidence", **row)


def _is_marked(item: pytest.Item) -> bool:
    return item.get_closest_marker("certificate_evidence") is not None


def _read(file: Path, test: str, found: str) -> dict[str, Any] | None:
    """Read what is kept of a test; None where it does not hold: another hash, torn, edited, or not there."""
    try:
        entry = json.loads(file.read_text(encoding="utf-8"))
        digest = entry.pop("sha256")
        whole = set(entry) == {"test", "hash", "measured", "rows"} and digest == _digest(entry)
        return entry if whole and (entry["test"], entry["hash"]) == (test, found) else None
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return None


def _digest(entry: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(entry, sort_keys=True).encode()).hexdigest()


@cache
def state(tests: Path) -> str:
    """Hash everything that evidence depends on, the folder of the tests that give it included."""
    setting: list[Any] = [platform.python_version(), platform.platform(), cpu()]
    setting += [(name, installed(name)) for name in LIBRARIES] + [(name, os.environ.get(name)) for name in SETTINGS]
    total = hashlib.sha256(json.dumps(setting).encode())
    for name, path in sources(tests):
        total.update(f"{name}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return total.hexdigest()


def sources(tests: Path) -> Iterable[tuple[str, Path]]:
    """List every source of the rungs and of ``parity``, wherever they are installed, and of the tests, by name."""
    folders = [("tests", tests)]
    for package in PACKAGES:
        spec = find_spec(package)  # imports nothing
        folders += [(package, Path(place)) for place in (spec and spec.submodule_search_locations) or ()]
    for name, folder in folders:
        for path in sorted(folder.rglob("*.py")):
            yield f"{name}/{path.relative_to(folder).as_posix()}", path
