"""``load_weights``: a module's parameters from the original's variables, a file of them, or another rung's module."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from parity.bridges import layouts
from parity.bridges.checks import SIMPLIFIED, same_function
from parity.bridges.filters import class_of, require_same_filters
from parity.bridges.finding import frontend_of
from parity.bridges.names import RNN_KERNEL, RNN_RECURRENT, checked

if TYPE_CHECKING:
    from parity.checkpoints import Contents


def load_weights(
    module: Any, source: Mapping[str, Any] | str | os.PathLike[str] | Any, *, scope: str | None = None
) -> None:
    """Set the parameters of a frontend; nothing is changed unless all of them can be.

    Args:
        module: a frontend of ``tf_leaf`` or ``og_leaf``, a ``leaf.Leaf`` or an ``efficientleaf.EfficientLeaf`` (the
            last two with PCEN); also as ``torch.compile`` returns it.
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
            layers (Keras), or what names begin with; what is elsewhere is then left alone. Without it, a checkpoint,
            Keras file or state dict that holds one frontend is taken to mean that one, and anything else must be the
            frontend's to the last variable. Optimiser slots, counters and metrics are never part of a frontend.

    Raises:
        ModuleNotFoundError: a file needs h5py or safetensors, and it is not installed.
        TypeError: the module belongs to no rung, or a value is complex or no array of numbers.
        ValueError: a variable is missing, not expected, misshapen, NaN or infinite; or the filters are certain to be of
            another class, whose variables have the same shapes; or the rung cannot hold its value
            (the message names the variable, the value and what is allowed); or the file cannot be read, or holds
            several frontends or none where ``scope`` says (the message lists those that there are).
    """
    rung, module = frontend_of(module)
    bridge = rung.load_bridge()
    wanted = bridge.shapes(module)
    origin = "original"
    hints: dict[str, str] = {}
    if isinstance(source, (str, os.PathLike, Mapping)):
        contents = contents_of(source)
        where = contents.chosen(scope)
        variables, hints = contents.variables(where), contents.hints(where)
        if layouts.is_state_dict(contents.names(where)):
            # the published port keeps its fixed smoother as an argument, and in no state dict: so is ours kept
            for name in {RNN_KERNEL, RNN_RECURRENT} & set(wanted) - set(variables):
                variables[name] = bridge.read(module)[name]
    else:
        other, source = frontend_of(source)
        origin, variables = other.name, other.load_bridge().read(source)
        if known := class_of(origin, source):
            hints = {"conv1d_cls": known}
    variables = checked(variables, wanted)
    require_same_filters(rung.name, module, variables, hints)
    simplified = rung.name in SIMPLIFIED or origin in SIMPLIFIED
    window = bridge.config(module).window if simplified else 0
    bridge.write(module, same_function(origin, rung.name, variables, window))


def contents_of(source: Mapping[str, Any] | str | os.PathLike[str]) -> Contents:
    """A file or a mapping, opened; of dicts in a mapping, as training scripts save them, the names are joined.

    Raises:
        ModuleNotFoundError, ValueError: as :func:`parity.checkpoints.open_file`.
    """
    from parity.checkpoints import Mapped, open_file
    from parity.checkpoints.contents import flat

    if isinstance(source, Mapping):
        return Mapped(Path("the mapping"), dict(flat(source)))
    return open_file(Path(source))
