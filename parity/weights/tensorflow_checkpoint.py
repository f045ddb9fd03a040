"""Read a TensorFlow checkpoint: find the frontends in its graph of objects, or by the names of its variables."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from parity.adapters import canonical
from parity.weights.contents import Contents, joined, refused_as
from parity.weights.keras_names import KerasNames, is_training_object, model_name
from parity.weights.tensorflow_bundle import MOST_NAMES, Bundle, last_integer, message_fields

GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"


def open_checkpoint(prefix: Path) -> Contents:
    """Open the checkpoint of a prefix; refuse with a ValueError one that TensorFlow 2 does not write."""
    bundle = Bundle(prefix)
    if GRAPH not in bundle.entries:
        return KerasNames(bundle.arrays(), ((key, key) for key in bundle.entries))
    objects = ObjectGraph(bundle)
    # Keras 3's export lists variables without their layers: only names tell the frontend
    by_name = ((node.full_name, node.key) for node in objects.nodes if node.key)
    named = KerasNames(objects.arrays, by_name)
    return named if not objects.scopes() and named.scopes() else objects


def open_folder(path: Path) -> Contents:
    """Open the checkpoint of a SavedModel, or the only one in a folder."""
    saved = path / "variables" / "variables"
    if saved.with_name("variables.index").is_file():
        return open_checkpoint(saved)
    found = sorted(index.with_suffix("") for index in path.glob("*.index"))
    if len(found) != 1:
        names = [prefix.name for prefix in found]
        raise ValueError(f"must hold one checkpoint, holds {names or 'none'}; give the prefix of one")
    return open_checkpoint(found[0])


# canonical names by path of the original's attributes, without an underscore before the last
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
ORIGINALS_ATTRIBUTES = {part for path in ATTRIBUTES for part in path.split("/")[:-1]}
LISTS = ("layer", "variables", "trainable_", "non_trainable_", "all_variables", "tracker", "keras_api")
SIGNATURE = {"_complex_conv", "_pooling", "_activation"}


class Node(NamedTuple):
    """An object: its attributes by name, and the key and full name of its value if it is a variable."""

    children: dict[str, int]
    key: str
    full_name: str


class ObjectGraph(Contents):
    """A checkpoint with a graph of objects: frontends are those with the original's attributes.

    Raises:
        ValueError: the graph is torn.
    """

    def __init__(self, bundle: Bundle) -> None:
        super().__init__(bundle.arrays())
        with refused_as("its graph of objects cannot be read"):
            self.nodes = [_read_node(data) for data in message_fields(bundle.read_text(GRAPH), {1: bytes})[1]]
        reached = [child for node in self.nodes for child in node.children.values()]
        keys = {node.key for node in self.nodes if node.key}
        if not self.nodes or max(reached, default=0) >= len(self.nodes) or not keys <= set(self.arrays):
            raise ValueError("its graph of objects names what is not there")

    def scopes(self) -> tuple[str, ...]:
        """Find the shortest path of attributes to each frontend."""
        return tuple(path for path, node in self._walk(0) if set(self.nodes[node].children) >= SIGNATURE)

    def names(self, scope: str) -> dict[str, str]:
        """See :meth:`Contents.names`; ``scope`` is any path of attributes, not the shortest alone."""
        paths: dict[int, list[str]] = {}
        for path, node in self._walk_all_paths(self._node_at(scope)):
            if self.nodes[node].key:
                paths.setdefault(node, []).append(path)
        out = {}
        for node, found in paths.items():
            known = [ATTRIBUTES[plain] for plain in map(_without_underscore, found) if plain in ATTRIBUTES]
            out[known[0] if known else found[0]] = self.nodes[node].key
        return out

    def hints(self, scope: str) -> dict[str, str]:
        keys = set(self.names(scope).values())
        known = model_name(node.full_name for node in self.nodes if node.key in keys)
        filters = self.nodes[self._node_at(scope)].children.get("_complex_conv")
        called = set(self.nodes[filters].children) & {"kernel", "_kernel"} if filters is not None else set()
        # Keras 2: the original's layers list `kernel` and `_kernel`, Keras' layers only `kernel`.
        # Keras 3: every layer lists only `_kernel`.
        return {**known, "kernel": "own" if len(called) == 2 else "keras"} if "kernel" in called else known

    def _node_at(self, scope: str) -> int:
        node = 0
        for part in scope.split("/") if scope else ():
            if part not in self.nodes[node].children:
                raise self.no_such_scope(scope)
            node = self.nodes[node].children[part]
        return node

    def _walk(self, start: int) -> Iterator[tuple[str, int]]:
        """Walk every object under one, by its shortest path."""
        seen, queue, length = {start}, deque([("", start)]), 0
        while queue:
            path, node = queue.popleft()
            length = self._add_length(length, path)
            yield path, node
            for name, child in sorted(self.nodes[node].children.items(), key=_rank):
                if child not in seen and not is_training_object(name):
                    seen.add(child)
                    queue.append((joined((path, name)), child))

    def _walk_all_paths(self, start: int) -> Iterator[tuple[str, int]]:
        """Walk every object under one, by every name that an object on a shortest path has for it."""
        length = 0
        for path, node in self._walk(start):
            for name, child in self.nodes[node].children.items():
                if not is_training_object(name):
                    length = self._add_length(length, path)
                    yield joined((path, name)), child

    def _add_length(self, length: int, path: str) -> int:
        """Add to the length of all paths; refuse a crafted graph, whose paths are far longer than itself."""
        if (length := length + len(path)) > MOST_NAMES:
            raise ValueError("its graph of objects is too deep to be a model's")
        return length


def _rank(child: tuple[str, int]) -> int:
    """Rank an object's names: the original's own before any other, and lists of layers last."""
    if child[0] in ORIGINALS_ATTRIBUTES:
        return 0
    return 2 if child[0].lstrip("_").startswith(LISTS) else 1


def _without_underscore(path: str) -> str:
    head, _, name = path.rpartition("/")
    return joined((head, name.lstrip("_")))


def _read_node(data: bytes) -> Node:
    found = message_fields(data, {1: bytes, 2: bytes})
    children, key, full_name = {}, "", ""
    for message in found[1]:
        child = message_fields(message, {1: int, 2: bytes})
        children[_decode_last(child[2])] = last_integer(child[1])
    for message in found[2]:
        attribute = message_fields(message, {1: bytes, 2: bytes, 3: bytes})
        if _decode_last(attribute[1]) == "VARIABLE_VALUE":
            full_name, key = _decode_last(attribute[2]), _decode_last(attribute[3])
    return Node(children, key, full_name)


def _decode_last(values: list[bytes]) -> str:
    return b"".join(values[-1:]).decode("utf-8")
