"""Faults of ``og_leaf`` around its stages: the floor, the normalisation, and what a module keeps to itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.hooks import RemovableHandle

import og_leaf
from og_leaf import frontend, impulse_responses
from og_leaf.convolution import GaborConv1D, pad_time
from og_leaf.frontend import Leaf
from og_leaf.postprocessing import ExponentialMovingAverage, InstanceNormalization, PCENLayer, SimpleRNN
from parity.mutation.planting import Fault, Plant, replaced

Stage = Callable[[Tensor], Tensor]
_leaf = Leaf.forward
_pcen = PCENLayer.forward
_ema = ExponentialMovingAverage.forward
_compression = frontend._compression


def _same(values: Tensor) -> Tensor:
    return values


def _floored(values: Tensor) -> Tensor:
    return values.clamp(min=1e-5)


def _compressed(self: Leaf, energies: Tensor) -> Tensor:
    return self._compress_fn(energies)


def _staged(
    before: Stage = _same,
    floor: Stage = _floored,
    compress: Callable[[Leaf, Tensor], Tensor] = _compressed,
    after: Stage = _same,
) -> Plant:
    """``Leaf.forward`` with another floor or compression, or a floor before the pooling or after the compression."""

    def forward(self: Leaf, inputs: Tensor) -> Tensor:
        outputs = inputs[:, None, :] if inputs.dim() < 3 else inputs
        if self._preemp_conv is not None:
            outputs = self._preemp_conv(pad_time(outputs, 2, 1, "SAME"))
        outputs = self._pooling(before(self._activation(self._complex_conv(outputs))))
        outputs = after(compress(self, floor(outputs)))
        return outputs if self._instance_norm is None else self._instance_norm(outputs)

    return replaced((Leaf, "forward", forward))


def _with_smaller_offset(self: Leaf, energies: Tensor) -> Tensor:
    if self._compress_fn is frontend.log_compression:
        return frontend.log_compression(energies, log_offset=1e-6)
    return self._compress_fn(energies)


def _over(dims: tuple[int, ...] = (-1,), correction: int = 0) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    def moments(x: Tensor) -> tuple[Tensor, Tensor]:
        mean = x.mean(dim=dims, keepdim=True)
        return mean, x.var(dim=dims, correction=correction, keepdim=True)

    return moments


_over_frames = _over()


def _standardised(
    moments: Callable[[Tensor], tuple[Tensor, Tensor]] = _over_frames,
    scale: Callable[[Tensor, float], Tensor] = lambda variance, eps: torch.rsqrt(variance + eps),
) -> Callable[[InstanceNormalization, Tensor], Tensor]:
    """``InstanceNormalization.forward`` with other moments or another use of eps."""

    def forward(self: InstanceNormalization, inputs: Tensor) -> Tensor:
        mean, variance = moments(inputs)
        gain = scale(variance, self.epsilon) * self.weight.unsqueeze(-1)
        return inputs * gain + (self.bias.unsqueeze(-1) - mean * gain)

    return forward


@contextmanager
def _sharing() -> Iterator[None]:
    first: dict[tuple[int, torch.dtype], Any] = {}

    def shared(compression_fn: Any, n_filters: int, device: Any, dtype: torch.dtype) -> Any:
        own = _compression(compression_fn, n_filters, device, dtype)
        return first.setdefault((n_filters, dtype), own) if compression_fn == "pcen" else own

    with replaced((frontend, "_compression", shared))():
        yield


def _plain_tensors(
    self: SimpleRNN, num_channels: int, smooth_coef: float, device: Any = None, dtype: torch.dtype | None = None
) -> None:
    torch.nn.Module.__init__(self)
    eye = torch.eye(num_channels, dtype=dtype, device=device)
    self.input_weights, self.recurrent_weights = smooth_coef * eye, (1.0 - smooth_coef) * eye


def _reshaped(self: Leaf, inputs: Tensor) -> Tensor:
    if inputs.dim() == 2:
        inputs.data = inputs.data.unsqueeze(1)
    return _leaf(self, inputs)


@contextmanager
def _emphasising_the_audio() -> Iterator[None]:
    changed: list[tuple[Tensor, Tensor]] = []

    def forward(self: Leaf, inputs: Tensor) -> Tensor:
        outputs = _leaf(self, inputs)
        if self._preemp_conv is not None:
            audio = inputs.detach().view(-1, 1, inputs.shape[-1])
            changed.append((audio, audio.clone()))
            audio.copy_(self._preemp_conv(pad_time(audio, 2, 1, "SAME")).detach())
        return outputs

    with replaced((Leaf, "forward", forward))():
        try:
            yield
        finally:  # the audio may be in memory that others read as well
            for audio, before in reversed(changed):
                audio.copy_(before)


def _overwritten(self: PCENLayer, inputs: Tensor) -> Tensor:
    outputs = _pcen(self, inputs)
    inputs.data.copy_(outputs.detach())
    return outputs


def _carried_on(self: ExponentialMovingAverage, inputs: Tensor, initial_state: Tensor) -> Tensor:
    kept = vars(self).get("kept")
    smoothed = _ema(self, inputs, initial_state if kept is None or kept.shape != initial_state.shape else kept)
    vars(self)["kept"] = smoothed[..., -1].detach()
    return smoothed


def _filters_kept(self: GaborConv1D, inputs: Tensor) -> Tensor:
    if self.training or "kept" not in vars(self):
        filters = impulse_responses.gabor_filters(self.constraint(self._kernel), self._kernel_size)
        stacked = torch.stack([filters.real, filters.imag], dim=1).flatten(0, 1).unsqueeze(1)
        vars(self)["kept"] = stacked if self.training else stacked.detach()
    padded = pad_time(inputs, self._kernel_size, self._strides, self._padding)
    return F.conv1d(padded, vars(self)["kept"], stride=self._strides)


def _never(optimizer: torch.optim.Optimizer, module: torch.nn.Module) -> None:
    """The constraint of the forward pass is thought to be enough."""


def _before_the_step(optimizer: torch.optim.Optimizer, module: torch.nn.Module) -> RemovableHandle:
    def project(*_: Any) -> None:
        with torch.no_grad():
            for layer in module.modules():
                if isinstance(layer, GaborConv1D):
                    layer._kernel.copy_(layer.constraint(layer._kernel))

    return optimizer.register_step_pre_hook(project)


def _fault(name: str, kind: str, tap: str, gate: str, statement: str, plant: Plant, property: str = "forward") -> Fault:
    return Fault(f"og_leaf/{name}", kind, "og_leaf", tap, gate, statement, plant, property)


def _norm(**parts: Any) -> Plant:
    return replaced((InstanceNormalization, "forward", _standardised(**parts)))


FAULTS: tuple[Fault, ...] = (
    _fault("floor-added", "floor as addition", "output", "direct",
           "1e-5 is added to the energies in place of being their least",
           _staged(floor=lambda x: x + 1e-5)),
    _fault("floor-1e-6", "floor of another value", "output", "direct",
           "the energies' floor is 1e-6, as two published ports have it",
           _staged(floor=lambda x: x.clamp(min=1e-6))),
    _fault("log-offset-1e-6", "floor of another value", "output", "direct",
           "the log compression adds 1e-6 in place of 1e-5",
           _staged(compress=_with_smaller_offset)),
    _fault("floor-before-pooling", "floor at another place", "output", "direct",
           "the floor is put under the squared modulus, not under the pooled energies",
           _staged(before=_floored, floor=_same)),
    _fault("floor-after-compression", "floor at another place", "output", "direct",
           "the floor is put under the compressed features",
           _staged(floor=_same, after=_floored)),
    _fault("floor-tie-halved", "tie gradients", "floor", "status",
           "the floor is torch.maximum against a tensor: half the gradient to an energy that is on it",
           _staged(floor=lambda x: torch.maximum(x, torch.full_like(x, 1e-5))), property="input gradient"),
    _fault("norm-over-channels", "norm axis", "norm", "direct",
           "mean and variance over the channels of a frame in place of the frames of a channel",
           _norm(moments=_over((1,)))),
    _fault("norm-over-batch", "norm axis", "norm", "direct",
           "mean and variance over the clips of a batch as well",
           _norm(moments=_over((0, -1)))),
    _fault("norm-unbiased", "unbiased variance", "norm", "direct",
           "the variance divides by n - 1",
           _norm(moments=_over(correction=1))),
    _fault("norm-eps-1e-5", "eps of the norm", "norm", "direct",
           "eps is 1e-5, torch.nn.InstanceNorm1d's default",
           _norm(scale=lambda variance, eps: torch.rsqrt(variance + 1e-5))),
    _fault("norm-eps-on-the-deviation", "eps of the norm", "norm", "direct",
           "eps is added to the standard deviation in place of the variance",
           _norm(scale=lambda variance, eps: 1.0 / (torch.sqrt(variance) + eps))),
    _fault("not-projected", "clamp not after the step", "kernel", "direct",
           "mu and sigma are clamped in the forward pass alone: outside their box they have no gradient for ever",
           replaced((og_leaf, "project_after_step", _never)), property="training step"),
    _fault("projected-before-the-step", "clamp not after the step", "kernel", "direct",
           "mu and sigma are put back before each step, so that a step still leaves them outside",
           replaced((og_leaf, "project_after_step", _before_the_step)), property="training step"),
    _fault("shared-compression", "shared default module", "output", "status",
           "frontends of one width share the default PCEN layer of the first, as all of the original's do",
           _sharing, property="status"),
    _fault("recurrence-no-buffer", "tensor that is no buffer", "output", "status",
           "the fixed recurrence keeps plain tensors: no dtype, device or state dict reaches them",
           replaced((SimpleRNN, "__init__", _plain_tensors)), property="status"),
    _fault("audio-reshaped", "input changed in place", "input", "status",
           "the channel dimension is added to the caller's own tensor, so that its gradient has it, too",
           replaced((Leaf, "forward", _reshaped)), property="input gradient"),
    _fault("audio-emphasised", "input changed in place", "output", "status",
           "the pre-emphasis is written over the caller's audio",
           _emphasising_the_audio, property="status"),
    _fault("energies-overwritten", "input changed in place", "floor", "direct",
           "PCEN writes its output over the energies that it was given",
           replaced((PCENLayer, "forward", _overwritten))),
    _fault("smoother-carried-on", "state leaking between calls", "pcen", "direct",
           "the smoother starts from where the last call ended",
           replaced((ExponentialMovingAverage, "forward", _carried_on))),
    _fault("filters-kept", "state leaking between calls", "kernel", "direct",
           "in evaluation the filters of the first call are kept, whatever the weights become, and have no gradient",
           replaced((GaborConv1D, "forward", _filters_kept)), property="parameter gradient"),
)  # fmt: skip
