"""The public callables of the PyTorch rungs, as subjects of the table."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import efficientleaf
import leaf
import og_leaf
import parity
from parity.weights import stored
from parity.weights.frontend_config import FrontendConfig
from parity_tests.arguments.table import SMALL, Subject, shared
from parity_tests.arguments.values import VALUES


def _quantised() -> Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch is about to drop them
        return torch.quantize_per_tensor(torch.ones(2, 1, 90), 0.1, 0, torch.qint8)


OF_TORCH: dict[str, Callable[[], Any]] = {
    "tensor of no dimensions": lambda: torch.tensor(3),
    "float tensor of no dimensions": lambda: torch.tensor(2.5),
    "learned number": lambda: torch.tensor(0.5, requires_grad=True),
    "bool tensor of no dimensions": lambda: torch.tensor(True),
    "meta tensor of no dimensions": lambda: torch.tensor(3.0, device="meta"),
    "tensor of one": lambda: torch.tensor([3]),
    "tensor": lambda: torch.ones(2, 1, 90),
    "integer tensor": lambda: torch.ones(2, 1, 90, dtype=torch.int64),
    "complex tensor": lambda: torch.ones(2, 1, 90, dtype=torch.complex64),
    "float64 tensor": lambda: torch.ones(2, 1, 90, dtype=torch.float64),
    "half tensor": lambda: torch.ones(2, 1, 90, dtype=torch.float16),
    "tensor of five dimensions": lambda: torch.ones(1, 2, 3, 4, 5),
    "tensor without samples": lambda: torch.ones(2, 1, 0),
    "meta tensor": lambda: torch.ones(2, 1, 90, device="meta"),
    "expanded tensor": lambda: torch.ones(1, 1, 1).expand(2, 1, 90),
    "sparse tensor": lambda: torch.ones(2, 90).to_sparse(),
    "nested tensor": lambda: torch.nested.nested_tensor([torch.ones(3), torch.ones(2)], layout=torch.jagged),
    "quantised tensor": _quantised,
    "module": nn.ReLU,
    "class of modules": lambda: nn.ReLU,
    "dtype": lambda: torch.float16,
    "device": lambda: torch.device("cpu"),
    "device that is not there": lambda: "cuda:99",
}
OF_EITHER = {**VALUES, **OF_TORCH}
CLIP = torch.sin(torch.arange(90) * 0.7).reshape(1, 90)


def finite(used: Any) -> bool:
    """Whether all numbers of a result are; what is not a number is not asked."""
    if isinstance(used, (tuple, list)):
        return all(map(finite, used))
    if isinstance(used, Tensor):
        return used.device.type == "meta" or bool(torch.isfinite(used).all())
    return not isinstance(used, float) or used - used == 0


def _clip(made: Any, n_channels: int) -> Tensor:
    like = next(iter(made.state_dict().values()), CLIP)
    return CLIP.to(like.device, like.dtype).reshape(1, 1, 90).expand(1, n_channels, 90)


def _heard(n_channels: int = 1) -> Callable[[Any], Any]:
    return lambda made: made(_clip(made, n_channels).square() + 1e-3 if n_channels > 1 else _clip(made, 1))


def _smoothed(made: Any) -> Any:
    x = _clip(made, 3)
    return made(x, x[..., 0])


def _frontend(made: Any) -> Any:
    return made(CLIP.to(next(made.parameters(), getattr(made, "_like", CLIP))))


def _shaped(shape: tuple[int, ...]) -> Callable[[Any], Any]:
    return lambda made: made(shape)


def _ten(shape: tuple[int, ...]) -> Tensor:
    return torch.full(shape, 0.3)


def og_leaf_subjects() -> list[Subject]:
    """All of ``og_leaf``'s."""
    o = og_leaf
    conv = {"filters": 4, "kernel_size": 9}
    made = {
        **shared(o, _heard, _smoothed, _frontend),
        "Conv1D": (conv, lambda m: m(_clip(m, m.weight.shape[1]))), "FFTConv1D": (conv, _heard()),
        "GaussianLowpass": ({"num_channels": 3, "kernel_size": 9}, _heard(3)), "LeakyReLU": ({}, _heard(3)),
        "SimpleRNN": ({"num_channels": 3, "smooth_coef": 0.1}, _smoothed),
        "TimeDomainFilterbanks": ({"n_filters": 2}, lambda m: m(torch.ones(1, 500).to(next(m.parameters())))),
        "SincNet": ({"n_filters": 2}, _frontend), "SincNetPlus": ({"n_filters": 2}, _frontend),
        "Constant": ({"value": 0.4}, _shaped((3, 2))), "GlorotUniform": ({"fan_in": 2, "fan_out": 3}, _shaped((3, 2))),
        "PreempInit": ({}, _shaped((1, 1, 2))),
        "LowpassInit": ({}, lambda m: m((2, 1, int(m.sample_rate * m.window_len // 1000 + 1)))),
        "GaborConstraint": ({"kernel_size": 9}, lambda m: m(torch.ones(3, 2))),
        "UnitNorm": ({}, lambda m: m(torch.ones(2, 1, 9)) if max(m._dim) < 3 and min(m._dim) > -4 else None),
        "L1": ({}, lambda m: m(torch.ones(3))), "L2": ({}, lambda m: m(torch.ones(3))),
        "L1L2": ({}, lambda m: m(torch.ones(3))),
    }  # fmt: skip
    functions = {
        "amplitude": lambda: {"filters": torch.ones(3, 9, dtype=torch.complex64), "i": 0},
        "fft_conv1d": lambda: {"inputs": _ten((2, 1, 90)), "filters": _ten((2, 1, 9))},
        "overlap_add_conv1d": lambda: {"inputs": _ten((2, 1, 90)), "filters": _ten((2, 1, 9))},
        "gabor_filters": lambda: {"kernel": _ten((3, 2)), "size": 9},
        "gabor_impulse_response": lambda: {"t": _ten((9,)), "center": _ten((3,)), "fwhm": _ten((3,))},
        "gaussian_lowpass": lambda: {"sigma": _ten((3, 1, 1, 1)), "filter_size": 9},
        "sinc_filters": lambda: {"cutoff_freq_low": _ten((3, 1)), "cutoff_freq_high": 2 + _ten((3, 1)), "size": 9},
        "sinc_impulse_response": lambda: {"t": _ten((9, 1)), "frequency": _ten((1, 3))},
        "hz2mel": lambda: {"f": 100.0}, "mel2hz": lambda: {"m": 100.0},
        "log_compression": lambda: {"inputs": _ten((1, 2, 3))},
        "project_after_step": lambda: {
            "optimizer": torch.optim.SGD(_LAYER.parameters(), 0.1), "module": _LAYER,
        },
        "same_padding": lambda: {"n": 90, "window": 9, "stride": 4},
        "upper_power_of_2": lambda: {"length": 9},
        "window": lambda: {"window_type": o.WindowType.HAMMING, "tmax": 9},
    }  # fmt: skip
    left = ("input_shape", "name")
    ignored = {"MaxPooling1D": ("num_channels", "use_bias", "kernel_initializer", "kernel_regularizer", "trainable",
                                "device", "dtype")}  # fmt: skip
    found = [
        Subject(name, getattr(o, name), lambda base=base: dict(base), use, (*left, *ignored.get(name, ())))
        for name, (base, use) in made.items()
    ]
    unused = lambda made: None if isinstance(made, torch.utils.hooks.RemovableHandle) else made  # noqa: E731
    return found + [Subject(name, getattr(o, name), base, unused) for name, base in functions.items()]


_LAYER = og_leaf.GaborConv1D(4, 9)


def leaf_subjects() -> list[Subject]:
    """All of ``leaf``'s and ``efficientleaf``'s."""
    band = {"min_freq": 60.0, "max_freq": 900.0, "sample_rate": 2000}
    bank = {"n_filters": 3, **band, "pool_size": 9, "pool_stride": 4}
    small = {"n_filters": 4, **band}
    energies = lambda made: made(CLIP.square().reshape(1, 1, 90).expand(1, 3, 90) + 1e-3)  # noqa: E731
    of_leaf = leaf.Leaf(4, 60.0, 900.0, 2000)
    subjects = {
        leaf.Leaf: (small, _frontend), leaf.GaborFilterbank: ({**bank, "filter_size": 9}, _frontend),
        leaf.PCEN: ({"num_bands": 3}, energies),
        leaf.gabor_filters: ({"size": 9, "center_freqs": _ten((3,)), "sigmas": _ten((3,))}, lambda m: m),
        leaf.gauss_windows: ({"size": 9, "sigmas": _ten((3,))}, lambda m: m),
        leaf.mel_filter_params: ({"n_filters": 3, **band}, lambda m: m),
        leaf.exponential_moving_average: (
            {"x": _ten((2, 3, 9)), "s": _ten((3,)), "initial": _ten((2, 3))}, lambda m: m,
        ),
        efficientleaf.EfficientLeaf: (small, _frontend),
        efficientleaf.GroupedGaborFilterbank: ({**bank, "num_groups": 2}, _frontend),
        efficientleaf.Log1p: ({}, energies), efficientleaf.LogTBN: ({"num_bands": 3}, energies),
        efficientleaf.TemporalBatchNorm: ({"num_bands": 3}, energies),
        efficientleaf.EfficientLeaf.from_leaf: ({"leaf": of_leaf}, lambda m: None),
    }  # fmt: skip
    left = {efficientleaf.EfficientLeaf: ("tolerance",), efficientleaf.EfficientLeaf.from_leaf: ("tolerance",)}
    return [
        Subject(getattr(call, "__name__", "from_leaf"), call, lambda base=base: dict(base), use, left.get(call, ()))
        for call, (base, use) in subjects.items()
    ]


def weights_subjects() -> list[Subject]:
    """All of ``parity``'s that carry weights."""

    @cache
    def file() -> Path:
        about = stored.Description("og_leaf", "float32", FrontendConfig(**SMALL), {})
        path = Path(tempfile.mkdtemp()) / "w.safetensors"
        path.write_bytes(stored.encode(about.module(), about))
        return path

    def module() -> Any:
        return og_leaf.Leaf(**SMALL)

    return [
        Subject("convert", parity.convert, lambda: {"module": module(), "to": "leaf"}, _frontend),
        # of a mapping as source, its variables are named
        Subject("load_weights", parity.load_weights, lambda: {"module": module(), "source": module().state_dict()},
                left_out=("source",)),
        Subject("load", parity.load, lambda: {"path": file()}, _frontend),
    ]  # fmt: skip
