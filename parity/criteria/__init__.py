"""Decide whether two arrays agree: every bound of the suite is derived here."""

from parity.criteria.accuracy import Accuracy, PooledAccuracy, judged, soundness
from parity.criteria.criterion import AtMost, Exactly, Verdict, status
from parity.criteria.direct import OfMax, RelativeL2, norm, peak, within_rounding

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
    "peak",
    "soundness",
    "status",
    "within_rounding",
]
