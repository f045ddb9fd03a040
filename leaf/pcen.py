"""Per-channel energy normalisation: a gain control by each band's own smoothed energy, then a root."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from leaf._runtime.checks import LARGEST, count, dense, flag, one_of, real
from leaf._runtime.onnx_ops import expm1, log1p
from leaf._runtime.scan import exponential_moving_average

FORMS = ("accurate", "published")
LOG_2 = math.log(2)
# upper limits of initial values where logarithms are learned, which are not clamped later. Above them the smoother
# diverges (s), or float32 overflows: the gain at eps = 1e-12 (alpha), the root of energies over 1000 (r)
MOST = {"s": 2.0, "alpha": 3.0, "r": 10.0}


class PCEN(nn.Module):
    """``(x / (eps + M)**alpha + delta)**r - delta**r`` with ``M[t] = M[t-1] + s (x[t] - M[t-1])``.

    M starts from the first frame. Parameters ``s``, ``alpha``, ``delta``, ``r``, each [num_bands]: with
    ``learn_logs`` the logarithms; without, ``r`` holds the inverse of the root, and alpha <= 1, delta >= 0
    and root <= 1 are enforced where they are used. ``s`` is not clamped: beyond [0, 1] the smoother may
    swing. So the logarithms hold any s, alpha, delta, r > 0, and the linear parameters any s, alpha <= 1,
    delta >= 0, r in (0, 1]; with s, alpha, r in (0, 1] and delta > 0 either holds the same function.

    Args:
        num_bands: number of bands, >= 1; 1 serves any number of bands with shared parameters.
        s, alpha, delta, r: initial values, finite; r > 0; with ``learn_logs`` all > 0, s <= 2, alpha <= 3, r <= 10.
        eps: >= 0, added to the smoother, in the dtype of the computation.
        learn_logs: learn logarithms (PCEN paper) or the values and 1 / r (LEAF paper).
        clamp: lower limit of the input; None for none.
        form: how gain and root are computed. "accurate": the gain by power and the root without cancellation,
            which err least against float64, forward and backward (``leaf-ladder formulations``). "published": the
            gain by ``exp(-alpha (log eps + log1p(M / eps)))``, eps > 0, and the root by subtraction.

    Raises TypeError or ValueError for arguments outside these ranges.
    Source: EfficientLEAF's ``model/leaf.py``; ``leaf_audio/postprocessing.py``; PCEN, arXiv 1607.05666.
    """

    def __init__(
        self,
        num_bands: int,
        s: float = 0.025,
        alpha: float = 1.0,
        delta: float = 1.0,
        r: float = 1.0,
        eps: float = 1e-6,
        learn_logs: bool = True,
        clamp: float | None = None,
        *,
        form: str = "accurate",
    ) -> None:
        super().__init__()
        self.num_bands = count("num_bands", num_bands)
        self.learn_logs = flag("learn_logs", learn_logs)
        above = 0.0 if learn_logs else None
        most = MOST if learn_logs else {}
        s, alpha, delta = (
            real(n, v, above=above, at_most=most.get(n, LARGEST))
            for n, v in (("s", s), ("alpha", alpha), ("delta", delta))
        )
        r = max(real("r", r, above=0, at_most=most.get("r", LARGEST)), 1 / LARGEST)  # its inverse is held
        if learn_logs:
            s, alpha, delta, r = (math.log(value) for value in (s, alpha, delta, r))
        else:
            r = 1 / r
        self.s, self.alpha, self.delta, self.r = (
            nn.Parameter(torch.full((self.num_bands,), value)) for value in (s, alpha, delta, r)
        )
        # A float, not a float32 tensor as published: `.double()` then adds the eps that was asked for.
        self.eps = real("eps", eps, at_least=0)
        self.clamp = None if clamp is None else real("clamp", clamp)
        self.form = one_of("form", form, FORMS)
        if form == "published" and self.eps == 0:
            raise ValueError("eps=0: must be above 0 for form='published', which takes its logarithm")

    def parameters_linear(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """(s, alpha, delta, r) as they act: [num_bands] each, out of the logarithm or clamped, r the root."""
        if self.learn_logs:
            return self.s.exp(), self.alpha.exp(), self.delta.exp(), self.r.exp()
        return self.s, self.alpha.clamp(max=1.0), self.delta.clamp(min=0.0), 1 / self.r.clamp(min=1.0)

    def smooth(self, x: Tensor, initial: Tensor | None = None) -> Tensor:
        """The smoother M [..., num_bands, T] of energies x (same shape), from M[-1] = ``initial`` or else x[0]."""
        s = self.parameters_linear()[0].to(x.dtype)
        return exponential_moving_average(x, s, x[..., 0] if initial is None else initial)

    def forward(self, x: Tensor) -> Tensor:
        """Energies [..., num_bands, T] to the same shape.

        Raises TypeError for integer or complex input and ValueError for another number of bands or no
        frames. Values are not looked at.
        """
        return self.step(x)[0]

    def step(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """:meth:`forward` of energies that follow on others: what came before is in the state.

        Args:
            x: energies [..., num_bands, T].
            state: the smoother after the frame before, [..., num_bands]; None if there is none.

        Returns the compressed energies, and the state after the last of them.
        Raises as :meth:`forward`, and ValueError for a state of another shape.
        """
        self._check(x)
        if state is not None and state.shape != x.shape[:-1]:
            raise ValueError(f"state of shape {tuple(state.shape)}: must be {tuple(x.shape[:-1])}")
        x = x.to(torch.promote_types(x.dtype, self.s.dtype))  # autocast hands over half-precision energies
        if self.clamp is not None:
            x = x.clamp(min=self.clamp)
        _, alpha, delta, r = (p.unsqueeze(-1) for p in self.parameters_linear())
        # in half precision a state of its own would lose what a small s adds
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        m = self.smooth(wide) if state is None else self.smooth(wide, state)
        state, m = m[..., -1], m.to(x.dtype)
        if self.form == "published":
            gained = x * torch.exp(-alpha * (math.log(self.eps) + log1p(m / self.eps)))
            return (gained + delta) ** r - delta**r, state
        v: Tensor = _Gain.apply(x, self.eps + m, alpha)  # type: ignore[no-untyped-call]
        y: Tensor = _Root.apply(v, delta, r)  # type: ignore[no-untyped-call]
        return y, state

    def extra_repr(self) -> str:
        return (
            f"{self.num_bands}, eps={self.eps:g}, learn_logs={self.learn_logs}, clamp={self.clamp}, form={self.form!r}"
        )

    def _check(self, x: Tensor) -> None:
        dense(x)
        if not x.is_floating_point():
            raise TypeError(f"x of dtype {x.dtype}: must be floating-point energies")
        if x.ndim < 2 or self.num_bands not in (1, x.shape[-2]):
            raise ValueError(f"x of shape {tuple(x.shape)}: must be [..., {self.num_bands} bands, frames]")
        if x.shape[-1] == 0:
            raise ValueError(f"x of shape {tuple(x.shape)}: must have at least one frame")


class _Gain(torch.autograd.Function):
    """``x / base**alpha``.

    By power: logarithms lose up to 31 units in the last place. And the gradient to base is ``-alpha y / base``: that of
    a power has the exponent less 1, rounded, and what is left where gain and smoother cancel is such roundings.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, base: Tensor, alpha: Tensor) -> Tensor:
        return x / base**alpha

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, d: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x, base, alpha = ctx.saved_tensors
        power = base**alpha
        d_y = d * (x / power)
        return d / power, -alpha * (d_y / base), -(d_y * torch.log(base)).sum_to_size(alpha.shape)


class _Root(torch.autograd.Function):
    """``(v + delta)**r - delta**r`` and its gradients, by whichever form does not cancel.

    With ``L = log1p(v / delta)`` the value is ``delta**r expm1(r L)``, which holds where a subtraction loses all digits
    of a small v, but where v >> delta is off by ``r L`` roundings, up to 70. There, from ``(v + delta)**r`` twice
    ``delta**r`` on, the subtraction costs two bits at most. At delta = 0 the value is ``v**r``, and the
    gradients that are infinite there for r < 1, to delta, and to v at v = 0, are 0 by convention.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(v: Tensor, delta: Tensor, r: Tensor) -> Tensor:
        _, exponent, rest, power = _parts(v, delta, r)
        return torch.where(exponent < LOG_2, rest * expm1(exponent), power - rest)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, d: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        v, delta, r = ctx.saved_tensors
        log_ratio, exponent, rest, power = _parts(v, delta, r)
        positive, w = delta != 0, v + delta
        divisor = torch.where(positive, delta, 1.0)
        # powers of r divided, not powers of r - 1, which is rounded
        d_v = r * torch.where(w != 0, power / torch.where(w != 0, w, 1.0), (r >= 1).to(w.dtype))
        d_delta = torch.where(positive, r * (rest / divisor) * expm1((r - 1) * log_ratio), 0.0)
        near = rest * expm1(exponent) * torch.log(divisor) + power * log_ratio
        far = torch.xlogy(power, w) - torch.xlogy(rest, divisor)
        d_r = torch.where(exponent < LOG_2, near, far)
        return d * d_v, (d * d_delta).sum_to_size(delta.shape), (d * d_r).sum_to_size(r.shape)


def _parts(v: Tensor, delta: Tensor, r: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """``L``, ``r L``, ``delta**r`` and ``(v + delta)**r``; at delta = 0, ``r L`` is 1: beyond log 2, and finite."""
    positive = delta != 0  # never negative here; NaN must show
    divisor, most = torch.where(positive, delta, 1.0), torch.finfo(v.dtype).max
    ratio = v / divisor
    # where the ratio overflows, at delta under 1e-20; and of a finite v, as r - 1 may be 0
    apart = torch.log(v.clamp(max=most)) - torch.log(divisor)
    log_ratio = torch.where(ratio > most, apart, log1p(ratio))
    return log_ratio, torch.where(positive, r * log_ratio, 1.0), delta**r, (v + delta) ** r


def leaf_pcen(n_filters: int) -> PCEN:
    """The PCEN that LEAF starts from (``leaf_audio/frontend.py``): linear parameters, root 1/2, floor."""
    return PCEN(n_filters, s=0.04, alpha=0.96, delta=2.0, r=0.5, eps=1e-12, learn_logs=False, clamp=1e-5)
