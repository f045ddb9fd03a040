"""The pytest plugin: the ``ledger`` fixture and ``pytest --certificate DIR``.

It is loaded in every pytest run of whoever has ``leaf-ladder`` installed, so it imports pytest alone until a
test asks for the ledger or the option is given.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from parity.report.measurements import MeasurementLog

LEDGER: pytest.StashKey[MeasurementLog] = pytest.StashKey()
NEEDED = ("jinja2", "rich")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--certificate``, ``--certificate-complete`` and ``--certificate-reuse-evidence``."""
    group = parser.getgroup("leaf-ladder")
    group.addoption(
        "--certificate",
        metavar="DIR",
        default=None,
        help="write DIR/certificate.json and DIR/index.html of what the tests measured; fail unless all held",
    )
    group.addoption(
        "--certificate-complete",
        action="store_true",
        help="with --certificate: fail if a cell of the ladder's grid (rung x stage x property x dtype) stays empty",
    )
    group.addoption(
        "--certificate-reuse-evidence",
        action="store_true",
        help="with --certificate: take the instrument's own evidence (planted faults, benign changes, resolution) from "
        "DIR/evidence where sources, versions and processor are those that it was measured with",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Start collecting when a certificate is asked for."""
    config.addinivalue_line("markers", "certificate_evidence: what the test notes may be kept beside the certificate")
    directory = config.getoption("--certificate")
    for option in ("--certificate-complete", "--certificate-reuse-evidence"):
        if directory is None and config.getoption(option):
            raise pytest.UsageError(f"{option}: must be given with --certificate")
    if directory is None or config.getoption("collectonly", False):
        return
    if hasattr(config, "workerinput"):  # a pytest-xdist worker measures; the process that started it writes
        config.pluginmanager.register(_Worker(), "leaf-ladder-worker")
        config.pluginmanager.register(_Said(ledger_of(config)), "leaf-ladder-said")
        _keep_evidence(config, directory)
        return
    from importlib.util import find_spec

    if absent := [name for name in NEEDED if find_spec(name) is None]:
        from parity.weights.outputs import missing

        raise pytest.UsageError(str(missing("--certificate", *absent)))
    from parity.report.session import Certifier

    config.pluginmanager.register(_Said(ledger_of(config)), "leaf-ladder-said")
    config.pluginmanager.register(Certifier(config, directory, ledger_of(config)), "leaf-ladder-certifier")
    _keep_evidence(config, directory)


def _keep_evidence(config: pytest.Config, directory: str) -> None:
    from parity.report.evidence import EvidenceCache

    folder = config.invocation_params.dir / directory / "evidence"
    reuse = config.getoption("--certificate-reuse-evidence")
    config.pluginmanager.register(EvidenceCache(folder, ledger_of(config), reuse), "leaf-ladder-evidence")


def ledger_of(config: pytest.Config) -> MeasurementLog:
    """The ledger of this pytest process, made on first use."""
    from parity.report.measurements import MeasurementLog

    if LEDGER not in config.stash:
        config.stash[LEDGER] = MeasurementLog(config.rootpath)
    return config.stash[LEDGER]


@pytest.fixture(scope="session")
def ledger(pytestconfig: pytest.Config) -> MeasurementLog:
    """Take what a test measured: ``ledger.check(Measurement(...))`` records it, then asserts."""
    return ledger_of(pytestconfig)


class _Said:
    """Puts what a test measured last into its report, which travels from a pytest-xdist worker, for the progress."""

    def __init__(self, ledger: MeasurementLog) -> None:
        self.ledger = ledger

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Iterator[None]:
        """Compare the ledger before and after."""
        before = self.ledger.n_recorded
        try:
            return (yield)
        finally:
            if self.ledger.n_recorded > before and (last := self.ledger.last) is not None:
                item.user_properties.append(("leaf-ladder", [last.rung, last.property]))


class _Worker:
    """Hands a pytest-xdist worker's ledger to the process that started it."""

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Put the ledger where pytest-xdist looks for what to send."""
        output: dict[str, Any] = session.config.workeroutput  # type: ignore[attr-defined]
        output["leaf_ladder"] = ledger_of(session.config).dump()
