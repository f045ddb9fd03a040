"""The whole classifier: a front end, an encoder, a maximum over what is left of time and frequency, a linear head.

As the published one, whose checkpoints load; there its parts are called ``_frontend``, ``_encoder`` and ``_head``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from zlib import crc32

import torch
from torch import Tensor, nn

from experiments.encoders import encoder
from experiments.frontends import TWO_CHANNELS, Bands, frontend
from parity.weights.outputs import require_file

PARTS = ("frontend", "encoder", "head")
# a name in efficientnet_pytorch: what transformers has in its place
RENAMED = {
    r"_conv_stem\.": "embeddings.convolution.",
    r"_bn0\.": "embeddings.batchnorm.",
    r"_conv_head\.": "encoder.top_conv.",
    r"_bn1\.": "encoder.top_bn.",
    r"_blocks\.(\d+)\._expand_conv\.": r"encoder.blocks.\1.expansion.expand_conv.",
    r"_blocks\.(\d+)\._bn0\.": r"encoder.blocks.\1.expansion.expand_bn.",
    r"_blocks\.(\d+)\._depthwise_conv\.": r"encoder.blocks.\1.depthwise_conv.depthwise_conv.",
    r"_blocks\.(\d+)\._bn1\.": r"encoder.blocks.\1.depthwise_conv.depthwise_norm.",
    r"_blocks\.(\d+)\._se_reduce\.": r"encoder.blocks.\1.squeeze_excite.reduce.",
    r"_blocks\.(\d+)\._se_expand\.": r"encoder.blocks.\1.squeeze_excite.expand.",
    r"_blocks\.(\d+)\._project_conv\.": r"encoder.blocks.\1.projection.project_conv.",
    r"_blocks\.(\d+)\._bn2\.": r"encoder.blocks.\1.projection.project_bn.",
}


class AudioClassifier(nn.Module):
    """Audio [B, T] or [B, 1, T] to scores (logits) [B, n_classes].

    Attributes:
        frontend, encoder, head: the parts, in order; the maximum stands between the last two.

    Args:
        frontend: audio to [B, C, frames], which becomes one channel of a picture, or to [B, channels, C, frames].
        encoder: pictures to [B, n_features, height, width]; has an attribute ``n_features``.
        n_classes: at least 2.

    Raises TypeError for parts that are no modules, and ValueError for too few classes.
    Source: EfficientLEAF's ``model/__init__.py``.
    """

    def __init__(self, frontend: nn.Module, encoder: nn.Module, n_classes: int) -> None:
        super().__init__()
        for name, part in (("frontend", frontend), ("encoder", encoder)):
            if not isinstance(part, nn.Module):
                raise TypeError(f"{name}={part!r}: must be a torch.nn.Module")
        if not isinstance(n_features := getattr(encoder, "n_features", None), int):
            raise TypeError(f"encoder={type(encoder).__name__}: must have n_features, the channels that it gives")
        if n_classes < 2:
            raise ValueError(f"n_classes={n_classes}: must be at least 2")
        self.frontend, self.encoder = frontend, encoder
        self.head = nn.Linear(n_features, n_classes)

    def forward(self, x: Tensor) -> Tensor:
        picture = self.frontend(x)
        if picture.ndim == 3:
            picture = picture[:, None]
        scores: Tensor = self.head(self.encoder(picture).amax((-2, -1)))
        return scores


@dataclass(frozen=True)
class Config:
    """A network.

    Attributes:
        n_classes: at least 2.
        frontend: a name of :data:`experiments.frontends.FRONTENDS`.
        encoder: "efficientnet-b0" or "small".
        bands: of the front end.
        seed: of encoder and head.
        weights: a file that :mod:`experiments.train` or the published code wrote; None for a new network.
    """

    n_classes: int
    frontend: str = "leaf"
    encoder: str = "efficientnet-b0"
    bands: Bands = field(default_factory=Bands)
    seed: int = 0
    weights: Path | None = None

    def plain(self) -> dict[str, Any]:
        """As text and numbers, without the weights."""
        out = asdict(self)
        del out["weights"]
        return out


def network(config: Config) -> AudioClassifier:
    """A new network, or with ``config.weights`` a trained one.

    Encoder and head start from values that depend on the seed and the layer's name alone. Whatever the front end, they
    are so the same, but for the first convolution where it gives two channels.

    Raises:
        ValueError: a name or value that is not allowed, or weights of another network.
        ModuleNotFoundError: transformers is needed and not installed.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        first = encoder(config.encoder, 2 if config.frontend in TWO_CHANNELS else 1)
        made = AudioClassifier(frontend(config.frontend, config.bands), first, config.n_classes)
        for name, module in made.named_modules():
            if not name.startswith("frontend") and callable(reset := getattr(module, "reset_parameters", None)):
                torch.manual_seed(crc32(f"{config.seed} {name}".encode()))
                reset()
    if config.weights is not None:
        require_file("weights", config.weights)
        load(made, torch.load(config.weights, map_location="cpu", weights_only=True))
    return made


def load(made: AudioClassifier, saved: Mapping[str, Any]) -> None:
    """Load a state dict, or a checkpoint with one under ``network``; the published names are understood.

    Raises ValueError where names or shapes are those of another network.
    """
    state = saved.get("network", saved)
    try:
        made.load_state_dict(renamed(state) if any(name.startswith("_") for name in state) else dict(state))
    except RuntimeError as error:
        raise ValueError(f"weights: must be of this network ({error})") from error


def renamed(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The published network's state dict under our names.

    Raises ValueError for a name that it does not have.
    """
    out = {}
    for name, value in state.items():
        part, _, rest = name.partition(".")
        if part.removeprefix("_") not in PARTS or not part.startswith("_"):
            raise ValueError(f"weights: {name!r} must begin with _frontend., _encoder. or _head.")
        if part == "_encoder":
            for pattern, ours in RENAMED.items():
                if re.match(pattern, rest):
                    rest = re.sub(f"^{pattern}", ours, rest)
                    break
            else:
                raise ValueError(f"weights: {name!r} is no name of efficientnet_pytorch")
        out[f"{part.removeprefix('_')}.{rest}"] = value
    return out
