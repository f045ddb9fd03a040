"""Showing that a declared divergence exists, with its size."""

from __future__ import annotations

import numpy as np

from parity.divergences import divergence
from parity.report.claims import Measurement, MeasurementLog


def diverges(
    ledger: MeasurementLog,
    name: str,
    observed: float,
    *,
    stage: str,
    case: str,
    dtype: str = "float32",
    property: str = "forward",
) -> None:
    """Records the size of a declared divergence and holds it to what was declared."""
    declared = divergence(name)
    reference, rung = declared.between
    ledger.check(
        Measurement(
            rung=rung, reference=reference, stage=stage, property=property, domain=name, dtype=dtype,
            criterion="divergence",
            relation="divergent", observed=float(observed), bound=declared.at_most, at_least=declared.at_least,
            case=case, reason=declared.statement,
            reproduce=f"pytest parity_tests/rungs/{rung.split()[-1]}/test_divergences.py -k {name.replace('-', '_')}",
        )
    )  # fmt: skip


def noise(n_samples: int, amplitude: float = 0.3) -> np.ndarray:
    """White noise, float32 [1, n_samples]; always the same."""
    return (amplitude * np.random.default_rng(0).uniform(-1, 1, (1, n_samples))).astype(np.float32)
