"""denfed/leaf-audio-pytorch, which must be importable as ``leaf_audio_pytorch``."""

from parity import Port, certify

LEAF = "leaf_audio_pytorch.frontend:Leaf"


def log(config):
    from leaf_audio_pytorch.postprocessing import log_compression

    return {"compression_fn": log_compression}


PORT = Port("denfed", "og_leaf", LEAF)
# its other options, each a port of its own
LOG = Port("denfed with log compression", "og_leaf", LEAF, arguments=log, configs={"compression": "log"}, initial=False)
NORM = Port(
    "denfed with mean_var_norm and preemp", "og_leaf", LEAF, initial=False,
    configs={"mean_var_norm": (False, True), "preemp": True},
)  # fmt: skip
TestDenfed, TestLog, TestNorm = map(certify, (PORT, LOG, NORM))
