"""SarthakYadav/leaf-pytorch, which must be importable as ``leaf_pytorch``."""

from parity import Port, certify


def build(config):
    from leaf_pytorch.frontend import Leaf

    return Leaf(
        n_filters=config.n_filters, sample_rate=config.sample_rate, window_len=config.window_len,
        window_stride=config.window_stride,
    )  # fmt: skip


PORT = Port(
    "sarthak", "og_leaf", build, audio="b1t", configs={"pcen_floor": 1e-12},
    parameters={
        "kernel": "_complex_conv._kernel", "learnable_pooling/kernel": "_pooling.weights",
        "PCEN/alpha": "_compression.alpha", "PCEN/delta": "_compression.delta", "PCEN/root": "_compression.root",
        "PCEN/EMA/smooth": "_compression.ema._weights",
    },
    stages={
        "conv": "_complex_conv", "modulus": "_activation", "pool": "_pooling",
        "floor": "_compression:input", "ema": "_compression.ema", "pcen": "_compression",
    },
    # the initial band ends at 7800 Hz, which a lower rate does not hold
    holds=lambda config: config.sample_rate >= 16000,
)  # fmt: skip
TestSarthak = certify(PORT)
