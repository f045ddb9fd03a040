"""Faults of rung 3's compression: the exponent's base, the median, and the batch normalisation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from efficientleaf.compression import Log1p, LogTBN, TemporalBatchNorm
from parity.mutation.planting import Fault, Plant, replaced

_init, _norm, _log = TemporalBatchNorm.__init__, TemporalBatchNorm.forward, Log1p.forward


def exponent(power: Callable[[Tensor], Tensor]) -> Plant:
    """Log1p with another power of its exponent."""

    def forward(self: Log1p, x: Tensor) -> Tensor:
        a = self.a if isinstance(self.a, Tensor) else torch.tensor(self.a, dtype=x.dtype)
        return torch.log1p(power(a.unsqueeze(-1) if self.per_band and a.ndim else a) * x)

    return replaced((Log1p, "forward", forward))


def _in_place(self: Log1p, x: Tensor) -> Tensor:
    if not isinstance(self.a, Tensor):
        return _log(self, x)
    scale = 10 ** (self.a.unsqueeze(-1) if self.per_band else self.a)
    return torch.log1p(scale * x if x.requires_grad else x.mul_(scale))


def filtering(
    median: Callable[[Tensor], Tensor], stack: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]] = lambda x, y: (x, y)
) -> Plant:
    """LogTBN with another median over time [..., 1], or its two channels otherwise."""

    def forward(self: LogTBN, x: Tensor) -> Tensor:
        x = self.log1p(x)
        if self.median_filter:
            filtered = x - median(x)
            x = torch.stack(stack(x, filtered), 1) if self.append_filtered else filtered
        y: Tensor = self.TBN(x)
        return y

    return replaced((LogTBN, "forward", forward))


def by_sorting(x: Tensor) -> Tensor:
    """The lower median, out of the sorted values."""
    return x.sort(dim=-1).values[..., (x.shape[-1] - 1) // 2, None]


def _middle(x: Tensor) -> Tensor:
    ordered, n = x.sort(dim=-1).values, x.shape[-1]
    return (ordered[..., (n - 1) // 2, None] + ordered[..., n // 2, None]) / 2


def _set_norm(**settings: Any) -> Plant:
    """The batch norm with other constants."""

    def init(self: TemporalBatchNorm, *args: Any, **kwargs: Any) -> None:
        _init(self, *args, **kwargs)
        for name, value in settings.items():
            setattr(self.bn, name, value)

    return replaced((TemporalBatchNorm, "__init__", init))


def normalising(correction: int = 0, axes: tuple[int, ...] = (0, 2)) -> Plant:
    """The batch norm written out, with the variance's correction and the axes of the statistics of training."""

    def norm(bn: nn.BatchNorm1d, x: Tensor) -> Tensor:
        assert bn.running_mean is not None
        assert bn.running_var is not None
        mean, variance = bn.running_mean[:, None], bn.running_var[:, None]
        if bn.training:
            mean = x.mean(dim=axes, keepdim=True)
            variance = x.var(dim=axes, correction=correction, keepdim=True)
            with torch.no_grad():
                n = x.numel() // x.shape[1]
                unbiased = ((x - x.mean((0, 2), keepdim=True)) ** 2).sum((0, 2)) / (n - 1)
                bn.running_mean.lerp_(x.mean((0, 2)), bn.momentum or 0.0)
                bn.running_var.lerp_(unbiased, bn.momentum or 0.0)
        y: Tensor = (x - mean) / torch.sqrt(variance + bn.eps)
        return y if bn.weight is None else y * bn.weight[:, None] + bn.bias[:, None]

    def forward(self: TemporalBatchNorm, x: Tensor) -> Tensor:
        flat = x.flatten(1, -2) if self.per_channel else x.reshape(-1, *x.shape[-2:])
        return norm(self.bn, flat).reshape(x.shape)

    return replaced((TemporalBatchNorm, "forward", forward))


def _counted_in_evaluation(self: TemporalBatchNorm, x: Tensor) -> Tensor:
    y: Tensor = _norm(self, x)
    if not self.training:
        rows = x.detach().flatten(1, -2) if self.per_channel else x.detach().reshape(-1, *x.shape[-2:])
        assert self.bn.running_mean is not None
        self.bn.running_mean = torch.lerp(self.bn.running_mean, rows.mean((0, 2)), self.bn.momentum or 0.0)
    return y


def _fault(name: str, kind: str, tap: str, statement: str, plant: Plant, **rest: Any) -> Fault:
    return Fault(f"efficientleaf/{name}", kind, "efficientleaf", tap, "soundness", statement, plant, **rest)


FAULTS: tuple[Fault, ...] = (
    _fault("power-of-e", "base of the exponent", "log1p", "log(1 + e^a x) for log(1 + 10^a x)", exponent(torch.exp)),
    Fault("efficientleaf/energies-scaled-in-place", "input changed in place", "efficientleaf", "log1p", "status",
          "where no gradient is asked for, Log1p multiplies the energies that it is given",
          replaced((Log1p, "forward", _in_place)), property="status"),
    _fault("mean-of-the-two-medians", "another median", "median",
           "an even number of frames has the mean of the two middle ones for its median, not the lower one",
           filtering(_middle)),
    _fault("filtered-first", "channel permutation", "median", "the filtered logarithm before the plain one",
           filtering(lambda x: x.median(-1, keepdim=True).values, lambda x, y: (y, x))),
    _fault("statistics-of-a-clip", "norm axis", "batchnorm", "statistics over time alone, a clip at a time",
           normalising(axes=(2,))),
    _fault("unbiased-variance", "unbiased variance", "batchnorm", "the norm divides by the unbiased deviation",
           normalising(correction=1)),
    _fault("eps-of-keras", "eps of the norm", "batchnorm", "the norm's eps is 1e-3, Keras' default",
           _set_norm(eps=1e-3)),
    _fault("momentum-of-keras", "momentum of the norm", "batchnorm",
           "running statistics keep 0.99 of themselves, Keras' default, not 0.9", _set_norm(momentum=0.01),
           property="training step"),
    Fault("efficientleaf/statistics-of-evaluation", "state leaking between calls", "efficientleaf", "output", "status",
          "evaluation goes on moving the running mean",
          replaced((TemporalBatchNorm, "forward", _counted_in_evaluation)), property="status"),
)  # fmt: skip
