"""Set a frontend's parameters from a file of weights, a mapping of arrays or another frontend.

Open the source, choose the frontend in it, read its variables under the original's names, hold them to the module's
shapes, and let the adapter of the module's rung write all of them or none.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from parity.adapters import canonical, layouts
from parity.adapters.canonical import RNN_KERNEL, RNN_RECURRENT, Variables
from parity.adapters.refusals import SIMPLIFIED, same_function
from parity.adapters.rungs import Rung
from parity.weights import array_files, unstored_settings
from parity.weights.contents import Array, Contents, naming
from parity.weights.filter_classes import class_in_module, require_same_class
from parity.weights.keras_files import open_h5, open_keras_archive
from parity.weights.module_frontends import find_frontend, find_part
from parity.weights.outputs import shown
from parity.weights.stored import Description, described
from parity.weights.tensorflow_checkpoint import open_checkpoint, open_folder
from parity.weights.unstored_settings import KnownSettings

if TYPE_CHECKING:
    from torch import nn

KINDS = (
    "the prefix of a TensorFlow checkpoint, or a folder with one; a Keras .h5, .weights.h5 or .keras file; .npz; "
    ".safetensors; or a state dict, .pt or .pth"
)
READERS: dict[str, Callable[[Path], Contents]] = {
    ".npz": array_files.open_npz, ".safetensors": array_files.open_safetensors,
    ".pt": array_files.open_state_dict, ".pth": array_files.open_state_dict,
    ".h5": open_h5, ".hdf5": open_h5, ".keras": open_keras_archive,
}  # fmt: skip
STATE = "checkpoint"  # TensorFlow's text file beside what CheckpointManager and Saver write
PART = re.compile(r"(.+)\.(?:index|data-\d{5}-of-\d{5})")


def load_weights(
    module: Any, source: Mapping[str, Any] | str | os.PathLike[str] | Any, *, scope: str | None = None
) -> None:
    """Set the parameters of a frontend; nothing is changed unless all of them can be.

    Args:
        module: a frontend of ``tf_leaf`` or ``og_leaf``, a ``leaf.Leaf`` or an ``efficientleaf.EfficientLeaf`` (the
            last two with PCEN, or with the compression that the source has); also as ``torch.compile`` returns it.
        source: one of

            - a mapping of the original's variable names (``kernel:0``, ``leaf/PCEN/alpha:0``, ...; the prefix and
              ``:0`` are optional) to real arrays, or a state dict of ``og_leaf``, ``leaf``, ``efficientleaf`` or of
              the published ports that they follow, or of denfed/leaf-audio-pytorch, SarthakYadav/leaf-pytorch or
              SpeechBrain, where their bias on the energies is 0;
            - the path of a file: the prefix of a TensorFlow checkpoint, object-based or by names, or a folder that
              holds one (a SavedModel); a Keras ``.h5``, ``.weights.h5`` or ``.keras`` file; an ``.npz`` or
              ``.safetensors`` file of such a mapping; a state dict (``.pt``, ``.pth``). None needs TensorFlow, none
              is unpickled;
            - another rung's module, whose configuration must hold the same variables. Values that their source limits
              in its forward pass, and the module does not, are carried as the limit.
        scope: where in the source the frontend stands, ``my_model/leaf``: the path of attributes (a checkpoint or a
            module), of layers (Keras), or what names begin with; what is elsewhere is left alone. Without it, the only
            frontend that is found in a checkpoint, Keras file or state dict is taken, whatever stands beside it; where
            none is found, every variable must be the module's. Optimiser slots, counters and metrics never count.

    Warns:
        UserWarning: the module has another padding, rate, length or limit of PCEN than the source, so far as this is
            known: the same weights then give other numbers.

    Raises:
        ModuleNotFoundError: a file needs h5py or safetensors, and it is not installed.
        TypeError: the module, or a source that is one, belongs to no rung; or ``scope`` is no text; or a value of a
            mapping is complex or no array of numbers.
        ValueError: a variable is missing, not expected, misshapen, NaN or infinite; or the filters are certain to be of
            another class, whose variables have the same shapes; or the rung cannot hold its value
            (the message names the variable, the value and what is allowed); or the file cannot be read, has more
            values than a frontend of this module's size, or holds several frontends or none where ``scope`` says (the
            message lists those that there are).
    """
    if not isinstance(scope, (str, type(None))):
        raise TypeError(f"scope={shown(scope)}: must be text, or None")
    rung, module = find_frontend(module)
    if isinstance(source, Mapping):
        settings = _set_from_contents(rung, module, array_files.open_mapping(source), scope)
    elif isinstance(source, (str, os.PathLike)):
        path = Path(source)
        with naming(source):
            contents = open_file(path)
        about = described(path) if path.is_file() else None
        with naming(source):
            settings = _set_from_contents(rung, module, contents, scope, about)
    else:
        settings = _set_from_module(rung, module, source, scope)
    unstored_settings.warn_of_others(settings, unstored_settings.of_module(rung, module))


def open_file(path: Path) -> Contents:
    """Open a file of weights, of a kind that :data:`KINDS` lists: none is unpickled, and none needs TensorFlow.

    Raises:
        ModuleNotFoundError: h5py or safetensors is needed and not installed.
        ValueError: there is no such file, it is torn or pickled, or of another kind.
    """
    try:
        indexed = bool(path.name) and path.with_name(path.name + ".index").is_file()
        folder, there = path.is_dir(), path.exists()
    except (OSError, ValueError) as error:  # a name that is too long, or has a byte that no name has
        raise ValueError(f"cannot be read ({error})") from None
    if indexed:
        return open_checkpoint(path)
    if part := PART.fullmatch(path.name):
        raise ValueError(f"a part of a TensorFlow checkpoint; give the prefix {part[1]!r}")
    if reader := READERS.get(path.suffix):
        return reader(path)
    if folder:
        return open_folder(path)
    if there and path.name == STATE:
        raise ValueError("lists checkpoints and holds none; give the prefix of one, or its folder")
    raise ValueError(f"{'must be' if there else 'there is no such file; must be'} {KINDS}")


def _set_from_contents(
    rung: Rung, module: Any, contents: Contents, scope: str | None, about: Description | None = None
) -> KnownSettings:
    """Set a module from an opened source; return the settings that it was trained with, so far as they are known."""
    scope = contents.choose_scope(scope)
    names, hints = contents.names(scope), contents.hints(scope)
    settings = unstored_settings.of_description(about) if about else unstored_settings.of_hints(hints)
    if hints.get("layout") == "simplified" and rung.name in SIMPLIFIED:
        held = contents.read(scope, _most_values(tuple(t.shape) for t in module.state_dict().values()))
        logs = layouts.holds_logarithms(held)
        # logarithms or values of PCEN, as the module holds them; other compressions have one form
        if logs in (None, getattr(module.compression, "learn_logs", logs)):
            _set_state_dict(module, held)
            return settings
    adapter = rung.load_adapter()
    shapes = adapter.shapes(module)
    variables = array_files.original_variables(contents.read(scope, _most_values(shapes.values())))
    if layouts.is_state_dict(names):
        # a fixed smoother is in no state dict: keep the module's own
        for name in {RNN_KERNEL, RNN_RECURRENT} & set(shapes) - set(variables):
            variables[name] = adapter.read(module)[name]
    origin = "leaf" if hints.get("layout") == "simplified" else "original"
    variables = _set_variables(rung, module, variables, origin, hints)
    if "port" in hints:  # ports have the original's number of taps; simplified LEAF makes an even one odd
        settings.values["n_taps"] = adapter.config(module).with_(padding="same").window
    return settings if variables else KnownSettings({}, settings.origin)


def _set_from_module(rung: Rung, module: Any, source: Any, scope: str | None) -> KnownSettings:
    """Set a module from another; return the other's settings."""
    try:
        other, source = find_frontend(source if scope is None else find_part(source, scope))
    except TypeError as error:
        raise TypeError(str(error).replace("module=", "source=", 1)) from None
    settings = unstored_settings.of_module(other, source)
    if {rung.name, other.name} <= set(SIMPLIFIED) and set(module.state_dict()) == set(source.state_dict()):
        forms = [getattr(frontend.compression, "learn_logs", None) for frontend in (module, source)]
        if forms[0] == forms[1]:  # tensors of the same names that mean the same
            _set_state_dict(
                module, {name: array_files.as_array(name, tensor) for name, tensor in source.state_dict().items()}
            )
            return settings
    hints = {"conv1d_cls": name} if (name := class_in_module(other, source)) else {}
    variables = _set_variables(rung, module, other.load_adapter().read(source), other.name, hints)
    return settings if variables else KnownSettings({}, settings.origin)


def _set_variables(
    rung: Rung, module: Any, source: Mapping[str, Any], origin: str, hints: Mapping[str, str]
) -> Variables:
    """Set a module from variables of another rung, or of the original; return them by canonical names."""
    adapter = rung.load_adapter()
    variables = canonical.checked(source, adapter.shapes(module))
    require_same_class(class_in_module(rung, module), variables, hints)
    if rung.name in SIMPLIFIED or origin in SIMPLIFIED:
        variables = same_function(origin, rung.name, variables, adapter.config(module).window)
    adapter.write(module, variables)
    return variables


def _set_state_dict(module: nn.Module, held: Mapping[str, Array]) -> None:
    """Set every tensor of a module from a state dict of its names, all of them or none; refuses as :func:`checked`."""
    import torch

    own = module.state_dict(keep_vars=True)
    canonical.require_match(held, {name: tuple(tensor.shape) for name, tensor in own.items()})
    for name, tensor in own.items():
        array = held[name]
        canonical.require_finite(name, array)
        if tensor.is_floating_point():
            canonical.require_fit(name, array, str(tensor.dtype).removeprefix("torch."))
        elif array.dtype.kind not in "iu":
            raise TypeError(f"variable {name!r}: must be integers, got dtype {array.dtype}")
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(torch.as_tensor(np.array(held[name])))


def _most_values(shapes: Iterable[tuple[int, ...]]) -> int:
    """Count the values that are read for these shapes: more than they have, so that a refusal can name others."""
    return max(1 << 20, 4 * sum(math.prod(shape) for shape in shapes))
