"""Drawn cases of ``leaf`` and ``efficientleaf``; each generator yields, in order, the arrays or tensors of one case.

Imported in processes that have their mutant, for it imports the rungs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

import efficientleaf
import leaf as simplified
from efficientleaf import strided as grouping
from efficientleaf.checks import SOURCES

Draw = np.random.Generator
RATES = (1000, 2000, 4000, 8000)


def _pick(rng: Draw, *options: Any) -> Any:
    return options[int(rng.integers(len(options)))]


def _signal(rng: Draw, *shape: int, dtype: Any = None) -> Any:
    """Noise, a tone, an impulse, silence, or noise whose channels differ in level by 100 dB."""
    kind, x = int(rng.integers(6)), rng.standard_normal(shape)
    if kind == 1:
        x = np.sin(rng.uniform(0, 3.1) * np.arange(shape[-1])) + 0 * x
    elif kind == 2:
        x = np.zeros(shape)
        x[..., int(rng.integers(shape[-1]))] = 1
    elif kind == 3:
        x = np.zeros(shape)
    elif kind == 4:
        x = x * 10 ** rng.uniform(-5, 0, (*shape[:-1], 1))
    return torch.tensor(10 ** rng.uniform(-4, 2) * x, dtype=dtype or torch.float32)


def _differentiated(rng: Draw, module: Any, x: Any, call: Callable[[Any], Any]) -> Iterator[Any]:
    """Output, gradients of a random cotangent to input and parameters, and parameters and buffers afterwards."""
    parameters = list(module.parameters())
    for p in parameters:
        p.requires_grad_(bool(rng.integers(4)))
    y = call(x.requires_grad_(bool(rng.integers(2))))
    yield y
    sources = [t for t in (x, *parameters) if t.requires_grad]
    if sources and y.requires_grad:
        cotangent = torch.from_numpy(rng.standard_normal(tuple(y.shape))).to(y.dtype)
        yield from torch.autograd.grad(y, sources, cotangent, allow_unused=True)
    with torch.no_grad():
        yield call(x.detach())
        if parameters:
            parameters[int(rng.integers(len(parameters)))].mul_(1.01)
        yield call(x.detach())
    yield from module.state_dict().values()


def _moved(rng: Draw, module: Any) -> Any:
    """The module with other weights, some of them beyond their limits, in either dtype, training or not."""
    spread = _pick(rng, 0.0, 0.2, 2.0)
    with torch.no_grad():
        for p in module.parameters():
            p.mul_(torch.tensor(np.exp(spread * rng.standard_normal(tuple(p.shape)))).to(p.dtype))
            if spread == 2.0:
                p.mul_(torch.tensor(rng.choice([1.0, 1.0, -1.0, 0.0], tuple(p.shape))).to(p.dtype))
    return module.to(_pick(rng, torch.float32, torch.float32, torch.float64)).train(bool(rng.integers(2)))


def _common(rng: Draw) -> dict[str, Any]:
    rate = _pick(rng, *RATES)
    low = float(rng.uniform(0, rate / 8))
    return {
        "n_filters": int(rng.integers(1, 5)), "min_freq": low, "max_freq": float(rng.uniform(rate / 4, rate / 2)),
        "sample_rate": rate, "window_len": _pick(rng, 25.0, 16.0, 8.5, 3.0),
        "window_stride": _pick(rng, 10.0, 5.0, 12.5),
    }  # fmt: skip


def _audio(rng: Draw, module: Any) -> Any:
    shape = (int(rng.integers(1, 3)), *((1,) if rng.integers(3) == 0 else ()), int(rng.integers(1, 500)))
    return _signal(rng, *shape, dtype=next(module.parameters()).dtype)


def _sometimes_long(rng: Draw, x: Any) -> Any:
    return x if rng.integers(20) else x.repeat(*[1] * (x.ndim - 1), 17000 // x.shape[-1] + 1)


def _energies(rng: Draw, *shape: int, dtype: Any = None) -> Any:
    return _signal(rng, *shape, dtype=dtype).square() * 10.0 ** int(rng.integers(-8, 8))


def _a_pcen(rng: Draw, n: int) -> Any:
    logs = bool(rng.integers(2))
    own: dict[str, Any] = {
        "s": _pick(rng, 0.025, 0.5, 1.0), "alpha": _pick(rng, 0.98, 1.0, 0.5), "delta": _pick(rng, 2.0, 1.0, 1e-4),
        "r": _pick(rng, 0.5, 1.0, 0.25), "eps": _pick(rng, 1e-12, 1e-6), "learn_logs": logs,
        "clamp": _pick(rng, None, 1e-5, 0.0), "form": _pick(rng, "accurate", "accurate", "published"),
    }  # fmt: skip
    if not logs and rng.integers(4) == 0:
        own["delta"] = 0.0
    return simplified.PCEN(_pick(rng, n, n, 1), **own)


def leaf(rng: Draw) -> Iterator[Any]:
    own = _common(rng)
    compression = _pick(rng, None, None, torch.nn.Identity(), _a_pcen(rng, own["n_filters"]))
    module = simplified.Leaf(**own, compression=compression, padding=_pick(rng, "centered", "same"))
    yield from module.state_dict().values()
    yield from _differentiated(rng, _moved(rng, module), _audio(rng, module), module)


def bank(rng: Draw) -> Iterator[Any]:
    own = _common(rng)
    sizes = (int(rng.integers(1, 40)), int(rng.integers(1, 40)), int(rng.integers(1, 40)))
    module = simplified.GaborFilterbank(
        own["n_filters"], own["min_freq"], own["max_freq"], own["sample_rate"], *sizes, _pick(rng, 0.4, 0.2),
        padding=_pick(rng, "centered", "same"),
    )  # fmt: skip
    module, x = _moved(rng, module), None
    x = _audio(rng, module)
    y = module.convolve(x)
    yield from (module.filters(), module.windows(), y, module.modulus(y), module.pool(module.modulus(y)))
    yield from _differentiated(rng, module, x, module)


def pcen(rng: Draw) -> Iterator[Any]:
    n = int(rng.integers(1, 4))
    module = _moved(rng, _a_pcen(rng, n))
    shape = (*_pick(rng, (), (1,), (2,), (2, 2)), n, int(rng.integers(1, 40)))
    dtype = _pick(rng, torch.float32, torch.float32, torch.float64, torch.bfloat16)
    x = _energies(rng, *shape, dtype=dtype)
    if rng.integers(2):
        yield module.smooth(x)
        yield from module.parameters_linear()
        first, state = module.step(x)
        yield from (first, state, *module.step(x, state))
    yield from _differentiated(rng, module, x, module)


def average(rng: Draw) -> Iterator[Any]:
    n, dtype = int(rng.integers(1, 4)), _pick(rng, torch.float32, torch.float64)
    x = _signal(rng, 2, n, int(rng.integers(1, 70)), dtype=dtype).requires_grad_()
    values = rng.choice([0.0, 1.0, 1e-6, 0.04, 0.7, rng.uniform(), 1.3, -0.1], _pick(rng, n, 1))
    s = torch.tensor(values, dtype=dtype).requires_grad_()
    initial = _signal(rng, 2, n, dtype=dtype).requires_grad_()
    y = simplified.exponential_moving_average(x, s, initial)
    yield y
    first = torch.autograd.grad(
        y, (x, s, initial), torch.from_numpy(rng.standard_normal(y.shape)).to(dtype), create_graph=True
    )
    yield from first
    yield from torch.autograd.grad([g.square().sum() for g in first], (x, s, initial), allow_unused=True)


def _pieces(rng: Draw, x: Any) -> Iterator[Any]:
    """Audio in chunks of drawn lengths, some of them empty."""
    at = 0
    while at < x.shape[-1]:
        n = int(_pick(rng, 0, 1, 7, 60, 300))
        yield x[..., at : at + n]
        at += n


def stream(rng: Draw) -> Iterator[Any]:
    own, padding = _common(rng), _pick(rng, "centered", "same")
    compression = _pick(rng, None, torch.nn.Sequential(_a_pcen(rng, own["n_filters"]), torch.nn.Identity()))
    module = _moved(rng, simplified.Leaf(**own, compression=compression, padding=padding))
    x = _audio(rng, module)
    x = _sometimes_long(rng, x)
    n = x.shape[-1] + int(rng.integers(10) == 0) if padding == "same" or rng.integers(2) else None
    yield from module.stream(_pieces(rng, x), n)


def functions(rng: Draw) -> Iterator[Any]:
    own = _common(rng)
    yield from simplified.mel_filter_params(own["n_filters"], own["min_freq"], own["max_freq"], own["sample_rate"])
    dtype, size = _pick(rng, torch.float32, torch.float64), int(rng.integers(1, 60))
    centers = torch.tensor(rng.uniform(0, np.pi, 3), dtype=dtype).requires_grad_()
    sigmas = torch.tensor(np.exp(rng.uniform(-1, 4, 3)), dtype=dtype).requires_grad_()
    filters, windows = simplified.gabor_filters(size, centers, sigmas), simplified.gauss_windows(size, sigmas / 30)
    yield from (filters, windows)
    yield from torch.autograd.grad(filters.abs().sum() + filters.real.sum() + windows.sum(), (centers, sigmas))


def _a_grouped(rng: Draw) -> Any:
    own = _common(rng)
    n = own["n_filters"]
    exact = _pick(rng, (), (), SOURCES, tuple(name for name in SOURCES if rng.integers(2)))
    return efficientleaf.EfficientLeaf(
        **own, num_groups=int(rng.integers(1, n + 1)), conv_win_factor=float(rng.uniform(1, 6)),
        stride_factor=float(rng.uniform(0.2, 3)), exact=exact, compression=_pick(rng, "logtbn", "pcen", "pcen"),
    )  # fmt: skip


def grouped(rng: Draw) -> Iterator[Any]:
    module = _moved(rng, _a_grouped(rng))
    if rng.integers(4) == 0:
        module.freeze()
    bank, x = module.filterbank, _audio(rng, module)
    for group in bank.groups():
        yield np.array([*vars(group).values()])
        yield from (bank.convolve(x, group), bank.filters(group), bank.windows(group))
    yield from _differentiated(rng, module, x, module)


def grouped_stream(rng: Draw) -> Iterator[Any]:
    module = _moved(rng, _a_grouped(rng))
    x = _audio(rng, module)
    x = _sometimes_long(rng, x)
    yield from module.stream(_pieces(rng, x), _pick(rng, None, x.shape[-1], x.shape[-1] + 1))


def strided(rng: Draw) -> Iterator[Any]:
    dtype, clips, n = _pick(rng, torch.float32, torch.float64), int(rng.integers(1, 4)), int(rng.integers(1, 400))
    x = _signal(rng, clips, 1, n, dtype=dtype).requires_grad_()
    stride, half = int(rng.integers(1, 24)), int(rng.integers(0, 40))
    kernels = _signal(rng, int(rng.integers(1, 5)), 1, 2 * half + 1, dtype=dtype).requires_grad_()
    heard = grouping.signal(x, half + int(rng.integers(0, 9)), stride * int(rng.integers(1, 4)))
    cut = grouping.blocks(kernels, stride) if rng.integers(2) else None
    y = grouping.strided(heard, kernels, stride, cut)
    pooled = grouping.pooled(y, kernels, int(rng.integers(1, 12)))
    yield from (y, pooled, *torch.autograd.grad(pooled.square().sum(), (x, kernels)))


def compression(rng: Draw) -> Iterator[Any]:
    n, channels = int(rng.integers(1, 4)), int(rng.integers(1, 3))
    kind = int(rng.integers(3))
    flags = [bool(rng.integers(2)) for _ in range(4)]
    a = _pick(rng, 0, 5, 2.5)
    module: Any
    if kind == 0:
        module = efficientleaf.Log1p(a, flags[0], flags[1], n if rng.integers(4) else None)
    elif kind == 1:
        module = efficientleaf.TemporalBatchNorm(n, flags[0], flags[1], channels if rng.integers(8) else None)
    else:
        module = efficientleaf.LogTBN(n, flags[0], a, flags[1], flags[2], flags[3], bool(rng.integers(2)))
    module = _moved(rng, module)
    alone = channels == 1 if kind == 1 and flags[1] else kind == 2
    shape = (int(rng.integers(1, 3)), *(() if alone else (channels,)), n, int(rng.integers(1, 30)))
    held = [t.dtype for t in module.state_dict().values() if t.is_floating_point()]
    x = _energies(rng, *shape, dtype=held[0] if held else torch.float32)
    yield from _differentiated(rng, module, x, module)


FAMILIES = {
    "leaf": (leaf, bank, pcen, average, stream, functions, grouped, strided),
    "efficientleaf": (grouped, compression, grouped_stream),
}
