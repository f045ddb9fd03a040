"""Drawn cases by which a survivor is compared with the original, to the bit: outputs, gradients, refusals.

A family draws cases of one kind from a seed; what came of a case is a digest of every array's type, shape and bytes.
Families of ``leaf`` and ``efficientleaf`` are in :mod:`parity.mutation.mutants.drawn`, those of ``og_leaf`` and
``tf_leaf`` are the public names of :mod:`parity.cases`.
"""

from __future__ import annotations

import hashlib
import importlib
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from parity.mutation.mutants import drawn as d

Draw = np.random.Generator
Family = Callable[[int], str]


def families(rung: str) -> dict[str, Family]:
    """The families of a rung by name: each gives the digest of its case of a seed."""
    chosen: tuple[Callable[[Draw], Iterator[Any]], ...]
    if rung == "leaf":
        chosen = (d.leaf, d.bank, d.pcen, d.average, d.stream, d.functions, d.grouped, d.strided)
    elif rung == "efficientleaf":
        chosen = (d.grouped, d.compression, d.grouped_stream)
    else:
        from parity.cases.public_names import PUBLIC

        return {public.name: _subject(rung, public.name) for public in PUBLIC if "forward" in public.properties}
    return {family.__name__: _seeded(family.__name__, family) for family in chosen}


def digest(arrays: Iterable[Any]) -> str:
    """Of arrays or tensors, in order; None counts."""
    found = hashlib.sha256()
    for a in arrays:
        values = None if a is None else np.asarray(a.detach().float() if _narrow(a) else _plain(a))
        found.update(b"None" if values is None else f"{_dtype(a)} {values.shape} ".encode() + values.tobytes())
    return found.hexdigest()


def _narrow(a: Any) -> bool:
    return str(getattr(a, "dtype", "")) in ("torch.bfloat16", "torch.float16")


def _plain(a: Any) -> Any:
    return a.detach().resolve_conj() if hasattr(a, "detach") else a


def _dtype(a: Any) -> str:
    return str(getattr(a, "dtype", type(a).__name__))


def _seeded(name: str, family: Callable[[Draw], Iterator[Any]]) -> Family:
    def run(seed: int) -> str:
        import torch

        rng = np.random.default_rng([seed, *name.encode()])
        torch.manual_seed(seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made: list[Any] = []
            try:
                made.extend(family(rng))
            except Exception as refusal:
                return f"{digest(made)} {type(refusal).__name__}"
        return digest(made)

    return run


def _subject(rung: str, name: str) -> Family:
    """Subjects of a public name, drawn by the strategy of the drawn tests."""

    def run(seed: int) -> str:
        from hypothesis import HealthCheck, Phase, given, settings
        from hypothesis import seed as seeded

        from parity.adapters import subject_tensorflow
        from parity.adapters import subject_torch as torch
        from parity.cases import strategies

        made: list[str] = []
        if rung == "og_leaf":
            importlib.import_module("torch").manual_seed(seed)
        else:
            importlib.import_module("tensorflow").random.set_seed(seed)

        @seeded(seed)
        @settings(
            max_examples=1, database=None, deadline=None, phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @given(subject=strategies.subjects(name))
        def one(subject: Any) -> None:
            dtype = "float64" if seed % 4 == 0 and rung == "og_leaf" else "float32"
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                outcome = torch.run(subject, dtype) if rung == "og_leaf" else subject_tensorflow.run(subject, "tf_leaf")
            made.append(digest(outcome.arrays().values()) + f" {outcome.refused} {outcome.gradient_refused}")

        one()
        return made[-1]

    return run
