"""Rungs 0 and 1 against the original and each other."""

from __future__ import annotations

from parity.divergences.divergence import Divergence

DIVERGENCES: tuple[Divergence, ...] = (
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
)  # fmt: skip
