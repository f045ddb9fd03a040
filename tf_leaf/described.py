"""What every layer of this rung tells Keras 3 of itself: its configuration, what it does with masks, its dtypes.

- A configuration holds the constructor's arguments. What no configuration can hold, such as a function that is not
  registered with Keras, is refused by name when one is asked for.
- Layers compute in their own ``dtype``, ``"float32"`` (the default) or ``"float64"``, whatever Keras' global policy
  says, hold their variables in it and return it; Keras casts floating inputs to it. So a frontend in a model of mixed
  precision stays in float32: in half precision its energies would be flushed.
- A mask over time passes the layers that treat each sample or frame by itself. Elsewhere it would have to become one
  over frames, or be heeded by a window, a smoother or a mean: there it is refused.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable
from types import FunctionType, MappingProxyType
from typing import Any, TypeVar

import keras
import numpy as np

from tf_leaf.checks import check_dtype, number

PACKAGE = "tf_leaf"
T = TypeVar("T")


def registered(named: T) -> T:
    """Registers a class or function with Keras, as ``tf_leaf>its name``."""
    register: Callable[[T], T] = keras.saving.register_keras_serializable(package=PACKAGE)
    return register(named)


class Unmasked:
    """A layer that refuses masks, but for one whose ``passes_masks`` is true."""

    passes_masks = False

    def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:
        """The mask, where it passes.

        Raises:
            ValueError: a mask, where it does not.
        """
        if previous_mask is not None and not self.passes_masks:
            raise ValueError(
                f"mask: {type(self).__name__} has no use for a mask over time, must be none; take it off "
                "its input, and give the layers after it one over frames"
            )
        return previous_mask


class Described(Unmasked):
    """A layer that keeps its constructor's arguments for its configuration; to stand before Keras' class."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        layer = super().__new__(cls, *args, **kwargs)
        signature = inspect.signature(cls.__init__)
        try:
            bound = signature.bind(layer, *args, **kwargs)
        except TypeError:  # which __init__ itself is going to say
            return layer
        bound.apply_defaults()
        given = dict(list(bound.arguments.items())[1:])
        open_ended = [p.name for p in signature.parameters.values() if p.kind is p.VAR_KEYWORD]
        for name in open_ended:
            given.update(given.pop(name))
        accepted = {"name", "dtype"} if open_ended else {"name", "dtype"} & set(given)
        if given.get("dtype") is not None:
            check_dtype(given["dtype"])
        # no dictionary, in which Keras would look for layers to save
        object.__setattr__(layer, "_given", MappingProxyType({**dict.fromkeys(accepted), **given}))
        return layer

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, and ``frozen`` where ``trainable`` has been turned off since.

        Raises:
            ValueError: an argument that no configuration holds; says which, and what to do.
        """
        own: Any = self
        config = {name: _written(f"{type(self).__name__}: {name}", value) for name, value in own._given.items()}
        for name, value in (("name", own.name), ("dtype", own.dtype_policy.name)):
            if name in config:
                config[name] = value
        if not own.trainable and config.get("trainable", True):
            config["frozen"] = True
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """A layer of this configuration, with new weights."""
        arguments = {name: _read(value) for name, value in config.items() if name != "frozen"}
        if isinstance(arguments.get("dtype"), keras.dtype_policies.DTypePolicy):
            arguments["dtype"] = arguments["dtype"].name
        layer: Any = cls(**arguments)
        if config.get("frozen"):
            layer.trainable = False
        return layer


def _written(name: str, value: Any) -> Any:
    """An argument as a configuration holds it."""
    if isinstance(value, np.bool_):
        value = bool(value)
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    with contextlib.suppress(TypeError):  # any other number that the constructors take
        return number(value)
    if isinstance(value, (list, tuple)):
        return [_written(name, item) for item in value]
    if isinstance(value, dict):
        return {key: _written(name, item) for key, item in value.items()}
    known = value if isinstance(value, (type, FunctionType)) else type(value)
    held = keras.saving.get_registered_name(known)
    if keras.saving.get_registered_object(held) is not known:
        held = _of_keras(known)
    if not held:
        raise ValueError(
            f"{name}={value!r}: no configuration holds it; register it with "
            "keras.saving.register_keras_serializable(), or save the weights alone, by save_weights('x.weights.h5') or "
            "tf.train.Checkpoint, and build the layer again to load them"
        )
    if isinstance(value, type):
        return {"class_name": "__class__", "config": held}
    return keras.saving.serialize_keras_object(value)


def _of_keras(known: Any) -> str:
    """The path of a class or function of Keras that can be read back, or nothing."""
    name = getattr(known, "__name__", "")
    for module in ("layers", "initializers", "regularizers", "constraints", "activations"):
        if getattr(getattr(keras, module), name, None) is known:
            return f"keras.{module}.{name}"
    return "keras.DTypePolicy" if known is keras.dtype_policies.DTypePolicy else ""


def _read(value: Any) -> Any:
    """What :func:`_written` has made, back."""
    if isinstance(value, list):
        return [_read(item) for item in value]
    if not isinstance(value, dict):
        return value
    if value.get("class_name") == "__class__":
        return _class(str(value["config"]))
    if "class_name" in value:
        return keras.saving.deserialize_keras_object(value)
    return {key: _read(item) for key, item in value.items()}


def _class(name: str) -> Any:
    parts = name.split(".")
    found = keras.saving.get_registered_object(name)
    if found is None and len(parts) == 3 and parts[0] == "keras":  # no more than Keras' own layers
        found = getattr(keras.layers, parts[2], None) if parts[1] == "layers" else None
    if not isinstance(found, type):
        raise ValueError(f"class {name!r} of a configuration: must be registered with Keras before it is read")
    return found
