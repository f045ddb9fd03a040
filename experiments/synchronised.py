"""Batch normalisation with the statistics of all processes' batches together, on any device.

PyTorch's own ``SyncBatchNorm`` refuses tensors on the CPU. This one needs only ``torch.distributed``'s sum.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn.modules.batchnorm import _BatchNorm


def synchronise(module: nn.Module) -> nn.Module:
    """Give every batch normalisation within a module the statistics of the joined batch of all processes.

    Names in the state dict, parameters and running statistics stay what they are, the same tensors. To be called in
    every process before ``DistributedDataParallel`` wraps the module; then all processes must call the module equally
    often. Evaluation, and a single process, are as before.

    Args:
        module: a front end (``EfficientLeaf`` has such layers in its default compression), an encoder, a classifier.

    Returns the module; another one only where it is itself a batch normalisation.
    """
    return _replaced(module, {})


class JointBatchNorm(_BatchNorm):
    """Batch normalisation of [B, C, ...] over all but C; in training over the batches of all processes.

    These may be of different lengths; one without clips counts nothing. Sums are taken in float32 at least. With
    ``torch.distributed`` not begun it is PyTorch's own.

    Args:
        of: the layer whose parameters, running statistics and settings it takes over.
    """

    def __init__(self, of: _BatchNorm) -> None:
        super().__init__(of.num_features, of.eps, of.momentum, of.affine, of.track_running_stats, device="meta")
        for name, parameter in of.named_parameters(recurse=False):
            setattr(self, name, parameter)
        for name, buffer in of.named_buffers(recurse=False):
            setattr(self, name, buffer)
        self.train(of.training)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, ...] to the same shape.

        Raises ValueError for fewer than two axes, and in training for fewer than two values a channel in all processes.
        """
        if not (self.training and distributed.is_available() and distributed.is_initialized()):
            alone: Tensor = super().forward(x)
            return alone
        self._check_input_dim(x)
        wide = x if x.dtype == torch.float64 else x.float()
        axes, shape = (0, *range(2, x.ndim)), (-1, *[1] * (x.ndim - 2))
        own = wide.new_tensor([x.numel() / x.shape[1]])
        total = _sum(torch.cat((wide.sum(axes), own)))
        count = total[-1]
        if count < 2:  # the same in every process: all refuse, and none waits for another
            raise ValueError(f"x: must have at least 2 values a channel in all processes together, has {int(count)}")
        mean = total[:-1] / count
        centred = wide - mean.reshape(shape)
        variance = _sum(centred.square().sum(axes)) / count  # not of squares less the mean's, which cancel
        self._track(mean.detach(), (variance * count / (count - 1)).detach())
        y = centred * (variance + self.eps).rsqrt().reshape(shape)
        if self.affine:
            y = y * self.weight.reshape(shape) + self.bias.reshape(shape)
        return y.to(x.dtype)

    def _check_input_dim(self, input: Tensor) -> None:
        if input.ndim < 2:
            raise ValueError(f"x of shape {tuple(input.shape)}: must be [B, C, ...]")

    def _track(self, mean: Tensor, variance: Tensor) -> None:
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked.add_(1)
        share = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), share)
        self.running_var.lerp_(variance.to(self.running_var.dtype), share)


class _Sum(torch.autograd.Function):
    """The sum over all processes. A loss of any process depends on it, so its gradient is the sum of theirs."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return _summed(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return _summed(gradient)


def _sum(x: Tensor) -> Tensor:
    total: Tensor = _Sum.apply(x)  # type: ignore[no-untyped-call]
    return total


def _summed(x: Tensor) -> Tensor:
    total = x.clone(memory_format=torch.contiguous_format)
    distributed.all_reduce(total)
    return total


def _replaced(module: nn.Module, known: dict[nn.Module, nn.Module]) -> nn.Module:
    if module in known:
        return known[module]
    known[module] = module
    if isinstance(module, _BatchNorm) and not isinstance(module, (JointBatchNorm, nn.SyncBatchNorm)):
        known[module] = JointBatchNorm(module)
    for name, child in tuple(module._modules.items()):  # named_children() names a layer once that stands twice
        if child is not None:
            setattr(module, name, _replaced(child, known))
    return known[module]
