"""What a declared difference between two implementations says."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Divergence:
    """One difference between two implementations.

    Attributes:
        name: as the tests and the certificate call it.
        between: the two implementations.
        kind: ``kept`` (the published behaviour is the default), ``mended`` (ours differs from the published) or
            ``declared`` (neither is wrong; a choice had to be made).
        statement: what differs, down to the operation.
        size: the measure of its size, in words; the certificate has the figure.
        at_least: the smallest size that the test accepts: a divergence that has gone fails as well.
        at_most: the largest.
        source: file of the published implementation.
    """

    name: str
    between: tuple[str, str]
    kind: str
    statement: str
    size: str
    at_least: float
    at_most: float
    source: str
