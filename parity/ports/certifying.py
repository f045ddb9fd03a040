"""The tests of a port, for pytest to collect."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from parity.cases.case import Case
from parity.ports.diagnosis import Diagnosis
from parity.ports.examination import Examination
from parity.ports.port import Port
from parity.report.claims import Measurement
from parity.report.measurements import MeasurementLog

FEWER = 5  # a case in so many has weights on their limits as well, and in so many makes a round trip


def certify(port: Port, examples: int = 40, seed: int = 0) -> type:
    """A class of tests that certify a port; to be bound to a name that begins with ``Test``.

    The tests hand what they measure to the ``ledger``, so that ``pytest FILE --certificate DIR`` writes a certificate.
    All that fails is collected before a test ends; the first stage that departs is named.

    Args:
        port: what to certify.
        examples: how many cases are drawn.
        seed: of the drawing; another seed, other cases.
    """

    class Suite:
        """The tests of one port."""

        def test_parameters_survive_the_way_there_and_back(self, ledger: MeasurementLog) -> None:
            """What is written into the port is read again, to the bit."""
            examination = _examination(port, ledger.root)
            for case in sample(port, max(examples // FEWER, 1), seed):
                examination.round_trip(case)
            _check(ledger, examination.measured)

        def test_every_tap_and_gradient(self, ledger: MeasurementLog) -> None:
            """Each stage and gradient of drawn cases, and the gradients where weights lie on their limits."""
            found = _examined(_examination(port, ledger.root), examples, seed)
            for measurement in found.measured:
                ledger.record(measurement)
            ledger.note("ports", **found.row())
            if found.departures:
                _fail(str(found))

        def test_is_a_function(self, ledger: MeasurementLog) -> None:
            """It changes neither its input nor itself, remembers no call and shares nothing."""
            from parity.ports.conduct import is_a_function

            _check(ledger, is_a_function(port, _this_test(ledger.root)))

        def test_refuses_what_the_rung_refuses(self, ledger: MeasurementLog) -> None:
            """Inputs of a wrong shape or type."""
            from parity.ports.conduct import refuses

            _check(ledger, refuses(port, _this_test(ledger.root)))

    Suite.__name__ = Suite.__qualname__ = f"Test_{port.name}"
    return Suite


def examine(port: Port, examples: int = 40, seed: int = 0) -> Diagnosis:
    """Measure every stage and gradient on drawn cases, and say what departs.

    Args:
        port: what to examine.
        examples: how many cases are drawn.
        seed: of the drawing.
    """
    return _examined(_examination(port, Path()), examples, seed)


def _examined(examination: Examination, examples: int, seed: int) -> Diagnosis:
    for n, case in enumerate(sample(examination.port, examples, seed)):
        examination.run(case)
        if n % FEWER == 0:
            examination.run_on_limits(case)
    examination.finish()
    return examination.diagnosis()


def sample(port: Port, examples: int, seed: int = 0) -> list[Case]:
    """Cases that the port holds, drawn by Hypothesis."""
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis import seed as seeded

    from parity.ports.drawing import drawn

    found: list[Case] = []

    @seeded(seed)
    @settings(
        max_examples=examples, deadline=None, database=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(case=drawn(port))
    def draw(case: Case) -> None:
        found.append(case)

    draw()
    return found


def _examination(port: Port, root: Path) -> Examination:
    this_test = _this_test(root)
    return Examination(port, file=this_test.removeprefix("pytest ").split("::")[0], this_test=this_test)


def _this_test(root: Path) -> str:
    """The command that runs the test that is running, where pytest was started: below the root, its name has more."""
    name = os.environ.get("PYTEST_CURRENT_TEST", "").split(" ")[0]
    file, *inside = name.split("::")
    return "pytest " + "::".join([os.path.relpath(root / file), *inside]) if name else "pytest FILE"


def _check(ledger: MeasurementLog, measured: Iterable[Measurement]) -> None:
    failed = list(_recorded(ledger, measured))
    if failed:
        _fail("\n".join(map(str, failed)))


def _recorded(ledger: MeasurementLog, measured: Iterable[Measurement]) -> Iterator[Measurement]:
    for measurement in measured:
        ledger.record(measurement)
        if not measurement.holds:
            yield measurement


def _fail(text: Any) -> None:
    import pytest

    pytest.fail(text, pytrace=False)
