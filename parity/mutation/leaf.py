"""Every fault and reformulation that is planted into ``leaf``."""

from __future__ import annotations

from functools import cache

from parity.mutation.planting import Benign, Edit, Fault, Patch, replacing
from parity.mutation.replacements import BLOCK

MEL_START, MEL = "leaf.filters:mel_filter_params", "1127 * math.log1p(f / 700)"
EDGES = "torch.linspace(lowest, highest, n_filters + 2)"
BACK = f"700 * torch.expm1({EDGES} / 1127)"
FILTERS, WINDOWS = "leaf.filterbank:GaborFilterbank.filters", "leaf.filterbank:GaborFilterbank.windows"
MU, SIGMA = "self.center_freqs", "self.bandwidths"
MU_LIMITED = f"{MU}.clamp(min=0.0, max=math.pi)"
SIGMA_LIMITED = f"{SIGMA}.clamp(min=4 * SIGMA_PER_SAMPLE, max=self.filter_size * SIGMA_PER_SAMPLE)"
PAIR = "gabor_pair(self.filter_size, centers, sigmas)"
PAIR_OF, HEIGHT = "leaf.filters:gabor_pair", "1 / (math.sqrt(2 * math.pi) * sigmas).unsqueeze(1)"
PARTS = "flushed(height * torch.cos(phase) * gaussian), flushed(height * torch.sin(phase) * gaussian)"
TIMES = "torch.arange(-(size // 2), (size + 1) // 2, device=sigmas.device, dtype=sigmas.dtype)"
ENVELOPE = "torch.exp(torch.outer(1 / (2 * sigmas**2), -(t**2)))"
SQUARES = "leaf.filters:squared_modulus"
GAUSS, WINDOW = "leaf.filters:gauss_windows", "gauss_windows(self.pool_size, widths)"
POOL = "leaf.filterbank:GaborFilterbank.pool"
POOLED = "self._conv(e, self._windows(), stride=self.pool_stride, groups=self.n_filters)"
PADS, EVEN_PADS = "leaf.filterbank:GaborFilterbank._pads", "(total // 2, total - total // 2)"
STEP, FLOORED = "leaf.pcen:PCEN.step", "x.clamp(min=self.clamp)"
GAIN, ROOT = "_Gain.apply(x, self.eps + m, alpha)", "_Root.apply(v, delta, r)"
SMOOTH, START = "leaf.pcen:PCEN.smooth", "x[..., 0] if initial is None else initial"
SMOOTHED = f"exponential_moving_average(x, s, {START})"
LINEAR = "leaf.pcen:PCEN.parameters_linear"
ALPHA, DELTA, INVERSE = "self.alpha.clamp(max=1.0)", "self.delta.clamp(min=0.0)", "self.r.clamp(min=1.0)"
INIT, EPS = "leaf.pcen:PCEN.__init__", 'real("eps", eps, at_least=0)'
CONVOLVED = "conv1d(x, kernel, stride, pads, groups)"

FAULTS: tuple[Fault, ...] = (
    Fault("leaf/two-mel-scales", "mel log base", "init", "soundness",
          "the band edges go to mel by 2595 log10 and come back by 1127 ln, which differ by one part in 10^5",
          Edit(MEL_START, MEL, "2595 * math.log10(1 + f / 700)")),
    Fault("leaf/mel-break-at-1000-hz", "mel constants", "init", "soundness",
          "the mel scale that breaks at 1000 Hz (Fant) for the one that breaks at 700 Hz",
          (Edit(MEL_START, MEL, "math.log1p(f / 1000)"), Edit(MEL_START, BACK, f"1000 * torch.expm1({EDGES})"))),
    Fault("leaf/centres-linear-in-hz", "triangles linear in Hz", "init", "soundness",
          "centres and edges are spaced evenly in Hz", (Edit(MEL_START, MEL, "f"), Edit(MEL_START, BACK, EDGES))),
    Fault("leaf/rate-hard-coded", "hard-coded rate or band edges", "init", "soundness",
          "the initial values are those of 16 kHz whatever the rate, as the original's",
          Edit(MEL_START, "rate(sample_rate)", "16000.0")),
    Fault("leaf/centres-not-limited", "clamp dropped", "filters", "direct",
          "centres are used as they are, below 0 and above pi", Edit(FILTERS, MU_LIMITED, MU)),
    Fault("leaf/lower-sigma-of-efficientleaf", "clamp widened by 2", "filters", "direct",
          "sigma's lower limit is EfficientLEAF's, half of LEAF's", Edit(FILTERS, "4", "2")),
    Fault("leaf/upper-sigma-of-k-minus-1", "clamp of a wrong constant", "filters", "direct",
          "sigma's upper limit counts the intervals of the kernel, not its taps",
          Edit(FILTERS, "self.filter_size", "(it - 1)", inside=SIGMA_LIMITED)),
    Fault("leaf/limits-through-data", "clamp through .data", "kernel", "direct",
          "the forward pass limits the parameters themselves: values stay, gradients outside do not vanish",
          (Edit(FILTERS, MU_LIMITED, f"in_data({MU}, it)"),
           Edit(FILTERS, SIGMA_LIMITED, f"in_data({SIGMA}, it)")),
          property="parameter gradient"),
    Fault("leaf/peak-late-at-even-size", "time axis off by one at even size", "filters", "direct",
          "an even kernel has its extra tap behind the peak", Edit(PAIR_OF, TIMES, "it + (size + 1) % 2")),
    Fault("leaf/conjugate", "conjugate", "filters", "direct",
          "exp(-i mu t) for exp(i mu t); energies are the same, so that no stage behind conv can tell",
          Edit(PAIR_OF, "torch.sin(phase)", "-it")),
    Fault("leaf/imaginary-parts-first", "re/im order", "filters", "direct",
          "the block of imaginary parts before that of real ones; energies are the same",
          Edit(PAIR_OF, PARTS, "it[::-1]")),
    Fault("leaf/height-of-1", "missing normalisation", "filters", "direct",
          "the Gaussian has a peak of 1, not an area of 1", Edit(PAIR_OF, HEIGHT, "1.0")),
    Fault("leaf/sum-of-1", "missing normalisation", "filters", "direct",
          "the Gaussian is divided by the sum of its taps: its area of 1 is cut with the kernel",
          Edit(PAIR_OF, HEIGHT, "1 / gaussian.sum(dim=1, keepdim=True)")),
    Fault("leaf/kernels-in-float32", "reduced precision", "filters", "direct",
          "kernels are computed in float32 in a float64 module",
          Edit(FILTERS, f"torch.cat({PAIR})",
               "torch.cat(gabor_pair(self.filter_size, centers.float(), sigmas.float())).to(centers)")),
    Fault("leaf/kernels-in-tf32", "reduced precision", "filters", "direct",
          "kernels keep ten bits of mantissa, as tensor cores do",
          Edit(FILTERS, f"torch.cat({PAIR})", "tf32(it)")),
    Fault("leaf/blocks-squared-in-pairs", "blocks fed to the pairwise modulus", "modulus", "direct",
          "the modulus adds neighbouring channels, while the real and imaginary parts are in two blocks",
          Edit(SQUARES, "torch.pow(y, 2).chunk(2, dim=1)", "torch.pow(y, 2).unflatten(1, (-1, 2)).unbind(2)")),
    Fault("leaf/mean-of-squares", "mean for sum, abs for square", "modulus", "direct",
          "the average of the two squares, where the original takes twice the average",
          Edit(SQUARES, "real + imag", "(it) / 2")),
    Fault("leaf/half-width-of-k", "K/2 for (K-1)/2", "windows", "direct",
          "widths are relative to K/2 samples rather than (K-1)/2", Edit(GAUSS, "middle or 1.0", "size / 2")),
    Fault("leaf/width-down-to-a-sample", "window clip constants", "windows", "direct",
          "the lower limit of the widths is 1/K rather than 2/K", Edit(WINDOWS, "2", "1")),
    Fault("leaf/window-of-unit-area", "normalised window", "windows", "direct",
          "windows have a sum of 1, not a peak of 1", Edit(WINDOWS, WINDOW, "it / it.sum(dim=1, keepdim=True)")),
    Fault("leaf/widths-in-reverse", "channel permutation", "windows", "direct",
          "the windows of the bands from the last to the first", Edit(WINDOWS, WINDOW, "it.flip(0)")),
    Fault("leaf/bias-on-energies", "bias on energies", "pool", "direct",
          "the pooling has a bias, which starts from 1", Edit(POOL, POOLED, "it + 1.0")),
    Fault("leaf/extra-zero-in-front", "extra pad on the other side", "conv", "direct",
          "where the zeros are odd in number the extra one stands before the signal",
          Edit(PADS, EVEN_PADS, "it[::-1]")),
    Fault("leaf/pooling-centred", "centred padding", "pool", "direct",
          "the pooling has size // 2 zeros before the signal whatever the stride",
          Edit(PADS, EVEN_PADS, "it if stride == 1 else (size // 2, max(total - size // 2, 0))")),
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

BENIGN: tuple[Benign, ...] = (
    Benign("leaf/convolution-by-products", "windows of the signal times the kernels, as one matrix product",
           "the same sums of products in another order",
           Edit("leaf.filterbank:GaborFilterbank._conv", CONVOLVED,
                "by_matrix(F.pad(x, pads), kernel, None, stride, groups)")),
    Benign("leaf/convolution-by-fourier", "convolution by products of spectra where they are exact",
           "the convolution theorem; a transform errs relative to the loudest sample, so that what is quiet is summed",
           Edit("leaf.filterbank:GaborFilterbank._conv", CONVOLVED,
                "by_fft(F.pad(x, pads), kernel, None, stride, groups)")),
    Benign("leaf/smoother-in-blocks", f"values by blocks of {BLOCK} frames, a triangular matrix each",
           "the recursion written out", Edit(SMOOTH, SMOOTHED, "in_blocks(x, s, it)")),
    Benign("leaf/smoother-frame-by-frame", "a loop of M + s (x - M) for the scan", "the recurrence itself",
           Edit(SMOOTH, SMOOTHED, "frame_by_frame(x, s, published=False)")),
    Benign("leaf/smoother-as-published", "(1 - s) M + s x for M + s (x - M)", "the same mean of two, expanded",
           Edit(SMOOTH, SMOOTHED, "frame_by_frame(x, s, published=True)")),
    Benign("leaf/kernels-by-complex-exponential", "a Gaussian of t / sigma times exp(i mu t)",
           "Euler's formula, and the exponent's factors in another order",
           (Edit(PAIR_OF, ENVELOPE, "torch.exp(-0.5 * (t / sigmas.unsqueeze(1)) ** 2)"),
            Edit(PAIR_OF, "torch.cos(phase)", "torch.polar(torch.ones_like(phase), phase).real"),
            Edit(PAIR_OF, "torch.sin(phase)", "torch.polar(torch.ones_like(phase), phase).imag"))),
    Benign("leaf/bands-in-reverse", "kernels of the bands from the last to the first, put back in order",
           "a permutation and its inverse",
           Edit(FILTERS, PAIR,
                "[part.flip(0) for part in gabor_pair(self.filter_size, centers.flip(0), sigmas.flip(0))]")),
    Benign("leaf/squared-hypotenuse", "|re + i im| squared", "the square of the root of the sum of squares",
           Edit(SQUARES, "real + imag", "torch.complex(*y.chunk(2, dim=1)).abs() ** 2")),
    Benign("leaf/gain-by-division", "x / (eps + M)^alpha by autograd", "the same power and the same quotient",
           Edit(STEP, GAIN, "x / (self.eps + m) ** alpha")),
    Benign("leaf/root-by-logarithm", "delta^r by exp(r log delta)", "the definition of a power",
           Edit("leaf.pcen:_Root.forward", "torch.where(exponent < LOG_2, rest * expm1(exponent), power - rest)",
                "torch.where(delta != 0, torch.exp(r * torch.log(delta)) * expm1(exponent), v**r)")),
    Benign("leaf/mel-by-log10", "mel by 2595 log10(1 + f / 700) there and back",
           "a multiple of 1127 ln(1 + f / 700): the unit of the scale falls out",
           (Edit(MEL_START, MEL, "2595 * math.log10(1 + f / 700)"),
            Edit(MEL_START, f"{EDGES} / 1127", f"{EDGES} * (math.log(10) / 2595)"))),
)  # fmt: skip
