"""Weights under the published network's names, made from a name alone, and the logits that the published code gave.

Recorded, with its code and ``efficientnet_pytorch`` importable, by ``python -m parity_tests.experiments.published``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import torch
from torch import Tensor, nn

RECORDED = Path(__file__).with_name("published.json")
N_CLASSES = 5
CASES = {"leaf": 1, "efficientleaf": 2}  # front end: channels of the picture


def values(name: str, shape: list[int]) -> Tensor:
    """Of a parameter or buffer of encoder or head: drawn from its name, in a size that keeps signals alive."""
    rng = np.random.default_rng(crc32(name.encode()))
    if name.endswith("num_batches_tracked"):
        return torch.tensor(7)
    if name.endswith("running_var"):
        return torch.from_numpy(rng.uniform(0.5, 1.5, shape).astype(np.float32))
    drawn = rng.standard_normal(shape)
    if len(shape) > 1:
        drawn *= np.sqrt(1.6 / np.prod(shape[1:]))
    else:
        drawn = 0.1 * drawn + (name.endswith(("weight", "_se_expand.bias")))
    return torch.from_numpy(drawn.astype(np.float32))


def moved(name: str, start: Tensor) -> Tensor:
    """Of a front end: its start, moved by a per cent, and for what counts batches or starts at 0 drawn anew."""
    if name.endswith("num_batches_tracked") or not bool(start.any()):
        return values(name, list(start.shape))
    rng = np.random.default_rng(crc32(name.encode()))
    return start * torch.from_numpy((1 + 0.01 * rng.standard_normal(tuple(start.shape))).astype(np.float32))


def state(shapes: dict[str, list[int]], frontend: dict[str, Tensor]) -> dict[str, Tensor]:
    """The whole state dict.

    Args:
        shapes: of encoder and head, by published name.
        frontend: the start of the front end, by its names without ``_frontend``.
    """
    first = {f"_frontend.{name}": moved(name, start) for name, start in frontend.items()}
    return first | {name: values(name, shape) for name, shape in shapes.items()}


def audio() -> Tensor:
    """Three clips of one second at 16 kHz: a chirp with noise, a decay, and noise."""
    t = np.arange(16000) / 16000
    noise = np.random.default_rng(0).standard_normal((3, 16000))
    shape = np.stack([0.5 * np.sin(2000 * t + 9000 * t**2), 0.5 * np.sin(3000 * t) * np.exp(-4 * t), 0 * t])
    return torch.from_numpy((shape + 0.05 * noise).astype(np.float32))


def record() -> None:
    """Run the published code, and write what it gave."""
    from efficientnet_pytorch import EfficientNet
    from model import AudioClassifier
    from model.efficientleaf import EfficientLeaf, LogTBN
    from model.leaf import PCEN, Leaf

    frontends: dict[str, nn.Module] = {
        "leaf": Leaf(40, compression=PCEN(40, 0.04, 0.96, 2.0, 0.5, 1e-12, learn_logs=False, clamp=1e-5)),
        "efficientleaf": EfficientLeaf(40, 4, conv_win_factor=4.77, stride_factor=1.0,
                                       compression=LogTBN(40, a=5, trainable=True, per_band=True, median_filter=True,
                                                          append_filtered=True)),
    }  # fmt: skip
    out: dict[str, Any] = {}
    for case, channels in CASES.items():
        encoder = EfficientNet.from_name("efficientnet-b0", include_top=False, in_channels=channels)
        encoder._avg_pooling = nn.Identity()
        network = AudioClassifier(N_CLASSES, frontends[case], encoder).eval()
        shapes = {n: list(v.shape) for n, v in network.state_dict().items() if not n.startswith("_frontend.")}
        network.load_state_dict(state(shapes, frontends[case].state_dict()))
        with torch.no_grad():
            logits = network(audio()).double().tolist()
        norms = [m for m in encoder.modules() if isinstance(m, nn.BatchNorm2d)]
        training = {"momentum": norms[0].momentum, "eps": norms[0].eps, "norms": len(norms)}
        blocks = encoder._blocks
        training["dropped"] = [encoder._global_params.drop_connect_rate * i / len(blocks) for i in range(len(blocks))]
        out[case] = {"frontend": list(frontends[case].state_dict()), "logits": logits, "shapes": shapes}
    first, second = (out[case]["shapes"] for case in CASES)
    shared = {name: shape for name, shape in first.items() if second[name] == shape}
    for case in CASES:
        out[case]["shapes"] = {name: shape for name, shape in out[case]["shapes"].items() if name not in shared}
    rest = {"shared": shared, "training": training}
    lines = ",\n ".join(f"{json.dumps(name)}: {json.dumps(part)}" for name, part in {**out, **rest}.items())
    RECORDED.write_text("{" + lines + "}\n", encoding="utf-8")


if __name__ == "__main__":
    record()
