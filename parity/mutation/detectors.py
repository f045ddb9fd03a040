"""Detectors: each measures the stages of one scene, and notices a change of a rung there.

A detector builds what it needs under whatever is planted, runs it in one dtype, and gives its measurements. What these
are held against is computed once, on the first use, which must be without a change.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any
from unittest.mock import patch

import numpy as np
import torch

import efficientleaf
from parity.adapters import canonical
from parity.adapters.efficientleaf import EfficientLeafAdapter
from parity.checks import compressions, initial, plans
from parity.checks.grid import Context, compare
from parity.criteria import unit_roundoff
from parity.oracle import measured_init, mel_matrix
from parity.oracle.config import FLOOR
from parity.report.claims import Measurement

Detector = Callable[[str], Iterator[Measurement]]  # from a dtype
N_BESIDE = 8  # groups whose kernel and stride stand beside a threshold
BESIDE = 64  # how far, in roundings
N_HALVES, HALVES = 40, (7771.5, 6598.0)  # filters; Hz: a bin 2.1e-6 above half of its peak, and one 4.6e-7 below
WIDTH_ROUNDINGS = 8  # of an initial value, the logarithm's among them
EPS = 1e-6  # source: ``PCENLayer`` in ``leaf_audio/postprocessing.py``


def grouped(setting: plans.Setting, seed: int, dtype: str) -> Iterator[Measurement]:
    """The stages of EfficientLEAF in groups, on weights outside of its limits."""
    adapter, right = EfficientLeafAdapter(), plans.expected(setting, seed)
    module = adapter.build(setting.config, dtype, **setting.options)
    adapter.write(module, dict(right.variables))
    yield from compare(_of_efficientleaf(str(setting), dtype), adapter.stages(module, right.x), right)


def compression(stage: str, which: int, dtype: str) -> Iterator[Measurement]:
    """The ``logarithm``, ``normalisation`` or ``whole`` of EfficientLEAF's compression on one of its probe's draws."""
    probe = compressions.CompressionProbe(compressions.DRAWS[which], dtype)
    if stage == "logarithm":
        yield from probe.logarithm()
    elif stage == "normalisation":
        yield from probe.normalisation(per_channel=True)
    else:
        yield from (m for m in probe.whole(training=True) if m.property == "forward")


def _of_efficientleaf(case: str, dtype: str) -> Context:
    return Context("efficientleaf", "oracle", "resolution", case, "tox -e faults", dtype)


@contextmanager
def _fresh(rung: str, dtype: str) -> Iterator[initial.InitialProbe]:
    with initial._default_dtype(rung, dtype):
        yield initial.InitialProbe(rung, dtype)


def fresh(rung: str, dtype: str) -> Iterator[Measurement]:
    """Every constant that a fresh frontend starts from."""
    with _fresh(rung, dtype) as probe:
        yield from probe.constants()


def start(rung: str, dtype: str) -> Iterator[Measurement]:
    """Centres and widths that a fresh frontend starts from."""
    with _fresh(rung, dtype) as probe:
        yield from (probe.measured if rung in ("tf_leaf", "og_leaf") else probe.analytic)(23, initial.RATE)


def own_mel(rung: str, dtype: str) -> Iterator[Measurement]:
    """The mel matrix that a frontend of rung 0 or 1 measures its own start on, read off while it is built."""
    with _fresh(rung, dtype) as probe:
        gabor, kept = importlib.import_module(f"{rung}.melfilters").Gabor, list[np.ndarray]()
        own = vars(gabor)["mel_filters"]

        def recorded(self: Any) -> Any:
            matrix = own.fget(self)
            kept.append(np.asarray(matrix))
            return matrix

        with patch.object(gabor, "mel_filters", property(recorded)):
            probe.build(n_filters=23)
        expected = mel_matrix(23, initial.N_FFT // 2 + 1, initial.RATE, initial.LOW, initial.HIGH)
        errors = initial.mel_errors(23, probe.precision)
        yield from probe.context.sound("mel", "forward", kept[-1], expected, errors)


def half_peaks(rung: str, dtype: str) -> Iterator[Measurement]:
    """The widths of rung 0 or 1 on two banks, one with a bin just above half of its peak, and one with one just below.

    In float64 alone: in float32 no such bin is certain.
    """
    if dtype != "float64":
        return
    with _fresh(rung, dtype) as probe:
        gabor = importlib.import_module(f"{rung}.melfilters").Gabor
        for highest in HALVES:
            bank = gabor(n_filters=N_HALVES, min_freq=initial.LOW, max_freq=highest, dtype=probe.native())
            exact = measured_init(N_HALVES, max_freq=highest)
            errors = WIDTH_ROUNDINGS * probe.precision.u * exact
            yield from probe.context.sound("init", "forward", np.asarray(bank.gabor_params_from_mels), exact, errors)


def own_eps(rung: str, dtype: str) -> Iterator[Measurement]:
    """The default floor under the smoother of rung 0 or 1."""
    with _fresh(rung, dtype) as probe:
        width = {} if rung == "tf_leaf" else {"num_channels": 1}
        layer = importlib.import_module(rung).PCENLayer(**width, dtype=probe.native())
        yield probe.context.measurement("pcen", "forward", initial.STARTS(layer._floor, EPS), "bitwise")


def own_floor(rung: str, dtype: str) -> Iterator[Measurement]:
    """The least energy that a fresh frontend of rung 2 or 3 lets pass, on silence."""
    with _fresh(rung, dtype) as probe:
        module = probe.build(n_filters=2, sample_rate=4000, max_freq=2000.0, compression="pcen")
        floored = probe.adapter.stages(module, np.zeros((1, 400), dtype=np.float32))["floor"]
        verdict = initial.STARTS(floored, np.full(floored.shape, FLOOR))
        yield probe.context.measurement("floor", "forward", verdict, "bitwise")


def beside_thresholds(dtype: str) -> Iterator[Measurement]:
    """The plan of a default EfficientLEAF whose lengths and strides stand on either side of where they change."""
    setting = plans.Setting(N_BESIDE, N_BESIDE)
    sides = 1 + BESIDE * unit_roundoff(dtype) * np.resize([-1.0, 1.0], N_BESIDE)
    divisors, lengths = (np.repeat(values, 2) for values in ([1.0, 2.0, 5.0, 16.0], [12.0, 40.0, 100.0, 400.0]))
    variables = {name: values.astype(dtype) for name, values in setting.draw(0).items()}
    kernel = np.stack([np.pi / divisors * sides, lengths / setting.conv_win_factor * sides], axis=1)
    variables[canonical.KERNEL] = kernel.astype(dtype)
    module = efficientleaf.EfficientLeaf(N_BESIDE, N_BESIDE, compression="pcen").to(getattr(torch, dtype))
    adapter, geometry = EfficientLeafAdapter(), setting.geometry(variables)
    adapter.write(module, variables)
    plan = adapter.plan(module), geometry.groups, plans.certain(setting, variables, geometry, dtype)
    yield plans.differing(_of_efficientleaf("beside the thresholds", dtype), [plan])


def own(rung: str) -> Iterator[Measurement]:
    """Measure everything that a fresh frontend decides for itself.

    Band, rate and floor of a fresh one, and how near to a threshold its counts and its plan are still right.
    """
    of_rung = (own_mel, half_peaks, own_eps) if rung in ("tf_leaf", "og_leaf") else (own_floor,)
    detectors: list[Detector] = [partial(detector, rung) for detector in of_rung]
    for detector in [*detectors, beside_thresholds] if rung == "efficientleaf" else detectors:
        for dtype in ("float64", "float32"):
            yield from detector(dtype)
