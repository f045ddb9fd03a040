"""Faults of ``leaf``'s PCEN: floor, smoother, gain, root, limits, and what a module must not keep or change."""

from __future__ import annotations

from functools import cache

from parity.mutation.planting import Edit, Fault, Patch, replacing

STEP, FLOORED = "leaf.pcen:PCEN.step", "x.clamp(min=self.clamp)"
GAIN, ROOT = "_Gain.apply(x, self.eps + m, alpha)", "_Root.apply(v, delta, r)"
SMOOTH, START = "leaf.pcen:PCEN.smooth", "x[..., 0] if initial is None else initial"
SMOOTHED = f"exponential_moving_average(x, s, {START})"
LINEAR = "leaf.pcen:PCEN.parameters_linear"
ALPHA, DELTA, INVERSE = "self.alpha.clamp(max=1.0)", "self.delta.clamp(min=0.0)", "self.r.clamp(min=1.0)"
INIT, EPS = "leaf.pcen:PCEN.__init__", 'real("eps", eps, at_least=0)'

FAULTS: tuple[Fault, ...] = (
    Fault("leaf/floor-added", "floor as addition", "pcen", "direct", "the floor is added to the energies",
          Edit(STEP, FLOORED, "x + self.clamp")),
    Fault("leaf/floor-of-1e-6", "floor of another value", "floor", "direct", "energies are kept above 1e-6, not 1e-5",
          Edit(INIT, 'real("clamp", clamp)', "1e-6")),
    Fault("leaf/smoother-not-floored", "floor at another place", "pcen", "direct",
          "the energies are floored behind the smoother, which sees them as they are",
          (Edit(STEP, FLOORED, "x"),
           Edit(STEP, "x", "(it if self.clamp is None else it.clamp(min=self.clamp))", inside=GAIN))),
    Fault("leaf/start-from-zero", "zero start of the smoother", "ema", "direct",
          "M[-1] is 0: the first frame counts s times", Edit(SMOOTH, START, "torch.zeros_like(x[..., 0])")),
    Fault("leaf/start-from-one", "ignored initial state", "ema", "direct",
          "M[-1] is 1, as a recursive filter that is started in its steady state for an input of 1",
          Edit(SMOOTH, START, "torch.ones_like(x[..., 0])")),
    Fault("leaf/smoother-lags", "lagged smoother", "ema", "direct",
          "the gain of a frame is made of the frames before it",
          Edit(SMOOTH, SMOOTHED, "it[..., [0, *range(x.shape[-1] - 1)]]")),
    Fault("leaf/s-for-1-minus-s", "s and 1-s exchanged", "ema", "direct", "M keeps s of itself and takes 1 - s of x",
          Edit(SMOOTH, "self.parameters_linear()[0]", "(1 - it)")),
    Fault("leaf/eps-outside-the-power", "eps in another place", "pcen", "direct", "x / (eps + M^alpha)",
          Edit(STEP, GAIN, "x / (self.eps + m**alpha)")),
    Fault("leaf/eps-of-1e-6", "eps of another value", "pcen", "status",
          "the eps of the PCEN paper, whatever is configured",
          Edit(INIT, EPS, "1e-6")),
    Fault("leaf/eps-in-float32", "tensor that is no buffer", "pcen", "status",
          "eps is a float32 tensor that is no buffer: a float64 module adds one rounded to float32, as published",
          Edit(INIT, EPS, "torch.tensor(it)")),
    Fault("leaf/root-at-most-1", "min for max", "pcen", "direct", "the root's inverse is limited to 1 from above",
          Edit(LINEAR, INVERSE, "self.r.clamp(max=1.0)")),
    Fault("leaf/alpha-not-limited", "clamp dropped", "pcen", "direct", "alpha is used above 1",
          Edit(LINEAR, ALPHA, "self.alpha")),
    Fault("leaf/r-for-its-inverse", "r for 1/r", "pcen", "direct", "the exponent is r where 1 / r is meant",
          Edit(LINEAR, f"1 / {INVERSE}", INVERSE)),
    Fault("leaf/delta-not-subtracted", "subtraction dropped", "pcen", "direct", "(v + delta)^r without - delta^r",
          Edit(STEP, ROOT, "(v + delta) ** r")),
    Fault("leaf/alpha-by-minimum", "tie gradients", "PCEN/alpha", "direct",
          "alpha = min(alpha, 1) by torch.minimum, which gives half of the gradient at a tie",
          Edit(LINEAR, ALPHA, "torch.minimum(self.alpha, torch.ones_like(self.alpha))"), property="parameter gradient"),
    Fault("leaf/delta-at-least-0.1", "delta clamped", "pcen", "direct",
          "delta is kept from 0, where its gradient is infinite", Edit(LINEAR, DELTA, "self.delta.clamp(min=0.1)")),
    Fault("leaf/root-that-cancels", "reduced precision", "pcen", "direct",
          "(v + delta)^r - delta^r as it stands, which loses all digits of a small v",
          Edit(STEP, ROOT, "(v + delta) ** r - delta**r")),
    Fault("leaf/floored-in-place", "input changed in place", "pool", "direct",
          "PCEN floors the energies that it is given",
          Edit(STEP, FLOORED, "x.clamp_(min=self.clamp)")),
    Fault("leaf/smoother-goes-on", "state leaking between calls", "pcen", "direct",
          "the smoother of a call starts from the last frame of the call before",
          Edit(SMOOTH, SMOOTHED,
               "(m := exponential_moving_average(x, s, vars(self).get(str(x.shape[:-1]), x[..., 0])), "
               "vars(self).update({str(x.shape[:-1]): m[..., -1].detach()}))[0]")),
    Fault("leaf/default-pcen-shared", "shared default module", "output", "status",
          "the default PCEN is built once for all frontends of a width, as the original's",
          Patch(replacing("leaf.frontend:leaf_pcen", cache), "what is shared needs a place to be kept"),
          property="status"),
)  # fmt: skip
