"""Check initial values: the mel matrix, the Gabor parameters that are read off it, and constants.

The mel matrix and the parameters are held to running-error bounds of their own few operations; what is a constant is
held to the bit. Everything is built with the rung's own defaults, in float32 and in float64.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from parity.adapters import canonical
from parity.adapters.rungs import RUNGS
from parity.checks.grid import Context
from parity.criteria import AtMost, Exactly
from parity.oracle import Precision, Running, analytic_init, measured_init, measured_init_margin, mel_matrix
from parity.oracle.arrays import Array
from parity.oracle.running import EXP, LOG
from parity.report.claims import Measurement

N_FILTERS = (5, 23, 40, 64, 80)
# With 160 filters some triangles fall between two bins: all of their values are the peak, and half of it.
MEASURED = ((5, 16000), (23, 8000), (40, 16000), (64, 22050), (80, 44100), (160, 16000))  # (filters, rate)
N_FFT, RATE, LOW, HIGH = 512, 16000, 60.0, 7800.0  # the original's, whatever the frontend's rate
RATES = (16000, 22050, 44100)  # of the analytic start, which follows them
CONSTANTS: dict[str, object] = {
    canonical.POOLING: 0.4,
    canonical.ALPHA: 0.96,
    canonical.DELTA: 2.0,
    canonical.ROOT: 2.0,
    canonical.SMOOTH: 0.04,
    canonical.PREEMP: np.reshape([-0.97, 1.0], (2, 1, 1)),
    canonical.GAMMA: 1.0,
    canonical.BETA: 0.0,
    canonical.RNN_KERNEL: 0.04 * np.eye(3),
    canonical.RNN_RECURRENT: 0.96 * np.eye(3),
}  # Source: ``Leaf`` in ``leaf_audio/frontend.py`` and the layers that it makes
TBN_CONSTANTS = {
    "log1p.a": 5.0, "TBN.bn.weight": 1.0, "TBN.bn.bias": 0.0, "TBN.bn.running_mean": 0.0, "TBN.bn.running_var": 1.0,
    "TBN.bn.num_batches_tracked": 0,
}  # fmt: skip
PCEN_FLOOR = 1e-12
STARTS = Exactly("a constant, rounded once to the parameter's type")
DECIDED = AtMost(0.05, "share of filters with a bin within rounding of a threshold, where either count is faithful")
SPACED = 4.0  # roundings of a value of ``linspace``: a step, its multiple and the sum, and TensorFlow's own order


def initial(rung: str) -> Iterator[Measurement]:
    """Every initial value of the rung."""
    for dtype in ("float32", "float64"):
        with _default_dtype(rung, dtype):
            probe = InitialProbe(rung, dtype)
            if rung in ("tf_leaf", "og_leaf"):
                for n_filters, rate in MEASURED:
                    yield from probe.measured(n_filters, rate)
            else:
                for n_filters in N_FILTERS:
                    for rate in RATES:
                        yield from probe.analytic(n_filters, rate)
            yield from probe.constants()


class InitialProbe:
    """One rung in one precision."""

    def __init__(self, rung: str, dtype: str) -> None:
        self.rung, self.dtype = rung, dtype
        self.adapter = RUNGS[rung].load_adapter()
        self.precision = Precision.of(dtype)
        again = f"pytest parity_tests/rungs/test_init.py -m {rung}"
        self.context = Context(rung, "oracle", "fresh modules", "", again, dtype)

    def measured(self, n_filters: int, rate: int) -> Iterator[Measurement]:
        """Rungs 0 and 1: the mel matrix, and centres and widths counted in its bins, whatever the frontend's rate."""
        self.context.case = f"{n_filters} filters at {rate} Hz"
        melfilters = importlib.import_module(f"{self.rung}.melfilters")
        gabor = melfilters.Gabor(n_filters=n_filters, min_freq=LOW, max_freq=HIGH, dtype=self.native())
        errors = mel_errors(n_filters, self.precision)
        expected = mel_matrix(n_filters, N_FFT // 2 + 1, RATE, LOW, HIGH)
        yield from self.context.sound("mel", "forward", np.asarray(gabor.mel_filters), expected, errors)
        exact = measured_init(n_filters)
        # a root moves by half of the triangle's error over itself, which is at least half of the peak where it matters
        peak, largest = expected.max(axis=1), errors.max(axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            decided = measured_init_margin(n_filters) > 2 * largest / peak**2
        decided |= (peak == 0) & (largest == 0)
        undecided = DECIDED(float(np.mean(~decided)))
        yield self.context.measurement("init", "status", undecided, "rounding")
        kernel = self.adapter.read(self.build(n_filters=n_filters, sample_rate=rate))[canonical.KERNEL]
        # pi is rounded, and a product with it; the width has a logarithm under a root and a quotient besides
        roundings = np.array([2.0, LOG / 2 + 6])
        error = roundings * self.precision.u * exact
        yield from self.context.sound("init", "forward", kernel[decided], exact[decided], error[decided])

    def analytic(self, n_filters: int, rate: int) -> Iterator[Measurement]:
        """Rungs 2 and 3: centres and widths computed from the corners of the mel triangles."""
        self.context.case = f"{n_filters} filters at {rate} Hz"
        kernel = self.adapter.read(self.build(n_filters=n_filters, sample_rate=rate, compression="pcen"))[
            canonical.KERNEL
        ]
        errors = analytic_errors(n_filters, rate, self.precision)
        yield from self.context.sound("init", "forward", kernel, analytic_init(n_filters, rate, LOW, HIGH), errors)

    def constants(self) -> Iterator[Measurement]:
        """Everything that starts from a constant, for each form of the frontend."""
        for form, module in self.forms():
            self.context.case = form
            held = {name: v for name, v in self.adapter.read(module).items() if name != canonical.KERNEL}
            yield from self.exactly(held, CONSTANTS)
            yield from self.exactly({"pcen": np.array(self.adapter.config(module).pcen_floor)}, {"pcen": PCEN_FLOOR})
        if self.rung == "efficientleaf":
            self.context.case = "logtbn"
            state = self.build(n_filters=3).compression.state_dict()
            yield from self.exactly({name: tensor.numpy() for name, tensor in state.items()}, TBN_CONSTANTS)

    def exactly(self, held: Mapping[str, np.ndarray], constants: Mapping[str, object]) -> Iterator[Measurement]:
        """Every array against the constant that it starts from."""
        for name, values in held.items():
            expected = np.broadcast_to(np.asarray(constants[name]), values.shape)
            yield self.context.measurement(name, "forward", STARTS(values, expected), "bitwise")

    def forms(self) -> Iterator[tuple[str, Any]]:
        """Fresh frontends of three filters; all weights of the rung are in one or the other."""
        if self.rung not in ("tf_leaf", "og_leaf"):
            yield "pcen", self.build(n_filters=3, compression="pcen")
            return
        yield "everything", self.build(n_filters=3, preemp=True, mean_var_norm=True)
        package = importlib.import_module(self.rung)
        width = {} if self.rung == "tf_leaf" else {"num_channels": 3}
        fixed = package.PCENLayer(**width, trainable=True, floor=PCEN_FLOOR, dtype=self.native())
        yield "fixed smoother", self.build(n_filters=3, compression_fn=fixed)

    def build(self, **arguments: Any) -> Any:
        """A fresh frontend of the rung."""
        package = importlib.import_module(self.rung)
        if self.rung in ("tf_leaf", "og_leaf"):
            return package.Leaf(**arguments, dtype=self.native())
        if self.rung == "leaf":
            arguments.pop("compression", None)  # PCEN is its default
            return package.Leaf(**arguments)
        return package.EfficientLeaf(**{"num_groups": 1, **arguments})

    def native(self) -> Any:
        """The dtype as the rung's arguments have it."""
        if self.rung == "tf_leaf":
            return self.dtype
        import torch

        return getattr(torch, self.dtype)


@contextmanager
def _default_dtype(rung: str, dtype: str) -> Iterator[None]:
    """Rungs 2 and 3 compute their start in PyTorch's default dtype."""
    if rung not in ("leaf", "efficientleaf"):
        yield
        return
    import torch

    before = torch.get_default_dtype()
    torch.set_default_dtype(getattr(torch, dtype))
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def _mel(hertz: Running) -> Running:
    """``1127 ln(1 + f / 700)``, the sum rounded before the logarithm."""
    one, by, times = (Running.given(np.full(1, c), hertz.precision) for c in (1.0, 700.0, 1127.0))
    return (one + hertz / by).log() * times


def mel_errors(n_filters: int, precision: Precision) -> Array:
    """The largest rounding error of every value of the mel matrix, [C, bins]."""
    bins = _mel(Running.given(np.linspace(0.0, RATE / 2, N_FFT // 2 + 1), precision, SPACED))
    ends = _mel(Running.given(np.array([LOW, HIGH]), precision))
    spread = np.linspace(ends.value[0], ends.value[1], n_filters + 2)
    edges = Running.given(spread, precision, SPACED)
    edges = Running(spread, edges.error + ends.error.max(), precision)[:, np.newaxis]
    low, centre, high = edges[:-2], edges[1:-1], edges[2:]
    rising = (bins - low) / (centre - low)
    falling = (high - bins) / (high - centre)
    errors = np.maximum(rising.error, falling.error)  # the minimum of the two moves by no more
    certain = np.minimum(rising.value + rising.error, falling.value + falling.error) < 0
    errors = np.where(certain, 0.0, errors)  # cut off at zero, whatever it was
    errors[:, 0] = 0.0
    return np.asarray(errors)


def analytic_errors(n_filters: int, rate: float, precision: Precision) -> Array:
    """The largest rounding error of the analytic start, [C, 2]."""
    lowest, highest = (1127 * np.log1p(f / 700) for f in (LOW, HIGH))
    mel = Running.given(np.linspace(lowest, highest, n_filters + 2), precision, SPACED)
    by, times, half = (Running.given(np.full(1, c), precision) for c in (1127.0, 700.0, rate / 2))
    corners = (mel / by).monotone(np.expm1, EXP) * times
    turn = Running.given(np.full(1, 2 * np.pi / rate), precision, 1.0)
    sigma = half / (corners[2:] - corners[:-2])
    return np.stack([(corners[1:-1] * turn).error, sigma.error], axis=1)
