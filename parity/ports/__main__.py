"""``python -m parity.ports FILE NAME CASE``: one case of a port again, every measurement and what they say."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from parity.cases.case import Case
from parity.ports.certifying import described
from parity.ports.examination import OPTION, Examination
from parity.weights.outputs import require_file


def main(arguments: list[str] | None = None) -> int:
    """Run one case; 0 if everything holds."""
    parser = argparse.ArgumentParser(prog="python -m parity.ports", description=__doc__)
    parser.add_argument("file", type=Path, help="the file that describes the port")
    parser.add_argument("name", help="of the port")
    parser.add_argument("case", help="as the diagnosis or the certificate prints it")
    parser.add_argument(OPTION, action="store_true", help="put some of the weights onto their limits")
    given = parser.parse_args(arguments)
    try:
        require_file("file", given.file)
        case = Case.parse(given.case)
        (port,) = described(given.file, given.name)
    except (OSError, TypeError, ValueError) as error:
        parser.error(str(error))
    examination = Examination(port, file=str(given.file))
    examination.prepare()
    examination.find_misread([examination.expected(case)])
    if given.on_limits:
        examination.run_on_limits(case)
    else:
        examination.run(case)
    try:
        from parity.report.table import render_measurements
    except ModuleNotFoundError:  # the table is for those who have the report's libraries
        pass
    else:
        print(render_measurements(examination.measured, colour=sys.stdout.isatty()))
    print(examination.diagnosis())
    return int(not (all(m.holds for m in examination.measured) and examination.diagnosis().holds))


if __name__ == "__main__":
    sys.exit(main())
