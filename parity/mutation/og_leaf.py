"""Every fault and reformulation that is planted into ``og_leaf``, in the order of its stages."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from types import SimpleNamespace
from unittest.mock import patch

from torch import Tensor

from parity.mutation.planting import Benign, Edit, Fault, Patch, replacing
from parity.mutation.replacements import by_fft, by_halves, by_matrix

MATRIX = "og_leaf.melfilters:linear_to_mel_weight_matrix"
EDGE, EDGES = "_hertz_to_mel(torch.tensor(f, dtype=dtype))", "_linspace(lowest, highest, n_filters + 2)"
BINS = "_linspace(zero, nyquist, n_bins)[1:]"
SCALE, NATURAL = "og_leaf.melfilters:_hertz_to_mel", "1127.0 * torch.log(1.0 + hertz / 700.0)"
MEASURED = "og_leaf.melfilters:Gabor.gabor_params_from_mels"
LEAF, INIT = "og_leaf.frontend:Leaf.__init__", "GaborInit(sample_rate=16000, min_freq=60.0, max_freq=7800.0)"
LIMITS = "og_leaf.convolution:GaborConstraint.forward"
MU, SIGMA = "kernel[:, 0]", "kernel[:, 1]"
MU_LIMITED = f"impulse_responses.clip({MU}, 0.0, math.pi)"
SIGMA_LIMITED = f"impulse_responses.clip({SIGMA}, 4 * per_sample, self._kernel_size * per_sample)"
FILTERS = "og_leaf.impulse_responses:gabor_filters"
TIMES = "torch.arange(-(size // 2), (size + 1) // 2, dtype=kernel.dtype, device=kernel.device)"
WAVELETS = "gabor_impulse_response(t, center=kernel[:, 0], fwhm=kernel[:, 1])"
WAVELET, HEIGHT = "og_leaf.impulse_responses:gabor_impulse_response", "1.0 / (math.sqrt(2.0 * math.pi) * fwhm)"
CONV = "og_leaf.convolution:GaborConv1D.forward"
KERNEL, PARTS = "self.constraint(self._kernel)", "torch.stack([filters.real, filters.imag], dim=1)"
PADS, EVEN_PADS = "og_leaf.padding:_same_padding", "(total // 2, total - total // 2)"
MODULUS = "og_leaf.frontend:SquaredModulus.forward"
WINDOW = "og_leaf.impulse_responses:gaussian_lowpass"
WIDTH = 'clip(check_tensor("sigma", sigma, 4), 2.0 / filter_size, 0.5)'
EXPONENT = "-0.5 * (numerator / denominator) ** 2"
POOL, WINDOWS = "og_leaf.pooling:GaussianLowpass.forward", "windows.squeeze(2)"
POOLED = f"F.conv1d(padded, {WINDOWS}, stride=self.strides, groups=self.num_channels)"
SMOOTHER = "og_leaf.postprocessing:ExponentialMovingAverage.forward"
COEFFICIENT = "clip(self._weights, 0.0, 1.0)"
STEP = "w * frame + (1.0 - w) * state"
SMOOTHED = f"_walked(lambda state, frame: {STEP}, inputs, initial_state)"
FIXED = "og_leaf.postprocessing:SimpleRNN.forward"
RECURRENCE = "_walked(lambda state, frame: frame @ kernel + state @ recurrent, inputs, initial_state)"
PCEN = "og_leaf.postprocessing:PCENLayer.forward"
ALPHA, ROOT = "self.alpha.clamp(max=1.0)", "self.root.clamp(min=1.0)"
GAIN, COMPRESSED = "(self._floor + smoothed) ** alpha", "(normalised + delta) ** one_over_root - delta**one_over_root"
FRONTEND, FLOORED = "og_leaf.frontend:Leaf.forward", "outputs.clamp(min=1e-05)"
NORM = "og_leaf.postprocessing:InstanceNormalization.forward"
MEAN, VARIANCE = "inputs.mean(dim=-1, keepdim=True)", "((inputs - mean.detach()) ** 2).mean(dim=-1, keepdim=True)"
PROJECTION = "og_leaf.constraints:project_after_step"
POST_HOOK = "optimizer.register_step_post_hook(project)"
BUFFERS = "og_leaf.postprocessing:SimpleRNN.__init__"
THREE_LAYERS = "three layers of the file convolve"


@contextmanager
def _emphasising_the_audio() -> Iterator[None]:
    from og_leaf.convolution import pad_time
    from og_leaf.frontend import Leaf

    own, changed = Leaf.forward, list[tuple[Tensor, Tensor]]()

    def forward(self: Leaf, inputs: Tensor) -> Tensor:
        outputs = own(self, inputs)
        if self._preemp_conv is not None:
            audio = inputs.detach().view(-1, 1, inputs.shape[-1])
            changed.append((audio, audio.clone()))
            audio.copy_(self._preemp_conv(pad_time(audio, 2, 1, "SAME")).detach())
        return outputs

    with patch.object(Leaf, "forward", forward):
        try:
            yield
        finally:
            for audio, before in reversed(changed):
                audio.copy_(before)


FAULTS: tuple[Fault, ...] = (
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
          Edit(LIMITS, "torch.stack([mu, sigma], dim=1)", "in_data(kernel, it)"),
          property="parameter gradient"),
    Fault("og_leaf/mu-tie-halved", "tie gradients", "kernel", "direct",
          "mu is limited by minimum and maximum against a tensor: half the gradient at 0 and at pi",
          Edit(LIMITS, MU_LIMITED,
               f"tie_halved({MU}, 0.0, math.pi)"),
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
          Edit(WINDOW, WIDTH, "in_data(sigma, it)"), property="parameter gradient"),
    Fault("og_leaf/width-tie-halved", "tie gradients", "learnable_pooling/kernel", "direct",
          "the widths are limited by minimum and maximum against a tensor: half the gradient at the limits",
          Edit(WINDOW, WIDTH, "tie_halved(sigma, 2.0 / filter_size, 0.5)"), property="parameter gradient"),
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
    Fault("og_leaf/smoother-from-zero", "zero start of the smoother", "ema", "direct",
          "the smoother starts from 0 in place of the first frame",
          Edit(SMOOTHER, "initial_state", "torch.zeros_like(it)", inside=SMOOTHED)),
    Fault("og_leaf/recurrence-from-zero", "ignored initial state", "ema", "direct",
          "the fixed recurrence does not use the initial state that it is given, as torch.nn.RNN called without one",
          Edit(FIXED, "initial_state", "torch.zeros_like(it)", inside=RECURRENCE)),
    Fault("og_leaf/initial-state-detached", "ignored initial state", "input", "direct",
          "the first frame, as the smoother's start, is cut off the graph",
          Edit(PCEN, "inputs[..., 0]", "it.detach()"), property="input gradient"),
    Fault("og_leaf/smoother-lagged", "lagged smoother", "ema", "direct",
          "a frame is divided by the smoother of the frame before",
          Edit(SMOOTHER, SMOOTHED, "torch.cat([initial_state.unsqueeze(-1), it[..., :-1]], dim=-1)")),
    Fault("og_leaf/smoother-exchanged", "s and 1-s exchanged", "ema", "direct",
          "(1 - s) x + s m: the coefficient of librosa and of many others",
          Edit(SMOOTHER, STEP, "(1.0 - w) * frame + w * state")),
    Fault("og_leaf/smooth-unclipped", "s unclipped", "ema", "direct", "s is used as it is, also below 0 and above 1",
          Edit(SMOOTHER, COEFFICIENT, "self._weights")),
    Fault("og_leaf/smooth-clipped-in-data", "clamp through .data", "PCEN/EMA/smooth", "direct",
          "s is clipped through .data: a gradient where the original has none",
          Edit(SMOOTHER, COEFFICIENT, "in_data(self._weights, it)"),
          property="parameter gradient"),
    Fault("og_leaf/smooth-tie-halved", "tie gradients", "PCEN/EMA/smooth", "direct",
          "s is limited by minimum and maximum against tensors: half the gradient at 0 and at 1",
          Edit(SMOOTHER, COEFFICIENT, "tie_halved(self._weights, 0.0, 1.0)"), property="parameter gradient"),
    Fault("og_leaf/eps-outside-the-power", "eps in another place", "pcen", "direct", "x / (eps + M^alpha)",
          Edit(PCEN, GAIN, "(self._floor + smoothed**alpha)")),
    Fault("og_leaf/eps-on-the-energy-too", "eps in another place", "pcen", "direct", "(eps + x) / (eps + M)^alpha",
          Edit(PCEN, "inputs", "(self._floor + it)", inside=f"inputs / {GAIN}")),
    Fault("og_leaf/eps-1e-6", "eps of another value", "pcen", "direct",
          "1e-6, the paper's and librosa's eps, whatever the floor that was asked for",
          Edit(PCEN, "self._floor", "1e-6")),
    Fault("og_leaf/eps-stays-float32", "tensor that is no buffer", "pcen", "direct",
          "eps is a float32 tensor that the module's dtype does not reach: 2^-25 off in float64",
          Edit(PCEN, "self._floor", "torch.tensor([it], dtype=torch.float32)")),
    Fault("og_leaf/alpha-at-least-one", "min for max", "pcen", "direct",
          "alpha is limited from below where it is limited from above", Edit(PCEN, ALPHA, "self.alpha.clamp(min=1.0)")),
    Fault("og_leaf/root-at-most-one", "min for max", "pcen", "direct",
          "the root is limited from above where it is limited from below",
          Edit(PCEN, ROOT, "self.root.clamp(max=1.0)")),
    Fault("og_leaf/alpha-unclamped", "clamp dropped", "pcen", "direct", "alpha is used as it is, also above 1",
          Edit(PCEN, ALPHA, "self.alpha")),
    Fault("og_leaf/root-clamped-at-half", "clamp widened by 2", "pcen", "direct",
          "the root is at least 0.5 in place of 1", Edit(PCEN, ROOT, "self.root.clamp(min=0.5)")),
    Fault("og_leaf/root-as-exponent", "r for 1/r", "pcen", "direct", "the root is used as the exponent",
          Edit(PCEN, "1.0 / root", "root")),
    Fault("og_leaf/subtraction-dropped", "subtraction dropped", "pcen", "direct",
          "delta^r is not subtracted: silence comes out as delta^r",
          Edit(PCEN, "delta**one_over_root", "0.0")),
    Fault("og_leaf/delta-subtracted", "subtraction dropped", "pcen", "direct",
          "delta is subtracted in place of delta^r", Edit(PCEN, "delta**one_over_root", "delta")),
    Fault("og_leaf/delta-clamped-at-0", "delta clamped", "pcen", "status",
          "delta is at least 0: numbers where the original takes a power of a negative number, which is NaN",
          Edit(PCEN, "self.delta", "it.clamp(min=0.0)")),
    Fault("og_leaf/delta-clamped-at-1", "delta clamped", "pcen", "direct", "delta is at least 1, limited like the root",
          Edit(PCEN, "self.delta", "it.clamp(min=1.0)")),
    Fault("og_leaf/alpha-clamped-in-data", "clamp through .data", "PCEN/alpha", "direct",
          "alpha is limited through .data: a gradient where the original has none",
          Edit(PCEN, ALPHA, "in_data(self.alpha, it)"), property="parameter gradient"),
    Fault("og_leaf/alpha-tie-halved", "tie gradients", "PCEN/alpha", "direct",
          "alpha is limited by torch.minimum against ones, as the published port does: half the gradient at 1",
          Edit(PCEN, ALPHA, "torch.minimum(self.alpha, torch.ones_like(self.alpha))"), property="parameter gradient"),
    Fault("og_leaf/root-tie-zeroed", "tie gradients", "PCEN/root", "direct",
          "the root is 1 + relu(root - 1): no gradient at 1",
          Edit(PCEN, ROOT, "(1.0 + torch.relu(self.root - 1.0))"), property="parameter gradient"),
    Fault("og_leaf/floor-added", "floor as addition", "output", "direct",
          "1e-5 is added to the energies in place of being their least", Edit(FRONTEND, FLOORED, "outputs + 1e-5")),
    Fault("og_leaf/floor-1e-6", "floor of another value", "output", "direct",
          "the energies' floor is 1e-6, as two published ports have it", Edit(FRONTEND, "1e-5", "1e-6")),
    Fault("og_leaf/log-offset-1e-6", "floor of another value", "output", "direct",
          "the log compression adds 1e-6 in place of 1e-5", Edit("og_leaf.frontend:log_compression", "1e-5", "1e-6")),
    Fault("og_leaf/floor-before-pooling", "floor at another place", "output", "direct",
          "the floor is put under the squared modulus, not under the pooled energies",
          (Edit(FRONTEND, FLOORED, "outputs"), Edit(FRONTEND, "self._activation(outputs)", "it.clamp(min=1e-5)"))),
    Fault("og_leaf/floor-after-compression", "floor at another place", "output", "direct",
          "the floor is put under the compressed features",
          (Edit(FRONTEND, FLOORED, "outputs"), Edit(FRONTEND, "self._compress_fn(outputs)", "it.clamp(min=1e-5)"))),
    Fault("og_leaf/floor-tie-halved", "tie gradients", "floor", "status",
          "the floor is torch.maximum against a tensor: half the gradient to an energy that is on it",
          Edit(FRONTEND, FLOORED, "torch.maximum(outputs, torch.full_like(outputs, 1e-5))"), property="input gradient"),
    Fault("og_leaf/norm-over-channels", "norm axis", "norm", "direct",
          "mean and variance over the channels of a frame in place of the frames of a channel",
          (Edit(NORM, "-1", "1", inside=MEAN), Edit(NORM, "-1", "1", inside=VARIANCE))),
    Fault("og_leaf/norm-over-batch", "norm axis", "norm", "direct",
          "mean and variance over the clips of a batch as well",
          (Edit(NORM, "-1", "(0, -1)", inside=MEAN), Edit(NORM, "-1", "(0, -1)", inside=VARIANCE))),
    Fault("og_leaf/norm-unbiased", "unbiased variance", "norm", "direct", "the variance divides by n - 1",
          Edit(NORM, VARIANCE, "inputs.var(dim=-1, correction=1, keepdim=True)")),
    Fault("og_leaf/norm-eps-1e-5", "eps of the norm", "norm", "direct",
          "eps is 1e-5, torch.nn.InstanceNorm1d's default", Edit(NORM, "self.epsilon", "1e-5")),
    Fault("og_leaf/norm-eps-on-the-deviation", "eps of the norm", "norm", "direct",
          "eps is added to the standard deviation in place of the variance",
          Edit(NORM, "torch.rsqrt(variance + self.epsilon)", "1.0 / (torch.sqrt(variance) + self.epsilon)")),
    Fault("og_leaf/not-projected", "clamp not after the step", "kernel", "direct",
          "mu and sigma are clamped in the forward pass alone: outside their box they have no gradient for ever",
          Edit(PROJECTION, POST_HOOK, "optimizer.register_step_post_hook(lambda *_: None)"),
          property="training step"),
    Fault("og_leaf/projected-before-the-step", "clamp not after the step", "kernel", "direct",
          "mu and sigma are put back before each step, so that a step still leaves them outside",
          Edit(PROJECTION, POST_HOOK, "optimizer.register_step_pre_hook(project)"), property="training step"),
    Fault("og_leaf/shared-compression", "shared default module", "output", "status",
          "frontends of one width share the default PCEN layer of the first, as all of the original's do",
          Patch(replacing("og_leaf.frontend:_compression", cache), "what is shared needs a place to be kept"),
          property="status"),
    Fault("og_leaf/recurrence-no-buffer", "tensor that is no buffer", "output", "status",
          "the fixed recurrence keeps plain tensors: no dtype, device or state dict reaches them",
          (Edit(BUFFERS, 'self.register_buffer("input_weights", value * eye)',
                'setattr(self, "input_weights", value * eye)'),
           Edit(BUFFERS, 'self.register_buffer("recurrent_weights", (1.0 - value) * eye)',
                'setattr(self, "recurrent_weights", (1.0 - value) * eye)')), property="status"),
    Fault("og_leaf/audio-reshaped", "input changed in place", "input", "status",
          "the channel dimension is added to the caller's own tensor, so that its gradient has it, too",
          Edit(FRONTEND, "inputs[:, None, :] if inputs.dim() < 3 else inputs",
               'inputs.dim() < 3 and setattr(inputs, "data", inputs.data[:, None, :]) or inputs'),
          property="input gradient"),
    Fault("og_leaf/audio-emphasised", "input changed in place", "output", "status",
          "the pre-emphasis is written over the caller's audio",
          Patch(_emphasising_the_audio, "others may read the audio's memory: it is written back afterwards"),
          property="status"),
    Fault("og_leaf/energies-overwritten", "input changed in place", "floor", "direct",
          "PCEN writes its output over the energies that it was given",
          Edit(PCEN, COMPRESSED, "(y := it, inputs.data.copy_(y.detach()))[0]")),
    Fault("og_leaf/smoother-carried-on", "state leaking between calls", "pcen", "direct",
          "the smoother starts from where the last call ended",
          Edit(SMOOTHER, SMOOTHED,
               f"(m := _walked(lambda state, frame: {STEP}, inputs, vars(self).get(str(initial_state.shape), "
               "initial_state)), vars(self).update({str(initial_state.shape): m[..., -1].detach()}))[0]")),
    Fault("og_leaf/filters-kept", "state leaking between calls", "kernel", "direct",
          "in evaluation the filters of the first call are kept, whatever the weights become, and have no gradient",
          Edit("og_leaf.convolution:GaborConv1D.forward",
               "impulse_responses.gabor_filters(kernel, self._kernel_size)",
               'it if self.training else vars(self).setdefault("kept", it.detach())'), property="parameter gradient"),
)  # fmt: skip

BENIGN: tuple[Benign, ...] = (
    Benign("og_leaf/mel-log10-throughout", "mel as 2595 log10(1 + f / 700) for bins and edges alike",
           "a triangle is a ratio of differences of mels, so their unit cancels",
           Edit(SCALE, NATURAL, "2595.0 * torch.log10(1.0 + hertz / 700.0)"), "mel"),
    Benign("og_leaf/mel-torch-linspace", "bins and edges by torch.linspace, which counts down in the far half",
           "the same points, rounded otherwise",
           Edit("og_leaf.melfilters:_linspace", "torch.cat([start.reshape(1), inner, stop.reshape(1)])",
                "torch.linspace(float(start), float(stop), num, dtype=start.dtype)"), "mel"),
    Benign("og_leaf/mel-dc-kept", "the weight of the DC bin is computed rather than set to 0",
           "0 Hz is outside every triangle of a band that starts at 0 Hz or above",
           (Edit(MATRIX, BINS, "_linspace(zero, nyquist, n_bins)"),
            Edit(MATRIX, "torch.cat([torch.zeros((1, n_filters), dtype=dtype), triangles])", "triangles")), "mel"),
    Benign("og_leaf/conv-by-fft", "the convolution is a product of Fourier transforms where they are exact",
           "the convolution theorem; a transform errs relative to the loudest sample, so that what is quiet is summed",
           Patch(replacing("og_leaf.convolution:F", lambda own: SimpleNamespace(conv1d=by_fft)), THREE_LAYERS)),
    Benign("og_leaf/conv-by-matrix", "the convolution is a matrix product over unfolded windows",
           "the same products in another order of summation",
           Patch(replacing("og_leaf.convolution:F", lambda own: SimpleNamespace(conv1d=by_matrix)), THREE_LAYERS)),
    Benign("og_leaf/conv-by-halves", "either half of the taps is summed by itself", "another order of summation",
           Patch(replacing("og_leaf.convolution:F", lambda own: SimpleNamespace(conv1d=by_halves)), THREE_LAYERS)),
    Benign("og_leaf/pool-by-matrix", "the pooling is a contraction over unfolded windows",
           "the same products in another order of summation",
           Patch(replacing("og_leaf.pooling:F", lambda own: SimpleNamespace(
               conv1d=by_matrix, conv2d=own.conv2d, max_pool1d=own.max_pool1d)), "two layers of the file do")),
    Benign("og_leaf/permuted-and-undone",
           "the filters are convolved from the last to the first, all real parts before all imaginary ones",
           "the channels are put back in order before they are returned",
           (Edit(CONV, "impulse_responses.gabor_filters(kernel, self._kernel_size)", "it.flip(0)"),
            Edit(CONV, PARTS, "torch.cat([filters.real, filters.imag])"),
            Edit(CONV, "F.conv1d(padded, stacked, bias=self._bias, stride=self._strides)",
                 "torch.stack([part.flip(1) for part in F.conv1d(padded, stacked, stride=self._strides).chunk(2, 1)], "
                 "dim=2).flatten(1, 2) + (0.0 if self._bias is None else self._bias.unsqueeze(-1))"))),
    Benign("og_leaf/carrier-by-cos-and-sin", "the wavelet as magnitude and angle, its exponent as one square",
           "exp(i phase) is cos(phase) + i sin(phase)",
           (Edit(WAVELET, "torch.exp(torch.outer(1.0 / (2.0 * fwhm**2), -(t**2)))",
                 f"torch.exp(-0.5 * (t / fwhm.unsqueeze(1)) ** 2) * ({HEIGHT}).unsqueeze(1)"),
            Edit(WAVELET, "norm.to(to_complex).unsqueeze(1) * carrier * envelope.to(to_complex)",
                 "torch.complex(envelope * torch.cos(torch.outer(center, t)), "
                 "envelope * torch.sin(torch.outer(center, t)))"))),
    Benign("og_leaf/clamped-at-once", "torch.clamp with both limits in place of one after the other",
           "the limits cross for windows under four samples alone, and its gradient at either is 1 as well",
           Edit("og_leaf.impulse_responses:clip", "values.clamp(max=high).clamp(min=low)", "values.clamp(low, high)")),
    Benign("og_leaf/window-from-unit-axis", "the pooling window on an axis from -1 to 1",
           "sigma is relative to half the window already",
           Edit(WINDOW, EXPONENT, "(numerator / (0.5 * (filter_size - 1))) ** 2 * (-0.5 / sigma**2)")),
    Benign("og_leaf/sum-of-squares", "re^2 + im^2 in place of twice the mean of the squares",
           "halving and doubling are exact",
           Edit(MODULUS, "(2 * means).transpose(1, 2)", "x[:, : x.shape[1] // 2 * 2 : 2] ** 2 + x[:, 1::2] ** 2")),
    Benign("og_leaf/smoother-by-lerp", "m + s (x - m) in place of s x + (1 - s) m", "the same sum, factored",
           Edit(SMOOTHER, STEP, "torch.lerp(state, frame, w)"), "ema"),
    Benign("og_leaf/smoother-by-scan",
           "blocks of 1, 2, 4, ... frames are joined by powers of 1 - s, forwards, and backwards for the gradient",
           "what a block hands on decays by (1 - s)^length in the next, and the adjoint is such a recurrence itself",
           Edit(SMOOTHER, SMOOTHED, "DoublingScan.apply(inputs, initial_state.unsqueeze(-1), w.unsqueeze(-1))"), "ema"),
    Benign("og_leaf/smoother-from-the-first-frame",
           "the initial state is ignored and the first frame is the first value, as in the published port",
           "the state that LEAF gives is the first frame, and s x + (1 - s) x = x",
           Edit(SMOOTHER, SMOOTHED, f"_walked(lambda state, frame: frame if state is None else {STEP}, inputs, None)"),
           "ema"),
    Benign("og_leaf/root-by-expm1", "delta^r expm1(r log1p(v / delta)) in place of a difference of powers",
           "(v + delta)^r = delta^r exp(r log(1 + v / delta)); delta is above 0",
           Edit(PCEN, COMPRESSED,
                "delta**one_over_root * torch.expm1(one_over_root * torch.log1p(normalised / delta))"), "pcen"),
    Benign("og_leaf/gain-in-log-space", "x exp(-alpha log(eps + M)) in place of x / (eps + M)^alpha", "the same power",
           Edit(PCEN, f"inputs / {GAIN}", "inputs * torch.exp(-alpha * torch.log(self._floor + smoothed))"), "pcen"),
    Benign("og_leaf/norm-by-var-mean", "(x - mean) / sqrt(variance + eps), then gamma and beta",
           "the same affine map, applied in another order",
           (Edit(NORM, VARIANCE, "inputs.var(dim=-1, correction=0, keepdim=True)"),
            Edit(NORM, "inputs * gain + (self.bias.unsqueeze(-1) - mean * gain)",
                 "(inputs - mean) / torch.sqrt(variance + self.epsilon) * self.weight.unsqueeze(-1) "
                 "+ self.bias.unsqueeze(-1)")), "norm"),
)  # fmt: skip
