"""Faults of rung 2's PCEN: floor, smoother, gain, root, limits, and what a module must not keep or change."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor

from leaf import frontend, pcen
from leaf.pcen import PCEN, leaf_pcen
from parity.mutation.planting import Fault, Plant, replaced

Linear = tuple[Tensor, Tensor, Tensor, Tensor]
_init, _linear, _forward, _smooth = PCEN.__init__, PCEN.parameters_linear, PCEN.forward, PCEN.smooth
OTHER_EPS, OTHER_FLOOR = 1e-6, 1e-6


def floored(self: PCEN, x: Tensor) -> Tensor:
    """The published floor."""
    return x if self.clamp is None else x.clamp(min=self.clamp)


def gained(self: PCEN, x: Tensor, alpha: Tensor) -> Tensor:
    """The energies behind the gain control, as published."""
    scaled: Tensor = x * (self.eps + self.smooth(x)) ** -alpha
    return scaled


def rooted(v: Tensor, delta: Tensor, r: Tensor) -> Tensor:
    """The root of the rung."""
    y: Tensor = pcen._Root.apply(v, delta, r)  # type: ignore[no-untyped-call]
    return y


def compressing(
    floor: Callable[[PCEN, Tensor], Tensor] = floored,
    gain: Callable[[PCEN, Tensor, Tensor], Tensor] = gained,
    root: Callable[[Tensor, Tensor, Tensor], Tensor] = rooted,
) -> Plant:
    """PCEN's forward pass with a stage replaced."""

    def forward(self: PCEN, x: Tensor) -> Tensor:
        self._check(x)
        _, alpha, delta, r = (p.unsqueeze(-1) for p in self.parameters_linear())
        return root(gain(self, floor(self, x.to(torch.promote_types(x.dtype, self.s.dtype))), alpha), delta, r)

    return replaced((PCEN, "forward", forward))


def smoothing(
    first: Callable[[Tensor, Tensor], Tensor], step: Callable[[Tensor, Tensor, Tensor], Tensor] = torch.lerp
) -> Plant:
    """The smoother from another first state, from (x[0], s), or by another step, from (M, x, s)."""

    def smooth(self: PCEN, x: Tensor, initial: Tensor | None = None) -> Tensor:
        s = self.parameters_linear()[0].to(x.dtype)
        frames = [first(x[..., 0], s)]
        for frame in x.unbind(-1)[1:]:
            frames.append(step(frames[-1], frame, s))
        return torch.stack(frames, -1)

    return replaced((PCEN, "smooth", smooth))


def _limited(change: Callable[[PCEN, Linear], Linear]) -> Plant:
    """Other limits of the linear parameters; from those that are right."""

    def parameters_linear(self: PCEN) -> Linear:
        return change(self, _linear(self))

    return replaced((PCEN, "parameters_linear", parameters_linear))


def _built(change: Callable[[PCEN], None]) -> Plant:
    """Something set by the constructor."""

    def init(self: PCEN, *args: Any, **kwargs: Any) -> None:
        _init(self, *args, **kwargs)
        change(self)

    return replaced((PCEN, "__init__", init))


def _lagged(self: PCEN, x: Tensor, initial: Tensor | None = None) -> Tensor:
    m = _smooth(self, x)
    return torch.cat([m[..., :1], m[..., :-1]], dim=-1)


def _floor_behind(self: PCEN, x: Tensor, alpha: Tensor) -> Tensor:
    return floored(self, x) * (self.eps + self.smooth(x)) ** -alpha


def _eps_outside(self: PCEN, x: Tensor, alpha: Tensor) -> Tensor:
    return x / (self.eps + self.smooth(x) ** alpha)


def _floored_in_place(self: PCEN, x: Tensor) -> Tensor:
    return x if self.clamp is None else x.clamp_(min=self.clamp)


def _continued(self: PCEN, x: Tensor, initial: Tensor | None = None) -> Tensor:
    """Goes on from where the call before has stopped."""
    s, last = self.parameters_linear()[0].to(x.dtype), getattr(self, "_last", None)
    frames = [x[..., 0] if last is None or last.shape != x.shape[:-1] else torch.lerp(last, x[..., 0], s)]
    for frame in x.unbind(-1)[1:]:
        frames.append(torch.lerp(frames[-1], frame, s))
    self._last = frames[-1].detach()
    return torch.stack(frames, -1)


def _shared_default() -> AbstractContextManager[None]:
    kept: list[PCEN] = []

    def default(n_filters: int) -> PCEN:
        if not kept:
            kept.append(leaf_pcen(n_filters))
        return kept[0]

    return replaced((frontend, "leaf_pcen", default))()


def _set_eps(self: PCEN) -> None:
    self.eps = OTHER_EPS


def _set_floor(self: PCEN) -> None:
    self.clamp = OTHER_FLOOR


def _eps_tensor(self: PCEN) -> None:
    self.eps = torch.tensor(self.eps)  # type: ignore[assignment]


def _fault(name: str, kind: str, tap: str, gate: str, statement: str, plant: Plant, **rest: Any) -> Fault:
    return Fault(f"leaf/{name}", kind, "leaf", tap, gate, statement, plant, **rest)


FAULTS: tuple[Fault, ...] = (
    _fault("floor-added", "floor as addition", "pcen", "direct", "the floor is added to the energies",
           compressing(floor=lambda self, x: x if self.clamp is None else x + self.clamp)),
    _fault("floor-of-1e-6", "floor of another value", "floor", "direct", "energies are kept above 1e-6, not 1e-5",
           _built(_set_floor)),
    _fault("smoother-not-floored", "floor at another place", "pcen", "direct",
           "the energies are floored behind the smoother, which sees them as they are",
           compressing(floor=lambda self, x: x, gain=_floor_behind)),
    _fault("start-from-zero", "zero start of the smoother", "ema", "direct",
           "M[-1] is 0: the first frame counts s times", smoothing(lambda x, s: s * x)),
    _fault("start-from-one", "ignored initial state", "ema", "direct",
           "M[-1] is 1, as a recursive filter that is started in its steady state for an input of 1",
           smoothing(lambda x, s: torch.lerp(torch.ones_like(x), x, s))),
    _fault("smoother-lags", "lagged smoother", "ema", "direct", "the gain of a frame is made of the frames before it",
           replaced((PCEN, "smooth", _lagged))),
    _fault("s-for-1-minus-s", "s and 1-s exchanged", "ema", "direct", "M keeps s of itself and takes 1 - s of x",
           smoothing(lambda x, s: x, lambda m, x, s: torch.lerp(x, m, s))),
    _fault("eps-outside-the-power", "eps in another place", "pcen", "direct", "x / (eps + M^alpha)",
           compressing(gain=_eps_outside)),
    _fault("eps-of-1e-6", "eps of another value", "pcen", "status", "the eps of the PCEN paper, whatever is configured",
           _built(_set_eps)),
    _fault("eps-in-float32", "tensor that is no buffer", "pcen", "status",
           "eps is a float32 tensor that is no buffer: a float64 module adds one rounded to float32, as published",
           _built(_eps_tensor)),
    _fault("root-at-most-1", "min for max", "pcen", "direct", "the root's inverse is limited to 1 from above",
           _limited(lambda self, p: (*p[:3], 1 / self.r.clamp(max=1.0)))),
    _fault("alpha-not-limited", "clamp dropped", "pcen", "direct", "alpha is used above 1",
           _limited(lambda self, p: (p[0], self.alpha, *p[2:]))),
    _fault("r-for-its-inverse", "r for 1/r", "pcen", "direct", "the exponent is r where 1 / r is meant",
           _limited(lambda self, p: (*p[:3], 1 / p[3]))),
    _fault("delta-not-subtracted", "subtraction dropped", "pcen", "direct", "(v + delta)^r without - delta^r",
           compressing(root=lambda v, delta, r: (v + delta) ** r)),
    _fault("alpha-by-minimum", "tie gradients", "PCEN/alpha", "direct",
           "alpha = min(alpha, 1) by torch.minimum, which gives half of the gradient at a tie",
           _limited(lambda self, p: (p[0], torch.minimum(self.alpha, torch.ones_like(self.alpha)), *p[2:])),
           property="parameter gradient"),
    _fault("delta-at-least-0.1", "delta clamped", "pcen", "direct",
           "delta is kept from 0, where its gradient is infinite",
           _limited(lambda self, p: (*p[:2], self.delta.clamp(min=0.1), p[3]))),
    _fault("root-that-cancels", "reduced precision", "pcen", "direct",
           "(v + delta)^r - delta^r as it stands, which loses all digits of a small v",
           compressing(root=lambda v, delta, r: (v + delta) ** r - delta**r)),
    _fault("floored-in-place", "input changed in place", "pool", "direct", "PCEN floors the energies that it is given",
           compressing(floor=_floored_in_place)),
    _fault("smoother-goes-on", "state leaking between calls", "pcen", "direct",
           "the smoother of a call starts from the last frame of the call before",
           replaced((PCEN, "smooth", _continued))),
    _fault("default-pcen-shared", "shared default module", "output", "status",
           "the default PCEN is built once for all frontends of the process, as the original's",
           _shared_default, property="status"),
)  # fmt: skip
