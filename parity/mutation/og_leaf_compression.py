"""Faults of ``og_leaf`` behind its filterbank: floor, PCEN and normalisation, and what a module keeps to itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from unittest.mock import patch

from torch import Tensor

from parity.mutation.planting import Edit, Fault, Patch, replacing

SMOOTHER = "og_leaf.postprocessing:ExponentialMovingAverage.forward"
COEFFICIENT = "clip(self._weights, 0.0, 1.0)"
STEP = "w * frame + (1.0 - w) * state"
SMOOTHED = f"_walked(lambda state, frame: {STEP}, inputs, initial_state)"
FIXED = "og_leaf.postprocessing:SimpleRNN.forward"
RECURRENCE = "_walked(lambda state, frame: frame @ kernel + state @ recurrent, inputs, initial_state)"
PCEN = "og_leaf.postprocessing:PCENLayer.forward"
ALPHA, ROOT = "self.alpha.clamp(max=1.0)", "self.root.clamp(min=1.0)"
GAIN, COMPRESSED = "(self._floor + smoothed) ** alpha", "(normalised + delta) ** one_over_root - delta**one_over_root"

OF_PCEN: tuple[Fault, ...] = (
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
          Edit(SMOOTHER, COEFFICIENT, "(self._weights.data.clamp_(0.0, 1.0), self._weights)[1]"),
          property="parameter gradient"),
    Fault("og_leaf/smooth-tie-halved", "tie gradients", "PCEN/EMA/smooth", "direct",
          "s is limited by minimum and maximum against tensors: half the gradient at 0 and at 1",
          Edit(SMOOTHER, COEFFICIENT, "torch.minimum(torch.maximum(self._weights, torch.zeros_like(self._weights)), "
                                      "torch.ones_like(self._weights))"), property="parameter gradient"),
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
          Edit(PCEN, ALPHA, "(self.alpha.data.clamp_(max=1.0), self.alpha)[1]"), property="parameter gradient"),
    Fault("og_leaf/alpha-tie-halved", "tie gradients", "PCEN/alpha", "direct",
          "alpha is limited by torch.minimum against ones, as the published port does: half the gradient at 1",
          Edit(PCEN, ALPHA, "torch.minimum(self.alpha, torch.ones_like(self.alpha))"), property="parameter gradient"),
    Fault("og_leaf/root-tie-zeroed", "tie gradients", "PCEN/root", "direct",
          "the root is 1 + relu(root - 1): no gradient at 1",
          Edit(PCEN, ROOT, "(1.0 + torch.relu(self.root - 1.0))"), property="parameter gradient"),
)  # fmt: skip

FRONTEND, FLOORED = "og_leaf.frontend:Leaf.forward", "outputs.clamp(min=1e-05)"
NORM = "og_leaf.postprocessing:InstanceNormalization.forward"
MEAN, VARIANCE = "inputs.mean(dim=-1, keepdim=True)", "((inputs - mean.detach()) ** 2).mean(dim=-1, keepdim=True)"
PROJECTION = "og_leaf.constraints:project_after_step"
POST_HOOK = "optimizer.register_step_post_hook(project)"
BUFFERS = "og_leaf.postprocessing:SimpleRNN.__init__"


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


OF_THE_MODULE: tuple[Fault, ...] = (
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

FAULTS: tuple[Fault, ...] = (*OF_PCEN, *OF_THE_MODULE)
