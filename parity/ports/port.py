"""Describe a port: the one thing to write. Imports no framework."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import InitVar, dataclass, field, fields
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from parity.adapters import canonical
from parity.adapters.rungs import RUNGS
from parity.cases.case import WEIGHTS
from parity.oracle.config import LeafConfig
from parity.ports import layouts

if TYPE_CHECKING:
    from parity.adapters.rungs import Adapter

CLAIMS = ("og_leaf", "leaf", "efficientleaf")
ON_LIMITS = "on the limits"  # of the domain where weights lie on them
TOGETHER = "all drawn cases"  # the case of what is judged over all of them
FORCED = "on the reference's input"  # of the domain where each stage is computed from the reference's own
AUDIO = ("bt", "b1t", "bt1")
PARTS = ("", "interleaved", "blocks")
# The stages that can be read off a port, in the order of the computation.
STAGES = ("filters", "windows", "conv", "modulus", "pool", "floor", "ema", "pcen", "norm")
# What a port is drawn with, where its `configs` do not say more: trainable PCEN, and nothing before or after.
PLAIN: Mapping[str, tuple[Any, ...]] = {
    "compression": ("pcen",),
    "per_channel_smooth": (True,),
    "preemp": (False,),
    "mean_var_norm": (False,),
}
PADDING = {"og_leaf": ("same",), "leaf": ("centered",), "efficientleaf": ("centered",)}
# Inputs that the rungs refuse, by what is wrong with them: shape and dtype.
REFUSED: dict[str, tuple[tuple[int, ...], str]] = {
    "no batch": ((400,), "float32"),
    "four axes": ((2, 1, 1, 400), "float32"),
    "two channels": ((2, 2, 400), "float32"),
    "no samples": ((2, 1, 0), "float32"),
    "integers": ((2, 1, 400), "int16"),
    "another float type": ((2, 1, 400), "float64"),
}
INPUT = ":input"  # after the name of a submodule: what it takes
CONVOLUTION = re.compile(r"(.*):conv\[(\d+)\]\.(input|weight|output)")
GROUPING = ("num_groups", "conv_win_factor", "stride_factor")

FOUND: Mapping[str, Any] = MappingProxyType({})  # nothing was said: all is looked for

Build = Any  # a class, its MODULE:NAME, or a function of the configuration
Stage = str | Callable[[Any, Any], Any]
Keys = str | tuple[str, ...] | None


@dataclass(frozen=True)
class Port:
    """An implementation that claims to be a rung of the ladder.

    Attributes:
        name: of the port, as the certificate calls it.
        claims: the rung that it claims to be: ``"og_leaf"`` (the original: TensorFlow's SAME padding), ``"leaf"``
            (simplified LEAF: centred padding, unless ``configs`` says ``{"padding": "same"}``) or ``"efficientleaf"``.
        build: the class of the module, or its ``"MODULE:NAME"``, whose arguments are told by their names; or a function
            from a :class:`parity.oracle.config.LeafConfig` to a fresh PyTorch module; or to a function of audio
            [B, T] and a dictionary of parameters by canonical names, NumPy arrays all, which gives the output or a
            dictionary of stages with ``"output"`` among them.
        parameters: canonical name to state-dict key; what is left out is found by names, shapes and initial values, or
            refused where these leave a choice. ``kernel`` [C, 2] may be two keys: centres, then sigmas.
            The names are ``kernel``, ``learnable_pooling/kernel``, ``PCEN/alpha``, ``PCEN/delta``, ``PCEN/root``,
            ``PCEN/EMA/smooth``, and those of :mod:`parity.adapters.canonical` for whatever else is held. None: the
            port has no such parameter, although it takes the option; the reference keeps its initial value. A
            function takes all parameters by their canonical names and needs no table.
        stages: where a stage of ``STAGES`` can be read: the name of a submodule, whose output is taken; that name and
            ``:input``, whose input is taken; that name and ``:conv[0].weight``, ``.input`` or ``.output``, of the first
            call of ``conv1d`` or ``conv2d`` inside it; or a function of the module and the audio as it was given.
            All are looked for where none is given; otherwise filters, windows and what lies between them.
        layout: axes of the output, such as ``"bct"`` or ``"btc"``; found by its shape if not given.
        stages_layout: the same of the stages, for all or by stage: ``{"windows": "1kc1", "conv": "b cp t"}``, see
            :mod:`parity.ports.layouts`; found by shape and values if not given.
        audio: how the module takes its audio: ``"bt"`` is [B, T], ``"b1t"`` is [B, 1, T], ``"bt1"`` is [B, T, 1];
            tried if not given.
        parts: real and imaginary parts of ``filters`` and ``conv`` on one axis: ``"interleaved"``, or in two
            ``"blocks"``; found by their values if not given.
        configs: the values that a field of the configuration may take, one or a tuple of them. What is not named is
            drawn, but for ``PLAIN``.
        weights: the kinds of weights to draw, see :class:`parity.cases.case.Case`; by default, for ``og_leaf`` with
            those outside of every limit, for ``leaf`` with those outside of the limits that it has.
        holds: whether a drawn configuration can be held, where ``configs`` cannot say it.
        double: whether ``.double()`` makes it compute in float64. None finds out; False does not claim it.
        accepts: inputs that the rung refuses and the port takes, declared: see :data:`REFUSED`.
        extra: parameters and buffers that LEAF has not, declared by their keys; whatever else is found is a departure.
        logs: canonical names of the parameters that are kept as logarithms; of ``PCEN/root``, that of its inverse.
        initial: whether fresh modules are held to the rung's initial values.
        groups: of ``efficientleaf``: ``num_groups``, ``conv_win_factor`` and ``stride_factor``.
        step: what a training loop calls on the module after each update, to bring parameters back into their limits.
        arguments: of the class, besides those that are told by their names; or a function of the configuration.

    Raises:
        TypeError: an argument of another type, as text where several names are meant.
        ValueError: a name, a stage, a field or a choice that does not exist.
    """

    name: str
    claims: str
    build: Build
    parameters: Mapping[str, Keys] = field(default_factory=lambda: FOUND)
    stages: Mapping[str, Stage] = field(default_factory=lambda: FOUND)
    layout: str = ""
    stages_layout: str | Mapping[str, str] = ""
    audio: str = ""
    parts: str = ""
    configs: Mapping[str, Any] = field(default_factory=dict)
    weights: tuple[str, ...] = ()
    holds: Callable[[LeafConfig], bool] = lambda config: True
    double: bool | None = None
    accepts: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    logs: tuple[str, ...] = ()
    initial: bool = True
    groups: Mapping[str, Any] = field(default_factory=dict)
    step: Callable[[Any], object] | None = None
    arguments: Mapping[str, Any] | Callable[[LeafConfig], Mapping[str, Any]] = field(default_factory=dict)
    taps: InitVar[Mapping[str, Stage] | None] = None
    taps_layout: InitVar[str | None] = None

    def __post_init__(self, taps: Mapping[str, Stage] | None, taps_layout: str | None) -> None:
        for old, new, given in (("taps", "stages", taps), ("taps_layout", "stages_layout", taps_layout)):
            if given is not None:
                if getattr(self, new):
                    raise ValueError(f"{old}={given!r}: must be left out, {new}={getattr(self, new)!r} is given")
                warnings.warn(f"{old}: is {new} now; the old name goes in 0.3", DeprecationWarning, stacklevel=3)
                object.__setattr__(self, new, given)
        self._require_types()
        for name, choices in (("claims", CLAIMS), ("audio", ("", *AUDIO)), ("parts", PARTS)):
            if getattr(self, name) not in choices:
                raise ValueError(f"{name}={getattr(self, name)!r}: must be one of {choices}")
        for what, names, known in (
            ("stages", self.stages, STAGES),
            ("weights", self.weights, WEIGHTS),
            ("parameters", self.parameters, _VARIABLES),
            ("logs", self.logs, _VARIABLES),
            ("groups", self.groups, GROUPING if self.claims == "efficientleaf" else ()),
            ("accepts", self.accepts, tuple(REFUSED)),
            ("stages_layout", () if isinstance(self.stages_layout, str) else self.stages_layout, STAGES),
            ("configs", self.configs, tuple(f.name for f in fields(LeafConfig))),
        ):
            if unknown := [name for name in names if name not in known]:
                allowed = f"among {known}" if known else f"left out, {self.claims} has none"
                raise ValueError(f"{what}={unknown}: must be {allowed}")
        if empty := [name for name in self.configs if self.allowed(name) == ()]:
            raise ValueError(f"configs[{empty[0]!r}]=(): must have a value or several")
        if self.claims != "og_leaf" and any(self.allowed(name) != values for name, values in PLAIN.items()):
            held = f"{self.claims} holds no other {', '.join(PLAIN)} than {PLAIN}"
            raise ValueError(f"configs={dict(self.configs)}: {held}")
        for stage in ("output", *self.stages):
            layouts.parse(stage, self.given_layout(stage))

    def _require_types(self) -> None:
        callables = {"holds": self.holds, **({"step": self.step} if self.step else {})}
        for what, value in callables.items():
            if not callable(value):
                raise TypeError(f"{what}={value!r}: must be a function")
        if not (isinstance(self.build, str) or callable(self.build)):
            raise TypeError(f"build={self.build!r}: must be a function, a class or its MODULE:NAME")
        if not (isinstance(self.arguments, Mapping) or callable(self.arguments)):
            raise TypeError(f"arguments={self.arguments!r}: must be a dictionary or a function")
        for what in ("parameters", "stages", "configs", "groups"):
            if not isinstance(value := getattr(self, what), Mapping):
                raise TypeError(f"{what}={value!r}: must be a dictionary")
        for what in ("weights", "accepts", "extra", "logs"):
            if isinstance(value := getattr(self, what), str):
                raise TypeError(f"{what}={value!r}: must be a tuple of names, ({value!r},)")
        for what, types in (("name", str), ("layout", str), ("stages_layout", (str, Mapping))):
            if not isinstance(value := getattr(self, what), types):
                raise TypeError(f"{what}={value!r}: must be text")
        for name, stage in self.stages.items():
            if not (isinstance(stage, str) or callable(stage)):
                raise TypeError(f"stages[{name!r}]={stage!r}: must be the name of a submodule, or a function")

    def given_layout(self, stage: str) -> str:
        """Look up what was said of a stage's axes; empty where nothing was."""
        if stage == "output":
            return self.layout
        if not isinstance(self.stages_layout, str):
            return self.stages_layout.get(stage, "")
        # one text for all stages is about those that have time and channels
        return self.stages_layout if stage not in ("filters", "windows") else ""

    def allowed(self, name: str) -> tuple[Any, ...] | None:
        """The values that a field of the configuration may take; None: any."""
        plain = {**PLAIN, "padding": PADDING[self.claims]}
        values = self.configs.get(name, plain.get(name))
        return values if values is None or isinstance(values, tuple) else (values,)

    def held(self, config: LeafConfig, turn: int = 0) -> LeafConfig:
        """The configuration with whatever the port does not hold replaced by what it does.

        Args:
            config: any.
            turn: chooses among several allowed values.
        """
        changes: dict[str, Any] = {}
        for name in (f.name for f in fields(LeafConfig)):
            allowed = self.allowed(name)
            if allowed is not None and (name in self.configs or getattr(config, name) not in allowed):
                changes[name] = allowed[turn % len(allowed)]
                turn //= len(allowed)
        return config.with_(**changes)

    def stages_of(self, config: LeafConfig) -> tuple[str, ...]:
        """The stages that a frontend of this configuration has, whether the port shows them or not."""
        absent = set() if config.compression in ("pcen", "fixed_pcen") else {"ema", "pcen"}
        return tuple(s for s in STAGES if s not in absent and (s != "norm" or config.mean_var_norm))

    @property
    def known_stages(self) -> tuple[str, ...]:
        """The stages of all configurations that are held."""
        kinds = product(self.allowed("compression") or (), self.allowed("mean_var_norm") or ())
        had = {
            stage
            for kind, norm in kinds
            for stage in self.stages_of(_DEFAULT.with_(compression=kind, mean_var_norm=norm))
        }
        return tuple(stage for stage in STAGES if stage in had)

    @property
    def domain(self) -> str:
        """Say where the claim is made, in words."""
        padding = "/".join(map(str, self.allowed("padding") or ()))
        own = [f"{name}={value}" for name, value in self.configs.items() if name != "padding"]
        own += [f"{name}={value}" for name, value in self.groups.items()]
        own += [f"weights={'/'.join(dict.fromkeys(self.weights))}"] if self.weights else []
        return ", ".join(["drawn", f"padding={padding}", *own])


def convolution(stage: Stage) -> tuple[str, int, str] | None:
    """Read the text of a stage inside of a submodule: its name, the number of the convolution, and what of it."""
    found = CONVOLUTION.fullmatch(stage) if isinstance(stage, str) else None
    return (found[1], int(found[2]), found[3]) if found else None


def keeps_shape(name: str, stage: Stage) -> bool:
    """Tell whether a stage can be replaced by values of its own shape alone.

    The padding may be made of a convolution's shapes, and smoothed energies meet the energies again.
    """
    return name == "ema" or convolution(stage) is not None


def reference(port: Port) -> Adapter:
    """The adapter of the rung that a port claims to be.

    Raises:
        ImportError: another module has the rung's name, as one called ``leaf.py`` beside the port would.
    """
    found, own = find_spec(port.claims), Path(__file__).parents[2] / port.claims
    if found is None or found.origin is None or Path(found.origin).parent.resolve() != own.resolve():
        raise ImportError(
            f"module {port.claims!r} is {found.origin if found else None}: must be leaf-ladder's; rename the other"
        )
    return RUNGS[port.claims].load_adapter()


_DEFAULT = LeafConfig()
_VARIABLES = tuple(
    dict.fromkeys(
        name
        for config in (LeafConfig(preemp=True, mean_var_norm=True), LeafConfig(compression="fixed_pcen"))
        for name in canonical.expected_shapes(config)
    )
)


def said(error: Exception, most: int = 120) -> str:
    """Write what an exception says, in a line of at most so many characters and its type."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:most]}"
