"""LEAF's stages as formulas that can be swapped for others, in float64, and a port's stage beside what it should be.

The values of a case come from the oracle; from the first stage that is swapped on they are computed anew.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from parity.adapters import canonical
from parity.cases.case import Case
from parity.checks.grid import Expected
from parity.oracle.arrays import Array, clamp, exact
from parity.oracle.compression import standardise
from parity.oracle.config import FLOOR, LOG_OFFSET, NORM_EPS
from parity.oracle.correlation import correlate, depthwise
from parity.oracle.gabor import gabor
from parity.oracle.pcen import smoother, smoother_adjoint
from parity.oracle.pooling import gaussian_window, squared_modulus
from parity.ports.port import STAGES

# What each stage is computed from.
FROM: dict[str, tuple[str, ...]] = {
    "filters": (),
    "windows": (),
    "conv": ("filters",),
    "modulus": ("conv",),
    "pool": ("modulus", "windows"),
    "floor": ("pool",),
    "ema": ("floor",),
    "pcen": ("floor", "ema"),
    "norm": ("pcen", "floor"),
    "output": ("norm", "pcen", "floor"),
}


def upstream(stage: str, until: Collection[str] = ()) -> list[str]:
    """List a stage and what it is computed from, at whatever distance; nothing beyond the stages in ``until``."""
    return _reached(stage, lambda name: FROM.get(name, ()), until)


def downstream(stage: str, until: Collection[str] = ()) -> list[str]:
    """List a stage and what is computed from it, at whatever distance; nothing beyond the stages in ``until``."""
    return _reached(stage, lambda name: (after for after, before in FROM.items() if name in before), until)


def _reached(start: str, step: Callable[[str], Iterable[str]], until: Collection[str]) -> list[str]:
    out, todo = list[str](), [start]
    while todo:
        name = todo.pop()
        if name not in out:
            out.append(name)
            todo += step(name) if name not in until else ()
    return out


Values = dict[str, Array]
Formula = Callable[["Setting", Values], Array]


@dataclass(frozen=True)
class Setting:
    """One case: its configuration, weights and audio, and the stages that the oracle makes of them.

    Attributes:
        expected: of the case.
        given: stages that are taken as they are, and what follows from them.
        changes: what is taken in the place of parameters.
    """

    expected: Expected
    given: Mapping[str, Array] = field(default_factory=dict)
    changes: Mapping[str, Callable[[Setting], Array]] = field(default_factory=dict)

    @cached_property
    def v(self) -> Values:
        """The weights in float64."""
        return {name: exact(value) for name, value in self.expected.variables.items()}

    @property
    def grouped(self) -> bool:
        """Tell whether filters are computed in groups, whose inner stages nobody sees."""
        return len(self.expected.oracle.geometry.groups) > 1

    def is_trained(self, stage: str) -> bool:
        """Tell whether a stage acts by the parameters of :data:`ACTS`."""
        return stage != "ema" or self.expected.config.compression != "fixed_pcen"

    @property
    def window(self) -> int:
        """Samples of a filter and of a pooling window."""
        return self.expected.config.window

    @property
    def x(self) -> Array:
        """The audio after the pre-emphasis, [B, T]."""
        x = exact(self.expected.x)
        if not self.expected.config.preemp:
            return x
        return correlate(x, self.v[canonical.PREEMP].reshape(1, 2), 1, (0, 1))[:, 0]

    @cached_property
    def raw(self) -> Values:
        """The parameters as they were given [C], by :data:`ACTS`' names."""
        kernel, root = self.v[canonical.KERNEL], self.v.get(canonical.ROOT)
        given = {
            "mu": kernel[:, 0], "sigma": kernel[:, 1], "the pooling width": self.v[canonical.POOLING].reshape(-1),
            "s": self.v.get(canonical.SMOOTH), "alpha": self.v.get(canonical.ALPHA),
            "delta": self.v.get(canonical.DELTA), "the root": root,
        }  # fmt: skip
        return {name: values for name, values in given.items() if values is not None}

    @cached_property
    def limits(self) -> dict[str, tuple[float, float]]:
        """Return the limits of each parameter."""
        box, conventions = self.expected.oracle.geometry.box, self.expected.conventions
        low = conventions.delta_low
        return {
            "mu": (0.0, np.pi), "sigma": (box.sigma_low, box.sigma_high), "the pooling width": (box.width_low, 0.5),
            "s": (0.0, 1.0) if conventions.clip_smooth else (-np.inf, np.inf), "alpha": (-np.inf, 1.0),
            "delta": (-np.inf if low is None else low, np.inf), "the root": (1.0, np.inf),
        }  # fmt: skip

    @cached_property
    def held(self) -> Values:
        """The parameters inside their limits."""
        return {name: clamp(values, *self.limits[name]) for name, values in self.raw.items()}

    @cached_property
    def plain(self) -> Setting:
        """The same without changes."""
        return replace(self, changes={})

    def own(self, stage: str, values: Values) -> Array:
        """A stage by LEAF's own formula."""
        return OWN[stage](self, values)

    def parameter(self, name: str) -> Array:
        """A parameter inside its limits [C], or what is taken in its place."""
        if name in self.changes:
            return self.changes[name](self)
        if name in WHOLE:
            whole = self.parameter(WHOLE[name])
            return 1 - whole if name == OF_STATE else whole
        return self.held[name]

    def column(self, name: str) -> Array:
        """The same for every frame or tap [C, 1]."""
        return self.parameter(name)[:, np.newaxis]

    @property
    def gamma(self) -> Array:
        """Of the instance normalisation [C, 1]."""
        return self.v[canonical.GAMMA][:, np.newaxis]

    @property
    def beta(self) -> Array:
        """Of the instance normalisation [C, 1]."""
        return self.v[canonical.BETA][:, np.newaxis]

    def pads(self, n: int, stride: int, n_taps: int = 0) -> tuple[int, int]:
        """The reference's padding of n samples, of windows of so many taps if they are others than its own."""
        return self.expected.oracle.geometry.pads(n, n_taps or self.window, stride)

    def compute(
        self,
        stage: str,
        swapped: Mapping[str, Formula],
        changes: Mapping[str, Callable[[Setting], Array]] | None = None,
    ) -> Array:
        """A stage, with these formulas in the place of LEAF's own, and with these parameters."""
        if changes:
            acting = {ACTS[name]: OWN[ACTS[name]] for name in changes}
            return replace(self, changes=changes).compute(stage, {**acting, **swapped})
        values: Values = dict(self.expected.stages)
        swapped = {**{name: as_given(y) for name, y in self.given.items()}, **swapped}
        changed = False
        for name in ORDER:
            if name in swapped:
                values[name], changed = swapped[name](self, values), True
            elif changed and name in values and name != "output":
                values[name] = OWN[name](self, values)
            if name == "output" and changed and "output" not in swapped:
                values["output"] = self.output(values)
            if name == stage:
                break
        return values[stage]

    def output(self, values: Values) -> Array:
        """The output from the stages before it."""
        return values["norm"] if self.expected.config.mean_var_norm else self.compressed(values)

    def compressed(self, values: Values) -> Array:
        """Compute what the normalisation takes."""
        kind = self.expected.config.compression
        if kind == "none":
            return values["floor"]
        return np.log(values["floor"] + LOG_OFFSET) if kind == "log" else values["pcen"]


def conv(s: Setting, values: Values, pads: tuple[int, int], x: Array | None = None) -> Array:
    """The filters over the audio, [B, C, 2, T]."""
    n_taps = values["filters"].shape[-1]
    x = s.x if x is None else x
    y = correlate(x, values["filters"].reshape(-1, n_taps), 1, pads)
    return y.reshape(x.shape[0], -1, 2, x.shape[1] + sum(pads) - n_taps + 1)


def pool(s: Setting, values: Values, pads: tuple[int, int], stride: int = 0) -> Array:
    """The windows over the energies, [B, C, F], at another stride if one is given."""
    return depthwise(values["modulus"], values["windows"], stride or s.expected.config.stride, pads)


def as_given(values: Array) -> Formula:
    """The formula that gives these values."""
    return lambda setting, stages: exact(values)


def as_taken(values: Array) -> Callable[[Setting], Array]:
    """The parameter that has these values."""
    return lambda setting: values


def gains(s: Setting) -> tuple[Array, Array]:
    """Compute what the smoother multiplies the frame and its state by."""
    if s.expected.config.compression == "fixed_pcen":
        return np.diag(s.v[canonical.RNN_KERNEL]), np.diag(s.v[canonical.RNN_RECURRENT])
    return s.parameter(OF_FRAME), s.parameter(OF_STATE)


def smoothed_back(s: Setting) -> Array:
    """The part of the energies' cotangent that came through the smoother, which the other part may cancel."""
    d = s.expected.cotangents.get("ema")
    return np.zeros(1) if d is None else smoother_adjoint(s.expected.stages["floor"], *gains(s), d)[0]


def gained(s: Setting, values: Values, m: Array | None = None, eps: float | None = None) -> Array:
    """The energies over the smoothed ones, to the power alpha; cut to the frames of both, as a port's may be others."""
    x, m = values["floor"], values["ema"] if m is None else m
    n, added = min(x.shape[-1], m.shape[-1]), s.expected.config.pcen_floor if eps is None else eps
    with np.errstate(all="ignore"):
        return np.asarray(x[..., :n] / (added + m[..., :n]) ** s.column("alpha"))


def rooted(s: Setting, values: Array) -> Array:
    """The gained energies with delta added, under the root, less the root of delta."""
    with np.errstate(all="ignore"):
        whole = (values + s.column(ADDED)) ** (1 / s.column(OF_SUM))
        return np.asarray(whole - s.column(SUBTRACTED) ** (1 / s.column(OF_DELTA)))


def pcen(s: Setting, values: Values, m: Array | None = None, eps: float | None = None) -> Array:
    """The gain and the root, with other smoothed energies, or another number added to them."""
    return rooted(s, gained(s, values, m, eps))


def norm(s: Setting, values: Values) -> Array:
    """Instance normalisation, [B, C, F]."""
    return standardise(s.compressed(values), s.gamma, s.beta, NORM_EPS, axes=(2,))


def joined(conv: Array) -> Array:
    """The two parts of every filter one after the other, as the oracle has them: [B, C, 2, T] to [B, 2 C, T]."""
    return conv.reshape(conv.shape[0], -1, conv.shape[-1])


ADDED, SUBTRACTED = "the delta that is added", "the delta that is subtracted"
OF_FRAME, OF_STATE = "the weight of the frame", "the weight of the state"
OF_SUM, OF_DELTA = "the root of the sum", "the root of delta"
PARAMETERS = {
    "mu": "filters", "sigma": "filters", "the pooling width": "windows", "s": "ema", "alpha": "pcen", "delta": "pcen",
    "the root": "pcen",
}  # fmt: skip
# The places of a parameter that has several.
WHOLE = {ADDED: "delta", SUBTRACTED: "delta", OF_SUM: "the root", OF_DELTA: "the root", OF_FRAME: "s", OF_STATE: "s"}
# The stage that each parameter acts in, and each of its places.
ACTS = {**PARAMETERS, **{place: PARAMETERS[whole] for place, whole in WHOLE.items()}}
ORDER = (*STAGES, "output")
ROUNDING = 2.0**-17  # of the largest value: what float32 leaves of a hypothesis that is right
LESS = 1 / 32  # and of the departure itself
MOST_SHIFT = 2  # samples or frames that a stage is tried to be late or early
OWN: dict[str, Formula] = {
    "filters": lambda s, v: gabor(s.parameter("mu"), s.parameter("sigma"), s.window),
    "windows": lambda s, v: gaussian_window(s.parameter("the pooling width"), s.window),
    "conv": lambda s, v: conv(s, v, s.pads(s.x.shape[1], 1, v["filters"].shape[-1])),
    "modulus": lambda s, v: squared_modulus(joined(v["conv"])),
    "pool": lambda s, v: pool(s, v, s.pads(v["modulus"].shape[-1], s.expected.config.stride, v["windows"].shape[-1])),
    "floor": lambda s, v: clamp(v["pool"], low=FLOOR),
    "ema": lambda s, v: smoother(v["floor"], *gains(s)),
    "pcen": pcen,
    "norm": norm,
}


@dataclass(frozen=True, eq=False)
class Row:
    """Something other than LEAF's own that explains a case or does not.

    Attributes:
        sentence: its end.
        stage: that it is about.
        formulas: in the place of LEAF's own, by stage.
        changes: in the place of parameters, by name.
        is_fitted: a number of it was read off the values.
    """

    sentence: str
    stage: str
    formulas: Mapping[str, Formula] = field(default_factory=dict)
    changes: Mapping[str, Callable[[Setting], Array]] = field(default_factory=dict)
    is_fitted: bool = False


@dataclass(frozen=True, eq=False)
class Pair:
    """A stage of a port beside what it should be, of one case.

    Attributes:
        case: that both were made of.
        setting: of the case.
        got, wanted: canonical.
        rounding: the largest one-operation bound of a value.
        errors: the running-error bound of each value.
        part: of the stage, that both were cut to; empty for the whole.
        tried: the stage by other formulas, computed once.
    """

    case: Case
    setting: Setting
    got: Array
    wanted: Array
    rounding: float = 0.0
    errors: Array | None = None
    part: tuple[slice, ...] = ()
    tried: dict[tuple[Row, ...], Array | None] = field(default_factory=dict, repr=False)

    @property
    def shared(self) -> tuple[slice, ...]:
        """Cut to what both have, where one is longer."""
        return tuple(slice(0, min(a, b)) for a, b in zip(self.got.shape, self.wanted.shape, strict=True))

    @property
    def tells(self) -> bool:
        """Tell whether it can show anything: the same axes, and not silence."""
        return self.case.signal != "silence" and self.got.ndim == self.wanted.ndim

    @property
    def is_alike(self) -> bool:
        """Tell whether both have one shape."""
        return self.got.shape == self.wanted.shape

    @cached_property
    def departure(self) -> float:
        """Measure the largest difference of two finite values; infinity where there is none."""
        if self.got.ndim != self.wanted.ndim:
            return float("inf")
        with np.errstate(invalid="ignore"):
            apart = np.abs(self.got[self.shared] - self.wanted[self.shared])
        return float(apart[np.isfinite(apart)].max(initial=0)) or float("inf")

    def allowed_of(self, got: Array) -> Array:
        """Bound what a hypothesis that is right may leave, of each of these values of the port."""
        scale = float(np.abs(got[np.isfinite(got)]).max(initial=0))
        everywhere = min(max(ROUNDING * scale, 4 * self.rounding), LESS * self.departure)
        errors = self.errors if self.errors is not None and self.errors.shape == got.shape else 0.0
        return np.asarray(np.broadcast_to(np.maximum(everywhere, errors), got.shape))

    @property
    def off(self) -> np.ndarray:
        """Mark the values that depart by more than that."""
        return ~_are_near(self.got, self.wanted, self.allowed_of(self.got))

    @property
    def is_minor(self) -> bool:
        """Tell whether it departs by less than a hypothesis may leave: one that changes nothing would explain it."""
        return self.is_alike and not self.off.any()

    def cut(self, part: tuple[slice, ...]) -> Pair:
        """The same of a part of the stage."""
        errors = self.errors[part] if self.errors is not None and self.errors.shape == self.got.shape else None
        return replace(self, got=self.got[part], wanted=self.wanted[part], errors=errors, part=part, tried={})

    def by(self, stage: str, rows: tuple[Row, ...]) -> Array | None:
        """The stage with these rows; None where this case does not have them, as a clip shorter than a window."""
        if rows and rows not in self.tried:
            formulas = {name: f for row in rows for name, f in row.formulas.items()}
            changes = {name: f for row in rows for name, f in row.changes.items()}
            try:
                with np.errstate(all="ignore"):
                    self.tried[rows] = self.setting.compute(stage, formulas, changes)[self.part]
            except (ValueError, IndexError, KeyError):
                self.tried[rows] = None
        return self.tried[rows] if rows else self.wanted


def _are_near(got: Array, there: Array, allowed: Array | float) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        return np.asarray((np.abs(got - there) <= allowed) | (np.isnan(got) & np.isnan(there)) | (got == there))


def near(got: Array, there: Array, allowed: Array | float) -> bool:
    """Tell whether two arrays differ by no more than is allowed, and are NaN in the same places."""
    return bool(_are_near(got, there, allowed).all())


def channels(stage: str) -> int:
    """The axis of the filters: filters [C, 2, W] and windows [C, K] have it first."""
    return 0 if stage in ("filters", "windows") else 1
