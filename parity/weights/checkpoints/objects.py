"""Object-based TensorFlow checkpoints: the graph of a model's attributes, and the frontends found in it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from parity.weights.checkpoints.bundle import Bundle, fields, last
from parity.weights.checkpoints.contents import Contents, joined
from parity.weights.checkpoints.named import Named, model_name

GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
# the original's attributes, and what hangs from them, to the canonical names; an underscore before the last is left out
ATTRIBUTES = {
    "_preemp_conv/kernel": "tfbanks_preemp/kernel",
    "_complex_conv/kernel": "kernel",
    "_pooling/kernel": "learnable_pooling/kernel",
    "_pooling/pool/kernel": "learnable_pooling/conv2d/kernel",
    "_compress_fn/alpha": "PCEN/alpha",
    "_compress_fn/delta": "PCEN/delta",
    "_compress_fn/root": "PCEN/root",
    "_compress_fn/ema/smooth": "PCEN/EMA/smooth",
    "_compress_fn/ema/weights": "PCEN/EMA/smooth",
    "_compress_fn/ema/cell/kernel": "PCEN/simple_rnn/simple_rnn_cell/kernel",
    "_compress_fn/ema/cell/recurrent_kernel": "PCEN/simple_rnn/simple_rnn_cell/recurrent_kernel",
    "_compress_fn/gamma": "layer_normalization/gamma",
    "_compress_fn/beta": "layer_normalization/beta",
    "_instance_norm/gamma": "tfbanks_instancenorm/gamma",
    "_instance_norm/beta": "tfbanks_instancenorm/beta",
}
MOST_PATHS = 1 << 25  # characters of all paths to objects
OWN = {part for path in ATTRIBUTES for part in path.split("/")[:-1]}
LISTS = ("layer", "variables", "trainable_", "non_trainable_", "all_variables", "tracker", "keras_api")
SIGNATURE = {"_complex_conv", "_pooling", "_activation"}
# what training puts beside a model's layers, in Keras 2 and 3
ASIDE = ("optimizer", "save_counter", "keras_api", "metrics", "compile", "loss", "train_", "test_", "predict_", "seed_")


@dataclass
class Node:
    """An object: its attributes by name, and the key and full name of its value if it is a variable."""

    children: dict[str, int] = field(default_factory=dict)
    key: str = ""
    full_name: str = ""


class Objects(Contents):
    """A checkpoint with an object graph.

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
        """The shortest path of attributes to each frontend."""
        return tuple(path for path, node in self._walk(0) if set(self.nodes[node].children) >= SIGNATURE)

    def names(self, scope: str) -> dict[str, str]:
        """See :meth:`Contents.names`; ``scope`` is any path of attributes, not the shortest alone."""
        start = self._at(scope)
        paths: dict[int, list[str]] = {}
        for path, node in self._all_paths(start):
            if self.nodes[node].key:
                paths.setdefault(node, []).append(path)
        out = {}
        for node, found in paths.items():
            known = [ATTRIBUTES[plain] for plain in map(_plain, found) if plain in ATTRIBUTES]
            out[known[0] if known else found[0]] = self.nodes[node].key
        return out

    def hints(self, scope: str) -> dict[str, str]:
        """See :meth:`Contents.hints`."""
        keys = set(self.names(scope).values())
        known = model_name(node.full_name for node in self.nodes if node.key in keys)
        filters = self.nodes[self._at(scope)].children.get("_complex_conv")
        called = set(self.nodes[filters].children) & {"kernel", "_kernel"} if filters is not None else set()
        # in Keras 2 the original's own layers have it by both names, Keras' own by one; in Keras 3 all by the other
        kernel = {2: "own", 1: "keras"}[len(called)] if "kernel" in called else ""
        return {**known, "kernel": kernel} if kernel else known

    def by_name(self) -> Named:
        """The variables by their full names, where a checkpoint does not tell whose attributes they are.

        A SavedModel that Keras 3 exports is such: it lists the variables of the model and no layers.
        """
        return Named(self.path, self.arrays, ((node.full_name, node.key) for node in self.nodes if node.key))

    def _at(self, scope: str) -> int:
        node = 0
        for part in scope.split("/") if scope else ():
            if part not in self.nodes[node].children:
                raise self.no_scope(scope)
            node = self.nodes[node].children[part]
        return node

    def _walk(self, start: int) -> Iterator[tuple[str, int]]:
        """Every object under one, by its shortest path."""
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
        """Every object under one, by every path of its parents' shortest ones."""
        length = 0
        for path, node in self._walk(start):
            for name, child in self.nodes[node].children.items():
                if not aside(name):
                    length = self._longer(length, path)
                    yield joined((path, name)), child

    def _longer(self, length: int, path: str) -> int:
        """The length of all paths so far; refuses a crafted graph, which makes it the square of its own."""
        if (length := length + len(path)) > MOST_PATHS:
            raise ValueError(f"source={str(self.path)!r}: its graph of objects is too deep to be a model's")
        return length


def aside(name: str) -> bool:
    """Whether an attribute is a matter of training, not of the model."""
    return name.lstrip("_").startswith(ASIDE)


def _preference(child: tuple[str, int]) -> int:
    """Which of an object's names to call it by: the original's own before any other, and lists of layers last."""
    name = child[0]
    if name in OWN:
        return 0
    return 2 if name.lstrip("_").startswith(LISTS) else 1


def _plain(path: str) -> str:
    head, _, name = path.rpartition("/")
    return joined((head, name.lstrip("_")))


def _node(data: bytes) -> Node:
    node, found = Node(), fields(data, {1: bytes, 2: bytes})
    for message in found[1]:
        child = fields(message, {1: int, 2: bytes})
        node.children[_text(child[2])] = last(child[1])
    for message in found[2]:
        attribute = fields(message, {1: bytes, 2: bytes, 3: bytes})
        if _text(attribute[1]) == "VARIABLE_VALUE":
            node.full_name, node.key = _text(attribute[2]), _text(attribute[3])
    return node


def _text(values: list[bytes]) -> str:
    return b"".join(values[-1:]).decode("utf-8")
