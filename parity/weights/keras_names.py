"""Variables by Keras' full names alone, as a checkpoint by names and a Keras 2 ``.h5`` file hold them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from parity.adapters import canonical
from parity.weights.contents import MOST_VALUES, Contents, StoredArray, joined

# what a classifier's own layers may be called as well: no sign of a frontend, unless a Gabor or sinc kernel is there
COMMON = (canonical.NORM_GAMMA, canonical.NORM_BETA)
BARE = re.compile(r"kernel(_\d+)?")
OPTIMIZERS = re.compile(
    r"(training|optimizer|adam|adamw|adamax|adafactor|adagrad|adadelta|ftrl|nadam|rmsprop|sgd|lion|momentum"
    r"|gradientdescent)(_\d+)?",
    re.IGNORECASE,
)
COUNTERS = re.compile(
    r"(iter|iterations?|learning_rate|decay|beta_?[12](_power)?|global_step|save_counter|rho|momentum|epsilon|total"
    r"|count)(_\d+)?",
    re.IGNORECASE,
)
SLOT = re.compile(r"m|v|vhat|momentum|rms|accumulator|velocity")
MODELS = {"leaf": "Leaf", "tfbanks": "TimeDomainFilterbanks", "sincnet": "SincNet", "sincnet_plus": "SincNetPlus"}


class Named(Contents):
    """Variables by Keras' full names; a frontend's share a prefix, but for the kernels that carry none.

    ``names`` are full names, with or without ``:0``, and their keys in the file; a name may come again.
    """

    def __init__(self, path: Path, arrays: Mapping[str, StoredArray], names: Iterable[tuple[str, str]]) -> None:
        super().__init__(path, arrays)
        self.keys: dict[str, str] = {}
        self.again: list[tuple[str, str]] = []
        self._compared: dict[str, bool] = {}
        for name, key in names:
            plain = name.split(":")[0]
            if plain in self.keys:
                self.again.append((plain, key))
            elif not of_training(plain):
                self.keys[plain] = key

    def scopes(self) -> tuple[str, ...]:
        """Find the prefixes of names that only a frontend has."""
        matched = {name: known for name in self.keys if (known := canonical.suffix(name))}
        own = {_prefix(name, known) for name, known in matched.items() if known not in COMMON}
        if not own and any(BARE.fullmatch(name) for name in self.keys):
            own = {_prefix(name, known) for name, known in matched.items()} or {""}
        return tuple(sorted(own))

    def names(self, scope: str) -> dict[str, str]:
        """See :meth:`Contents.names`; a kernel without a prefix goes to the only frontend, several to none."""
        for name, key in self.again:
            inside = not scope or name.startswith(f"{scope}/") or BARE.fullmatch(name)
            if inside and not self._same(key, self.keys[name]):
                raise ValueError(f"source={str(self.path)!r}: several variables are called {name!r}; save one frontend")
        if not scope:
            return dict(self.keys)
        found = {n.removeprefix(scope + "/"): key for n, key in self.keys.items() if n.startswith(scope + "/")}
        if not found:
            raise self.no_scope(scope)
        bare = [name for name in self.keys if BARE.fullmatch(name)]
        if bare and not any(canonical.suffix(name) == canonical.CONV for name in found):
            if len(bare) > 1:
                raise ValueError(
                    f"source={str(self.path)!r}: {bare} name no frontend; save it by itself, or by objects"
                )
            found[canonical.KERNEL] = self.keys[bare[0]]
        return found

    def hints(self, scope: str) -> dict[str, str]:
        names = self.names(scope)
        known = model_name(joined((scope, name)) for name in names)
        # the original's own layers name their kernel without a scope, Keras 3 and Keras' own layers never
        bare = any(BARE.fullmatch(name) for name in self.keys) and canonical.CONV not in map(canonical.suffix, names)
        return {**known, "kernel": "own"} if bare else known

    def _same(self, key: str, other: str) -> bool:
        """Tell whether two keys have the same value; of more values than a frontend has, it is not looked at."""
        if key not in self._compared:
            one, two = self.arrays[key], self.arrays[other]
            alike = one.shape == two.shape and math.prod(one.shape) * len(self.again) <= MOST_VALUES
            self._compared[key] = alike and np.array_equal(one.read(), two.read())
        return self._compared[key]


def of_training(name: str) -> bool:
    """Tell whether a variable is an optimiser's or a counter, by its full name."""
    owner, _, own = name.rpartition("/")
    slot = (canonical.suffix(owner) or BARE.fullmatch(owner)) and (SLOT.fullmatch(own) or OPTIMIZERS.fullmatch(own))
    return bool(OPTIMIZERS.fullmatch(name.split("/")[0]) or COUNTERS.fullmatch(name) or slot)


def model_name(full_names: Iterable[str]) -> dict[str, str]:
    """Tell the frontend by the original's own model name, from its variables' full names."""
    for name in full_names:
        known = canonical.suffix(name)
        model = re.sub(r"_\d+$", "", _prefix(name, known).split("/")[-1]) if known else ""
        if model in MODELS:
            return {"frontend": MODELS[model]}
    return {}


def _prefix(name: str, known: str) -> str:
    """Return what stands before a known name; the number that Keras gives a layer counts as none of it."""
    parts = name.split("/")
    return joined(parts[: len(parts) - len(known.split("/"))])
