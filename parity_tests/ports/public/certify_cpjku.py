"""CPJKU/EfficientLEAF: its 1:1 port, its simplified LEAF and EfficientLEAF; importable as ``model``."""

from parity import Port, certify

FLOORS = (1e-12, 1e-6)


def original(config):
    from model.OG_leaf import PCENLayer

    trained = {"trainable": True, "learn_smooth_coef": True, "per_channel_smooth_coef": True}
    return {"compression_fn": PCENLayer(input_size=config.n_filters, floor=config.pcen_floor, **trained)}


def simplified(config):
    from model.leaf import PCEN

    starts = {"s": 0.04, "alpha": 0.96, "delta": 2, "r": 0.5}
    return {"compression": PCEN(config.n_filters, eps=config.pcen_floor, learn_logs=False, clamp=1e-5, **starts)}


DEFAULT = Port("efficientleaf-og", "og_leaf", "model.OG_leaf:Leaf", configs={"n_filters": 40})
OPTIONS = Port(
    "efficientleaf-og with options", "og_leaf", "model.OG_leaf:Leaf", arguments=original, initial=False,
    configs={"mean_var_norm": (False, True), "pcen_floor": FLOORS},
)  # fmt: skip
LEAF = Port("efficientleaf-leaf", "leaf", "model.leaf:Leaf", arguments=simplified, configs={"pcen_floor": FLOORS})
GROUPED = Port(
    "efficientleaf-published", "efficientleaf", "model.efficientleaf:EfficientLeaf", groups={"num_groups": 2}
)
TestDefault, TestOptions, TestLeaf, TestGrouped = map(certify, (DEFAULT, OPTIONS, LEAF, GROUPED))
