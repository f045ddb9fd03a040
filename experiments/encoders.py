"""What comes after the front end: EfficientNet-B0, or a few convolutions for tests, tutorials and many seeds."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from parity.weights.outputs import require_library


class DropConnect(nn.Module):
    """Zero whole samples of a batch with probability ``rate`` in training, and scale the others by 1 / (1 - rate)."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.rate == 0:
            return x
        kept = torch.rand(x.shape[0], *[1] * (x.ndim - 1), device=x.device) >= self.rate
        return x * kept / (1 - self.rate)


class EfficientNetB0(nn.Module):
    """EfficientNet-B0 without its pooling: [B, in_channels, H, W] to [B, 1280, H / 32, W / 32], rounded up.

    The layers are those of ``transformers``. Three things are put back to the published network's, which is that of
    ``efficientnet_pytorch``: the initial values are PyTorch's own (transformers draws scales of batch normalisation
    around 0), running statistics have momentum 0.01 (transformers: 0.99 or 0.1), and a residual branch is dropped for
    a whole sample (transformers: element by element).

    Args:
        in_channels: 1, or 2 for EfficientLEAF's default compression.

    Raises ModuleNotFoundError where transformers is not installed, and ValueError for no channels.
    Source: EfficientNet, arXiv 1905.11946.
    """

    n_features = 1280

    def __init__(self, in_channels: int = 1) -> None:
        super().__init__()
        _at_least_one("in_channels", in_channels)
        require_library("transformers", "encoder='efficientnet-b0'")
        from transformers import EfficientNetConfig, EfficientNetModel

        config = EfficientNetConfig(
            num_channels=in_channels, width_coefficient=1.0, depth_coefficient=1.0, hidden_dim=self.n_features
        )
        model = EfficientNetModel(config)
        self.embeddings, self.encoder = model.embeddings, model.encoder
        for block in self.encoder.blocks:
            block.projection.dropout = DropConnect(block.projection.dropout.p)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = 0.01
            if isinstance(module, (nn.BatchNorm2d, nn.Conv2d)):
                module.reset_parameters()

    def forward(self, x: Tensor) -> Tensor:
        features: Tensor = self.encoder(self.embeddings(x)).last_hidden_state
        return features


class SmallEncoder(nn.Module):
    """Convolutions 3 x 3 with batch normalisation: [B, in_channels, H, W] to [B, widths[-1], H / 2**n, W / 2**n].

    Args:
        in_channels: at least 1.
        widths: channels after each of the n convolutions, which all halve height and width.

    Raises ValueError for no channels or no widths.
    """

    def __init__(self, in_channels: int = 1, widths: tuple[int, ...] = (16, 32, 64, 128)) -> None:
        super().__init__()
        _at_least_one("in_channels", in_channels)
        _at_least_one("len(widths)", len(widths))
        layers: list[nn.Module] = []
        for before, after in zip((in_channels, *widths), widths, strict=False):
            convolution = nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False)
            layers += [convolution, nn.BatchNorm2d(after), nn.ReLU()]
        self.layers = nn.Sequential(*layers)
        self.n_features = widths[-1]

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layers(x)
        return y


ENCODERS: dict[str, Any] = {"efficientnet-b0": EfficientNetB0, "small": SmallEncoder}


def encoder(name: str, in_channels: int = 1) -> EfficientNetB0 | SmallEncoder:
    """An encoder by name, ``"efficientnet-b0"`` or ``"small"``.

    Raises ValueError for another name.
    """
    if name not in ENCODERS:
        raise ValueError(f"encoder={name!r}: must be one of {tuple(ENCODERS)}")
    made: EfficientNetB0 | SmallEncoder = ENCODERS[name](in_channels)
    return made


def _at_least_one(name: str, value: int) -> None:
    if value < 1:
        raise ValueError(f"{name}={value}: must be at least 1")
