"""The fixed cases on which a reference is executed again, and inputs moved by a unit in the last place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from parity.cases.case import Case
from parity.oracle import LeafOracle
from parity.oracle.config import LeafConfig

Key = tuple[str, str]  # (property, stage), as in a Measurement
Arrays = dict[Key, np.ndarray]
PER_CLIP = ("filters", "windows")  # the stages that have no batch axis are those that the audio does not reach

# Every rate, compression and option that the drawn suite has, each with two signals and two kinds of weights, long
# enough that rounding averages out in all but the parameters' gradients. The two cases of a configuration have one
# shape: TensorFlow's graph is then traced once for both.
_PAIRS = (
    ("n_filters=4,n_samples=1600,batch=2",
     "weights=default,signal=noise,amplitude=0.3", "weights=trained,signal=loud_and_weak,amplitude=0.5"),
    ("n_filters=5,n_samples=1201,sample_rate=8000,pcen_floor=1e-06",
     "weights=trained,signal=chirp,amplitude=0.1", "weights=drawn,signal=noise,amplitude=0.01"),
    ("n_filters=3,n_samples=1763,sample_rate=22050,window_len=8.5,window_stride=5.0,preemp=True",
     "weights=drawn,signal=noise,amplitude=0.1", "weights=trained,signal=tone,amplitude=1.0"),
    ("n_filters=5,n_samples=600,batch=2,sample_rate=4000,per_channel_smooth=False,mean_var_norm=True",
     "weights=drawn,signal=loud_and_weak,amplitude=300.0", "weights=outside_shared,signal=noise,amplitude=0.3"),
    ("n_filters=4,n_samples=1500,sample_rate=11025,compression=fixed_pcen,preemp=True",
     "weights=drawn,signal=noise,amplitude=10.0", "weights=trained,signal=chirp,amplitude=0.3"),
    ("n_filters=5,n_samples=1280,batch=2,sample_rate=8000,compression=log,preemp=True,mean_var_norm=True",
     "weights=drawn,signal=loud_and_weak,amplitude=3.0", "weights=default,signal=noise,amplitude=0.3"),
    ("n_filters=4,n_samples=500,sample_rate=2000,window_len=16.0,compression=none,preemp=True,mean_var_norm=True",
     "weights=drawn,signal=chirp,amplitude=1.0", "weights=trained,signal=noise,amplitude=30.0"),
    ("n_filters=3,n_samples=1200,batch=2,window_stride=5.0,mean_var_norm=True",
     "weights=trained,signal=noise,amplitude=20.0", "weights=drawn,signal=noise,amplitude=1.0"),
)  # fmt: skip
CASES = tuple(
    Case.parse(f"{shape},{own},seed={2 * i + j + 1}")
    for i, (shape, *two) in enumerate(_PAIRS)
    for j, own in enumerate(two)
)


def calibration_cases(reference: str) -> tuple[Case, ...]:
    """The cases of a reference: as many as it can hold, framed as the rung above is held against it."""
    return tuple(_plain(case) for case in CASES) if reference == "leaf" else CASES


def _plain(case: Case) -> Case:
    """What rungs 2 and 3 hold, with sigmas inside both their boxes."""
    c = case.config
    config = LeafConfig(c.n_filters, c.sample_rate, c.window_len, c.window_stride, "centered", pcen_floor=c.pcen_floor)
    weights = "trained" if case.weights.startswith("outside") else case.weights
    return Case(config, weights, case.signal, case.n_samples, case.batch, case.amplitude, case.seed)


@dataclass(frozen=True)
class Draw:
    """Whether every number of the input (the audio, and the cotangent that the gradients start from) is moved by one
    unit in the last place, down, not at all or up, at random.

    Attributes:
        seed: of the movement; 0 is none.
    """

    seed: int = 0

    def __str__(self) -> str:
        return f"input moved by an ulp ({self.seed})" if self.seed else "input as it is"


NOTHING = Draw()
MOVED = (Draw(1), Draw(2))


@dataclass(frozen=True)
class Inputs:
    """What a case is executed on, and what should come out.

    Attributes:
        config: of the frontend.
        variables: weights, by canonical names, float32.
        x: audio, float32 [B, T].
        cotangent: of the output, float32 [B, C, frames].
    """

    config: LeafConfig
    variables: Mapping[str, np.ndarray]
    x: np.ndarray
    cotangent: np.ndarray

    @classmethod
    def of(cls, case: Case, draw: Draw = NOTHING) -> Inputs:
        """The case's, moved."""
        config, x = case.config, case.input()
        # centred padding of an even window adds a sample to the filters' output; same padding none
        n = case.n_samples + (config.padding == "centered" and config.window % 2 == 0)
        cotangent = case.cotangent((case.batch, config.n_filters, -(-n // config.stride)))
        if draw != NOTHING:
            rng = np.random.default_rng([case.seed, 3, draw.seed])
            x, cotangent = moved(x, rng), moved(cotangent, rng)
        return cls(config, case.variables(), x, cotangent)

    def exact(self) -> Arrays:
        """The oracle's stages and gradients."""
        oracle = LeafOracle(self.config)
        stages = oracle.stages(self.variables, self.x)
        return keyed(stages, oracle.gradients(self.variables, self.x, self.cotangent))


def moved(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Float32 values, each moved to a neighbour or left; zeros stay, as what is silent or absent has no rounding."""
    steps = rng.integers(-1, 2, values.shape)
    up = np.nextafter(values, np.float32(np.inf))
    down = np.nextafter(values, np.float32(-np.inf))
    out = np.where(steps > 0, up, np.where(steps < 0, down, values))
    return np.where(values == 0, values, out).astype(np.float32)


def keyed(stages: Mapping[str, np.ndarray], gradients: Mapping[str, np.ndarray]) -> Arrays:
    """Stages and gradients under (property, stage)."""
    out: Arrays = {("forward", stage): values for stage, values in stages.items()}
    for name, values in gradients.items():
        out["input gradient" if name == "input" else "parameter gradient", name] = values
    return out
