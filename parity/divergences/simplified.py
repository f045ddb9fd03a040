"""Rung 2 against rung 1, and against what is published."""

from __future__ import annotations

from parity.divergences.divergence import Divergence

_LEAF = "EfficientLEAF, model/leaf.py"


def _breaking(rung: str, short: str) -> tuple[Divergence, ...]:
    """Where the original's PCEN ends in NaN or infinity and leaf's, with ``learn_logs`` or its own clamp, does not."""
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


DIVERGENCES: tuple[Divergence, ...] = (
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
    *_breaking("tf_leaf", "tf"),
    *_breaking("og_leaf", "og"),
)  # fmt: skip
