"""Planted faults and benign reformulations: the proof that the certificate can fail, and that it fails for a reason."""

from __future__ import annotations

from functools import cache, partial

from parity.mutation.kinds import KINDS
from parity.mutation.planting import Benign, Fault
from parity.mutation.runner import Bench, Outcome, Probe

__all__ = ["KINDS", "Bench", "Benign", "Fault", "Outcome", "bench", "benign", "faults"]

RUNGS = ("tf_leaf", "og_leaf", "leaf", "efficientleaf")


@cache
def faults() -> tuple[Fault, ...]:
    """Every planted fault, up the ladder; imports torch, and TensorFlow only once one is planted into rung 0."""
    from parity.mutation import efficientleaf, leaf, og_leaf, tf_leaf

    return (*tf_leaf.FAULTS, *og_leaf.FAULTS, *leaf.FAULTS, *efficientleaf.FAULTS)


@cache
def benign() -> tuple[Benign, ...]:
    """Every reformulation that must pass."""
    from parity.mutation import efficientleaf, leaf, og_leaf, tf_leaf

    return (*tf_leaf.BENIGN, *og_leaf.BENIGN, *leaf.BENIGN, *efficientleaf.BENIGN)


@cache
def bench(rung: str) -> Bench:
    """The bench of a rung, with every probe that the suite holds the rung to.

    Raises:
        ValueError: no such rung.
    """
    if rung not in RUNGS:
        raise ValueError(f"rung={rung!r}: must be one of {RUNGS}")
    from parity.mutation.defaults import own
    from parity.probes import training
    from parity.probes.beyond import beyond
    from parity.probes.initial import initial
    from parity.probes.purity import purity
    from parity.probes.ties import ties

    probes: dict[str, Probe] = {name: partial(f, rung) for name, f in (("initial", initial), ("purity", purity))}
    if rung == "efficientleaf":
        from parity.probes.compressions import compressions
        from parity.probes.plans import plans

        probes |= {"plans": plans, "compressions": compressions}
    probes["ties"] = partial(ties, rung)
    if rung in training.STEP_NAMES:
        probes["training"] = partial(training.teacher_forced, rung)
    if rung in training.PROJECTING:
        probes["clamp"] = partial(training.through_the_clamp, rung)
    probes |= {"beyond": partial(beyond, rung), "fresh": partial(own, rung)}
    return Bench(rung, probes, (partial(training.prepare, (rung,)),))
