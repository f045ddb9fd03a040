"""Find frontends by Keras' full names of variables, all that a checkpoint by names and a Keras 2 ``.h5`` file have."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping

import numpy as np

from parity.adapters import canonical
from parity.weights.contents import MOST_VALUES, Contents, StoredArray, joined

# a classifier's own layers may have these names, too: a frontend's only where a Gabor or sinc kernel is there
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
# what training puts beside a model's layers, in Keras 2 and 3
ASIDE = ("optimizer", "save_counter", "keras_api", "metrics", "compile", "loss", "train_", "test_", "predict_", "seed_")
SLOT = re.compile(r"m|v|vhat|momentum|rms|accumulator|velocity")
MODELS = {"leaf": "Leaf", "tfbanks": "TimeDomainFilterbanks", "sincnet": "SincNet", "sincnet_plus": "SincNetPlus"}


class KerasNames(Contents):
    """Variables by Keras' full names; a frontend's share a prefix, except a bare ``kernel``.

    ``names`` pairs full names, with or without ``:0``, with keys of the file; a name may be repeated.
    """

    def __init__(self, arrays: Mapping[str, StoredArray], names: Iterable[tuple[str, str]]) -> None:
        super().__init__(arrays)
        self.keys: dict[str, str] = {}
        self.repeated: list[tuple[str, str]] = []
        self._compared: dict[str, bool] = {}
        for name, key in names:
            plain = name.split(":")[0]
            if plain in self.keys:
                self.repeated.append((plain, key))
            elif not is_training_variable(plain):
                self.keys[plain] = key

    def scopes(self) -> tuple[str, ...]:
        """Find the prefixes of names that only a frontend has."""
        matched = {name: known for name in self.keys if (known := canonical.suffix(name))}
        own = {_prefix(name, known) for name, known in matched.items() if known not in COMMON}
        if not own and any(BARE.fullmatch(name) for name in self.keys):
            own = {_prefix(name, known) for name, known in matched.items()} or {""}
        return tuple(sorted(own))

    def names(self, scope: str) -> dict[str, str]:
        """See :meth:`Contents.names`; the only bare kernel is the frontend's, and several are refused."""
        for name, key in self.repeated:
            inside = not scope or name.startswith(f"{scope}/") or BARE.fullmatch(name)
            if inside and not self._same_value(key, self.keys[name]):
                raise ValueError(f"several variables are called {name!r}; save one frontend")
        if not scope:
            return dict(self.keys)
        found = {n.removeprefix(scope + "/"): key for n, key in self.keys.items() if n.startswith(scope + "/")}
        if not found:
            raise self.no_such_scope(scope)
        bare = [name for name in self.keys if BARE.fullmatch(name)]
        if bare and not any(canonical.suffix(name) == canonical.CONV for name in found):
            if len(bare) > 1:
                raise ValueError(f"{bare} name no frontend; save it by itself, or by objects")
            found[canonical.KERNEL] = self.keys[bare[0]]
        return found

    def hints(self, scope: str) -> dict[str, str]:
        names = self.names(scope)
        known = model_name(joined((scope, name)) for name in names)
        # only the original's own layers, under Keras 2, name their kernel without a scope
        bare = any(BARE.fullmatch(name) for name in self.keys) and canonical.CONV not in map(canonical.suffix, names)
        return {**known, "kernel": "own"} if bare else known

    def _same_value(self, key: str, other: str) -> bool:
        """Tell whether two keys have the same value; arrays larger than any frontend's are not read, and differ."""
        if key not in self._compared:
            one, two = self.arrays[key], self.arrays[other]
            alike = one.shape == two.shape and math.prod(one.shape) * len(self.repeated) <= MOST_VALUES
            self._compared[key] = alike and np.array_equal(one.read(), two.read())
        return self._compared[key]


def is_training_variable(name: str) -> bool:
    """Tell whether a variable is an optimiser's or a counter, by its full name."""
    owner, _, own = name.rpartition("/")
    slot = (canonical.suffix(owner) or BARE.fullmatch(owner)) and (SLOT.fullmatch(own) or OPTIMIZERS.fullmatch(own))
    return bool(OPTIMIZERS.fullmatch(name.split("/")[0]) or COUNTERS.fullmatch(name) or slot)


def is_training_object(name: str) -> bool:
    """Tell whether an attribute or group of a model is a matter of training, by its name."""
    return name.lstrip("_").startswith(ASIDE)


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
