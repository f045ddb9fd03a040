"""Certify a port: the tests that pytest collects, and ``leaf-ladder port check FILE`` without pytest."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from parity.cases.case import Case
from parity.ports.diagnosis import Diagnosis
from parity.ports.drawing import sample
from parity.ports.examination import Examination
from parity.ports.port import Port
from parity.ports.properties import beside, constants, initial, returns
from parity.report.claims import Measurement, MeasurementLog

N_READ = 4  # cases by which it is told whether the adapter reads a stage elsewhere
EXAMPLES = 32  # cases, if nothing is said
FEWER = 5  # a case in so many has weights on their limits as well, and in so many makes a round trip


def certify(port: Port, examples: int = EXAMPLES, seed: int = 0) -> type:
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
            """Parameters written into the port are read again, to the bit."""
            examination = _examination(port, ledger.root)
            for case in sample(examination.port, max(examples // FEWER, 1), seed):
                examination.round_trip(case)
            _check(ledger, examination.measured)

        def test_everything(self, ledger: MeasurementLog) -> None:
            """Stages, gradients and their ties on drawn cases, the start, and what LEAF has not."""
            examination = _examination(port, ledger.root)
            found = _examined(examination, sample(examination.port, examples, seed))
            for measurement in found.measured:
                ledger.record(measurement)
            ledger.note("ports", **found.row())
            if not found.holds:
                _fail(str(found))

        def test_is_a_function(self, ledger: MeasurementLog) -> None:
            """It changes neither its input nor itself, remembers no call and shares nothing."""
            from parity.ports.behaviour import is_a_function

            _check(ledger, is_a_function(port, _this_test(ledger.root)))

        def test_refuses_what_the_rung_refuses(self, ledger: MeasurementLog) -> None:
            """Inputs of a wrong shape or type."""
            from parity.ports.behaviour import refuses

            _check(ledger, refuses(port, _this_test(ledger.root)))

    Suite.__name__ = Suite.__qualname__ = f"Test_{port.name}"
    return Suite


def examine(port: Port, examples: int = EXAMPLES, seed: int = 0) -> Diagnosis:
    """Measure everything on drawn cases, and say what departs.

    Args:
        port: what to examine.
        examples: how many cases are drawn.
        seed: of the drawing.
    """
    return diagnose(port, examples, seed)


def diagnose(port: Port, examples: int, seed: int, file: str = "FILE") -> Diagnosis:
    """:func:`examine`, of a port that a file describes."""
    examination = Examination(port, file=file, this_test=f"leaf-ladder port check {file}")
    return _examined(examination, sample(examination.port, examples, seed))


def described(file: Path, name: str | None = None) -> list[Port]:
    """Read the ports of a file, or the one that is named; what lies beside the file can be imported by it.

    Raises:
        ValueError: the file is no Python, imports what cannot be found, or describes no port or none of the name.
    """
    if (folder := str(file.resolve().parent)) not in sys.path:
        sys.path.insert(0, folder)
    spec = importlib.util.spec_from_file_location(file.stem, file)
    if spec is None or spec.loader is None:
        raise ValueError(f"file={str(file)!r}: must be a Python file")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except (SyntaxError, ImportError) as error:
        raise ValueError(f"file={str(file)!r}: must be Python that can be imported ({error})") from error
    found = [value for value in vars(module).values() if isinstance(value, Port)]
    if not found:
        raise ValueError(f"file={str(file)!r}: must describe a port: PORT = parity.Port(...)")
    names = [port.name for port in found]
    if name is not None and name not in names:
        raise ValueError(f"name={name!r}: {file} describes {names}, must be one of these")
    return [port for port in found if name in (None, port.name)]


def check(file: Path, examples: int, seed: int, name: str | None = None) -> list[Diagnosis]:
    """Diagnose each port of a file, or the one that is named.

    Raises:
        ValueError: as :func:`described`; or a description that the port does not bear out.
    """
    import torch

    torch.set_num_threads(1)  # clips are short: threads would wait for each other
    return [diagnose(port, examples, seed, str(file)) for port in described(file, name)]


def _examined(examination: Examination, cases: Sequence[Case]) -> Diagnosis:
    # before anything is written: what instances share, they would start from
    examination.found += beside(examination, (initial,))
    examination.prepare()
    first = [examination.expected(case) for case in cases[:N_READ]]
    examination.find_misread(first)
    for n, case in enumerate(cases):
        examination.run(case, first[n] if n < len(first) else None)
        if n % FEWER == 0:
            examination.run_on_limits(case)
    examination.finish()
    examination.found += beside(examination)
    with suppress(Exception):  # a port that raises one has been found to do so
        examination.constants = tuple(constants(examination))
        examination.trained = returns(examination)
    return examination.diagnosis()


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
