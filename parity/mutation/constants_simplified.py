"""The constants of rungs 2 and 3; what rung 3 takes from rung 2 is looked at in both."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch.func import functional_call

from parity.adapters import canonical
from parity.checks.initial import InitialProbe
from parity.checks.plans import Setting
from parity.mutation.constants import RungConstant, Sized
from parity.mutation.detectors import Detector, Scene, beside_thresholds, compression, grouped, own_floor, start
from parity.mutation.efficientleaf import BATCH_NORM, EXPONENT, NORM, NORM_INIT, NORMALISED, RATIO_OF_SIZES
from parity.mutation.leaf import ALPHA, BACK, EDGES, FLOORED, INVERSE, MEL
from parity.mutation.planting import Edit, scaled, shifted
from parity.report.claims import Measurement

OUTSIDE = "weights=outside_shared,n_filters=8,sample_rate=4000,n_samples=200,seed=1"  # every limit, from either side
INSIDE = "weights=drawn,n_filters=3,sample_rate=4000,signal=impulse_first,n_samples=400,seed=5,amplitude=10.0"
QUIET = "weights=trained,n_filters=3,sample_rate=4000,n_samples=400,amplitude=0.001,pcen_floor=1e-06"
CENTERED = ",padding=centered"
# one group at full rate, some of whose 24 bands stand outside of each limit, on either side
LIMITS, SEED = Setting(24, 1, 4.77, 1.0, 2000, 8.5, 7.0), 0
SMALLEST_DRAW, QUIETEST_DRAW = 1, 6
FILTERS, BANK = "leaf.filters", "leaf.filterbank:GaborFilterbank"
GROUPED = "efficientleaf.filterbank:GroupedGaborFilterbank"


def of(rung: str) -> tuple[RungConstant, ...]:
    """The constants of ``leaf`` or ``efficientleaf``."""
    if rung == "leaf":
        return (*_shared(rung), *_of_leaf())
    return (*_shared(rung), *_of_efficientleaf())


def _shared(rung: str) -> Iterator[RungConstant]:
    """What rung 2 computes, and rung 3 with it."""
    step, more = rung, CENTERED if rung == "efficientleaf" else ""
    inside, quiet = (Scene(step, case + more) for case in (INSIDE, QUIET))
    outside: Detector = grouped(LIMITS, SEED) if rung == "efficientleaf" else Scene(step, OUTSIDE)
    analytic = start(rung, _analytic)
    fresh, floor = start(rung, lambda probe: probe.constants()), own_floor(rung)
    pcen, limited = "leaf.pcen:PCEN.step", "leaf.pcen:PCEN.parameters_linear"
    default = "leaf.pcen:leaf_pcen"
    frontend = {"leaf": "leaf.frontend:Leaf", "efficientleaf": "efficientleaf.frontend:EfficientLeaf"}[rung]
    bank = {"leaf": BANK, "efficientleaf": GROUPED}[rung]

    def one(name: str, stage: str, statement: str, change: Sized, detector: Detector) -> RungConstant:
        return RungConstant(rung, name, stage, statement, change, detector)

    def start_at(name: str, stage: str, statement: str, expression: str, around: str = "") -> RungConstant:
        return one(name, stage, statement, scaled(f"{FILTERS}:mel_filter_params", expression, around), analytic)

    def pair(name: str, statement: str, expression: str) -> RungConstant:
        return one(name, "filters", statement, scaled(f"{FILTERS}:gabor_pair", expression), inside)

    def window(name: str, statement: str, expression: str, around: str = "") -> RungConstant:
        return one(name, "windows", statement, scaled(f"{FILTERS}:gauss_windows", expression, around), inside)

    yield start_at("mel-factor", "init", "1127, from Hz to mel", "1127", MEL)
    yield start_at("mel-factor-back", "init", "1127, from mel to Hz", "1127", f"{EDGES} / 1127")
    yield start_at("mel-break", "init", "700 Hz, from Hz to mel", "700", MEL)
    yield start_at("mel-break-back", "init", "700 Hz, from mel to Hz", "700", BACK)
    yield start_at("hertz-to-radians", "init", "2 pi over the rate", "2 * math.pi / sample_rate")
    yield start_at("sigma-start", "init", "half of the rate, over the width", "sample_rate / 2")
    init = f"{frontend}.__init__"
    yield one("mel-lowest", "init", "60 Hz, the lowest corner", scaled(init, "60.0"), analytic)
    yield one("mel-highest", "init", "7800 Hz, the highest corner", scaled(init, "7800.0"), analytic)
    yield one("pooling-start", canonical.POOLING, "0.4", scaled(f"{bank}.__init__", "0.4"), fresh)
    yield one("smooth-start", canonical.SMOOTH, "0.04", scaled(default, "0.04"), fresh)
    yield one("alpha-start", canonical.ALPHA, "0.96", scaled(default, "0.96"), fresh)
    yield one("delta-start", canonical.DELTA, "2", scaled(default, "2.0"), fresh)
    yield one("root-start", canonical.ROOT, "0.5, its inverse", scaled(default, "0.5"), fresh)
    yield one("eps-start", "pcen", "1e-12", scaled(default, "1e-12"), fresh)
    yield one("floor-start", "floor", "1e-5, the least energy", scaled(default, "1e-5"), floor)
    yield pair("height-2", "2 of sqrt(2 pi) sigma", "2 * math.pi")
    yield pair("height-pi", "pi of it", "math.pi")
    yield pair("exponent-2", "2 of 2 sigma^2", "2 * sigmas**2")
    yield window("window-middle", "half of W - 1, where it stands", "middle", "t - middle")
    yield window("window-half", "half of W - 1, what its width is relative to", "middle", "middle or 1.0")
    yield window("window-exponent", "0.5 of the exponent", "0.5")
    yield one("floor-acting", "pcen", "the least energy, as it acts", scaled(pcen, "self.clamp", FLOORED), quiet)
    yield one(
        "eps", "pcen", "the floor of the smoother as it is added", scaled(pcen, "self.eps", "self.eps + m"), quiet
    )
    yield one("alpha-most", "pcen", "1", scaled(limited, "1.0", ALPHA), outside)
    yield one("root-least", "pcen", "1", scaled(limited, "1.0", INVERSE), outside)
    yield one("root-inverse", "pcen", "1 of 1 / root", scaled(limited, f"1 / {INVERSE}"), inside)


def _of_leaf() -> Iterator[RungConstant]:
    """The limits of rung 2."""
    outside = Scene("leaf", OUTSIDE)
    filters, windows, size = f"{BANK}.filters", f"{BANK}.windows", "self.filter_size * SIGMA_PER_SAMPLE"
    for name, stage, statement, change in (
        ("mu-least", "filters", "0", shifted(filters, "0.0")),
        ("mu-most", "filters", "pi", scaled(filters, "math.pi")),
        ("sigma-least", "filters", "4 bins", scaled(filters, "4")),
        (
            "sigma-per-sample-low",
            "filters",
            "sqrt(2 log 2) / pi, of 4",
            scaled(filters, "SIGMA_PER_SAMPLE", "4 * SIGMA_PER_SAMPLE"),
        ),
        ("sigma-per-sample", "filters", "sqrt(2 log 2) / pi, of the size", scaled(filters, "SIGMA_PER_SAMPLE", size)),
        ("width-least", "windows", "2 samples", scaled(windows, "2")),
        ("width-most", "windows", "0.5", scaled(windows, "0.5")),
    ):
        yield RungConstant("leaf", name, stage, statement, change, outside)


def _of_efficientleaf() -> Iterator[RungConstant]:
    """The limits, the plan and the compression of rung 3."""
    outside = grouped(LIMITS, SEED)
    init, get_stride = f"{GROUPED}.__init__", f"{GROUPED}.get_stride"
    frontend = "efficientleaf.frontend:EfficientLeaf.__init__"
    logarithm = "efficientleaf.compression:Log1p.forward"
    learned, quiet = compression("logarithm", SMALLEST_DRAW), compression("normalisation", QUIETEST_DRAW)
    fresh = start("efficientleaf", lambda probe: probe.constants())
    per_sample = "self.pool_size * SIGMA_PER_SAMPLE"
    least = "(4 if 'sigma' in self.exact else 2) * SIGMA_PER_SAMPLE"
    relative = f"{GROUPED}.relative_width"
    for name, stage, statement, change, detector in (
        ("mu-least", "filters", "0", shifted(init, "0.0"), outside),
        ("mu-most", "filters", "pi", scaled(init, "math.pi"), outside),
        ("sigma-least", "filters", "2 bins", scaled(init, least), outside),
        ("sigma-per-sample", "filters", "sqrt(2 log 2) / pi, of the size", scaled(init, per_sample), outside),
        ("width-least", "windows", "2 samples", scaled(init, "2 / self.pool_size"), outside),
        ("width-most", "windows", "0.5", scaled(init, "0.5"), outside),
        (
            "width-ratio",
            "windows",
            "K / W, to a group's rate",
            scaled(relative, "self.pool_size", RATIO_OF_SIZES),
            outside,
        ),
        (
            "kernel-factor",
            "filters",
            "4.77, a kernel's length in sigmas",
            scaled(frontend, "4.77", "conv_win_factor: float = 4.77"),
            beside_thresholds,
        ),
        (
            "stride-factor",
            "filters",
            "1 half period",
            scaled(frontend, "1.0", "stride_factor: float = 1.0"),
            beside_thresholds,
        ),
        ("stride-pi", "filters", "pi of a half period", scaled(get_stride, "math.pi"), beside_thresholds),
        ("exponent-start", "log1p.a", "5", scaled(frontend, "5"), fresh),
        ("base-learned", "log1p", "10, of a learned exponent", scaled(logarithm, "10", f"10 ** ({EXPONENT})"), learned),
        ("base-fixed", "log1p", "10, of a fixed exponent", scaled(logarithm, "10", "10**self.a"), learned),
        ("norm-eps", "batchnorm", "1e-5, PyTorch's default", _scaled_norm("eps"), quiet),
        ("norm-momentum", "batchnorm", "0.1, PyTorch's default", _scaled_norm("momentum"), quiet),
    ):
        yield RungConstant("efficientleaf", name, stage, statement, change, detector)


def _analytic(probe: InitialProbe) -> Iterator[Measurement]:
    yield from probe.analytic(23, 16000)


def scaled_attribute(owner: Any, name: str, factor: float) -> Any:
    """The owner, with one of its numbers multiplied."""
    setattr(owner, name, factor * getattr(owner, name))
    return owner


def _scaled_norm(name: str) -> Sized:
    """A constant of the batch norm, which PyTorch holds."""
    using = (scaled_attribute,)
    return lambda factor: Edit(NORM_INIT, BATCH_NORM, f"scaled_attribute(it, {name!r}, {factor!r})", using=using)


def _parameter_of_norm(name: str) -> Sized:
    """The weight or the bias of the batch norm."""
    using = (functional_call,)
    new = "functional_call(self.bn, dict({0}={1!r} * self.bn.{0}), (flat,))"
    return lambda factor: Edit(NORM, NORMALISED, new.format(name, factor), using=using)


_WHOLE = compression("whole", SMALLEST_DRAW)
COMPRESSION_PARAMETERS: tuple[RungConstant, ...] = (
    RungConstant("efficientleaf", "log1p.a", "output", "the exponents of the logarithm",
                 scaled("efficientleaf.compression:Log1p.forward", "self.a", "self.a.unsqueeze(-1)"), _WHOLE),
    RungConstant("efficientleaf", "TBN.bn.weight", "output", "the scales of the norm", _parameter_of_norm("weight"),
                 _WHOLE),
    RungConstant("efficientleaf", "TBN.bn.bias", "output", "the offsets of the norm", _parameter_of_norm("bias"),
                 _WHOLE),
)  # fmt: skip
