"""Planted faults and benign changes: the proof that the certificate can fail, how finely it sees, and on what it fails.

Imports nothing by itself, because mutants of a rung must be in place before the rung is imported.
"""

from __future__ import annotations

from functools import cache, partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from parity.mutation.planting import Benign, Fault
    from parity.mutation.runner import Check, MutationRunner

RUNGS = ("tf_leaf", "og_leaf", "leaf", "efficientleaf")


def faults() -> tuple[Fault, ...]:
    """Every planted fault, up the ladder; a rung is imported once a fault is planted into it."""
    from parity.mutation import efficientleaf, leaf, og_leaf, tf_leaf

    return (*tf_leaf.FAULTS, *og_leaf.FAULTS, *leaf.FAULTS, *efficientleaf.FAULTS)


def benign() -> tuple[Benign, ...]:
    """Every reformulation that must pass."""
    from parity.mutation import efficientleaf, leaf, og_leaf_benign, tf_leaf

    return (*tf_leaf.BENIGN, *og_leaf_benign.BENIGN, *leaf.BENIGN, *efficientleaf.BENIGN)


@cache
def mutation_runner(rung: str) -> MutationRunner:
    """The runner of a rung, with every check that the suite holds the rung to.

    Raises:
        ValueError: no such rung.
    """
    if rung not in RUNGS:
        raise ValueError(f"rung={rung!r}: must be one of {RUNGS}")
    from parity.checks import training
    from parity.checks.initial import initial
    from parity.checks.nonfinite import nonfinite
    from parity.checks.purity import purity
    from parity.checks.ties import ties
    from parity.mutation.detectors import own
    from parity.mutation.runner import MutationRunner

    checks: dict[str, Check] = {name: partial(f, rung) for name, f in (("initial", initial), ("purity", purity))}
    if rung == "efficientleaf":
        from parity.checks.compressions import compressions
        from parity.checks.plans import plans

        checks |= {"plans": plans, "compressions": compressions}
    checks["ties"] = partial(ties, rung)
    if rung in training.STEP_NAMES:
        checks["training"] = partial(training.teacher_forced, rung)
    if rung in training.PROJECTING:
        checks["clamp"] = partial(training.through_the_clamp, rung)
    checks |= {"nonfinite": partial(nonfinite, rung), "defaults": partial(own, rung)}
    return MutationRunner(rung, checks, (partial(training.prepare, (rung,)),))
