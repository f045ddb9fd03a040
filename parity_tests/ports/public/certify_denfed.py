"""denfed/leaf-audio-pytorch, which must be importable as ``leaf_audio_pytorch``."""

from parity import Port, certify


def build(config, **options):
    from leaf_audio_pytorch.frontend import Leaf

    return Leaf(
        n_filters=config.n_filters, sample_rate=config.sample_rate, window_len=config.window_len,
        window_stride=config.window_stride, **options,
    )  # fmt: skip


PORT = Port(
    "denfed", "og_leaf", build, audio="b1t", configs={"pcen_floor": 1e-12},
    parameters={
        "kernel": "_complex_conv._kernel", "learnable_pooling/kernel": "_pooling._kernel",
        "PCEN/alpha": "_compress_fn.alpha", "PCEN/delta": "_compress_fn.delta", "PCEN/root": "_compress_fn.root",
        "PCEN/EMA/smooth": "_compress_fn.ema._weights",
    },
    stages={
        "conv": "_complex_conv", "modulus": "_activation", "pool": "_pooling",
        "floor": "_compress_fn:input", "ema": "_compress_fn.ema", "pcen": "_compress_fn",
    },
)  # fmt: skip


def log(config):
    from leaf_audio_pytorch.postprocessing import log_compression

    return build(config, compression_fn=log_compression)


def normalised(config):
    return build(config, mean_var_norm=config.mean_var_norm, preemp=config.preemp)


# its other options, each a port of its own
LOG = Port(
    "denfed with log compression", "og_leaf", log, audio="b1t", configs={"compression": "log"},
    parameters={"kernel": "_complex_conv._kernel", "learnable_pooling/kernel": "_pooling._kernel"},
    stages={"conv": "_complex_conv", "modulus": "_activation", "pool": "_pooling"}, initial=False,
)  # fmt: skip
NORM = Port(
    "denfed with mean_var_norm and preemp", "og_leaf", normalised, audio="b1t",
    parameters={
        **PORT.parameters, "tfbanks_instancenorm/gamma": None, "tfbanks_instancenorm/beta": None,
        "tfbanks_preemp/kernel": "_preemp_conv.weight",
    },
    stages=PORT.stages, initial=False,
    configs={"pcen_floor": 1e-12, "mean_var_norm": (False, True), "preemp": True},
)  # fmt: skip
TestDenfed, TestLog, TestNorm = map(certify, (PORT, LOG, NORM))
