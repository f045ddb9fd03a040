"""Faults of ``og_leaf``'s PCEN: the smoother, the gain, the root and the limits of their parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from og_leaf.postprocessing import ExponentialMovingAverage, PCENLayer, SimpleRNN
from parity.mutation.planting import Fault, replaced

Limit = Callable[[Tensor], Tensor]
_ema = ExponentialMovingAverage.forward
_rnn = SimpleRNN.forward


def _same(values: Tensor) -> Tensor:
    return values


def _clipped(w: Tensor) -> Tensor:
    return w.clamp(max=1.0).clamp(min=0.0)


def _clipped_in_data(w: Tensor) -> Tensor:
    w.data.clamp_(0.0, 1.0)
    return w


def _clipped_by_minimum(w: Tensor) -> Tensor:
    return torch.minimum(torch.maximum(w, torch.zeros_like(w)), torch.ones_like(w))


def _average(w: Tensor, frame: Tensor, state: Tensor) -> Tensor:
    return w * frame + (1.0 - w) * state


def _exchanged(w: Tensor, frame: Tensor, state: Tensor) -> Tensor:
    return (1.0 - w) * frame + w * state


def _smoothed(
    limit: Limit = _clipped, step: Callable[[Tensor, Tensor, Tensor], Tensor] = _average, start: Limit = _same
) -> Callable[..., Tensor]:
    """``ExponentialMovingAverage.forward`` with another limit, step or start."""

    def forward(self: ExponentialMovingAverage, inputs: Tensor, initial_state: Tensor) -> Tensor:
        w, state, smoothed = limit(self._weights), start(initial_state), []
        for frame in inputs.unbind(-1):
            state = step(w, frame, state)
            smoothed.append(state)
        return torch.stack(smoothed, dim=-1)

    return forward


def _lagged(self: ExponentialMovingAverage, inputs: Tensor, initial_state: Tensor) -> Tensor:
    smoothed = _ema(self, inputs, initial_state)
    return torch.cat([initial_state.unsqueeze(-1), smoothed[..., :-1]], dim=-1)


def _rnn_from_zero(self: SimpleRNN, inputs: Tensor, initial_state: Tensor) -> Tensor:
    return _rnn(self, inputs, torch.zeros_like(initial_state))


def _at_most_one(alpha: Tensor) -> Tensor:
    return alpha.clamp(max=1.0)


def _at_least_one(root: Tensor) -> Tensor:
    return root.clamp(min=1.0)


def _limited_by_minimum(alpha: Tensor) -> Tensor:
    return torch.minimum(alpha, torch.ones_like(alpha))


def _limited_by_relu(root: Tensor) -> Tensor:
    return 1.0 + torch.relu(root - 1.0)


def _limited_in_data(alpha: Tensor) -> Tensor:
    alpha.data.clamp_(max=1.0)
    return alpha


def _divided(x: Tensor, m: Tensor, eps: float, alpha: Tensor) -> Tensor:
    return x / (eps + m) ** alpha


def _eps_outside(x: Tensor, m: Tensor, eps: float, alpha: Tensor) -> Tensor:
    return x / (eps + m**alpha)


def _eps_on_both(x: Tensor, m: Tensor, eps: float, alpha: Tensor) -> Tensor:
    return (eps + x) / (eps + m) ** alpha


def _eps_of_the_paper(x: Tensor, m: Tensor, eps: float, alpha: Tensor) -> Tensor:
    return x / (1e-6 + m) ** alpha


def _eps_in_float32(x: Tensor, m: Tensor, eps: float, alpha: Tensor) -> Tensor:
    return x / (torch.tensor([eps], dtype=torch.float32) + m) ** alpha


def _rooted(v: Tensor, delta: Tensor, r: Tensor) -> Tensor:
    return (v + delta) ** r - delta**r


def _not_subtracted(v: Tensor, delta: Tensor, r: Tensor) -> Tensor:
    return (v + delta) ** r


def _delta_subtracted(v: Tensor, delta: Tensor, r: Tensor) -> Tensor:
    return (v + delta) ** r - delta


def _normalised(
    alpha: Limit = _at_most_one, delta: Limit = _same, root: Limit = _at_least_one, start: Limit = _same,
    gain: Callable[[Tensor, Tensor, float, Tensor], Tensor] = _divided,
    compress: Callable[[Tensor, Tensor, Tensor], Tensor] = _rooted,
) -> Callable[[PCENLayer, Tensor], Tensor]:  # fmt: skip
    """``PCENLayer.forward`` with another limit, start of the smoother, gain or root."""

    def forward(self: PCENLayer, inputs: Tensor) -> Tensor:
        a, d, r = alpha(self.alpha), delta(self.delta), 1.0 / root(self.root)
        smoothed = self.ema(inputs, initial_state=start(inputs[..., 0]))
        normalised = gain(inputs, smoothed, self._floor, a.unsqueeze(-1))
        return compress(normalised, d.unsqueeze(-1), r.unsqueeze(-1))

    return forward


def _fault(
    name: str, kind: str, tap: str, gate: str, statement: str, *where: tuple[Any, str, Any], property: str = "forward"
) -> Fault:
    return Fault(f"og_leaf/{name}", kind, "og_leaf", tap, gate, statement, replaced(*where), property)


_EMA = (ExponentialMovingAverage, "forward")
_PCEN = (PCENLayer, "forward")

FAULTS: tuple[Fault, ...] = (
    _fault("smoother-from-zero", "zero start of the smoother", "ema", "direct",
           "the smoother starts from 0 in place of the first frame",
           (*_EMA, _smoothed(start=torch.zeros_like))),
    _fault("recurrence-from-zero", "ignored initial state", "ema", "direct",
           "the fixed recurrence does not use the initial state that it is given, as torch.nn.RNN called without one",
           (SimpleRNN, "forward", _rnn_from_zero)),
    _fault("initial-state-detached", "ignored initial state", "input", "direct",
           "the first frame, as the smoother's start, is cut off the graph",
           (*_PCEN, _normalised(start=torch.Tensor.detach)), property="input gradient"),
    _fault("smoother-lagged", "lagged smoother", "ema", "direct",
           "a frame is divided by the smoother of the frame before",
           (*_EMA, _lagged)),
    _fault("smoother-exchanged", "s and 1-s exchanged", "ema", "direct",
           "(1 - s) x + s m: the coefficient of librosa and of many others",
           (*_EMA, _smoothed(step=_exchanged))),
    _fault("smooth-unclipped", "s unclipped", "ema", "direct",
           "s is used as it is, also below 0 and above 1",
           (*_EMA, _smoothed(limit=_same))),
    _fault("smooth-clipped-in-data", "clamp through .data", "PCEN/EMA/smooth", "direct",
           "s is clipped through .data: a gradient where the original has none",
           (*_EMA, _smoothed(limit=_clipped_in_data)), property="parameter gradient"),
    _fault("smooth-tie-halved", "tie gradients", "PCEN/EMA/smooth", "direct",
           "s is limited by minimum and maximum against tensors: half the gradient at 0 and at 1",
           (*_EMA, _smoothed(limit=_clipped_by_minimum)), property="parameter gradient"),
    _fault("eps-outside-the-power", "eps in another place", "pcen", "direct",
           "x / (eps + M^alpha)",
           (*_PCEN, _normalised(gain=_eps_outside))),
    _fault("eps-on-the-energy-too", "eps in another place", "pcen", "direct",
           "(eps + x) / (eps + M)^alpha",
           (*_PCEN, _normalised(gain=_eps_on_both))),
    _fault("eps-1e-6", "eps of another value", "pcen", "direct",
           "1e-6, the paper's and librosa's eps, whatever the floor that was asked for",
           (*_PCEN, _normalised(gain=_eps_of_the_paper))),
    _fault("eps-stays-float32", "tensor that is no buffer", "pcen", "direct",
           "eps is a float32 tensor that the module's dtype does not reach: 2^-25 off in float64",
           (*_PCEN, _normalised(gain=_eps_in_float32))),
    _fault("alpha-at-least-one", "min for max", "pcen", "direct",
           "alpha is limited from below where it is limited from above",
           (*_PCEN, _normalised(alpha=_at_least_one))),
    _fault("root-at-most-one", "min for max", "pcen", "direct",
           "the root is limited from above where it is limited from below",
           (*_PCEN, _normalised(root=_at_most_one))),
    _fault("alpha-unclamped", "clamp dropped", "pcen", "direct",
           "alpha is used as it is, also above 1",
           (*_PCEN, _normalised(alpha=_same))),
    _fault("root-clamped-at-half", "clamp widened by 2", "pcen", "direct",
           "the root is at least 0.5 in place of 1",
           (*_PCEN, _normalised(root=lambda root: root.clamp(min=0.5)))),
    _fault("root-as-exponent", "r for 1/r", "pcen", "direct",
           "the root is used as the exponent",
           (*_PCEN, _normalised(root=lambda root: 1.0 / _at_least_one(root)))),
    _fault("subtraction-dropped", "subtraction dropped", "pcen", "direct",
           "delta^r is not subtracted: silence comes out as delta^r",
           (*_PCEN, _normalised(compress=_not_subtracted))),
    _fault("delta-subtracted", "subtraction dropped", "pcen", "direct",
           "delta is subtracted in place of delta^r",
           (*_PCEN, _normalised(compress=_delta_subtracted))),
    _fault("delta-clamped-at-0", "delta clamped", "pcen", "status",
           "delta is at least 0: numbers where the original takes a power of a negative number, which is NaN",
           (*_PCEN, _normalised(delta=lambda delta: delta.clamp(min=0.0)))),
    _fault("delta-clamped-at-1", "delta clamped", "pcen", "direct",
           "delta is at least 1, limited like the root",
           (*_PCEN, _normalised(delta=_at_least_one))),
    _fault("alpha-clamped-in-data", "clamp through .data", "PCEN/alpha", "direct",
           "alpha is limited through .data: a gradient where the original has none",
           (*_PCEN, _normalised(alpha=_limited_in_data)), property="parameter gradient"),
    _fault("alpha-tie-halved", "tie gradients", "PCEN/alpha", "direct",
           "alpha is limited by torch.minimum against ones, as the published port does: half the gradient at 1",
           (*_PCEN, _normalised(alpha=_limited_by_minimum)), property="parameter gradient"),
    _fault("root-tie-zeroed", "tie gradients", "PCEN/root", "direct",
           "the root is 1 + relu(root - 1): no gradient at 1",
           (*_PCEN, _normalised(root=_limited_by_relu)), property="parameter gradient"),
)  # fmt: skip
