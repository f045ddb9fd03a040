"""Gates: how an error is measured, what it may be at most, and why. Every bound of the suite comes from here."""

from parity.gates.accuracy import Accuracy, PooledAccuracy
from parity.gates.base import Verdict
from parity.gates.direct import OfMax, RelativeL2, norm, one_operation, peak
from parity.gates.plain import AtMost, Exactly
from parity.gates.soundness import judged, soundness
from parity.gates.status import status

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
