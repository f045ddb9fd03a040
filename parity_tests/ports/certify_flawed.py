from flawed import FlawedLeaf

from parity import Port, certify

PORT = Port(
    name="flawed",
    claims="og_leaf",
    build=lambda config: FlawedLeaf(config.n_filters, config.window, config.stride, config.pcen_floor),
    parameters={
        "kernel": ("gabor.mu", "gabor.sigma"),
        "learnable_pooling/kernel": "pooling.width",
        "PCEN/alpha": "pcen.alpha",
        "PCEN/delta": "pcen.delta",
        "PCEN/root": "pcen.root",
        "PCEN/EMA/smooth": "pcen.smoother.s",
    },
    stages={
        "conv": "gabor",
        "modulus": "energy",
        "pool": "pooling",
        "ema": "pcen.smoother",
    },
    audio="b1t",
    initial=False,
)
TestFlawed = certify(PORT)
