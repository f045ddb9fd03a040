"""Every fault and reformulation that is planted into ``tf_leaf``.

Rung 0 claims the original's bits where both run in one process; the reformulations mean the same, but round otherwise,
so they pass the criteria of rounding and not that claim.
"""

from __future__ import annotations

from functools import cache

from parity.mutation.planting import Benign, Edit, Fault, Patch, replacing

CONV = "tf_leaf.convolution:GaborConv1D"
MODULUS, MEANS = "tf_leaf.frontend:SquaredModulus.call", "tf.squeeze(means, axis=2)"
POOL = "tf_leaf.pooling:GaussianLowpass.call"
POOLED = "tf.nn.depthwise_conv2d(tf.expand_dims(x, axis=1), windows, strides, self.padding)"
SMOOTHER, STEP = "tf_leaf.postprocessing:ExponentialMovingAverage.call", "w * frame + (1.0 - w) * state"
PCEN, COMPRESSED = (
    "tf_leaf.postprocessing:PCENLayer.call",
    ("(normalised + delta) ** one_over_root - delta**one_over_root"),
)
KERNEL = 'add_weight(self, "kernel", shape, given, check_flag("trainable", trainable), constraint=constraint)'


FAULTS: tuple[Fault, ...] = (
    Fault("tf_leaf/mel-to-nyquist", "hard-coded rate or band edges", "mel", "soundness",
          "the last mel triangle ends at half the sample rate, whatever max_freq says",
          Edit("tf_leaf.melfilters:Gabor.mel_filters", "self.max_freq", "self.sample_rate / 2")),
    Fault("tf_leaf/init-1024-bins", "another n_fft", "init", "soundness",
          "the initial values are measured on 1024 points in place of 512",
          Edit("tf_leaf.initializers:GaborInit.__init__", "512", "1024")),
    Fault("tf_leaf/sigma-floor-halved", "clamp widened by 2", "filters", "direct",
          "sigma may be half of the original's least",
          Edit("tf_leaf.convolution:GaborConstraint.__call__", "4 * per_sample", "2 * per_sample")),
    Fault("tf_leaf/not-projected", "clamp not after the step", "kernel", "direct",
          "the constraint is the layer's own and not the variable's: no optimiser applies it",
          Edit("tf_leaf.convolution:_MonoConv1D._add_weights", KERNEL, "Unprojected(it)"),
          property="training step"),
    Fault("tf_leaf/norm-in-float32", "reduced precision", "filters", "direct",
          "sqrt(2 pi) is a float32 constant whatever the dtype: seen in float64",
          Edit("tf_leaf.impulse_responses:gabor_impulse_response",
               "tf.math.sqrt(tf.constant(2.0 * math.pi, dtype=t.dtype))",
               "tf.cast(tf.math.sqrt(tf.constant(2.0 * math.pi, dtype=tf.float32)), t.dtype)")),
    Fault("tf_leaf/parts-in-blocks", "blocks fed to the pairwise modulus", "conv", "direct",
          "all real parts, then all imaginary ones, while the modulus takes its channels in pairs",
          Edit(f"{CONV}.call", "tf.stack([tf.math.real(filters), tf.math.imag(filters)], axis=1)",
               "tf.stack([tf.math.real(filters), tf.math.imag(filters)], axis=0)")),
    Fault("tf_leaf/modulus-halved", "mean for sum, abs for square", "modulus", "direct",
          "the mean of the two squares in place of their sum", Edit(MODULUS, f"2 * {MEANS}", MEANS)),
    Fault("tf_leaf/window-around-half", "K/2 for (K-1)/2", "windows", "direct",
          "an even window stands around size // 2, half a sample late",
          Edit("tf_leaf.impulse_responses:gaussian_lowpass", "taps - 0.5 * (filter_size - 1)",
               "taps - filter_size // 2")),
    Fault("tf_leaf/pool-centred", "centred padding", "pool", "direct",
          "half a window of zeros on either side in place of SAME's",
          Edit(POOL, POOLED,
               "tf.nn.depthwise_conv2d(tf.pad(x, [[0, 0], [(self.kernel_size - 1) // 2, self.kernel_size // 2], "
               '[0, 0]])[:, tf.newaxis], windows, strides, "VALID")')),
    Fault("tf_leaf/floor-added", "floor as addition", "output", "direct",
          "1e-5 is added to the energies in place of being their least",
          Edit("tf_leaf.frontend:Leaf._features", "tf.maximum(self._pooling(self._activation(filtered)), 1e-5)",
               "self._pooling(self._activation(filtered)) + 1e-5")),
    Fault("tf_leaf/smoother-exchanged", "s and 1-s exchanged", "ema", "direct", "(1 - s) x + s m",
          Edit(SMOOTHER, STEP, "(1.0 - w) * frame + w * state")),
    Fault("tf_leaf/recurrence-from-zero", "ignored initial state", "pcen", "direct",
          "the fixed recurrence is called without its initial state",
          Edit(PCEN, "self.ema(inputs, initial_state=tf.gather(inputs, 0, axis=1))",
               "it if isinstance(self.ema, ExponentialMovingAverage) else self.ema(inputs)")),
    Fault("tf_leaf/minimum-exchanged", "tie gradients", "PCEN/alpha", "direct",
          "minimum(1, alpha) for minimum(alpha, 1): at a tie TensorFlow gives the gradient to the first of the two",
          Edit(PCEN, "tf.math.minimum(tf.convert_to_tensor(self.alpha), 1.0)",
               "tf.math.minimum(1.0, tf.convert_to_tensor(self.alpha))"), property="parameter gradient"),
    Fault("tf_leaf/norm-eps-1e-3", "eps of the norm", "norm", "direct",
          "eps is 1e-3, the default of Keras' normalisations",
          Edit("tf_leaf.postprocessing:InstanceNormalization.__init__",
               'check_real("epsilon", epsilon, at_least=TINY)', "1e-3")),
    Fault("tf_leaf/shared-compression", "shared default module", "output", "status",
          "frontends of one width share the default PCEN layer of the first",
          Patch(replacing("tf_leaf.frontend:_compression", cache), "what is shared needs a place to be kept"),
          property="status"),
)  # fmt: skip

BENIGN: tuple[Benign, ...] = (
    Benign("tf_leaf/sum-of-squares", "re^2 + im^2 in place of twice the mean of the squares",
           "halving and doubling are exact",
           Edit(MODULUS, f"tf.transpose(2 * {MEANS}, perm=[0, 2, 1])", "x[:, :, 0::2] ** 2 + x[:, :, 1::2] ** 2")),
    Benign("tf_leaf/smoother-by-lerp", "m + s (x - m) in place of s x + (1 - s) m", "the same sum, factored",
           Edit(SMOOTHER, STEP, "state + w * (frame - state)"), "ema"),
    Benign("tf_leaf/root-by-expm1", "delta^r expm1(r log1p(v / delta)) in place of a difference of powers",
           "(v + delta)^r = delta^r exp(r log(1 + v / delta)); delta is above 0",
           Edit(PCEN, COMPRESSED,
                "delta**one_over_root * tf.math.expm1(one_over_root * tf.math.log1p(normalised / delta))"), "pcen"),
)  # fmt: skip
