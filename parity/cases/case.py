"""A case: a configuration, weights and a signal, each reproducible from a short string. NumPy alone.

The goldens, the drawn tests and ``leaf-ladder replay`` all speak of the same cases.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from parity.oracle.config import LeafConfig
from parity.oracle.geometry import Box
from parity.oracle.mel import measured_init

Float32 = NDArray[np.float32]
SIGNALS = ("noise", "tone", "chirp", "impulse_first", "impulse_last", "dc", "silence", "loud_and_weak")
WEIGHTS = ("default", "trained", "drawn", "outside", "outside_shared")

# by type: how a field is read, and what it must be
_PARSERS: dict[str, tuple[Callable[[str], Any], str]] = {
    "int": (int, "a whole number"),
    "float": (float, "a number"),
    "bool": ({"True": True, "False": False}.__getitem__, "True or False"),
    "str": (str, "text"),
}


@dataclass(frozen=True)
class Case:
    """One thing to run.

    Attributes:
        config: the frontend.
        weights: ``default`` (the original's initial values), ``trained`` (moved off them), ``drawn`` (anywhere in
            the shared domain of all rungs), ``outside`` (beyond every limit that the original enforces) or
            ``outside_shared`` (the same, but for the smoothing coefficient, which simplified LEAF does not clip).
        signal: one of ``SIGNALS``.
        n_samples: length, at least 1.
        batch: number of clips; each is another draw.
        amplitude: peak of the signal.
        seed: of the weights, the signal and the cotangent.
    """

    config: LeafConfig = field(default_factory=LeafConfig)
    weights: str = "drawn"
    signal: str = "noise"
    n_samples: int = 1600
    batch: int = 1
    amplitude: float = 0.3
    seed: int = 0

    def __post_init__(self) -> None:
        for name, allowed in (("weights", WEIGHTS), ("signal", SIGNALS)):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name}={getattr(self, name)!r}: must be one of {allowed}")
        for name in ("n_samples", "batch"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)!r}: must be at least 1")

    def __str__(self) -> str:
        own = [f"{f.name}={getattr(self, f.name)}" for f in fields(self) if f.name != "config"]
        return ",".join([*own, *([] if str(self.config) == "default" else [str(self.config)])])

    @classmethod
    def parse(cls, text: str) -> Case:
        """Read what ``str(case)`` writes; refuse with a ValueError an unknown field, or a value that is not allowed."""
        own = {f.name: f for f in fields(cls) if f.name != "config"}
        of_config = {f.name: f for f in fields(LeafConfig)}
        case_args: dict[str, object] = {}
        config_args: dict[str, object] = {}
        for item in filter(None, text.split(",")):
            name, _, value = item.partition("=")
            if name not in own and name not in of_config:
                raise ValueError(f"case field {name!r}: must be one of {sorted([*own, *of_config])}")
            parser, allowed = _PARSERS[str((own.get(name) or of_config[name]).type)]
            try:
                (case_args if name in own else config_args)[name] = parser(value)
            except (KeyError, ValueError):
                raise ValueError(f"{name}={value!r}: must be {allowed}") from None
        return cls(config=LeafConfig(**config_args), **case_args)  # type: ignore[arg-type]

    def variables(self) -> dict[str, Float32]:
        """Draw the weights, by the original's variable names, float32."""
        return draw_variables(self.config, self.weights, self.seed)

    def input(self) -> Float32:
        """Draw the audio, float32 [batch, n_samples]."""
        rng = np.random.default_rng([self.seed, 1])
        clips = [draw_signal(self.signal, self.n_samples, rng) for _ in range(self.batch)]
        return (self.amplitude * np.stack(clips)).astype(np.float32)

    def cotangent(self, shape: tuple[int, ...]) -> Float32:
        """Draw a random cotangent for an output of this shape, float32; never all ones."""
        return np.random.default_rng([self.seed, 2]).standard_normal(shape).astype(np.float32)


def draw_signal(kind: str, n: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw a signal of ``n`` samples whose peak is about 1 (silence: 0)."""
    t = np.arange(n)
    if kind == "noise":
        return rng.uniform(-1, 1, n)
    if kind == "tone":
        return np.asarray(np.sin(rng.uniform(0.01, 3.1) * t + rng.uniform(0, 6)))
    if kind == "chirp":
        return np.asarray(np.sin(np.pi * t**2 / (2 * n) * rng.uniform(0.2, 0.99)))
    if kind == "loud_and_weak":
        return np.asarray(np.sin(rng.uniform(0.05, 3.0) * t) + 1e-4 * rng.uniform(-1, 1, n))
    if kind == "dc":
        return np.ones(n)
    out = np.zeros(n)
    if kind == "impulse_first":
        out[0] = 1
    elif kind == "impulse_last":
        out[-1] = 1
    return out


def draw_variables(config: LeafConfig, kind: str, seed: int) -> dict[str, Float32]:
    """Weights of a frontend, by the original's names and shapes."""
    rng = np.random.default_rng([seed, 0])
    values = {k: np.asarray(v).astype(np.float32) for k, v in _default(config).items()}
    if kind != "default":
        values.update({k: np.asarray(v).astype(np.float32) for k, v in _moved(config, kind, rng).items()})
    return values


def _default(config: LeafConfig) -> dict[str, object]:
    """Return the original's initial values; its Gabor initialiser assumes 16 kHz and 60-7800 Hz whatever the rate."""
    n = config.n_filters
    out: dict[str, object] = {
        "kernel": measured_init(n),
        "learnable_pooling/kernel": np.full((1, 1, n, 1), 0.4),
    }
    if config.preemp:
        out["tfbanks_preemp/kernel"] = np.reshape([-0.97, 1.0], (2, 1, 1))
    if config.compression in ("pcen", "fixed_pcen"):
        out.update({"PCEN/alpha": np.full(n, 0.96), "PCEN/delta": np.full(n, 2.0), "PCEN/root": np.full(n, 2.0)})
    if config.compression == "pcen":
        out["PCEN/EMA/smooth"] = np.full(n if config.per_channel_smooth else 1, 0.04)
    if config.compression == "fixed_pcen":
        out["PCEN/simple_rnn/simple_rnn_cell/kernel"] = np.eye(n) * 0.04
        out["PCEN/simple_rnn/simple_rnn_cell/recurrent_kernel"] = np.eye(n) * (1.0 - 0.04)
    if config.mean_var_norm:
        out.update({"tfbanks_instancenorm/gamma": np.ones(n), "tfbanks_instancenorm/beta": np.zeros(n)})
    return out


def _moved(config: LeafConfig, kind: str, rng: np.random.Generator) -> dict[str, object]:
    n = config.n_filters
    box = Box.of_leaf(config.window)
    n_smooth = n if config.per_channel_smooth else 1

    def log_uniform(low: float, high: float, size: int) -> NDArray[np.float64]:
        return np.exp(rng.uniform(math.log(low), math.log(high), size))

    if kind == "trained":
        mu, sigma = measured_init(n).T
        mu = np.clip(mu * rng.uniform(0.9, 1.1, n), 0.01, 3.1)
        sigma = np.clip(sigma * rng.uniform(0.8, 1.25, n), 1.01 * box.sigma_low, 0.99 * max(box.sigma_high, 2))
        width = rng.uniform(0.3, 0.49, n)
        alpha, delta, root = rng.uniform(0.8, 0.99, n), rng.uniform(0.5, 4, n), rng.uniform(1.5, 3, n)
        smooth = rng.uniform(0.02, 0.2, n_smooth)
    elif kind == "drawn":
        mu = rng.uniform(0.0, np.pi, n)
        sigma = log_uniform(1.01 * box.sigma_low, max(0.99 * box.sigma_high, 1.02 * box.sigma_low), n)
        width = rng.uniform(min(2.02 / config.window, 0.49), 0.495, n)
        alpha, delta, root = rng.uniform(0, 0.999, n), log_uniform(1e-2, 10, n), rng.uniform(1.001, 4, n)
        smooth = rng.uniform(0.001, 0.999, n_smooth)
    else:
        side = rng.integers(0, 2, (6, max(n, n_smooth))).astype(bool)
        mu = np.where(side[0, :n], rng.uniform(-1, -0.01, n), rng.uniform(3.2, 4, n))
        sigma = np.where(side[1, :n], rng.uniform(0.1, 1.4, n), box.sigma_high * rng.uniform(1.01, 2, n))
        width = np.where(side[2, :n], rng.uniform(0.1, 1.9, n) / config.window, rng.uniform(0.51, 2, n))
        alpha = np.where(side[3, :n], rng.uniform(1.01, 2, n), rng.uniform(0.5, 0.99, n))
        root = np.where(side[4, :n], rng.uniform(0.2, 0.99, n), rng.uniform(1.5, 3, n))
        smooth = np.where(side[5, :n_smooth], rng.uniform(-0.5, -0.01, n_smooth), rng.uniform(1.01, 1.5, n_smooth))
        delta = rng.uniform(0.5, 4, n)
        if kind == "outside_shared":
            smooth = rng.uniform(0.01, 0.99, n_smooth)
    out: dict[str, object] = {
        "kernel": np.stack([mu, sigma], axis=1),
        "learnable_pooling/kernel": width.reshape(1, 1, n, 1),
    }
    if config.preemp:
        out["tfbanks_preemp/kernel"] = np.reshape([-rng.uniform(0.8, 0.99), rng.uniform(0.9, 1.1)], (2, 1, 1))
    if config.compression in ("pcen", "fixed_pcen"):
        out.update({"PCEN/alpha": alpha, "PCEN/delta": delta, "PCEN/root": root})
    if config.compression == "pcen":
        out["PCEN/EMA/smooth"] = smooth
    if config.mean_var_norm:
        out["tfbanks_instancenorm/gamma"] = rng.uniform(0.5, 2, n)
        out["tfbanks_instancenorm/beta"] = rng.uniform(-1, 1, n)
    return out
