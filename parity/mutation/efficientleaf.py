"""Every fault and reformulation that is planted into ``efficientleaf`` with the published settings."""

from __future__ import annotations

from parity.mutation.leaf import PAIR_OF, PARTS, SQUARES
from parity.mutation.planting import Benign, Edit, Fault

BANK = "efficientleaf.filterbank:GroupedGaborFilterbank"
INIT, FORWARD, PLAN = f"{BANK}.__init__", f"{BANK}.forward", f"{BANK}._plan"
STRIDE, RATIO = f"{BANK}.get_stride", f"{BANK}.relative_width"
STRIDE_FOUND = "bisect_right(self.psbl_strides, stride) - 1"
RATIO_OF_SIZES = "self.pool_size / group.conv_stride / group.window_size"
LOWER_SIGMA, PER_SAMPLE = '4 if "sigma" in self.exact else 2', "self.pool_size * SIGMA_PER_SAMPLE"
CONVOLVE = f"{BANK}.convolve"
MADE, KEPT = (
    "strided(heard, self.filters(group), group.conv_stride)",
    ("strided(heard, shapes.kernels, group.conv_stride, shapes.cut)"),
)
LOGARITHM, EXPONENT = "efficientleaf.compression:Log1p.forward", "self.a.unsqueeze(-1) if self.per_band else self.a"
COMPRESSION, MEDIAN = "efficientleaf.compression:LogTBN.forward", "lower_median(x)"
NORM, NORM_INIT = (f"efficientleaf.compression:TemporalBatchNorm.{name}" for name in ("forward", "__init__"))
NORMALISED, BATCH_NORM = "self.bn(flat)", 'nn.BatchNorm1d(n_features, affine=flag("affine", affine))'


def _convolved(helper: str) -> tuple[Edit, Edit]:
    """Both calls of the strided convolution, of kernels at hand and of kernels made."""
    return (Edit(CONVOLVE, MADE, f"{helper}(heard.audio, self.filters(group), group.conv_stride)"),
            Edit(CONVOLVE, KEPT, f"{helper}(heard.audio, shapes.kernels, group.conv_stride)"))  # fmt: skip


FAULTS: tuple[Fault, ...] = (
    Fault("efficientleaf/stride-from-the-left", "stride search side", "filters", "status",
          "a divisor that is exactly the wanted stride is passed over for the one below",
          Edit(STRIDE, STRIDE_FOUND, "max(sum(s < stride for s in self.psbl_strides) - 1, 0)"), property="status"),
    Fault("efficientleaf/nearest-stride", "stride search side", "filters", "status",
          "the divisor nearest to the wanted stride, which may be above it",
          Edit(STRIDE, STRIDE_FOUND, "min(range(len(self.psbl_strides)), key=lambda i: "
                                     "abs(self.psbl_strides[i] - stride))"), property="status"),
    Fault("efficientleaf/even-kernels", "even kernel kept", "filters", "status",
          "a kernel of an even number of taps is kept",
          Edit(PLAN, '(self.pool_size if "kernel" in self.exact else int(max(lengths[start:stop]))) | 1',
               "int(max(lengths[start:stop]))"), property="status"),
    Fault("efficientleaf/plan-of-the-first-call", "state leaking between calls", "filters", "status",
          "the plan is made once and does not follow the parameters",
          Edit(f"{BANK}.groups", "list(self.current_plan())", 'vars(self).setdefault("first_plan", it)'),
          property="status"),
    Fault("efficientleaf/gain-of-the-stride", "missing gain", "pool", "direct",
          "energies are multiplied by the stride: right for LEAF's sake, and not what is published",
          Edit(f"{BANK}.pool", "e", "(it * group.conv_stride)")),
    Fault("efficientleaf/ratio-of-half-widths", "K/2 for (K-1)/2", "windows", "direct",
          "widths are scaled by (K-1)/(W-1), as is meant, where K/W is published",
          Edit(RATIO, RATIO_OF_SIZES, "(self.pool_size - 1) / group.conv_stride / max(group.window_size - 1, 1)")),
    Fault("efficientleaf/widths-not-rescaled", "window clip constants", "windows", "direct",
          "widths of a window at the group's rate are not scaled to its rounded length",
          Edit(RATIO, RATIO_OF_SIZES, "1.0")),
    Fault("efficientleaf/lower-sigma-of-leaf", "clamp of a wrong constant", "filters", "direct",
          "sigma's lower limit is LEAF's, twice the published one", Edit(INIT, LOWER_SIGMA, "4")),
    Fault("efficientleaf/widths-up-to-1", "clamp widened by 2", "pool", "direct",
          "pooling widths are limited to 1, not to 0.5", Edit(INIT, "0.5", "1.0")),
    Fault("efficientleaf/projection-in-evaluation", "clamp through .data", "kernel", "direct",
          "the parameters are projected in evaluation as well, as published: gradients outside do not vanish",
          Edit(FORWARD, "self.training", "True"), property="parameter gradient"),
    Fault("efficientleaf/no-projection", "clamp not after the step", "kernel", "status",
          "training does not project: a parameter that has left its limits stays there",
          Edit(FORWARD, "self.training", "False"), property="training step"),
    Fault("efficientleaf/limits-in-float32", "tensor that is no buffer", "filters", "direct",
          "the limits are float32 tensors that are no buffers: a float64 module clamps at rounded ones, as published",
          tuple(Edit(INIT, limit, "float(torch.tensor(it))") for limit in (
              "math.pi", PER_SAMPLE, f"min(({LOWER_SIGMA}) * SIGMA_PER_SAMPLE, self.sigma_upper)",
              "min(2 / self.pool_size, self.width_upper)"))),
    Fault("efficientleaf/conjugate", "conjugate", "filters", "direct",
          "exp(-i mu t) for exp(i mu t); energies are the same", Edit(PAIR_OF, "torch.sin(phase)", "-it")),
    Fault("efficientleaf/kernels-in-bfloat16", "reduced precision", "filters", "direct",
          "kernels keep eight bits of mantissa",
          Edit(PAIR_OF, PARTS, "[part + (part.bfloat16() - part).detach() for part in it]")),
    Fault("efficientleaf/blocks-squared-in-pairs", "blocks fed to the pairwise modulus", "modulus", "direct",
          "the modulus adds neighbouring channels, while the real and imaginary parts are in two blocks",
          Edit(SQUARES, "torch.pow(y, 2).chunk(2, dim=1)", "torch.pow(y, 2).unflatten(1, (-1, 2)).unbind(2)")),
    Fault("efficientleaf/convolution-padded-same", "centred padding", "conv", "direct",
          "a strided convolution is padded as TensorFlow's SAME, where the kernel is centred on the first sample",
          _convolved("padded_same")),
    Fault("efficientleaf/power-of-e", "base of the exponent", "log1p", "soundness",
          "log(1 + e^a x) for log(1 + 10^a x)",
          (Edit(LOGARITHM, "10", "math.e", inside=f"10 ** ({EXPONENT})"),
           Edit(LOGARITHM, "10", "math.e", inside="10**self.a"))),
    Fault("efficientleaf/energies-scaled-in-place", "input changed in place", "log1p", "status",
          "where no gradient is asked for, Log1p multiplies the energies that it is given",
          Edit(LOGARITHM, f"10 ** ({EXPONENT}) * x", f"it if x.requires_grad else x.mul_(10 ** ({EXPONENT}))"),
          property="status"),
    Fault("efficientleaf/mean-of-the-two-medians", "another median", "median", "soundness",
          "an even number of frames has the mean of the two middle ones for its median, not the lower one",
          Edit(COMPRESSION, MEDIAN, "x.sort(dim=-1).values[..., [(x.shape[-1] - 1) // 2, x.shape[-1] // 2]]"
                                    ".mean(dim=-1, keepdim=True)")),
    Fault("efficientleaf/filtered-first", "channel permutation", "median", "soundness",
          "the filtered logarithm before the plain one",
          (Edit(COMPRESSION, "(x, filtered)", "(filtered, x)", inside="torch.stack((x, filtered), 1)"),
           Edit(COMPRESSION, "(x, filtered)", "(filtered, x)", inside="torch.cat((x, filtered), 1)"))),
    Fault("efficientleaf/statistics-of-a-clip", "norm axis", "batchnorm", "soundness",
          "statistics over time alone, a clip at a time",
          Edit(NORM, NORMALISED, "batch_norm(self.bn, flat, axes=(2,))")),
    Fault("efficientleaf/unbiased-variance", "unbiased variance", "batchnorm", "soundness",
          "the norm divides by the unbiased deviation",
          Edit(NORM, NORMALISED, "batch_norm(self.bn, flat, correction=1)")),
    Fault("efficientleaf/eps-of-keras", "eps of the norm", "batchnorm", "soundness",
          "the norm's eps is 1e-3, Keras' default",
          Edit(NORM_INIT, BATCH_NORM, "nn.BatchNorm1d(n_features, eps=1e-3, affine=affine)")),
    Fault("efficientleaf/momentum-of-keras", "momentum of the norm", "batchnorm", "soundness",
          "running statistics keep 0.99 of themselves, Keras' default, not 0.9",
          Edit(NORM_INIT, BATCH_NORM, "nn.BatchNorm1d(n_features, momentum=0.01, affine=affine)"),
          property="training step"),
    Fault("efficientleaf/statistics-of-evaluation", "state leaking between calls", "output", "status",
          "evaluation goes on moving the running mean",
          Edit(NORM, NORMALISED,
               '(it, self.training or setattr(self.bn, "running_mean", torch.lerp(self.bn.running_mean, '
               "flat.detach().mean((0, 2)), self.bn.momentum)))[0]"), property="status"),
)  # fmt: skip

BENIGN: tuple[Benign, ...] = (
    Benign("efficientleaf/convolution-decimated",
           "the convolution at full rate, of which every stride-th sample is kept",
           "what a strided convolution is", _convolved("decimated")),
    Benign("efficientleaf/groups-in-reverse", "the groups from the last to the first, put in order",
           "a permutation and its inverse",
           (Edit(FORWARD, "zip(groups, self._shapes(groups), strict=True)", "reversed([*it])"),
            Edit(FORWARD, "torch.cat", "(lambda pools, dim: torch.cat(pools[::-1], dim))"))),
    Benign("efficientleaf/power-by-exponential", "exp(a log 10) for 10^a", "the definition of a power",
           (Edit(LOGARITHM, f"10 ** ({EXPONENT})", f"torch.exp(({EXPONENT}) * math.log(10))"),
            Edit(LOGARITHM, "10**self.a", "math.exp(self.a * math.log(10))"))),
    Benign("efficientleaf/median-by-sorting", "the lower median out of the sorted frames", "what the lower median is",
           Edit(COMPRESSION, MEDIAN, "x.sort(dim=-1).values[..., (x.shape[-1] - 1) // 2, None]")),
    Benign("efficientleaf/norm-written-out", "mean, variance and quotient as operations of their own",
           "the formula of batch normalisation",
           Edit(NORM, NORMALISED, "batch_norm(self.bn, flat)")),
)  # fmt: skip
