"""The pytest plugin: the ``ledger`` fixture and ``pytest --certificate DIR``.

It is loaded in every pytest run of whoever has ``leaf-ladder`` installed, so it imports pytest alone until a
test asks for the ledger or the option is given.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from parity.report.claims import MeasurementLog

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
    from parity.report.evidence import EvidenceCache

    ledger, manager = ledger_of(config), config.pluginmanager
    manager.register(_Measuring(ledger), "leaf-ladder-measuring")
    if not hasattr(config, "workerinput"):  # a pytest-xdist worker measures; the process that started it writes
        from importlib.util import find_spec

        if absent := [name for name in NEEDED if find_spec(name) is None]:
            from parity.weights.outputs import missing

            raise pytest.UsageError(str(missing("--certificate", *absent)))
        from parity.report.session import Certifier

        manager.register(Certifier(config, directory, ledger), "leaf-ladder-certifier")
    folder = config.invocation_params.dir / directory / "evidence"
    reuse = config.getoption("--certificate-reuse-evidence")
    manager.register(EvidenceCache(folder, ledger, reuse), "leaf-ladder-evidence")


def ledger_of(config: pytest.Config) -> MeasurementLog:
    """The ledger of this pytest process, made on first use."""
    from parity.report.claims import MeasurementLog

    if LEDGER not in config.stash:
        config.stash[LEDGER] = MeasurementLog(config.rootpath)
    return config.stash[LEDGER]


@pytest.fixture(scope="session")
def ledger(pytestconfig: pytest.Config) -> MeasurementLog:
    """Take what a test measured: ``ledger.check(Measurement(...))`` records it, then asserts."""
    return ledger_of(pytestconfig)


class _Measuring:
    """Puts what a test measured last into its report; in a pytest-xdist worker, sends the ledger home at the end."""

    def __init__(self, ledger: MeasurementLog) -> None:
        self.ledger = ledger

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Iterator[None]:
        """Say rung and property, for the progress."""
        before = self.ledger.n_recorded
        try:
            return (yield)
        finally:
            if self.ledger.n_recorded > before and (last := self.ledger.last) is not None:
                item.user_properties.append(("leaf-ladder", [last.rung, last.property]))

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Put the ledger where pytest-xdist looks for what a worker sends."""
        output: dict[str, Any] | None = getattr(session.config, "workeroutput", None)
        if output is not None:
            output["leaf_ladder"] = self.ledger.dump()
