"""Gates: how an error is measured, what it may be at most, and why. Every bound of the suite comes from here."""

from parity.gates.accuracy import Accuracy, PooledAccuracy
from parity.gates.base import Verdict
from parity.gates.direct import OfMax, RelativeL2
from parity.gates.status import status

__all__ = ["Accuracy", "OfMax", "PooledAccuracy", "RelativeL2", "Verdict", "status"]
