"""Faults of ``og_leaf``'s filterbank: initial values, Gabor filters, convolution, modulus and pooling.

Initial values are seen at the stages ``mel`` and ``init`` alone: everything behind runs with weights that were carried
over.
"""

from __future__ import annotations

from parity.mutation.planting import Edit, Fault

MATRIX = "og_leaf.melfilters:linear_to_mel_weight_matrix"
EDGE, EDGES = "_hertz_to_mel(torch.tensor(f, dtype=dtype))", "_linspace(lowest, highest, n_filters + 2)"
BINS = "_linspace(zero, nyquist, n_bins)[1:]"
SCALE, NATURAL = "og_leaf.melfilters:_hertz_to_mel", "1127.0 * torch.log(1.0 + hertz / 700.0)"
MEASURED = "og_leaf.melfilters:Gabor.gabor_params_from_mels"
LEAF, INIT = "og_leaf.frontend:Leaf.__init__", "GaborInit(sample_rate=16000, min_freq=60.0, max_freq=7800.0)"

INITIAL: tuple[Fault, ...] = (
    Fault("og_leaf/mel-two-logs", "mel log base", "mel", "soundness",
          "the edges by 2595 log10(1 + f / 700), the bins by 1127 ln(1 + f / 700): 5e-6 apart, one scale would do",
          Edit(MATRIX, EDGE, "2595.0 * torch.log10(1.0 + torch.tensor(f, dtype=dtype) / 700.0)")),
    Fault("og_leaf/mel-fant", "mel constants", "mel", "soundness",
          "Fant's mel scale, which breaks at 1000 Hz, in place of HTK's 700 Hz",
          Edit(SCALE, NATURAL, "1000.0 / math.log(2.0) * torch.log(1.0 + hertz / 1000.0)")),
    Fault("og_leaf/mel-slaney", "mel constants", "mel", "soundness",
          "Slaney's mel scale, linear under 1 kHz: librosa's default",
          Edit(SCALE, NATURAL, "torch.where(hertz < 1000.0, hertz * 3.0 / 200.0, 15.0 + 27.0 / math.log(6.4) * "
                               "torch.log(hertz.clamp(min=1000.0) / 1000.0))")),
    Fault("og_leaf/mel-linear-in-hertz", "triangles linear in Hz", "mel", "soundness",
          "edges equally spaced in mel, but sides that are straight in Hz, as librosa and torchaudio draw them",
          (Edit(MATRIX, f"_hertz_to_mel({BINS})", BINS),
           Edit(MATRIX, EDGES, "700.0 * (torch.exp(it / 1127.0) - 1.0)"))),
    Fault("og_leaf/mel-rate-22050", "hard-coded rate or band edges", "mel", "soundness",
          "the bins of the mel matrix end at half of 22050 Hz, librosa's default rate, whatever the rate",
          Edit(MATRIX, "torch.tensor(sample_rate, dtype=dtype)", "torch.tensor(22050, dtype=dtype)")),
    Fault("og_leaf/width-strictly-over-half", "> for >= in the width", "init", "status",
          "bins strictly over half the peak are counted: a triangle that falls between two bins has none, and an "
          "infinite sigma in place of that of all 257",
          Edit(MEASURED, "roots >= half_peaks", "roots > half_peaks")),
    Fault("og_leaf/width-of-the-triangle", "half of the filter, not of its root", "init", "soundness",
          "the width is counted at half of the mel triangle, not of its square root",
          Edit(MEASURED, "torch.sqrt(self.mel_filters)", "self.mel_filters")),
    Fault("og_leaf/init-whole-band", "hard-coded rate or band edges", "init", "soundness",
          "the initialiser's own band of 0 to 8000 Hz in place of the frontend's 60 to 7800 Hz",
          Edit(LEAF, INIT, "GaborInit()")),
    Fault("og_leaf/init-follows-the-rate", "hard-coded rate or band edges", "init", "soundness",
          "the initialiser is given the frontend's sample rate; the original's stays at 16 kHz",
          Edit(LEAF, INIT, "GaborInit(sample_rate=sample_rate, min_freq=60.0, max_freq=min(7800.0, sample_rate / 2))")),
    Fault("og_leaf/init-400-bins", "another n_fft", "init", "soundness",
          "the mel matrix is measured on 400 points, torchaudio's default, in place of 512",
          Edit("og_leaf.initializers:GaborInit.__init__", "512", "400")),
)  # fmt: skip

LIMITS = "og_leaf.convolution:GaborConstraint.forward"
MU, SIGMA = "kernel[:, 0]", "kernel[:, 1]"
MU_LIMITED = f"impulse_responses.clip({MU}, 0.0, math.pi)"
SIGMA_LIMITED = f"impulse_responses.clip({SIGMA}, 4 * per_sample, self._kernel_size * per_sample)"
FILTERS = "og_leaf.impulse_responses:gabor_filters"
TIMES = "torch.arange(-(size // 2), (size + 1) // 2, dtype=kernel.dtype, device=kernel.device)"
WAVELETS = "gabor_impulse_response(t, center=kernel[:, 0], fwhm=kernel[:, 1])"
WAVELET, HEIGHT = "og_leaf.impulse_responses:gabor_impulse_response", "1.0 / (math.sqrt(2.0 * math.pi) * fwhm)"

FILTER: tuple[Fault, ...] = (
    Fault("og_leaf/mu-unclamped", "clamp dropped", "filters", "direct",
          "the centre frequency is used as it is, also below 0 and above pi", Edit(LIMITS, MU_LIMITED, MU)),
    Fault("og_leaf/sigma-unclamped", "clamp dropped", "filters", "direct",
          "sigma is used as it is, also outside its box", Edit(LIMITS, SIGMA_LIMITED, SIGMA)),
    Fault("og_leaf/sigma-clamp-widened", "clamp widened by 2", "filters", "direct",
          "sigma's box is [2, 2 window] sqrt(2 ln 2) / pi: a factor 2 of the full width at half maximum",
          (Edit(LIMITS, "4 * per_sample", "2 * per_sample"),
           Edit(LIMITS, "self._kernel_size * per_sample", "2 * it"))),
    Fault("og_leaf/mu-clamped-at-3.14", "clamp of a wrong constant", "filters", "direct",
          "the highest centre frequency is 3.14, not pi", Edit(LIMITS, "math.pi", "3.14", inside=MU_LIMITED)),
    Fault("og_leaf/sigma-clamped-one-short", "clamp of a wrong constant", "filters", "direct",
          "sigma's upper limit is made of window - 1", Edit(LIMITS, "self._kernel_size", "(it - 1)")),
    Fault("og_leaf/kernel-clamped-in-data", "clamp through .data", "kernel", "direct",
          "mu and sigma are clamped through .data: the same filters, but a gradient where the original has none",
          Edit(LIMITS, "torch.stack([mu, sigma], dim=1)", "(kernel.data.copy_(it.detach()), kernel)[1]"),
          property="parameter gradient"),
    Fault("og_leaf/mu-tie-halved", "tie gradients", "kernel", "direct",
          "mu is limited by minimum and maximum against a tensor: half the gradient at 0 and at pi",
          Edit(LIMITS, MU_LIMITED,
               f"torch.minimum(torch.maximum({MU}, torch.zeros_like({MU})), torch.full_like({MU}, math.pi))"),
          property="parameter gradient"),
    Fault("og_leaf/sigma-tie-zeroed", "tie gradients", "kernel", "direct",
          "sigma has its gradient strictly inside of its box alone: none at the two limits",
          Edit(LIMITS, SIGMA_LIMITED, f"torch.where((it == 4 * per_sample) | (it == self._kernel_size * per_sample), "
                                      f"it.detach(), {SIGMA})"),
          property="parameter gradient"),
    Fault("og_leaf/time-axis-late", "time axis off by one at even size", "filters", "direct",
          "an even kernel is sampled from -(n / 2 - 1) to n / 2, one sample later than the original's",
          Edit(FILTERS, TIMES, "it + (size + 1) % 2")),
    Fault("og_leaf/time-axis-centred", "time axis off by one at even size", "filters", "direct",
          "an even kernel is sampled around its middle, half a sample later than the original's",
          Edit(FILTERS, TIMES, "it + 0.5 * ((size + 1) % 2)")),
    Fault("og_leaf/window-made-odd", "time axis off by one at even size", "filters", "status",
          "an even window is made odd by leaving its last sample out",
          Edit("og_leaf.checks:check_geometry", "int(rate * length // 1000 + 1)", "(it - 1) | 1")),
    Fault("og_leaf/conjugate", "conjugate", "filters", "direct",
          "exp(-i mu t): the imaginary part changes its sign, the energies stay", Edit(WAVELET, "1j", "-1j")),
    Fault("og_leaf/wavelet-unnormalised", "missing normalisation", "filters", "direct",
          "the wavelets lack 1 / (sqrt(2 pi) sigma)", Edit(WAVELET, HEIGHT, "torch.ones_like(fwhm)")),
    Fault("og_leaf/wavelet-normalised-by-root", "missing normalisation", "filters", "direct",
          "1 / sqrt(2 pi sigma) in place of 1 / (sqrt(2 pi) sigma)",
          Edit(WAVELET, HEIGHT, "1.0 / torch.sqrt(2.0 * math.pi * fwhm)")),
    Fault("og_leaf/sigma-as-fwhm", "missing normalisation", "filters", "direct",
          "the argument called fwhm is taken at its word and divided by 2 sqrt(2 ln 2)",
          Edit(FILTERS, SIGMA, "it / (2.0 * math.sqrt(2.0 * math.log(2.0)))")),
    Fault("og_leaf/wavelet-in-complex64", "reduced precision", "filters", "direct",
          "the wavelets are computed in complex64 whatever the dtype: seen in float64",
          Edit(FILTERS, WAVELETS, f"gabor_impulse_response(t.float(), {MU}.float(), {SIGMA}.float())"
                                  ".to(kernel.dtype.to_complex())")),
    Fault("og_leaf/wavelet-in-halves", "reduced precision", "filters", "direct", "the wavelets pass through float16",
          Edit(FILTERS, WAVELETS, "torch.view_as_complex(torch.view_as_real(it).half().to(kernel))")),
)  # fmt: skip

CONV = "og_leaf.convolution:GaborConv1D.forward"
KERNEL, PARTS = "self.constraint(self._kernel)", "torch.stack([filters.real, filters.imag], dim=1)"
PADS, EVEN_PADS = "og_leaf.padding:_same_padding", "(total // 2, total - total // 2)"
MODULUS = "og_leaf.frontend:SquaredModulus.forward"
WINDOW = "og_leaf.impulse_responses:gaussian_lowpass"
WIDTH = 'clip(check_tensor("sigma", sigma, 4), 2.0 / filter_size, 0.5)'
EXPONENT = "-0.5 * (numerator / denominator) ** 2"
POOL, WINDOWS = "og_leaf.pooling:GaussianLowpass.forward", "windows.squeeze(2)"
POOLED = f"F.conv1d(padded, {WINDOWS}, stride=self.strides, groups=self.num_channels)"

POOLING: tuple[Fault, ...] = (
    Fault("og_leaf/imaginary-part-first", "re/im order", "conv", "direct",
          "the imaginary part of a filter comes before the real one: the energies stay",
          Edit(CONV, "[filters.real, filters.imag]", "[filters.imag, filters.real]")),
    Fault("og_leaf/parts-in-blocks", "blocks fed to the pairwise modulus", "conv", "direct",
          "all real parts, then all imaginary ones, while the modulus takes its channels in pairs",
          Edit(CONV, PARTS, "torch.cat([filters.real, filters.imag])")),
    Fault("og_leaf/mu-sorted-alone", "sort without the sigmas", "conv", "direct",
          "the centre frequencies are sorted, the sigmas stay where they were",
          Edit(CONV, KERNEL, "torch.stack([it[:, 0].sort().values, it[:, 1]], dim=1)")),
    Fault("og_leaf/filters-descending", "channel permutation", "conv", "direct",
          "the filters come out from the highest to the lowest; nothing behind follows",
          Edit(CONV, KERNEL, "it[torch.argsort(it[:, 0], stable=True, descending=True)]")),
    Fault("og_leaf/odd-pad-before", "extra pad on the other side", "conv", "direct",
          "the odd zero of SAME goes before the signal: an even kernel is a sample off",
          Edit(PADS, EVEN_PADS, "it[::-1]")),
    Fault("og_leaf/preemp-causal", "extra pad on the other side", "conv", "direct",
          "the pre-emphasis is the textbook's x[n] - a x[n - 1]; the original's looks a sample ahead",
          Edit(PADS, EVEN_PADS, "it[::-1] if window == 2 else it")),
    Fault("og_leaf/modulus-halved", "mean for sum, abs for square", "modulus", "direct",
          "the mean of the two squares in place of their sum", Edit(MODULUS, "2 * means", "means")),
    Fault("og_leaf/modulus-not-squared", "mean for sum, abs for square", "modulus", "direct",
          "the modulus in place of its square", Edit(MODULUS, "2 * means", "torch.sqrt(it)")),
    Fault("og_leaf/width-floor-halved", "window clip constants", "windows", "direct",
          "the narrowest window is 1 / size rather than 2 / size", Edit(WINDOW, "2.0 / filter_size", "it / 2")),
    Fault("og_leaf/width-floor-one-short", "window clip constants", "windows", "direct",
          "the narrowest window is 2 / (size - 1)", Edit(WINDOW, "2.0 / filter_size", "2.0 / (filter_size - 1)")),
    Fault("og_leaf/width-up-to-one", "window clip constants", "windows", "direct",
          "the widest window is 1 in place of 0.5", Edit(WINDOW, "0.5", "1.0", inside=WIDTH)),
    Fault("og_leaf/width-clamped-in-data", "clamp through .data", "learnable_pooling/kernel", "direct",
          "the pooling widths are clamped through .data: a gradient where the original has none",
          Edit(WINDOW, WIDTH, "(sigma.data.copy_(it.detach()), sigma)[1]"), property="parameter gradient"),
    Fault("og_leaf/width-tie-halved", "tie gradients", "learnable_pooling/kernel", "direct",
          "the widths are limited by minimum and maximum against a tensor: half the gradient at the limits",
          Edit(WINDOW, WIDTH, "torch.minimum(torch.maximum(sigma, torch.full_like(sigma, 2.0 / filter_size)), "
                              "torch.full_like(sigma, 0.5))"), property="parameter gradient"),
    Fault("og_leaf/window-around-half", "K/2 for (K-1)/2", "windows", "direct",
          "the windows stand around size / 2, half a sample late",
          Edit(WINDOW, "t - 0.5 * (filter_size - 1)", "t - 0.5 * filter_size")),
    Fault("og_leaf/window-scaled-by-half", "K/2 for (K-1)/2", "windows", "direct",
          "the widths are relative to size / 2 in place of (size - 1) / 2",
          Edit(WINDOW, "sigma * 0.5 * (filter_size - 1)", "sigma * 0.5 * filter_size")),
    Fault("og_leaf/window-normalised", "normalised window", "windows", "direct",
          "the windows sum to 1 in place of having peak 1",
          Edit(WINDOW, f"torch.exp({EXPONENT})", "it / it.sum(dim=-1, keepdim=True)")),
    Fault("og_leaf/pool-centred", "centred padding", "pool", "direct",
          "half a window of zeros on either side, as simplified LEAF pads: frames some samples early",
          Edit(POOL, "padded", "F.pad(inputs, ((self.kernel_size - 1) // 2, self.kernel_size // 2))", inside=POOLED)),
    Fault("og_leaf/pool-odd-pad-before", "extra pad on the other side", "pool", "direct",
          "the odd zero of the pooling goes before the energies: frames a sample early",
          Edit(POOL, "padded", "it.roll((it.shape[-1] - inputs.shape[-1]) % 2, -1)", inside=POOLED)),
    Fault("og_leaf/energies-biased", "bias on energies", "pool", "direct",
          "a bias, initially 1, on every pooled energy, as two published ports have it",
          Edit(POOL, POOLED, "it + 1.0")),
    Fault("og_leaf/windows-flipped", "channel permutation", "pool", "direct",
          "the windows are dealt to the channels from the last to the first", Edit(POOL, WINDOWS, "it.flip(0)")),
)  # fmt: skip

FAULTS: tuple[Fault, ...] = (*INITIAL, *FILTER, *POOLING)
