"""The frontends in a TensorFlow checkpoint, by its objects or by the names of its variables."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from parity.adapters import canonical
from parity.weights.contents import Contents, joined
from parity.weights.keras_names import Named, model_name
from parity.weights.tensorflow_bundle import MOST_NAMES, Bundle, fields, last

GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"


def checkpoint(prefix: Path) -> Contents:
    """Open the checkpoint of a prefix; refuse with a ValueError one that TensorFlow 2 does not write."""
    bundle = Bundle(prefix)
    if GRAPH not in bundle.entries:
        return Named(prefix, bundle.arrays(), ((key, key) for key in bundle.entries))
    objects = Objects(bundle)
    # a model that Keras 3 exported lists its variables without the layers that they belong to
    by_name = ((node.full_name, node.key) for node in objects.nodes if node.key)
    named = Named(prefix, objects.arrays, by_name)
    return named if not objects.scopes() and named.scopes() else objects


def in_folder(path: Path) -> Contents:
    """Open the checkpoint of a SavedModel, or the only one in a folder."""
    saved = path / "variables" / "variables"
    if saved.with_name("variables.index").is_file():
        return checkpoint(saved)
    found = sorted(index.with_suffix("") for index in path.glob("*.index"))
    if len(found) != 1:
        names = [prefix.name for prefix in found]
        raise ValueError(
            f"source={str(path)!r}: must hold one checkpoint, holds {names or 'none'}; give the prefix of one"
        )
    return checkpoint(found[0])


# the original's attributes, and what hangs from them, to the canonical names; an underscore before the last is left out
ATTRIBUTES = {
    "_preemp_conv/kernel": canonical.PREEMP,
    "_complex_conv/kernel": canonical.KERNEL,
    "_pooling/kernel": canonical.POOLING,
    "_pooling/pool/kernel": canonical.POOLING_2D,
    "_compress_fn/alpha": canonical.ALPHA,
    "_compress_fn/delta": canonical.DELTA,
    "_compress_fn/root": canonical.ROOT,
    "_compress_fn/ema/smooth": canonical.SMOOTH,
    "_compress_fn/ema/weights": canonical.SMOOTH,
    "_compress_fn/ema/cell/kernel": canonical.RNN_KERNEL,
    "_compress_fn/ema/cell/recurrent_kernel": canonical.RNN_RECURRENT,
    "_compress_fn/gamma": canonical.NORM_GAMMA,
    "_compress_fn/beta": canonical.NORM_BETA,
    "_instance_norm/gamma": canonical.GAMMA,
    "_instance_norm/beta": canonical.BETA,
}
OWN = {part for path in ATTRIBUTES for part in path.split("/")[:-1]}
LISTS = ("layer", "variables", "trainable_", "non_trainable_", "all_variables", "tracker", "keras_api")
SIGNATURE = {"_complex_conv", "_pooling", "_activation"}
# what training puts beside a model's layers, in Keras 2 and 3
ASIDE = ("optimizer", "save_counter", "keras_api", "metrics", "compile", "loss", "train_", "test_", "predict_", "seed_")


class Node(NamedTuple):
    """An object: its attributes by name, and the key and full name of its value if it is a variable."""

    children: dict[str, int]
    key: str
    full_name: str


class Objects(Contents):
    """A checkpoint with a graph of objects, each with its attributes: frontends are told by those of the original.

    Raises:
        ValueError: the graph is torn.
    """

    def __init__(self, bundle: Bundle) -> None:
        super().__init__(bundle.prefix, bundle.arrays())
        try:
            self.nodes = [_node(data) for data in fields(bundle.text(GRAPH), {1: bytes})[1]]
        except ValueError as error:
            raise ValueError(f"source={str(self.path)!r}: its graph of objects cannot be read ({error})") from error
        reached = [child for node in self.nodes for child in node.children.values()]
        keys = {node.key for node in self.nodes if node.key}
        if not self.nodes or max(reached, default=0) >= len(self.nodes) or not keys <= set(self.arrays):
            raise ValueError(f"source={str(self.path)!r}: its graph of objects names what is not there")

    def scopes(self) -> tuple[str, ...]:
        """Find the shortest path of attributes to each frontend."""
        return tuple(path for path, node in self._walk(0) if set(self.nodes[node].children) >= SIGNATURE)

    def names(self, scope: str) -> dict[str, str]:
        """See :meth:`Contents.names`; ``scope`` is any path of attributes, not the shortest alone."""
        paths: dict[int, list[str]] = {}
        for path, node in self._all_paths(self._at(scope)):
            if self.nodes[node].key:
                paths.setdefault(node, []).append(path)
        out = {}
        for node, found in paths.items():
            known = [ATTRIBUTES[plain] for plain in map(_plain, found) if plain in ATTRIBUTES]
            out[known[0] if known else found[0]] = self.nodes[node].key
        return out

    def hints(self, scope: str) -> dict[str, str]:
        keys = set(self.names(scope).values())
        known = model_name(node.full_name for node in self.nodes if node.key in keys)
        filters = self.nodes[self._at(scope)].children.get("_complex_conv")
        called = set(self.nodes[filters].children) & {"kernel", "_kernel"} if filters is not None else set()
        # in Keras 2 the original's own layers have it by both names, Keras' own by one; in Keras 3 all by the other
        return {**known, "kernel": "own" if len(called) == 2 else "keras"} if "kernel" in called else known

    def _at(self, scope: str) -> int:
        node = 0
        for part in scope.split("/") if scope else ():
            if part not in self.nodes[node].children:
                raise self.no_scope(scope)
            node = self.nodes[node].children[part]
        return node

    def _walk(self, start: int) -> Iterator[tuple[str, int]]:
        """Walk every object under one, by its shortest path."""
        seen, queue, length = {start}, deque([("", start)]), 0
        while queue:
            path, node = queue.popleft()
            length = self._longer(length, path)
            yield path, node
            for name, child in sorted(self.nodes[node].children.items(), key=_preference):
                if child not in seen and not aside(name):
                    seen.add(child)
                    queue.append((joined((path, name)), child))

    def _all_paths(self, start: int) -> Iterator[tuple[str, int]]:
        """Walk every object under one, by every path of its parents' shortest ones."""
        length = 0
        for path, node in self._walk(start):
            for name, child in self.nodes[node].children.items():
                if not aside(name):
                    length = self._longer(length, path)
                    yield joined((path, name)), child

    def _longer(self, length: int, path: str) -> int:
        """Add to the length of all paths; refuse a crafted graph, which makes it the square of its own."""
        if (length := length + len(path)) > MOST_NAMES:
            raise ValueError(f"source={str(self.path)!r}: its graph of objects is too deep to be a model's")
        return length


def aside(name: str) -> bool:
    """Tell whether an attribute is a matter of training, not of the model."""
    return name.lstrip("_").startswith(ASIDE)


def _preference(child: tuple[str, int]) -> int:
    """Rank an object's names: the original's own before any other, and lists of layers last."""
    if child[0] in OWN:
        return 0
    return 2 if child[0].lstrip("_").startswith(LISTS) else 1


def _plain(path: str) -> str:
    head, _, name = path.rpartition("/")
    return joined((head, name.lstrip("_")))


def _node(data: bytes) -> Node:
    found = fields(data, {1: bytes, 2: bytes})
    children, key, full_name = {}, "", ""
    for message in found[1]:
        child = fields(message, {1: int, 2: bytes})
        children[_text(child[2])] = last(child[1])
    for message in found[2]:
        attribute = fields(message, {1: bytes, 2: bytes, 3: bytes})
        if _text(attribute[1]) == "VARIABLE_VALUE":
            full_name, key = _text(attribute[2]), _text(attribute[3])
    return Node(children, key, full_name)


def _text(values: list[bytes]) -> str:
    return b"".join(values[-1:]).decode("utf-8")
