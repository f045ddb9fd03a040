"""A frontend of the original as plain data, how a user says it, and the ``og_leaf`` module that it describes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from parity.cases.subjects import CONVOLUTIONS, POOLINGS
from parity.oracle.config import PADDINGS
from parity.weights.outputs import require_file

if TYPE_CHECKING:
    from torch import nn

ACTIVATIONS = ("squared_modulus", "leaky_relu", "relu", "none")
COMPRESSIONS = ("pcen", "shared_pcen", "fixed_pcen", "log", "layer_norm", "none")
SINC = {"conv1d_cls": "SincConv1D", "activation": "leaky_relu"}
# what a frontend of the original sets itself
FIXED: dict[str, dict[str, Any]] = {
    "Leaf": {},
    "TimeDomainFilterbanks": {"conv1d_cls": "Conv1D", "activation": "squared_modulus",
                              "pooling_cls": "LearnablePooling1D", "compression": "log"},
    "SincNet": {**SINC, "pooling_cls": "MaxPooling1D", "compression": "layer_norm"},
    "SincNetPlus": {**SINC, "pooling_cls": "GaussianLowpass", "compression": "fixed_pcen", "pcen_floor": 1e-6},
    "MelFilterbanks": {"compression": "log"},
}  # fmt: skip


@dataclass(frozen=True)
class FrontendConfig:
    """The original's arguments by its names, in words that no framework owns.

    Attributes:
        frontend: its class: ``Leaf``, ``TimeDomainFilterbanks``, ``SincNet``, ``SincNetPlus`` or ``MelFilterbanks``;
            each of the last four fixes some of what follows, see :meth:`of`.
        n_filters: number of filters, at least 1.
        sample_rate: Hz.
        window_len, window_stride: ms.
        conv1d_cls, pooling_cls: by the name of the class; ``Conv1D`` is Keras' own.
        activation: ``squared_modulus``, ``leaky_relu`` (slope 0.2), ``relu`` or ``none``.
        compression: ``pcen`` (learned, a smoothing coefficient a channel), ``shared_pcen`` (one coefficient),
            ``fixed_pcen`` (the smoother is a fixed recurrence), ``log``, ``layer_norm`` or ``none``.
        pcen_floor: the offset added to the smoother; no checkpoint holds it.
        preemp: starts with a pre-emphasis.
        mean_var_norm: ends with an instance normalisation.
        n_fft, min_freq, max_freq: of ``MelFilterbanks``; samples and Hz.

    Source: ``leaf_audio/frontend.py`` (names and defaults).
    """

    frontend: str = "Leaf"
    n_filters: int = 40
    sample_rate: int = 16000
    window_len: float = 25.0
    window_stride: float = 10.0
    conv1d_cls: str = "GaborConv1D"
    activation: str = "squared_modulus"
    pooling_cls: str = "GaussianLowpass"
    compression: str = "pcen"
    pcen_floor: float = 1e-12
    preemp: bool = False
    mean_var_norm: bool = False
    n_fft: int = 512
    min_freq: float = 60.0
    max_freq: float = 7800.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value: Any = getattr(self, field.name)
            if hasattr(value, "item"):  # of NumPy, whose narrow types wrap
                object.__setattr__(self, field.name, value.item())
        choices = {"frontend": tuple(FIXED), "conv1d_cls": CONVOLUTIONS, "activation": ACTIVATIONS,
                   "pooling_cls": POOLINGS, "compression": COMPRESSIONS}  # fmt: skip
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name}={getattr(self, name)!r}: must be one of {allowed}")
        for name, value in FIXED[self.frontend].items():
            if getattr(self, name) != value:
                raise ValueError(f"{name}={getattr(self, name)!r}: {self.frontend} has {value!r}")

    @classmethod
    def of(cls, **settings: Any) -> FrontendConfig:
        """Make a configuration of some settings, numbers as text too; what a frontend fixes is filled in.

        Raises:
            ValueError: an unknown setting, or a value that is not allowed; names it.
        """
        kinds = {field.name: type(field.default) for field in fields(cls)}
        if unknown := sorted(set(settings) - set(kinds)):
            raise ValueError(f"settings {unknown}: must be among {list(kinds)}")
        given = {name: _setting(name, value, kinds[name]) for name, value in settings.items()}
        return cls(**{**FIXED.get(given.get("frontend", "Leaf"), {}), **given})

    def as_dict(self) -> dict[str, Any]:
        """Return every setting, to be written as JSON and read by :meth:`of`."""
        return asdict(self)

    @property
    def window(self) -> int:
        """Count the samples in a filter and in a pooling window."""
        return int(self.sample_rate * self.window_len // 1000 + 1)

    @property
    def n_channels(self) -> int:
        """Count the channels of the features."""
        n_outputs = self.n_filters if self.conv1d_cls == "SincConv1D" else 2 * self.n_filters
        return n_outputs // 2 if self.activation == "squared_modulus" else n_outputs

    def __str__(self) -> str:
        default = FrontendConfig()
        shown = {name: value for name, value in self.as_dict().items() if value != getattr(default, name)}
        return ",".join(f"{name}={value}" for name, value in shown.items()) or "default"


def build(config: FrontendConfig, dtype: str = "float32") -> nn.Module:
    """Build a fresh ``og_leaf`` module of float32 or float64, in evaluation mode; raises as its class."""
    import torch

    import og_leaf

    common: dict[str, Any] = {
        "n_filters": config.n_filters, "window_len": config.window_len, "window_stride": config.window_stride,
        "dtype": getattr(torch, dtype),
    }  # fmt: skip
    if config.frontend == "MelFilterbanks":
        band: dict[str, Any] = {"n_fft": config.n_fft, "min_freq": config.min_freq, "max_freq": config.max_freq}
        return og_leaf.MelFilterbanks(sample_rate=config.sample_rate, **common, **band).eval()
    common.update(preemp=config.preemp, mean_var_norm=config.mean_var_norm)
    if config.frontend != "TimeDomainFilterbanks":  # its own sample rate is that of the initial filters alone
        common["sample_rate"] = config.sample_rate
    if config.frontend != "Leaf":
        other: nn.Module = getattr(og_leaf, config.frontend)(**common)
        return other.eval()
    free = og_leaf.GlorotUniform(config.window, config.window)  # overwritten by what is loaded
    activations: dict[str, Any] = {
        "squared_modulus": None, "leaky_relu": og_leaf.LeakyReLU(alpha=0.2), "relu": torch.relu,
        "none": torch.nn.Identity(),
    }  # fmt: skip
    compression: Any = None
    if config.compression == "log":
        compression = og_leaf.log_compression
    elif config.compression == "layer_norm":
        compression = og_leaf.LayerNormalization(config.n_channels, dtype=common["dtype"])
    elif config.compression != "none":
        compression = og_leaf.PCENLayer(
            config.n_channels,
            floor=config.pcen_floor,
            trainable=config.compression != "fixed_pcen",
            learn_smooth_coef=config.compression != "fixed_pcen",
            per_channel_smooth_coef=config.compression == "pcen",
            dtype=common["dtype"],
        )
    return og_leaf.Leaf(
        conv1d_cls=getattr(og_leaf, config.conv1d_cls),
        activation=activations[config.activation],
        pooling_cls=getattr(og_leaf, config.pooling_cls),
        compression_fn=compression,
        complex_conv_init=None if config.conv1d_cls == "GaborConv1D" else free,
        num_channels=config.n_channels,
        **common,
    ).eval()


def _setting(name: str, value: Any, kind: type) -> Any:
    """Turn a setting into its type; text is taken for what it says."""
    try:
        if kind is bool:
            return {"True": True, "true": True, "False": False, "false": False, True: True, False: False}[value]
        if isinstance(value, bool) or (kind is int and float(value) != int(float(value))):
            raise ValueError
        return kind(float(value)) if kind is int else kind(value)
    except (KeyError, TypeError, ValueError, OverflowError):
        raise ValueError(f"{name}={value!r}: must be a {kind.__name__}") from None


def typed(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Turn the settings of a source into their types; ``padding``, which the original has not, is leaf's.

    Raises:
        ValueError: an unknown one, or a value that is not allowed; names it.
    """
    own = dict(settings)
    padding = own.pop("padding", "same")
    if padding not in PADDINGS:
        raise ValueError(f"padding={padding!r}: must be one of {PADDINGS}")
    config = {**FrontendConfig.of(**own).as_dict(), "padding": padding}
    return {name: config[name] for name in settings}


def settings_of(texts: Sequence[str]) -> dict[str, Any]:
    """Read the settings of every ``--config``: each a JSON file, or ``name=value,name=value``; together they are one.

    Raises:
        ValueError: one is neither, or two of them, or one by itself, give a setting two values; names it.
    """
    settings: dict[str, Any] = {}
    for text in texts:
        for name, value in _pairs(text):
            if name in settings and not _alike(settings[name], value):
                raise ValueError(f"config: {name}={settings[name]} and {name}={value}: must be given one value")
            settings[name] = value
    return settings


def _pairs(text: str) -> list[tuple[str, Any]]:
    try:
        if text.endswith(".json"):
            require_file("config", Path(text))
            read = json.loads(Path(text).read_text("utf-8"))
            return list(dict(read.get("config", read)).items())
        pairs = [(name.strip(), value.strip()) for name, value in (pair.split("=", 1) for pair in text.split(","))]
        if not all(name and value for name, value in pairs):
            raise ValueError("a name or a value is empty")
        return [(name, value) for name, value in pairs]
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"config={text!r}: must be a JSON file or name=value,name=value ({error})") from None


def _alike(one: Any, other: Any) -> bool:
    try:
        return float(one) == float(other)
    except (TypeError, ValueError):
        return str(one).lower() == str(other).lower()
