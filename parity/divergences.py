"""Where two rungs are *not* the same function: declared, sized, and tested. None is silent."""

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

DIVERGENCES: tuple[Divergence, ...] = (
    Divergence(
        "shared-default-compression", ("original", "tf_leaf"), "mended",
        "the original's default PCEN layer is one object, built once, so that a second Leaf of another width cannot be "
        "called; tf_leaf and og_leaf make a layer for each Leaf",
        "frontends of two widths that run in one process, of two", 2, 2, "leaf_audio/frontend.py"),
    Divergence(
        "pooling-alignment", ("og_leaf", "leaf"), "kept",
        "TensorFlow's SAME pads the pooling 120 samples on the left and 121 on the right at 16000 samples and a hop of "
        "160; simplified LEAF pads 200 on both sides, so its frames lie 80 samples (5 ms) earlier",
        "largest |difference| of the pooled energies over their largest, noise of 16000 samples", 0.05, 1.0, _LEAF),
    Divergence(
        "pooling-alignment-shift", ("og_leaf", "leaf"), "kept",
        "the same shift, located: the offset in samples at which simplified LEAF's frames equal the original's",
        "samples", 80, 80, _LEAF),
    Divergence(
        "even-window", ("og_leaf", "leaf"), "kept",
        "at 22.05 kHz the original's window has 552 samples, simplified LEAF's is made odd: 551",
        "largest |difference| of the pooled energies over their largest, the frames aligned", 1e-3, 5e-2, _LEAF),
    Divergence(
        "analytic-init-sigma", ("og_leaf", "leaf"), "kept",
        "simplified LEAF computes the initial sigma from the corners of the mel triangles; the original counts bins of "
        "a 512-point mel matrix",
        "largest of sigma(leaf) / sigma(og_leaf) and its inverse, 40 filters", 1.1, 1.3, _LEAF),
    Divergence(
        "analytic-init-centre", ("og_leaf", "leaf"), "kept",
        "as above, the initial centre frequencies: a corner in Hz against the highest of 257 bins",
        "largest |difference|, rad/sample, 40 filters", 2e-3, 7e-3, _LEAF),
    Divergence(
        "channel-order", ("og_leaf", "leaf"), "kept",
        "the original interleaves real and imaginary parts, simplified LEAF has a block of each; energies are the same",
        "share of the convolution's channels that change place, 4 filters", 0.5, 1.0, _LEAF),
    Divergence(
        "delta-clamp", ("og_leaf", "leaf"), "kept",
        "simplified LEAF clamps delta at 0; the original takes a fractional power of a negative number",
        "share of NaN in the original's output at delta = -0.5, alpha = 0 and weak input", 0.5, 1.0, _LEAF),
    Divergence(
        "smooth-unclipped", ("og_leaf", "leaf"), "kept",
        "the original clips the smoothing coefficient to [0, 1] in its forward pass, simplified LEAF does not",
        "largest |difference| of the smoother over its largest, s = 1.2", 0.05, 1e3, _LEAF),
    Divergence(
        "eps-dtype", ("published leaf", "leaf"), "mended",
        "the published PCEN keeps eps as a float32 tensor that .double() does not reach; here it is a number in the "
        "input's own type",
        "relative error that float32 eps = 1e-6 makes in a float64 gain over silence", 1e-9, 1e-7, _LEAF),
    Divergence(
        "agc-form", ("published leaf", "leaf"), "mended",
        "the published gain is exp(-alpha (log eps + log1p(M / eps))) with up to 31 roundings; here it is "
        "(eps + M)^-alpha with two",
        "error of the published form over that of the power, float32, M = 1 and eps = 1e-12", 2, 200, _LEAF),
    Divergence(
        "pool-padding", ("published leaf", "leaf"), "mended",
        "the published pooling pads by half of the *filter*; here by half of the pooling window (equal in Leaf itself)",
        "frames gained at filter_size 401, pool_size 201, 1600 samples", 1, 3, _LEAF),
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
        "level of the published 8-group setting against LEAF's, the farthest band, dB", 15, 25, _EFFICIENT),
    Divergence(
        "pooling-width", ("leaf", "efficientleaf"), "kept",
        "a pooling width on the decimated grid is scaled by K / W where (K - 1) / (W - 1) keeps it",
        "relative error of the width in seconds at window 3 (stride 160)", 0.2, 0.4, _EFFICIENT),
    Divergence(
        "zero-centre", ("published efficientleaf", "efficientleaf"), "mended",
        "a group whose highest centre is 0 divides by zero in the published code; here it takes the largest stride",
        "the stride taken, at a hop of 160", 160, 160, _EFFICIENT),
    Divergence(
        "one-sample-window", ("published leaf", "leaf"), "mended",
        "a window of one sample is 0/0 in the published code; here it is 1",
        "value of the window", 1, 1, _LEAF),
)  # fmt: skip


def divergence(name: str) -> Divergence:
    """The declared divergence of that name.

    Raises:
        KeyError: none has it.
    """
    return {d.name: d for d in DIVERGENCES}[name]
