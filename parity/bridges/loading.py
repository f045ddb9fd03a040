"""``load_weights``: a module's parameters from the original's variables, a file of them, or another rung's module."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from parity.bridges import layouts
from parity.bridges.checks import same_function
from parity.bridges.names import RNN_KERNEL, RNN_RECURRENT, checked
from parity.rungs import rung_of


def load_weights(
    module: Any, source: Mapping[str, Any] | str | os.PathLike[str] | Any, *, scope: str | None = None
) -> None:
    """Set the parameters of a frontend; nothing is changed unless all of them can be.

    Args:
        module: a frontend of ``tf_leaf`` or ``og_leaf``, a ``leaf.Leaf`` or an ``efficientleaf.EfficientLeaf`` (the
            last two with PCEN).
        source: one of

            - a mapping of the original's variable names (``kernel:0``, ``leaf/PCEN/alpha:0``, ...; the prefix and
              ``:0`` are optional) to real arrays, or a state dict of ``og_leaf`` or of the published port that it
              follows;
            - the path of a file: the prefix of a TensorFlow checkpoint, object-based or by names, or a folder that
              holds one (a SavedModel); a Keras ``.h5``, ``.weights.h5`` or ``.keras`` file; an ``.npz`` or
              ``.safetensors`` file of such a mapping; a state dict (``.pt``, ``.pth``). None needs TensorFlow, none
              is unpickled;
            - another rung's module, whose configuration must hold the same variables. Values that their source limits
              in its forward pass, and the module does not, are carried as the limit.
        scope: where in the source the frontend stands, ``my_model/leaf``: the path of attributes (a checkpoint), of
            layers (Keras), or what names begin with; what is elsewhere is then left alone. Without it, a checkpoint
            or Keras file that holds one frontend is taken to mean that one, and anything else must be the frontend's
            to the last variable. Optimiser slots, counters and metrics are never part of a frontend.

    Raises:
        ModuleNotFoundError: a file needs h5py or safetensors, and it is not installed.
        TypeError: the module belongs to no rung, or a value is complex or no array of numbers.
        ValueError: a variable is missing, not expected, misshapen, NaN or infinite; or the rung cannot hold its value
            (the message names the variable, the value and what is allowed); or the file cannot be read, or holds
            several frontends or none where ``scope`` says (the message lists those that there are).
    """
    bridge = rung_of(module).load_bridge()
    wanted = bridge.shapes(module)
    origin = "original"
    if not isinstance(source, (str, os.PathLike, Mapping)):
        rung = rung_of(source)
        origin, source = rung.name, rung.load_bridge().read(source)
    variables = variables_of(source, scope)
    if layouts.is_state_dict(variables):
        variables = layouts.from_state_dict({name: _array(name, value) for name, value in variables.items()})
        for name in {RNN_KERNEL, RNN_RECURRENT} & set(wanted) - set(variables):
            # the published port keeps its fixed smoother as an argument, and in no state dict: so is ours kept
            variables[name] = bridge.read(module)[name]
    bridge.write(module, same_function(origin, bridge.rung, checked(variables, wanted)))


def variables_of(source: Mapping[str, Any] | str | os.PathLike[str], scope: str | None) -> dict[str, Any]:
    """What a file or a mapping holds of one frontend, by the hub's names or by the source's own.

    Raises:
        ModuleNotFoundError: as :func:`load_weights`.
        ValueError: the file cannot be read; or the scope is not there, or not said where there are several.
    """
    from parity.checkpoints import Mapped, open_file

    if isinstance(source, Mapping):
        if scope is None:
            return dict(source)
        return {name: source[key] for name, key in Mapped(Path("the mapping"), source).names(scope.strip("/")).items()}
    return open_file(Path(source)).variables(scope)


def _array(name: str, value: Any) -> np.ndarray:
    """A tensor of a state dict, on any device.

    Raises:
        TypeError: it is no tensor or array.
    """
    try:
        return np.asarray(value.detach().cpu() if hasattr(value, "detach") else value)
    except Exception as error:
        raise TypeError(f"variable {name!r}: must be a tensor or an array, got {type(value).__name__}") from error
