"""Detectors: each measures the stages of one scene, and notices a change of a rung there.

A detector builds what it needs under whatever is planted, runs it in one dtype, and gives its measurements. What these
are held against is computed once, on the first use, which must be without a change.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any
from unittest.mock import patch

import numpy as np

from parity.adapters import canonical
from parity.adapters.base import Adapter
from parity.adapters.rungs import RUNGS
from parity.checks import initial
from parity.checks.grid import Context, Expected, compare
from parity.checks.steps import STEPS, Runner, Step
from parity.criteria.criterion import unit_roundoff
from parity.mutation.runner import CLEAN, shared
from parity.oracle import measured_init, mel_matrix
from parity.oracle.config import FLOOR
from parity.report.claims import Measurement
from parity.weights.converting import convert

Detector = Callable[[str], Iterator[Measurement]]  # from a dtype


@dataclass(frozen=True)
class Scene:
    """The stages of a case on a step of the ladder.

    Attributes:
        step: its name.
        case: as text.
        literal: hold the output to its limit as it stands, as the suite does on the goldens; see
            :class:`parity.checks.grid.Context`.
        rebuilt: build the candidate again for each change, of what acts while it is built.
    """

    step: str
    case: str
    literal: bool = False
    rebuilt: bool = False

    def __call__(self, dtype: str) -> Iterator[Measurement]:
        """Every stage of the candidate, under whatever is planted."""
        module = self.built(dtype) if self.rebuilt else standing(self, dtype)
        yield from self.compared(dtype, self.adapter.stages(module, self.expected.x))

    @property
    def of(self) -> Step:
        """The step."""
        return CLEAN if self.step == CLEAN.name else STEPS[self.step]

    @property
    def adapter(self) -> Adapter:
        """The candidate's adapter."""
        return RUNGS[self.of.candidate].load_adapter()

    @property
    def expected(self) -> Expected:
        """Return what the candidate is held against."""
        return shared(self.step, self.case)

    def built(self, dtype: str) -> Any:
        """A candidate with the weights of the case."""
        below = _reference(self.step, self.case)
        return convert(below, self.of.candidate, padding=self.of.padding, dtype=dtype)

    def compared(self, dtype: str, stages: Mapping[str, np.ndarray]) -> Iterator[Measurement]:
        """Stages of the candidate against the reference and the oracle."""
        context = Runner(self.of, domain="resolution", literal=self.literal).context(self.case, dtype)
        context.singly = False  # one small array says little about G1
        yield from compare(context, stages, self.expected, [n for n in stages if n in self.expected.reference])


@cache
def standing(scene: Scene, dtype: str) -> Any:
    """A scene's candidate, to be used again; made without a change, as is all that a look is held against."""
    return scene.built(dtype)


@cache
def _reference(step: str, case: str) -> Any:
    """The reference with the weights of a case."""
    scene = Scene(step, case)
    below = RUNGS[scene.of.reference].load_adapter()
    module = below.build(scene.expected.config)
    below.write(module, dict(scene.expected.variables))
    return module


def grouped(setting: Any, seed: int) -> Detector:
    """The stages of EfficientLEAF in groups, on weights outside of its limits; from a ``plans.Setting``."""

    def detect(dtype: str) -> Iterator[Measurement]:
        from parity.adapters.efficientleaf import EfficientLeafAdapter
        from parity.checks import plans

        adapter, right = EfficientLeafAdapter(), plans.expected(setting, seed)
        module = adapter.build(setting.config, dtype, **setting.options)
        adapter.write(module, dict(right.variables))
        yield from compare(of_efficientleaf(str(setting), dtype), adapter.stages(module, right.x), right)

    return detect


def compression(stage: str, which: int) -> Detector:
    """A stage of EfficientLEAF's compression on one of the drawn energies of its probe.

    Args:
        stage: ``logarithm``, ``normalisation`` or ``whole``.
        which: of the draws.
    """

    def detect(dtype: str) -> Iterator[Measurement]:
        from parity.checks import compressions

        probe = compressions.CompressionProbe(compressions.DRAWS[which], dtype)
        if stage == "logarithm":
            yield from probe.logarithm()
        elif stage == "normalisation":
            yield from probe.normalisation(per_channel=True)
        else:
            yield from (m for m in probe.whole(training=True) if m.property == "forward")

    return detect


def of_efficientleaf(case: str, dtype: str) -> Context:
    """Make the common part of rung 3's measurements against the oracle."""
    return Context("efficientleaf", "oracle", "resolution", case, "tox -e faults", dtype)


N_BESIDE = 8  # groups whose kernel and stride stand beside a threshold
N_HALVES, HALVES = 40, (7771.5, 6598.0)  # filters; Hz: a bin 2.1e-6 above half of its peak, and one 4.6e-7 below
WIDTH_ROUNDINGS = 8  # of an initial value, the logarithm's among them
EPS = 1e-6  # source: ``PCENLayer`` in ``leaf_audio/postprocessing.py``
BESIDE = 64  # how far, in roundings


def start(rung: str, measure: Callable[[initial.InitialProbe], Iterator[Measurement]]) -> Detector:
    """Detect changes of what a fresh frontend starts from."""

    def detect(dtype: str) -> Iterator[Measurement]:
        with initial._default_dtype(rung, dtype):
            yield from measure(initial.InitialProbe(rung, dtype))

    return detect


def own_mel(rung: str, n_filters: int = 23) -> Detector:
    """The mel matrix that a frontend of rung 0 or 1 measures its own start on, read off while it is built."""

    def measure(probe: initial.InitialProbe) -> Iterator[Measurement]:
        gabor = importlib.import_module(f"{rung}.melfilters").Gabor
        own, kept = vars(gabor)["mel_filters"], list[np.ndarray]()

        def recorded(self: Any) -> Any:
            matrix = own.fget(self)
            kept.append(np.asarray(matrix))
            return matrix

        with patch.object(gabor, "mel_filters", property(recorded)):
            probe.build(n_filters=n_filters)
        rate, low, high = initial.RATE, initial.LOW, initial.HIGH
        expected = mel_matrix(n_filters, initial.N_FFT // 2 + 1, rate, low, high)
        yield from probe.context.sound(
            "mel", "forward", kept[-1], expected, initial.mel_errors(n_filters, probe.precision)
        )

    return start(rung, measure)


def half_peaks(rung: str) -> Detector:
    """The widths of rung 0 or 1 on two banks, one with a bin just above half of its peak, and one with one just below.

    In float64 alone: in float32 no such bin is certain.
    """

    def measure(probe: initial.InitialProbe) -> Iterator[Measurement]:
        if probe.dtype != "float64":
            return
        gabor = importlib.import_module(f"{rung}.melfilters").Gabor
        for highest in HALVES:
            bank = gabor(n_filters=N_HALVES, min_freq=initial.LOW, max_freq=highest, dtype=probe.native())
            exact = measured_init(N_HALVES, max_freq=highest)
            errors = WIDTH_ROUNDINGS * probe.precision.u * exact
            yield from probe.context.sound("init", "forward", np.asarray(bank.gabor_params_from_mels), exact, errors)

    return start(rung, measure)


def own_eps(rung: str) -> Detector:
    """Detect changes of the default floor under the smoother of rung 0 or 1."""

    def measure(probe: initial.InitialProbe) -> Iterator[Measurement]:
        width = {} if rung == "tf_leaf" else {"num_channels": 1}
        layer = importlib.import_module(rung).PCENLayer(**width, dtype=probe.native())
        yield probe.context.measurement("pcen", "forward", initial.STARTS(layer._floor, EPS), "bitwise")

    return start(rung, measure)


def own_floor(rung: str) -> Detector:
    """The least energy that a fresh frontend of rung 2 or 3 lets pass, on silence."""

    def measure(probe: initial.InitialProbe) -> Iterator[Measurement]:
        module = probe.build(n_filters=2, sample_rate=4000, max_freq=2000.0, compression="pcen")
        floored = probe.adapter.stages(module, np.zeros((1, 400), dtype=np.float32))["floor"]
        verdict = initial.STARTS(floored, np.full(floored.shape, FLOOR))
        yield probe.context.measurement("floor", "forward", verdict, "bitwise")

    return start(rung, measure)


def beside_thresholds(dtype: str) -> Iterator[Measurement]:
    """The plan of a default EfficientLEAF whose lengths and strides stand on either side of where they change."""
    import torch

    import efficientleaf
    from parity.adapters.efficientleaf import EfficientLeafAdapter
    from parity.checks import plans

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
    yield plans.differing(of_efficientleaf("beside the thresholds", dtype), [plan])


def own(rung: str) -> Iterator[Measurement]:
    """Measure everything that a fresh frontend decides for itself.

    Band, rate and floor of a fresh one, and how near to a threshold its counts and its plan are still right.
    """
    detectors = (
        [own_mel(rung), half_peaks(rung), own_eps(rung)] if rung in ("tf_leaf", "og_leaf") else [own_floor(rung)]
    )
    for detect in [*detectors, beside_thresholds] if rung == "efficientleaf" else detectors:
        for dtype in ("float64", "float32"):
            yield from detect(dtype)
