"""Decide whether two arrays agree: every bound of the suite is derived here."""

from parity.criteria.accuracy import Accuracy, PooledAccuracy
from parity.criteria.criterion import Verdict
from parity.criteria.direct import OfMax, RelativeL2, norm, one_operation, peak
from parity.criteria.plain import AtMost, Exactly
from parity.criteria.running_error import judged, soundness
from parity.criteria.status import status

__all__ = [
    "Accuracy",
    "AtMost",
    "Exactly",
    "OfMax",
    "PooledAccuracy",
    "RelativeL2",
    "Verdict",
    "judged",
    "norm",
    "one_operation",
    "peak",
    "soundness",
    "status",
]
