"""List the original's surprises, what became of each here, and what public ports make of it.

The data behind ``docs/the-originals-quirks.md``. A difference between two rungs is a divergence and has its size in
:mod:`parity.divergences`; a quirk that a one-to-one port must keep is only listed here, and has a test of each rung.
"""

from __future__ import annotations

from dataclasses import dataclass

KEPT, MENDED = "kept", "mended"


@dataclass(frozen=True)
class Quirk:
    """One behaviour of the original.

    Attributes:
        name: as its test is called, ``test_<name>``.
        file: of the original, below ``leaf_audio/``.
        statement: what it does, down to the operation.
        here: ``kept`` (rungs 0 and 1 do the same) or ``mended``.
        reason: why.
        divergence: the declared divergence that sizes it, where it is mended.
    """

    name: str
    file: str
    statement: str
    here: str
    reason: str
    divergence: str | None = None


@dataclass(frozen=True)
class Departure:
    """One way in which a public port is not the original.

    Attributes:
        what: it does.
        size: as measured, or why there is no figure.
    """

    what: str
    size: str


@dataclass(frozen=True)
class Port:
    """A public implementation that calls itself LEAF.

    Attributes:
        name: of the repository or package.
        framework: it is written in.
        looked_at: version or commit.
        departures: what differs.
    """

    name: str
    framework: str
    looked_at: str
    departures: tuple[Departure, ...]


_SAME = "a model trained with the original was trained with it"

QUIRKS: tuple[Quirk, ...] = (
    Quirk("fixed_rate_initialiser", "frontend.py",
          "the default initialiser of the filters is mel-spaced from 60 to 7800 Hz at 16 kHz whatever sample_rate "
          "says, so that at 8 kHz the filters start an octave too low", KEPT, _SAME),
    Quirk("preemphasis_looks_ahead", "initializers.py",
          "the pre-emphasis documented as x[n] - a x[n - 1] is a SAME convolution of two taps, padded at the end: y[n] "
          "= x[n + 1] - a x[n], and -a x[T - 1] at the last sample", KEPT, _SAME),
    Quirk("hann_starts_early", "utils.py",
          "the Hann window is evaluated at n - 1: its first value is that of n = 1, its second is the 0, and its last "
          "is not 0; the Hamming window beside it divides by its length, not by its length less one", KEPT, _SAME),
    Quirk("sinc_filters_of_even_size", "impulse_responses.py",
          "an even size gives size + 1 taps; SincConv1D multiplies them by a window of size taps and fails", KEPT,
          "the same shape, and the same refusal"),
    Quirk("sincnet_knows_one_rate", "frontend.py",
          "SincNet and SincNetPlus pass no sample rate to SincConv1D and SincInit: cutoffs are those of 16 kHz",
          KEPT, _SAME),
    Quirk("tdfbanks_keeps_its_rate", "frontend.py",
          "TimeDomainFilterbanks gives sample_rate to its initialisers and not to Leaf, whose window stays that of 16 "
          "kHz: another rate gives initial windows of another length, which Keras refuses", KEPT, "the same refusal"),
    Quirk("learnable_pooling_is_valid", "pooling.py",
          "LearnablePooling1D ignores padding: no frame hangs over the edge", KEPT, _SAME),
    Quirk("poolings_have_no_bias", "pooling.py", "use_bias of every pooling is ignored", KEPT, _SAME),
    Quirk("fft_convolution_wraps", "convolution.py",
          "fft_conv1d transforms the next power of two of the input's length, without room for the filter, and rolls "
          "by half of the filter less one: one sample away from a SAME convolution, and the end of the input is heard "
          "at its start", KEPT, _SAME),
    Quirk("limits_have_a_gradient", "postprocessing.py",
          "alpha and root are limited by minimum and maximum, mu, sigma and the widths by clipping; TensorFlow's "
          "gradient at the limit is 1, where torch.minimum against a tensor of ones gives one half", KEPT, _SAME),
    Quirk("untrained_pcen_freezes_its_smoother", "postprocessing.py",
          "trainable=False freezes the whole layer in Keras: learn_smooth_coef=True learns nothing then", KEPT, _SAME),
    Quirk("spec_augment_never_draws_its_maximum", "postprocessing.py",
          "lingvo draws the length of a mask from 0 to its maximum less one, and limits it to the clip rather than "
          "drawing a shorter one, so that short clips lose more; the global_seed that the original gives is read by "
          "nothing that is on", KEPT, _SAME),
    Quirk("shared_default_compression", "frontend.py",
          "the default PCEN layer and the default activation are one object for the whole process", MENDED,
          "two frontends of two widths could not exist, and two of one width share weights",
          "shared-default-compression"),
    Quirk("sub_sample_window", "frontend.py",
          "a window of less than a sample is made one, whose pooling window is 0/0", MENDED, "its features are NaN",
          "sub-sample-window"),
    Quirk("two_channels", "convolution.py",
          "two channels are taken for a convolution in two groups", MENDED, "half of the filters hear half of "
          "the input",
          "two-channels"),
)  # fmt: skip

_ALIGNMENT = Departure("pads 200 samples on both sides of the pooling, where TensorFlow pads 120 and 121",
                       "frames 5 ms apart; energies up to 41 % of their largest (noise, 16000 samples)")  # fmt: skip
_HALF = Departure("limits alpha and root by torch.minimum and torch.maximum against tensors",
                  "half of the gradient at alpha = 1 and root = 1")  # fmt: skip
_STAYS = Departure("never projects mu and sigma after a step",
                   "a parameter outside of its box has gradient 0 from then on")  # fmt: skip
_BIAS = Departure("adds a learned bias, initially 1, to every pooled energy",
                  "12 times the mean energy of noise at 0.17 rms; features up to 75 % of their largest")  # fmt: skip

_TRIANGLES = Departure("the mel triangles are straight in Hz, TensorFlow's in mel",
                       "initial sigma of 3 of 40 filters, by 5 to 7 %")  # fmt: skip

PORTS: tuple[Port, ...] = (
    Port("CPJKU/EfficientLEAF, model/OG_leaf.py", "PyTorch", "the newest commit", (
        Departure("forward pass of the default configuration", "none: 1.8e-7 of the largest feature"),
        Departure("the smoother ignores initial_state, and the branch for None is inverted", "none while it is x[0]"),
        Departure("the default PCEN has 40 channels and is shared", "another n_filters fails"),
        _HALF, _STAYS,
        Departure("sort_filters, use_bias, GaborInit of rank 3, pooling with VALID and .double() fail", "an exception"),
        Departure("mean_var_norm refuses one frame; spec_augment is ignored; requires_grad_ is overwritten",
                  "no figure"),
        Departure("only Leaf: no SincNet, TimeDomainFilterbanks, MelFilterbanks", "missing"),
    )),
    Port("SarthakYadav/leaf-pytorch", "PyTorch", "the newest commit", (
        _BIAS, _ALIGNMENT, _HALF, _STAYS,
        _TRIANGLES,
        Departure("pre-emphasis, instance norm, a fixed smoother and GaborInit of rank 3 are not implemented",
                  "an exception"),
    )),
    Port("denfed/leaf-audio-pytorch", "PyTorch", "the newest commit", (
        _ALIGNMENT, _HALF, _STAYS,
        Departure("log_compression adds 1e-6, the original 1e-5",
                  "0.6 at silence, where the floor of the energies is 1e-5"),
        Departure("the smoother ignores initial_state; use_bias and a fixed smoother fail", "an exception"),
        Departure("audio [B, T] is taken for one clip of B channels", "an exception"),
    )),
    Port("speechbrain, speechbrain.lobes.features.Leaf", "PyTorch", "1.1.2, read and not run", (
        _BIAS, _ALIGNMENT, _HALF, _STAYS,
        Departure("the default band ends at half the sample rate, the original's at 7800 Hz",
                  "initial centres up to 0.074 rad/sample apart"),
    )),
    Port("SarthakYadav/audax", "JAX", "the newest commit, read and not run", (
        Departure("only a learned smoother; sort_filter and GaborInit of rank 3 are not implemented", "an exception"),
        _TRIANGLES,
    )),
)  # fmt: skip
