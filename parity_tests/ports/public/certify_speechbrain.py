"""SpeechBrain's ``speechbrain.lobes.features.Leaf``."""

from parity import Port, certify


def build(config):
    from speechbrain.lobes.features import Leaf

    return Leaf(
        config.n_filters, window_len=config.window_len, window_stride=config.window_stride,
        sample_rate=config.sample_rate, in_channels=1,
    )  # fmt: skip


PORT = Port(
    "speechbrain", "og_leaf", build, configs={"pcen_floor": 1e-12},
    parameters={
        "kernel": "complex_conv.kernel", "learnable_pooling/kernel": "pooling.weights",
        "PCEN/alpha": "compression.alpha", "PCEN/delta": "compression.delta", "PCEN/root": "compression.root",
        "PCEN/EMA/smooth": "compression.ema._weights",
    },
    stages={
        "conv": "complex_conv", "modulus": "pooling:input", "pool": "pooling",
        "floor": "compression:input", "ema": "compression.ema", "pcen": "compression",
    },
)  # fmt: skip
TestSpeechBrain = certify(PORT)
