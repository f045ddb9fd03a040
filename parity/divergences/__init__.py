"""Declare and size every place where two implementations differ on purpose, as data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Divergence:
    """One difference between two implementations.

    Attributes:
        name: as the tests and the certificate call it.
        between: the two implementations.
        kind: ``kept`` (the published behaviour is the default), ``mended`` (ours differs from the published) or
            ``declared`` (neither is wrong; a choice had to be made).
        statement: what differs, down to the operation.
        size: the measure of its size, in words; the certificate has the figure.
        at_least: the smallest size that the test accepts: a divergence that has gone fails as well.
        at_most: the largest.
        source: file of the published implementation.
    """

    name: str
    between: tuple[str, str]
    kind: str
    statement: str
    size: str
    at_least: float
    at_most: float
    source: str


_LEAF = "EfficientLEAF, model/leaf.py"
_EFFICIENT = "EfficientLEAF, model/efficientleaf.py"
_PER_BAND = "mean over the bands of |difference|_2 / |energies of leaf|_2, noise of 16000 samples"
# The sources of EfficientLEAF's error, each with its size in the published settings: between which it lies there.
_SOURCES = {
    "kernel": ("kernels of conv_win_factor sigmas, in the lowest bands longer than LEAF's window and else cut", {
        "default": (1.6e-3, 2.8e-3), "8g": (3.5e-3, 6e-3), "8g-opt": (1e-3, 1.8e-3)}),
    "rate": ("|y|^2 and the pooling window are taken at every stride-th sample: the one is aliased, the other, cut at "
             "4 % of its peak, sums to another area", {
        "default": (7e-4, 1.2e-3), "8g": (1e-3, 1.7e-3), "8g-opt": (0.06, 0.11)}),
    "gain": ("a group at stride s sums s times fewer samples and puts no gain back", {
        "default": (0.48, 0.6), "8g": (0.48, 0.62), "8g-opt": (0.9, 1.1)}),
    "width": ("the pooling width, scaled by K / W where (K - 1) / (W - 1) is meant, is W (K - 1) / (K (W - 1)) of it", {
        "default": (5.5e-3, 9e-3), "8g": (8e-3, 1.3e-2), "8g-opt": (0.09, 0.14)}),
}  # fmt: skip
_ALONE = (
    "mean over the bands of |energies with it - energies without|_2 / |energies of leaf|_2, noise of 16000 samples, "
    "every other source put back but the stride that it comes with"
)


def _breaking(rung: str, short: str) -> tuple[Divergence, ...]:
    """Declare where the original's PCEN ends in NaN or infinity, and leaf's, logarithmic or clamped, does not."""
    between, source = ("leaf", rung), "leaf_audio/postprocessing.py"
    return (
        Divergence(
            f"{short}-delta-through-zero", between, "kept",
            "nothing keeps the original's delta above 0: plain SGD towards louder features takes it from 2 through 0, "
            "and the root of a negative number is NaN; with learn_logs leaf's cannot go below",
            "share of NaN in the output, 100 steps of SGD at 0.2", 1, 1, source),
        Divergence(
            f"{short}-delta-gradient", between, "kept",
            "the gradient to the original's delta grows as delta^(r - 1) and is infinite at 0; leaf's, with "
            "learn_logs, is to log delta, so delta times that, which vanishes",
            "size of one frame's gradient to delta, at delta = 1e-12, r = 1/2 and energy 1", 4.99e5, 5.01e5, source),
        Divergence(
            f"{short}-silence-without-floor", between, "kept",
            "with floor = 0 the original's PCEN divides silence by 0, for the floor of the energies is Leaf's; that of "
            "leaf is PCEN's own clamp (and where neither it nor eps is above 0, leaf divides by 0 as well)",
            "share of NaN in the output over silence, floor and eps 0", 1, 1, source),
    )  # fmt: skip


def _published() -> tuple[Divergence, ...]:
    """Declare every source by itself in every published setting."""
    return tuple(
        Divergence(f"published-{setting}-{name}", ("leaf", "efficientleaf"), "kept",
                   f"{statement}; in the published setting {setting}", _ALONE, low, high, _EFFICIENT)
        for name, (statement, sizes) in _SOURCES.items()
        for setting, (low, high) in sizes.items()
    )  # fmt: skip


DIVERGENCES: tuple[Divergence, ...] = (
    # rungs 0 and 1 against the original and each other
    Divergence(
        "shared-default-compression", ("original", "tf_leaf"), "mended",
        "the original's default PCEN layer is one object, built once, so that a second Leaf of another width cannot be "
        "called; tf_leaf and og_leaf make a layer for each Leaf",
        "frontends of two widths that run in one process, of two", 2, 2, "leaf_audio/frontend.py"),
    Divergence(
        "sub-sample-window", ("original", "tf_leaf"), "mended",
        "a window_len of less than a sample gives the original a window of one, whose pooling is 0/0, and NaN for "
        "features; tf_leaf and og_leaf refuse it",
        "share of NaN in the original's pooling window", 1, 1, "leaf_audio/impulse_responses.py"),
    Divergence(
        "two-channels", ("original", "tf_leaf"), "mended",
        "the original takes [B, T, 2] for a convolution in two groups, half of the filters on either channel; tf_leaf "
        "and og_leaf refuse it",
        "share of the original's convolution outputs that hear the second channel alone", 0.5, 0.5,
        "leaf_audio/convolution.py"),
    Divergence(
        "frozen-penalty", ("original", "tf_leaf"), "declared",
        "Keras 2 lists the regularisation loss of a variable that is not trained, Keras 3 leaves it out: a constant, "
        "which has no gradient, and no frontend gives a regulariser to what it does not learn",
        "losses that a layer lists when it is trained, less those that it lists when it is not", 1, 1,
        "leaf_audio/convolution.py"),
    Divergence(
        "unwritten-output", ("original", "tf_leaf"), "mended",
        "a window that is not padded and lacks less than two hops of signal: TensorFlow's convolutions do not refuse "
        "it, and with oneDNN give memory of the input's length that nothing has written; tf_leaf and og_leaf refuse it",
        "such calls that TensorFlow lets pass and tf_leaf refuses, of one", 1, 1, "leaf_audio/pooling.py"),
    Divergence(
        "no-channels", ("original", "tf_leaf"), "mended",
        "Leaf(n_filters=1, conv1d_cls=SincConv1D): SquaredModulus halves the one channel, and TensorFlow pools the "
        "none that are left to features of width 0; tf_leaf and og_leaf refuse it",
        "such calls that TensorFlow lets pass and tf_leaf refuses, of one", 1, 1, "leaf_audio/frontend.py"),
    Divergence(
        "one-sample-transform", ("original", "tf_leaf"), "mended",
        "fft_conv1d on one sample asks for an inverse transform of no samples, at which TensorFlow ends the process; "
        "tf_leaf and og_leaf refuse it", "signal that ends the process", 6, 6, "leaf_audio/convolution.py"),
    Divergence(
        "spec-augment-one-frame", ("original", "tf_leaf"), "mended",
        "at one frame lingvo limits where the time warp arrives to 0, divides by it and multiplies infinity by 0, and "
        "every feature is NaN; tf_leaf and og_leaf refuse one frame where a warp is asked for (a TensorFlow graph of "
        "unknown length gives the NaN)",
        "share of NaN in the matrix of the warp of one frame", 1, 1, "lingvo 0.14.2, spectrum_augmenter.py"),
    Divergence(
        "spec-augment-ratio", ("original", "tf_leaf"), "declared",
        "the original takes a ratio above 1, with which a mask may be longer than the clip, and one below 0 for off; "
        "tf_leaf and og_leaf refuse both",
        "ratios refused, of one above 1 and one below 0", 2, 2, "lingvo 0.14.2, spectrum_augmenter.py"),
    Divergence(
        "pcen-start", ("original", "tf_leaf"), "declared",
        "the original takes any number as the start of delta, which gives NaN below 0 at a root above 1, and of the "
        "smoothing coefficient, which it clips to [0, 1] where it is learned and lets grow without end where it is "
        "fixed; tf_leaf and og_leaf refuse both",
        "starts refused, of a delta below 0 and coefficients below 0 and above 1", 3, 3,
        "leaf_audio/postprocessing.py"),
    Divergence(
        "projection-after-step", ("tf_leaf", "og_leaf"), "declared",
        "Keras projects mu and sigma back into their box after every optimiser step; og_leaf clamps them in its "
        "forward pass alone, so that one outside has no gradient until something moves it back, unless "
        "og_leaf.project_after_step has made the optimiser project them",
        "share of mu and sigma still outside after a step that leaves the box", 1, 1, "leaf_audio/convolution.py"),
    Divergence(
        "short-transform-gradient", ("tf_leaf", "og_leaf"), "declared",
        "where fft_conv1d has a transform shorter than its filters, these are cut: TensorFlow computes it, and refuses "
        "its gradient; og_leaf gives the gradient of the cut filters",
        "gradients that og_leaf gives and tf_leaf refuses, of one", 1, 1, "leaf_audio/convolution.py"),
    Divergence(
        "gradient-of-a-power-of-a-negative", ("tf_leaf", "og_leaf"), "declared",
        "at root = 1 a negative delta is raised to the power 1: TensorFlow leaves the logarithm of what is not above 0 "
        "out of the power's gradient by its exponent, PyTorch multiplies by its NaN; so too alpha at 1 over negative "
        "inputs",
        "gradients to root that are NaN in og_leaf and finite in tf_leaf, of one, at root = 1, delta = -2, energies "
        "of 0.1", 1, 1, "leaf_audio/postprocessing.py"),
    Divergence(
        "gaussian-tail", ("tf_leaf", "og_leaf"), "declared",
        "TensorFlow makes 0 of every subnormal result; PyTorch computes with them, on an Intel CPU many times as "
        "slowly, so og_leaf makes 0 of a tap below 2^-102, which half a step of 24-bit audio makes subnormal",
        "largest tap that is 0 in og_leaf and not in tf_leaf, a window of 401 taps, width 0.08", 1e-31, 2**-102,
        "leaf_audio/impulse_responses.py"),
    Divergence(
        "maximum-beside-nan", ("tf_leaf", "og_leaf"), "declared",
        "TensorFlow's max pooling leaves a NaN out where another value follows, PyTorch's gives NaN for every window "
        "that holds one: a NaN in the audio is not seen behind SincNet, and is behind og_leaf's",
        "frames that are NaN in og_leaf and a number in tf_leaf, of 4, one NaN under two windows", 2, 2,
        "leaf_audio/pooling.py"),
    Divergence(
        "spec-augment-draws", ("tf_leaf", "og_leaf"), "declared",
        "each draws its warps and masks from its framework's generator: the chances are equal, but an equal seed gives "
        "other numbers",
        "share of 1000 items whose warps and masks differ at equal seeds", 0.98, 1, "leaf_audio/postprocessing.py"),
    Divergence(
        "spec-augment-evaluation", ("tf_leaf", "og_leaf"), "declared",
        "called by itself, tf_leaf.SpecAugment augments always, as the original's does; og_leaf.SpecAugment, a PyTorch "
        "module, in training mode alone. Inside Leaf both augment in training alone",
        "share of features that og_leaf's leaves as they are after .eval()", 1, 1, "leaf_audio/postprocessing.py"),
    # rung 2 against rung 1, and against what is published
    Divergence(
        "default-output", ("og_leaf", "leaf"), "kept",
        "the defaults of the two, each with its own initial weights and alignment",
        "root mean square of the difference over that of the output, noise of 16000 samples", 0.25, 0.45, _LEAF),
    Divergence(
        "pooling-alignment", ("og_leaf", "leaf"), "kept",
        "TensorFlow's SAME pads the pooling 120 samples on the left and 121 on the right at 16000 samples and a hop of "
        "160; simplified LEAF pads 200 on both sides, so its frames lie 80 samples (5 ms) earlier",
        "largest |difference| of the pooled energies over their largest, noise of 16000 samples", 0.25, 0.45, _LEAF),
    Divergence(
        "pooling-alignment-shift", ("og_leaf", "leaf"), "kept",
        "the same shift, located: the offset in samples at which simplified LEAF's frames equal the original's",
        "samples", 80, 80, _LEAF),
    Divergence(
        "even-window", ("og_leaf", "leaf"), "kept",
        "at 22.05 kHz the original's window has 552 samples, simplified LEAF's is made odd: 551",
        "largest |difference| of the pooled energies over their largest, the frames aligned", 2e-3, 3.5e-3, _LEAF),
    Divergence(
        "analytic-init-sigma", ("og_leaf", "leaf"), "kept",
        "simplified LEAF computes the initial sigma from the corners of the mel triangles; the original counts bins of "
        "a 512-point mel matrix",
        "largest of sigma(leaf) / sigma(og_leaf) and its inverse, 40 filters", 1.2, 1.3, _LEAF),
    Divergence(
        "analytic-init-centre", ("og_leaf", "leaf"), "kept",
        "as above, the initial centre frequencies: a corner in Hz against the highest of 257 bins",
        "largest |difference|, rad/sample, 40 filters", 5e-3, 7e-3, _LEAF),
    Divergence(
        "channel-order", ("og_leaf", "leaf"), "kept",
        "the original interleaves real and imaginary parts, simplified LEAF has a block of each; energies are the same",
        "share of the convolution's channels that change place, 4 filters", 0.75, 0.75, _LEAF),
    Divergence(
        "delta-clamp", ("og_leaf", "leaf"), "kept",
        "simplified LEAF clamps delta at 0; the original takes a fractional power of a negative number",
        "share of NaN in the original's output at delta = -0.5, alpha = 0 and energies under 0.5", 1, 1, _LEAF),
    Divergence(
        "smooth-unclipped", ("og_leaf", "leaf"), "kept",
        "the original clips the smoothing coefficient to [0, 1] in its forward pass, simplified LEAF does not",
        "largest |difference| of the smoother over its largest, s = 1.2", 0.15, 0.3, _LEAF),
    Divergence(
        "eps-dtype", ("published leaf", "leaf"), "mended",
        "the published PCEN keeps eps as a float32 tensor that .double() does not reach, and takes its logarithm in "
        "float32; here it is a number in the input's own type",
        "relative error of the published gain in float64, eps = 1e-12 and M = 1e-5", 2.5e-7, 5e-7, _LEAF),
    Divergence(
        "agc-form", ("published leaf", "leaf"), "mended",
        "the published gain is exp(-alpha (log eps + log1p(M / eps))) with up to 31 roundings; here it is "
        "(eps + M)^-alpha with two",
        "largest error of the published form over that of the power, float32, M from 0.5 to 2, eps = 1e-12",
        7, 13, _LEAF),
    Divergence(
        "pool-padding", ("published leaf", "leaf"), "mended",
        "the published pooling pads by half of the *filter*; here by half of the pooling window (equal in Leaf itself)",
        "frames gained at filter_size 401, pool_size 201, 1600 samples", 2, 2, _LEAF),
    Divergence(
        "one-sample-window", ("published leaf", "leaf"), "mended",
        "a window of one sample divides by zero in the published code; here it is 1",
        "value of the window", 1, 1, _LEAF),
    Divergence(
        "subnormal-taps", ("published leaf", "leaf"), "mended",
        "the published filters keep their Gaussian's tail where it is subnormal, with which PyTorch computes many "
        "times as slowly on an Intel CPU; here a tap that half a step of 24-bit audio makes subnormal is 0",
        "subnormal taps of the published initial filters, of 32080", 450, 650, _LEAF),
    *_breaking("tf_leaf", "tf"),
    *_breaking("og_leaf", "og"),
    # rung 3 against rung 2, and against what is published
    Divergence(
        "sigma-clamp", ("leaf", "efficientleaf"), "kept",
        "EfficientLEAF's lower limit of sigma is half of LEAF's",
        "lower limit of leaf over that of efficientleaf", 2.0, 2.0, _EFFICIENT),
    Divergence(
        "projection", ("leaf", "efficientleaf"), "kept",
        "in training EfficientLEAF's forward moves parameters outside the box into it, in place; LEAF clamps a copy",
        "share of outside parameters that a forward in training moved", 1.0, 1.0, _EFFICIENT),
    Divergence(
        "projection-in-eval", ("published efficientleaf", "efficientleaf"), "mended",
        "published: also in evaluation; here evaluation clamps a copy and leaves the state dict as it is",
        "share of outside parameters that a forward in evaluation leaves alone", 1.0, 1.0, _EFFICIENT),
    Divergence(
        "stride-gain", ("leaf", "efficientleaf"), "kept",
        "a group at stride s sums s times fewer samples and puts no gain back",
        "level of the published optimised setting against LEAF's, the farthest band, dB", 20, 26, _EFFICIENT),
    Divergence(
        "kernel-length", ("leaf", "efficientleaf"), "kept",
        "a kernel is conv_win_factor sigmas long, whatever the window: one group at full rate has LEAF's 401 "
        "taps at the default 40 filters, and 717 at 80, where sigma is at its limit",
        "|difference|_2 / |energies of leaf|_2 of the farthest band, 80 filters, one group, noise of 16000 samples",
        0.15, 0.25, _EFFICIENT),
    Divergence(
        "published-default", ("leaf", "efficientleaf"), "kept",
        "pooled energies of the published default (4 groups, 4.77 sigmas, stride factor 1) "
        "against LEAF's with the same weights, as they are",
        _PER_BAND, 0.45, 0.65, _EFFICIENT),
    Divergence(
        "published-default-gained", ("leaf", "efficientleaf"), "kept",
        "as published-default, each band multiplied by its stride: what is left is the approximation",
        _PER_BAND, 6e-3, 1.1e-2, _EFFICIENT),
    Divergence(
        "published-8g", ("leaf", "efficientleaf"), "kept",
        "pooled energies of 8 groups, otherwise the default "
        "against LEAF's with the same weights, as they are",
        _PER_BAND, 0.45, 0.65, _EFFICIENT),
    Divergence(
        "published-8g-gained", ("leaf", "efficientleaf"), "kept",
        "as published-8g, each band multiplied by its stride: what is left is the approximation",
        _PER_BAND, 9e-3, 1.6e-2, _EFFICIENT),
    Divergence(
        "published-8g-opt", ("leaf", "efficientleaf"), "kept",
        "pooled energies of the published optimised setting (8 groups, 6 sigmas, stride factor 16) "
        "against LEAF's with the same weights, as they are",
        _PER_BAND, 0.9, 1.0, _EFFICIENT),
    Divergence(
        "published-8g-opt-gained", ("leaf", "efficientleaf"), "kept",
        "as published-8g-opt, each band multiplied by its stride: what is left is the approximation",
        _PER_BAND, 0.12, 0.2, _EFFICIENT),
    Divergence(
        "pooling-width", ("leaf", "efficientleaf"), "kept",
        "a pooling width on the decimated grid is scaled by K / W where (K - 1) / (W - 1) keeps it",
        "relative error of the width in seconds at window 3 (stride 160)", 0.3, 0.37, _EFFICIENT),
    *_published(),
    Divergence(
        "pooling-span", ("leaf", "efficientleaf"), "kept",
        "of K = int(W / s + 1/2) taps, made odd, two lie beyond LEAF's window where 2 (h mod s) + 1 >= 3 s / 2, h its "
        "half: nowhere in the published settings, but at 44.1 kHz, W = 1103, for strides of 147 and 63",
        _ALONE.replace("mean over the bands", "largest over the bands") + " at 44.1 kHz, published optimised setting",
        0.014, 0.026, _EFFICIENT),
    Divergence(
        "sigma-clamp-energies", ("leaf", "efficientleaf"), "kept",
        "sigma-clamp in the energies: nowhere in the initial weights, but where training has moved sigma to 1 sample, "
        "which LEAF holds at 1.5",
        _ALONE, 0.4, 0.8, _EFFICIENT),
    Divergence(
        "zero-centre", ("published efficientleaf", "efficientleaf"), "mended",
        "a group whose highest centre is 0 divides by zero in the published code; here it takes the largest stride",
        "the stride taken, at a hop of 160", 160, 160, _EFFICIENT),
)  # fmt: skip


def divergence(name: str) -> Divergence:
    """Find the declared divergence of that name.

    Raises:
        KeyError: none has it.
    """
    return {d.name: d for d in DIVERGENCES}[name]
