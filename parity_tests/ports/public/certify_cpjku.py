"""CPJKU/EfficientLEAF: its 1:1 port, its simplified LEAF and EfficientLEAF; importable as ``model``."""

from parity import Port, certify


def original(config, **options):
    from model.OG_leaf import Leaf

    return Leaf(
        n_filters=config.n_filters, sample_rate=config.sample_rate, window_len=config.window_len,
        window_stride=config.window_stride, **options,
    )  # fmt: skip


def compressed(config):
    from model.OG_leaf import PCENLayer

    pcen = PCENLayer(
        input_size=config.n_filters, floor=config.pcen_floor, trainable=True, learn_smooth_coef=True,
        per_channel_smooth_coef=True,
    )  # fmt: skip
    return original(config, compression_fn=pcen, mean_var_norm=config.mean_var_norm)


def simplified(config):
    from model.leaf import PCEN, Leaf

    pcen = PCEN(
        config.n_filters, s=0.04, alpha=0.96, delta=2, r=0.5, eps=config.pcen_floor, learn_logs=False, clamp=1e-5
    )
    return Leaf(**band(config), compression=pcen)


def grouped(config):
    from model.efficientleaf import EfficientLeaf

    return EfficientLeaf(**band(config), num_groups=2, compression="pcen")


def band(config):
    return {
        "n_filters": config.n_filters, "max_freq": min(7800.0, config.sample_rate / 2),
        "sample_rate": config.sample_rate, "window_len": config.window_len, "window_stride": config.window_stride,
    }  # fmt: skip


OF_PCEN = {
    "PCEN/alpha": "compression.alpha", "PCEN/delta": "compression.delta", "PCEN/root": "compression.r",
    "PCEN/EMA/smooth": "compression.s",
}  # fmt: skip
OF_FILTERBANK = {
    "kernel": ("filterbank.center_freqs", "filterbank.bandwidths"),
    "learnable_pooling/kernel": "filterbank.pooling_widths", **OF_PCEN,
}  # fmt: skip
OF_ORIGINAL = {
    "kernel": "_complex_conv._kernel", "learnable_pooling/kernel": "_pooling.kernel",
    "PCEN/alpha": "_compress_fn.alpha", "PCEN/delta": "_compress_fn.delta", "PCEN/root": "_compress_fn.root",
    "PCEN/EMA/smooth": "_compress_fn.ema._weights",
}  # fmt: skip
STAGES = {
    "conv": "_complex_conv", "modulus": "_activation", "pool": "_pooling",
    "floor": "_compress_fn:input", "ema": "_compress_fn.ema", "pcen": "_compress_fn",
}  # fmt: skip

DEFAULT = Port(
    "efficientleaf-og", "og_leaf", original, OF_ORIGINAL, STAGES, configs={"n_filters": 40, "pcen_floor": 1e-12},
)  # fmt: skip
OPTIONS = Port(
    "efficientleaf-og with options", "og_leaf", compressed, stages={**STAGES, "norm": "_instance_norm"}, initial=False,
    parameters={
        **OF_ORIGINAL, "tfbanks_instancenorm/gamma": "_instance_norm.weight",
        "tfbanks_instancenorm/beta": "_instance_norm.bias",
    },
    configs={"mean_var_norm": (False, True)},
)  # fmt: skip
LEAF = Port(
    "efficientleaf-leaf", "leaf", simplified, OF_FILTERBANK, {"pool": "filterbank", "pcen": "compression"},
)  # fmt: skip
GROUPED = Port(
    "efficientleaf-published", "efficientleaf", grouped, OF_FILTERBANK, {"pool": "filterbank", "pcen": "compression"},
    groups={"num_groups": 2}, configs={"pcen_floor": 1e-12},
)  # fmt: skip
TestDefault, TestOptions, TestLeaf, TestGrouped = map(certify, (DEFAULT, OPTIONS, LEAF, GROUPED))
