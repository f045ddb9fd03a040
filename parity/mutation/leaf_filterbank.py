"""Faults of ``leaf``'s filterbank: initial values, Gabor kernels, limits, modulus, windows and padding."""

from __future__ import annotations

import torch
from torch import Tensor

from parity.mutation.planting import Edit, Fault

MEL_START, MEL = "leaf.filters:mel_filter_params", "1127 * math.log1p(f / 700)"
EDGES = "torch.linspace(lowest, highest, n_filters + 2)"
BACK = f"700 * torch.expm1({EDGES} / 1127)"
FILTERS, WINDOWS = "leaf.filterbank:GaborFilterbank.filters", "leaf.filterbank:GaborFilterbank.windows"
MU, SIGMA = "self.center_freqs", "self.bandwidths"
MU_LIMITED = f"{MU}.clamp(min=0.0, max=math.pi)"
SIGMA_LIMITED = f"{SIGMA}.clamp(min=4 * SIGMA_PER_SAMPLE, max=self.filter_size * SIGMA_PER_SAMPLE)"
PAIR = "gabor_pair(self.filter_size, centers, sigmas)"
PAIR_OF, HEIGHT = "leaf.filters:gabor_pair", "1 / (math.sqrt(2 * math.pi) * sigmas).unsqueeze(1)"
PARTS = "height * torch.cos(phase) * gaussian, height * torch.sin(phase) * gaussian"
TIMES = "torch.arange(-(size // 2), (size + 1) // 2, device=sigmas.device, dtype=sigmas.dtype)"
ENVELOPE = "torch.exp(torch.outer(1 / (2 * sigmas**2), -(t**2)))"
SQUARES = "leaf.filters:squared_modulus"
GAUSS, WINDOW = "leaf.filters:gauss_windows", "gauss_windows(self.pool_size, widths)"
POOL = "leaf.filterbank:GaborFilterbank.pool"
POOLED = "self._conv(e, self._windows(), stride=self.pool_stride, groups=self.n_filters)"
PADS, EVEN_PADS = "leaf.filterbank:GaborFilterbank._pads", "(total // 2, total - total // 2)"


def tf32(x: Tensor) -> Tensor:
    """Rounded to the ten bits of mantissa that a tensor core keeps; gradients pass."""
    bits = (x.detach().float().view(torch.int32) + 0x1000) & ~0x1FFF
    return x + (bits.view(torch.float32).to(x.dtype) - x).detach()


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
          (Edit(FILTERS, MU_LIMITED, f"({MU}.data.copy_(it.detach()), {MU})[1]"),
           Edit(FILTERS, SIGMA_LIMITED, f"({SIGMA}.data.copy_(it.detach()), {SIGMA})[1]")),
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
          Edit(FILTERS, f"torch.cat({PAIR})", "tf32(it)", using=(tf32,))),
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
)  # fmt: skip
