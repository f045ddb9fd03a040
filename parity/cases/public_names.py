"""The public names of the original, and which properties of each can be compared. The standard library alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

PROPERTIES = ("forward", "gradient", "weights", "training")
KINDS = ("frontend", "layer", "function", "initializer", "constraint", "class", "enum")


@dataclass(frozen=True)
class PublicName:
    """One public name of ``leaf_audio``.

    Attributes:
        name: of the class or function.
        module: file of the original that defines it, without ``.py``.
        kind: one of ``KINDS``.
        properties: those of ``PROPERTIES`` that it has: ``forward`` (what it computes), ``gradient`` (by the input and
            what is learned), ``weights`` (names, shapes and initial values) and ``training`` (what the steps of an
            optimiser make of them, with regularisation and constraints).
        reasons: why it has not the others.
    """

    name: str
    module: str
    kind: str
    properties: tuple[str, ...]
    reasons: Mapping[str, str] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"kind={self.kind!r}: must be one of {KINDS}")
        if sorted([*self.properties, *self.reasons]) != sorted(PROPERTIES):
            raise ValueError(f"{self.name}: each of {PROPERTIES} must be a property or have a reason")


_NO_WEIGHTS = {"weights": "has no weights", "training": "has no weights"}


def _learned(module: str, kind: str, *names: str) -> tuple[PublicName, ...]:
    return tuple(PublicName(name, module, kind, PROPERTIES) for name in names)


def _weightless(module: str, kind: str, *names: str) -> tuple[PublicName, ...]:
    return tuple(PublicName(name, module, kind, ("forward", "gradient"), _NO_WEIGHTS) for name in names)


def _constant(module: str, kind: str, why: str, *names: str) -> tuple[PublicName, ...]:
    return tuple(PublicName(name, module, kind, ("forward",), {"gradient": why, **_NO_WEIGHTS}) for name in names)


PUBLIC: tuple[PublicName, ...] = (
    *_constant("convolution", "function", "gives an integer", "upper_power_of_2"),
    *_weightless("convolution", "function", "fft_conv1d", "overlap_add_conv1d"),
    *_learned("convolution", "layer", "FFTConv1D"),
    *_weightless("convolution", "constraint", "GaborConstraint"),
    *_learned("convolution", "layer", "GaborConv1D", "NormalizedConv1D", "SincConv1D"),
    *_weightless("frontend", "function", "log_compression"),
    *_weightless("frontend", "layer", "SquaredModulus"),
    *_learned("frontend", "frontend", "Leaf", "TimeDomainFilterbanks", "SincNet", "SincNetPlus"),
    *_weightless("frontend", "frontend", "MelFilterbanks"),
    *_weightless(
        "impulse_responses", "function",
        "amplitude", "gabor_impulse_response", "gabor_filters", "sinc_impulse_response", "sinc_filters",
        "gaussian_lowpass"),
    *_constant("initializers", "initializer", "gives constants", "PreempInit", "GaborInit", "SincInit", "LowpassInit"),
    *_constant("melfilters", "class", "gives constants", "Gabor"),
    *_learned("pooling", "layer", "LearnablePooling1D", "ChannelWiseLearnablePooling1D", "GaussianLowpass"),
    *_weightless("pooling", "layer", "MaxPooling1D"),
    *_learned("postprocessing", "layer", "ExponentialMovingAverage", "PCENLayer"),
    *_weightless("postprocessing", "layer", "SpecAugment"),
    *_constant("utils", "function", "is computed by NumPy", "hz2mel", "mel2hz"),
    PublicName("WindowType", "utils", "enum", (), dict.fromkeys(PROPERTIES, "three names, which compute nothing")),
    *_constant("utils", "function", "is computed by NumPy", "window"),
)  # fmt: skip


def public(name: str) -> PublicName:
    """The entry of a public name.

    Raises:
        KeyError: the original has none such.
    """
    return {entry.name: entry for entry in PUBLIC}[name]
